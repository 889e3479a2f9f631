//! Read, decide, propose; and once more when somebody else was faster.

use crate::propose::ProposeError;
use crate::propose::Proposer;
use crate::store::State;
use crate::store::View;
use std::time::Duration;
use weft_proto::CommandId;
use weft_proto::command::Change;
use weft_proto::command::Conflict;
use weft_proto::command::ConflictKind;

/// How often a decision is made anew. A rival can win each of them only by making progress itself;
/// eight in a row means that something writes the object all the time.
const ATTEMPTS: u32 = 8;
/// As [`ATTEMPTS`], for a number, address or port that somebody else got: of many who choose at once
/// one gets it each time, and all others choose again.
const CHOICES: u32 = 64;
/// The wait before the second attempt; before each later one it is that much longer. About one
/// write to the log, so that whoever won has gone on.
const PAUSE: Duration = Duration::from_millis(5);
/// The longest wait.
const PAUSE_MAX: Duration = Duration::from_millis(40);

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
    /// A state that has it; `None` when there is none at hand.
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
    decide: impl FnMut(&State) -> Result<Decision<T>, E> + Send,
) -> Result<Committed<T>, E>
where
    T: Send,
    E: From<ProposeError> + Send,
{
    match transact_once(proposer, None, Basis::Fresh, decide).await? {
        Once::Now(committed) => Ok(committed),
        // Without an identifier nothing is recognised.
        Once::Before(_) => Err(ProposeError::Stopping.into()),
    }
}

/// What the first decision is made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The state as it is here, which may be old: spares asking the leader. Only for transactions
    /// that are refused when they are applied if anything that the decision depends on has changed.
    /// A decision not to change anything, or to refuse, is made again on a fresh state, so callers
    /// never see what is old.
    Local,
    /// A state that has everything acknowledged before the call.
    Fresh,
}

/// What became of a transaction that is made at most once.
#[derive(Clone, Debug)]
pub enum Once<T> {
    /// It was made, or needed not be.
    Now(Committed<T>),
    /// It had been made before. A state that has it.
    Before(View),
}

impl<T> Once<T> {
    /// What was decided, if this call decided it, and a state that has it.
    pub fn parts(self) -> (Option<T>, Option<View>) {
        match self {
            Once::Now(committed) => (Some(committed.outcome), committed.view),
            Once::Before(view) => (None, Some(view)),
        }
    }
}

/// As [`transact`], and when `id` is given at most once for all calls with it, on whichever
/// managers, also at the same time.
///
/// # Errors
/// Whatever `decide` or the proposer refuses.
pub async fn transact_once<T, E>(
    proposer: &dyn Proposer,
    id: Option<CommandId>,
    basis: Basis,
    mut decide: impl FnMut(&State) -> Result<Decision<T>, E> + Send,
) -> Result<Once<T>, E>
where
    T: Send,
    E: From<ProposeError> + Send,
{
    let mut fresh = basis == Basis::Fresh;
    let mut view = match basis {
        Basis::Local => proposer.local_view(),
        Basis::Fresh => proposer.fresh_view().await?,
    };
    let mut attempt = 1;
    loop {
        if id.is_some_and(|id| matches!(view.outcome(id), Some(Ok(_)))) {
            return Ok(Once::Before(view));
        }
        match decide(&view) {
            Ok(Decision { changes, outcome }) if !changes.is_empty() => {
                let proposed = match id {
                    Some(id) => proposer.propose_as(id, changes).await,
                    None => proposer.propose(changes).await,
                };
                match proposed {
                    Ok(_) => {
                        // The state here has it by now.
                        let view = Some(proposer.local_view());
                        return Ok(Once::Now(Committed { outcome, view }));
                    }
                    Err(ProposeError::Conflict(conflict)) if !fresh => {
                        tracing::debug!(%conflict, "decided on an old state, now on a fresh one");
                    }
                    Err(ProposeError::Conflict(conflict)) if attempt < attempts(&conflict) => {
                        tracing::debug!(attempt, %conflict, "somebody was faster, once more");
                        tokio::time::sleep((PAUSE * attempt).min(PAUSE_MAX)).await;
                        attempt += 1;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(Decision { outcome, .. }) if fresh => {
                let view = Some(view);
                return Ok(Once::Now(Committed { outcome, view }));
            }
            Err(refusal) if fresh => return Err(refusal),
            // Perhaps only because the state is old.
            Ok(_) | Err(_) => {}
        }
        view = proposer.fresh_view().await?;
        fresh = true;
    }
}

/// How often is decided at most, if a fresh decision can be another one.
fn attempts(conflict: &Conflict) -> u32 {
    match conflict.kind {
        // What exists is perhaps what another call of the same request made.
        ConflictKind::Version | ConflictKind::Missing | ConflictKind::Exists => ATTEMPTS,
        ConflictKind::Taken => CHOICES,
        ConflictKind::Invalid => 0,
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

    fn once(n: u128) -> Option<CommandId> {
        Some(CommandId::from_entropy(n))
    }

    #[tokio::test]
    async fn a_decision_on_what_is_here_asks_nobody() {
        let fake = fake();
        let done = transact_once(&fake, None, Basis::Local, give_raft_id).await;
        assert!(matches!(done.unwrap(), Once::Now(_)));
        assert_eq!(fake.fresh_reads(), 0);
    }

    #[tokio::test]
    async fn what_is_here_may_be_old_and_callers_do_not_notice() {
        let fake = fake();
        fake.fall_behind();
        transact(&fake, give_raft_id).await.unwrap();
        let done = transact_once(&fake, None, Basis::Local, give_raft_id).await;
        let Once::Now(done) = done.unwrap() else {
            panic!("it was not made");
        };
        assert_eq!(done.outcome, 3, "decided on the state as it is");
        // A refusal is of the state as it is, too.
        let refuse = |state: &State| match state.cluster().unwrap().next_raft_id {
            4 => Err(ProposeError::TooLarge("as it is".to_owned())),
            old => Err(ProposeError::TooLarge(format!("old: {old}"))),
        };
        let refused = transact_once::<(), _>(&fake, None, Basis::Local, refuse).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("as it is"), "{refused}");
    }

    #[tokio::test]
    async fn one_request_is_made_once() {
        let fake = fake();
        for basis in [Basis::Local, Basis::Fresh] {
            let first = transact_once(&fake, once(50), basis, give_raft_id)
                .await
                .unwrap();
            assert_eq!(matches!(first, Once::Now(_)), basis == Basis::Local);
        }
        assert_eq!(fake.view().cluster().unwrap().next_raft_id, 3);
        assert_eq!(fake.proposals(), 1);
        // One that does not know of the first here yet: the log does.
        let fake = self::fake();
        fake.fall_behind();
        for _ in 0..2 {
            let any = |state: &State| {
                let mut cluster = Cluster::clone(state.cluster().unwrap());
                cluster.next_raft_id += 1;
                let change = Change::Put {
                    object: cluster.into(),
                    expect: weft_proto::command::Expect::Any,
                };
                Ok::<_, ProposeError>(Decision {
                    changes: vec![change],
                    outcome: (),
                })
            };
            transact_once(&fake, once(51), Basis::Local, any)
                .await
                .unwrap();
        }
        assert_eq!(fake.proposals(), 2);
        assert_eq!(fake.view().cluster().unwrap().next_raft_id, 3);
    }
}
