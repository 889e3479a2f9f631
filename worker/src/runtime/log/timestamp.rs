//! RFC 3339 times in UTC with nanoseconds: always 30 characters, so they also sort as text.

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

const DAY_S: u64 = 86_400;

/// Formats a time; one before 1970 counts as 1970.
pub(super) fn format(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = civil(since.as_secs() / DAY_S);
    let second = since.as_secs() % DAY_S;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:09}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_nanos(),
    )
}

/// Reads what [`format`] wrote.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let shape = text.is_ascii() && text.len() == 30 && text.ends_with('Z');
    if !shape {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let days = days(number(0, 4)?, number(5, 7)?, number(8, 10)?)?;
    let second = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    let nanos = u32::try_from(number(20, 29)?).ok()?;
    UNIX_EPOCH.checked_add(Duration::new(days * DAY_S + second, nanos))
}

/// Years are counted from March, so that the leap day is the last of its year and months have a
/// regular pattern: 153 days in five of them.
fn civil(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468; // since 1 March of year 0
    let era = days / 146_097; // 400 years
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The inverse of [`civil`]; none for what is no date after 1970.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = year.checked_sub(u64::from(month <= 2))?;
    let month_from_march = (month + 9) % 12;
    let year_of_era = year % 400;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (year / 400 * 146_097 + day_of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_times_have_their_known_text() {
        let at = |seconds, nanos| format(UNIX_EPOCH + Duration::new(seconds, nanos));
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(at(951_782_400, 5), "2000-02-29T00:00:00.000000005Z");
        assert_eq!(at(1_763_648_565, 0), "2025-11-20T14:22:45.000000000Z");
    }

    #[test]
    fn rubbish_is_no_time() {
        assert_eq!(parse("2025-13-20T14:22:45.000000000Z"), None);
        assert_eq!(parse("yesterday"), None);
    }

    proptest! {
        #[test]
        fn what_is_formatted_reads_back(seconds in 0u64..200_000_000_000, nanos in 0u32..1_000_000_000) {
            let time = UNIX_EPOCH + Duration::new(seconds, nanos);
            prop_assert_eq!(parse(&format(time)), Some(time));
        }
    }
}
