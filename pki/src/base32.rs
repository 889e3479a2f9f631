//! Base 32 in lower case without `i`, `l`, `o` and `u`: nothing that is misread, and one word
//! for a double click. Works on whole groups of 5 bytes (8 characters), so it needs no padding.

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Encodes whole groups of five bytes; an incomplete last group is left out.
pub(crate) fn encode(bytes: &[u8], text: &mut String) {
    for group in bytes.chunks_exact(5) {
        let bits = group.iter().fold(0u64, |bits, b| bits << 8 | u64::from(*b));
        for place in (0..8).rev() {
            let digit = (bits >> (place * 5)) & 31;
            let digit = usize::try_from(digit).unwrap_or_default();
            text.push(char::from(ALPHABET[digit]));
        }
    }
}

/// Decodes groups of eight characters; `None` for a wrong length or character.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let groups = text.as_bytes().chunks_exact(8);
    if !groups.remainder().is_empty() {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 8 * 5);
    for group in groups {
        let mut bits = 0u64;
        for character in group {
            bits = bits << 5 | u64::from(value(*character)?);
        }
        bytes.extend_from_slice(bits.to_be_bytes().get(3..)?);
    }
    Some(bytes)
}

/// Whether `character` can stand in an encoded text.
pub(crate) fn is_digit(character: u8) -> bool {
    value(character).is_some()
}

fn value(character: u8) -> Option<u8> {
    let place = ALPHABET.iter().position(|digit| *digit == character)?;
    u8::try_from(place).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_survive_a_round_trip(groups in proptest::collection::vec(any::<[u8; 5]>(), 0..9)) {
            let bytes = groups.concat();
            let mut text = String::new();
            encode(&bytes, &mut text);
            prop_assert_eq!(decode(&text), Some(bytes));
        }

        #[test]
        fn no_text_makes_the_decoder_panic(text: String) {
            let _ = decode(&text);
        }
    }
}
