//! What can go wrong.

use nix::errno::Errno;
use std::io;

/// Why nftables could not be changed or read.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// No thread could be had to enter the namespace with.
    #[error("cannot start the thread that enters the network namespace")]
    Thread {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The descriptor is no network namespace, or this process may not enter it.
    #[error("cannot enter the network namespace")]
    Enter {
        /// What the kernel said.
        #[source]
        source: Errno,
    },
    /// The kernel gave no netfilter socket (no nftables, no right).
    #[error("cannot open a netfilter socket")]
    Open {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A step says something that cannot be; nothing was sent.
    #[error("step {step} ({object}) cannot be expressed: {reason}")]
    Impossible {
        /// Index of the step in the batch.
        step: usize,
        /// The step, in nft's words.
        object: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The batch did not reach the kernel; nothing changed.
    #[error("cannot send {bytes} bytes of nftables messages")]
    Send {
        /// Size of what was to be sent.
        bytes: usize,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel's answer could not be read; the batch may or may not have taken effect.
    #[error("cannot read the kernel's answer about nftables")]
    Receive {
        /// What the kernel said.
        #[source]
        source: Errno,
    },
    /// The kernel refused a step; nothing of the batch changed anything.
    #[error("the kernel refused step {step} ({object}); nothing was changed")]
    Refused {
        /// Index of the first refused step in the batch.
        step: usize,
        /// The step, in nft's words.
        object: String,
        /// What the kernel said.
        #[source]
        source: Errno,
    },
    /// The kernel refused the batch as a whole; nothing changed.
    #[error("the kernel refused the whole batch of {steps} steps")]
    RefusedAll {
        /// Number of steps.
        steps: usize,
        /// What the kernel said (EPERM: not root in this namespace).
        #[source]
        source: Errno,
    },
    /// The kernel neither confirmed nor refused; read the state again before going on.
    #[error("the kernel neither confirmed nor refused a batch of {steps} steps")]
    Unanswered {
        /// Number of steps.
        steps: usize,
    },
    /// Something could not be listed.
    #[error("cannot list {what}")]
    List {
        /// What was asked for.
        what: String,
        /// What the kernel said (ENOENT: the table or set is not there).
        #[source]
        source: Errno,
    },
    /// Somebody changed the ruleset each time while it was being read.
    #[error("{what} kept changing while being listed, {tries} times")]
    Restless {
        /// What was asked for.
        what: String,
        /// How often it was tried.
        tries: u32,
    },
    /// The kernel sent elements that do not fit the set's fields.
    #[error("elements of {what} have another shape than expected")]
    Shape {
        /// The set.
        what: String,
    },
    /// The background thread of the asynchronous form was lost.
    #[error("the thread that changes nftables was lost")]
    Lost {
        /// What the runtime said.
        #[source]
        source: tokio::task::JoinError,
    },
}

impl NftError {
    /// What the kernel said, when it said something; ENOENT tells a reconciler that what it
    /// meant to change or read is gone.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Enter { source }
            | Self::Receive { source }
            | Self::Refused { source, .. }
            | Self::RefusedAll { source, .. }
            | Self::List { source, .. } => Some(*source),
            Self::Thread { .. }
            | Self::Open { .. }
            | Self::Impossible { .. }
            | Self::Send { .. }
            | Self::Unanswered { .. }
            | Self::Restless { .. }
            | Self::Shape { .. }
            | Self::Lost { .. } => None,
        }
    }
}
