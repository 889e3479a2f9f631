//! Runs the metrics that are wanted, one after the other, and writes down what they found.

use crate::duel::Duel;
use crate::metrics::grown;
use crate::metrics::p1;
use crate::metrics::p2;
use crate::metrics::p3;
use crate::metrics::p4;
use crate::metrics::p5;
use crate::metrics::p6;
use crate::options::Metric;
use crate::options::Options;
use crate::report::Report;
use crate::report::Surroundings;
use anyhow::Context;
use anyhow::bail;
use std::fs;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tracing_subscriber::EnvFilter;
use weft_proto::time::Clock;
use weft_proto::time::SystemClock;

/// Measures what `options` ask for. What was found before a metric fails is written all the same.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    // Silent unless asked: lines of logs would be part of what is measured.
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let mut report = Report {
        surroundings: surroundings(),
        ..Report::default()
    };
    let measured = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        // Whoever ends this early finds everything removed, and what was found till then.
        tokio::select! {
            measured = measure(options, &mut report) => measured,
            _ = terminate.recv() => bail!("it was asked to end"),
            _ = tokio::signal::ctrl_c() => bail!("it was asked to end"),
        }
    });
    if let Err(error) = &measured {
        report.note(format!("the run ended early: {error:#}"));
    }
    write(options, &report)?;
    measured
}

async fn measure(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let in_duel = [Metric::P1, Metric::P2, Metric::P3, Metric::P4, Metric::P6];
    if in_duel.iter().any(|metric| options.wants(*metric)) {
        duel(options, report).await?;
    }
    if options.wants(Metric::P18) || options.wants(Metric::P19) {
        grown::run(options, report).await.context("P18, P19")?;
        report.surroundings.load.push(load());
    }
    if options.wants(Metric::P5) {
        p5::run(options, report).await.context("P5")?;
        report.surroundings.load.push(load());
    }
    Ok(())
}

/// What needs three members of each side, and can share them.
async fn duel(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let duel = Duel::start(options).await?;
    let mut rates = None;
    if options.wants(Metric::P1) || options.wants(Metric::P3) {
        rates = Some(p1::run(options, &duel, report).await.context("P1")?);
        report.surroundings.load.push(load());
    }
    if options.wants(Metric::P2) {
        p2::run(options, &duel, report).await.context("P2")?;
        report.surroundings.load.push(load());
    }
    if let Some(rates) = rates
        && options.wants(Metric::P3)
    {
        p3::run(options, &duel, rates, report).await.context("P3")?;
        report.surroundings.load.push(load());
    }
    if options.wants(Metric::P4) {
        p4::run(options, &duel, report).await.context("P4")?;
        report.surroundings.load.push(load());
    }
    if options.wants(Metric::P6) {
        p6::run(options, &duel, report).await.context("P6")?;
        report.surroundings.load.push(load());
    }
    Ok(())
}

fn write(options: &Options, report: &Report) -> anyhow::Result<()> {
    let (table, data) = (
        options.out.join("results.md"),
        options.out.join("results.json"),
    );
    let text = report.markdown();
    println!("{text}");
    fs::create_dir_all(&options.out)
        .and_then(|()| fs::write(&table, &text))
        .with_context(|| format!("write {}", table.display()))?;
    let json = serde_json::to_vec_pretty(report).context("results as JSON")?;
    fs::write(&data, json).with_context(|| format!("write {}", data.display()))
}

fn surroundings() -> Surroundings {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Surroundings {
        at_ms: SystemClock.timestamp().as_millis(),
        cpus: std::thread::available_parallelism().map_or(0, usize::from),
        kernel: kernel.trim().to_owned(),
        release: !cfg!(debug_assertions),
        load: vec![load()],
    }
}

/// Processes that run or wait to run, averaged over a minute.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next().unwrap_or_default();
    first.parse().unwrap_or(f64::NAN)
}
