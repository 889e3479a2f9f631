//! The root of all certificates, and how far its change is.

use crate::render::table;
use crate::render::time;
use serde::Serialize;
use std::time::Duration;
use weft_proto::time::Timestamp;
use weft_proto::wire;
use weft_proto::wire::root_rotation::Stage;

/// What `cluster ca` says. The keys of its JSON do not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Ca {
    /// Hash of the root certificate, as in join tokens.
    pub(crate) root_digest: String,
    pub(crate) expires: String,
    /// How long certificates of nodes are valid.
    pub(crate) certificate_ttl: String,
    /// The root certificate, PEM.
    pub(crate) root: String,
    /// Null while none is under way.
    pub(crate) rotation: Option<Rotation>,
    #[serde(skip)]
    begun: Option<String>,
}

/// A change to another root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Rotation {
    /// `spreading`, `issuing` or `returning`.
    pub(crate) stage: &'static str,
    /// Hash of the other root.
    pub(crate) new_root_digest: String,
    pub(crate) started: String,
    /// How many nodes there are.
    pub(crate) nodes: u32,
    /// Those that the present stage waits for.
    pub(crate) waiting: Vec<Waiting>,
}

/// A node that the change waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Waiting {
    pub(crate) node_id: String,
    pub(crate) hostname: String,
    /// `ready`, `down` or `unknown`.
    pub(crate) status: String,
    pub(crate) reason: String,
}

fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Spreading => "spreading",
        Stage::Issuing => "issuing",
        Stage::Returning => "returning",
        Stage::Unspecified => "unknown",
    }
}

fn meaning(stage: Stage) -> &'static str {
    match stage {
        Stage::Spreading => "nodes learn to trust the new root",
        Stage::Issuing => "nodes get certificates of the new root",
        Stage::Returning => "called off: nodes get certificates of the old root again",
        Stage::Unspecified => "a stage of a newer version",
    }
}

/// Names at most so many nodes in a line.
const NAMED: usize = 5;

/// One line about a change: `Stage 1 of 2: nodes learn to trust the new root; 2 of 3 are ready ...`.
pub(crate) fn progress(progress: &wire::RotationProgress) -> String {
    let stage = progress.stage();
    let number = match stage {
        Stage::Spreading => "Stage 1 of 2: ",
        Stage::Issuing => "Stage 2 of 2: ",
        Stage::Returning | Stage::Unspecified => "",
    };
    let all = usize::try_from(progress.nodes).unwrap_or(usize::MAX);
    let ready = all.saturating_sub(progress.waiting.len());
    let mut line = format!("{number}{}; {ready} of {all} are ready", meaning(stage));
    let named = progress.waiting.iter().take(NAMED);
    let named: Vec<_> = named
        .map(|node| format!("{} ({})", node.hostname, node.state))
        .collect();
    if !named.is_empty() {
        line.push_str(&format!(", waiting for {}", named.join(", ")));
    }
    match progress.waiting.len().saturating_sub(NAMED) {
        0 => line,
        more => format!("{line} and {more} more"),
    }
}

/// From what a manager says.
pub(crate) fn ca(answer: wire::GetCaResponse, now: Timestamp) -> Ca {
    let ttl = Duration::from_millis(answer.certificate_ttl_ms);
    let begun = answer.rotation.as_ref().map(|rotation| {
        let started = Timestamp::from_millis(rotation.started_ms);
        format!("{}, begun {}", progress(rotation), time::ago(now, started))
    });
    Ca {
        root_digest: answer.digest,
        expires: time::rfc3339(Timestamp::from_millis(answer.not_after_ms)),
        certificate_ttl: time::span(ttl),
        root: answer.root_pem,
        rotation: answer.rotation.map(|rotation| Rotation {
            stage: word(rotation.stage()),
            started: time::rfc3339(Timestamp::from_millis(rotation.started_ms)),
            nodes: rotation.nodes,
            new_root_digest: rotation.digest,
            waiting: rotation.waiting.into_iter().map(Waiting::from).collect(),
        }),
        begun,
    }
}

