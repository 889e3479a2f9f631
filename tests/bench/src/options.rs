//! What is measured, and how long.

use clap::Parser;
use clap::ValueEnum;
use std::path::PathBuf;
use std::time::Duration;

/// One figure of the table, or a few that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Metric {
    /// Durable changes a second.
    P1,
    /// One client's wait for a change.
    P2,
    /// The slowest changes at equal rates.
    P3,
    /// Linearizable reads a second.
    P4,
    /// Tasks created and placed.
    P5,
    /// Leader killed, to the next change.
    P6,
    /// Memory.
    P18,
    /// Cold start.
    P19,
}

/// Measures Weft's control plane beside etcd and Swarm mode.
#[derive(Clone, Debug, Parser)]
#[command(name = "weft-bench", version)]
pub(crate) struct Options {
    /// What to measure; everything when nothing is named.
    #[arg(value_enum, value_delimiter = ',', ignore_case = true)]
    pub(crate) only: Vec<Metric>,
    /// How often each side is measured.
    #[arg(long, default_value_t = 10)]
    pub(crate) rounds: usize,
    /// Shows only that everything works: one short round with few clients.
    #[arg(long)]
    pub(crate) quick: bool,
    /// How long one turn of one side lasts, in seconds.
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// How many clients ask at once.
    #[arg(long, default_value_t = 256)]
    pub(crate) clients: usize,
    /// P1: other numbers of clients, to see how the figure grows.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100, 1_000])]
    pub(crate) curve: Vec<usize>,
    /// P6: how many leaders of each side are killed; twice the rounds when not given.
    #[arg(long)]
    pub(crate) kills: Option<usize>,
    /// P18, P19: how many tasks are in the state, one size after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000, 10_000, 100_000])]
    pub(crate) state: Vec<usize>,
    /// Measures Weft alone.
    #[arg(long)]
    pub(crate) no_peers: bool,
    /// The program under test; beside this program when not given.
    #[arg(long)]
    pub(crate) weft: Option<PathBuf>,
    /// Where managers keep their logs: must be on a disk, not in memory.
    #[arg(long, default_value = "/var/tmp")]
    pub(crate) disk: PathBuf,
    /// Where the results are written.
    #[arg(long, default_value = "target/bench")]
    pub(crate) out: PathBuf,
    /// P5: how many tasks, one run for each.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000, 10_000, 100_000])]
    pub(crate) tasks: Vec<usize>,
    /// P5: how many simulated nodes.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) nodes: u16,
    /// P5: how many managers.
    #[arg(long, default_value_t = 3)]
    pub(crate) managers: u16,
    /// P5: tasks of one service.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) replicas: usize,
    /// P5, P18, P19: how long one size may take, in seconds, before it is given up.
    #[arg(long, default_value_t = 300)]
    pub(crate) ceiling: u64,
}

impl Options {
    /// The same with everything small.
    pub(crate) fn shortened(mut self) -> Options {
        if self.quick {
            self.rounds = 1;
            self.seconds = 2.0;
            self.clients = 4;
            self.curve = vec![2];
            self.kills = Some(1);
            self.state = vec![10];
            self.tasks = vec![20];
            self.nodes = 5;
            self.ceiling = 30;
        }
        self
    }

    /// How long one turn lasts.
    pub(crate) fn time(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds).unwrap_or(Duration::from_secs(5))
    }

    /// How many leaders of each side are killed.
    pub(crate) fn kills(&self) -> usize {
        self.kills.unwrap_or(self.rounds * 2)
    }

    /// Whether this metric is wanted.
    pub(crate) fn wants(&self, metric: Metric) -> bool {
        self.only.is_empty() || self.only.contains(&metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_named_by_commas_in_any_case_and_none_means_all() {
        let options = Options::parse_from(["weft-bench", "P5"]);
        assert!(options.wants(Metric::P5));
        assert!(Options::parse_from(["weft-bench"]).wants(Metric::P5));
    }
}
