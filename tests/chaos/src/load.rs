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
const UNHEARD: Duration = Duration::from_millis(50);

/// How often a client sends one request at most.
const SENT: u32 = 3;

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
        let connect = || sockets.iter().map(|socket| Node::new(socket)).collect();
        let nodes: Vec<Node> = connect();
        for key in 0..options.keys {
            let action = Action::Create(unique(0, u64::from(key)));
            let maker = Client {
                number: 0,
                place: 0,
                nodes: nodes.clone(),
                recorder: recorder.clone(),
            };
            let outcome = maker.act(key, action, SENT * 4).await;
            anyhow::ensure!(outcome == Outcome::Done, "register {key}: {outcome:?}");
        }
        let stop = CancellationToken::new();
        let mut clients = JoinSet::new();
        for place in 0..sockets.len() {
            for _ in 0..options.clients {
                let number = u32::try_from(clients.len() + 1)?;
                let client = Client {
                    number,
                    place,
                    nodes: connect(),
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

/// One client of one manager, which asks the others when its own does not answer.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its number, part of all values it writes.
    pub number: u32,
    /// Its manager's place.
    pub place: usize,
    /// All managers.
    pub nodes: Vec<Node>,
    /// Where it says what it did.
    pub recorder: Recorder,
}

impl Client {
    /// Does one thing and takes it down. Sends it `times` at most, to one manager after the
    /// other, while nobody says how it ended.
    pub async fn act(&self, key: u32, action: Action, times: u32) -> Outcome {
        let request = action.value().map(|value| format!("v{value}"));
        let request = request.unwrap_or_default();
        let invoked = self.recorder.now();
        let nodes = self.nodes.iter().cycle().skip(self.place);
        let mut last = None;
        for (sent, node) in (1..=times.max(1)).zip(nodes) {
            let told = node.act(key, action, &request).await;
            let outcome = match (last, told.outcome) {
                // What is refused now may have been accepted before, or arrive yet.
                (Some(Outcome::Unknown), Outcome::Failed | Outcome::Mismatch) => Outcome::Unknown,
                (_, outcome) => outcome,
            };
            last = Some(outcome);
            if outcome != Outcome::Unknown || sent == times.max(1) {
                self.recorder.add(Operation {
                    client: self.number,
                    node: self.place,
                    key,
                    action,
                    invoked,
                    returned: self.recorder.now(),
                    outcome,
                    revision: told.revision,
                    sent,
                });
                break;
            }
        }
        last.unwrap_or(Outcome::Unknown)
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
            // Half of the clients' writes are left open when they are, as by a client that died.
            let times = if dice.percent(50) { 1 } else { SENT };
            let pause = match self.act(key, action, times).await {
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
