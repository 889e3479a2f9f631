//! How a cluster begins.

use crate::ca::addr;
use crate::ca::enrol::new_node;
use crate::ca::error::AddressError;
use std::fmt;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::SystemTime;
use weft_pki::Credentials;
use weft_pki::CredentialsError;
use weft_pki::EntropyError;
use weft_pki::IssueError;
use weft_pki::JoinToken;
use weft_pki::KeyError;
use weft_pki::NodeIdentity;
use weft_pki::PrivateKey;
use weft_pki::RequestError;
use weft_pki::Root;
use weft_pki::RootError;
use weft_pki::TokenSecret;
use weft_pki::certificate_request;
use weft_pki::issue;
use weft_proto::ClusterId;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::addr::NodeNumber;
use weft_proto::addr::NodeNumberError;
use weft_proto::command::Change;
use weft_proto::object::Cluster;
use weft_proto::object::ClusterSettings;
use weft_proto::object::ManagerStatus;
use weft_proto::object::Meta;
use weft_proto::object::NodeDescription;

/// The raft id of the first manager.
const FIRST_RAFT_ID: u64 = 1;

/// What a cluster begins from.
#[derive(Clone, Debug)]
pub struct Founding {
    /// Settings of the new cluster.
    pub settings: ClusterSettings,
    /// What its first machine says about itself.
    pub description: NodeDescription,
    /// Where other nodes will send that machine's packets of networks.
    pub data_addr: IpAddr,
    /// Where other nodes will reach it.
    pub advertise_addr: SocketAddr,
    /// From when its certificate is valid.
    pub now: SystemTime,
    /// Random bits that name the cluster.
    pub cluster: u128,
    /// Random bits that name the node.
    pub node: u128,
}

/// A cluster that begins.
pub struct Founded {
    /// The cluster and its first node, as the first transaction of the log.
    pub changes: Vec<Change>,
    /// What the first node proves its identity with.
    pub credentials: Credentials,
    /// The first node's identity in the log.
    pub raft_id: u64,
    /// For the next machines; secret.
    pub worker_token: String,
}

/// A cluster that cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The machine's address cannot be that of a node.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No root.
    #[error("cannot make the cluster's root")]
    Root(#[from] RootError),
    /// No secret for a join token.
    #[error("cannot make a join token")]
    Token(#[from] EntropyError),
    /// No key for the node.
    #[error("cannot make the node's private key")]
    Key(#[from] KeyError),
    /// No certificate request.
    #[error("cannot ask for the node's certificate")]
    Request(#[from] RequestError),
    /// No certificate.
    #[error("cannot issue the node's certificate")]
    Issue(#[from] IssueError),
    /// The chain could not be used.
    #[error("the node's new certificate cannot be used")]
    Credentials(#[from] CredentialsError),
    /// Never: the first number is not zero.
    #[error("the first node has no number")]
    Number(#[from] NodeNumberError),
}

/// Makes everything a new cluster begins with: its identity, root and join tokens, and its first
/// node, a manager. Nothing is written; `changes` become state when they are proposed.
///
/// # Errors
/// An address that no node can have, or a machine without randomness or with an impossible clock.
pub fn bootstrap(founding: Founding) -> Result<Founded, BootstrapError> {
    let now = founding.now;
    addr::check_reachable(addr::DATA, founding.data_addr)?;
    addr::check_advertise(founding.advertise_addr)?;
    addr::check_ingress(founding.data_addr, founding.settings.ingress_pool)?;
    let identity = NodeIdentity {
        cluster: ClusterId::from_entropy(founding.cluster),
        role: Role::Manager,
        node: NodeId::from_entropy(founding.node),
    };
    let root = Root::create(identity.cluster, now)?;
    let key = PrivateKey::generate()?;
    let request = certificate_request(&key)?;
    let ttl = founding.settings.certificate_ttl;
    let chain = issue(&root, &request, &identity, now, ttl)?;
    let credentials = Credentials::new(key, chain, root.cert().clone())?;
    let worker_token = new_token(Role::Worker, &root)?;
    let cluster = Cluster {
        meta: Meta::default(),
        id: identity.cluster,
        root_certificate: root.cert().der().as_ref().to_vec(),
        root_key: root.key_pem().as_str().to_owned(),
        worker_token: worker_token.clone(),
        manager_token: new_token(Role::Manager, &root)?,
        next_raft_id: FIRST_RAFT_ID + 1,
        settings: founding.settings,
        keys_wanted: 0,
    };
    let manager = ManagerStatus {
        raft_id: FIRST_RAFT_ID,
        addr: founding.advertise_addr,
    };
    let node = new_node(
        identity.node,
        founding.description,
        NodeNumber::try_from(1)?,
        founding.data_addr,
        Some(manager),
        now.into(),
    );
    Ok(Founded {
        changes: vec![Change::create(cluster), Change::create(node)],
        credentials,
        raft_id: FIRST_RAFT_ID,
        worker_token,
    })
}

fn new_token(role: Role, root: &Root) -> Result<String, EntropyError> {
    let cert = root.cert();
    let token = JoinToken::new(role, cert.cluster(), cert.digest(), TokenSecret::random()?);
    Ok(token.reveal().as_str().to_owned())
}

impl fmt::Debug for Founded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Founded")
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}
