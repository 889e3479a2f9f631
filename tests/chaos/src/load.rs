//! Clients that read and write registers, on every manager, for as long as the run lasts.

use crate::dice::Dice;
use crate::node::Node;
use crate::record::Action;
use crate::record::Operation;
use crate::record::Outcome;
use crate::record::Recorder;
use crate::record::Seen;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A pause after a manager did not hear a call: it is being started.
const UNHEARD: Duration = Duration::from_millis(25);

/// How much of what.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Clients of each manager.
    pub clients: usize,
    /// Registers all of them share.
    pub keys: u32,
    /// The longest pause of a client between two calls, in milliseconds.
    pub pause: u64,
    /// So many calls of a hundred only read. Of the others half are bound to the version that
    /// the client read last, where it read one.
    pub reads: u64,
}

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    clients: JoinSet<()>,
    stop: CancellationToken,
}

impl Load {
    /// Makes the registers, and starts the clients of the managers behind `sockets`. Must be
    /// called in a tokio runtime.
    ///
    /// # Errors
    /// When a register cannot be made.
    pub async fn start(
        sockets: &[PathBuf],
        options: LoadOptions,
        dice: &Dice,
        recorder: &Recorder,
    ) -> anyhow::Result<Load> {
        let first = sockets.first().map(|socket| Node::new(socket));
        for key in 0..options.keys {
            let action = Action::Create(unique(0, u64::from(key)));
            let maker = Client {
                number: 0,
                place: 0,
                node: first.clone().ok_or_else(|| anyhow::anyhow!("no manager"))?,
                recorder: recorder.clone(),
            };
            let outcome = maker.act(key, action).await;
            anyhow::ensure!(outcome == Outcome::Done, "register {key}: {outcome:?}");
        }
        let stop = CancellationToken::new();
        let mut clients = JoinSet::new();
        for (place, socket) in sockets.iter().enumerate() {
            for _ in 0..options.clients {
                let number = u32::try_from(clients.len() + 1)?;
                let client = Client {
                    number,
                    place,
                    node: Node::new(socket),
                    recorder: recorder.clone(),
                };
                let dice = dice.fork(1000 + u64::from(number));
                clients.spawn(client.run(options, dice, stop.clone()));
            }
        }
        Ok(Load { clients, stop })
    }

    /// Lets every client finish what it asked for.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.clients.join_next().await.is_some() {}
    }
}

/// A value nobody else writes.
pub fn unique(client: u32, count: u64) -> u64 {
    (u64::from(client) << 32) | count
}

/// One client of one manager.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its number, part of all values it writes.
    pub number: u32,
    /// Its manager's place.
    pub place: usize,
    /// Its manager.
    pub node: Node,
    /// Where it says what it did.
    pub recorder: Recorder,
}

impl Client {
    /// Does one thing and takes it down.
    pub async fn act(&self, key: u32, action: Action) -> Outcome {
        let invoked = self.recorder.now();
        let outcome = self.node.act(key, action).await;
        self.recorder.add(Operation {
            client: self.number,
            node: self.place,
            key,
            action,
            invoked,
            returned: self.recorder.now(),
            outcome,
        });
        outcome
    }

    async fn run(self, options: LoadOptions, mut dice: Dice, stop: CancellationToken) {
        let mut count = 0;
        let mut known: BTreeMap<u32, Seen> = BTreeMap::new();
        while !stop.is_cancelled() {
            let key = u32::try_from(dice.below(u64::from(options.keys))).unwrap_or(0);
            count += 1;
            let value = unique(self.number, count);
            let action = match (known.remove(&key), dice.percent(options.reads)) {
                (_, true) => Action::Read,
                (Some(seen), false) if dice.percent(50) => Action::Swap {
                    version: seen.version,
                    expect: seen.value,
                    value,
                },
                (_, false) => Action::Write(value),
            };
            let pause = match self.act(key, action).await {
                Outcome::Read(seen) => {
                    known.insert(key, seen);
                    dice.millis(0..=options.pause)
                }
                Outcome::Done | Outcome::Mismatch | Outcome::Unknown => {
                    dice.millis(0..=options.pause)
                }
                Outcome::Failed => UNHEARD,
            };
            tokio::time::sleep(pause).await;
        }
    }
}
