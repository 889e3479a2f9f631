//! Reading the log's files when a member starts, and telling what a crash may leave from damage.

use crate::disk::Disk;
use crate::disk::read_all;
use crate::engine::Contents;
use crate::engine::Op;
use crate::error::Damage;
use crate::error::StartError;
use crate::file_engine::Segment;
use crate::frame;
use crate::frame::Found;
use crate::member::RaftId;
use crate::seal::Part;
use crate::seal::Sealing;
use crate::segment;
use crate::segment::Head;
use crate::segment::Name;
use std::collections::VecDeque;
use weft_proto::wire;

/// A log as it was found.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) contents: Contents,
    pub(crate) log: [u8; 16],
    pub(crate) closed: VecDeque<Segment>,
    pub(crate) last: Segment,
    /// Where the last segment's last whole frame ends.
    pub(crate) end: u64,
    pub(crate) next_sequence: u64,
    /// Nothing but zeros follows.
    pub(crate) clean: bool,
    pub(crate) purged: Option<u64>,
}

/// One file, its head understood.
struct Opened {
    head: Head,
    bytes: Vec<u8>,
    /// Where its frames begin.
    begin: usize,
}

/// Reads the whole log; `None` if there is none. Removes segments that a crash left unfinished.
pub(crate) fn replay(
    disk: &dyn Disk,
    owner: &wire::RaftIdentity,
    sealing: &Sealing,
) -> Result<Option<Replayed>, StartError> {
    let files = open_all(disk, owner)?;
    let Some(first) = files.first() else {
        return Ok(None);
    };
    let mut replay = Replay {
        sealing,
        contents: Contents::default(),
        segments: VecDeque::new(),
        sequence: first.head.first_sequence,
        purged: None,
    };
    let log = first.head.home.log;
    for (file, next) in files.iter().zip(files.iter().skip(1)) {
        replay.closed(file, &next.head)?;
    }
    let Some(last) = files.last() else {
        return Ok(None);
    };
    let (end, clean) = replay.last(last)?;
    let Some(segment) = replay.segments.pop_back() else {
        return Ok(None);
    };
    Ok(Some(Replayed {
        contents: replay.contents,
        log,
        closed: replay.segments,
        last: segment,
        end: u64::try_from(end).unwrap_or(u64::MAX),
        next_sequence: replay.sequence,
        clean,
        purged: replay.purged,
    }))
}

fn open_all(disk: &dyn Disk, owner: &wire::RaftIdentity) -> Result<Vec<Opened>, StartError> {
    let io = |source| StartError::ReadLog { source };
    let mut numbers = Vec::new();
    for name in disk.names().map_err(io)? {
        match segment::parse_name(&name) {
            Name::Segment(number) => numbers.push(number),
            Name::Unfinished => disk.remove(&name).map_err(io)?,
            Name::Other => {}
        }
    }
    numbers.sort_unstable();
    let mut files: Vec<Opened> = Vec::new();
    for number in numbers {
        let name = segment::name(number);
        if let Some(before) = files.last()
            && before.head.home.segment + 1 != number
        {
            return Err(StartError::Damaged {
                file: segment::name(before.head.home.segment + 1),
                at: 0,
                source: Damage::MissingFile,
            });
        }
        let file = disk.open(&name).map_err(io)?;
        let bytes = read_all(file.as_ref()).map_err(io)?;
        let damaged = |source| StartError::Damaged {
            file: name.clone(),
            at: 0,
            source,
        };
        let (head, begin) =
            segment::decode(number, &bytes).map_err(|e| damaged(Damage::Record(e)))?;
        if head.owner != *owner {
            return Err(StartError::OtherOwner {
                cluster: owner.cluster.clone(),
                id: RaftId(owner.raft_id),
                found_cluster: head.owner.cluster,
                found_id: RaftId(head.owner.raft_id),
            });
        }
        if let Some(before) = files.last()
            && before.head.home.log != head.home.log
        {
            return Err(damaged(Damage::OtherLog));
        }
        files.push(Opened { head, bytes, begin });
    }
    Ok(files)
}

