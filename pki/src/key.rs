//! Private keys: made here, wiped from memory when dropped, never printed.

use std::sync::Arc;

use rcgen::KeyPair;
use rcgen::PKCS_ECDSA_P256_SHA256;
use rcgen::SigningKey;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::RequestError;

/// An ECDSA key on P-256, for a root or a node.
///
/// P-256 because every TLS stack and every inspection tool verifies it, and it is the curve the
/// linked cryptography library has its fastest constant-time code for. Clones share one key in
/// memory, which is wiped with the last of them. `Debug` does not show it.
#[derive(Clone, Debug)]
pub struct PrivateKey(Arc<Zeroizing<KeyPair>>);

/// A private key could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key could not be generated.
    #[error("cannot generate a private key")]
    Generate(#[source] rcgen::Error),
    /// The text holds no PKCS#8 key in PEM form.
    #[error("this is not a private key in PEM form (BEGIN PRIVATE KEY)")]
    Pem(#[source] rustls::pki_types::pem::Error),
    /// The key is damaged or not on P-256.
    #[error("the private key is damaged or not an ECDSA P-256 key")]
    Parse(#[source] rcgen::Error),
}

impl PrivateKey {
    /// Makes a new key out of the system's randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(KeyError::Generate)?;
        Ok(Self(Arc::new(Zeroizing::new(pair))))
    }

    /// Reads the PEM text that [`PrivateKey::to_pem`] wrote.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(KeyError::Pem)?;
        // The decoded text is a copy of the key too.
        let der = Zeroizing::new(der);
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256)
            .map_err(KeyError::Parse)?;
        Ok(Self(Arc::new(Zeroizing::new(pair))))
    }

    /// The key as PKCS#8 in PEM form, unencrypted. The caller decides where it may go.
    pub fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.serialize_pem())
    }

    /// An ECDSA signature with SHA-256, in ASN.1 form.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, RequestError> {
        self.pair().sign(message).map_err(RequestError)
    }

    pub(crate) fn pair(&self) -> &KeyPair {
        &self.0
    }

    pub(crate) fn der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.0.serialized_der().to_vec().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_a_round_trip_through_pem() {
        let key = PrivateKey::generate().unwrap();
        let again = PrivateKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(key.pair().public_key_raw(), again.pair().public_key_raw());
    }

    #[test]
    fn a_key_is_not_shown_by_debug() {
        let key = PrivateKey::generate().unwrap();
        let secret = format!("{:?}", &key.pair().serialized_der()[36..68]);
        assert!(!format!("{key:?}").contains(&secret[1..secret.len() - 1]));
    }

    #[test]
    fn text_that_is_no_key_is_refused() {
        assert!(matches!(
            PrivateKey::from_pem("hello"),
            Err(KeyError::Pem(_))
        ));
    }
}
