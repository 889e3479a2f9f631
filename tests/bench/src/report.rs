//! What was measured, as one table for people and one file for programs. Pure.

use crate::stats::Spread;
use crate::stats::ratios;
use serde::Serialize;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    /// Rates.
    More,
    /// Times and sizes.
    Less,
}

/// What is compared with: another product, or a physical limit of the machine, measured in the
/// same run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Peer {
    /// Its name and version.
    pub(crate) name: String,
    /// One value for each of ours.
    pub(crate) values: Vec<f64>,
}

/// A goal as a ratio to the peer, or as a value where there is no peer.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Goal {
    /// What to reach first.
    pub(crate) first: f64,
    /// What to reach in the end.
    pub(crate) moonshot: f64,
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    /// Which metric: `P1`.
    pub(crate) metric: &'static str,
    /// What was measured.
    pub(crate) what: String,
    /// Of the values.
    pub(crate) unit: &'static str,
    /// Which way is better.
    pub(crate) better: Better,
    /// One value for each round.
    pub(crate) values: Vec<f64>,
    /// What it is compared with.
    pub(crate) peer: Option<Peer>,
    /// What is wanted.
    pub(crate) goal: Option<Goal>,
}

impl Finding {
    /// A figure without a peer or goal.
    pub(crate) fn new(
        metric: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        better: Better,
        values: Vec<f64>,
    ) -> Finding {
        Finding {
            metric,
            what: what.into(),
            unit,
            better,
            values,
            peer: None,
            goal: None,
        }
    }

    /// The same, beside what a peer did in the same rounds.
    #[must_use]
    pub(crate) fn beside(mut self, name: impl Into<String>, values: Vec<f64>) -> Finding {
        self.peer = Some(Peer {
            name: name.into(),
            values,
        });
        self
    }

    /// The same, with what is wanted.
    #[must_use]
    pub(crate) fn goal(mut self, first: f64, moonshot: f64) -> Finding {
        self.goal = Some(Goal { first, moonshot });
        self
    }

    /// Ours to the peer's, round by round.
    pub(crate) fn ratio(&self) -> Option<Spread> {
        Spread::of(&ratios(&self.values, &self.peer.as_ref()?.values))
    }

    /// How it stands to its goal.
    pub(crate) fn verdict(&self) -> &'static str {
        let reached = match self.peer {
            Some(_) => self.ratio(),
            None => Spread::of(&self.values),
        };
        let (Some(goal), Some(reached)) = (self.goal, reached) else {
            return "";
        };
        let good = |wanted: f64| match self.better {
            Better::More => reached.median >= wanted,
            Better::Less => reached.median <= wanted,
        };
        match (good(goal.moonshot), good(goal.first)) {
            (true, _) => "moonshot",
            (false, true) => "reached",
            (false, false) => "missed",
        }
    }

    fn row(&self) -> String {
        let peer = match &self.peer {
            Some(peer) => format!("{} {}", peer.name, figure(&peer.values, self.unit)),
            None => "-".to_owned(),
        };
        let ratio = self
            .ratio()
            .map_or_else(|| "-".to_owned(), |r| format!("{} x", spread(&r)));
        let goal = self.goal.map_or_else(String::new, |goal| {
            let unit = if self.peer.is_some() { "x" } else { self.unit };
            format!("{} / {} {unit}", number(goal.first), number(goal.moonshot))
        });
        format!(
            "| {} | {} | {} | {peer} | {ratio} | {goal} | {} |",
            self.metric,
            self.what,
            figure(&self.values, self.unit),
            self.verdict()
        )
    }
}

/// The machine while it measured.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Surroundings {
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// Processors.
    pub(crate) cpus: usize,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// Whether our programs were built for speed.
    pub(crate) release: bool,
    /// Load averages of the last minute, at the beginning and after each metric.
    pub(crate) load: Vec<f64>,
}

