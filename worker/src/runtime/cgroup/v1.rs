//! Control groups, first generation: one hierarchy per controller.

use super::CPU_PERIOD_US;
use super::CgroupError;
use super::Hierarchy;
use super::cpu_quota_us;
use super::kill_listed;
use super::make_dir;
use super::read_counter;
use super::read_processes;
use super::remove_dir;
use super::write;
use crate::runtime::Limits;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

/// The base group in every hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupsV1 {
    /// Directory of the base group by controller.
    dirs: BTreeMap<String, PathBuf>,
}

impl CgroupsV1 {
    pub(super) fn new(dirs: BTreeMap<String, PathBuf>) -> Self {
        Self { dirs }
    }

    pub(super) fn dir(&self, controller: &str) -> Option<&Path> {
        self.dirs.get(controller).map(PathBuf::as_path)
    }

    fn needed(&self, controller: &'static str, group: &str) -> Result<PathBuf, CgroupError> {
        self.dir(controller)
            .map(|dir| dir.join(group))
            .ok_or(CgroupError::MissingController { controller })
    }

    /// Every base directory once: controllers may be mounted together.
    fn bases(&self) -> BTreeSet<&Path> {
        self.dirs.values().map(PathBuf::as_path).collect()
    }

    /// Stops or resumes everything in a group, so that nothing forks away while it is killed.
    fn freeze(&self, group: &str, state: &str) {
        if let Some(dir) = self.dir("freezer") {
            // Without the freezer killing takes more rounds, no more.
            let _ = write(&dir.join(group).join("freezer.state"), state);
        }
    }
}

impl Hierarchy for CgroupsV1 {
    fn create(&self, group: &str, limits: &Limits) -> Result<(), CgroupError> {
        for base in self.bases() {
            make_dir(base)?;
            make_dir(&base.join(group))?;
        }
        if let Some(cpu) = limits.cpu {
            let dir = self.needed("cpu", group)?;
            write(&dir.join("cpu.cfs_period_us"), &CPU_PERIOD_US.to_string())?;
            write(
                &dir.join("cpu.cfs_quota_us"),
                &cpu_quota_us(cpu).to_string(),
            )?;
        }
        if let Some(bytes) = limits.memory_bytes {
            let dir = self.needed("memory", group)?;
            let memory = dir.join("memory.limit_in_bytes");
            let with_swap = dir.join("memory.memsw.limit_in_bytes");
            // Memory may never exceed memory plus swap: on a group found again with a smaller
            // limit the larger one must be lifted first.
            if with_swap.exists() {
                write(&with_swap, "-1")?;
            }
            write(&memory, &bytes.to_string())?;
            if with_swap.exists() {
                write(&with_swap, &bytes.to_string())?;
            }
        }
        if let Some(pids) = limits.pids {
            let dir = self.needed("pids", group)?;
            write(&dir.join("pids.max"), &pids.to_string())?;
        }
        Ok(())
    }

    fn join(&self, group: &str) -> Result<(), CgroupError> {
        for base in self.bases() {
            write(&base.join(group).join("cgroup.procs"), "0")?;
        }
        Ok(())
    }

    fn processes(&self, group: &str) -> Result<Vec<u32>, CgroupError> {
        let mut pids = BTreeSet::new();
        for base in self.bases() {
            pids.extend(read_processes(&base.join(group))?);
        }
        Ok(pids.into_iter().collect())
    }

    fn oom_kills(&self, group: &str) -> Result<u64, CgroupError> {
        let dir = self.needed("memory", group)?;
        read_counter(&dir.join("memory.oom_control"), "oom_kill")
    }

    fn kill(&self, group: &str) -> Result<(), CgroupError> {
        self.freeze(group, "FROZEN");
        let killed = kill_listed(|| self.processes(group));
        self.freeze(group, "THAWED");
        killed
    }

    fn remove(&self, group: &str) -> Result<(), CgroupError> {
        self.bases()
            .into_iter()
            .try_for_each(|base| remove_dir(&base.join(group)))
    }

    fn remove_base(&self) -> Result<(), CgroupError> {
        self.bases().into_iter().try_for_each(remove_dir)
    }
}
