//! The log as files of our own: segments that are only ever appended to.
//!
//! At most one frame is on its way to the disk at any time, and nothing is written behind it
//! before it has been synced. So whatever a power cut leaves behind the last whole frame was
//! never acknowledged, and whatever is damaged before a later frame or mark had been.

use crate::disk::Disk;
use crate::disk::DiskFile;
use crate::engine::Contents;
use crate::engine::Engine;
use crate::engine::Meta;
use crate::engine::Op;
use crate::error::Damage;
use crate::error::StartError;
use crate::frame;
use crate::frame::Home;
use crate::replay;
use crate::replay::Replayed;
use crate::seal::Part;
use crate::seal::Sealing;
use crate::segment;
use crate::segment::Head;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;
use weft_proto::wire;

/// How files grow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// A segment that is longer is followed by another one.
    pub(crate) segment: u64,
    /// Files grow by so many zeros at once: what is written over them needs no change of the
    /// file's length or its blocks, which makes a sync about half as long.
    pub(crate) ahead: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes {
            segment: 8 << 20,
            ahead: 1 << 20,
        }
    }
}

/// A log in a directory.
#[derive(Debug)]
pub(crate) struct FileEngine {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) owner: wire::RaftIdentity,
    pub(crate) log: [u8; 16],
    pub(crate) sealing: Sealing,
    pub(crate) sizes: Sizes,
    pub(crate) active: Active,
    /// Older segments, the oldest first.
    pub(crate) closed: VecDeque<Segment>,
    /// Of the next frame.
    pub(crate) sequence: u64,
    pub(crate) metas: BTreeMap<Meta, Vec<u8>>,
    pub(crate) purged: Option<u64>,
    /// What may wait for the next durable group: losing it is harmless.
    pub(crate) held: Vec<Op>,
    pub(crate) failed: bool,
    /// Held as long as the directory is in use.
    pub(crate) lock: Option<File>,
}

/// A segment, and what keeps it from being removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    /// The greatest index of an entry in it.
    pub(crate) last_entry: Option<u64>,
}

/// The segment that is written to.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) segment: Segment,
    pub(crate) file: Box<dyn DiskFile>,
    /// Where the next frame goes.
    pub(crate) end: u64,
    /// The file's length; zeros behind `end`.
    pub(crate) size: u64,
}

