//! A whole cluster in one thread: real managers, simulated machines.
//!
//! Each run is decided by a seed: a few managers with their logs, stores, control loops and
//! dispatchers, agents that take tasks through their states, clients, an operator and watchers, on
//! a network, disks and clocks in memory that a seed makes fail. At every step the invariants are
//! looked at; when the faults end, everything must become as asked for within a bound.
//!
//! # What repeats, and what does not
//!
//! Faults, delays, what clients do, identifiers, election timeouts and the order of tasks follow
//! from the seed, and time is tokio's paused one: it stands still while anything can be done, so
//! the speed of the machine does not matter. There is one thread.
//!
//! Not decided by the seed: the hashing of maps inside the transport; and, in an ordinary build, in
//! which order `tokio::select!` looks at branches that are ready at the same instant and which of
//! the waiters for a watched value wakes first, because tokio seeds that from the system and lets
//! only builds with `tokio_unstable` say otherwise (`make sim` is one). Where those matter, two runs
//! of one seed drift apart: in ordinary builds they do, within the first seconds.
//! [`Report::fingerprint`] says whether they did; a failing seed is repeated some times.
//!
//! Not simulated: TLS, joining by token, the kernel, torn records (the log's own tests do those),
//! and the death of a member leaves its tasks behind for a moment, cut off from everything.
#![forbid(unsafe_code)]

pub mod agent;
pub mod client;
pub mod cluster;
pub mod dice;
pub mod faults;
mod founding;
pub mod host;
pub mod invariants;
pub mod net;
pub mod operator;
mod panics;
mod run;
mod sabotage;
mod tally;
pub mod truth;
pub mod violations;
pub mod watcher;

pub use run::Plan;
pub use run::Report;
pub use run::simulate;
pub use sabotage::Sabotage;
pub use tally::Tally;
