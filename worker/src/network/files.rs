//! The files by which a task's programs find names. Pure.

use crate::desired::Desired;
use crate::dns::ResolvConf;
use crate::dns::task_resolv_conf;
use std::fmt::Write;
use std::net::IpAddr;
use weft_proto::TaskId;

/// What a task finds below `/etc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFiles {
    /// Its host name.
    pub hostname: String,
    /// `/etc/hosts`
    pub hosts: String,
    /// `/etc/resolv.conf`
    pub resolv_conf: String,
}

/// The files of a task, given the node's own resolv.conf; `None` when the task is not known here.
pub fn task_files(desired: &Desired, task: TaskId, node: &ResolvConf) -> Option<TaskFiles> {
    let task = desired.tasks.get(&task)?;
    let attached = task.spec.networks.iter();
    let mut own: Vec<IpAddr> = attached
        .clone()
        .filter_map(|network| task.addresses.get(&network.id).copied())
        .collect();
    if own.is_empty() {
        own.extend(task.ingress_addr.map(IpAddr::V4));
    }
    let mut known = attached.filter_map(|network| desired.networks.get(&network.id));
    let asks_outside = task.spec.networks.is_empty() || known.any(|network| !network.internal);
    let hostname = task.spec.hostname.as_ref();
    let hostname = hostname.map_or_else(|| task.name(), ToString::to_string);
    Some(TaskFiles {
        hosts: hosts_file(&hostname, &own),
        resolv_conf: task_resolv_conf(node, asks_outside),
        hostname,
    })
}

/// The text of a task's `/etc/hosts`: loopback, and its own name at its own addresses. Everybody
/// else's name is the resolver's business, because it changes during the task's life.
pub fn hosts_file(hostname: &str, own: &[IpAddr]) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\n\
         ff00::0\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n",
    );
    for address in own {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{address}\t{hostname}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::fixture::Cluster;

    #[test]
    fn a_task_finds_itself_and_its_loopback() {
        let own = ["10.0.1.5".parse().unwrap(), "fd00::5".parse().unwrap()];
        let text = hosts_file("web.1", &own);
        assert!(text.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost "));
        assert!(text.ends_with("10.0.1.5\tweb.1\nfd00::5\tweb.1\n"));
    }

    #[test]
    fn the_search_domains_are_only_for_tasks_that_may_ask_outside() {
        let node = ResolvConf::parse("nameserver 192.0.2.1\nsearch example.org\n");
        let mut cluster = Cluster::of(&[("web.1", 1, &[(1, "10.5.1.2")])]);
        let task = cluster.task("web.1");
        let files = task_files(&cluster.desired, task, &node).unwrap();
        assert_eq!(files.hostname, "web.1");
        assert!(files.hosts.ends_with("10.5.1.2\tweb.1\n"));
        assert!(files.resolv_conf.contains("search example.org"));
        for network in cluster.desired.networks.values_mut() {
            network.internal = true;
        }
        let files = task_files(&cluster.desired, task, &node).unwrap();
        assert!(!files.resolv_conf.contains("search"));
    }
}
