//! A whole run: a cluster, its clients, what is done to it, and the judgement.

use crate::dice::Dice;
use crate::load::Client;
use crate::load::Load;
use crate::load::LoadOptions;
use crate::nemesis::Nemesis;
use crate::node::Node;
use crate::plan::Family;
use crate::plan::Plan;
use crate::record::Action;
use crate::record::Operation;
use crate::record::Outcome;
use crate::record::Recorder;
use crate::record::Seen;
use crate::record::write_lines;
use crate::replicas::Replicas;
use crate::report::Done;
use crate::report::Report;
use crate::search::search;
use crate::verdict::Sightings;
use crate::verdict::judge;
use crate::watcher::Watched;
use crate::watcher::Watchers;
use anyhow::Context;
use anyhow::bail;
use anyhow::ensure;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;
use tokio::runtime::Runtime;
use weft_rig::Host;
use weft_tests::CEILING;
use weft_tests::Cluster;

/// Steps of the search per register. A legal history takes about two per operation.
const BUDGET: u64 = 20_000_000;

/// Between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// More memory than this is a leak: some thousand small services fit into a tenth of it.
const RSS_MAX_KIB: u64 = 512 << 10;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the cluster's namespaces, at most 12 characters.
    pub name: String,
    /// All chance comes from it.
    pub seed: u64,
    /// Managers.
    pub managers: usize,
    /// So many managers are killed, stopped or cut off, unless `limit` ends the run earlier.
    pub faults: u64,
    /// No new fault after this time.
    pub limit: Option<Duration>,
    /// Which kinds of faults.
    pub families: Vec<Family>,
    /// The clients.
    pub load: LoadOptions,
    /// How often to say how far it is; never if `None`.
    pub progress: Option<Duration>,
}

/// Runs it.
///
/// # Errors
/// When the cluster cannot be built or does not recover, and when a check fails. The history and
/// the daemons' logs are kept then, and the message says where and how to repeat the run.
pub fn run(options: &Options) -> anyhow::Result<Report> {
    let cluster = Cluster::start(&options.name, options.managers, 0)?;
    let recorder = Recorder::default();
    let outcome = under_load(options, &cluster, &recorder);
    match outcome {
        Ok(report) => {
            cluster.down()?;
            Ok(report)
        }
        Err(error) => {
            let kept = keep(options, &cluster, &recorder.operations());
            let kept = match &kept {
                Ok(dir) => format!("history and logs are in {}", dir.display()),
                Err(err) => format!("nothing could be kept: {err:#}"),
            };
            drop(cluster);
            Err(error.context(format!("{kept}; repeat with: {}", options.command())))
        }
    }
}

impl Options {
    /// The command that does the same again.
    pub fn command(&self) -> String {
        let families: Vec<String> = self
            .families
            .iter()
            .map(|family| format!("{family:?}").to_lowercase())
            .collect();
        format!(
            "make chaos SEED={} KILLS={} MANAGERS={} FAULTS={}",
            self.seed,
            self.faults,
            self.managers,
            families.join(",")
        )
    }
}

fn under_load(options: &Options, cluster: &Cluster, recorder: &Recorder) -> anyhow::Result<Report> {
    let runtime = Runtime::new().context("a runtime for the clients")?;
    let hosts = &cluster.managers;
    let sockets: Vec<PathBuf> = hosts.iter().map(Host::socket).collect();
    let dice = Dice::new(options.seed);
    let watchers = runtime.block_on(Watchers::start(&sockets))?;
    let replicas = runtime.block_on(async { Replicas::start(&sockets) });
    let load = Load::start(&sockets, options.load, &dice, recorder);
    let load = runtime.block_on(load)?;
    let mut nemesis = Nemesis::new(hosts, runtime.handle(), recorder)?;
    let began = Instant::now();
    let mut said = Instant::now();
    let plan = Plan::new(options.seed, &options.families, options.managers);
    for step in plan {
        let figures = &nemesis.figures;
        let done = figures.kills + figures.stops + figures.cuts;
        if done >= options.faults || options.limit.is_some_and(|limit| began.elapsed() >= limit) {
            break;
        }
        if options
            .progress
            .is_some_and(|every| said.elapsed() >= every)
        {
            said = Instant::now();
            let written = recorder.acknowledged();
            println!(
                "{:>5} s: {done} of {} faults, {written} writes acknowledged, {} KiB at most",
                began.elapsed().as_secs(),
                options.faults,
                figures.rss_kib
            );
        }
        nemesis.apply(&step)?;
    }
    for host in hosts {
        host.wait_ready(CEILING)?;
    }
    cluster.wait_for_voters(options.managers)?;
    let took = began.elapsed();
    runtime.block_on(load.stop());
    let last = runtime.block_on(read_everything(&sockets, options.load.keys, recorder))?;
    let compared = runtime.block_on(replicas.finish())?;
    let begun = Instant::now();
    while watchers.position() < compared.revision {
        ensure!(begun.elapsed() < CEILING, "a watcher is not told the rest");
        std::thread::sleep(LOOK);
    }
    let operations = recorder.operations();
    judge_history(&operations)?;
    let watched = runtime.block_on(watchers.finish())?;
    check(&operations, &watched, &last)?;
    check_logs(hosts)?;
    let figures = nemesis.figures.clone();
    ensure!(
        figures.rss_kib <= RSS_MAX_KIB,
        "a daemon grew to {} KiB",
        figures.rss_kib
    );
    let done = Done {
        took,
        figures,
        watched,
        compared,
    };
    Ok(Report::new(options, done, &operations))
}

