//! What a node says about itself when its session begins.

use crate::dispatcher::Pace;
use crate::propose::ProposeError;
use crate::propose::Proposer;
use crate::store::Claim;
use crate::store::State;
use ipnet::IpNet;
use std::net::IpAddr;
use tonic::Status;
use weft_proto::Name;
use weft_proto::NodeId;
use weft_proto::command::Change;
use weft_proto::key::TunnelKey;
use weft_proto::object::Node;
use weft_proto::object::NodeDescription;
use weft_proto::object::NodeState;
use weft_proto::object::ObjectKey;
use weft_proto::spec::Generic;
use weft_proto::wire;

/// Longest host name there is (RFC 1035 s. 2.3.4), and far more than the other texts need: they are
/// replicated, so a node cannot fill the log with them.
const MAX_TEXT: usize = 253;

/// Most kinds of things that are only counted: far more than a machine has.
const MAX_GENERIC: usize = 64;

/// What a node says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Introduction {
    description: NodeDescription,
    data_addr: IpAddr,
    tunnel_key: Option<TunnelKey>,
    /// Drawn by the agent at its start; 0: it is of an earlier release.
    pub(super) instance: u64,
}

impl Introduction {
    /// Reads the first message of a session.
    pub(super) fn read(hello: wire::Hello) -> Result<Self, Status> {
        let description = hello
            .description
            .ok_or_else(|| Status::invalid_argument("hello.description is missing"))?;
        let data_addr: IpAddr = hello.data_addr.parse().map_err(|_| {
            Status::invalid_argument("hello.data_addr is no IP address such as 192.0.2.7")
        })?;
        if data_addr.is_unspecified() || data_addr.is_multicast() {
            return Err(Status::invalid_argument(format!(
                "hello.data_addr is {data_addr}, where no packets can be sent to: use an address \
                 of the node"
            )));
        }
        let mut description = NodeDescription::from(description);
        for text in [
            &mut description.hostname,
            &mut description.os,
            &mut description.arch,
            &mut description.version,
        ] {
            shorten(text, MAX_TEXT);
        }
        description.runtimes.dedup();
        description.generic = known(std::mem::take(&mut description.generic));
        let tunnel_key =
            match hello.tunnel_key.as_slice() {
                [] => None,
                bytes => Some(TunnelKey::try_from(bytes).map_err(|error| {
                    Status::invalid_argument(format!("hello.tunnel_key {error}"))
                })?),
            };
        Ok(Introduction {
            description,
            data_addr,
            tunnel_key,
            instance: hello.instance,
        })
    }

    /// Whether this may be another machine than the node that is there.
    fn is_another(&self, view: &State, node: NodeId) -> bool {
        view.node(node).is_some_and(|node| {
            node.status.state == NodeState::Ready
                && (node.description.hostname != self.description.hostname
                    || node.data_addr != self.data_addr)
        })
    }

    /// The node as it should be; `None` when the state says so already, or has no such node.
    fn change(&self, view: &State, node: NodeId) -> Option<Change> {
        let node = view.node(node)?;
        // Another node's key is not this one's: its files were copied, or it lies.
        let tunnel_key = self.tunnel_key.filter(|key| {
            let holder = view.holder(&Claim::TunnelKey(*key));
            holder.is_none_or(|holder| holder == ObjectKey::Node(node.id))
        });
        if tunnel_key != self.tunnel_key {
            tracing::warn!(node = %node.id, "it tells another node's tunnel key, which is left out");
        }
        let data_addr = self.address(view, node);
        if node.description == self.description
            && node.data_addr == data_addr
            && node.tunnel_key == tunnel_key
        {
            return None;
        }
        let mut node = Node::clone(node);
        node.description = self.description.clone();
        node.data_addr = data_addr;
        node.tunnel_key = tunnel_key;
        Some(Change::update(node))
    }

