//! Keys wrapped with an unlock key that is kept by people.
//!
//! ```text
//! bytes 0..32   salt, of which and the unlock key the wrapping key is derived (HKDF-SHA-256)
//! bytes 32..44  nonce
//! bytes 44..    the key, encrypted with AES-256-GCM, and tag
//! ```

use crate::key_file::KeyWrap;
use crate::seal::SealError;
use aws_lc_rs::aead::AES_256_GCM;
use aws_lc_rs::aead::Aad;
use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::aead::NONCE_LEN;
use aws_lc_rs::aead::Nonce;
use aws_lc_rs::aead::UnboundKey;
use aws_lc_rs::hkdf::HKDF_SHA256;
use aws_lc_rs::hkdf::KeyType;
use aws_lc_rs::hkdf::Prk;
use std::fmt;
use zeroize::Zeroizing;

/// What every name of this way of wrapping begins with.
pub(crate) const LOCKED: &str = "locked-";
const SALT: usize = 32;
const PURPOSE: &[u8] = b"weft unlock 1";
const MARK_PURPOSE: &[u8] = b"weft unlock key mark 1";

/// Wraps with keys derived from an unlock key. Its name has a mark of the unlock key in it, 32 bits
/// that a wrong key is recognised by; they say nothing else about a key of 256 random bits.
pub struct Locked {
    secret: Prk,
    name: String,
}

impl Locked {
    /// The way of this unlock key.
    ///
    /// # Errors
    /// The cryptography's own, which should not happen.
    pub fn new(unlock_key: &[u8; 32]) -> Result<Self, SealError> {
        let secret = Prk::new_less_safe(HKDF_SHA256, unlock_key);
        let mut mark = [0; 4];
        let info = [MARK_PURPOSE];
        let filled = secret
            .expand(&info, Bytes(mark.len()))
            .and_then(|okm| okm.fill(&mut mark));
        filled.map_err(|_| SealError::new("no mark could be derived"))?;
        let name = format!("{LOCKED}{:08x}", u32::from_be_bytes(mark));
        Ok(Locked { secret, name })
    }

    fn key(&self, salt: &[u8]) -> Result<LessSafeKey, SealError> {
        let failed = |_| SealError::new("no key could be derived");
        let info = [PURPOSE, salt];
        let okm = self.secret.expand(&info, &AES_256_GCM).map_err(failed)?;
        Ok(LessSafeKey::new(UnboundKey::from(okm)))
    }
}

struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

impl KeyWrap for Locked {
    fn name(&self) -> &str {
        &self.name
    }

    fn wrap(&self, number: u32, key: &[u8; 32]) -> Result<Vec<u8>, SealError> {
        let mut chance = [0; SALT + NONCE_LEN];
        aws_lc_rs::rand::fill(&mut chance)
            .map_err(|_| SealError::new("the machine gives no random numbers"))?;
        let (salt, nonce) = chance.split_at(SALT);
        let failed = |_| SealError::new("wrapping failed");
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(failed)?;
        let mut wrapped = chance.to_vec();
        let mut secret = Zeroizing::new(key.to_vec());
        let tag = self
            .key(salt)?
            .seal_in_place_separate_tag(nonce, Aad::from(number.to_be_bytes()), &mut secret)
            .map_err(failed)?;
        wrapped.extend_from_slice(&secret);
        wrapped.extend_from_slice(tag.as_ref());
        Ok(wrapped)
    }

    fn unwrap(&self, number: u32, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, SealError> {
        let wrong = || SealError::new("it was changed, or is not this key's");
        let (salt, rest) = wrapped.split_at_checked(SALT).ok_or_else(wrong)?;
        let (nonce, rest) = rest.split_at_checked(NONCE_LEN).ok_or_else(wrong)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong())?;
        let mut bytes = Zeroizing::new(rest.to_vec());
        let plain = self
            .key(salt)?
            .open_in_place(nonce, Aad::from(number.to_be_bytes()), &mut bytes)
            .map_err(|_| wrong())?;
        let key = <[u8; 32]>::try_from(&*plain).map_err(|_| wrong())?;
        Ok(Zeroizing::new(key))
    }
}

impl fmt::Debug for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Locked").field(&self.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_opens_with_its_unlock_key_and_under_its_number_only() {
        let mine = Locked::new(&[1; 32]).unwrap();
        let wrapped = mine.wrap(3, &[9; 32]).unwrap();
        assert_eq!(*mine.unwrap(3, &wrapped).unwrap(), [9; 32]);
        assert!(mine.unwrap(4, &wrapped).is_err());
        let other = Locked::new(&[2; 32]).unwrap();
        assert_ne!(mine.name(), other.name());
        assert!(other.unwrap(3, &wrapped).is_err());
        let again = mine.wrap(3, &[9; 32]).unwrap();
        assert_ne!(wrapped, again, "no two wrappings are alike");
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_wrapped_key_is_noticed() {
        let mine = Locked::new(&[1; 32]).unwrap();
        let wrapped = mine.wrap(1, &[9; 32]).unwrap();
        for bit in 0..wrapped.len() * 8 {
            let mut flipped = wrapped.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(mine.unwrap(1, &flipped).is_err(), "bit {bit}");
        }
        for len in 0..wrapped.len() {
            assert!(mine.unwrap(1, &wrapped[..len]).is_err());
        }
    }
}
