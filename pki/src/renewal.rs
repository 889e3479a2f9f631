//! When a certificate is to be renewed.

use std::time::Duration;
use std::time::SystemTime;

use weft_proto::wire;

use crate::CLOCK_SKEW_ALLOWANCE;
use crate::Credentials;
use crate::Trust;
use crate::TrustError;

/// What the certificates of all nodes should be, as a manager said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Of two policies the greater is the newer.
    pub version: u64,
    /// The roots to trust, the issuing one first.
    pub trust: Trust,
    /// How long certificates are valid.
    pub ttl: Duration,
}

/// What to do about a certificate, by its age and by what the cluster wants.
#[derive(Clone, Debug)]
pub enum Due {
    /// It is as it should be: renew at this moment.
    Later(SystemTime),
    /// Trust other roots from now on, with the same certificate.
    Adopt(Box<Credentials>),
    /// It is not what the cluster wants: renew soon, and not everybody at once.
    Told,
    /// Past the renewal moment but still valid: renew at once, retry with a pause.
    Now,
    /// No longer valid.
    Expired {
        /// How long ago it ran out.
        since: Duration,
    },
}

impl Policy {
    /// Reads what a manager sent.
    ///
    /// # Errors
    /// Its roots cannot be used.
    pub fn read(wire: wire::CertificatePolicy) -> Result<Self, TrustError> {
        Ok(Self {
            version: wire.version,
            trust: Trust::from_der(wire.trusted_der)?,
            ttl: Duration::from_millis(wire.ttl_ms),
        })
    }

    /// The longest life of a certificate that was made by it: its beginning lies before its making.
    fn longest(&self) -> Duration {
        let rounding = Duration::from_secs(1);
        self.ttl
            .saturating_add(CLOCK_SKEW_ALLOWANCE.min(self.ttl / 4))
            .saturating_add(rounding)
    }
}

/// What is to be done about `held` at `now`; `jitter` as in [`renew_at`].
pub fn due(held: &Credentials, policy: Option<&Policy>, now: SystemTime, jitter: f64) -> Due {
    let (from, until) = (held.not_before(), held.not_after());
    match renew_at(from, until, now, jitter) {
        RenewAt::Expired { since } => Due::Expired { since },
        RenewAt::Now => Due::Now,
        RenewAt::Later(at) => policy
            .and_then(|policy| wanted(held, policy))
            .unwrap_or(Due::Later(at)),
    }
}

fn wanted(held: &Credentials, policy: &Policy) -> Option<Due> {
    let trusted = |trust: &Trust| {
        let mut prints = trust.fingerprints();
        prints.sort_unstable();
        prints
    };
    if trusted(held.trust()) != trusted(&policy.trust) {
        // One that none of those roots vouches for is replaced together with the trust.
        return Some(match held.with_trust(policy.trust.clone()) {
            Ok(fresh) => Due::Adopt(Box::new(fresh)),
            Err(_) => Due::Told,
        });
    }
    let life = held.not_after().duration_since(held.not_before());
    let issued_otherwise = held.issuer() != policy.trust.first().digest().into();
    let lives_too_long = life.is_ok_and(|life| life > policy.longest());
    (issued_otherwise || lives_too_long).then_some(Due::Told)
}

/// What to do about a certificate's age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewAt {
    /// Fresh enough: renew at this moment.
    Later(SystemTime),
    /// Past the renewal moment but still valid: renew at once, retry with a pause.
    Now,
    /// No longer valid: a join token brings this node back.
    Expired {
        /// How long ago it ran out.
        since: Duration,
    },
}

/// Plans the renewal of a certificate valid from `not_before` until `not_after`.
///
/// The moment lies between 50 % (`jitter` = 0) and 75 % (`jitter` = 1) of the lifetime: late
/// enough to be cheap, early enough to leave a quarter of it for retries while managers are down,
/// and spread so that nodes that joined together do not renew together. A `jitter` outside 0..=1
/// is clamped. Draw it once per certificate.
pub fn renew_at(
    not_before: SystemTime,
    not_after: SystemTime,
    now: SystemTime,
    jitter: f64,
) -> RenewAt {
    if let Ok(since) = now.duration_since(not_after) {
        return RenewAt::Expired { since };
    }
    let lifetime = not_after.duration_since(not_before).unwrap_or_default();
    // A NaN would make the multiplication below panic.
    let jitter = if jitter.is_finite() { jitter } else { 0.0 };
    let moment = not_before + lifetime.mul_f64(0.5 + 0.25 * jitter.clamp(0.0, 1.0));
    if moment <= now {
        RenewAt::Now
    } else {
        RenewAt::Later(moment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::UNIX_EPOCH;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn without_jitter_a_certificate_is_renewed_at_half_life() {
        assert_eq!(
            renew_at(at(1000), at(2000), at(1000), 0.0),
            RenewAt::Later(at(1500))
        );
    }

    #[test]
    fn with_full_jitter_a_quarter_of_the_lifetime_is_left() {
        assert_eq!(
            renew_at(at(1000), at(2000), at(1000), 1.0),
            RenewAt::Later(at(1750))
        );
    }

    #[test]
    fn past_its_moment_a_certificate_is_renewed_at_once() {
        assert_eq!(renew_at(at(1000), at(2000), at(1999), 1.0), RenewAt::Now);
    }

    #[test]
    fn an_expired_certificate_says_for_how_long() {
        assert_eq!(
            renew_at(at(1000), at(2000), at(2060), 0.3),
            RenewAt::Expired {
                since: Duration::from_secs(60)
            }
        );
    }

    #[test]
    fn a_clock_behind_the_certificate_waits() {
        assert_eq!(
            renew_at(at(1000), at(2000), at(10), 0.0),
            RenewAt::Later(at(1500))
        );
    }

    proptest! {
        #[test]
        fn no_times_and_no_jitter_panic(a: u32, b: u32, now: u32, jitter: f64) {
            let _ = renew_at(at(a.into()), at(b.into()), at(now.into()), jitter);
        }
    }
}
