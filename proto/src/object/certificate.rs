//! What nodes prove their identity with, as the state knows it.

use crate::time::Timestamp;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error;
use std::fmt;
use std::str::FromStr;

/// SHA-256 of a root certificate's DER form, written in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

/// A text that is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no SHA-256 fingerprint: write it as 64 hexadecimal digits")]
pub struct ParseFingerprintError;

/// What a node said of its certificate last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCertificate {
    /// The root that issued it.
    pub issuer: Fingerprint,
    /// The roots whose certificates the node accepts, in order.
    pub trusted: Vec<Fingerprint>,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

/// How far a change of the root is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RotationStage {
    /// Nodes learn to trust the new root; the old one issues.
    Spreading,
    /// The new root issues; nodes trust both.
    Issuing,
    /// It was aborted: the old root issues again; nodes trust both until none needs the new one.
    Returning,
}

/// A change of the root that is under way.
#[derive(Clone, PartialEq, Eq)]
pub struct RootRotation {
    /// How far it is.
    pub stage: RotationStage,
    /// The new root, DER.
    pub certificate: Vec<u8>,
    /// Its key, PEM.
    pub key: String,
    /// The new root's key, vouched for by the old root, DER.
    pub cross: Vec<u8>,
    /// When it was asked for.
    pub started: Timestamp,
}

impl Fingerprint {
    /// Takes over 32 bytes of SHA-256.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Fingerprint(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        f.pad(&text)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Fingerprint {
    type Err = ParseFingerprintError;

    fn from_str(text: &str) -> Result<Self, ParseFingerprintError> {
        let digits: Option<Vec<u8>> = text
            .chars()
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let digits = digits.ok_or(ParseFingerprintError)?;
        let (pairs, rest) = digits.as_chunks::<2>();
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        match (<[u8; 32]>::try_from(bytes), rest) {
            (Ok(bytes), []) => Ok(Fingerprint(bytes)),
            (Ok(_) | Err(_), _) => Err(ParseFingerprintError),
        }
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl fmt::Display for RotationStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RotationStage::Spreading => "spreading",
            RotationStage::Issuing => "issuing",
            RotationStage::Returning => "returning",
        })
    }
}

impl fmt::Debug for RootRotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootRotation")
            .field("stage", &self.stage)
            .field("started", &self.started)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_survives_a_round_trip_through_text() {
        let print = Fingerprint::from_bytes(std::array::from_fn(|n| u8::try_from(n * 7).unwrap()));
        assert_eq!(print.to_string().parse(), Ok(print));
        assert_eq!(print.to_string().len(), 64);
        for wrong in ["", "00", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64)] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(ParseFingerprintError));
        }
    }
}
