//! `weft service logs`.

use crate::client::Refused;
use crate::command::context::Context;
use crate::command::value::duration;
use crate::render::task::NodeNames;
use crate::render::time;
use clap::Args;
use std::io;
use std::io::Write;
use weft_proto::NodeId;
use weft_proto::object::Node;
use weft_proto::time::Timestamp;
use weft_proto::wire;

/// Whose output, and which part of it.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Service, or a single task like web.1
    #[arg(value_name = "SERVICE|TASK")]
    target: String,
    /// Go on with what is written from now on
    #[arg(short, long)]
    follow: bool,
    /// Only the last lines of each task [default: all]
    #[arg(short = 'n', long, value_name = "LINES", value_parser = tail)]
    tail: Option<Tail>,
    /// Only what was written since then: a duration like 10m, or seconds of Unix time
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// Begin each line with the time it was written at, in UTC
    #[arg(short, long)]
    timestamps: bool,
    /// Only the lines, without saying which task wrote them
    #[arg(long)]
    raw: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    All,
    Lines(u32),
}

fn tail(text: &str) -> Result<Tail, String> {
    match text {
        "all" => Ok(Tail::All),
        number => match number.parse() {
            Ok(lines) => Ok(Tail::Lines(lines)),
            Err(_) => Err("is no number of lines: use one like 100, or all".to_owned()),
        },
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    /// Milliseconds before now.
    Ago(u64),
    /// Milliseconds of Unix time.
    At(i64),
}

fn since(text: &str) -> Result<Since, String> {
    let seconds = text.parse::<i64>().ok().filter(|seconds| *seconds > 0);
    if let Some(millis) = seconds.and_then(|seconds| seconds.checked_mul(1_000)) {
        return Ok(Since::At(millis));
    }
    match duration::millis(text) {
        Ok(millis) => Ok(Since::Ago(millis)),
        Err(_) => Err("is no time: use a duration like 10m, or seconds of Unix time".to_owned()),
    }
}

fn request(args: &LogsArgs, now: Timestamp) -> wire::ServiceLogsRequest {
    let (all, tail) = match args.tail {
        None | Some(Tail::All) => (true, 0),
        Some(Tail::Lines(lines)) => (false, lines),
    };
    let since_ms = match args.since {
        None => 0,
        Some(Since::At(millis)) => millis,
        Some(Since::Ago(millis)) => {
            let back = i64::try_from(millis).unwrap_or(i64::MAX);
            // 0 would say: all.
            now.as_millis().saturating_sub(back).max(1)
        }
    };
    wire::ServiceLogsRequest {
        target: args.target.clone(),
        follow: args.follow,
        tail,
        all,
        since_ms,
    }
}

/// Runs it.
pub(super) async fn run(context: &Context, args: LogsArgs) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let nodes = client
        .control()
        .list_nodes(wire::ListNodesRequest::default())
        .await;
    let nodes = nodes.map_err(Refused::from)?.into_inner().nodes;
    let nodes: Result<Vec<Node>, _> = nodes.into_iter().map(Node::try_from).collect();
    let names = crate::render::task::names(&nodes?);
    let answer = client
        .control()
        .service_logs(request(&args, context.now()))
        .await;
    let mut lines = answer.map_err(Refused::from)?.into_inner();
    while let Some(line) = lines.message().await.map_err(Refused::from)? {
        print(&args, &names, &line)?;
    }
    Ok(())
}

/// What the task wrote to its standard error goes to this one's.
fn print(args: &LogsArgs, names: &NodeNames, line: &wire::LogLine) -> io::Result<()> {
    let bytes = text(args, names, line);
    if line.stderr || !line.note.is_empty() {
        io::stderr().lock().write_all(&bytes)
    } else {
        let mut out = io::stdout().lock();
        out.write_all(&bytes)?;
        // Who follows waits for this very line.
        out.flush()
    }
}

fn text(args: &LogsArgs, names: &NodeNames, line: &wire::LogLine) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(line.line.len() + 32);
    if args.timestamps {
        let at = time::rfc3339(Timestamp::from_millis(line.at_ms));
        bytes.extend_from_slice(at.as_bytes());
        bytes.push(b' ');
    }
    if !args.raw || !line.note.is_empty() {
        let id = line.node_id.parse::<NodeId>().ok();
        let node = match id.as_ref() {
            // Joined after this command began, or removed since.
            Some(id) => names.get(id).map_or(id.short(), String::as_str),
            None => line.node_id.as_str(),
        };
        bytes.extend_from_slice(line.task_name.as_bytes());
        if !node.is_empty() {
            bytes.push(b'@');
            bytes.extend_from_slice(node.as_bytes());
        }
        bytes.extend_from_slice(b" | ");
    }
    if line.note.is_empty() {
        bytes.extend_from_slice(line.line.strip_suffix(b"\n").unwrap_or(&line.line));
    } else {
        bytes.extend_from_slice(b"(weft) ");
        bytes.extend_from_slice(line.note.as_bytes());
    }
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> LogsArgs {
        LogsArgs {
            target: "web".to_owned(),
            follow: false,
            tail: None,
            since: None,
            timestamps: false,
            raw: false,
        }
    }

    fn line(text: &[u8], note: &str) -> wire::LogLine {
        wire::LogLine {
            task_id: String::new(),
            task_name: "web.1".to_owned(),
            node_id: NodeId::from_entropy(7).to_string(),
            at_ms: 1_795_187_045_678,
            stderr: false,
            line: text.to_vec(),
            note: note.to_owned(),
        }
    }

    #[test]
    fn a_line_says_who_wrote_it_where_and_on_wish_when() {
        let names = NodeNames::from([(NodeId::from_entropy(7), "n2".to_owned())]);
        let show = |args: &LogsArgs, line: &wire::LogLine| {
            String::from_utf8(text(args, &names, line)).unwrap()
        };
        assert_eq!(show(&args(), &line(b"hello\n", "")), "web.1@n2 | hello\n");
        let stamped = LogsArgs {
            timestamps: true,
            ..args()
        };
        assert_eq!(
            show(&stamped, &line(b"hello", "")),
            "2026-11-20T15:04:05.678Z web.1@n2 | hello\n"
        );
        let raw = LogsArgs {
            raw: true,
            ..args()
        };
        assert_eq!(show(&raw, &line(b"hello", "")), "hello\n");
        assert_eq!(
            show(&raw, &line(b"", "node n2 does not answer")),
            "web.1@n2 | (weft) node n2 does not answer\n"
        );
    }

    #[test]
    fn the_request_says_how_far_back_to_go() {
        let now = Timestamp::from_millis(1_000_000);
        assert!(request(&args(), now).all);
        let some = LogsArgs {
            tail: Some(tail("5").unwrap()),
            since: Some(since("10m").unwrap()),
            follow: true,
            ..args()
        };
        let request = request(&some, now);
        assert_eq!(
            (request.all, request.tail, request.follow),
            (false, 5, true)
        );
        assert_eq!(request.since_ms, 400_000);
        assert_eq!(since("1700000000"), Ok(Since::At(1_700_000_000_000)));
        assert!(since("yesterday").is_err() && since("-5").is_err());
        assert!(tail("-1").is_err());
    }
}
