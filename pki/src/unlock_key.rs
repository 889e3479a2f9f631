//! The unlock key: what people keep, so that a manager's disk is of no use without them.
//!
//! Text form, 71 characters, one word for a double click:
//!
//! ```text
//! WFLK_1_<key and checksum, 64>
//! ```
//!
//! `1` is the version. The last 13 characters carry a checksum, so that a mistyped or cut-off key is
//! called that, and not "wrong".

use std::fmt;

use aws_lc_rs::constant_time;
use aws_lc_rs::digest;
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::EntropyError;
use crate::base32;

const PREFIX: &str = "WFLK_";
const HEAD: &str = "WFLK_1_";
const KEY_BYTES: usize = 32;
const SUM_BYTES: usize = 8;
const CHARS: usize = HEAD.len() + (KEY_BYTES + SUM_BYTES) / 5 * 8;

/// 256 random bits that the keys of a manager's disk are locked with. Wiped on drop, never shown.
#[derive(Clone)]
pub struct UnlockKey(Zeroizing<[u8; KEY_BYTES]>);

/// Why a text is not an unlock key. Never repeats the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseUnlockKeyError {
    /// Something else was pasted.
    #[error("this is not an unlock key: unlock keys begin with {PREFIX}")]
    NotAKey,
    /// Made by a newer or older Weft.
    #[error(
        "this unlock key has a version that this program does not know; use the release that made it"
    )]
    Version,
    /// Its end is missing, or something follows it.
    #[error(
        "this unlock key has {have} characters, not {CHARS}: copy all of it, and nothing besides"
    )]
    Length {
        /// How many characters there are.
        have: usize,
    },
    /// A character that no key contains.
    #[error("this unlock key is mistyped: {found:?} at position {position} cannot be there")]
    BadCharacter {
        /// Counted from 1.
        position: usize,
        /// The character.
        found: char,
    },
    /// All characters are possible, but not together.
    #[error("this unlock key is mistyped: its checksum does not fit; copy it again")]
    Checksum,
}

impl UnlockKey {
    /// Draws a new key.
    pub fn random() -> Result<Self, EntropyError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        rand::fill(key.as_mut()).map_err(|_| EntropyError)?;
        Ok(Self(key))
    }

    /// Takes over the key out of the cluster's state; `None` for a wrong length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// The bytes, for the cluster's state and for deriving keys.
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The text form. It is the secret, so there is no `Display` to log it by accident.
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(CHARS));
        text.push_str(HEAD);
        let mut body = Zeroizing::new(Vec::with_capacity(KEY_BYTES + SUM_BYTES));
        body.extend_from_slice(self.0.as_ref());
        body.extend_from_slice(&checksum(self.0.as_ref()));
        base32::encode(&body, &mut text);
        text
    }

    /// Reads a key as a person pasted it; white space around it is ignored.
    pub fn parse(text: &str) -> Result<Self, ParseUnlockKeyError> {
        let text = text.trim();
        let rest = text
            .strip_prefix(PREFIX)
            .ok_or(ParseUnlockKeyError::NotAKey)?;
        let Some(body) = text.strip_prefix(HEAD) else {
            return Err(match rest.split_once('_') {
                Some(_) => ParseUnlockKeyError::Version,
                None => ParseUnlockKeyError::Length {
                    have: text.chars().count(),
                },
            });
        };
        for (index, found) in text.chars().enumerate().take(CHARS).skip(HEAD.len()) {
            if !u8::try_from(found).is_ok_and(base32::is_digit) {
                let position = index + 1;
                return Err(ParseUnlockKeyError::BadCharacter { position, found });
            }
        }
        let have = text.chars().count();
        if have != CHARS {
            return Err(ParseUnlockKeyError::Length { have });
        }
        let body = base32::decode(body).map(Zeroizing::new);
        let body = body.ok_or(ParseUnlockKeyError::Checksum)?;
        let (key, sum) = body
            .split_at_checked(KEY_BYTES)
            .ok_or(ParseUnlockKeyError::Checksum)?;
        if sum != checksum(key) {
            return Err(ParseUnlockKeyError::Checksum);
        }
        Self::from_bytes(key).ok_or(ParseUnlockKeyError::Checksum)
    }
}

fn checksum(key: &[u8]) -> [u8; SUM_BYTES] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"weft unlock key 1\0");
    context.update(key);
    let mut sum = [0; SUM_BYTES];
    for (to, from) in sum.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    sum
}

impl PartialEq for UnlockKey {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(self.0.as_ref(), other.0.as_ref()).is_ok()
    }
}

impl Eq for UnlockKey {}

impl fmt::Debug for UnlockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnlockKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_reads_back_and_two_differ() {
        let (one, two) = (UnlockKey::random().unwrap(), UnlockKey::random().unwrap());
        assert_eq!(one.reveal().len(), CHARS);
        let pasted = format!("  {}\n", one.reveal().as_str());
        assert_eq!(UnlockKey::parse(&pasted), Ok(one.clone()));
        assert_ne!(one, two);
        assert_eq!(format!("{one:?}"), "UnlockKey(..)");
    }

    #[test]
    fn what_is_wrong_with_a_text_is_said() {
        let text = UnlockKey::from_bytes(&[7; 32]).unwrap().reveal();
        let refused = |text: &str| UnlockKey::parse(text).unwrap_err();
        assert_eq!(refused("WFTKN_1_w"), ParseUnlockKeyError::NotAKey);
        assert_eq!(refused("WFLK_2_abc"), ParseUnlockKeyError::Version);
        let cut = refused(&text[..70]);
        assert_eq!(cut, ParseUnlockKeyError::Length { have: 70 });
        let long = refused(&format!("{}0", text.as_str()));
        assert_eq!(long, ParseUnlockKeyError::Length { have: 72 });
        let odd = refused(&text.replacen("WFLK_1_", "WFLK_1_u", 1));
        assert!(matches!(
            odd,
            ParseUnlockKeyError::BadCharacter { position: 8, .. }
        ));
    }

    proptest! {
        #[test]
        fn every_key_with_one_character_changed_is_called_mistyped(
            key: [u8; 32], at in 0..64_usize, to in "[0-9a-hjkmnp-tv-z]"
        ) {
            let text = UnlockKey::from_bytes(&key).unwrap().reveal();
            let at = HEAD.len() + at;
            prop_assume!(text[at..=at] != to);
            let changed = format!("{}{to}{}", &text[..at], &text[at + 1..]);
            prop_assert_eq!(UnlockKey::parse(&changed), Err(ParseUnlockKeyError::Checksum));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text: String) {
            prop_assert!(UnlockKey::parse(&text).is_err());
        }
    }
}
