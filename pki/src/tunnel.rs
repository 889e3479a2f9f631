//! Keys of encrypted tunnels between nodes: each node's own pair, and what each pair of nodes shares.

use crate::EntropyError;
use aws_lc_rs::agreement;
use aws_lc_rs::agreement::X25519;
use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::encoding::Curve25519SeedBin;
use aws_lc_rs::hkdf::HKDF_SHA256;
use aws_lc_rs::hkdf::Salt;
use weft_proto::ClusterId;
use weft_proto::NodeId;
use weft_proto::key::KEY_LEN;
use weft_proto::key::SecretKey;
use weft_proto::key::TunnelKey;
use zeroize::Zeroizing;

/// Keeps keys of this purpose apart from all others that are ever derived from an epoch's key.
const PURPOSE: &[u8] = b"weft pair of nodes 1";

/// A key that could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum TunnelKeyError {
    /// It could not be generated.
    #[error("cannot make a key pair for tunnels")]
    Generate(#[source] EntropyError),
    /// It is no private key.
    #[error("this is no private key for tunnels: it must be 32 random bytes")]
    Bytes,
}

/// The private half of a node's X25519 key pair. It never leaves its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelSecret {
    secret: SecretKey,
    public: TunnelKey,
}

impl TunnelSecret {
    /// Makes a new one out of the system's randomness.
    ///
    /// # Errors
    /// The kernel gave no randomness.
    pub fn generate() -> Result<Self, TunnelKeyError> {
        let failed = |_| TunnelKeyError::Generate(EntropyError);
        let private = agreement::PrivateKey::generate(&X25519).map_err(failed)?;
        let bytes: Curve25519SeedBin<'static> = private.as_be_bytes().map_err(failed)?;
        TunnelSecret::from_bytes(bytes.as_ref())
    }

    /// Takes over what [`TunnelSecret::expose`] gave. Any 32 bytes are a key; others than before
    /// have another public half.
    ///
    /// # Errors
    /// It is not 32 bytes, or a key that nobody could agree with.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TunnelKeyError> {
        let secret = SecretKey::from_slice(bytes).ok_or(TunnelKeyError::Bytes)?;
        let private = agreement::PrivateKey::from_private_key(&X25519, bytes)
            .map_err(|_| TunnelKeyError::Bytes)?;
        let public = private
            .compute_public_key()
            .map_err(|_| TunnelKeyError::Bytes)?;
        let public = TunnelKey::try_from(public.as_ref()).map_err(|_| TunnelKeyError::Bytes)?;
        Ok(TunnelSecret { secret, public })
    }

    /// What the other nodes are told.
    pub fn public(&self) -> TunnelKey {
        self.public
    }

    /// The 32 bytes, for the data plane and for the node's disk.
    pub fn expose(&self) -> &SecretKey {
        &self.secret
    }
}

/// The key that two nodes share in an epoch, beside what they agree on themselves. Both orders of
/// the two give the same; without the epoch's key, nothing is learnt of it from any others. `None` never happens: a
/// key that could not be derived must not be one that everybody knows.
pub fn pair_key(
    epoch_key: &SecretKey,
    epoch: u64,
    cluster: ClusterId,
    one: (NodeId, TunnelKey),
    other: (NodeId, TunnelKey),
) -> Option<SecretKey> {
    let (first, second) = if one <= other {
        (one, other)
    } else {
        (other, one)
    };
    let number = epoch.to_be_bytes();
    // Each part has a length of its own, so no two lists of parts are the same bytes.
    let info = [
        cluster.as_str().as_bytes(),
        first.0.as_str().as_bytes(),
        first.1.as_bytes(),
        second.0.as_str().as_bytes(),
        second.1.as_bytes(),
        &number,
    ];
    let prk = Salt::new(HKDF_SHA256, PURPOSE).extract(epoch_key.expose());
    let mut key = Zeroizing::new([0; KEY_LEN]);
    prk.expand(&info, HKDF_SHA256).ok()?.fill(&mut *key).ok()?;
    SecretKey::from_slice(&*key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_half_follows_from_the_private_one() {
        // RFC 7748 s. 6.1: Alice.
        let private = [
            0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2,
            0x66, 0x45, 0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5,
            0x1d, 0xb9, 0x2c, 0x2a,
        ];
        let alice = TunnelSecret::from_bytes(&private).unwrap();
        assert_eq!(
            alice.public().to_string(),
            "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
        );
    }

    #[test]
    fn a_key_survives_a_round_trip_and_no_two_are_alike() {
        let one = TunnelSecret::generate().unwrap();
        let again = TunnelSecret::from_bytes(one.expose().expose()).unwrap();
        assert_eq!(one, again);
        assert_ne!(one.public(), TunnelSecret::generate().unwrap().public());
        assert!(TunnelSecret::from_bytes(&[1; 31]).is_err());
        assert!(!format!("{one:?}").contains(&format!("{:?}", one.expose().expose())));
    }

    fn node(n: u8) -> (NodeId, TunnelKey) {
        let key = TunnelKey::try_from([n; 32].as_slice()).unwrap();
        (NodeId::from_entropy(n.into()), key)
    }

    #[test]
    fn a_pairs_key_is_the_same_for_both_and_different_for_anything_else() {
        let cluster = ClusterId::from_entropy(1);
        let epoch = SecretKey::new([7; 32]);
        let key = pair_key(&epoch, 1, cluster, node(1), node(2));
        assert_eq!(key, pair_key(&epoch, 1, cluster, node(2), node(1)));
        assert_ne!(key, Some(SecretKey::new([0; KEY_LEN])));
        let (id, _) = node(2);
        for other in [
            pair_key(&SecretKey::new([8; 32]), 1, cluster, node(1), node(2)),
            pair_key(&epoch, 2, cluster, node(1), node(2)),
            pair_key(&epoch, 1, ClusterId::from_entropy(2), node(1), node(2)),
            pair_key(&epoch, 1, cluster, node(1), node(3)),
            pair_key(&epoch, 1, cluster, node(1), (id, node(3).1)),
        ] {
            assert_ne!(key, other);
        }
    }
}
