//! `weft events`.

mod follow;

use self::follow::Follower;
use self::follow::News;
use crate::client::Client;
use crate::client::Refused;
use crate::command::context::Context;
use crate::command::output;
use crate::command::output::Format;
use crate::render::event;
use crate::render::event::EventRow;
use clap::Args;
use std::str::FromStr;
use std::time::Duration;
use tokio::time::sleep;
use weft_proto::wire;

/// Between two attempts at a daemon that does not answer.
const PAUSE: Duration = Duration::from_millis(300);

/// Which changes.
#[derive(Debug, Args)]
#[command(after_help = "Example: weft events --filter kind=service --filter kind=task")]
pub(crate) struct EventsArgs {
    /// Begin after this revision instead of now
    #[arg(long, value_name = "REVISION")]
    since: Option<u64>,
    /// End when everything up to this revision was told, instead of going on
    #[arg(long, value_name = "REVISION")]
    until: Option<u64>,
    /// Only changes of this kind (cluster, node, network, service, task, user), name or action (create,
    /// Only changes of this kind (cluster, node, network, service, task, secret, config,
    /// join-token), name or action (create,
    /// update, remove); of several with the same key one must fit
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<Filter>,
    /// How to write the changes: json writes one object per line
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What a change must have.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Filter {
    Kind(wire::ObjectKind),
    Name(String),
    Action(String),
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        match (key, value) {
            ("kind" | "type", kind) => match kind {
                "cluster" => Ok(Filter::Kind(wire::ObjectKind::Cluster)),
                "node" => Ok(Filter::Kind(wire::ObjectKind::Node)),
                "network" => Ok(Filter::Kind(wire::ObjectKind::Network)),
                "service" => Ok(Filter::Kind(wire::ObjectKind::Service)),
                "task" => Ok(Filter::Kind(wire::ObjectKind::Task)),
                "user" => Ok(Filter::Kind(wire::ObjectKind::User)),
                "secret" => Ok(Filter::Kind(wire::ObjectKind::Secret)),
                "config" => Ok(Filter::Kind(wire::ObjectKind::Config)),
                "keys" => Ok(Filter::Kind(wire::ObjectKind::KeyRing)),
                "join-token" => Ok(Filter::Kind(wire::ObjectKind::JoinToken)),
                _ => Err(
                    "is of no kind: cluster, node, network, service, task, secret, config, user, \
                     join-token or keys"
                        .to_owned(),
                ),
            },
            ("name", name) if !name.is_empty() => Ok(Filter::Name(name.to_owned())),
            ("action", action @ ("create" | "update" | "remove")) => {
                Ok(Filter::Action(action.to_owned()))
            }
            ("action", _) => Err("is no action: create, update or remove".to_owned()),
            _ => Err("is no filter: use kind=, name= or action=".to_owned()),
        }
    }
}

/// Whether one of the filters of each key fits. Kinds were chosen by the manager.
fn fits(filters: &[Filter], row: &EventRow) -> bool {
    let any = |of: &dyn Fn(&Filter) -> Option<bool>| {
        let mut fitting = filters.iter().filter_map(of).peekable();
        fitting.peek().is_none() || fitting.any(|fits| fits)
    };
    // A task belongs to its service: web.1 to web.
    let named = |name: &str| {
        row.name == name
            || row.id == name
            || row
                .name
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('.'))
    };
    any(&|filter| match filter {
        Filter::Name(name) => Some(named(name)),
        Filter::Kind(_) | Filter::Action(_) => None,
    }) && any(&|filter| match filter {
        Filter::Action(action) => Some(row.action.word() == action),
        Filter::Kind(_) | Filter::Name(_) => None,
    })
}

/// Runs it, until it is stopped or has told what it should.
pub(super) async fn run(context: &Context, args: &EventsArgs) -> anyhow::Result<()> {
    let mut follower = Follower::new(args.since.unwrap_or(0));
    // What is wrong with the daemon at the very beginning is no passing trouble.
    let mut client = Some(context.connect().await?);
    let mut troubled = false;
    loop {
        let told = follower.told();
        let broken = match client.take() {
            Some(client) => match stream(&client, args, &mut follower).await {
                Ok(()) => return Ok(()),
                Err(broken) => broken,
            },
            None => match context.connect().await {
                Ok(again) => {
                    client = Some(again);
                    continue;
                }
                Err(unreachable) => unreachable,
            },
        };
        let refused = broken.downcast_ref::<Refused>();
        if refused.is_some_and(|refused| !refused.is_passing() && !refused.is_broken()) {
            return Err(broken);
        }
        if broken.downcast_ref::<std::io::Error>().is_some() {
            return Err(broken);
        }
        follower.interrupted();
        troubled &= follower.told() == told;
        if !troubled {
            let told = follower.told();
            eprintln!("weft: {broken:#}; going on from revision {told} as soon as it answers");
            troubled = true;
        }
        sleep(PAUSE).await;
    }
}

/// One stream, until it breaks or everything that was asked for is told.
async fn stream(client: &Client, args: &EventsArgs, follower: &mut Follower) -> anyhow::Result<()> {
    let kinds = args.filter.iter().filter_map(|filter| match filter {
        Filter::Kind(kind) => Some((*kind).into()),
        Filter::Name(_) | Filter::Action(_) => None,
    });
    let request = wire::WatchRequest {
        since_revision: follower.told(),
        kinds: kinds.collect(),
    };
    let events = client.control().watch(request).await;
    let mut events = events.map_err(Refused::from)?.into_inner();
    loop {
        if args.until.is_some_and(|until| follower.told() >= until) {
            return Ok(());
        }
        let Some(event) = events.message().await.map_err(Refused::from)? else {
            anyhow::bail!("the manager ended the stream");
        };
        match follower.take(event)? {
            News::Rows(rows) => print(args, &rows)?,
            News::Missed { since, reason } => eprintln!(
                "weft: changes after revision {since} were missed: {reason}; going on with what \
                 changes from now on"
            ),
        }
    }
}

fn print(args: &EventsArgs, rows: &[EventRow]) -> anyhow::Result<()> {
    for row in rows.iter().filter(|row| fits(&args.filter, row)) {
        match args.format {
            Format::Table => output::text(&event::line(row))?,
            Format::Json => output::text(&serde_json::to_string(row)?)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::event::Action;
    use weft_proto::time::Timestamp;

    fn row(name: &str, action: Action) -> EventRow {
        EventRow {
            revision: 1,
            at: Timestamp::from_millis(0),
            kind: "task",
            id: "id".to_owned(),
            name: name.to_owned(),
            action,
            changes: Vec::new(),
        }
    }

    fn filters(texts: &[&str]) -> Vec<Filter> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn one_filter_of_each_key_must_fit() {
        let web = row("web.1", Action::Update);
        for (texts, fitting) in [
            (&[][..], true),
            (&["name=web"], true),
            (&["name=we"], false),
            (&["name=db", "name=web.1"], true),
            (&["name=web", "action=remove"], false),
            (&["name=web", "action=remove", "action=update"], true),
            (&["kind=task"], true),
        ] {
            assert_eq!(fits(&filters(texts), &web), fitting, "{texts:?}");
        }
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_refused() {
        for text in ["kind=thing", "action=explode", "name=", "web", "colour=red"] {
            text.parse::<Filter>().unwrap_err();
        }
    }
}
