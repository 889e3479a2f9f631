//! How a node is told, beyond doubt, that it is no longer a member.

use tonic::Status;
use tonic::metadata::AsciiMetadataValue;

/// Beside the words for people: what a program goes by.
const REMOVED: &str = "weft-removed";

/// The answer to a node that was removed from the cluster.
pub fn removed_status(text: impl Into<String>) -> Status {
    let mut status = Status::permission_denied(text);
    let yes = AsciiMetadataValue::from_static("1");
    status.metadata_mut().insert(REMOVED, yes);
    status
}

/// Whether an answer says that this node was removed. Only to be believed from a manager that has
/// proven to be one.
pub fn says_removed(status: &Status) -> bool {
    status.metadata().contains_key(REMOVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_is_told_from_every_other_refusal_also_after_its_way_over_the_wire() {
        let said = removed_status("gone").into_http::<String>();
        let heard = Status::from_header_map(said.headers()).unwrap();
        assert!(says_removed(&heard));
        assert!(!says_removed(&Status::permission_denied("no")));
    }
}