/// Everything that one run found.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Where.
    pub(crate) surroundings: Surroundings,
    /// The figures, in order of measuring.
    pub(crate) findings: Vec<Finding>,
    /// What a reader must know: slopes, what could not be measured and why.
    pub(crate) notes: Vec<String>,
}

impl Report {
    /// Adds a figure and shows it at once, since a run takes long.
    pub(crate) fn add(&mut self, finding: Finding) {
        eprintln!("{}", finding.row());
        self.findings.push(finding);
    }

    /// Adds a remark and shows it at once.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        eprintln!("note: {note}");
        self.notes.push(note);
    }

    /// The table, with what must be known to read it.
    pub(crate) fn markdown(&self) -> String {
        let s = &self.surroundings;
        let load = Spread::of(&s.load).map_or_else(|| "unknown".to_owned(), |l| spread(&l));
        let build = if s.release {
            "release"
        } else {
            "DEBUG (figures say nothing)"
        };
        let mut lines = vec![
            format!(
                "{} processors, Linux {}, load average {load}, {build} build.",
                s.cpus, s.kernel
            ),
            "Values are medians with quartiles; ratios are taken round by round, ours to theirs."
                .to_owned(),
            String::new(),
            "| metric | what | weft | beside | ratio | goal: first / moonshot | verdict |"
                .to_owned(),
            "|---|---|---|---|---|---|---|".to_owned(),
        ];
        lines.extend(self.findings.iter().map(Finding::row));
        lines.push(String::new());
        lines.extend(self.notes.iter().map(|note| format!("- {note}")));
        lines.push(String::new());
        lines.join("\n")
    }
}

fn figure(values: &[f64], unit: &str) -> String {
    Spread::of(values).map_or_else(
        || "not measured".to_owned(),
        |s| format!("{} {unit}", spread(&s)),
    )
}

fn spread(s: &Spread) -> String {
    if s.count == 1 {
        return number(s.median);
    }
    format!(
        "{} ({}-{}, n={})",
        number(s.median),
        number(s.q1),
        number(s.q3),
        s.count
    )
}

/// Three digits that mean something.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "-".to_owned()
    } else if size >= 100.0 || size == 0.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 0.1 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(ours: f64, theirs: f64) -> Finding {
        Finding::new("P1", "commits", "/s", Better::More, vec![ours])
            .beside("etcd", vec![theirs])
            .goal(2.0, 5.0)
    }

    #[test]
    fn a_goal_with_a_peer_is_a_ratio() {
        assert_eq!(rate(100.0, 100.0).verdict(), "missed");
        assert_eq!(rate(200.0, 100.0).verdict(), "reached");
        assert_eq!(rate(500.0, 100.0).verdict(), "moonshot");
    }

    #[test]
    fn a_goal_without_a_peer_is_a_value_and_less_may_be_better() {
        let memory =
            |mb| Finding::new("P18", "memory", "MB", Better::Less, vec![mb]).goal(40.0, 25.0);
        assert_eq!(memory(50.0).verdict(), "missed");
        assert_eq!(memory(30.0).verdict(), "reached");
        assert_eq!(memory(20.0).verdict(), "moonshot");
    }

    #[test]
    fn what_was_not_measured_has_no_verdict() {
        let nothing = Finding::new("P1", "x", "/s", Better::More, vec![]).goal(1.0, 2.0);
        assert_eq!(nothing.verdict(), "");
        assert!(nothing.row().contains("not measured"));
    }

    #[test]
    fn the_table_has_a_row_for_each_figure() {
        let report = Report {
            findings: vec![rate(300.0, 100.0)],
            notes: vec!["slope 0.1".to_owned()],
            ..Report::default()
        };
        let text = report.markdown();
        assert!(
            text.contains(
                "| P1 | commits | 300 /s | etcd 100 /s | 3.00 x | 2.00 / 5.00 x | reached |"
            ),
            "{text}"
        );
        assert!(text.contains("- slope 0.1"), "{text}");
    }
}
