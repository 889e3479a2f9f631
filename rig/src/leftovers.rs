//! What a rig left behind. Tests end by asserting that this is nothing.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::cgroup;
use crate::error::RigError;
use crate::layout::Layout;
use crate::layout::RIGS;
use crate::mounts;
use crate::process;
use crate::teardown;

/// Everything of rig `layout` that is still on this machine, one line each: processes, mounts
/// (namespaces included), links, cgroups, files.
///
/// # Errors
/// [`RigError::File`] when the machine cannot be looked at.
pub fn leftovers(layout: &Layout) -> Result<Vec<String>, RigError> {
    let mut left = Vec::new();
    let owner = teardown::owner(layout, std::slice::from_ref(&layout.state))?;
    for process in process::owned(&owner)? {
        left.push(format!(
            "process {}: {}",
            process.id.pid,
            process.args.join(" ")
        ));
    }
    let trees = cgroup::trees(&layout.tag).map_err(list("/sys/fs/cgroup"))?;
    left.extend(
        trees
            .iter()
            .map(|tree| format!("cgroup {}", tree.display())),
    );
    for dir in [&layout.run, &layout.state] {
        for mount in mounts::below(dir).map_err(list("/proc/self/mountinfo"))? {
            left.push(format!("mount {}", mount.point.display()));
        }
    }
    left.extend(
        teardown::aliases(layout)
            .iter()
            .map(|a| format!("namespace {}", a.display())),
    );
    let uplink = Path::new("/sys/class/net").join(layout.uplink());
    let mut files = vec![layout.run.clone(), uplink];
    if layout.state != layout.run {
        files.push(layout.state.clone());
    }
    files.retain(|path| path.symlink_metadata().is_ok());
    left.extend(files.iter().map(|path| format!("file {}", path.display())));
    Ok(left)
}

/// What rigs of tests that are over left behind; a rig whose maker lives is none of them.
///
/// # Errors
/// As [`leftovers`].
pub fn of_dead_tests() -> Result<Vec<String>, RigError> {
    let mut left = Vec::new();
    for entry in fs::read_dir(RIGS).into_iter().flatten().flatten() {
        let tag = entry.file_name().to_string_lossy().into_owned();
        let alive = crate::state::RigState::load(&entry.path()).is_ok_and(|s| !s.is_stale());
        if tag.starts_with("rig-") && !alive {
            left.extend(leftovers(&Layout::test(&tag))?);
        }
    }
    Ok(left)
}

fn list(path: &str) -> impl FnOnce(io::Error) -> RigError {
    let path = PathBuf::from(path);
    move |source| RigError::File {
        op: "list",
        path,
        source,
    }
}
