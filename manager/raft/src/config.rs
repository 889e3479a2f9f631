//! Settings of one member, and what they mean to openraft.

use crate::member::Member;
use crate::seal::Sealing;
use openraft::SnapshotPolicy;
use openraft::StepDownPolicy;
use std::path::PathBuf;
use std::time::Duration;
use weft_proto::ClusterId;

/// The largest command a member may be configured to accept, in bytes. Together with
/// [`APPEND_BYTES`] it bounds one message between members.
pub(crate) const MAX_COMMAND: usize = 4 << 20;

/// Entries are sent to a follower in portions of about this many bytes; a larger entry travels
/// alone. One portion passes a 100 Mbit/s link within a heartbeat interval.
pub(crate) const APPEND_BYTES: usize = 1 << 20;

/// What a receiver accepts as one message: the largest portion plus the largest entry that may
/// have been added to it, plus room for the envelope.
pub(crate) const MESSAGE_BYTES: usize = MAX_COMMAND + APPEND_BYTES + (1 << 20);

/// Heartbeats and elections.
///
/// A follower waits `election_max` (the lease its leader holds) and then a random time between
/// `election_min` and `election_max` before it stands for election, so a cluster without a
/// leader has a new one after `election_max + election_min` to `2 * election_max`, plus a round
/// trip. All members must have the same timing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two heartbeats of the leader; also how long one may take to be answered.
    pub heartbeat: Duration,
    /// Lower bound of the random part of the election timeout.
    pub election_min: Duration,
    /// Upper bound of it, and the length of the leader's lease.
    pub election_max: Duration,
}

impl Timing {
    /// For members in one data centre on machines with spare CPU: measured failover 0.5 to
    /// 0.9 s, and a leader may stall 450 ms without losing its office.
    pub const LAN: Timing = Timing {
        heartbeat: Duration::from_millis(50),
        election_min: Duration::from_millis(150),
        election_max: Duration::from_millis(300),
    };
}

impl Default for Timing {
    /// 100 / 300-600 ms: measured failover 0.9 to 1.2 s, and a leader may stall 900 ms. Chosen
    /// over [`Timing::LAN`] because managers run beside workloads and on small virtual machines,
    /// whose pauses of half a second are ordinary and must not unseat a leader.
    fn default() -> Self {
        Timing {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(300),
            election_max: Duration::from_millis(600),
        }
    }
}

/// Settings of one member.
#[derive(Clone, Debug)]
pub struct RaftConfig {
    /// Who this member is. The number must be the one its directory was made for.
    pub me: Member,
    /// The cluster; peers of any other are refused.
    pub cluster: ClusterId,
    /// Its directory: the log and the snapshot. Created when missing; used by one process.
    pub dir: PathBuf,
    /// Encryption of the directory. Default off.
    pub sealing: Sealing,
    /// Heartbeats and elections.
    pub timing: Timing,
    /// Entries between two snapshots. Default 10,000: a restart replays at most about so many.
    pub snapshot_every: u64,
    /// Entries kept behind a snapshot, so that a follower that was away shortly catches up by
    /// entries instead of a whole snapshot. Default 2,000.
    pub keep_entries: u64,
    /// The largest command, in bytes. Default 1 MiB, at most 4 MiB.
    pub max_command: usize,
    /// How long a proposal may wait for its result before its outcome counts as unknown, and a
    /// membership change for each of its steps. Default 10 s.
    pub propose_timeout: Duration,
    /// A disk write that takes longer than this makes a leader hand its office over. Default 1 s.
    pub slow_disk: Duration,
    /// A disk write that takes longer than this is a fault. Default 30 s.
    pub dead_disk: Duration,
}

/// A setting that contradicts another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Elections would start between two heartbeats, or candidates would tie.
    #[error(
        "timing {timing:?} is refused: it must be 0 < 2 * heartbeat <= election_min < election_max"
    )]
    Timing {
        /// What was asked for.
        timing: Timing,
    },
    /// Larger than a message between members may be.
    #[error("max_command is {asked} bytes, and may be 1 to {MAX_COMMAND}")]
    MaxCommand {
        /// What was asked for.
        asked: usize,
    },
    /// A snapshot after every entry, or none ever.
    #[error("snapshot_every is {asked}, and may be 1 to 1,000,000")]
    SnapshotEvery {
        /// What was asked for.
        asked: u64,
    },
    /// The engine's own check, which the ones above should make unreachable.
    #[error("the consensus engine refuses the settings: {reason}")]
    Engine {
        /// In the engine's words.
        reason: String,
    },
}

