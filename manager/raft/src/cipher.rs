//! AES-256-GCM for what lies on disk.
//!
//! ```text
//! bytes 0..4    which key, u32 LE
//! bytes 4..20   salt: 16 random bytes, of which and the key a fresh key is derived (HKDF-SHA-256)
//! bytes 20..32  nonce: 12 random bytes
//! bytes 32..    ciphertext and tag
//! ```
//! The derived key is used once. Random nonces alone would wear a key out after some billions of
//! writes, which a busy manager reaches within months.

use crate::seal::Place;
use crate::seal::SealError;
use crate::seal::Sealer;
use aws_lc_rs::aead::AES_256_GCM;
use aws_lc_rs::aead::Aad;
use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::aead::NONCE_LEN;
use aws_lc_rs::aead::Nonce;
use aws_lc_rs::aead::UnboundKey;
use aws_lc_rs::hkdf::HKDF_SHA256;
use aws_lc_rs::hkdf::Prk;
use std::fmt;
use zeroize::Zeroizing;

const SALT: usize = 16;
const HEAD: usize = 4 + SALT + NONCE_LEN;
const TAG: usize = 16;
const PURPOSE: &[u8] = b"weft at rest 1";

/// 256 bits that everything on a manager's disk is sealed with.
#[derive(Clone)]
pub struct DataKey {
    id: u32,
    bytes: Zeroizing<[u8; 32]>,
}

impl DataKey {
    /// A key and the number it is known by.
    pub fn new(id: u32, bytes: [u8; 32]) -> Self {
        DataKey {
            id,
            bytes: Zeroizing::new(bytes),
        }
    }

    /// A random one.
    pub fn generate(id: u32) -> Result<Self, SealError> {
        let mut bytes = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(bytes.as_mut()).map_err(no_randomness)?;
        Ok(DataKey { id, bytes })
    }

    /// The number it is known by.
    pub fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Encrypts `plain`, bound to `place`.
    ///
    /// # Errors
    /// The machine gives no random numbers.
    pub fn seal(&self, place: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut sealed = Vec::with_capacity(HEAD + plain.len() + TAG);
        sealed.extend(self.id.to_le_bytes());
        let mut chance = [0; SALT + NONCE_LEN];
        aws_lc_rs::rand::fill(&mut chance).map_err(no_randomness)?;
        sealed.extend(chance);
        sealed.extend(plain);
        let (salt, nonce) = chance.split_at(SALT);
        let failed = |_| SealError::new("sealing failed");
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(failed)?;
        let tag = self
            .derive(salt)?
            .seal_in_place_separate_tag(nonce, Aad::from(place), &mut sealed[HEAD..])
            .map_err(failed)?;
        sealed.extend(tag.as_ref());
        Ok(sealed)
    }

    /// The inverse of [`DataKey::seal`].
    ///
    /// # Errors
    /// Changed, sealed with another key or for another place.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (_, rest) = sealed.split_first_chunk::<4>().ok_or_else(short)?;
        let (salt, rest) = rest.split_at_checked(SALT).ok_or_else(short)?;
        let (nonce, rest) = rest.split_at_checked(NONCE_LEN).ok_or_else(short)?;
        let wrong =
            |_| SealError::new("sealed with another key, by another member, or for another place");
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(wrong)?;
        let mut bytes = rest.to_vec();
        let plain = self
            .derive(salt)?
            .open_in_place(nonce, Aad::from(place), &mut bytes)
            .map_err(wrong)?
            .len();
        bytes.truncate(plain);
        Ok(bytes)
    }

    /// The key of one piece of data.
    fn derive(&self, salt: &[u8]) -> Result<LessSafeKey, SealError> {
        let failed = |_| SealError::new("no key could be derived");
        let prk = Prk::new_less_safe(HKDF_SHA256, self.bytes.as_ref());
        let info = [PURPOSE, salt];
        let okm = prk.expand(&info, &AES_256_GCM).map_err(failed)?;
        Ok(LessSafeKey::new(UnboundKey::from(okm)))
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({})", self.id)
    }
}

/// A member's keys: one that seals, and older ones that still open.
#[derive(Clone, Debug)]
pub struct DataKeys {
    sealing: DataKey,
    older: Vec<DataKey>,
}

