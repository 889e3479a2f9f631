//! Control groups, second generation: one hierarchy for all controllers.

use super::CPU_PERIOD_US;
use super::CgroupError;
use super::Hierarchy;
use super::cpu_quota_us;
use super::io_error;
use super::kill_listed;
use super::make_dir;
use super::read_counter;
use super::read_processes;
use super::remove_dir;
use super::write;
use crate::runtime::Limits;
use serde::Deserialize;
use serde::Serialize;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Controllers handed down to the tasks' groups.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// The base group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupsV2 {
    root: PathBuf,
    base: PathBuf,
}

impl CgroupsV2 {
    pub(super) fn new(root: PathBuf, base: &str) -> Self {
        let base = root.join(base);
        Self { root, base }
    }

    /// Makes a limit file appear in the groups below `dir`, as far as the kernel has the
    /// controller; what is missing shows when a limit needs it.
    fn hand_down(dir: &Path) -> Result<(), CgroupError> {
        let path = dir.join("cgroup.controllers");
        let available = fs::read_to_string(&path).map_err(io_error("read", &path))?;
        let available: Vec<&str> = available.split_whitespace().collect();
        for controller in CONTROLLERS.iter().filter(|c| available.contains(c)) {
            write(
                &dir.join("cgroup.subtree_control"),
                &format!("+{controller}"),
            )?;
        }
        Ok(())
    }

    fn limit(
        dir: &Path,
        controller: &'static str,
        file: &str,
        value: &str,
    ) -> Result<(), CgroupError> {
        let path = dir.join(file);
        if !path.exists() {
            return Err(CgroupError::MissingController { controller });
        }
        write(&path, value)
    }
}

impl Hierarchy for CgroupsV2 {
    fn create(&self, group: &str, limits: &Limits) -> Result<(), CgroupError> {
        make_dir(&self.base)?;
        Self::hand_down(&self.root)?;
        Self::hand_down(&self.base)?;
        let dir = self.base.join(group);
        make_dir(&dir)?;
        if let Some(cpu) = limits.cpu {
            let value = format!("{} {CPU_PERIOD_US}", cpu_quota_us(cpu));
            Self::limit(&dir, "cpu", "cpu.max", &value)?;
        }
        if let Some(bytes) = limits.memory_bytes {
            Self::limit(&dir, "memory", "memory.max", &bytes.to_string())?;
            let swap = dir.join("memory.swap.max");
            if swap.exists() {
                write(&swap, "0")?;
            }
        }
        if let Some(pids) = limits.pids {
            Self::limit(&dir, "pids", "pids.max", &pids.to_string())?;
        }
        Ok(())
    }

    fn join(&self, group: &str) -> Result<(), CgroupError> {
        write(&self.base.join(group).join("cgroup.procs"), "0")
    }

    fn processes(&self, group: &str) -> Result<Vec<u32>, CgroupError> {
        read_processes(&self.base.join(group))
    }

    fn oom_kills(&self, group: &str) -> Result<u64, CgroupError> {
        let path = self.base.join(group).join("memory.events");
        if path.exists() {
            read_counter(&path, "oom_kill")
        } else {
            Ok(0)
        }
    }

    fn kill(&self, group: &str) -> Result<(), CgroupError> {
        let switch = self.base.join(group).join("cgroup.kill");
        if switch.exists() {
            write(&switch, "1")
        } else {
            // Before Linux 5.14.
            kill_listed(|| self.processes(group))
        }
    }

    fn remove(&self, group: &str) -> Result<(), CgroupError> {
        remove_dir(&self.base.join(group))
    }

    fn remove_base(&self) -> Result<(), CgroupError> {
        remove_dir(&self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Cgroups;
    use super::super::Group;
    use super::super::detect;
    use super::*;
    use crate::runtime::NanoCpus;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    /// A plain directory that looks like a group: limits are just files.
    fn pretend(dir: &Path, files: &[&str]) {
        fs::create_dir_all(dir).unwrap();
        for file in files {
            fs::write(dir.join(file), "").unwrap();
        }
        fs::write(dir.join("cgroup.controllers"), "cpu memory pids io").unwrap();
        fs::write(dir.join("cgroup.subtree_control"), "").unwrap();
    }

    #[test]
    fn limits_are_written_to_the_files_of_the_group() {
        let root = tempfile::tempdir().unwrap();
        pretend(root.path(), &[]);
        pretend(&root.path().join("weft-x"), &[]);
        let group = root.path().join("weft-x/g");
        pretend(
            &group,
            &["cpu.max", "memory.max", "memory.swap.max", "pids.max"],
        );
        let limits = Limits {
            cpu: Some(NanoCpus(250_000_000)),
            memory_bytes: Some(1 << 20),
            pids: Some(7),
        };
        CgroupsV2::new(root.path().to_owned(), "weft-x")
            .create("g", &limits)
            .unwrap();
        let read = |file: &str| fs::read_to_string(group.join(file)).unwrap();
        assert_eq!(read("cpu.max"), "25000 100000");
        assert_eq!(read("memory.max"), "1048576");
        assert_eq!(read("memory.swap.max"), "0");
        assert_eq!(read("pids.max"), "7");
    }

    #[test]
    fn a_limit_without_its_controller_is_refused() {
        let root = tempfile::tempdir().unwrap();
        pretend(root.path(), &[]);
        pretend(&root.path().join("weft-x"), &[]);
        let limits = Limits {
            pids: Some(7),
            ..Limits::default()
        };
        let refused = CgroupsV2::new(root.path().to_owned(), "weft-x").create("g", &limits);
        assert!(matches!(
            refused,
            Err(CgroupError::MissingController { controller: "pids" })
        ));
    }

    /// Where this machine has the unified hierarchy mounted; tests need one, with or without
    /// controllers.
    fn unified() -> PathBuf {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap();
        detect::parse(&mountinfo).v2.expect("cgroup2 is mounted")
    }

    #[test]
    fn a_group_is_killed_as_a_whole_and_removed() {
        let name = format!("weft-test-v2-{}", std::process::id());
        let cgroups = Cgroups::V2(CgroupsV2::new(unified(), &name));
        let group = Group::Supervisors;
        cgroups.create(group, &Limits::default()).unwrap();
        let Cgroups::V2(v2) = &cgroups else {
            unreachable!()
        };
        let dir = v2.base.join("supervisors");
        let mut children: Vec<_> = (0..3)
            .map(|_| Command::new("sleep").arg("1000").spawn().unwrap())
            .collect();
        for child in &children {
            fs::write(dir.join("cgroup.procs"), child.id().to_string()).unwrap();
        }
        assert_eq!(v2.processes("supervisors").unwrap().len(), 3);
        cgroups.kill_all(group).unwrap();
        for child in &mut children {
            let status = child.wait().unwrap();
            assert_eq!(status.signal(), Some(9));
        }
        assert_eq!(cgroups.oom_kills(group).unwrap(), 0);
        cgroups.remove_base().unwrap();
        assert!(!v2.base.exists());
    }
}