struct Replay<'a> {
    sealing: &'a Sealing,
    contents: Contents,
    segments: VecDeque<Segment>,
    /// The one that must come next.
    sequence: u64,
    purged: Option<u64>,
}

impl Replay<'_> {
    /// Reads a segment that another one follows: every frame up to where that one says.
    fn closed(&mut self, file: &Opened, next: &Head) -> Result<(), StartError> {
        let (at, _) = self.frames(file, usize::try_from(next.previous_end).ok())?;
        if u64::try_from(at).ok() != Some(next.previous_end) || self.sequence != next.first_sequence
        {
            return Err(damaged(file, at, Damage::Unreadable));
        }
        Ok(())
    }

    /// Reads the last segment: frames up to the first that was not written whole. Returns where
    /// that is, and whether nothing follows.
    fn last(&mut self, file: &Opened) -> Result<(usize, bool), StartError> {
        let (at, mark) = self.frames(file, None)?;
        let home = file.head.home;
        if at == file.begin {
            // It was synced with its first frame before it got its name.
            return Err(damaged(file, at, Damage::Unreadable));
        }
        match mark {
            Some(Found::Mark { closed: true, .. }) => {
                return Err(StartError::Damaged {
                    file: segment::name(home.segment + 1),
                    at: 0,
                    source: Damage::MissingFile,
                });
            }
            // The mark of a frame that is not there.
            Some(Found::Mark { sequence, .. }) if sequence + 1 != self.sequence => {
                return Err(damaged(file, at, Damage::Order));
            }
            Some(_) | None => {}
        }
        if frame::shows_later(home, &file.bytes, at, self.sequence) {
            return Err(damaged(file, at, Damage::Unreadable));
        }
        let tail = at + if mark.is_some() { frame::HEAD } else { 0 };
        let clean = file.bytes.get(tail..).unwrap_or_default();
        Ok((at, clean.iter().all(|byte| *byte == 0)))
    }

    /// Applies frames until `stop`, or until there is none. Returns where it stopped, and the
    /// mark that lies there.
    fn frames<'f>(
        &mut self,
        file: &'f Opened,
        stop: Option<usize>,
    ) -> Result<(usize, Option<Found<'f>>), StartError> {
        let home = file.head.home;
        let mut segment = Segment {
            number: home.segment,
            last_entry: None,
        };
        let mut at = file.begin;
        let mut mark = None;
        while stop != Some(at) {
            match frame::find(home, &file.bytes, at) {
                Found::Frame {
                    sequence,
                    sealed,
                    body,
                    next,
                } => {
                    if sequence != self.sequence {
                        return Err(damaged(file, at, Damage::Order));
                    }
                    let part = Part::Frame {
                        log: home.log,
                        segment: home.segment,
                        sequence,
                    };
                    let body = self.sealing.open(part, sealed, body);
                    let body = body.map_err(|e| damaged(file, at, Damage::Record(e)))?;
                    let ops = frame::decode(&body);
                    for op in ops.ok_or_else(|| damaged(file, at, Damage::Unreadable))? {
                        self.apply(op, &mut segment);
                    }
                    self.sequence += 1;
                    at = next;
                }
                found @ Found::Mark { .. } => {
                    mark = Some(found);
                    break;
                }
                Found::Nothing => break,
            }
        }
        self.segments.push_back(segment);
        Ok((at, mark))
    }

    fn apply(&mut self, op: Op, segment: &mut Segment) {
        match &op {
            Op::Entry { index, .. } => segment.last_entry = segment.last_entry.max(Some(*index)),
            Op::Purge { upto } => self.purged = self.purged.max(Some(*upto)),
            Op::Truncate { .. } | Op::Meta { .. } => {}
        }
        self.contents.apply(op);
    }
}

fn damaged(file: &Opened, at: usize, source: Damage) -> StartError {
    StartError::Damaged {
        file: segment::name(file.head.home.segment),
        at: u64::try_from(at).unwrap_or(u64::MAX),
        source,
    }
}
