use std::path::Path;
use std::path::PathBuf;
use weft_proto::NetworkId;
use weft_proto::TaskId;

/// Where the namespaces are mounted. Names hold whole identifiers, so that a daemon that starts
/// anew knows what each of them is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    dir: PathBuf,
}

impl Places {
    /// All below `<run_dir>/netns`.
    pub fn below(run_dir: &Path) -> Self {
        Self {
            dir: run_dir.join("netns"),
        }
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A task's namespace.
    pub fn task(&self, task: TaskId) -> PathBuf {
        self.dir.join(format!("task-{task}"))
    }

    /// A network's namespace.
    pub fn network(&self, network: NetworkId) -> PathBuf {
        self.dir.join(format!("net-{network}"))
    }

    /// Whose namespace a path is, if it is a task's.
    pub fn task_at(path: &Path) -> Option<TaskId> {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix("task-")?.parse().ok()
    }

    /// Whose namespace a path is, if it is a network's.
    pub fn network_at(path: &Path) -> Option<NetworkId> {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix("net-")?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_whose_namespace_it_is() {
        let places = Places::below(Path::new("/run/weft"));
        let (task, network) = (TaskId::from_entropy(7), NetworkId::from_entropy(7));
        assert_eq!(Places::task_at(&places.task(task)), Some(task));
        assert_eq!(Places::network_at(&places.network(network)), Some(network));
        assert_eq!(Places::network_at(&places.task(task)), None);
        assert_eq!(Places::task_at(Path::new("/run/weft/netns/task-x")), None);
    }
}
