//! What this node is made of.

use std::fs;
use std::thread;
use weft_proto::object::NodeDescription;
use weft_proto::spec::Generic;
use weft_proto::spec::Resources;
use weft_proto::spec::Runtime;

/// Billionths in one CPU.
const NANO: u64 = 1_000_000_000;

/// What this node says of itself under the name `hostname`, running `version`. What the kernel
/// does not tell is zero, which asks the scheduler for no promise.
pub fn describe(hostname: String, version: &str) -> NodeDescription {
    let cpus = thread::available_parallelism().map_or(0, |cpus| cpus.get() as u64);
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    NodeDescription {
        hostname,
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        version: version.to_owned(),
        resources: Resources {
            nano_cpus: cpus * NANO,
            memory_bytes: memory(&meminfo).unwrap_or(0),
        },
        runtimes: vec![Runtime::Process],
        generic: Generic::new(),
        // The data plane cannot carry encrypted networks yet: it must not say that it can.
        encrypts: false,
    }
}

/// Bytes of memory in all, out of the text of `/proc/meminfo`. Pure.
fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "MemTotal:       16384 kB\nMemFree:        1 kB\n";
        assert_eq!(memory(text), Some(16384 * 1024));
        assert_eq!(memory("MemFree: 1 kB\n"), None);
        assert_eq!(memory("MemTotal: much\n"), None);
    }

    #[test]
    fn this_machine_has_cpus_and_memory() {
        let node = describe("n1".to_owned(), "0.1.0");
        assert!(node.resources.nano_cpus >= NANO);
        assert!(node.resources.memory_bytes > 1 << 20);
        assert_eq!((node.hostname.as_str(), node.os.as_str()), ("n1", "linux"));
    }
}
