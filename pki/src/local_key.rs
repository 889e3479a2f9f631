//! The key that a node's own records are sealed with.

use std::fmt;

use aws_lc_rs::aead::AES_256_GCM;
use aws_lc_rs::aead::Aad;
use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::aead::NONCE_LEN;
use aws_lc_rs::aead::Nonce;
use aws_lc_rs::aead::UnboundKey;
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::EntropyError;

const KEY_BYTES: usize = 32;

/// 256 random bits for records that only this node reads. Wiped on drop, never shown.
///
/// Each record gets a random nonce of 96 bits: enough for some billions of records, more than a node
/// that saves ten a second writes in ten years.
#[derive(Clone)]
pub struct LocalKey(Zeroizing<[u8; KEY_BYTES]>);

impl LocalKey {
    /// Draws a new key.
    pub fn random() -> Result<Self, EntropyError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        rand::fill(key.as_mut()).map_err(|_| EntropyError)?;
        Ok(Self(key))
    }

    /// The text form: hexadecimal digits, for a file.
    pub fn reveal(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(2 * KEY_BYTES));
        for byte in self.0.iter() {
            for digit in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(u32::from(digit), 16));
            }
        }
        text
    }

    /// The inverse of [`LocalKey::reveal`]; `None` if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut digits = text.trim().chars().map(|digit| digit.to_digit(16));
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        for byte in key.iter_mut() {
            let (high, low) = (digits.next()??, digits.next()??);
            *byte = u8::try_from(high << 4 | low).ok()?;
        }
        digits.next().is_none().then_some(Self(key))
    }

    /// Encrypts a record, bound to what it is.
    ///
    /// # Errors
    /// The machine gives no random numbers.
    pub fn seal(&self, what: &[u8], plain: &[u8]) -> Result<Vec<u8>, EntropyError> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| EntropyError)?;
        let mut sealed = nonce.to_vec();
        let mut body = plain.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key()
            .ok_or(EntropyError)?
            .seal_in_place_append_tag(nonce, Aad::from(what), &mut body)
            .map_err(|_| EntropyError)?;
        sealed.extend(body);
        Ok(sealed)
    }

    /// The inverse; `None` for a record that was changed, or sealed with another key or as something
    /// else.
    pub fn open(&self, what: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self
            .key()?
            .open_in_place(nonce, Aad::from(what), &mut body)
            .ok()?
            .len();
        body.truncate(plain);
        Some(body)
    }

    fn key(&self) -> Option<LessSafeKey> {
        let key = UnboundKey::new(&AES_256_GCM, self.0.as_ref()).ok()?;
        Some(LessSafeKey::new(key))
    }
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_opens_with_its_key_and_as_what_it_is_only() {
        let key = LocalKey::random().unwrap();
        let sealed = key.seal(b"this", b"canary").unwrap();
        assert!(!sealed.windows(6).any(|bytes| bytes == b"canary"));
        assert_eq!(key.open(b"this", &sealed).as_deref(), Some(&b"canary"[..]));
        assert_eq!(key.open(b"that", &sealed), None);
        let other = LocalKey::random().unwrap();
        assert_eq!(other.open(b"this", &sealed), None);
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.open(b"this", &flipped), None, "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert_eq!(key.open(b"this", &sealed[..len]), None);
        }
    }

    #[test]
    fn a_key_survives_its_file() {
        let key = LocalKey::random().unwrap();
        let text = format!("{}\n", key.reveal().as_str());
        let read = LocalKey::parse(&text).unwrap();
        assert_eq!(*read.0, *key.0);
        assert!(LocalKey::parse(&text[1..]).is_none());
        assert!(LocalKey::parse(&format!("0{text}")).is_none());
        assert!(LocalKey::parse(&text.replacen(&text[..1], "g", 1)).is_none());
    }
}