impl FileEngine {
    /// Opens the log in `disk` and cuts off what a crash left of an unacknowledged write. Where
    /// there is none, begins one that is known by `fresh`, if it may. Refuses a log that is
    /// damaged or somebody else's.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        owner: &wire::RaftIdentity,
        sealing: &Sealing,
        sizes: Sizes,
        fresh: Option<[u8; 16]>,
    ) -> Result<(FileEngine, Contents), StartError> {
        let sealing = sealing.of(owner);
        let io = |source| StartError::ReadLog { source };
        let found = replay::replay(disk.as_ref(), owner, &sealing)?;
        let Some(found) = found else {
            let Some(log) = fresh else {
                return Err(StartError::Damaged {
                    file: segment::name(1),
                    at: 0,
                    source: Damage::MissingFile,
                });
            };
            let home = Home { log, segment: 1 };
            let engine = FileEngine::begin(disk, owner, sealing, sizes, home)
                .map_err(|source| StartError::WriteLog { source })?;
            return Ok((engine, Contents::default()));
        };
        let Replayed {
            contents,
            log,
            mut closed,
            last,
            end,
            next_sequence,
            clean,
            purged,
        } = found;
        let file = disk.open(&segment::name(last.number)).map_err(io)?;
        // A process that was killed leaves what the machine has not written yet.
        file.sync().map_err(io)?;
        disk.sync_names().map_err(io)?;
        closed.retain(|s| s.number != last.number);
        let size = file.size().map_err(io)?;
        let mut engine = FileEngine {
            disk,
            owner: owner.clone(),
            log,
            sealing,
            sizes,
            active: Active {
                segment: last,
                file,
                end,
                size,
            },
            closed,
            sequence: next_sequence,
            metas: contents.metas.clone(),
            purged,
            held: Vec::new(),
            failed: false,
            lock: None,
        };
        let settle = |engine: &mut FileEngine| {
            if clean {
                engine.mark()?;
            } else {
                // Leftovers are not written over: parts of them could show through later.
                engine.roll()?;
            }
            engine.reclaim()
        };
        settle(&mut engine).map_err(|source| StartError::WriteLog { source })?;
        Ok((engine, contents))
    }

    fn begin(
        disk: Arc<dyn Disk>,
        owner: &wire::RaftIdentity,
        sealing: Sealing,
        sizes: Sizes,
        home: Home,
    ) -> io::Result<FileEngine> {
        let head = Head {
            owner: owner.clone(),
            home,
            first_sequence: 0,
            previous_end: 0,
        };
        let active = create(disk.as_ref(), &head, &sealing, sizes, &[])?;
        Ok(FileEngine {
            disk,
            owner: owner.clone(),
            log: home.log,
            sealing,
            sizes,
            active,
            closed: VecDeque::new(),
            sequence: 1,
            metas: BTreeMap::new(),
            purged: None,
            held: Vec::new(),
            failed: false,
            lock: None,
        })
    }

    fn home(&self) -> Home {
        Home {
            log: self.log,
            segment: self.active.segment.number,
        }
    }

    /// Writes all that is held as one frame, and syncs it.
    fn write_group(&mut self) -> io::Result<()> {
        if self.active.end >= self.sizes.segment {
            self.roll()?;
        }
        let ops = std::mem::take(&mut self.held);
        let bytes = sealed_frame(self.home(), self.sequence, &self.sealing, &ops)?;
        let end = self.active.end + length(&bytes);
        self.write_growing(bytes, end)?;
        self.active.file.sync()?;
        self.active.end = end;
        self.sequence += 1;
        for op in ops {
            self.note(op);
        }
        self.mark()
    }

    /// For who reads this later: what lies before was synced, and is damaged if it cannot be
    /// read. Nobody waits for it: the machine writes it back within its usual half a minute,
    /// unless the next frame takes its place.
    fn mark(&self) -> io::Result<()> {
        let mark = frame::mark(self.home(), self.sequence - 1, false);
        if self.active.end + length(&mark) > self.active.size {
            return Ok(());
        }
        self.active.file.write_at(self.active.end, &mark)
    }

    /// Writes up to `end`, with zeros ahead if the file is too short for that and a mark.
    fn write_growing(&mut self, mut bytes: Vec<u8>, end: u64) -> io::Result<()> {
        let from = self.active.end;
        if end + length(&[0; frame::HEAD]) > self.active.size {
            let size = (end + self.sizes.ahead).next_multiple_of(self.sizes.ahead.max(1));
            bytes.resize(usize::try_from(size - from).map_err(io::Error::other)?, 0);
            self.active.size = size;
        }
        self.active.file.write_at(from, &bytes)
    }

    fn note(&mut self, op: Op) {
        match op {
            Op::Entry { index, .. } => {
                let last = &mut self.active.segment.last_entry;
                *last = (*last).max(Some(index));
            }
            Op::Truncate { .. } => {}
            Op::Purge { upto } => self.purged = self.purged.max(Some(upto)),
            Op::Meta { name, record } => {
                self.metas.insert(name, record);
            }
        }
    }

    /// Goes on in a new segment.
    fn roll(&mut self) -> io::Result<()> {
        let before = self.home();
        let head = Head {
            owner: self.owner.clone(),
            home: Home {
                log: self.log,
                segment: before.segment + 1,
            },
            first_sequence: self.sequence,
            previous_end: self.active.end,
        };
        let state = self.state();
        let active = create(self.disk.as_ref(), &head, &self.sealing, self.sizes, &state)?;
        let before_active = std::mem::replace(&mut self.active, active);
        self.closed.push_back(before_active.segment);
        // So that a log that lost its newest segment is noticed.
        let mark = frame::mark(before, self.sequence - 1, true);
        before_active.file.write_at(before_active.end, &mark)?;
        self.sequence += 1;
        Ok(())
    }

    /// The single values as changes, for the beginning of a segment.
    fn state(&self) -> Vec<Op> {
        let metas = self.metas.iter().map(|(name, record)| Op::Meta {
            name: *name,
            record: record.clone(),
        });
        metas
            .chain(self.purged.map(|upto| Op::Purge { upto }))
            .collect()
    }

    /// Removes segments of which no entry is needed any more. One after the other, so that a
    /// crash leaves no gap between those that remain.
    fn reclaim(&mut self) -> io::Result<()> {
        while let Some(oldest) = self.closed.front()
            && oldest.last_entry <= self.purged
        {
            self.disk.remove(&segment::name(oldest.number))?;
            self.disk.sync_names()?;
            self.closed.pop_front();
        }
        Ok(())
    }

    /// Adds changes to those that wait. Of changes that replace each other, the last one counts.
    fn hold(&mut self, ops: Vec<Op>) {
        for op in ops {
            let replaced = match &op {
                Op::Meta { name, .. } => self
                    .held
                    .iter()
                    .position(|held| matches!(held, Op::Meta { name: n, .. } if n == name)),
                Op::Entry { .. } | Op::Truncate { .. } | Op::Purge { .. } => None,
            };
            match replaced {
                Some(at) => self.held[at] = op,
                None => self.held.push(op),
            }
        }
    }
}

impl Engine for FileEngine {
    fn commit(&mut self, ops: Vec<Op>, durable: bool) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write of the log failed"));
        }
        self.hold(ops);
        if !durable || self.held.is_empty() {
            return Ok(());
        }
        let result = self.write_group().and_then(|()| self.reclaim());
        self.failed = result.is_err();
        result
    }
}

/// Makes a segment, durably, whose first frame holds `state`.
fn create(
    disk: &dyn Disk,
    head: &Head,
    sealing: &Sealing,
    sizes: Sizes,
    state: &[Op],
) -> io::Result<Active> {
    let number = head.home.segment;
    let mut bytes = segment::encode(head);
    let first = sealed_frame(head.home, head.first_sequence, sealing, state)?;
    bytes.extend(first);
    let end = length(&bytes);
    let size = (end + sizes.ahead).next_multiple_of(sizes.ahead.max(1));
    bytes.resize(usize::try_from(size).map_err(io::Error::other)?, 0);
    let file = disk.create(&segment::unfinished(number))?;
    file.write_at(0, &bytes)?;
    file.sync()?;
    disk.rename(&segment::unfinished(number), &segment::name(number))?;
    disk.sync_names()?;
    Ok(Active {
        segment: Segment {
            number,
            last_entry: None,
        },
        file,
        end,
        size,
    })
}

fn sealed_frame(home: Home, sequence: u64, sealing: &Sealing, ops: &[Op]) -> io::Result<Vec<u8>> {
    let too_long = || io::Error::other("a group of changes is too long");
    let body = frame::encode(ops).ok_or_else(too_long)?;
    let part = Part::Frame {
        log: home.log,
        segment: home.segment,
        sequence,
    };
    let sealed = sealing.seal(part, &body)?;
    frame::frame(home, sequence, sealing.is_on(), &sealed).ok_or_else(too_long)
}

fn length(bytes: &[u8]) -> u64 {
    // usize is at most 64 bits wide.
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
