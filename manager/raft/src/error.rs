//! What can go wrong, and what the caller should do about it.

use crate::config::ConfigError;
use crate::member::Member;
use crate::member::RaftId;
use crate::records::RecordError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What to do about a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same call can never succeed.
    Never,
    /// At this member, which is the leader as far as known here.
    At(Member),
    /// Here or at another member, after a short pause with jitter.
    Later,
}

/// Why a member did not start. It stays stopped until someone acts: a damaged or foreign
/// directory must not vote.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings contradict each other.
    #[error("the settings of consensus are refused")]
    Config(#[source] ConfigError),
    /// The log cannot be opened: missing rights, or in use by another process.
    #[error("failed to open the log in {dir}", dir = dir.display())]
    OpenLog {
        /// The log's directory.
        dir: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The log cannot be read through.
    #[error("failed to read the log")]
    ReadLog {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file of the log is damaged in a place that had been synced, and so perhaps
    /// acknowledged. What a crash leaves behind the last acknowledged change is no damage.
    #[error("the log is damaged in {file} at byte {at}")]
    Damaged {
        /// Which file.
        file: String,
        /// Where in it, in bytes.
        at: u64,
        /// What is wrong.
        #[source]
        source: Damage,
    },
    /// A record of the log is damaged or of a newer release.
    #[error("the log's record of {record} is refused")]
    Record {
        /// Which record.
        record: String,
        /// The cause.
        #[source]
        source: RecordError,
    },
    /// The log has a hole.
    #[error("entry {index} is missing from the log")]
    MissingEntry {
        /// The missing entry.
        index: u64,
    },
    /// The directory belongs to another cluster or member.
    #[error(
        "the directory belongs to member {found_id} of cluster {found_cluster}, not to member {id} of cluster {cluster}"
    )]
    OtherOwner {
        /// Asked for.
        cluster: String,
        /// Asked for.
        id: RaftId,
        /// In the directory.
        found_cluster: String,
        /// In the directory.
        found_id: RaftId,
    },
    /// The log could not be written.
    #[error("failed to write the log")]
    WriteLog {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The snapshot cannot be read or written.
    #[error("failed to open the snapshot {path}", path = path.display())]
    OpenSnapshot {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The log begins behind its snapshot, or there is none at all.
    #[error("the log begins after entry {purged}, and no snapshot holds what was before")]
    MissingSnapshot {
        /// The last entry that only a snapshot can have.
        purged: u64,
    },
    /// The log of the previous release could not be taken over; it is untouched.
    #[error("failed to take over the log of the previous release in {dir}", dir = dir.display())]
    Migrate {
        /// Where it is.
        dir: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The snapshot is damaged or of a newer release.
    #[error("the snapshot {path} is refused", path = path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: RecordError,
    },
    /// The state could not be rebuilt from snapshot and log.
    #[error("failed to rebuild the state from snapshot and log: {reason}")]
    Recover {
        /// In the engine's words.
        reason: String,
    },
    /// There is nothing in the directory to recover a cluster from.
    #[error("the directory holds no cluster to recover")]
    NothingToRecover,
}

/// Why a first member could not found the cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapError {
    /// The member has a log or a vote already.
    #[error("this member belongs to a cluster already")]
    AlreadyInitialised,
    /// The member has stopped or must stop.
    #[error("this member has stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
}

impl StartError {
    /// Whether what this member had acknowledged is lost to it: it must not come back as the
    /// member it was, but be removed and join anew.
    pub fn is_damage(&self) -> bool {
        match self {
            StartError::Damaged { source, .. } => source.is_lasting(),
            StartError::Record { source, .. } | StartError::Snapshot { source, .. } => {
                source.is_lasting()
            }
            StartError::MissingEntry { .. } | StartError::MissingSnapshot { .. } => true,
            StartError::Config(_)
            | StartError::OpenLog { .. }
            | StartError::ReadLog { .. }
            | StartError::OtherOwner { .. }
            | StartError::WriteLog { .. }
            | StartError::OpenSnapshot { .. }
            | StartError::Migrate { .. }
            | StartError::NothingToRecover
            | StartError::Recover { .. } => false,
        }
    }
}

/// What is wrong with a file of the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// What was written there cannot be read, and later writes show that it had been synced.
    #[error("what was written there is not there any more")]
    Unreadable,
    /// Understood, but not what belongs there.
    #[error("what is there belongs elsewhere")]
    Order,
    /// A file between others, or the newest one.
    #[error("the file is missing")]
    MissingFile,
    /// A file of another log of this member.
    #[error("the file is of another log")]
    OtherLog,
    /// The disk went back to an earlier state, and the leader noticed.
    #[error(
        "this member's disk went back to an earlier state: it has forgotten what it acknowledged"
    )]
    SetBack,
    /// The content is refused.
    #[error("what is there is refused")]
    Record(#[source] RecordError),
}

