//! One query at one session, as both its ends see it.

use crate::logs::note;
use futures::Stream;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Weak;
use std::task::Context;
use std::task::Poll;
use tokio::sync::mpsc;
use weft_proto::NodeId;
use weft_proto::wire;

use crate::logs::broker::Sessions;

/// Chunks that wait for a reader. Together with [`MAX_CHUNK`] this bounds what one reader that does
/// not read can hold: 32 MiB.
pub(super) const WAITING: usize = 256;
/// Most bytes in a chunk; agents send much smaller ones.
pub(super) const MAX_CHUNK: usize = 128 * 1024;

/// The last words of a query whose session ended.
pub(super) const SESSION_ENDED: &str = "the node's session ended: there may be more lines";

type Lines = Vec<wire::LogLine>;

/// The end that the session writes to.
#[derive(Debug)]
pub(super) struct Source {
    node: NodeId,
    /// The tasks that were asked for, with their names: an agent speaks for no others.
    tasks: BTreeMap<String, String>,
    lines: mpsc::Sender<Lines>,
    dropped: usize,
}

impl Source {
    pub(super) fn new(
        node: NodeId,
        tasks: BTreeMap<String, String>,
    ) -> (Source, mpsc::Receiver<Lines>) {
        let (lines, reader) = mpsc::channel(WAITING);
        let source = Source {
            node,
            tasks,
            lines,
            dropped: 0,
        };
        (source, reader)
    }

    /// Hands lines on without ever waiting: a session must not stand still because of a reader.
    pub(super) fn deliver(&mut self, lines: Lines) {
        let count = lines.len();
        let bytes: usize = lines
            .iter()
            .map(|line| line.line.len() + line.note.len())
            .sum();
        let mut lines: Lines = lines
            .into_iter()
            .filter_map(|line| self.checked(line))
            .collect();
        if self.dropped > 0 {
            let lost = format!("{} lines were left out: they came too fast", self.dropped);
            lines.insert(0, note(self.node, lost));
        }
        if bytes > MAX_CHUNK || self.lines.try_send(lines).is_err() {
            self.dropped += count;
        } else {
            self.dropped = 0;
        }
    }

    /// The last words of a session that ended before the query did.
    pub(super) fn abandon(&self) {
        let text = SESSION_ENDED.to_owned();
        let _ = self.lines.try_send(vec![note(self.node, text)]);
    }

    pub(super) fn is_unread(&self) -> bool {
        self.lines.is_closed()
    }

    fn checked(&self, line: wire::LogLine) -> Option<wire::LogLine> {
        let name = self.tasks.get(&line.task_id)?;
        Some(wire::LogLine {
            node_id: self.node.to_string(),
            task_name: name.clone(),
            ..line
        })
    }
}

/// The end that is read. Dropping it cancels the query at the agent.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) id: u64,
    pub(super) sessions: Weak<Sessions>,
    pub(super) lines: mpsc::Receiver<Lines>,
    pub(super) at_hand: std::vec::IntoIter<wire::LogLine>,
}

impl Stream for Reader {
    type Item = wire::LogLine;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(line) = self.at_hand.next() {
                return Poll::Ready(Some(line));
            }
            match self.lines.poll_recv(context) {
                Poll::Ready(Some(lines)) => self.at_hand = lines.into_iter(),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(sessions) = self.sessions.upgrade() {
            sessions.cancel(self.id);
        }
    }
}