impl DataKeys {
    /// Seals with the first, opens with all.
    pub fn new(sealing: DataKey, older: Vec<DataKey>) -> Self {
        DataKeys { sealing, older }
    }

    /// The one that seals first, then the older ones.
    pub(crate) fn all(&self) -> impl Iterator<Item = &DataKey> {
        std::iter::once(&self.sealing).chain(&self.older)
    }
}

impl Sealer for DataKeys {
    fn seal(&self, place: &Place, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        self.sealing.seal(&place.associated_data(), plain)
    }

    fn open(&self, place: &Place, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let id = key_of(sealed)?;
        let key = self.all().find(|key| key.id == id);
        let key =
            key.ok_or_else(|| SealError::new(format!("it needs key {id}, which is not here")))?;
        key.open(&place.associated_data(), sealed)
    }
}

/// The number of the key that sealed bytes need.
pub(crate) fn key_of(sealed: &[u8]) -> Result<u32, SealError> {
    let (id, _) = sealed.split_first_chunk::<4>().ok_or_else(short)?;
    Ok(u32::from_le_bytes(*id))
}

fn short() -> SealError {
    SealError::new("shorter than anything sealed")
}

fn no_randomness(_: aws_lc_rs::error::Unspecified) -> SealError {
    SealError::new("the machine gives no random numbers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::RecordError;
    use crate::seal::Part;
    use crate::seal::Sealing;
    use std::sync::Arc;
    use weft_proto::wire;

    fn sealing(keys: DataKeys, cluster: &str, raft_id: u64) -> Sealing {
        Sealing::with(Arc::new(keys)).of(&wire::RaftIdentity {
            cluster: cluster.to_owned(),
            raft_id,
        })
    }

    fn keys(byte: u8) -> DataKeys {
        DataKeys::new(DataKey::new(1, [byte; 32]), Vec::new())
    }

    const PART: Part = Part::Frame {
        log: [1; 16],
        segment: 1,
        sequence: 7,
    };

    #[test]
    fn what_is_sealed_opens_only_in_its_place_and_with_its_key() {
        let mine = sealing(keys(1), "a", 1);
        let sealed = mine.seal(PART, b"plain").unwrap().into_owned();
        assert!(!sealed.windows(5).any(|w| w == b"plain"));
        assert_eq!(mine.open(PART, true, &sealed).unwrap().as_ref(), b"plain");
        let elsewhere = [
            Part::Frame {
                log: [1; 16],
                segment: 1,
                sequence: 8,
            },
            Part::Frame {
                log: [1; 16],
                segment: 2,
                sequence: 7,
            },
            Part::Frame {
                log: [2; 16],
                segment: 1,
                sequence: 7,
            },
            Part::Snapshot {
                term: 1,
                index: 1,
                piece: 7,
            },
            Part::SnapshotEnd,
        ];
        let refused = |sealing: &Sealing, part| {
            matches!(
                sealing.open(part, true, &sealed),
                Err(RecordError::Unseal(_))
            )
        };
        assert!(elsewhere.into_iter().all(|part| refused(&mine, part)));
        for other in [
            sealing(keys(2), "a", 1),
            sealing(keys(1), "b", 1),
            sealing(keys(1), "a", 2),
        ] {
            assert!(refused(&other, PART));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let mine = sealing(keys(1), "a", 1);
        let sealed = mine.seal(PART, b"plain").unwrap().into_owned();
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(mine.open(PART, true, &flipped).is_err(), "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert!(mine.open(PART, true, &sealed[..len]).is_err());
        }
    }

    #[test]
    fn an_older_key_still_opens_what_it_sealed() {
        let old = DataKey::new(1, [1; 32]);
        let before = DataKeys::new(old.clone(), Vec::new());
        let after = DataKeys::new(DataKey::new(2, [2; 32]), vec![old]);
        let sealed = sealing(before, "a", 1)
            .seal(PART, b"plain")
            .unwrap()
            .into_owned();
        let after = sealing(after, "a", 1);
        assert_eq!(after.open(PART, true, &sealed).unwrap().as_ref(), b"plain");
    }
}
