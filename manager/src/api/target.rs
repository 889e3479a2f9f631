//! Which object a person means: by its name, its identifier, or a prefix of the identifier that
//! fits no other.

use crate::api::error::ApiError;
use crate::store::Claim;
use crate::store::State;
use std::fmt::Display;
use std::sync::Arc;
use tonic::Status;
use weft_proto::object::Material;
use weft_proto::object::Network;
use weft_proto::object::Node;
use weft_proto::object::ObjectKey;
use weft_proto::object::Service;
use weft_proto::spec::MaterialKind;

/// How many others an error names.
const SHOWN: usize = 5;

/// A target that names no single object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TargetError {
    #[error("no {kind} is named: give its name or identifier")]
    Empty { kind: &'static str },
    #[error("there is no {kind} {target:?}: {hint}")]
    NotFound {
        kind: &'static str,
        target: String,
        hint: String,
    },
    #[error("{target:?} fits several {kind}s: {candidates}; give a longer part of the identifier")]
    Ambiguous {
        kind: &'static str,
        target: String,
        candidates: String,
    },
}

impl From<TargetError> for Status {
    fn from(error: TargetError) -> Status {
        let text = error.to_string();
        match error {
            TargetError::NotFound { .. } => Status::not_found(text),
            TargetError::Empty { .. } | TargetError::Ambiguous { .. } => {
                Status::invalid_argument(text)
            }
        }
    }
}

/// The service that is meant.
pub(super) fn service(state: &State, target: &str) -> Result<Arc<Service>, ApiError> {
    if let Some(service) = whole_service(state, target) {
        return Ok(service);
    }
    let all = state.services().map(|service| {
        let name = service.spec.name.to_string();
        (service.id, name, service)
    });
    Ok(find("service", target, all)?.clone())
}

/// The service with this very name or identifier: found without looking at all of them, and the
/// same one whatever others there are.
pub(super) fn whole_service(state: &State, target: &str) -> Option<Arc<Service>> {
    let target = target.trim();
    let name = target.parse().ok().map(Claim::ServiceName);
    let id = match name.and_then(|name| state.holder(&name)) {
        Some(ObjectKey::Service(id)) => id,
        Some(_) | None => target.parse().ok()?,
    };
    state.service(id).cloned()
}

/// The network that is meant.
pub(super) fn network(state: &State, target: &str) -> Result<Arc<Network>, TargetError> {
    if let Some(network) = whole_network(state, target) {
        return Ok(network);
    }
    let all = state.networks().map(|network| {
        let name = network.spec.name.to_string();
        (network.id, name, network)
    });
    find("network", target, all).cloned()
}

fn whole_network(state: &State, target: &str) -> Option<Arc<Network>> {
    let target = target.trim();
    let name = target.parse().ok().map(Claim::NetworkName);
    let id = match name.and_then(|name| state.holder(&name)) {
        Some(ObjectKey::Network(id)) => id,
        Some(_) | None => target.parse().ok()?,
    };
    state.network(id).cloned()
}

/// The secret or config that is meant.
pub(super) fn material(
    state: &State,
    kind: MaterialKind,
    target: &str,
) -> Result<Arc<Material>, TargetError> {
    let name = target.trim().parse().ok();
    let name = name.map(|name| Claim::MaterialName(kind, name));
    if let Some(ObjectKey::Material(_, id)) = name.and_then(|name| state.holder(&name))
        && let Some(found) = state.material(id)
    {
        return Ok(found.clone());
    }
    let all = state.materials().filter(|found| found.kind == kind);
    let all = all.map(|found| (found.id, found.spec.name.to_string(), found));
    let noun = match kind {
        MaterialKind::Secret => "secret",
        MaterialKind::Config => "config",
    };
    find(noun, target, all).cloned()
}

/// The node that is meant. Host names need not be unique.
pub(super) fn node(state: &State, target: &str) -> Result<Arc<Node>, ApiError> {
    let all = state.nodes().map(|node| {
        let name = node.description.hostname.clone();
        (node.id, name, node)
    });
    Ok(find("node", target, all)?.clone())
}

