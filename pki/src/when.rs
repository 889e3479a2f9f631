//! Moments, converted between what the standard library, certificates and people use.

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use rustls::pki_types::UnixTime;
use x509_parser::time::ASN1Time;

/// 31 December 9999: the last second a certificate can name (RFC 5280, 4.1.2.5).
const LAST_SECOND: u64 = 253_402_300_799;

/// Whole seconds since 1970, or `None` outside what a certificate can hold.
pub(crate) fn unix_seconds(at: SystemTime) -> Option<u64> {
    let seconds = at.duration_since(UNIX_EPOCH).ok()?.as_secs();
    (seconds <= LAST_SECOND).then_some(seconds)
}

/// The moment as TLS libraries want it; times before 1970 become 1970.
pub(crate) fn unix_time(at: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(at.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The moment as the standard library has it.
pub(crate) fn system_time(at: UnixTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(at.as_secs().min(LAST_SECOND))
}

/// A date out of a certificate; dates before 1970 become 1970.
pub(crate) fn from_asn1(at: ASN1Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(at.timestamp()).unwrap_or_default())
}

/// A date for people: `Nov 20 14:22:46 2026 +00:00`.
pub(crate) fn show(at: &SystemTime) -> String {
    unix_seconds(*at)
        .and_then(|seconds| i64::try_from(seconds).ok())
        .and_then(|seconds| ASN1Time::from_timestamp(seconds).ok())
        .map_or_else(|| "an impossible date".to_owned(), |at| at.to_string())
}

/// How far `late` is behind `early`, for people: `2 d 3 h`, `4 min 12 s`.
pub(crate) fn apart(early: &SystemTime, late: &SystemTime) -> String {
    let seconds = late.duration_since(*early).unwrap_or_default().as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        (_, _, _) => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_as_a_date() {
        let at = UNIX_EPOCH + Duration::from_secs(1_795_184_566);
        assert_eq!(show(&at), "Nov 20 14:22:46 2026 +00:00");
    }

    #[test]
    fn a_distance_is_shown_in_its_two_largest_units() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        for (seconds, expected) in [
            (7, "7 s"),
            (252, "4 min 12 s"),
            (3600, "1 h 0 min"),
            (183_600, "2 d 3 h"),
        ] {
            assert_eq!(apart(&at(10), &at(10 + seconds)), expected);
        }
        assert_eq!(apart(&at(10), &at(0)), "0 s");
    }

    #[test]
    fn a_date_after_the_year_9999_is_no_certificate_date() {
        assert_eq!(
            unix_seconds(UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 1)),
            None
        );
    }
}
