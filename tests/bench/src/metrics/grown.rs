//! P18 and P19: what state costs. One manager and one member of etcd, filled step by step; at each
//! size their memory is looked at, and how long they take to serve again after they were killed.
//!
//! The state is tasks that no node suits, so that nothing but the state grows. etcd holds as many
//! values, each as large as a task's record.

use crate::duel::ETCD;
use crate::duel::rig;
use crate::load::Ask;
use crate::load::Client;
use crate::options::Metric;
use crate::options::Options;
use crate::peers::CEILING;
use crate::peers::Etcd;
use crate::peers::Group;
use crate::peers::Weft;
use crate::peers::memory;
use crate::report::Better;
use crate::report::Finding;
use crate::report::Report;
use crate::stats::growth;
use crate::stats::interleaved;
use crate::stats::to_f64;
use anyhow::Context;
use prost::Message;
use std::time::Duration;
use tokio::task::block_in_place;
use tokio::time::Instant;
use tokio::time::sleep;
use weft_proto::wire;
use weft_rig::Host;
use weft_rig::Rig;

/// After a burst of changes memory and snapshots settle for this long.
const SETTLE: Duration = Duration::from_secs(3);
/// Tasks of one service.
const REPLICAS: usize = 1_000;
/// Clients that fill etcd.
const FILLERS: usize = 64;
/// Bytes in a megabyte.
const MB: f64 = 1048576.0;

struct Bed {
    weft: Weft,
    etcd: Option<Etcd>,
    tasks: usize,
    services: usize,
    _rig: Rig,
}

/// Measures both metrics, or the one that is wanted.
pub(crate) async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let rig = block_in_place(|| rig(options))?;
    let weft = block_in_place(|| Weft::start(&rig, 1)).context("start Weft")?;
    let agent = block_in_place(|| worker(&rig, &weft)).context("start a worker")?;
    let size = task_size(&weft).await?;
    let etcd = if options.no_peers {
        None
    } else {
        Some(Etcd::start(&rig, 1, size).await.context("start etcd")?)
    };
    let mut bed = Bed {
        weft,
        etcd,
        tasks: 0,
        services: 0,
        _rig: rig,
    };
    sleep(SETTLE).await;
    let empty = bed.memory()?;
    if options.wants(Metric::P18) {
        let finding = Finding::new(
            "P18",
            "memory of a manager, empty",
            "MB",
            Better::Less,
            vec![empty.0],
        );
        report.add(finding.goal(40.0, 25.0));
        let finding = Finding::new(
            "P18",
            "memory of a manager, empty",
            "MB",
            Better::Less,
            vec![empty.0],
        );
        report.add(finding.beside(ETCD, empty.1.into_iter().collect()));
        let used = mb(Weft::pid(&agent)?)?;
        let finding = Finding::new(
            "P18",
            "memory of an agent, idle",
            "MB",
            Better::Less,
            vec![used],
        );
        report.add(finding.goal(20.0, 12.0));
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for &tasks in &options.state {
        if !bed.grow(tasks, options).await? {
            report.note(format!(
                "P18, P19: {tasks} tasks were not there after {} s; sizes from there on are not measured",
                options.ceiling
            ));
            break;
        }
        if options.wants(Metric::P18) {
            let now = bed.memory()?;
            let each = |used: f64, empty: f64| (used - empty) * MB / to_f64(tasks) / 1024.0;
            let weft = each(now.0, empty.0);
            let what = format!("memory of a manager for one of {tasks} tasks");
            let mut finding = Finding::new("P18", what, "KiB", Better::Less, vec![weft]);
            ours.push((to_f64(tasks), now.0 - empty.0));
            if let (Some(used), Some(empty)) = (now.1, empty.1) {
                theirs.push((to_f64(tasks), used - empty));
                finding = finding.beside(ETCD, vec![each(used, empty)]);
            } else {
                finding = finding.goal(4.0, 1.0);
            }
            report.add(finding);
        }
        if options.wants(Metric::P19) {
            bed.restarts(tasks, options, report).await?;
        }
    }
    for (name, points) in [("a manager", ours), (ETCD, theirs)] {
        if let Some(slope) = growth(&points) {
            report.note(format!(
                "P18: what {name} needs beyond its empty self grows with the number of tasks by \
                 slope {slope:.2} in logarithmic scales (1 is proportional); goal: 4 / 1 KiB for \
                 each of 100,000"
            ));
        }
    }
    Ok(())
}

