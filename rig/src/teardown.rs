//! Taking a rig down, whoever made it, in whatever state it is.

use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use nix::fcntl::Flock;
use nix::fcntl::FlockArg;

use crate::cgroup;
use crate::error::RigError;
use crate::layout::Layout;
use crate::layout::RIGS;
use crate::leftovers::leftovers;
use crate::link;
use crate::mounts;
use crate::netns::Netns;
use crate::process;
use crate::process::Owner;
use crate::process::ProcessId;
use crate::state::RigState;

/// Held by the one sweeper.
const LOCK: &str = ".lock";

/// Removes a rig: processes first, then what they held, files last. The record goes with the
/// files, so an interrupted removal can be repeated.
///
/// # Errors
/// What could not be removed; [`RigError::Leftovers`] when the check at the end finds something.
pub fn remove(state: &RigState, reap: impl FnMut()) -> Result<(), RigError> {
    let layout = &state.layout;
    let what = format!("rig {}", layout.tag);
    let cgroups = process::kill_owned(&owner(layout, &state_dirs(state))?, &what, reap)?;
    cgroup::prune(&cgroups);
    remove_cgroups(layout)?;
    if state.uplink {
        let machine = Netns::machine();
        machine.run(|| link::with_links(async |links| links.remove(&layout.uplink()).await))??;
    }
    for alias in aliases(layout) {
        mounts::unmount_below(&alias).map_err(file("unmount", &alias))?;
        fs::remove_file(&alias).map_err(file("remove", &alias))?;
    }
    for dir in [&layout.state, &layout.run] {
        mounts::unmount_below(dir).map_err(file("unmount below", dir))?;
        // A mount made meanwhile would lead the removal out of our directory.
        let mounted = mounts::below(dir).map_err(file("list mounts below", dir))?;
        if let Some(mount) = mounted.first() {
            let source = io::Error::from(io::ErrorKind::ResourceBusy);
            return Err(RigError::File {
                op: "unmount",
                path: mount.point.clone(),
                source,
            });
        }
        match fs::remove_dir_all(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(file("remove", dir)(error));
            }
            _ => {}
        }
    }
    let left = leftovers(layout)?;
    if left.is_empty() {
        return Ok(());
    }
    Err(RigError::Leftovers {
        tag: layout.tag.clone(),
        left: left.join("\n"),
    })
}

/// Removes the rigs of tests whose process is gone. Returns their tags. One sweeper at a time:
/// who comes second leaves the work to the first.
///
/// # Errors
/// What could not be removed.
pub fn sweep() -> Result<Vec<String>, RigError> {
    let rigs = Path::new(RIGS);
    fs::create_dir_all(rigs).map_err(file("create", rigs))?;
    let lock = rigs.join(LOCK);
    let lock = File::create(&lock).map_err(file("open", &lock))?;
    let Ok(_guard) = Flock::lock(lock, FlockArg::LockExclusiveNonblock) else {
        return Ok(Vec::new());
    };
    let mut swept = Vec::new();
    for entry in fs::read_dir(rigs).map_err(file("list", rigs))?.flatten() {
        let tag = entry.file_name().to_string_lossy().into_owned();
        if let Some(state) = stale(&tag, &entry.path()) {
            remove(&state, || {})?;
            swept.push(tag);
        }
    }
    Ok(swept)
}

/// Removes the directory all rigs of tests are in, if there is none left in it.
pub fn tidy() {
    let rigs = Path::new(RIGS);
    let only_lock = |mut dir: fs::ReadDir| dir.all(|e| e.is_ok_and(|e| e.file_name() == LOCK));
    if fs::read_dir(rigs).is_ok_and(only_lock) {
        // Who made a rig meanwhile keeps the directory: only an empty one can be removed.
        let _in_use = fs::remove_file(rigs.join(LOCK)).and_then(|()| fs::remove_dir(rigs));
    }
}

/// The record of a rig that nobody is responsible for; made up from the directory's name when
/// its maker died before it was written.
fn stale(tag: &str, dir: &Path) -> Option<RigState> {
    if let Ok(state) = RigState::load(dir) {
        return state.is_stale().then_some(state);
    }
    let maker: i32 = tag.rsplit('-').nth(1)?.parse().ok()?;
    if ProcessId::of(maker).is_some() {
        return None;
    }
    Some(RigState {
        layout: Layout::test(tag),
        creator: None,
        subnet: crate::subnet::DEFAULT,
        uplink: false,
        weft: PathBuf::new(),
        hosts: Vec::new(),
    })
}

/// What a whole rig owns.
pub(crate) fn owner(layout: &Layout, state_dirs: &[PathBuf]) -> Result<Owner, RigError> {
    let mut netns = BTreeSet::new();
    for dir in [&layout.run, &layout.state] {
        let below = mounts::below(dir).map_err(file("list mounts below", dir))?;
        netns.extend(below.iter().filter_map(|mount| mount.netns));
    }
    Ok(Owner {
        marker: format!("{}/", layout.tag),
        netns,
        cgroup_tag: layout.tag.clone(),
        state_dirs: state_dirs.to_vec(),
    })
}

fn state_dirs(state: &RigState) -> Vec<PathBuf> {
    state
        .hosts
        .iter()
        .map(|host| state.layout.host_state(&host.name))
        .collect()
}

fn remove_cgroups(layout: &Layout) -> Result<(), RigError> {
    let trees = cgroup::trees(&layout.tag);
    for tree in trees.map_err(file("list", Path::new("/sys/fs/cgroup")))? {
        cgroup::remove(&tree).map_err(file("remove", &tree))?;
    }
    Ok(())
}

/// Second names of the rig's namespaces.
pub(crate) fn aliases(layout: &Layout) -> Vec<PathBuf> {
    let pattern = layout.netns_alias("");
    let (Some(dir), Some(prefix)) = (pattern.parent(), pattern.file_name()) else {
        return Vec::new();
    };
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let prefix = prefix.to_string_lossy();
    let ours = entries.filter(|e| e.file_name().to_string_lossy().starts_with(&*prefix));
    ours.map(|entry| entry.path()).collect()
}

fn file(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RigError {
    let path = path.to_owned();
    move |source| RigError::File { op, path, source }
}
