//! The devices a task sees: those that hold nothing of the machine.

use super::rootfs::bind;
use super::rootfs::make_dir;
use super::rootfs::mount;
use super::setup_error::SetupError;
use super::setup_error::step;
use nix::mount::MsFlags;
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Shown from the host: a task cannot make devices, and its own file systems do not honour them.
const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// What programs expect beside the devices.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Size of shared memory in bytes, as with Docker.
const SHM_BYTES: u64 = 64 << 20;

/// Fills a new `/dev`; `host` is where the host's root hangs.
pub(super) fn populate(host: &Path) -> Result<(), SetupError> {
    let dev = Path::new("/dev");
    let failed = "cannot mount /dev";
    make_dir(dev, 0o755)?;
    // Devices shown by bind keep working: the flag of a mount covers only that mount.
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount("tmpfs", dev, Some("tmpfs"), flags, "mode=0755,size=64k").map_err(step(failed))?;
    for name in NODES {
        let node = dev.join(name);
        File::create(&node).map_err(step(failed))?;
        bind(&host.join("dev").join(name), &node, MsFlags::empty())?;
    }
    for (name, target) in LINKS {
        symlink(target, dev.join(name)).map_err(step(failed))?;
    }
    let pts = dev.join("pts");
    make_dir(&pts, 0o755)?;
    // Group 5 is tty wherever one is.
    mount(
        "devpts",
        &pts,
        Some("devpts"),
        flags,
        "newinstance,ptmxmode=0666,mode=0620,gid=5",
    )
    .map_err(step("cannot mount /dev/pts"))?;
    let shm = dev.join("shm");
    make_dir(&shm, 0o1777)?;
    let options = format!("mode=1777,size={SHM_BYTES}");
    mount(
        "tmpfs",
        &shm,
        Some("tmpfs"),
        flags | MsFlags::MS_NODEV,
        &options,
    )
    .map_err(step("cannot mount /dev/shm"))
}
