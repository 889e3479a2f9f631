//! P5: how many tasks a second are created and placed, at growing numbers of tasks.
//!
//! In this process, with real logs on disk and real control loops; the nodes are simulated. All
//! services are asked for at once. A task counts as placed when the state says on which node it is,
//! as running when its node has said so.

use crate::options::Options;
use crate::report::Better;
use crate::report::Finding;
use crate::report::Report;
use crate::simulated::Managers;
use crate::simulated::Mark;
use crate::simulated::Nodes;
use crate::simulated::Tally;
use crate::simulated::service;
use crate::stats::growth;
use crate::stats::to_f64;
use anyhow::Context;
use std::time::Duration;
use tokio::time::Instant;
use weft_proto::command::Change;

/// Tasks a second in Swarm mode with a thousand simulated nodes, as its makers' published
/// measurements and our own earlier ones have it. Not measured in this run.
const SWARM: f64 = 1_200.0;

/// Services in one transaction.
const SERVICES_AT_ONCE: usize = 50;

/// One size.
#[derive(Clone, Copy, Debug)]
struct Run {
    last: Mark,
    created: f64,
    placed: f64,
    running: f64,
    /// The rate of placing the second half beside that of the first.
    flatness: f64,
    /// From asking for one more task to its running, with all others there.
    one_more: Option<Duration>,
}

/// Measures all sizes.
pub(crate) async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let mut rates = Vec::new();
    for &tasks in &options.tasks {
        let run = one(options, tasks)
            .await
            .with_context(|| format!("{tasks} tasks"))?;
        let (nodes, managers) = (options.nodes, options.managers);
        let what =
            format!("tasks created and placed, {tasks} tasks, {nodes} nodes, {managers} managers");
        let size = format!("{tasks} tasks");
        let finding = Finding::new("P5", what, "/s", Better::More, vec![run.placed]);
        report.add(finding.goal(10.0 * SWARM, 50.0 * SWARM));
        let more = [
            ("created only", "/s", Better::More, run.created),
            ("until they run", "/s", Better::More, run.running),
            (
                "second half placed beside the first",
                "x",
                Better::More,
                run.flatness,
            ),
            (
                "one more task, asked for to running",
                "ms",
                Better::Less,
                run.one_more.map_or(f64::NAN, |d| d.as_secs_f64() * 1e3),
            ),
        ];
        for (what, unit, better, value) in more {
            let what = format!("{size}: {what}");
            report.add(Finding::new("P5", what, unit, better, vec![value]));
        }
        if run.last.running < tasks {
            report.note(format!(
                "P5 with {tasks} tasks was ended after {} s with {} created, {} placed, {} running",
                run.last.at.as_secs(),
                run.last.created,
                run.last.placed,
                run.last.running
            ));
        }
        rates.push((to_f64(tasks), run.placed));
    }
    if let Some(slope) = growth(&rates) {
        report.note(format!(
            "P5: the rate of placing grows with the number of tasks by slope {slope:.2} in \
             logarithmic scales (0 is flat); Swarm's {SWARM} tasks/s were not measured in this run"
        ));
    }
    Ok(())
}

async fn one(options: &Options, tasks: usize) -> anyhow::Result<Run> {
    let dir = tempfile::Builder::new()
        .prefix("weft-bench-p5-")
        .tempdir_in(&options.disk)?;
    let managers = Managers::start(dir.path(), options.managers).await?;
    let measured = measure(options, tasks, &managers).await;
    managers.stop().await;
    measured
}

async fn measure(options: &Options, tasks: usize, managers: &Managers) -> anyhow::Result<Run> {
    let mut nodes = Nodes::join(managers, options.nodes).await?;
    let ceiling = Duration::from_secs(options.ceiling);
    let start = Instant::now();
    order(managers, tasks, options.replicas).await?;
    let mut tally = Tally::default();
    let all_run = nodes
        .live(&mut tally, start, ceiling, |mark| mark.running >= tasks)
        .await?;
    let last = tally.mark(start.elapsed());
    let one_more = if all_run {
        let start = Instant::now();
        order(managers, 1, 1).await?;
        let found = nodes
            .live(&mut tally, start, ceiling, |mark| mark.running > tasks)
            .await?;
        found.then(|| start.elapsed())
    } else {
        None
    };
    Ok(Run {
        last,
        created: rate(&tally, last, |mark| mark.created),
        placed: rate(&tally, last, |mark| mark.placed),
        running: rate(&tally, last, |mark| mark.running),
        flatness: flatness(&tally, last.placed),
        one_more,
    })
}

/// Asks for so many tasks, in services of at most `replicas`.
async fn order(managers: &Managers, tasks: usize, replicas: usize) -> anyhow::Result<()> {
    let mut services = Vec::new();
    let mut left = tasks;
    while left > 0 {
        let some = left.min(replicas.max(1));
        left -= some;
        services.push(Change::create(service(
            rand::random(),
            u32::try_from(some)?,
        )?));
    }
    for chunk in services.chunks(SERVICES_AT_ONCE) {
        managers
            .propose(chunk.to_vec())
            .await?
            .context("services")?;
    }
    Ok(())
}

/// How many a second got there, until the last that did.
fn rate(tally: &Tally, last: Mark, of: fn(&Mark) -> usize) -> f64 {
    let count = of(&last);
    let at = tally.reached(count, of);
    at.map_or(f64::NAN, |at| to_f64(count) / at.as_secs_f64())
}

/// The rate of placing the second half of `count` beside that of the first.
fn flatness(tally: &Tally, count: usize) -> f64 {
    let placed = |mark: &Mark| mark.placed;
    let half = tally.reached(count / 2, placed);
    let (Some(half), Some(all)) = (half, tally.reached(count, placed)) else {
        return f64::NAN;
    };
    half.as_secs_f64() / (all - half).as_secs_f64()
}
