//! Secrets and configs in the task's mount namespace: in memory, read-only, gone with the task.
//!
//! Files below `/run/secrets` are in a file system of their own that is mounted there. All others are
//! in a second one, each shown where its task looks for it. Nothing of either is ever on a disk,
//! except in swap where the kernel is too old to be told not to (Linux 6.4).

use super::rootfs;
use super::setup_error::SetupError;
use super::setup_error::step;
use crate::runtime::TaskFile;
use nix::mount::MntFlags;
use nix::mount::MsFlags;
use std::fs;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::fchown;
use std::path::Path;
use std::path::PathBuf;
use weft_proto::defaults::SECRETS_DIR;

/// Where the second file system hangs while its files are shown; gone before the command runs.
const STAGE: &str = "/.weft-files";
/// What a file takes beside its data at most: one page that is not full, and its directories.
const SLACK: usize = 16 << 10;

/// Gives the task its files. The host's root must be out of reach: whatever a path leads to, it is
/// the task's own.
pub(super) fn give(files: &[TaskFile]) -> Result<(), SetupError> {
    let (secrets, others): (Vec<_>, Vec<_>) = files
        .iter()
        .partition(|file| file.target.starts_with(SECRETS_DIR));
    if !secrets.is_empty() {
        let dir = Path::new(SECRETS_DIR);
        memory(dir, &secrets)?;
        for file in secrets {
            write(&file.target, file)?;
        }
        protect(dir)?;
    }
    if others.is_empty() {
        return Ok(());
    }
    let stage = Path::new(STAGE);
    memory(stage, &others)?;
    let staged: Vec<(PathBuf, &TaskFile)> = others
        .into_iter()
        .enumerate()
        .map(|(number, file)| (stage.join(number.to_string()), file))
        .collect();
    for (path, file) in &staged {
        write(path, file)?;
    }
    protect(stage)?;
    for (path, file) in &staged {
        show(path, &file.target)?;
    }
    nix::mount::umount2(STAGE, MntFlags::MNT_DETACH)
        .map_err(step("cannot let go of the task's files"))?;
    fs::remove_dir(STAGE).map_err(step("cannot remove the mount point of the task's files"))
}

fn flags() -> MsFlags {
    MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC
}

/// A file system in memory with room for these files and no more.
fn memory(dir: &Path, files: &[&TaskFile]) -> Result<(), SetupError> {
    rootfs::make_dir(dir, 0o755)?;
    let bytes = files.iter().map(|file| file.data.bytes().len() + SLACK);
    let size = bytes.sum::<usize>() + SLACK;
    let options = format!("size={size},mode=0755");
    let tried = rootfs::mount(
        "tmpfs",
        dir,
        Some("tmpfs"),
        flags(),
        &format!("{options},noswap"),
    );
    let mounted = match tried {
        // The kernel does not know the option.
        Err(nix::errno::Errno::EINVAL) => {
            rootfs::mount("tmpfs", dir, Some("tmpfs"), flags(), &options)
        }
        other => other,
    };
    mounted.map_err(step(format!("cannot mount memory at {}", dir.display())))
}

fn write(path: &Path, file: &TaskFile) -> Result<(), SetupError> {
    let failed = || step(format!("cannot write {}", file.target.display()));
    if let Some(dir) = path.parent() {
        rootfs::make_dir(dir, 0o755)?;
    }
    let written = || -> io::Result<()> {
        let mut open = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        open.write_all(file.data.bytes())?;
        fchown(&open, Some(file.uid), Some(file.gid))?;
        open.set_permissions(fs::Permissions::from_mode(file.mode))
    };
    written().map_err(failed())
}

/// From here on nobody writes to it.
fn protect(dir: &Path) -> Result<(), SetupError> {
    rootfs::remount(dir, flags() | MsFlags::MS_RDONLY)
}

/// Puts a file where the task looks for it. What is missing on the way there is made in the task's
/// own memory.
fn show(source: &Path, target: &Path) -> Result<(), SetupError> {
    let failed = || step(format!("cannot make {}", target.display()));
    if target.is_dir() {
        let error = io::Error::from(io::ErrorKind::IsADirectory);
        return Err(failed()(error));
    }
    if let Some(dir) = target.parent() {
        rootfs::make_dir(dir, 0o755)?;
    }
    if !target.exists() {
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o444)
            .open(target)
            .map_err(failed())?;
    }
    rootfs::bind(source, target, MsFlags::empty())?;
    rootfs::remount(target, flags() | MsFlags::MS_RDONLY)
}
