//! Waiting until a service is as it was asked for.

use crate::client::Client;
use crate::client::Refused;
use crate::command::Interrupted;
use crate::command::context::Context;
use crate::command::service::fetch;
use crate::command::service::meter::Meter;
use crate::command::service::progress;
use crate::command::service::progress::Goal;
use crate::command::service::progress::Progress;
use crate::command::value::duration;
use anyhow::bail;
use clap::Args;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::sleep;
use weft_proto::NodeId;
use weft_proto::TaskId;
use weft_proto::object::Service;
use weft_proto::object::Task;

/// How often is looked: quick enough that nobody notices, seldom enough that no manager does.
const PAUSE: Duration = Duration::from_millis(200);

/// How long the same tasks must run before that is believed: most commands that cannot work end
/// within their first second.
const STEADY: Duration = Duration::from_secs(1);

/// How long to wait.
#[derive(Debug, Default, Args)]
pub(super) struct WaitArgs {
    /// Return at once; the cluster goes on by itself
    #[arg(short, long)]
    detach: bool,
    /// No progress while waiting
    #[arg(short, long)]
    quiet: bool,
    /// How long to wait at most, like 30s or 10m
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "5m")]
    wait_timeout: Duration,
}

impl WaitArgs {
    fn meter(&self, context: &Context, name: &str) -> Meter {
        Meter::new(name, !self.quiet, context.terminal)
    }

    /// How `watch` ended, `None` when it did not in time.
    ///
    /// # Errors
    /// The user stopped waiting, and is told what goes on without them.
    async fn patiently<T>(
        &self,
        watch: impl Future<Output = T>,
        goes_on: &str,
    ) -> anyhow::Result<Option<T>> {
        tokio::select! {
            ended = watch => Ok(Some(ended)),
            () = sleep(self.wait_timeout) => Ok(None),
            stopped = tokio::signal::ctrl_c() => {
                stopped?;
                Err(Interrupted(format!("\nNo longer waiting; {goes_on}")).into())
            }
        }
    }
}

/// Returns once the service is as it was asked for.
///
/// # Errors
/// It will not get there, did not within the time given, or the user stopped waiting. It stays
/// as it is in all cases.
pub(super) async fn converge(
    context: &Context,
    client: &Client,
    args: &WaitArgs,
    service: &Service,
) -> anyhow::Result<()> {
    if args.detach {
        return Ok(());
    }
    let name = &service.spec.name;
    let mut meter = args.meter(context, name.as_str());
    let mut last = Progress::default();
    let watch = watch(client, service, &mut meter, &mut last);
    let goes_on = format!(
        "the cluster goes on with service {name}: look at it with \"weft service ps {name}\""
    );
    let ended = args.patiently(watch, &goes_on).await?;
    meter.finish();
    match ended {
        Some(ended) => ended,
        None => bail!(
            "service {name} is not as it was asked for after {}: {}; the cluster goes on trying, \
             look at it with \"weft service ps {name}\"",
            crate::render::time::span(args.wait_timeout),
            last.line()
        ),
    }
}

async fn watch(
    client: &Client,
    service: &Service,
    meter: &mut Meter,
    last: &mut Progress,
) -> anyhow::Result<()> {
    let name = &service.spec.name;
    let mut seen = false;
    let mut goal = Goal::of(service);
    let mut steady: Option<(BTreeSet<TaskId>, Instant)> = None;
    loop {
        match state(client, service).await {
            Ok((latest, tasks, wanted)) => {
                seen = true;
                goal.wanted = wanted;
                *last = progress::look(&latest, &tasks, &goal);
                meter.show(last);
                if let Some(why) = &last.hopeless {
                    bail!(
                        "service {name} does not work as it was asked for: {why}; see what it \
                         wrote with \"weft service logs {name}\", change it with \"weft service \
                         update\", or remove it with \"weft service rm {name}\""
                    );
                }
                steady = match steady.filter(|(tasks, _)| *tasks == last.done) {
                    _ if !last.is_complete() => None,
                    Some((_, since)) if since.elapsed() >= STEADY => return Ok(()),
                    Some(steady) => Some(steady),
                    // Nothing runs, so that nothing can end; or it was watched already.
                    None if last.done.is_empty() || last.is_job || last.proven => return Ok(()),
                    None => Some((last.done.clone(), Instant::now())),
                };
            }
            Err(error) => match error.downcast_ref::<Refused>() {
                Some(refused) if refused.is_passing() => meter.trouble(&refused.to_string()),
                // This manager is a little behind the one that made it.
                Some(refused) if refused.is_missing() && !seen => {}
                _ => return Err(error),
            },
        }
        sleep(PAUSE).await;
    }
}

/// The service as it is now, which is never older than `known`, its tasks, and how many it wants.
async fn state(client: &Client, known: &Service) -> anyhow::Result<(Service, Vec<Task>, u32)> {
    let (listed, counts) = fetch::service(client, known.id.as_str()).await?;
    let tasks = fetch::tasks_in_sight(client, known.id.as_str()).await?;
    let latest = if listed.meta.version < known.meta.version {
        known.clone()
    } else {
        listed
    };
    let wanted = latest.spec.mode.slots().unwrap_or(counts.wanted);
    Ok((latest, tasks, wanted))
}

/// Returns once no task of a removed service is left on `nodes`, where it had some.
///
/// # Errors
/// As with [`converge`].
pub(super) async fn gone(
    context: &Context,
    client: &Client,
    args: &WaitArgs,
    service: &Service,
    nodes: &BTreeSet<NodeId>,
) -> anyhow::Result<()> {
    if args.detach {
        return Ok(());
    }
    let name = &service.spec.name;
    let mut meter = args.meter(context, name.as_str());
    let watch = watch_end(client, service, nodes, &mut meter);
    let goes_on = format!("service {name} is removed, and its tasks are being stopped");
    let ended = args.patiently(watch, &goes_on).await?;
    meter.finish();
    match ended {
        Some(ended) => ended,
        None => bail!(
            "service {name} is removed, but tasks of it are left after {}: look at them with \
             \"weft node ps\" on their nodes",
            crate::render::time::span(args.wait_timeout)
        ),
    }
}

async fn watch_end(
    client: &Client,
    service: &Service,
    nodes: &BTreeSet<NodeId>,
    meter: &mut Meter,
) -> anyhow::Result<()> {
    loop {
        match left(client, service, nodes).await {
            Ok(surplus) => {
                let progress = Progress {
                    surplus,
                    ..Progress::default()
                };
                meter.show(&progress);
                if progress.is_complete() {
                    return Ok(());
                }
            }
            Err(error) => match error.downcast_ref::<Refused>() {
                Some(refused) if refused.is_passing() => meter.trouble(&refused.to_string()),
                _ => return Err(error),
            },
        }
        sleep(PAUSE).await;
    }
}

/// How many tasks have not ended. Tasks of a removed service are listed by node only.
async fn left(
    client: &Client,
    service: &Service,
    nodes: &BTreeSet<NodeId>,
) -> anyhow::Result<usize> {
    let mut left = 0;
    for node in nodes {
        let tasks = fetch::tasks_of_node(client, *node).await?;
        let alive = |task: &&Task| task.service == service.id && !task.status.state.is_terminal();
        left += tasks.iter().filter(alive).count();
    }
    Ok(left)
}
