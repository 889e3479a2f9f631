//! Keys of the data plane: how old they get, and new ones on request.

use crate::api::cluster;
use crate::api::error::ApiError;
use crate::api::shown;
use crate::propose::retry::Decision;
use crate::store::State;
use std::time::Duration;
use weft_proto::NodeId;
use weft_proto::command::Change;
use weft_proto::convert::ConvertError;
use weft_proto::convert::KEY_ROTATIONS;
use weft_proto::object::Cluster;
use weft_proto::wire;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// A new key now.
    rotate: bool,
    /// How old keys get from now on.
    every: Option<Duration>,
}

/// What was decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decided {
    /// The number of the newest key, as soon as the leader has made it.
    pub(super) epoch: u64,
    /// How old keys get.
    pub(super) every: Duration,
}

impl Wish {
    pub(super) fn read(request: &wire::UpdateKeysRequest) -> Result<Self, ApiError> {
        let every = request.rotation_ms.map(Duration::from_millis);
        if let Some(every) = every.filter(|every| !KEY_ROTATIONS.contains(every)) {
            return Err(ApiError::Field(ConvertError::at(
                "rotation_ms",
                format!(
                    "keys cannot be made anew every {every:?}: use {:?} to 30 days",
                    KEY_ROTATIONS.start()
                ),
            )));
        }
        Ok(Wish {
            rotate: request.rotate,
            every,
        })
    }

    /// What it is, for those who look at who did what.
    pub(super) fn words(self) -> String {
        let every = self.every.map(|every| format!("a new one every {every:?}"));
        let now = self.rotate.then(|| "a new one now".to_owned());
        let parts: Vec<String> = now.into_iter().chain(every).collect();
        format!("keys of encrypted networks: {}", parts.join(", "))
    }

    /// The leader makes the key: here it is only written down that there should be one. While one
    /// is being distributed, that is the new one.
    pub(super) fn decide(self, state: &State) -> Result<Decision<Decided>, ApiError> {
        let old = cluster::get(state)?;
        let mut cluster = Cluster::clone(&old);
        let ring = state.key_ring();
        let newest = ring.map_or(0, |ring| ring.newest());
        let under_way = ring.is_some_and(|ring| ring.distributing().is_some());
        if self.rotate && !under_way {
            cluster.keys_wanted = cluster.keys_wanted.max(newest + 1);
        }
        cluster.settings.key_rotation = self.every.unwrap_or(cluster.settings.key_rotation);
        let outcome = Decided {
            epoch: newest.max(cluster.keys_wanted),
            every: cluster.settings.key_rotation,
        };
        let changes = if cluster == *old {
            Vec::new()
        } else {
            vec![Change::update(cluster)]
        };
        Ok(Decision { changes, outcome })
    }
}

/// Which keys there are, and which nodes the leader waits for.
pub(super) fn get(state: &State, awaited: &[NodeId]) -> Result<wire::GetKeysResponse, ApiError> {
    let ring = state.key_ring();
    // What was heard may be older than the state.
    let waiting = ring.is_some_and(|ring| ring.distributing().is_some());
    let awaited = awaited.iter().filter(|_| waiting);
    let nodes: Vec<_> = awaited.filter_map(|id| state.node(*id)).collect();
    let rotation = cluster::get(state)?.settings.key_rotation;
    Ok(wire::GetKeysResponse {
        epochs: ring.map(|ring| shown::epochs(ring)).unwrap_or_default(),
        rotation_ms: u64::try_from(rotation.as_millis()).unwrap_or(u64::MAX),
        awaited_node_ids: nodes.iter().map(|node| node.id.to_string()).collect(),
        awaited_hostnames: nodes
            .iter()
            .map(|node| node.description.hostname.clone())
            .collect(),
        shown: None,
    })
}
