//! How tasks are replaced when a spec changes.

use serde::Deserialize;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Whether a new task starts before the old one stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateOrder {
    /// Stop, then start.
    StopFirst,
    /// Start, then stop.
    StartFirst,
}

/// What happens when too many new tasks fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailureAction {
    /// No more tasks are replaced until somebody updates again.
    Pause,
    /// Go on.
    Continue,
    /// Return to the previous spec. Never for a rollback itself.
    Rollback,
}

/// A part of the whole in thousandths, 0 to 1000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Ratio(u16);

/// Why a text or number is no ratio.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no ratio: use a number from 0 to 1 with at most three decimals, like 0.25")]
pub struct ParseRatioError(String);

impl Ratio {
    /// Nothing of the whole.
    pub const NONE: Ratio = Ratio(0);

    /// The number of thousandths.
    pub fn thousandths(self) -> u16 {
        self.0
    }

    /// From a number of thousandths.
    ///
    /// # Errors
    /// More than 1000.
    pub fn from_thousandths(number: u32) -> Result<Self, ParseRatioError> {
        match u16::try_from(number) {
            Ok(number @ 0..=1000) => Ok(Ratio(number)),
            Ok(_) | Err(_) => Err(ParseRatioError(format!("{number} thousandths"))),
        }
    }

    /// Whether `part` of `whole` is more than this.
    pub fn is_exceeded_by(self, part: usize, whole: usize) -> bool {
        part.saturating_mul(1000) > whole.saturating_mul(usize::from(self.0))
    }
}

impl FromStr for Ratio {
    type Err = ParseRatioError;

    fn from_str(text: &str) -> Result<Self, ParseRatioError> {
        let wrong = || ParseRatioError(format!("{text:?}"));
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 3 {
            return Err(wrong());
        }
        let number = format!("{whole}{decimals:0<3}");
        let number = number.parse().map_err(|_| wrong())?;
        Ratio::from_thousandths(number).map_err(|_| wrong())
    }
}

impl TryFrom<String> for Ratio {
    type Error = ParseRatioError;
    fn try_from(text: String) -> Result<Self, ParseRatioError> {
        text.parse()
    }
}

impl From<Ratio> for String {
    fn from(ratio: Ratio) -> String {
        ratio.to_string()
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1000, self.0 % 1000);
        f.pad(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// How tasks are replaced when the spec changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateConfig {
    /// How many slots at a time; zero: all at once.
    pub parallelism: u32,
    /// How long after a new task runs before the next slot's turn.
    pub delay: Duration,
    /// Which comes first.
    pub order: UpdateOrder,
    /// How long a new task is watched: one that ends within this time counts as failed.
    #[serde(default = "monitor")]
    pub monitor: Duration,
    /// What happens when too many fail.
    #[serde(default = "failure_action")]
    pub failure_action: FailureAction,
    /// How many of the replaced slots may fail before that happens.
    #[serde(default)]
    pub max_failure_ratio: Ratio,
}

fn monitor() -> Duration {
    crate::defaults::UPDATE.monitor
}

fn failure_action() -> FailureAction {
    crate::defaults::UPDATE.failure_action
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_read_and_shown_exactly() {
        for (text, thousandths, shown) in [
            ("0", 0, "0"),
            ("1", 1000, "1"),
            ("1.000", 1000, "1"),
            ("0.25", 250, "0.25"),
            ("0.005", 5, "0.005"),
        ] {
            let ratio: Ratio = text.parse().unwrap();
            assert_eq!(ratio.thousandths(), thousandths, "{text}");
            assert_eq!(ratio.to_string(), shown);
        }
        for text in [
            "",
            ".5",
            "1.",
            "1.001",
            "-0.1",
            "0.0001",
            "50%",
            "1e-1",
            "99999999999",
        ] {
            assert!(text.parse::<Ratio>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_ratio_is_exceeded_only_by_more() {
        let quarter: Ratio = "0.25".parse().unwrap();
        assert!(!quarter.is_exceeded_by(1, 4));
        assert!(quarter.is_exceeded_by(2, 4));
        let none = Ratio::default();
        assert!(!none.is_exceeded_by(0, 4));
        assert!(none.is_exceeded_by(1, 4));
    }
}
