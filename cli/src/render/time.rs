//! Points in time and durations for people.

use std::time::Duration;
use weft_proto::time::Timestamp;

const UNITS: [(u64, &str); 5] = [
    (365 * 86_400, "year"),
    (7 * 86_400, "week"),
    (86_400, "day"),
    (3_600, "hour"),
    (60, "minute"),
];

/// How long ago `then` was, as seen at `now`: `5 seconds ago`.
pub(crate) fn ago(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.since(then).as_secs();
    if seconds == 0 {
        return "just now".to_owned();
    }
    let (count, unit) = UNITS
        .iter()
        // From the second full unit on: "90 seconds" says more than "1 minute".
        .find(|(length, _)| seconds >= 2 * length)
        .map_or((seconds, "second"), |(length, unit)| {
            (seconds / length, *unit)
        });
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}

/// A duration as it is typed: `1m30s`, `500ms`.
pub(crate) fn span(duration: Duration) -> String {
    let millis = duration.as_millis();
    let parts = [
        (millis / 3_600_000, "h"),
        (millis / 60_000 % 60, "m"),
        (millis / 1_000 % 60, "s"),
        (millis % 1_000, "ms"),
    ];
    let text: String = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

/// RFC 3339 in UTC, with milliseconds: `2026-11-20T15:04:05.678Z`.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    let millis = at.as_millis();
    let (days, rest) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, milli) = (rest / 1_000 % 60, rest % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// The Gregorian date of a day counted from 1970-01-01. Years are counted from March, so that the
/// day that comes and goes is the last one; 400 years are 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_told_in_units_people_use() {
        let then = Timestamp::from_millis(1_000);
        let seen = |seconds: u64| ago(then.after(Duration::from_secs(seconds)), then);
        for (seconds, text) in [
            (0, "just now"),
            (1, "1 second ago"),
            (90, "90 seconds ago"),
            (150, "2 minutes ago"),
            (3_600, "60 minutes ago"),
            (7_200, "2 hours ago"),
            (86_400 * 3, "3 days ago"),
            (86_400 * 30, "4 weeks ago"),
            (86_400 * 800, "2 years ago"),
        ] {
            assert_eq!(seen(seconds), text);
        }
        assert_eq!(ago(Timestamp::from_millis(0), then), "just now");
    }

    #[test]
    fn a_duration_reads_as_it_is_typed() {
        for (millis, text) in [
            (0, "0s"),
            (500, "500ms"),
            (5_000, "5s"),
            (90_000, "1m30s"),
            (3_601_001, "1h1s1ms"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_187_045_678, "2026-11-20T15:04:05.678Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(Timestamp::from_millis(millis)), text);
        }
    }
}