impl Damage {
    fn is_lasting(&self) -> bool {
        match self {
            Damage::Record(source) => source.is_lasting(),
            Damage::Unreadable
            | Damage::Order
            | Damage::MissingFile
            | Damage::OtherLog
            | Damage::SetBack => true,
        }
    }
}

/// Why a proposal was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Nothing was written; propose at the leader, or later when there is none.
    #[error("this member is not the leader{}", known(.leader))]
    NotLeader {
        /// The leader, as far as known here.
        leader: Option<Member>,
    },
    /// The command may or may not be applied, now or later. Retry under the same command id.
    #[error("the outcome is unknown: {reason}")]
    Unknown {
        /// What happened.
        reason: String,
    },
    /// Nothing was written, and never can be.
    #[error("the command has {size} bytes, and may have {limit}")]
    TooLarge {
        /// Of the command, in bytes.
        size: usize,
        /// The configured limit, in bytes.
        limit: usize,
    },
    /// This member has been shut down; the outcome is unknown. Retry elsewhere under the same
    /// command id.
    #[error("this member has been shut down")]
    Stopped,
    /// This member cannot go on and its process must end; the outcome is unknown. Retry
    /// elsewhere under the same command id.
    #[error("this member has failed: {reason}")]
    Failed {
        /// What failed.
        reason: String,
    },
}

impl ProposeError {
    /// What to do about it. Whenever it is not [`Retry::Never`], keep the command's id.
    pub fn retry(&self) -> Retry {
        match self {
            ProposeError::NotLeader {
                leader: Some(leader),
            } => Retry::At(*leader),
            ProposeError::NotLeader { leader: None }
            | ProposeError::Unknown { .. }
            | ProposeError::Stopped
            | ProposeError::Failed { .. } => Retry::Later,
            ProposeError::TooLarge { .. } => Retry::Never,
        }
    }
}

/// Why a read could not be confirmed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Ask the leader, or later when there is none.
    #[error("this member is not the leader{}", known(.leader))]
    NotLeader {
        /// The leader, as far as known here.
        leader: Option<Member>,
    },
    /// No majority confirmed this leader in time.
    #[error("no majority of the voters answered")]
    NoQuorum,
    /// This member has stopped or must stop.
    #[error("this member has stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
}

/// Why the membership was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// Nothing was changed; ask the leader, or later when there is none.
    #[error("this member is not the leader{}", known(.leader))]
    NotLeader {
        /// The leader, as far as known here.
        leader: Option<Member>,
    },
    /// No such member.
    #[error("there is no member {id}")]
    Unknown {
        /// Asked for.
        id: RaftId,
    },
    /// The number was given to another machine.
    #[error("number {id} belongs to {owner} already; a machine that comes back needs a new number")]
    Taken {
        /// Asked for.
        id: RaftId,
        /// Who has it.
        owner: Member,
    },
    /// The learner is too far behind to vote.
    #[error("member {id} is {behind} entries behind after {waited:?}")]
    Behind {
        /// The learner.
        id: RaftId,
        /// Entries it lacks.
        behind: u64,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The last voter cannot be removed.
    #[error("member {id} is the only voter")]
    LastVoter {
        /// Asked for.
        id: RaftId,
    },
    /// The member cannot take the leader's office now.
    #[error("member {id} cannot lead: {reason}")]
    NotFit {
        /// Asked for.
        id: RaftId,
        /// Why.
        reason: String,
    },
    /// The change may or may not take effect; look at the status, then retry.
    #[error("the outcome is unknown: {reason}")]
    Unfinished {
        /// What happened.
        reason: String,
    },
    /// This member has stopped or must stop.
    #[error("this member has stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
}

/// Why waiting for an entry ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// The deadline passed.
    #[error("entry {index} was not applied in time: this member has applied {applied}")]
    Deadline {
        /// Waited for.
        index: u64,
        /// Reached.
        applied: u64,
    },
    /// This member has stopped or must stop.
    #[error("this member has stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
}

fn known(leader: &Option<Member>) -> String {
    leader.map_or_else(
        || ", and knows none".to_owned(),
        |leader| format!(": {leader} is"),
    )
}
