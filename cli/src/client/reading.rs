//! Reading what a manager has, without asking its leader.

use clap::Args;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use weft_proto::wire;

/// How a list is read.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct ReadArgs {
    /// Show what the answering manager has, at once and also without a leader; says on standard
    /// error of which revision that is
    #[arg(long)]
    stale: bool,
    /// With --stale: not before the manager is at this revision, as an earlier answer named it
    #[arg(
        long,
        value_name = "REVISION",
        requires = "stale",
        default_value_t = 0,
        hide_default_value = true
    )]
    min_revision: u64,
}

/// How the lists of one command are read, and what they showed so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    stale: bool,
    /// The greatest revision seen, so that no list of a command is older than the one before it.
    seen: Arc<AtomicU64>,
    /// The greatest revision that people were told of.
    told: Arc<AtomicU64>,
}

impl Reading {
    pub(super) fn new(args: ReadArgs) -> Self {
        Reading {
            stale: args.stale,
            seen: Arc::new(AtomicU64::new(args.min_revision)),
            told: Arc::default(),
        }
    }

    pub(super) fn options(&self) -> Option<wire::ReadOptions> {
        self.stale.then(|| wire::ReadOptions {
            stale: true,
            min_revision: self.seen.load(Ordering::Relaxed),
        })
    }

    /// What people are told of an answer: nothing when it is as new as can be, or was told before.
    pub(super) fn note(&self, shown: &wire::Shown) -> Option<String> {
        self.seen.fetch_max(shown.revision, Ordering::Relaxed);
        let told = self.told.fetch_max(shown.revision, Ordering::Relaxed);
        if !self.stale || told >= shown.revision {
            return None;
        }
        let manager = match shown.hostname.as_str() {
            "" => &shown.node_id,
            hostname => hostname,
        };
        Some(format!(
            "weft: revision {} as {manager} has it; other managers may know more",
            shown.revision
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(revision: u64) -> wire::Shown {
        wire::Shown {
            revision,
            node_id: "id".to_owned(),
            hostname: "n2".to_owned(),
        }
    }

    #[test]
    fn a_command_never_reads_back_in_time_and_says_once_what_it_shows() {
        let reading = Reading::new(ReadArgs {
            stale: true,
            min_revision: 7,
        });
        assert_eq!(reading.options().unwrap().min_revision, 7);
        let note = reading.note(&shown(7)).unwrap();
        assert!(note.contains("revision 7 as n2 has it"), "{note}");
        assert_eq!(reading.note(&shown(7)), None);
        reading.note(&shown(9)).unwrap();
        assert_eq!(reading.options().unwrap().min_revision, 9);
    }

    #[test]
    fn an_ordinary_list_is_as_new_as_can_be_and_says_nothing() {
        let reading = Reading::default();
        assert_eq!(reading.options(), None);
        assert_eq!(reading.note(&shown(7)), None);
    }
}
