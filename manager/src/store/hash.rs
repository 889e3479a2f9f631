//! One number for a whole state, to compare replicas by.

use crate::store::State;
use aws_lc_rs::digest::Context;
use aws_lc_rs::digest::SHA256;
use prost::Message;
use weft_proto::wire;

/// Changed whenever what is hashed changes, so that releases that differ never look diverged.
const LAYOUT: &[u8] = b"weft state 3";

impl State {
    /// SHA-256 over everything that is replicated: all objects by kind and identifier, the
    /// commands applied lately, the nodes that were removed and the audit log, oldest first. Replicas
    /// at one revision have one hash. Walks the whole state: not for the path of a request.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Context::new(&SHA256);
        hash.update(LAYOUT);
        hash.update(&self.revision().to_be_bytes());
        for item in self.items() {
            record(&mut hash, &wire::Object::from(&item));
        }
        // Ends the objects: a message without a kind is none of them.
        record(&mut hash, &wire::Object { kind: None });
        for applied in self.recent() {
            record(&mut hash, &wire::AppliedCommand::from(applied));
        }
        record(&mut hash, &wire::AppliedCommand::default());
        for node in self.removed_in_order() {
            record(&mut hash, &wire::RemovedNode::from(&**node));
        }
        record(&mut hash, &wire::RemovedNode::default());
        for one in self.audit() {
            record(&mut hash, &wire::AuditRecord::from(&**one));
        }
        let digest = hash.finish();
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        bytes
    }
}

/// Adds a message, prefixed by its length, so that no two lists of messages are the same bytes.
fn record(hash: &mut Context, message: &impl Message) {
    hash.update(&message.encode_length_delimited_to_vec());
}

#[cfg(test)]
mod tests {
    use crate::fixture::network;
    use crate::fixture::service;
    use crate::fixture::state;
    use crate::store::State;
    use crate::store::apply;
    use weft_proto::CommandId;
    use weft_proto::command::Change;
    use weft_proto::command::Command;
    use weft_proto::time::Timestamp;

    fn create(n: u8) -> Command {
        Command {
            id: CommandId::from_entropy(n.into()),
            at: Timestamp::from_millis(1),
            changes: vec![Change::create(network(n))],
            actor: None,
        }
    }

    #[test]
    fn replicas_agree_however_they_came_to_a_state() {
        let start = state(vec![service(1, 1).into()]);
        let live = apply(&start, 5, &create(2)).state;
        let restored = State::from_snapshot(live.to_snapshot());
        assert_eq!(live.hash(), restored.hash());
    }

    #[test]
    fn every_difference_shows() {
        let start = state(vec![service(1, 1).into()]);
        let with = apply(&start, 5, &create(2)).state;
        let other = apply(&start, 5, &create(3)).state;
        assert_ne!(start.hash(), with.hash());
        assert_ne!(with.hash(), other.hash());
        // The same objects, but only one of them would recognise the command again.
        let mut forgetful = with.to_snapshot();
        forgetful.recent.pop();
        assert_ne!(State::from_snapshot(forgetful).hash(), with.hash());
    }
}
