//! Several commands in one log entry.
//!
//! An entry is either one encoded command, as it is, or a mark and a batch. The mark begins with
//! zero, which no protobuf message does: there is no field of that number. So entries of releases
//! that knew no batches are read as what they are.

use crate::convert::ConvertError;
use crate::convert::command::message;
use crate::wire;
use prost::Message;

/// Zero, then the layout of what follows.
const MARK: [u8; 2] = [0, 1];

/// The bytes of a log entry that holds these encoded commands, of which there is at least one.
pub fn encode_entry(mut commands: Vec<Vec<u8>>) -> Vec<u8> {
    if commands.len() == 1 {
        return commands.pop().unwrap_or_default();
    }
    let batch = wire::CommandBatch { commands };
    let mut entry = MARK.to_vec();
    entry.extend(batch.encode_to_vec());
    entry
}

/// The encoded commands of a log entry, and whether they came as a batch.
///
/// # Errors
/// The entry is damaged, or of a layout of a newer version.
pub fn decode_entry(entry: &[u8]) -> Result<(Vec<Vec<u8>>, bool), ConvertError> {
    match entry {
        [0, 1, batch @ ..] => Ok((message::<wire::CommandBatch>(batch)?.commands, true)),
        [0, layout, ..] => Err(ConvertError::new(format!(
            "has layout {layout}, which is not known here: it was written by a newer version"
        ))),
        command => Ok((vec![command.to_vec()], false)),
    }
    .map_err(|error| error.within("entry"))
}

/// The bytes of what became of a batch.
pub fn encode_results(results: Vec<Vec<u8>>) -> Vec<u8> {
    wire::CommandBatchResult { results }.encode_to_vec()
}

/// What became of each command of a batch, encoded.
///
/// # Errors
/// The bytes are damaged.
pub fn decode_results(bytes: &[u8]) -> Result<Vec<Vec<u8>>, ConvertError> {
    let results = message::<wire::CommandBatchResult>(bytes);
    Ok(results.map_err(|error| error.within("results"))?.results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CommandId;
    use crate::command::Command;
    use crate::time::Timestamp;
    use proptest::prelude::*;

    fn command(id: u128) -> Vec<u8> {
        Command {
            id: CommandId::from_entropy(id),
            at: Timestamp::from_millis(1),
            changes: Vec::new(),
            actor: None,
        }
        .encode()
    }

    #[test]
    fn one_command_is_an_entry_as_it_always_was() {
        assert_eq!(encode_entry(vec![command(1)]), command(1));
        let read = decode_entry(&command(1)).unwrap();
        assert_eq!(read, (vec![command(1)], false));
    }

    #[test]
    fn several_come_back_in_order() {
        let commands = vec![command(1), command(2), command(3)];
        let read = decode_entry(&encode_entry(commands.clone())).unwrap();
        assert_eq!(read, (commands, true));
        let results = vec![vec![1], vec![], vec![2, 3]];
        assert_eq!(
            decode_results(&encode_results(results.clone())).unwrap(),
            results
        );
    }

    #[test]
    fn the_layout_of_a_newer_version_is_refused_by_number() {
        let error = decode_entry(&[0, 2, 1]).unwrap_err().to_string();
        assert!(error.contains("layout 2"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            let _ = decode_entry(&bytes);
            let _ = decode_results(&bytes);
        }

        #[test]
        fn no_command_looks_like_a_batch(id: u128, at: i64) {
            let at = Timestamp::from_millis(at);
            let id = CommandId::from_entropy(id);
            let bytes = Command { id, at, changes: Vec::new(), actor: None }.encode();
            prop_assert_ne!(bytes.first(), Some(&0));
        }
    }
}
