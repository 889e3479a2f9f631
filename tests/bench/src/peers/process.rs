//! What a process uses.

use anyhow::Context;
use nix::unistd::SysconfVar;
use nix::unistd::sysconf;
use std::fs;
use std::time::Duration;

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

/// How much processor time a process has used, in itself and in the kernel.
pub(crate) fn cpu(pid: i32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let ticks = parse_ticks(&text).with_context(|| format!("{path} has another form"))?;
    let each = sysconf(SysconfVar::CLK_TCK)?.context("the length of a clock tick")?;
    let micros = ticks * 1_000_000 / u64::try_from(each)?.max(1);
    Ok(Duration::from_micros(micros))
}

/// Clock ticks in user and kernel mode: the 14th and the 15th field. The second is the program's
/// name in brackets, and may have any letters.
fn parse_ticks(text: &str) -> Option<u64> {
    let (_, fields) = text.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let kernel: u64 = times.next()?.parse().ok()?;
    Some(user + kernel)
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

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194560 900 0 0 0 12 30 5 5 20 0 4 0 100 0 0";
        assert_eq!(parse_ticks(text), Some(42));
        assert_eq!(parse_ticks("7 (a"), None);
    }
}
