//! Keys of encrypted networks: secret ones, which are wiped and never shown, and public ones.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// Bytes of a key.
pub const KEY_LEN: usize = 32;

/// 256 secret bits. Wiped when dropped, `Debug` does not show it, and it cannot be serialized.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(Zeroizing<[u8; KEY_LEN]>);

impl SecretKey {
    /// These bits.
    pub fn new(bytes: [u8; KEY_LEN]) -> Self {
        SecretKey(Zeroizing::new(bytes))
    }

    /// A copy of these bits; `None` when they are not 256. What they came in is for the caller to
    /// wipe.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        (bytes.len() == KEY_LEN).then(|| {
            key.copy_from_slice(bytes);
            SecretKey(key)
        })
    }

    /// The bits, for whoever encrypts with them or hands them on.
    pub fn expose(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// The public half of a node's X25519 key pair: what the others' tunnels to it are made with.
/// Shown in base64, as WireGuard's tools do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TunnelKey([u8; KEY_LEN]);

/// Why something is no public key of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no public key of a tunnel: it must be 32 bytes that are not all zero")]
pub struct TunnelKeyError;

impl TunnelKey {
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

impl TryFrom<&[u8]> for TunnelKey {
    type Error = TunnelKeyError;

    fn try_from(bytes: &[u8]) -> Result<Self, TunnelKeyError> {
        let bytes: [u8; KEY_LEN] = bytes.try_into().map_err(|_| TunnelKeyError)?;
        // What an empty field or a failed computation looks like; nobody has its other half.
        if bytes == [0; KEY_LEN] {
            return Err(TunnelKeyError);
        }
        Ok(TunnelKey(bytes))
    }
}

impl FromStr for TunnelKey {
    type Err = TunnelKeyError;

    fn from_str(text: &str) -> Result<Self, TunnelKeyError> {
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| TunnelKeyError)?;
        TunnelKey::try_from(bytes.as_slice())
    }
}

impl TryFrom<String> for TunnelKey {
    type Error = TunnelKeyError;

    fn try_from(text: String) -> Result<Self, TunnelKeyError> {
        text.parse()
    }
}

impl From<TunnelKey> for String {
    fn from(key: TunnelKey) -> String {
        key.to_string()
    }
}

impl fmt::Display for TunnelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&BASE64_STANDARD.encode(self.0))
    }
}

impl fmt::Debug for TunnelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_key_is_shown_nowhere() {
        let key = SecretKey::new([0xab; KEY_LEN]);
        assert_eq!(format!("{key:?}"), "SecretKey(..)");
    }

    #[test]
    fn a_public_key_is_written_as_wireguard_writes_it() {
        // RFC 7748 s. 6.1: Alice's public key.
        let bytes = [
            0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e,
            0xf7, 0x5a, 0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e,
            0xaa, 0x9b, 0x4e, 0x6a,
        ];
        let key = TunnelKey::try_from(bytes.as_slice()).unwrap();
        let text = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
        assert_eq!(key.to_string(), text);
        assert_eq!(text.parse(), Ok(key));
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        for bytes in [&[][..], &[1; 31], &[1; 33], &[0; 32]] {
            assert_eq!(TunnelKey::try_from(bytes), Err(TunnelKeyError));
        }
        assert_eq!("no base64!".parse::<TunnelKey>(), Err(TunnelKeyError));
    }
}
