//! When a certificate is to be renewed.

use std::time::Duration;
use std::time::SystemTime;

/// What to do about a certificate's age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewAt {
    /// Fresh enough: renew at this moment.
    Later(SystemTime),
    /// Past the renewal moment but still valid: renew at once, retry with a pause.
    Now,
    /// No longer valid: only a join token brings this node back.
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