    /// Where others send the node's packets from now on: where it says, unless that is another node's
    /// address or one of tasks. Whoever has a node's certificate cannot draw another's traffic to
    /// itself.
    fn address(&self, view: &State, node: &Node) -> IpAddr {
        let addr = self.data_addr;
        let theirs = view.nodes().find(|other| {
            let lives = other.status.state != NodeState::Down;
            other.id != node.id && other.data_addr == addr && lives
        });
        let pool = view.cluster().map(|cluster| cluster.settings.ingress_pool);
        let of_tasks = pool.is_some_and(|pool| IpNet::V4(pool).contains(&addr))
            || view
                .networks()
                .any(|network| network.subnet.contains(&addr));
        if addr != node.data_addr && (theirs.is_some() || of_tasks) {
            let holder = theirs.map(|other| other.id);
            tracing::warn!(node = %node.id, %addr, ?holder, "a node says an address that cannot be its own; its old one is kept");
            return node.data_addr;
        }
        addr
    }

    /// Makes it state, however long that takes: the session goes on meanwhile.
    pub(super) async fn record(&self, proposer: &dyn Proposer, node: NodeId, pace: &Pace) {
        let mut proven = false;
        loop {
            let done = match proposer.fresh_view().await {
                Err(error) => Err(error),
                Ok(view) if !proven && self.is_another(&view, node) => {
                    tokio::time::sleep(pace.probation).await;
                    proven = true;
                    continue;
                }
                Ok(view) => match self.change(&view, node) {
                    None => Ok(0),
                    Some(change) => proposer.propose(vec![change]).await,
                },
            };
            match done {
                Ok(_) => return,
                Err(ProposeError::Conflict(conflict)) => {
                    tracing::debug!(%node, %conflict, "its description changed meanwhile, again");
                }
                Err(error @ ProposeError::NoLeader(_)) => {
                    tracing::debug!(%node, %error, "its description waits");
                }
                Err(error @ (ProposeError::TooLarge(_) | ProposeError::Stopping)) => {
                    tracing::warn!(%node, %error, "its description was not recorded");
                    return;
                }
            }
            tokio::time::sleep(pace.retry).await;
        }
    }
}

/// The first so many of those that a service can ask for.
fn known(generic: Generic) -> Generic {
    let named = generic
        .into_iter()
        .filter(|(name, count)| *count > 0 && name.parse::<Name>().is_ok());
    named.take(MAX_GENERIC).collect()
}

/// Cuts a text at a character's border, at most `max` bytes in.
pub(super) fn shorten(text: &mut String, max: usize) {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_node_can_move_but_not_to_an_address_of_others() {
        let (one, two) = (fixture::node(1), fixture::node(2));
        let mut dead = fixture::node(3);
        dead.status.state = NodeState::Down;
        let (theirs, deads) = (one.data_addr, dead.data_addr);
        let view = fixture::state(vec![
            fixture::cluster().into(),
            one.into(),
            two.clone().into(),
            dead.into(),
            fixture::network(1).into(),
        ]);
        let known = view.node(two.id).unwrap();
        let moved = |addr: IpAddr| {
            let said = Introduction {
                description: two.description.clone(),
                data_addr: addr,
                tunnel_key: None,
                instance: 0,
            };
            said.address(&view, known)
        };
        assert_eq!(moved(theirs), two.data_addr, "another node's");
        for tasks in ["10.0.1.7", "10.255.3.4"] {
            assert_eq!(moved(tasks.parse().unwrap()), two.data_addr, "{tasks}");
        }
        let free = "198.51.100.7".parse().unwrap();
        assert_eq!(moved(free), free);
        assert_eq!(moved(deads), deads, "its machine may be this one's now");
    }

    #[test]
    fn a_node_has_only_so_many_kinds_of_things_and_only_such_as_can_be_asked_for() {
        let few = [("gpu", 2), ("", 1), ("No Name", 1), ("none", 0)];
        let few = few.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(known(few.into()), Generic::from([("gpu".to_owned(), 2)]));
        let many = (0..1000).map(|n| (format!("kind{n}"), 1)).collect();
        assert_eq!(known(many).len(), MAX_GENERIC);
    }
}
