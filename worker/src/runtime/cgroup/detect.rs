//! Which control groups this machine has; pure.

use super::CgroupError;
use super::Cgroups;
use super::CgroupsV1;
use super::CgroupsV2;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Hierarchies a task is put into where they exist on their own (v1). `name=systemd` because a
/// service manager of that time ends a service by it.
const V1_CONTROLLERS: [&str; 6] = [
    "cpu",
    "cpuacct",
    "memory",
    "pids",
    "freezer",
    "name=systemd",
];

/// Mounted hierarchies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mounted {
    /// Mount point by controller.
    pub(super) v1: BTreeMap<String, PathBuf>,
    /// Mount point of the unified hierarchy.
    pub(super) v2: Option<PathBuf>,
}

/// Reads `/proc/self/mountinfo`.
pub(super) fn parse(mountinfo: &str) -> Mounted {
    let mut mounted = Mounted::default();
    for line in mountinfo.lines() {
        let Some((before, after)) = line.split_once(" - ") else {
            continue;
        };
        let mut after = after.split(' ');
        let (Some(fstype), Some(_source), Some(options)) =
            (after.next(), after.next(), after.next())
        else {
            continue;
        };
        let Some(point) = before.split(' ').nth(4).map(PathBuf::from) else {
            continue;
        };
        if fstype == "cgroup2" {
            mounted.v2.get_or_insert(point);
        } else if fstype == "cgroup" {
            for controller in options.split(',').filter(|o| V1_CONTROLLERS.contains(o)) {
                mounted
                    .v1
                    .entry(controller.to_owned())
                    .or_insert_with(|| point.clone());
            }
        }
    }
    mounted
}

/// A controller belongs to one hierarchy at a time, so in a mixed layout the one that has the
/// memory controller is the one in use.
pub(super) fn choose(mounted: &Mounted, base: &str) -> Result<Cgroups, CgroupError> {
    if mounted.v1.contains_key("memory") {
        let dirs = mounted
            .v1
            .iter()
            .map(|(controller, point)| (controller.clone(), point.join(base)));
        return Ok(Cgroups::V1(CgroupsV1::new(dirs.collect())));
    }
    match &mounted.v2 {
        Some(root) => Ok(Cgroups::V2(CgroupsV2::new(root.clone(), base))),
        None => Err(CgroupError::NotMounted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
25 24 0:22 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
26 24 0:23 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
27 24 0:24 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
28 24 0:25 / /sys/fs/cgroup/blkio rw,relatime - cgroup cgroup rw,blkio
";

    #[test]
    fn in_a_mixed_layout_the_hierarchy_with_the_memory_controller_is_used() {
        let Cgroups::V1(v1) = choose(&parse(HYBRID), "weft-a").unwrap() else {
            panic!("expected v1");
        };
        assert_eq!(
            v1.dir("memory"),
            Some(PathBuf::from("/sys/fs/cgroup/memory/weft-a").as_path())
        );
        assert_eq!(v1.dir("cpu"), v1.dir("cpuacct"));
        assert_eq!(v1.dir("blkio"), None);
    }

    #[test]
    fn a_unified_layout_is_used_as_such() {
        let info = "30 24 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(
            choose(&parse(info), "weft-a").unwrap(),
            Cgroups::V2(CgroupsV2::new("/sys/fs/cgroup".into(), "weft-a"))
        );
    }

    #[test]
    fn no_control_groups_is_an_error() {
        assert!(matches!(
            choose(&parse(""), "weft-a"),
            Err(CgroupError::NotMounted)
        ));
    }
}
