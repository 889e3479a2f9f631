//! What clients of a cluster saw, and whether a correct cluster could have shown it to them.
//!
//! A [`Recorder`] takes down operations on registers as they begin and end, and what watchers were
//! sent. The recording is plain lines of JSON, so that a run can be kept and judged again:
//!
//! ```text
//! {"at":120,"op":7,"client":3,"key":"a","invoke":{"write":"x"}}
//! {"at":125,"op":7,"return":"done"}
//! {"watcher":2,"seen":{"changes":{"revision":9,"changes":[{"key":"a","value":"x"}]}}}
//! ```
//!
//! [`linearizable`] looks for an order of the operations that a single register could have served,
//! key by key. [`Ledger`] and [`check_stream`] judge watchers: in order, nothing left out, nothing
//! twice, and equal to the history of the state.
//!
//! No part of it knows the product: it judges simulated runs and real ones alike.
#![forbid(unsafe_code)]

mod history;
mod ledger;
mod linearizable;
mod lines;
mod memo;
mod operation;
mod recorder;
mod register;
mod watch;

pub use history::History;
pub use ledger::Ledger;
pub use linearizable::DEFAULT_BUDGET;
pub use linearizable::Problem;
pub use linearizable::Summary;
pub use linearizable::linearizable;
pub use lines::LineError;
pub use lines::Recording;
pub use operation::Action;
pub use operation::ClientId;
pub use operation::OpId;
pub use operation::Operation;
pub use operation::Outcome;
pub use operation::Value;
pub use recorder::Pending;
pub use recorder::Recorder;
pub use watch::Change;
pub use watch::Seen;
pub use watch::Stream;
pub use watch::StreamProblem;
pub use watch::WatcherId;
pub use watch::check_stream;