impl Bed {
    /// Megabytes of both sides now.
    fn memory(&self) -> anyhow::Result<(f64, Option<f64>)> {
        let theirs = self
            .etcd
            .as_ref()
            .map(|etcd| mb(etcd.pid(0)?))
            .transpose()?;
        Ok((mb(Weft::pid(self.weft.manager(0)?)?)?, theirs))
    }

    /// Fills both sides; false when that takes too long.
    async fn grow(&mut self, tasks: usize, options: &Options) -> anyhow::Result<bool> {
        let deadline = Instant::now() + Duration::from_secs(options.ceiling);
        let mut control = self.weft.control(0).await?;
        let from = self.tasks;
        while self.tasks < tasks {
            let some = (tasks - self.tasks).min(REPLICAS);
            let spec = nowhere(self.services, some);
            let name = spec.name.clone();
            let spec = Some(spec);
            control
                .create_service(wire::CreateServiceRequest {
                    spec,
                    ..Default::default()
                })
                .await?;
            self.tasks += some;
            self.services += 1;
            loop {
                let service = name.clone();
                let request = wire::ListTasksRequest {
                    service,
                    ..Default::default()
                };
                let found = control.list_tasks(request).await?.into_inner().tasks;
                let told = |task: &wire::Task| {
                    task.status
                        .as_ref()
                        .is_some_and(|status| status.message.contains("no"))
                };
                if found.len() == some && found.iter().all(told) {
                    break;
                }
                if Instant::now() > deadline {
                    return Ok(false);
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
        if let Some(etcd) = &self.etcd {
            etcd.fill(from, tasks, FILLERS).await?;
        }
        sleep(SETTLE).await;
        Ok(true)
    }

    /// Kills and starts both sides in turn.
    async fn restarts(
        &self,
        tasks: usize,
        options: &Options,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for our_turn in interleaved(options.rounds.div_ceil(2)) {
            if our_turn {
                ours.push(restart(&self.weft).await.context("restart of Weft")?);
            } else if let Some(etcd) = &self.etcd {
                theirs.push(restart(etcd).await.context("restart of etcd")?);
            }
        }
        let what = format!("cold start with {tasks} tasks, to the first read");
        let finding = Finding::new("P19", what, "ms", Better::Less, ours);
        report.add(finding.beside(ETCD, theirs).goal(0.5, 0.25));
        Ok(())
    }
}

/// Milliseconds from starting the program to its first linearizable answer. The machine still has
/// the files in memory.
async fn restart<G: Group>(group: &G) -> anyhow::Result<f64> {
    group.kill(0)?;
    group.buried(0)?;
    let start = Instant::now();
    group.restart(0).await?;
    let mut clients = group.clients(1).await?;
    let client = clients.first_mut().context("no client")?;
    client.ask(Ask::Read).await?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

fn mb(pid: i32) -> anyhow::Result<f64> {
    #[expect(clippy::cast_precision_loss, reason = "memory is far below 2^52 bytes")]
    Ok(memory(pid)?.proportional as f64 / MB)
}

fn worker(rig: &Rig, weft: &Weft) -> anyhow::Result<Host> {
    let host = rig.host("worker")?;
    host.start_daemon()?;
    host.wait_ready(CEILING)?;
    weft.join(&host, "worker")?;
    Ok(host)
}

/// A service whose tasks no node suits.
fn nowhere(number: usize, replicas: usize) -> wire::ServiceSpec {
    wire::ServiceSpec {
        name: format!("nowhere-{number}"),
        task: Some(wire::TaskSpec {
            runtime: wire::Runtime::Process.into(),
            command: vec!["sleep".to_owned(), "infinity".to_owned()],
            env: vec!["MODE=benchmark".to_owned()],
            constraints: vec!["node.labels.place==nowhere".to_owned()],
            ..Default::default()
        }),
        replicated: Some(wire::ReplicatedMode {
            replicas: u32::try_from(replicas).unwrap_or(u32::MAX),
        }),
        ..Default::default()
    }
}

/// Bytes of a task's record, found by making one.
async fn task_size(weft: &Weft) -> anyhow::Result<usize> {
    let mut control = weft.control(0).await?;
    let spec = Some(wire::ServiceSpec {
        name: "sample".to_owned(),
        ..nowhere(0, 1)
    });
    let request = wire::CreateServiceRequest {
        spec,
        ..Default::default()
    };
    control.create_service(request).await?;
    let deadline = Instant::now() + CEILING;
    loop {
        let tasks = control
            .list_tasks(wire::ListTasksRequest::default())
            .await?;
        if let Some(task) = tasks.into_inner().tasks.first() {
            return Ok(task.encoded_len());
        }
        anyhow::ensure!(Instant::now() < deadline, "no task was made");
        sleep(Duration::from_millis(20)).await;
    }
}
