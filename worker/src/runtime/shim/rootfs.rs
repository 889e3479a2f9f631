//! Builds the file system a task sees, in the mount namespace of the calling process.
//!
//! The root is an overlay over the host's: a task sees the host's programs and libraries and
//! writes to memory. `upper` must not lie below `lower` (ELOOP), hence a memory file system of
//! its own, whose pages count against the task's memory limit. What else the host has mounted is
//! not seen through the overlay, except system directories on file systems of their own, which
//! get an overlay each. An update of the host's packages while a task runs is undefined for the
//! task (overlayfs says so): restart tasks after it.

use super::devices;
use super::setup_error::SetupError;
use super::setup_error::step;
use crate::runtime::Bind;
use crate::runtime::TaskLaunch;
use crate::runtime::task_dir::TaskDir;
use nix::mount::MntFlags;
use nix::mount::MsFlags;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

/// Directories that belong to the system even where they are file systems of their own.
const SYSTEM_DIRS: [&str; 4] = ["usr", "etc", "var", "opt"];

/// Where the host's root hangs while the task's is built; gone before the command runs.
const OLD_ROOT: &str = "/.weft-old-root";

/// Kernel switches that would change the host: read-only.
const PROC_READ_ONLY: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];

/// Kernel secrets and the host's memory: empty.
const PROC_EMPTY: [&str; 6] = [
    "acpi",
    "kcore",
    "keys",
    "latency_stats",
    "scsi",
    "timer_list",
];

/// Size of the memory file systems on `/tmp` and `/run` relative to the scratch space.
const TMP_SHARE: u64 = 2;

/// Makes the task's root and moves into it for good.
pub(super) fn enter(dir: &TaskDir, launch: &TaskLaunch) -> Result<(), SetupError> {
    // Nothing mounted from here on may reach the host, or the host's mounts the task.
    mount("none", "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, "")
        .map_err(step("cannot detach from the host's mounts"))?;
    let hidden = existing(&launch.hidden_dirs)?;
    let binds = resolved(&launch.mounts, &hidden)?;
    let root = overlay(&dir.root_mount(), launch.limits.scratch_bytes())?;
    pivot(&root)?;
    kernel_file_systems(launch.limits.scratch_bytes() / TMP_SHARE)?;
    etc_files(launch)?;
    for path in &hidden {
        cover(path)?;
    }
    for bind in &binds {
        show(bind, &hidden)?;
    }
    nix::mount::umount2(OLD_ROOT, MntFlags::MNT_DETACH)
        .map_err(step("cannot let go of the host's root"))?;
    fs::remove_dir(OLD_ROOT).map_err(step("cannot remove the mount point of the host's root"))
}

/// Hidden directories without symbolic links; what does not exist needs no hiding.
fn existing(hidden: &[PathBuf]) -> Result<Vec<PathBuf>, SetupError> {
    let mut found = Vec::new();
    for path in hidden {
        match path.canonicalize() {
            Ok(path) => found.push(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(step(format!("cannot look up hidden {}", path.display()))(
                    error,
                ));
            }
        }
    }
    Ok(found)
}

fn resolved(binds: &[Bind], hidden: &[PathBuf]) -> Result<Vec<Bind>, SetupError> {
    let resolve = |bind: &Bind| {
        let source = bind.source.canonicalize();
        let source = source.map_err(step(format!("mount source {}", bind.source.display())))?;
        if hidden.contains(&source) {
            return Err(SetupError::HiddenSource(bind.source.display().to_string()));
        }
        Ok(Bind {
            source,
            ..bind.clone()
        })
    };
    binds.iter().map(resolve).collect()
}

/// Mounts the overlay and returns where.
fn overlay(scratch: &Path, bytes: u64) -> Result<PathBuf, SetupError> {
    let options = format!("size={bytes},mode=0755");
    mount(
        "tmpfs",
        scratch,
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        &options,
    )
    .map_err(step("cannot mount memory for the task's files"))?;
    // Relative paths from here: the option string has no way to hold a comma or colon.
    nix::unistd::chdir(scratch).map_err(step("cannot enter the task's scratch space"))?;
    let host = |path: &Path| fs::metadata(path).map(|meta| meta.dev());
    let root_dev = host(Path::new("/")).map_err(step("cannot look at /"))?;
    let separate = SYSTEM_DIRS
        .iter()
        .filter(|dir| host(&Path::new("/").join(dir)).is_ok_and(|dev| dev != root_dev));
    for (index, part) in [""].iter().chain(separate).enumerate() {
        let lower = format!("/{part}");
        for name in ["upper", "work"] {
            make_dir(Path::new(&format!("{name}{index}")), 0o755)?;
        }
        let target = Path::new("merged").join(part);
        make_dir(&target, 0o755)?;
        let options = format!("lowerdir={lower},upperdir=upper{index},workdir=work{index}");
        mount(
            "overlay",
            &target,
            Some("overlay"),
            MsFlags::MS_NODEV,
            &options,
        )
        .map_err(step(format!(
            "cannot mount an overlay over {lower}; overlayfs is required"
        )))?;
    }
    Ok(scratch.join("merged"))
}

fn pivot(root: &Path) -> Result<(), SetupError> {
    let relative = OLD_ROOT.trim_start_matches('/');
    make_dir(&root.join(relative), 0o700)?;
    nix::unistd::pivot_root(root, &root.join(relative))
        .map_err(step("cannot change to the task's root"))?;
    nix::unistd::chdir("/").map_err(step("cannot enter the task's root"))
}

fn kernel_file_systems(tmp_bytes: u64) -> Result<(), SetupError> {
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let inert = plain | MsFlags::MS_NOEXEC;
    let tmp = format!("mode=1777,size={tmp_bytes}");
    let run = format!("mode=0755,size={tmp_bytes}");
    let mounts = [
        ("proc", "/proc", inert, ""),
        ("sysfs", "/sys", inert | MsFlags::MS_RDONLY, ""),
        ("tmpfs", "/run", plain, run.as_str()),
        ("tmpfs", "/tmp", plain, tmp.as_str()),
    ];
    for (fstype, target, flags, options) in mounts {
        make_dir(Path::new(target), 0o755)?;
        mount(fstype, target, Some(fstype), flags, options)
            .map_err(step(format!("cannot mount {target}")))?;
    }
    make_dir(Path::new("/run/lock"), 0o1777)?;
    devices::populate(Path::new(OLD_ROOT))?;
    for name in PROC_READ_ONLY {
        let path = Path::new("/proc").join(name);
        if path.exists() {
            bind(&path, &path, MsFlags::empty())?;
            remount(&path, inert | MsFlags::MS_RDONLY)?;
        }
    }
    let masked = PROC_EMPTY.iter().map(|name| Path::new("/proc").join(name));
    for path in masked
        .chain([PathBuf::from("/sys/firmware")])
        .filter(|path| path.exists())
    {
        cover(&path)?;
    }
    Ok(())
}

/// Files that differ from the host's. The host's may be links to where the task has nothing.
fn etc_files(launch: &TaskLaunch) -> Result<(), SetupError> {
    let hostname = format!("{}\n", launch.hostname);
    let files = [
        ("/etc/resolv.conf", &launch.resolv_conf),
        ("/etc/hosts", &launch.hosts),
        ("/etc/hostname", &hostname),
    ];
    for (path, text) in files {
        let removed = match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
        removed
            .and_then(|()| fs::write(path, text))
            .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o644)))
            .map_err(step(format!("cannot write {path}")))?;
    }
    Ok(())
}

