//! What the replicas did, compared with each other as they do it.

use crate::violations::Violations;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::io::Read;
use std::sync::Arc;
use weft_history::Change;
use weft_history::Ledger;
use weft_manager::store::State;
use weft_manager::store::Store;
use weft_proto::object::ObjectKey;
use weft_raft::Capture;
use weft_raft::RestoreError;
use weft_raft::StateMachine;

/// What all replicas have in common: one log, one state at each of its entries, one history of
/// changes. Clones are the same.
#[derive(Clone, Debug)]
pub struct Truth {
    known: Arc<Mutex<Known>>,
    violations: Violations,
}

#[derive(Debug, Default)]
struct Known {
    /// What each entry of the log was, of those that were applied anywhere.
    entries: BTreeMap<u64, u64>,
    /// What the state was after each entry.
    states: BTreeMap<u64, u64>,
    ledger: Ledger,
    /// The last entry that was acknowledged to anybody.
    acknowledged: u64,
    applied: u64,
}

impl Truth {
    /// Nothing is known yet.
    pub fn new(violations: Violations) -> Truth {
        Truth {
            known: Arc::default(),
            violations,
        }
    }

    /// The history of changes, for watchers to be held against.
    pub fn ledger(&self) -> Ledger {
        self.known.lock().ledger.clone()
    }

    /// How many entries were applied, by all replicas together.
    pub fn applied(&self) -> u64 {
        self.known.lock().applied
    }

    /// A change was acknowledged that is at this revision.
    pub fn acknowledge(&self, revision: u64) {
        let mut known = self.known.lock();
        known.acknowledged = known.acknowledged.max(revision);
    }

    /// The last revision that was acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.known.lock().acknowledged
    }

    /// A number that two runs have in common only if they did the same.
    pub fn fingerprint(&self) -> u64 {
        let known = self.known.lock();
        hash(&(&known.entries, &known.states))
    }

    fn entry(&self, who: &str, index: u64, command: &[u8]) {
        let found = hash(command);
        let known = *self.known.lock().entries.entry(index).or_insert(found);
        if known != found {
            let what = format!("{who} applied another entry {index} than others (log, I1)");
            self.violations.add(what);
        }
    }

    /// A replica has applied an entry.
    fn state(&self, who: &str, index: u64, state: &State) {
        let found = hash(&state.to_snapshot().encode());
        let mut known = self.known.lock();
        known.applied += 1;
        if *known.states.entry(index).or_insert(found) != found {
            let what = format!("{who} has another state after entry {index} than others (I7)");
            self.violations.add(what);
        }
    }

    /// A replica says that a revision changed these objects.
    fn changes(&self, who: &str, revision: u64, changes: Vec<Change>) {
        let entered = self.known.lock().ledger.enter(revision, changes);
        if entered.is_err() {
            let what = format!("{who} changed other objects at revision {revision} (I3)");
            self.violations.add(what);
        }
    }
}

fn hash(what: &(impl Hash + ?Sized)) -> u64 {
    // Its keys are fixed, other than those of a map.
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// A state machine that tells [`Truth`] what it does.
pub struct Witness {
    /// Who this replica is.
    pub who: String,
    /// What it applies to.
    pub inner: Arc<dyn StateMachine>,
    /// Where its state is.
    pub store: Arc<Store>,
    /// Whom it tells.
    pub truth: Truth,
    /// Its process is dead; what it still does, nobody sees.
    pub dead: tokio_util::sync::CancellationToken,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Witness")
            .field("who", &self.who)
            .finish_non_exhaustive()
    }
}

impl Witness {
    fn tell(&self, before: &State, index: u64) {
        if self.dead.is_cancelled() {
            return;
        }
        let after = self.store.view();
        if after.index() != index {
            let who = &self.who;
            let what = format!("{who} is at {} after entry {index}", after.index());
            self.truth.violations.add(what);
        }
        self.truth.state(&self.who, index, &after);
        let mut told = BTreeSet::new();
        for set in self
            .store
            .changes_since(before.revision())
            .unwrap_or_default()
        {
            told.extend(set.changed.iter().copied());
            let changes = set.changed.iter().map(|key| touched(*key)).collect();
            self.truth.changes(&self.who, set.revision, changes);
        }
        if let Some(key) = changed(before, &after).find(|key| !told.contains(key)) {
            let who = &self.who;
            let what = format!("{who} changed {key} with entry {index} and tells nobody (I3)");
            self.truth.violations.add(what);
        }
    }
}

/// What an entry changed, found by looking, and not by what the store says of itself.
fn changed<'a>(before: &'a State, after: &'a State) -> impl Iterator<Item = ObjectKey> + 'a {
    let keys: BTreeSet<ObjectKey> = keys(before).chain(keys(after)).collect();
    keys.into_iter()
        .filter(|key| before.version(*key) != after.version(*key))
}

fn keys(state: &State) -> impl Iterator<Item = ObjectKey> {
    let cluster = state.cluster().map(|_| ObjectKey::Cluster);
    let nodes = state.nodes().map(|node| ObjectKey::Node(node.id));
    let networks = state.networks().map(|net| ObjectKey::Network(net.id));
    let services = state.services().map(|one| ObjectKey::Service(one.id));
    let tasks = state.tasks().map(|task| ObjectKey::Task(task.id));
    let users = state.users().map(|user| ObjectKey::User(user.id));
    let tokens = state.join_tokens();
    let tokens = tokens.map(|token| ObjectKey::JoinToken(token.id));
    let materials = state.materials().map(|material| material.key());
    cluster
        .into_iter()
        .chain(nodes)
        .chain(networks)
        .chain(services)
        .chain(tasks)
        .chain(users)
        .chain(tokens)
        .chain(materials)
}

/// An object that changed. The store says which, and not to what.
pub fn touched(key: ObjectKey) -> Change {
    Change {
        key: key.to_string(),
        value: None,
    }
}

impl StateMachine for Witness {
    fn apply(&self, index: u64, command: &[u8]) -> Vec<u8> {
        let before = self.store.view();
        if !self.dead.is_cancelled() {
            self.truth.entry(&self.who, index, command);
        }
        let answer = self.inner.apply(index, command);
        self.tell(&before, index);
        answer
    }

    fn advance(&self, index: u64) {
        let before = self.store.view();
        if !self.dead.is_cancelled() {
            self.truth.entry(&self.who, index, &[]);
        }
        self.inner.advance(index);
        self.tell(&before, index);
    }

    fn snapshot(&self) -> Capture {
        self.inner.snapshot()
    }

    fn restore(&self, index: u64, from: &mut dyn Read) -> Result<(), RestoreError> {
        self.inner.restore(index, from)?;
        if !self.dead.is_cancelled() {
            self.truth.state(&self.who, index, &self.store.view());
        }
        Ok(())
    }
}
