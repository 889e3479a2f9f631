//! Members for simulations: one thread, paused time, disks in memory, chance from a seed.
//!
//! [`begin`] makes this thread a simulated one. From then on, members that are started here with
//! [`RaftNode::start_simulated`] write in tasks instead of threads and draw their election timeouts
//! from the seed. With tokio's `current_thread` runtime and paused time, what is left to real
//! chance is the order in which `tokio::select!` looks at branches that are ready at once, and the
//! hashing of maps inside the transport.
//!
//! A kill cannot end the tasks of one member, since they are openraft's own. It is simulated from
//! the outside: [`SimDisk::crash`] makes the old member's disk take nothing any more, the network
//! is to carry nothing of it any more, and then it is shut down. Nobody can tell the difference.

mod disk;
mod runtime;

pub use disk::SimDisk;
pub use disk::SyncTime;
pub use runtime::Runtime;

use crate::config::RaftConfig;
use crate::directory::open_with;
use crate::directory::owner;
use crate::error::StartError;
use crate::image::Image;
use crate::node::RaftNode;
use crate::peers::Dialer;
use crate::state_machine::StateMachine;
use std::cell::Cell;
use std::sync::Arc;

thread_local! {
    /// The state of this thread's chance; `None`: not a simulation.
    static CHANCE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Makes this thread simulate, with this seed, until it ends or another simulation begins.
pub fn begin(seed: u64) {
    CHANCE.set(Some(seed));
}

/// Whether this thread simulates.
pub fn is_on() -> bool {
    CHANCE.get().is_some()
}

/// The next number of this thread's chance (SplitMix64), if it simulates.
fn next() -> Option<u64> {
    let state = CHANCE.get()?.wrapping_add(0x9e37_79b9_7f4a_7c15);
    CHANCE.set(Some(state));
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Some(z ^ (z >> 31))
}

impl RaftNode {
    /// As [`RaftNode::start`], with the log on a simulated disk. Snapshots are in the directory of
    /// `config`, written without another thread, and survive every crash: an unfinished one is
    /// what their own tests are about.
    ///
    /// # Errors
    /// As [`RaftNode::start`].
    pub async fn start_simulated(
        config: RaftConfig,
        disk: &SimDisk,
        app: Arc<dyn StateMachine>,
        dialer: Arc<dyn Dialer>,
    ) -> Result<RaftNode, StartError> {
        let image = Image::load(&disk.contents())?;
        let sealing = config.sealing.of(&owner(&config));
        let opened = open_with(disk.engine(), image, &config.dir, sealing)?;
        RaftNode::start_opened(config, opened, app, dialer).await
    }
}
