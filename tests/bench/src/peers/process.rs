//! What a process uses.

use anyhow::Context;
use std::fs;

/// Bytes of memory of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    /// What it has in memory.
    pub(crate) resident: u64,
    /// The same, with what it shares with others counted in part.
    pub(crate) proportional: u64,
}

/// How much memory a process has now.
pub(crate) fn memory(pid: i32) -> anyhow::Result<Memory> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    parse(&text).with_context(|| format!("{path} has another form"))
}

fn parse(text: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kilobytes * 1024)
    };
    Some(Memory {
        resident: field("Rss:")?,
        proportional: field("Pss:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "5580-7ffd ---p 00000000 00:00 0   [rollup]\nRss:     2048 kB\nPss:     1024 kB\nPss_Dirty: 3 kB\n";
        let memory = parse(text).unwrap();
        assert_eq!((memory.resident, memory.proportional), (2 << 20, 1 << 20));
        assert_eq!(parse("Rss: 1 kB"), None);
    }
}
