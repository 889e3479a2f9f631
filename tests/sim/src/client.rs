//! Clients that read and write registers through any manager, and note down what they are told.

use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::host::Running;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::sleep;
use weft_history::Action;
use weft_history::ClientId;
use weft_history::Outcome;
use weft_history::Recorder;
use weft_history::Value;
use weft_manager::propose::ProposeError;
use weft_manager::store::State;
use weft_proto::ServiceId;
use weft_proto::command::Change;
use weft_proto::command::Expect;
use weft_proto::convert::ConvertError;
use weft_proto::object::Service;
use weft_proto::wire;

/// How many registers there are: few, so that clients get into each other's way.
pub const REGISTERS: u64 = 3;
/// The label that holds a register's value.
const LABEL: &str = "value";
/// Identifiers of registers begin here, far from all others.
const FIRST_ID: u128 = 1 << 100;

/// A client that works until its future is dropped.
#[derive(Clone, Debug)]
pub struct Client {
    /// Which one.
    pub id: ClientId,
    /// Whom it asks.
    pub cluster: Cluster,
    /// Where it notes things down.
    pub book: Recorder,
    /// What it does next.
    pub dice: Dice,
}

/// An object that holds one value: a service without tasks.
fn register(key: u64, value: &str) -> Result<Service, ConvertError> {
    Service::try_from(wire::Service {
        id: register_id(key).to_string(),
        spec: Some(wire::ServiceSpec {
            name: name(key),
            labels: vec![wire::Label {
                key: LABEL.to_owned(),
                value: value.to_owned(),
            }],
            task: Some(wire::TaskSpec {
                runtime: wire::Runtime::Process.into(),
                command: vec!["true".to_owned()],
                ..wire::TaskSpec::default()
            }),
            replicated: Some(wire::ReplicatedMode { replicas: 0 }),
            ..wire::ServiceSpec::default()
        }),
        ..wire::Service::default()
    })
}

fn register_id(key: u64) -> ServiceId {
    ServiceId::from_entropy(FIRST_ID + u128::from(key))
}

fn name(key: u64) -> String {
    format!("register-{key}")
}

fn value_in(state: &State, key: u64) -> Value {
    let service = state.service(register_id(key))?;
    service.spec.labels.get(LABEL).cloned()
}

impl Client {
    /// Works until dropped.
    pub async fn run(self) {
        for number in 0_u64.. {
            let managers = self.cluster.all_running();
            if let Some(manager) = self.dice.pick(&managers) {
                // Whoever is asked may die, and then its answer never comes.
                tokio::select! {
                    biased;
                    () = manager.dead.cancelled() => {}
                    () = self.work(manager, number) => {}
                }
            }
            sleep(self.dice.millis(5, 160)).await;
        }
    }

    async fn work(&self, manager: &Running, number: u64) {
        let key = self.dice.below(REGISTERS);
        let new = format!("{}-{number}", self.id.0);
        match self.dice.below(10) {
            0..5 => self.read(manager, key).await,
            5..8 => self.write(manager, key, new).await,
            _ => self.swap(manager, key, new).await,
        }
    }

    /// Reads a register through a manager.
    pub async fn read(&self, manager: &Running, key: u64) {
        let read = self.begin(key, Action::Read);
        if let Ok(view) = manager.proposer.fresh_view().await {
            read.returned(self.now(), Outcome::Read(value_in(&view, key)));
        }
    }

    async fn write(&self, manager: &Running, key: u64, new: String) {
        let Ok(object) = register(key, &new) else {
            return;
        };
        let change = Change::Put {
            object: object.into(),
            expect: Expect::Any,
        };
        self.propose(manager, key, Action::Write(Some(new)), change)
            .await;
    }

    async fn swap(&self, manager: &Running, key: u64, new: String) {
        let Ok(object) = register(key, &new) else {
            return;
        };
        // What this manager happens to know: often old, and then it is to be refused.
        let view = manager.store.view();
        let known = view.service(register_id(key));
        let change = Change::Put {
            object: object.into(),
            expect: known.map_or(Expect::Absent, |old| Expect::Version(old.meta.version)),
        };
        let action = Action::Cas {
            expect: value_in(&view, key),
            new: Some(new),
        };
        self.propose(manager, key, action, change).await;
    }

    async fn propose(&self, manager: &Running, key: u64, action: Action, change: Change) {
        let write = self.begin(key, action);
        let outcome = match manager.proposer.propose(vec![change]).await {
            Ok(_) => Outcome::Done,
            // Another version may hold the same value, so this says nothing about the value.
            Err(ProposeError::Conflict(_) | ProposeError::TooLarge(_)) => Outcome::Failed,
            // Dropped without an answer it stays unknown.
            Err(ProposeError::NoLeader(_) | ProposeError::Stopping) => return,
        };
        write.returned(self.now(), outcome);
    }

    fn begin(&self, key: u64, action: Action) -> weft_history::Pending {
        self.book.invoke(self.now(), self.id, &name(key), action)
    }

    /// Microseconds since the run began.
    fn now(&self) -> u64 {
        let elapsed: Duration = Instant::now() - self.cluster.around.begun;
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }
}
