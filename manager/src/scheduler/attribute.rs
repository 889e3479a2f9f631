//! What constraints and preferences look at: one value of a node for each key.

use std::borrow::Cow;
use weft_proto::object::Node;
use weft_proto::spec::Constraint;

const LABEL: &str = "node.labels.";

/// The node's value of a key; empty for a label that it does not have.
pub(super) fn value<'a>(node: &'a Node, key: &str) -> Cow<'a, str> {
    match key {
        "node.id" => Cow::Owned(node.id.to_string()),
        "node.hostname" => Cow::Borrowed(&node.description.hostname),
        "node.role" => Cow::Owned(node.spec.role.to_string()),
        "node.platform.os" => Cow::Borrowed(&node.description.os),
        "node.platform.arch" => Cow::Borrowed(&node.description.arch),
        key => label(key)
            .and_then(|label| node.spec.labels.get(label))
            .map_or(Cow::Borrowed(""), |value| Cow::Borrowed(value)),
    }
}

/// Whether the node is as the constraint wants it. Letters compare without regard to case, as
/// people write `SSD` and `ssd`.
pub(super) fn matches(node: &Node, constraint: &Constraint) -> bool {
    let value = value(node, &constraint.key);
    let among = |wanted: &String| value.eq_ignore_ascii_case(wanted);
    constraint.values.iter().any(among) == constraint.equal
}

/// What is said of nodes that the constraint keeps out: `without label disk=ssd`.
pub(super) fn words(constraint: &Constraint) -> String {
    let Some(label) = label(&constraint.key) else {
        return format!("not matching {constraint}");
    };
    let with = if constraint.equal { "without" } else { "with" };
    match constraint.values.as_slice() {
        [value] => format!("{with} label {label}={value}"),
        values => format!("{with} label {label} in ({})", values.join(", ")),
    }
}

fn label(key: &str) -> Option<&str> {
    key.strip_prefix(LABEL)
}
