//! Who causes the changes that are made while a call is served.
//!
//! The layer in front of every service ([`crate::authz`]) says who calls, once, for the whole call;
//! proposers stamp it into each command that the call makes, and the state keeps it
//! ([`crate::store::State::audit`]). So handlers need no code for it. Loops and sessions run in tasks
//! of their own, outside of any call, and their commands have no actor.
//!
//! A handler that knows more than the changes tell says so: [`says`], [`known_as`].

mod quiet;
mod sentence;

pub use quiet::Quiet;

use crate::store::State;
use parking_lot::Mutex;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::futures::TaskLocalFuture;
use weft_proto::NodeId;
use weft_proto::audit::ACTOR_TEXT;
use weft_proto::audit::Actor;
use weft_proto::command::Change;

tokio::task_local! {
    static ACTING: Option<Arc<Acting>>;
}

/// Where a call came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Over the network.
    Remote(SocketAddr),
    /// The socket of the node that takes the call.
    Socket,
}

/// Somebody who makes a call.
#[derive(Debug)]
pub struct Acting {
    identity: Mutex<String>,
    origin: Origin,
    call: String,
    summary: Mutex<Option<String>>,
}

impl Acting {
    /// `identity` is what the caller has proven to be; `path` is the call, `/weft.v1.Control/Watch`.
    pub fn new(identity: String, origin: Origin, path: &str) -> Self {
        let call = path.strip_prefix("/weft.v1.").unwrap_or(path);
        Acting {
            identity: Mutex::new(identity),
            origin,
            call: call.to_owned(),
            summary: Mutex::default(),
        }
    }

    /// Who causes `changes` of `state`, at the manager `here`.
    fn actor(&self, state: &State, here: NodeId, changes: &[Change]) -> Actor {
        let origin = match self.origin {
            Origin::Remote(addr) => addr.to_string(),
            Origin::Socket => format!("socket of {}", sentence::node(state, here, changes)),
        };
        let said = self.summary.lock().clone();
        Actor {
            identity: cut(self.identity.lock().clone()),
            origin: cut(origin),
            call: cut(self.call.clone()),
            summary: cut(said.unwrap_or_else(|| sentence::of(state, changes))),
        }
    }
}

/// Serves a call: what `call` changes, `acting` is the actor of. `None`: nobody is.
pub fn serve<F: Future>(
    acting: Option<Acting>,
    call: F,
) -> TaskLocalFuture<Option<Arc<Acting>>, F> {
    ACTING.scope(acting.map(Arc::new), call)
}

/// Who makes the call that is being served, if one is.
fn current() -> Option<Arc<Acting>> {
    ACTING.try_with(Clone::clone).ok().flatten()
}

/// What to stamp into a command with these changes that is proposed now, at the manager `here`.
pub fn stamp(state: &State, here: NodeId, changes: &[Change]) -> Option<Actor> {
    current().map(|acting| acting.actor(state, here, changes))
}

/// What the present call does, where its changes do not tell: "rotated the worker token".
pub fn says(summary: impl Into<String>) {
    if let Some(acting) = current() {
        *acting.summary.lock() = Some(summary.into());
    }
}

/// Who makes the present call, where it is not the certificate that tells: "token/worker".
pub fn known_as(identity: impl Into<String>) {
    if let Some(acting) = current() {
        *acting.identity.lock() = identity.into();
    }
}

fn cut(mut text: String) -> String {
    if text.len() > ACTOR_TEXT {
        let end = (0..=ACTOR_TEXT).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::network;
    use crate::fixture::node;
    use crate::fixture::node_id;
    use crate::fixture::state;

    fn acting() -> Option<Acting> {
        let identity = "local/uid/0".to_owned();
        let path = "/weft.v1.Control/CreateNetwork";
        Some(Acting::new(identity, Origin::Socket, path))
    }

    #[tokio::test]
    async fn a_change_within_a_call_has_its_actor_and_one_outside_has_none() {
        let state = state(vec![node(1).into()]);
        let changes = [Change::create(network(1))];
        let stamped = || stamp(&state, node_id(1), &changes);
        assert_eq!(stamped(), None);
        let host = &state.node(node_id(1)).unwrap().description.hostname;
        let actor = serve(acting(), async { stamped() }).await.unwrap();
        assert_eq!(actor.identity, "local/uid/0");
        assert_eq!(actor.origin, format!("socket of {host}"));
        assert_eq!(actor.call, "Control/CreateNetwork");
        assert_eq!(actor.summary, "created network net1");
        let spawned = serve(acting(), async {
            let changes = [Change::create(network(1))];
            let state = state.clone();
            tokio::spawn(async move { stamp(&state, node_id(1), &changes) }).await
        });
        assert_eq!(spawned.await.unwrap(), None, "a task of its own is no call");
    }

    #[tokio::test]
    async fn a_handler_may_know_better_and_no_text_is_long() {
        let state = state(Vec::new());
        let actor = serve(acting(), async {
            says("rotated the worker token");
            known_as("ä".repeat(ACTOR_TEXT));
            stamp(&state, node_id(1), &[]).unwrap()
        });
        let actor = actor.await;
        assert_eq!(actor.summary, "rotated the worker token");
        assert_eq!(actor.identity.len(), ACTOR_TEXT);
        assert_eq!(actor.origin, format!("socket of {}", node_id(1).short()));
    }
}