/// Puts nothing in the place of a file or directory.
fn cover(path: &Path) -> Result<(), SetupError> {
    let failed = || format!("cannot hide {}", path.display());
    match fs::symlink_metadata(path) {
        // Not on the task's root at all.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(step(failed())(error)),
        Ok(meta) if meta.is_dir() => {
            let flags =
                MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            mount(
                "tmpfs",
                path,
                Some("tmpfs"),
                flags,
                "size=4k,nr_inodes=1,mode=0555",
            )
            .map_err(step(failed()))
        }
        Ok(_) => bind(Path::new("/dev/null"), path, MsFlags::empty()),
    }
}

fn show(wanted: &Bind, hidden: &[PathBuf]) -> Result<(), SetupError> {
    let source = below(Path::new(OLD_ROOT), &wanted.source);
    let target = &wanted.target;
    let failed = || format!("mount target {}", target.display());
    // Made only after the way there is known to stay inside: a link left in a volume by an
    // earlier task could lead to the host's root, which still hangs here.
    let known = target.ancestors().find_map(|path| path.canonicalize().ok());
    if known.is_none_or(|path| path.starts_with(OLD_ROOT)) {
        return Err(SetupError::TargetEscapes(target.display().to_string()));
    }
    if source.is_dir() {
        make_dir(target, 0o755)?;
    } else {
        target
            .parent()
            .map_or(Ok(()), |parent| make_dir(parent, 0o755))?;
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(target)
            .map_err(step(failed()))?;
    }
    // What is mounted below the source comes along, but could not be made read-only with it.
    let depth = if wanted.read_only {
        MsFlags::empty()
    } else {
        MsFlags::MS_REC
    };
    bind(&source, target, depth)?;
    let read_only = if wanted.read_only {
        MsFlags::MS_RDONLY
    } else {
        MsFlags::empty()
    };
    remount(target, MsFlags::MS_NOSUID | MsFlags::MS_NODEV | read_only)?;
    // A directory above a hidden one would show it again.
    let exposed = hidden
        .iter()
        .filter_map(|path| path.strip_prefix(&wanted.source).ok());
    exposed
        .map(|inner| target.join(inner))
        .try_for_each(|path| cover(&path))
}

/// `path`, which is absolute, below another root.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

pub(super) fn make_dir(path: &Path, mode: u32) -> Result<(), SetupError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        // The umask took bits away.
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .map_err(step(format!("cannot make directory {}", path.display())))
}

pub(super) fn bind(source: &Path, target: &Path, more: MsFlags) -> Result<(), SetupError> {
    nix::mount::mount(
        Some(source),
        target,
        None::<&str>,
        MsFlags::MS_BIND | more,
        None::<&str>,
    )
    .map_err(step(format!(
        "cannot show {} at {}",
        source.display(),
        target.display()
    )))
}

pub(super) fn remount(target: &Path, flags: MsFlags) -> Result<(), SetupError> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | flags;
    nix::mount::mount(None::<&str>, target, None::<&str>, flags, None::<&str>)
        .map_err(step(format!("cannot restrict {}", target.display())))
}

pub(super) fn mount(
    source: &str,
    target: impl AsRef<Path>,
    fstype: Option<&str>,
    flags: MsFlags,
    options: &str,
) -> nix::Result<()> {
    nix::mount::mount(Some(source), target.as_ref(), fstype, flags, Some(options))
}
