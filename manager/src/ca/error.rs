//! Why a node gets no certificate.

use crate::allocator::AllocateError;
use crate::propose::ProposeError;
use ipnet::IpNet;
use std::net::IpAddr;
use std::time::Duration;
use tonic::Status;
use weft_pki::AuthorityError;
use weft_pki::IssueError;
use weft_pki::ParseTokenError;
use weft_pki::proof::ProofError;
use weft_proto::ClusterId;
use weft_proto::JoinTokenId;
use weft_proto::Name;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::object::NodeState;

/// An address that a node cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// A manager that does not say where it is reached.
    #[error("a manager must say where its peers reach it: give --advertise-addr")]
    NoAdvertise,
    /// Not an address.
    #[error("{flag} {text:?} is no address: write it like {example}")]
    Unreadable {
        /// Where it was given.
        flag: &'static str,
        /// What was given, shortened.
        text: String,
        /// A good one.
        example: &'static str,
    },
    /// An address that means no single machine.
    #[error("{flag} {addr} cannot be reached by other nodes: give this machine's own address")]
    Unreachable {
        /// Where it was given.
        flag: &'static str,
        /// The address.
        addr: IpAddr,
    },
    /// Port zero.
    #[error("{flag} has port 0: give the port that the daemon listens on, 2377 unless changed")]
    NoPort {
        /// Where it was given.
        flag: &'static str,
    },
    /// Tasks would take the address for one of theirs.
    #[error(
        "address {addr} lies in the ingress pool {pool}: tasks could not reach this node; use \
         another address, or another --ingress-pool when the cluster is made"
    )]
    InIngress {
        /// The node's address.
        addr: IpAddr,
        /// The pool.
        pool: IpNet,
    },
    /// Tasks would take the address for one of theirs.
    #[error(
        "address {addr} lies in subnet {subnet} of network {network}: tasks could not reach this \
         node; use another address or remove that network"
    )]
    InNetwork {
        /// The node's address.
        addr: IpAddr,
        /// The network's addresses.
        subnet: IpNet,
        /// The network's name.
        network: Name,
    },
    /// Another machine has it.
    #[error(
        "address {addr} belongs to node {node}, which is {state}: give this machine an address of \
         its own; if it is that node, stop it and remove it first (weft node rm --force {id})"
    )]
    Taken {
        /// The address.
        addr: IpAddr,
        /// The other node's host name.
        node: String,
        /// The other node.
        id: NodeId,
        /// How it is.
        state: NodeState,
    },
}

/// A certificate that is not issued. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaError {
    #[error(transparent)]
    TokenText(#[from] ParseTokenError),
    #[error(
        "this join token is one of cluster {theirs}, but this manager is of cluster {ours}: take \
         the address of a manager of that cluster, or a token of this one (weft cluster join-token)"
    )]
    OtherCluster { theirs: ClusterId, ours: ClusterId },
    #[error(
        "this join token is not valid: it was rotated, or never issued; get the current one with \
         `weft cluster join-token {role}` on a manager"
    )]
    TokenRefused { role: Role },
    #[error(
        "this join token has expired: make another one with `weft cluster join-token create` on a \
         manager (token {})", .0.short()
    )]
    TokenExpired(JoinTokenId),
    #[error(
        "this join token is used up, {used} nodes joined with it: make another one with `weft \
         cluster join-token create` on a manager (token {})", .id.short()
    )]
    TokenUsedUp { id: JoinTokenId, used: u32 },
    #[error("this machine ({}) was not let into the cluster: ask whoever runs it", .0.short())]
    Rejected(NodeId),
    #[error(
        "too many machines wait to be let in with this join token: accept or reject some (`weft \
         node ls`, `weft node accept`, `weft node reject`), or remove the token (`weft cluster \
         join-token rm {}`)", .0.short()
    )]
    Crowded(JoinTokenId),
    #[error("too many nodes join at this moment: try again in {} s", .0.as_secs() + 1)]
    Busy(Duration),
    #[error("the request has no {0}")]
    Incomplete(&'static str),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("no certificate can be made for this request: {0}")]
    Issue(#[from] IssueError),
    #[error(
        "renewing needs a connection with the node's own certificate: if it has expired, join again"
    )]
    NoIdentity,
    #[error("node {node} is not one of cluster {ours}")]
    Stranger { node: NodeId, ours: ClusterId },
    #[error(
        "node {0} was removed from the cluster: run `weft cluster leave --force` on it, then join \
         it again with a token"
    )]
    Removed(NodeId),
    #[error(
        "this node cannot be taken for who it says it is ({0}): if it really was a member, run `weft \
         cluster leave --force` on it and join it as a new node"
    )]
    Proof(#[from] ProofError),
    #[error(
        "node {node} is a {role}, and this token is for a {given}: take one from `weft cluster \
         join-token {role}`"
    )]
    OtherRole {
        node: NodeId,
        role: Role,
        given: Role,
    },
    #[error("the cluster has no state yet: run `weft cluster init` first")]
    NoCluster,
    #[error("the cluster's own root cannot be read; restore the managers from a backup")]
    Root(#[from] AuthorityError),
    #[error(
        "the cluster's own join token cannot be read; rotate it with `weft cluster join-token \
         --rotate {role}`"
    )]
    StoredToken {
        role: Role,
        #[source]
        source: ParseTokenError,
    },
    #[error(transparent)]
    Allocate(#[from] AllocateError),
    #[error(transparent)]
    Propose(#[from] ProposeError),
}

impl From<CaError> for Status {
    fn from(error: CaError) -> Status {
        let text = error.to_string();
        match error {
            CaError::TokenText(_) | CaError::Incomplete(_) => Status::invalid_argument(text),
            CaError::Address(AddressError::Taken { .. }) => Status::already_exists(text),
            CaError::Address(_) => Status::invalid_argument(text),
            CaError::OtherCluster { .. }
            | CaError::TokenRefused { .. }
            | CaError::TokenExpired(_)
            | CaError::TokenUsedUp { .. }
            | CaError::Rejected(_)
            | CaError::Stranger { .. }
            | CaError::Proof(_)
            | CaError::OtherRole { .. }
            | CaError::Removed(_) => Status::permission_denied(text),
            CaError::Busy(_) | CaError::Crowded(_) => Status::resource_exhausted(text),
            CaError::NoIdentity => Status::unauthenticated(text),
            CaError::NoCluster => Status::failed_precondition(text),
            CaError::Issue(
                IssueError::RequestTooLong { .. }
                | IssueError::BadRequest(_)
                | IssueError::UnsupportedKey,
            ) => Status::invalid_argument(text),
            CaError::Issue(
                IssueError::OtherCluster { .. }
                | IssueError::Dates
                | IssueError::Serial(_)
                | IssueError::Sign(_),
            )
            | CaError::Root(_)
            | CaError::StoredToken { .. } => Status::internal(text),
            CaError::Allocate(error) => error.into(),
            CaError::Propose(error) => error.into(),
        }
    }
}
