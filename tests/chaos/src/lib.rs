//! Real clusters in network namespaces whose managers are killed, stopped and cut off under load,
//! and whose clients' histories are judged afterwards.
//!
//! [`run::run`] is a whole run: it builds a cluster, lets clients read and write registers on all
//! managers ([`load`]), does to the managers what a seed says ([`plan`], [`nemesis`]), heals
//! everything, and judges ([`verdict`]). The same seed gives the same faults to the same kinds of
//! victims in the same order; what the cluster does meanwhile is its own.
#![forbid(unsafe_code)]

pub mod calm;
pub mod dice;
pub mod failover;
pub mod load;
pub mod nemesis;
pub mod node;
pub mod plan;
pub mod record;
pub mod replicas;
pub mod report;
pub mod run;
pub mod search;
pub mod verdict;
pub mod watcher;