/// The one of `all` (identifier, name, object) that is meant. A name comes before an identifier,
/// and a whole identifier before a prefix of another.
pub(super) fn find<I: Display, T>(
    kind: &'static str,
    target: &str,
    all: impl Iterator<Item = (I, String, T)>,
) -> Result<T, TargetError> {
    let target = target.trim();
    if target.is_empty() {
        return Err(TargetError::Empty { kind });
    }
    let all: Vec<(String, String, T)> = all
        .map(|(id, name, object)| (id.to_string(), name, object))
        .collect();
    let names: Vec<String> = all.iter().map(|(_, name, _)| name.clone()).collect();
    let (named, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, name, _)| name == target);
    let mut fitting = if named.is_empty() {
        rest.into_iter()
            .filter(|(id, _, _)| id.starts_with(target))
            .collect()
    } else {
        named
    };
    match (fitting.pop(), fitting.len()) {
        (Some((_, _, object)), 0) => Ok(object),
        (None, _) => Err(TargetError::NotFound {
            kind,
            target: shortened(target),
            hint: hint(kind, target, names),
        }),
        (Some(last), _) => {
            fitting.push(last);
            let candidates = fitting
                .into_iter()
                .map(|(id, name, _)| format!("{id} ({name})"));
            Err(TargetError::Ambiguous {
                kind,
                target: shortened(target),
                candidates: first_few(candidates.collect()),
            })
        }
    }
}

/// Keeps messages bounded, whatever was asked.
fn shortened(target: &str) -> String {
    target.chars().take(80).collect()
}

/// What there is, the likeliest first.
fn hint(kind: &str, target: &str, mut names: Vec<String>) -> String {
    names.sort();
    names.dedup();
    let target = target.to_lowercase();
    let near: Vec<String> = names
        .iter()
        .filter(|name| is_near(&target, name))
        .cloned()
        .collect();
    if names.is_empty() {
        format!("there are no {kind}s yet")
    } else if near.is_empty() {
        format!("there are {}", first_few(names))
    } else {
        format!("did you mean {}?", first_few(near))
    }
}

fn first_few(mut texts: Vec<String>) -> String {
    let more = texts.len().saturating_sub(SHOWN);
    texts.truncate(SHOWN);
    let listed = texts.join(", ");
    if more == 0 {
        listed
    } else {
        format!("{listed} and {more} more")
    }
}

/// One contains the other, or at most two letters differ.
fn is_near(target: &str, name: &str) -> bool {
    let contained = name.contains(target) || (name.len() > 2 && target.contains(name));
    contained || (target.chars().count() <= 64 && name.len() > 3 && distance(target, name) <= 2)
}

/// How many letters must be put in, taken out or changed to make one of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let changed = row.get(j).copied().unwrap_or(usize::MAX) + usize::from(x != *y);
            let removed = row.get(j + 1).copied().unwrap_or(usize::MAX) + 1;
            let added = next.last().copied().unwrap_or(usize::MAX) + 1;
            next.push(changed.min(removed).min(added));
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn three(target: &str) -> Result<u8, TargetError> {
        let all = [
            ("abc1", "web", 1u8),
            ("abd2", "redis", 2),
            ("xyz3", "abc", 3),
        ];
        let all = all
            .into_iter()
            .map(|(id, name, n)| (id, name.to_owned(), n));
        find("service", target, all)
    }

    #[test]
    fn a_name_an_identifier_or_its_unique_beginning_is_enough() {
        assert_eq!(three("web"), Ok(1));
        assert_eq!(three("abd2"), Ok(2));
        assert_eq!(three("x"), Ok(3));
        assert_eq!(three(" redis\n"), Ok(2));
    }

    #[test]
    fn a_name_wins_over_the_beginning_of_an_identifier() {
        assert_eq!(three("abc"), Ok(3));
    }

    #[test]
    fn an_ambiguous_beginning_lists_the_candidates() {
        assert_eq!(
            three("ab").unwrap_err().to_string(),
            "\"ab\" fits several services: abc1 (web), abd2 (redis); give a longer part of the \
             identifier"
        );
    }

    #[test]
    fn who_is_not_found_is_told_what_there_is() {
        let error = |target| three(target).unwrap_err().to_string();
        assert_eq!(
            error("redsi"),
            "there is no service \"redsi\": did you mean redis?"
        );
        assert_eq!(
            error("nginx"),
            "there is no service \"nginx\": there are abc, redis, web"
        );
        let none = find("node", "n1", std::iter::empty::<(&str, String, ())>());
        assert_eq!(
            none.unwrap_err().to_string(),
            "there is no node \"n1\": there are no nodes yet"
        );
        assert!(matches!(three("  "), Err(TargetError::Empty { .. })));
    }

    #[test]
    fn two_nodes_of_one_host_name_are_told_apart_by_identifier() {
        let all = || {
            [("a1", 1u8), ("b2", 2)]
                .into_iter()
                .map(|(id, n)| (id, "host".to_owned(), n))
        };
        let error = find("node", "host", all()).unwrap_err();
        assert!(matches!(error, TargetError::Ambiguous { .. }));
        assert_eq!(find("node", "b", all()), Ok(2));
    }

    proptest! {
        #[test]
        fn no_target_makes_the_search_panic(target: String) {
            let _ = three(&target);
        }
    }
}