impl RaftConfig {
    /// Settings with every default.
    pub fn new(me: Member, cluster: ClusterId, dir: impl Into<PathBuf>) -> Self {
        RaftConfig {
            me,
            cluster,
            dir: dir.into(),
            sealing: Sealing::default(),
            timing: Timing::default(),
            snapshot_every: 10_000,
            keep_entries: 2_000,
            max_command: 1 << 20,
            propose_timeout: Duration::from_secs(10),
            slow_disk: Duration::from_secs(1),
            dead_disk: Duration::from_secs(30),
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let Timing {
            heartbeat,
            election_min,
            election_max,
        } = self.timing;
        if heartbeat < Duration::from_millis(1)
            || election_min < heartbeat * 2
            || election_max <= election_min
        {
            return Err(ConfigError::Timing {
                timing: self.timing,
            });
        }
        if self.max_command == 0 || self.max_command > MAX_COMMAND {
            return Err(ConfigError::MaxCommand {
                asked: self.max_command,
            });
        }
        if self.snapshot_every == 0 || self.snapshot_every > 1_000_000 {
            return Err(ConfigError::SnapshotEvery {
                asked: self.snapshot_every,
            });
        }
        Ok(())
    }

    /// The settings in openraft's terms.
    pub(crate) fn engine(&self) -> Result<openraft::Config, ConfigError> {
        self.validate()?;
        let max = millis(self.timing.election_max);
        let config = openraft::Config {
            cluster_name: self.cluster.to_string(),
            heartbeat_interval: millis(self.timing.heartbeat),
            election_timeout_min: millis(self.timing.election_min),
            election_timeout_max: max,
            // Off by default; without it a member that comes back from isolation unseats a
            // working leader.
            enable_pre_vote: Some(true),
            // Off by default; without it a leader that hears nobody keeps its followers from
            // electing another for as long as it lasts. At least lease + election timeout.
            quorum_loss_probe_interval: Some(max * 2),
            // On by default: a restarted leader would resume its office without being elected.
            enable_leader_restore: Some(false),
            heartbeat_min_interval: Some(0),
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.snapshot_every),
            max_in_snapshot_log_to_keep: self.keep_entries,
            purge_batch_size: self.snapshot_every.min(256),
            // Must exceed the distance between snapshots, or a follower behind by one would be
            // sent the next one for ever.
            replication_lag_threshold: self.snapshot_every.saturating_mul(2).max(self.keep_entries),
            max_payload_entries: 256,
            max_append_entries: Some(1024),
            // The default of 200 ms cannot carry a snapshot; progress is watched in `network`.
            install_snapshot_timeout: 60_000,
            backoff: "20ms 40ms 80ms 160ms 320ms 500ms".to_owned(),
            api_channel_size: Some(8192),
            state_machine_channel_size: Some(1024),
            removed_leader_step_down: StepDownPolicy::After(150),
            ..Default::default()
        };
        config.validate().map_err(|e| ConfigError::Engine {
            reason: e.to_string(),
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::RaftId;
    use weft_proto::NodeId;

    fn config() -> RaftConfig {
        let me = Member {
            raft_id: RaftId(1),
            node_id: NodeId::from_entropy(1),
            addr: ([127, 0, 0, 1], 2377).into(),
        };
        RaftConfig::new(me, ClusterId::from_entropy(1), "/nonexistent")
    }

    #[test]
    fn the_defaults_and_the_lan_timing_are_accepted() {
        let mut config = config();
        assert!(config.engine().is_ok());
        config.timing = Timing::LAN;
        assert!(config.engine().is_ok());
    }

    #[test]
    fn the_dangerous_engine_defaults_are_overridden() {
        let engine = config().engine().unwrap();
        assert_eq!(engine.enable_pre_vote, Some(true));
        assert_eq!(engine.enable_leader_restore, Some(false));
        assert_eq!(engine.quorum_loss_probe_interval, Some(1200));
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let mut tight = config();
        tight.timing.election_min = tight.timing.heartbeat;
        assert!(matches!(tight.engine(), Err(ConfigError::Timing { .. })));
        let mut large = config();
        large.max_command = MAX_COMMAND + 1;
        assert!(matches!(
            large.engine(),
            Err(ConfigError::MaxCommand { .. })
        ));
        let mut never = config();
        never.snapshot_every = 0;
        assert!(matches!(
            never.engine(),
            Err(ConfigError::SnapshotEvery { .. })
        ));
    }
}