impl From<wire::RotationWait> for Waiting {
    fn from(node: wire::RotationWait) -> Self {
        Waiting {
            node_id: node.node_id,
            hostname: node.hostname,
            status: node.state,
            reason: node.reason,
        }
    }
}

/// For people.
pub(crate) fn text(ca: &Ca) -> String {
    let mut rows = vec![
        ("Root digest", ca.root_digest.clone()),
        ("Root expires", ca.expires.clone()),
        ("Certificates", format!("live for {}", ca.certificate_ttl)),
    ];
    if let (Some(rotation), Some(begun)) = (&ca.rotation, &ca.begun) {
        rows.push(("New root", rotation.new_root_digest.clone()));
        rows.push(("Change", begun.clone()));
        for node in &rotation.waiting {
            rows.push((
                "Waits for",
                format!("{} ({}): {}", node.hostname, node.status, node.reason),
            ));
        }
    }
    format!("{}\n\n{}", table::pairs(&rows), ca.root.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rotation: Option<wire::RotationProgress>) -> wire::GetCaResponse {
        wire::GetCaResponse {
            root_pem: "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n".to_owned(),
            digest: "aa11".to_owned(),
            not_after_ms: 1_795_187_045_678,
            certificate_ttl_ms: 86_400_000,
            rotation,
        }
    }

    fn under_way(stage: Stage, waiting: &[&str]) -> wire::RotationProgress {
        let node = |hostname: &&str| wire::RotationWait {
            node_id: "id".to_owned(),
            hostname: (*hostname).to_owned(),
            state: "down".to_owned(),
            reason: "does not trust the new root yet".to_owned(),
        };
        wire::RotationProgress {
            stage: stage.into(),
            digest: "bb22".to_owned(),
            started_ms: 0,
            nodes: 7,
            waiting: waiting.iter().map(node).collect(),
        }
    }

    const QUIET: &str = "Root digest:   aa11
Root expires:  2026-11-20T15:04:05.678Z
Certificates:  live for 24h

-----BEGIN CERTIFICATE-----
abc
-----END CERTIFICATE-----";

    const CHANGING: &str = "Root digest:   aa11
Root expires:  2026-11-20T15:04:05.678Z
Certificates:  live for 24h
New root:      bb22
Change:        Stage 1 of 2: nodes learn to trust the new root; 6 of 7 are ready, waiting for n3 (down), begun 2 minutes ago
Waits for:     n3 (down): does not trust the new root yet

-----BEGIN CERTIFICATE-----
abc
-----END CERTIFICATE-----";

    #[test]
    fn the_root_is_shown_and_whom_its_change_waits_for() {
        let now = Timestamp::from_millis(150_000);
        assert_eq!(text(&ca(answer(None), now)), QUIET);
        let changing = ca(answer(Some(under_way(Stage::Spreading, &["n3"]))), now);
        assert_eq!(text(&changing), CHANGING);
        let json = serde_json::to_value(&changing).unwrap();
        assert_eq!(json["rotation"]["stage"], "spreading");
        assert_eq!(json["rotation"]["waiting"][0]["hostname"], "n3");
        assert_eq!(json["root_digest"], "aa11");
        assert_eq!(json.get("begun"), None);
    }

    #[test]
    fn a_line_names_a_few_of_the_nodes() {
        let many = ["a", "b", "c", "d", "e", "f", "g"];
        assert_eq!(
            progress(&under_way(Stage::Issuing, &many)),
            "Stage 2 of 2: nodes get certificates of the new root; 0 of 7 are ready, waiting for a \
             (down), b (down), c (down), d (down), e (down) and 2 more"
        );
        assert_eq!(
            progress(&under_way(Stage::Returning, &[])),
            "called off: nodes get certificates of the old root again; 7 of 7 are ready"
        );
    }
}
