//! Why a request is refused: what, why, and what to do.

use crate::allocator::AllocateError;
use crate::api::material::MaterialError;
use crate::api::target::TargetError;
use crate::ca::CaError;
use crate::propose::ProposeError;
use crate::quorum::MustStay;
use ipnet::IpNet;
use tonic::Status;
use weft_proto::Name;
use weft_proto::NetworkId;
use weft_proto::convert::ConvertError;
use weft_proto::object::NodeState;
use weft_proto::spec::Protocol;

/// A request that was refused. Nothing has changed, except after [`ProposeError::NoLeader`], when
/// it is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("the request has no {0}")]
    Incomplete(&'static str),
    #[error(transparent)]
    Field(#[from] ConvertError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Material(#[from] MaterialError),
    #[error(transparent)]
    Allocate(#[from] AllocateError),
    #[error(transparent)]
    Propose(#[from] ProposeError),
    #[error("there is a {kind} {name} already: choose another name, or remove that one first")]
    NameTaken { kind: &'static str, name: Name },
    #[error(
        "subnet {subnet} overlaps {theirs} of network {network}: choose another --subnet, or leave \
         it out and get a free one"
    )]
    SubnetOverlaps {
        subnet: IpNet,
        theirs: IpNet,
        network: Name,
    },
    #[error(
        "network {0} cannot be encrypted: no node of this cluster can do that yet. Nothing was \
         created; with \"--opt encrypted=false\" what its tasks say is in clear text between nodes"
    )]
    CannotEncrypt(Name),
    #[error("network {network} cannot be removed: it is used by {user}; {remedy}")]
    NetworkUsed {
        network: Name,
        user: String,
        remedy: &'static str,
    },
    #[error(
        "port {port}/{protocol} cannot be published: the cluster itself uses it on every node; \
         choose another one"
    )]
    PortReserved { port: u16, protocol: Protocol },
    #[error(
        "port {port}/{protocol} is asked for in both modes: with mode host the task's node answers \
         it, with mode ingress every node does; leave one out"
    )]
    PortInBothModes { port: u16, protocol: Protocol },
    #[error("{what} means nothing for a service of mode {mode}: {why}")]
    Meaningless {
        what: &'static str,
        mode: String,
        why: &'static str,
    },
    #[error(
        "service {name} is of mode {from} and cannot become {to}: remove it and create it anew, or \
         create another one beside it"
    )]
    ModeChange {
        name: Name,
        from: String,
        to: String,
    },
    #[error(
        "you are limited to stack {stack}, and this {kind} is not one of it: give it the label \
         (--label {label}={stack})"
    )]
    OtherStack {
        kind: &'static str,
        stack: Name,
        label: &'static str,
    },
    #[error("only admins change the role of a node: ask one")]
    RolesAreForAdmins,
    #[error("service {name} has no previous spec to return to: {why}")]
    NoPrevious { name: Name, why: &'static str },
    #[error(
        "service {name} cannot return to its previous spec: its network {network} was removed; \
         create one and change the service with \"weft service update\""
    )]
    NoWayBack { name: Name, network: NetworkId },
    #[error("service {0} cannot be renamed: create one with the new name and remove this one")]
    Rename(Name),
    #[error(
        "service {name} was changed meanwhile: its version is {found}, not {expected}; look at it \
         again (weft service inspect {name}) and repeat the change"
    )]
    Outdated {
        name: Name,
        found: u64,
        expected: u64,
    },
    #[error(
        "node {node} is {state} and cannot be removed: stop its daemon first and wait until it is \
         down, or remove it with --force"
    )]
    NodeNotDown { node: String, state: NodeState },
    #[error(
        "node {node} is a manager and cannot be removed: demote it first (weft node demote), or run \
         `weft cluster leave` on it; if it is gone for good, wait until it is down and remove it \
         with --force"
    )]
    NodeManages { node: String },
    #[error(
        "node {node} cannot revoke itself: run the command on another manager, or take this node out \
         with `weft cluster leave`"
    )]
    RevokesItself { node: String },
    #[error("this very request has made the {0}, and it was removed since")]
    MadeAndGone(&'static str),
    #[error(
        "this manager is at revision {found} and has not come to {wanted}: ask another manager, or \
         try again when it reaches the others"
    )]
    Behind { wanted: u64, found: u64 },
    #[error(
        "node {node} is just being made a worker: wait until `weft node ls` shows it as one, then \
         promote it again"
    )]
    StillManages { node: String },
    #[error(transparent)]
    Enrol(#[from] CaError),
    #[error(
        "there are {0} join tokens already: remove some first (weft cluster join-token ls, weft cluster \
         join-token rm)"
    )]
    TooManyTokens(usize),
    #[error(transparent)]
    MustStay(#[from] MustStay),
    #[error("the cluster's root certificate cannot be read; restore the managers from a backup")]
    Root(#[source] weft_pki::RootError),
    #[error("no new join token can be made")]
    Token(#[source] weft_pki::EntropyError),
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Status {
        let text = error.to_string();
        match error {
            ApiError::Incomplete(_)
            | ApiError::Field(_)
            | ApiError::SubnetOverlaps { .. }
            | ApiError::PortReserved { .. }
            | ApiError::PortInBothModes { .. }
            | ApiError::Meaningless { .. }
            | ApiError::ModeChange { .. }
            | ApiError::Rename(_) => Status::invalid_argument(text),
            ApiError::Target(error) => error.into(),
            ApiError::Material(error) => error.into(),
            ApiError::Allocate(error) => error.into(),
            ApiError::Propose(error) => error.into(),
            ApiError::Enrol(error) => error.into(),
            ApiError::NameTaken { .. } => Status::already_exists(text),
            ApiError::NetworkUsed { .. }
            | ApiError::CannotEncrypt(_)
            | ApiError::NoPrevious { .. }
            | ApiError::NoWayBack { .. }
            | ApiError::NodeNotDown { .. }
            | ApiError::NodeManages { .. }
            | ApiError::RevokesItself { .. }
            | ApiError::StillManages { .. }
            | ApiError::TooManyTokens(_)
            | ApiError::MustStay(_) => Status::failed_precondition(text),
            ApiError::OtherStack { .. } | ApiError::RolesAreForAdmins => {
                Status::permission_denied(text)
            }
            ApiError::Outdated { .. } => Status::aborted(text),
            ApiError::MadeAndGone(_) => Status::not_found(text),
            ApiError::Behind { .. } => Status::unavailable(text),
            ApiError::Root(_) | ApiError::Token(_) => Status::internal(text),
        }
    }
}
