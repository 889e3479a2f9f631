//! Namespaces for one test in a directory of their own; all gone when it ends, however it ends.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fs;
use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use ipnet::IpNet;
use tempfile::TempDir;
use weft_kernel::netlink::Alias;
use weft_kernel::netlink::IfName;
use weft_kernel::netlink::Mac;
use weft_kernel::netlink::Netlink;
use weft_kernel::netlink::VethEnd;
use weft_kernel::netns::Netns;

/// How long a condition may take on a busy machine.
pub(crate) const CEILING: Duration = Duration::from_secs(10);

pub(crate) struct Bed {
    dir: TempDir,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self {
            dir: TempDir::with_prefix("weft-kernel-").unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn netns(&self, name: &str) -> Netns {
        Netns::ensure(self.path(name)).unwrap()
    }

    pub(crate) fn netlink(&self, name: &str) -> Netlink {
        Netlink::open(&self.netns(name)).unwrap()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for path in Netns::list(self.dir.path()).unwrap() {
            Netns::delete(path).unwrap();
        }
    }
}

pub(crate) fn name(text: &str) -> IfName {
    IfName::new(text).unwrap()
}

pub(crate) fn alias(text: &str) -> Alias {
    Alias::new(text).unwrap()
}

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}

pub(crate) fn end(text: &str) -> VethEnd {
    VethEnd {
        name: name(text),
        alias: alias(&format!("test-{text}")),
        mtu: 1500,
        mac: None,
    }
}

/// The output of a program run in `netns`.
pub(crate) fn oracle(netns: &Netns, program: &str, arguments: &[&str]) -> String {
    let output = netns
        .run_in(|| Command::new(program).args(arguments).output())
        .unwrap()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// How many fragments `netns` has made of IPv4 packets.
pub(crate) fn fragments(netns: &Netns) -> u64 {
    let table = netns
        .run_in(|| fs::read_to_string("/proc/thread-self/net/snmp"))
        .unwrap()
        .unwrap();
    let mut rows = table.lines().filter(|line| line.starts_with("Ip:"));
    let heads = rows.next().unwrap().split_whitespace();
    let values = rows.next().unwrap().split_whitespace();
    let found = heads.zip(values).find(|(head, _)| *head == "FragCreates");
    found.unwrap().1.parse().unwrap()
}
