//! Join tokens that are made for a purpose, and the machines that wait with them.

use crate::api::cluster;
use crate::api::error::ApiError;
use crate::api::target;
use crate::ca;
use crate::propose::retry::Decision;
use crate::store::State;
use std::sync::Arc;
use std::time::Duration;
use weft_pki::JoinToken;
use weft_pki::TokenSecret;
use weft_proto::JoinTokenId;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::command::Change;
use weft_proto::convert::ConvertError;
use weft_proto::convert::labels;
use weft_proto::object::IssuedToken;
use weft_proto::object::Meta;
use weft_proto::object::PendingNode;
use weft_proto::spec::Labels;
use weft_proto::time::Timestamp;
use weft_proto::wire;

/// Most tokens at a time, about a kilobyte each: nobody needs so many that are of use.
const MAX_TOKENS: usize = 1024;
/// Tokens of no more use are kept for so long, to be looked at; then they go when others are made.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Longest name, in bytes, and longest label key or value; they are replicated.
const MAX_TEXT: usize = 253;
/// Most labels of a token.
const MAX_LABELS: usize = 64;

/// What a token is to be good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    role: Role,
    name: String,
    ttl: Option<Duration>,
    uses: Option<u32>,
    labels: Labels,
    approve: bool,
}

impl Order {
    /// Reads what was asked for.
    pub(super) fn read(
        role: Role,
        request: wire::CreateJoinTokenRequest,
    ) -> Result<Self, ApiError> {
        let labels = labels(request.labels)?;
        let texts = labels.iter().flat_map(|(key, value)| [key, value]);
        for text in texts.chain([&request.name]) {
            if text.len() > MAX_TEXT {
                let why = format!("a text has {} bytes, at most {MAX_TEXT}", text.len());
                return Err(ConvertError::new(why).within("name or labels").into());
            }
        }
        if labels.len() > MAX_LABELS {
            let why = format!("there are {}, at most {MAX_LABELS}", labels.len());
            return Err(ConvertError::new(why).within("labels").into());
        }
        Ok(Order {
            role,
            name: request.name,
            ttl: Some(Duration::from_millis(request.ttl_ms)).filter(|ttl| !ttl.is_zero()),
            uses: Some(request.uses).filter(|uses| *uses > 0),
            labels,
            approve: request.approve,
        })
    }
}

/// A token that was made. Its text is told once, and kept nowhere.
pub(super) struct Made {
    pub(super) text: String,
    pub(super) token: IssuedToken,
}

/// Makes a token, and forgets those that have been of no use for a day.
pub(super) fn create(
    state: &State,
    order: &Order,
    secret: &TokenSecret,
    now: Timestamp,
) -> Result<Decision<Made>, ApiError> {
    let cluster = cluster::get(state)?;
    let stale: Vec<Change> = state
        .join_tokens()
        .filter(|token| is_stale(token, now))
        .map(|token| Change::remove(IssuedToken::clone(token)))
        .collect();
    if state.join_tokens().count() - stale.len() >= MAX_TOKENS {
        return Err(ApiError::TooManyTokens(MAX_TOKENS));
    }
    let root = cluster::root(&cluster)?.digest();
    let text = JoinToken::new(order.role, cluster.id, root, secret.clone());
    let token = IssuedToken {
        meta: Meta::default(),
        id: secret.id(),
        role: order.role,
        sha256: *text.verifier().sha256(),
        name: order.name.clone(),
        expires: order.ttl.map(|ttl| now.after(ttl)),
        uses_left: order.uses,
        used: 0,
        labels: order.labels.clone(),
        approve: order.approve,
        pending: Vec::new(),
    };
    let create = Change::create(token.clone());
    Ok(Decision {
        changes: stale.into_iter().chain([create]).collect(),
        outcome: Made {
            text: text.reveal().as_str().to_owned(),
            token,
        },
    })
}

/// Of no use for a day, and nobody waits with it.
fn is_stale(token: &IssuedToken, now: Timestamp) -> bool {
    let expired = token.expires.is_some_and(|at| now.since(at) > KEPT);
    let used_up = token.is_used_up() && now.since(token.meta.updated_at) > KEPT;
    (expired || used_up) && token.waiting().next().is_none()
}

/// All of them, the oldest first.
pub(super) fn list(state: &State) -> Vec<Arc<IssuedToken>> {
    let mut tokens: Vec<_> = state.join_tokens().cloned().collect();
    tokens.sort_by_key(|token| (token.meta.created_at, token.id));
    tokens
}

/// Takes a token out of use. Nodes that joined with it stay; who waits with it waits no longer.
pub(super) fn remove(state: &State, target: &str) -> Result<Decision<JoinTokenId>, ApiError> {
    let all = state.join_tokens();
    let all = all.map(|token| (token.id, token.name.clone(), token.clone()));
    let token = target::find("join token", target, all)?;
    Ok(Decision {
        changes: vec![Change::remove(IssuedToken::clone(&token))],
        outcome: token.id,
    })
}

/// The machines that wait for a person's word, in the order of their identifiers, and what each is
/// to be.
pub(super) fn waiting(state: &State) -> Vec<wire::WaitingNode> {
    let mut all: Vec<wire::WaitingNode> = each_waiting(state)
        .map(|(token, node)| wire::WaitingNode {
            node: Some(node.into()),
            role: wire::NodeRole::from(token.role).into(),
            token_id: token.id.to_string(),
            labels: labels_of(token),
        })
        .collect();
    all.sort_by(|a, b| id(a).cmp(id(b)));
    all
}

fn id(node: &wire::WaitingNode) -> &str {
    node.node.as_ref().map_or("", |node| node.id.as_str())
}

fn labels_of(token: &IssuedToken) -> Vec<wire::Label> {
    let labels = token.labels.iter();
    let label = |(key, value): (&String, &String)| wire::Label {
        key: key.clone(),
        value: value.clone(),
    };
    labels.map(label).collect()
}

fn each_waiting(state: &State) -> impl Iterator<Item = (&Arc<IssuedToken>, &PendingNode)> {
    let tokens = state.join_tokens();
    tokens.flat_map(|token| token.waiting().map(move |node| (token, node)))
}

/// Who was decided about.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    pub(super) id: NodeId,
    pub(super) hostname: String,
    pub(super) role: Role,
    pub(super) token: JoinTokenId,
}

/// Lets a waiting machine in, or says no.
pub(super) fn decide(
    state: &State,
    target: &str,
    accept: bool,
    now: Timestamp,
) -> Result<Decision<Decided>, ApiError> {
    let all = each_waiting(state);
    let all = all.map(|(token, node)| (node.id, node.description.hostname.clone(), (token, node)));
    let (token, node) = target::find("waiting node", target, all)?;
    let changes = if accept {
        ca::accept(state, token, node, now)?.changes
    } else {
        ca::reject(token, node).changes
    };
    Ok(Decision {
        changes,
        outcome: Decided {
            id: node.id,
            hostname: node.description.hostname.clone(),
            role: token.role,
            token: token.id,
        },
    })
}
