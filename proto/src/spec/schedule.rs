//! When a job runs again.

use crate::time::Timestamp;
use chrono::DateTime;
use chrono::Utc;
use croner::Cron;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// A cron expression of five fields (minute, hour, day of month, month, day of week), or one of
/// `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. In UTC: managers in different places
/// must agree.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    cron: Cron,
}

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseScheduleError {
    /// Not understood.
    #[error(
        "schedule {text:?} is not understood ({why}): write minute, hour, day of month, month and \
         day of week, like \"30 4 * * *\" for 04:30 UTC every day, or @hourly, @daily, @weekly, \
         @monthly, @yearly"
    )]
    Syntax {
        /// What was given.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// It names a day that does not exist.
    #[error("schedule {0:?} names a time that never comes")]
    Never(String),
}

/// Longest text that is looked at.
const MAX_TEXT: usize = 256;

impl Schedule {
    /// The first moment after `now`; `None` when there is none within the calendar.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let now: DateTime<Utc> = DateTime::from_timestamp_millis(now.as_millis())?;
        let next = self.cron.find_next_occurrence(&now, false).ok()?;
        Some(Timestamp::from_millis(next.timestamp_millis()))
    }
}

impl FromStr for Schedule {
    type Err = ParseScheduleError;

    fn from_str(text: &str) -> Result<Self, ParseScheduleError> {
        let wrong = |why: String| ParseScheduleError::Syntax {
            text: text.chars().take(MAX_TEXT).collect(),
            why,
        };
        if text.len() > MAX_TEXT {
            return Err(wrong(format!("it is longer than {MAX_TEXT} bytes")));
        }
        let cron: Cron = text.parse().map_err(|err| wrong(format!("{err}")))?;
        let schedule = Schedule {
            text: text.to_owned(),
            cron,
        };
        match schedule.next_after(Timestamp::from_millis(0)) {
            Some(_) => Ok(schedule),
            None => Err(ParseScheduleError::Never(text.to_owned())),
        }
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Schedule {}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl Serialize for Schedule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(text: &str, now: i64) -> i64 {
        let schedule: Schedule = text.parse().unwrap();
        let next = schedule.next_after(Timestamp::from_millis(now)).unwrap();
        next.as_millis()
    }

    #[test]
    fn the_next_time_is_strictly_later() {
        let minute = 60_000;
        assert_eq!(next("* * * * *", 0), minute);
        assert_eq!(next("* * * * *", minute), 2 * minute);
        assert_eq!(next("*/15 * * * *", minute), 15 * minute);
        assert_eq!(next("@daily", 1), 24 * 60 * minute);
        // The first of January 1970 was a Thursday.
        assert_eq!(next("0 0 * * MON", 0), 4 * 24 * 60 * minute);
    }

    #[test]
    fn what_cannot_be_a_schedule_is_refused_with_an_example() {
        for text in ["", "daily", "61 * * * *", "* * * *", "* * * * * * * *"] {
            let error = text.parse::<Schedule>().unwrap_err();
            assert!(error.to_string().contains("30 4 * * *"), "{text}: {error}");
        }
        assert!("0 0 30 2 *".parse::<Schedule>().is_err());
        assert!("1 ".repeat(500).parse::<Schedule>().is_err());
    }
}
