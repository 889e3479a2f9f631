//! The secret of a join token, and what the cluster keeps of it.

use std::fmt;

use aws_lc_rs::constant_time;
use aws_lc_rs::digest;
use aws_lc_rs::rand;
use weft_proto::JoinTokenId;
use weft_proto::Role;
use zeroize::Zeroize;
use zeroize::ZeroizeOnDrop;

use crate::EntropyError;

/// 144 bits: more than the 128 that make guessing hopeless, and whole groups of base 32.
pub(crate) const SECRET_BYTES: usize = 18;

/// The secret half of a join token. Wiped on drop, never shown.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct TokenSecret([u8; SECRET_BYTES]);

/// What the cluster keeps of a join token: enough to recognise it, not enough to use it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenVerifier {
    role: Role,
    sha256: [u8; 32],
}

impl TokenSecret {
    /// Draws a new secret.
    pub fn random() -> Result<Self, EntropyError> {
        let mut secret = Self([0; SECRET_BYTES]);
        rand::fill(&mut secret.0).map_err(|_| EntropyError)?;
        Ok(secret)
    }

    /// Takes over a secret that came over the wire; `None` for a wrong length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    /// What a token with this secret is called: so it is found without comparing secrets. Tells
    /// nothing about the secret, nor about what it is verified by.
    pub fn id(&self) -> JoinTokenId {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"weft join token id 1\0");
        context.update(&self.0);
        let digest = context.finish();
        let first = digest.as_ref().iter().take(16);
        JoinTokenId::from_entropy(first.fold(0, |bits, byte| bits << 8 | u128::from(*byte)))
    }

    /// The bytes, for sending them to a manager whose root was checked.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TokenVerifier {
    pub(crate) fn of(role: Role, secret: &TokenSecret) -> Self {
        // One round of a fast hash is enough: the secret is random, not a person's password.
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"weft join token secret 1\0");
        context.update(role.to_string().as_bytes());
        context.update(b"\0");
        context.update(&secret.0);
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(context.finish().as_ref());
        Self { role, sha256 }
    }

    /// Rebuilds a verifier out of the cluster's state.
    pub fn from_parts(role: Role, sha256: [u8; 32]) -> Self {
        Self { role, sha256 }
    }

    /// The role the token grants.
    pub fn role(&self) -> Role {
        self.role
    }

    /// What to store.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// Whether `secret` is that of the token. Takes the same time wherever the two differ.
    pub fn verify(&self, secret: &TokenSecret) -> bool {
        let presented = Self::of(self.role, secret);
        constant_time::verify_slices_are_equal(&self.sha256, &presented.sha256).is_ok()
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(..)")
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier")
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_secret_does_not_pass_as_a_manager_secret() {
        let secret = TokenSecret::random().unwrap();
        let worker = TokenVerifier::of(Role::Worker, &secret);
        assert!(worker.verify(&secret));
        let manager = TokenVerifier::from_parts(Role::Manager, *worker.sha256());
        assert!(!manager.verify(&secret));
    }

    #[test]
    fn two_random_secrets_differ() {
        let one = TokenSecret::random().unwrap();
        let two = TokenSecret::random().unwrap();
        assert_ne!(one.as_bytes(), two.as_bytes());
        assert!(!TokenVerifier::of(Role::Worker, &one).verify(&two));
    }

    #[test]
    fn a_token_is_called_after_its_secret_and_after_nothing_else() {
        let secret = TokenSecret::random().unwrap();
        assert_eq!(secret.id(), secret.clone().id());
        assert_ne!(secret.id(), TokenSecret::random().unwrap().id());
    }

    #[test]
    fn neither_secret_nor_verifier_is_shown_by_debug() {
        let secret = TokenSecret([9; SECRET_BYTES]);
        let verifier = TokenVerifier::from_parts(Role::Worker, [9; 32]);
        let shown = format!("{secret:?} {verifier:?}");
        assert!(!shown.contains('9'), "{shown}");
    }
}
