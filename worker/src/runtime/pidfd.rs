//! Processes by handle: a handle never comes to mean another process, a number may.

use crate::runtime::readable;
use crate::runtime::task_dir::ProcessRecord;
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::Signal;
use rustix::process::WaitId;
use rustix::process::WaitIdOptions;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

/// A process that was alive when this was made.
#[derive(Debug)]
pub(crate) struct Process(OwnedFd);

impl Process {
    /// The process with this number right now; none if there is none.
    pub(crate) fn open(pid: u32) -> io::Result<Option<Self>> {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => Ok(Some(Self(fd))),
            Err(Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The recorded process; none if it ended, also if its number was given away since.
    pub(crate) fn reopen(record: ProcessRecord) -> io::Result<Option<Self>> {
        let Some(process) = Self::open(record.pid)? else {
            return Ok(None);
        };
        // Checked after opening: from here on the handle stays with the process checked.
        Ok((start_ticks(record.pid)? == Some(record.start_ticks)).then_some(process))
    }

    /// What names it to the kernel.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Sends a signal; false if the process is gone.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<bool> {
        match rustix::process::pidfd_send_signal(self.0.as_fd(), signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns when the process has ended. Reaps it if it is a child of this process.
    pub(crate) async fn ended(self) -> io::Result<()> {
        let fd = readable::register(self.0)?;
        let _guard = fd.readable().await?;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        match rustix::process::waitid(WaitId::PidFd(fd.get_ref().as_fd()), options) {
            // Somebody else's child, or reaped already.
            Ok(_) | Err(Errno::CHILD) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// When a process began, in clock ticks since boot; none if it does not exist or is a zombie.
pub(crate) fn start_ticks(pid: u32) -> io::Result<Option<u64>> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => Ok(parse_start_ticks(&stat)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Field 22 of `/proc/<pid>/stat`. The program's name, field 2, may itself contain spaces and
/// parentheses, so fields are counted from the last parenthesis on.
fn parse_start_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    if rest.starts_with(['Z', 'X']) {
        return None;
    }
    rest.split(' ').nth(19)?.parse().ok()
}

/// What a process does on a signal, from `/proc/<pid>/status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// It has a handler, blocks the signal to fetch it later, or ignores it on purpose.
    Chosen,
    /// The default action. The first process of a namespace is immune to that one.
    Default,
}

/// How a process takes a signal; `Chosen` where this cannot be known.
pub(crate) fn disposition(pid: u32, signal: i32) -> Disposition {
    fs::read_to_string(format!("/proc/{pid}/status")).map_or(Disposition::Chosen, |status| {
        parse_disposition(&status, signal)
    })
}

fn parse_disposition(status: &str, signal: i32) -> Disposition {
    let Some(bit) = u32::try_from(signal - 1)
        .ok()
        .and_then(|shift| 1u64.checked_shl(shift))
    else {
        return Disposition::Chosen;
    };
    let chosen = status
        .lines()
        .filter_map(|line| line.split_once(":\t"))
        .filter(|(name, _)| ["SigBlk", "SigIgn", "SigCgt"].contains(name))
        .any(|(_, mask)| u64::from_str_radix(mask, 16).is_ok_and(|mask| mask & bit != 0));
    if chosen {
        Disposition::Chosen
    } else {
        Disposition::Default
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_a_name_with_parentheses() {
        let stat = "7 (a) (b) c) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 9 9";
        assert_eq!(parse_start_ticks(stat), Some(4242));
    }

    #[test]
    fn a_zombie_has_no_start_time() {
        let stat = "7 (a) Z 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 9 9";
        assert_eq!(parse_start_ticks(stat), None);
    }

    #[test]
    fn a_process_with_another_start_time_is_not_the_recorded_one() {
        let pid = std::process::id();
        let start_ticks = start_ticks(pid).unwrap().unwrap();
        let own = ProcessRecord { pid, start_ticks };
        assert!(Process::reopen(own).unwrap().is_some());
        let other = ProcessRecord {
            start_ticks: start_ticks + 1,
            ..own
        };
        assert!(Process::reopen(other).unwrap().is_none());
    }

    #[test]
    fn a_caught_signal_is_told_from_a_default_one() {
        let status =
            "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000004000\n";
        assert_eq!(parse_disposition(status, 15), Disposition::Chosen);
        assert_eq!(parse_disposition(status, 2), Disposition::Default);
    }
}
