//! A recording as lines of JSON: one event per line, so that a run that was cut off is a recording
//! too, with its last operations unknown.

use crate::history::History;
use crate::operation::Action;
use crate::operation::ClientId;
use crate::operation::OpId;
use crate::operation::Operation;
use crate::operation::Outcome;
use crate::register::fits;
use crate::watch::Seen;
use crate::watch::Stream;
use crate::watch::WatcherId;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::io::BufRead;
use std::io::Write;

/// What clients did and what watchers saw in one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// The operations of clients.
    pub history: History,
    /// The streams of watchers.
    pub streams: Vec<Stream>,
}

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Invoke {
        at: u64,
        op: OpId,
        client: ClientId,
        key: String,
        invoke: Action,
    },
    Return {
        at: u64,
        op: OpId,
        #[serde(rename = "return")]
        outcome: Outcome,
    },
    Seen {
        watcher: WatcherId,
        seen: Seen,
    },
}

/// Why lines are not a recording. Lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It could not be read.
    #[error("line {line}: cannot be read")]
    Read {
        /// Where.
        line: usize,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is not an event.
    #[error("line {line}: is not an event")]
    Parse {
        /// Where.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It ends an operation that did not begin or has ended, or answers another question.
    #[error("line {line}: this cannot be the end of operation {op:?}")]
    Stray {
        /// Where.
        line: usize,
        /// Which operation.
        op: OpId,
    },
}

impl Recording {
    /// Writes the events in the order of their times, then the streams.
    ///
    /// # Errors
    /// Whatever the writer refuses.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut lines = Vec::new();
        for op in self.history.operations() {
            let invoke = Line::Invoke {
                at: op.invoked,
                op: op.id,
                client: op.client,
                key: op.key.clone(),
                invoke: op.action.clone(),
            };
            lines.push((op.invoked, 0, invoke));
            if let Some(at) = op.returned {
                let end = Line::Return {
                    at,
                    op: op.id,
                    outcome: op.outcome.clone(),
                };
                lines.push((at, 1, end));
            }
        }
        lines.sort_by_key(|(at, order, _)| (*at, *order));
        for (_, _, line) in &lines {
            write_line(out, line)?;
        }
        for stream in &self.streams {
            for seen in &stream.seen {
                let (watcher, seen) = (stream.watcher, seen.clone());
                write_line(out, &Line::Seen { watcher, seen })?;
            }
        }
        Ok(())
    }

    /// Reads what [`Recording::write`] wrote. Empty lines are passed over.
    ///
    /// # Errors
    /// The first line that is not an event, or does not belong where it is.
    pub fn read(input: impl BufRead) -> Result<Recording, LineError> {
        let mut operations: BTreeMap<OpId, Operation> = BTreeMap::new();
        let mut streams: BTreeMap<WatcherId, Vec<Seen>> = BTreeMap::new();
        for (line, text) in (1..).zip(input.lines()) {
            let text = text.map_err(|source| LineError::Read { line, source })?;
            if text.trim().is_empty() {
                continue;
            }
            let event: Line =
                serde_json::from_str(&text).map_err(|source| LineError::Parse { line, source })?;
            match event {
                Line::Invoke {
                    at,
                    op,
                    client,
                    key,
                    invoke,
                } => {
                    let begun = Operation {
                        id: op,
                        client,
                        key,
                        action: invoke,
                        invoked: at,
                        returned: None,
                        outcome: Outcome::Unknown,
                    };
                    if operations.insert(op, begun).is_some() {
                        return Err(LineError::Stray { line, op });
                    }
                }
                Line::Return { at, op, outcome } => {
                    let open = |known: &&mut Operation| {
                        known.returned.is_none() && fits(&known.action, &outcome)
                    };
                    let Some(known) = operations.get_mut(&op).filter(open) else {
                        return Err(LineError::Stray { line, op });
                    };
                    known.returned = Some(at);
                    known.outcome = outcome;
                }
                Line::Seen { watcher, seen } => streams.entry(watcher).or_default().push(seen),
            }
        }
        let stream = |(watcher, seen)| Stream { watcher, seen };
        Ok(Recording {
            history: operations.into_values().collect(),
            streams: streams.into_iter().map(stream).collect(),
        })
    }
}

fn write_line(out: &mut dyn Write, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}