/// Every register as every manager tells it, once all tell the same.
async fn read_everything(
    sockets: &[PathBuf],
    keys: u32,
    recorder: &Recorder,
) -> anyhow::Result<BTreeMap<u32, Seen>> {
    let nodes: Vec<Node> = sockets.iter().map(|socket| Node::new(socket)).collect();
    for place in 0..nodes.len() {
        let reader = Client {
            number: u32::MAX,
            place,
            nodes: nodes.clone(),
            recorder: recorder.clone(),
        };
        for key in 0..keys {
            let begun = Instant::now();
            while !matches!(reader.act(key, Action::Read, 1).await, Outcome::Read(_)) {
                ensure!(begun.elapsed() < CEILING, "register {key} cannot be read");
            }
        }
    }
    let begun = Instant::now();
    loop {
        let mut told = Vec::new();
        for node in &nodes {
            told.push(node.all().await.context("a list of all registers")?);
        }
        let differ = told.windows(2).find(|pair| pair[0] != pair[1]);
        let Some(pair) = differ else {
            return Ok(told.pop().into_iter().flatten().collect());
        };
        // Writes that were given up may still arrive.
        if begun.elapsed() > CEILING {
            bail!("two managers tell different things: {pair:?}");
        }
    }
}

/// Judges what clients were told, without watchers.
///
/// # Errors
/// The first breaches found.
pub fn judge_history(operations: &[Operation]) -> anyhow::Result<()> {
    // Of what was there at the end, the last reads tell.
    let mut last = BTreeMap::new();
    for op in operations {
        if let Outcome::Read(content) = op.outcome {
            last.insert(op.key, content);
        }
    }
    check(operations, &Watched::default(), &last)?;
    search(operations, BUDGET).context("the values alone cannot be explained")?;
    Ok(())
}

/// Judges by versions, with what watchers were told.
fn check(
    operations: &[Operation],
    watched: &Watched,
    last: &BTreeMap<u32, Seen>,
) -> anyhow::Result<()> {
    let mut sightings = Sightings::default();
    for (key, content) in &watched.contents {
        sightings.add(*key, *content);
    }
    // Who was given a whole state did not hear of what was overwritten before.
    let complete = watched.changes > 0 && watched.resyncs == 0;
    let unseen = operations.iter().filter(|_| complete).find(|op| {
        let value = op.action.value().filter(|_| op.outcome == Outcome::Done);
        value.is_some_and(|value| sightings.version(op.key, value).is_none())
    });
    if let Some(op) = unseen {
        bail!("acknowledged, and no watcher was told: {op:?}");
    }
    let breaches = judge(operations, sightings, last);
    let shown: Vec<String> = breaches.iter().take(5).map(ToString::to_string).collect();
    ensure!(
        breaches.is_empty(),
        "{} breaches, the first of them: {}",
        breaches.len(),
        shown.join("; ")
    );
    Ok(())
}

/// Reads what [`write_lines`] wrote, and judges it.
///
/// # Errors
/// When the file is no history, and when the history has a breach.
pub fn judge_file(path: &Path) -> anyhow::Result<usize> {
    let text = fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    let operations: Vec<Operation> = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    judge_history(&operations)?;
    Ok(operations.len())
}

/// Nothing in a daemon's log says that its program is wrong.
fn check_logs(hosts: &[Host]) -> anyhow::Result<()> {
    for host in hosts {
        let log = host.log();
        if let Some(line) = log.lines().find(|line| line.contains("panicked at")) {
            bail!("{}: {line}", host.name());
        }
    }
    Ok(())
}

/// Keeps what a person needs to find out why.
fn keep(options: &Options, cluster: &Cluster, operations: &[Operation]) -> anyhow::Result<PathBuf> {
    let weft = weft_tests::weft_binary()?;
    let target = weft.parent().and_then(|dir| dir.parent());
    let target = target.context("no target directory")?;
    let dir = target.join("chaos").join(format!("seed-{}", options.seed));
    fs::create_dir_all(&dir)?;
    let mut file = std::io::BufWriter::new(fs::File::create(dir.join("history.jsonl"))?);
    write_lines(operations, &mut file)?;
    for host in &cluster.managers {
        fs::write(dir.join(format!("{}.log", host.name())), host.log())?;
    }
    Ok(dir)
}
