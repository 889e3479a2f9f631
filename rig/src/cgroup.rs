//! Cgroups that tasks of a rig leave behind, on v1, v2 and hybrid machines alike.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use crate::mounts;
use crate::poll;

/// How deep below a hierarchy's root a rig's cgroups are looked for: deep enough for a daemon
/// that itself runs in a container's or a systemd unit's cgroup.
const DEPTH: usize = 5;

/// How long a cgroup may be busy after its last process was killed.
const BUSY: Duration = Duration::from_secs(5);

/// Roots of all mounted cgroup hierarchies.
///
/// # Errors
/// When /proc cannot be read.
pub fn hierarchies() -> io::Result<Vec<PathBuf>> {
    let cgroups = mounts::all()?
        .into_iter()
        .filter(|m| m.kind == "cgroup" || m.kind == "cgroup2");
    Ok(cgroups.map(|mount| mount.point).collect())
}

/// The topmost cgroups of rig `tag`: those called `weft-<tag>` or `weft-<tag>-...`.
///
/// # Errors
/// When /proc cannot be read.
pub fn trees(tag: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for root in hierarchies()? {
        collect(&root, tag, DEPTH, &mut found);
    }
    Ok(found)
}

/// Whether a cgroup of this name belongs to rig `tag`.
pub fn is_of(name: &str, tag: &str) -> bool {
    let rest = name
        .strip_prefix("weft-")
        .and_then(|name| name.strip_prefix(tag));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-') || rest.starts_with('.'))
}

/// Removes a cgroup and all below it. Its processes must have been killed.
///
/// # Errors
/// When a cgroup is still in use after a few seconds.
pub fn remove(tree: &Path) -> io::Result<()> {
    let mut last = Ok(());
    let gone = poll::until(BUSY, || {
        last = remove_once(tree);
        last.is_ok().then_some(())
    });
    gone.map_or(last, Ok)
}

/// Removes the trees the product made around `paths` (within their hierarchies), as far as nobody
/// uses them: a cgroup in use by others cannot be removed, and that is no failure.
pub fn prune(paths: &BTreeSet<String>) {
    let tops: BTreeSet<&Path> = paths.iter().filter_map(|path| product_top(path)).collect();
    for root in hierarchies().unwrap_or_default() {
        for top in &tops {
            prune_tree(&root.join(top));
        }
    }
}

fn prune_tree(dir: &Path) {
    for child in children(dir) {
        prune_tree(&child);
    }
    // Whoever is still inside keeps it; what is ours by name is removed with an error later on.
    let _still_used = fs::remove_dir(dir);
}

/// The topmost part of this path that carries a name the product gives: `weft-...`.
fn product_top(path: &str) -> Option<&Path> {
    let named = |dir: &&Path| {
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("weft-")
    };
    Path::new(path.trim_start_matches('/'))
        .ancestors()
        .filter(named)
        .last()
}

fn remove_once(tree: &Path) -> io::Result<()> {
    for child in children(tree) {
        remove_once(&child)?;
    }
    match fs::remove_dir(tree) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn collect(dir: &Path, tag: &str, depth: usize, found: &mut Vec<PathBuf>) {
    for child in children(dir) {
        let name = child.file_name().unwrap_or_default().to_string_lossy();
        if is_of(&name, tag) {
            found.push(child);
        } else if depth > 1 {
            collect(&child, tag, depth - 1, found);
        }
    }
}

/// Cgroups directly below `dir`; one that vanishes meanwhile has none.
fn children(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let dirs = entries
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_tree_of_a_node_is_pruned_and_nothing_above_it() {
        let top = |path| product_top(path).map(|top| top.display().to_string());
        assert_eq!(top("/a/weft-3f/weft-x/task"), Some("a/weft-3f".to_owned()));
        assert_eq!(top("/system.slice/ssh.service"), None);
    }

    #[test]
    fn neighbours_with_longer_tags_are_not_ours() {
        assert!(is_of("weft-rig-a-12-1", "rig-a-12-1"));
        assert!(is_of("weft-rig-a-12-1-n1", "rig-a-12-1"));
        assert!(!is_of("weft-rig-a-12-11", "rig-a-12-1"));
        assert!(!is_of("weft-rig-a-12-1-n1", "demo"));
    }
}
