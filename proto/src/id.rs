//! Identifiers: one type per kind of object, so that they cannot be mixed up.

use serde::Deserialize;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// Characters in an identifier: 36^25 > 2^128, so 128 random bits always fit.
pub const ID_LEN: usize = 25;
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// Why a text is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an identifier: it must be 25 characters out of 0-9 and a-z")]
pub struct ParseIdError {
    text: String,
}

/// The text form shared by all identifiers: 25 base-36 digits, most significant first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Id([u8; ID_LEN]);

impl Id {
    fn from_entropy(mut value: u128) -> Self {
        let mut text = [b'0'; ID_LEN];
        for digit in text.iter_mut().rev() {
            *digit = DIGITS[usize::try_from(value % 36).unwrap_or_default()];
            value /= 36;
        }
        Id(text)
    }

    fn as_str(&self) -> &str {
        // Only DIGITS are ever stored, so this cannot fail.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Id {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let bytes: [u8; ID_LEN] = text.as_bytes().try_into().map_err(|_| ParseIdError {
            text: shortened(text),
        })?;
        if bytes.iter().all(|b| DIGITS.contains(b)) {
            Ok(Id(bytes))
        } else {
            Err(ParseIdError {
                text: shortened(text),
            })
        }
    }
}

/// Keeps error messages bounded, whatever a peer sent.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(Id);

        impl $name {
            /// Makes an identifier out of 128 random bits, handed in by the caller.
            pub fn from_entropy(bits: u128) -> Self {
                $name(Id::from_entropy(bits))
            }

            /// The 25 characters.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The first 12 characters: what tables show to people.
            pub fn short(&self) -> &str {
                self.as_str().get(..12).unwrap_or_default()
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.parse().map($name)
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;
            fn try_from(text: String) -> Result<Self, ParseIdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

id_type!(
    /// A cluster, for its whole life.
    ClusterId
);
id_type!(
    /// A machine that joined a cluster. Never given to another machine.
    NodeId
);
id_type!(
    /// A service.
    ServiceId
);
id_type!(
    /// One run of one replica of a service. A restart is a new task.
    TaskId
);
id_type!(
    /// A network.
    NetworkId
);
id_type!(
    /// A person who uses a cluster. Never given to another person.
    UserId
);
id_type!(
    /// A join token that was made for a purpose. Follows from its secret.
    JoinTokenId
);
id_type!(
    /// A secret or a config.
    MaterialId
);
id_type!(
    /// One proposal to the log. A retried proposal keeps its id and is applied once.
    CommandId
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_identifier_survives_a_round_trip_through_text(bits: u128) {
            let id = TaskId::from_entropy(bits);
            prop_assert_eq!(id.to_string().parse::<TaskId>(), Ok(id));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            let parsed = text.parse::<NodeId>();
            prop_assert!(parsed.is_err() || text.len() == ID_LEN);
        }
    }

    #[test]
    fn different_entropy_makes_different_identifiers() {
        assert_ne!(
            NodeId::from_entropy(u128::MAX),
            NodeId::from_entropy(u128::MAX - 1)
        );
    }
}
