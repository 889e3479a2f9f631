//! Read, decide, propose; and once more when somebody else was faster.

use crate::propose::ProposeError;
use crate::propose::Proposer;
use crate::store::State;
use crate::store::View;
use std::time::Duration;
use weft_proto::command::Change;
use weft_proto::command::Conflict;
use weft_proto::command::ConflictKind;

/// How often a decision is made anew. A rival can win each of them only by making progress itself;
/// eight in a row means that something writes the object all the time.
const ATTEMPTS: u32 = 8;
/// The wait before the second attempt; before each later one it is that much longer. About one
/// write to the log, so that whoever won has gone on.
const PAUSE: Duration = Duration::from_millis(5);

/// What to do, and what to tell the caller when it is done.
#[derive(Clone, Debug)]
pub struct Decision<T> {
    /// The transaction. Empty: everything is as asked for already.
    pub changes: Vec<Change>,
    /// What was decided.
    pub outcome: T,
}

/// A decision that became state.
#[derive(Clone, Debug)]
pub struct Committed<T> {
    /// What was decided.
    pub outcome: T,
    /// A state that has it; `None` when the leader was lost right after the change.
    pub view: Option<View>,
}

/// Makes `decide`'s transaction state. When it is refused because of what changed since the state
/// was read, or because somebody else got the same number, address or name, `decide` is asked again
/// with a fresh state, a bounded number of times: so it should give its own, better reason for
/// whatever a person must solve.
///
/// # Errors
/// Whatever `decide` or the proposer refuses.
pub async fn transact<T, E>(
    proposer: &dyn Proposer,
    mut decide: impl FnMut(&State) -> Result<Decision<T>, E> + Send,
) -> Result<Committed<T>, E>
where
    T: Send,
    E: From<ProposeError> + Send,
{
    let mut attempt = 1;
    loop {
        let view = proposer.fresh_view().await?;
        let Decision { changes, outcome } = decide(&view)?;
        if changes.is_empty() {
            let view = Some(view);
            return Ok(Committed { outcome, view });
        }
        match proposer.propose(changes).await {
            Ok(_) => {
                let view = proposer.fresh_view().await.ok();
                return Ok(Committed { outcome, view });
            }
            Err(ProposeError::Conflict(conflict)) if attempt < ATTEMPTS && may_pass(&conflict) => {
                tracing::debug!(attempt, %conflict, "decided on an old state, once more");
                tokio::time::sleep(PAUSE * attempt).await;
                attempt += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether a fresh decision can be another one.
fn may_pass(conflict: &Conflict) -> bool {
    match conflict.kind {
        ConflictKind::Version | ConflictKind::Missing | ConflictKind::Taken => true,
        ConflictKind::Exists | ConflictKind::Invalid => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::cluster;
    use crate::propose::fake::FakeProposer;
    use weft_proto::object::Cluster;
    use weft_proto::object::Object;

    fn fake() -> FakeProposer {
        FakeProposer::new(vec![Object::Cluster(cluster())])
    }

    fn give_raft_id(state: &State) -> Result<Decision<u64>, ProposeError> {
        let mut cluster = Cluster::clone(state.cluster().unwrap());
        let outcome = cluster.next_raft_id;
        cluster.next_raft_id += 1;
        let changes = vec![Change::update(cluster)];
        Ok(Decision { changes, outcome })
    }

    fn rival(fake: &FakeProposer, next: u64) {
        let mut cluster = cluster();
        cluster.next_raft_id = next;
        fake.rival(vec![Change::Put {
            object: cluster.into(),
            expect: weft_proto::command::Expect::Any,
        }]);
    }

    #[tokio::test]
    async fn a_decision_on_an_old_state_is_made_anew() {
        let fake = fake();
        rival(&fake, 7);
        let done = transact(&fake, give_raft_id).await.unwrap();
        assert_eq!(done.outcome, 7, "the rival's change was seen");
        let view = done.view.unwrap();
        assert_eq!(view.cluster().unwrap().next_raft_id, 8);
        assert_eq!(fake.proposals(), 2);
    }

    #[tokio::test]
    async fn attempts_are_bounded() {
        let fake = fake();
        for next in 3..30 {
            rival(&fake, next);
        }
        let error = transact(&fake, give_raft_id).await.unwrap_err();
        assert!(matches!(error, ProposeError::Conflict(_)), "{error:?}");
        assert_eq!(fake.proposals(), 8);
    }

    #[tokio::test]
    async fn a_lost_leader_is_told_at_once_and_not_tried_again() {
        let fake = fake();
        fake.fail(ProposeError::NoLeader("test".to_owned()));
        let error = transact(&fake, give_raft_id).await.unwrap_err();
        assert!(matches!(error, ProposeError::NoLeader(_)));
        assert_eq!(fake.proposals(), 1, "it may have become state");
    }

    #[tokio::test]
    async fn nothing_to_change_is_not_proposed() {
        let fake = fake();
        let nothing = |_: &State| -> Result<Decision<()>, ProposeError> {
            Ok(Decision {
                changes: Vec::new(),
                outcome: (),
            })
        };
        assert!(transact(&fake, nothing).await.unwrap().view.is_some());
        assert_eq!(fake.proposals(), 0);
    }
}
