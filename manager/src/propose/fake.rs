//! A proposer over a store in memory, for tests of whoever proposes.

use crate::acting;
use crate::propose::BoxFuture;
use crate::propose::ProposeError;
use crate::propose::Proposer;
use crate::store::Store;
use crate::store::View;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use weft_proto::CommandId;
use weft_proto::command::Change;
use weft_proto::command::Command;
use weft_proto::object::Object;
use weft_proto::time::Timestamp;

/// Applies every proposal at once. Before a proposal, what a rival does can be queued.
#[derive(Debug, Default)]
pub(crate) struct FakeProposer {
    store: Arc<Store>,
    rivals: Mutex<VecDeque<Vec<Change>>>,
    failures: Mutex<VecDeque<ProposeError>>,
    proposals: Mutex<Vec<Vec<Change>>>,
    old: Mutex<Option<View>>,
    fresh_reads: AtomicUsize,
    cut_off: AtomicBool,
}

impl FakeProposer {
    /// Over a state at revision 1 that holds these objects.
    pub(crate) fn new(objects: Vec<Object>) -> Self {
        let fake = Self::default();
        fake.write(objects.into_iter().map(Change::create).collect());
        fake
    }

    /// Where the state is.
    pub(crate) fn store(&self) -> Arc<Store> {
        self.store.clone()
    }

    /// The state now.
    pub(crate) fn view(&self) -> View {
        self.store.view()
    }

    /// From now on the state here is as it is now, whatever happens to it elsewhere.
    pub(crate) fn fall_behind(&self) {
        *self.old.lock() = Some(self.store.view());
    }

    /// From now on nobody knows whether the state here is old; or somebody does again.
    pub(crate) fn cut_off(&self, cut_off: bool) {
        self.cut_off.store(cut_off, Ordering::Relaxed);
    }

    /// How often a state was asked for that is not old.
    pub(crate) fn fresh_reads(&self) -> usize {
        self.fresh_reads.load(Ordering::Relaxed)
    }

    /// Changes the state past the code under test.
    pub(crate) fn write(&self, changes: Vec<Change>) {
        self.apply(changes).unwrap();
    }

    /// Something that happens between the next decision and its proposal.
    pub(crate) fn rival(&self, changes: Vec<Change>) {
        self.rivals.lock().push_back(changes);
    }

    /// The next proposal fails like this.
    pub(crate) fn fail(&self, error: ProposeError) {
        self.failures.lock().push_back(error);
    }

    /// How many proposals there were.
    pub(crate) fn proposals(&self) -> usize {
        self.proposals.lock().len()
    }

    fn apply(&self, changes: Vec<Change>) -> Result<u64, ProposeError> {
        let next = self.store.view().revision() + 1;
        self.apply_as(CommandId::from_entropy(u128::from(next)), changes)
    }

    fn apply_as(&self, id: CommandId, changes: Vec<Change>) -> Result<u64, ProposeError> {
        let index = self.store.view().revision() + 1;
        let command = Command {
            id,
            at: Timestamp::from_millis(1_000 * i64::try_from(index).unwrap()),
            actor: acting::stamp(&self.store.view(), crate::fixture::node_id(1), &changes),
            changes,
        };
        Ok(self.store.apply(index, &command)?)
    }

    /// What a proposal meets before it is applied.
    fn before(&self, changes: &[Change]) -> Result<(), ProposeError> {
        self.proposals.lock().push(changes.to_vec());
        if let Some(error) = self.failures.lock().pop_front() {
            return Err(error);
        }
        let rival = self.rivals.lock().pop_front();
        if let Some(rival) = rival {
            self.write(rival);
        }
        Ok(())
    }
}

impl Proposer for FakeProposer {
    fn propose(&self, changes: Vec<Change>) -> BoxFuture<'_, Result<u64, ProposeError>> {
        Box::pin(async move {
            self.before(&changes)?;
            self.apply(changes)
        })
    }

    fn propose_as(
        &self,
        id: CommandId,
        changes: Vec<Change>,
    ) -> BoxFuture<'_, Result<u64, ProposeError>> {
        Box::pin(async move {
            self.before(&changes)?;
            self.apply_as(id, changes)
        })
    }

    fn local_view(&self) -> View {
        let old = self.old.lock().clone();
        old.unwrap_or_else(|| self.store.view())
    }

    fn fresh_view(&self) -> BoxFuture<'_, Result<View, ProposeError>> {
        Box::pin(async move {
            self.fresh_reads.fetch_add(1, Ordering::Relaxed);
            if self.cut_off.load(Ordering::Relaxed) {
                return Err(ProposeError::NoLeader("cut off".to_owned()));
            }
            Ok(self.store.view())
        })
    }
}
