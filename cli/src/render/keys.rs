//! Keys of encrypted networks: which there are, never what they are.

use crate::render::table;
use crate::render::time;
use serde::Serialize;
use std::time::Duration;
use weft_proto::object::KeyPhase;
use weft_proto::time::Timestamp;
use weft_proto::wire;

/// What `cluster keys` says. The keys of its JSON do not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct KeysInfo {
    /// How old a key gets.
    pub(crate) rotation_ms: u64,
    /// Oldest first.
    pub(crate) epochs: Vec<EpochRow>,
    /// Nodes that are up and do not hold the newest key yet, while it is distributed.
    pub(crate) awaited: Vec<AwaitedRow>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct EpochRow {
    pub(crate) number: u64,
    /// `distributing`, `active` or `retired`.
    pub(crate) phase: String,
    /// In milliseconds of Unix time.
    pub(crate) born: Timestamp,
    pub(crate) since: Timestamp,
}

/// A node that is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AwaitedRow {
    pub(crate) node_id: String,
    pub(crate) hostname: String,
}

/// From what a manager says.
pub(crate) fn info(answer: wire::GetKeysResponse) -> KeysInfo {
    let row = |epoch: &wire::KeyEpoch| EpochRow {
        number: epoch.number,
        phase: KeyPhase::try_from(epoch.phase())
            .map(|phase| phase.to_string())
            .unwrap_or_default(),
        born: Timestamp::from_millis(epoch.born_at_ms),
        since: Timestamp::from_millis(epoch.since_ms),
    };
    let nodes = answer.awaited_node_ids.into_iter();
    let nodes = nodes.zip(answer.awaited_hostnames);
    KeysInfo {
        rotation_ms: answer.rotation_ms,
        epochs: answer.epochs.iter().map(row).collect(),
        awaited: nodes
            .map(|(node_id, hostname)| AwaitedRow { node_id, hostname })
            .collect(),
    }
}

/// The number of the key in use; 0 when there is none.
pub(crate) fn active(info: &KeysInfo) -> u64 {
    let active = info.epochs.iter().find(|epoch| epoch.phase == "active");
    active.map_or(0, |epoch| epoch.number)
}

/// For people.
pub(crate) fn text(info: &KeysInfo, now: Timestamp) -> String {
    let every = time::span(Duration::from_millis(info.rotation_ms));
    if info.epochs.is_empty() {
        return format!(
            "There are no keys yet: the first one is made with the first encrypted network. From \
             then on there is a new one every {every}."
        );
    }
    let line = |epoch: &EpochRow| {
        [
            epoch.number.to_string(),
            table::capital(&epoch.phase),
            time::ago(now, epoch.born),
            time::ago(now, epoch.since),
        ]
    };
    let header = ["EPOCH", "PHASE", "MADE", "IN THIS PHASE SINCE"];
    let epochs = table::table(header, info.epochs.iter().map(line));
    let mut text = format!("{epochs}\n\nThere is a new key every {every}.");
    if let Some(waits) = waits(info) {
        text.push_str(&format!("\n{waits}."));
    }
    text
}

/// What the newest key waits for, in one line.
pub(crate) fn waits(info: &KeysInfo) -> Option<String> {
    let newest = info.epochs.last()?;
    let names = info
        .awaited
        .iter()
        .map(|node| match node.hostname.as_str() {
            "" => node.node_id.as_str(),
            hostname => hostname,
        });
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        return None;
    }
    Some(format!(
        "Epoch {} waits for {}",
        newest.number,
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_184_566_000;

    fn epoch(number: u64, phase: wire::key_epoch::Phase, ago_ms: i64) -> wire::KeyEpoch {
        wire::KeyEpoch {
            number,
            key: Vec::new(),
            born_at_ms: NOW - ago_ms,
            phase: phase.into(),
            since_ms: NOW - ago_ms / 2,
        }
    }

    const KEYS: &str = r"EPOCH   PHASE          MADE             IN THIS PHASE SINCE
6       Retired        24 hours ago     12 hours ago
7       Active         12 hours ago     6 hours ago
8       Distributing   10 seconds ago   5 seconds ago

There is a new key every 12h.
Epoch 8 waits for n2, n3.";

    #[test]
    fn keys_are_shown_by_number_with_those_who_do_not_hold_the_newest() {
        let answer = wire::GetKeysResponse {
            epochs: vec![
                epoch(6, wire::key_epoch::Phase::Retired, 24 * 3_600_000),
                epoch(7, wire::key_epoch::Phase::Active, 12 * 3_600_000),
                epoch(8, wire::key_epoch::Phase::Distributing, 10_000),
            ],
            rotation_ms: 12 * 3_600_000,
            awaited_node_ids: vec!["a".to_owned(), "b".to_owned()],
            awaited_hostnames: vec!["n2".to_owned(), "n3".to_owned()],
            shown: None,
        };
        let info = info(answer);
        assert_eq!(text(&info, Timestamp::from_millis(NOW)), KEYS);
        assert_eq!(active(&info), 7);
        let json = serde_json::to_value(&info).unwrap();
        assert_eq!(json["epochs"][2]["phase"], "distributing");
        assert_eq!(json["awaited"][1]["hostname"], "n3");
    }

    #[test]
    fn a_cluster_without_keys_says_when_there_will_be_some() {
        let info = info(wire::GetKeysResponse {
            rotation_ms: 1_000,
            ..wire::GetKeysResponse::default()
        });
        let text = text(&info, Timestamp::from_millis(NOW));
        assert!(
            text.contains("no keys yet") && text.contains("every 1s"),
            "{text}"
        );
        assert_eq!((active(&info), waits(&info)), (0, None));
    }
}
