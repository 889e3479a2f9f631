//! A disk in memory that remembers every operation, so that power can be cut between any two.

use crate::disk::Disk;
use crate::disk::DiskFile;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// Names and contents, as they are on a disk after a power cut.
pub(super) type Image = BTreeMap<String, Vec<u8>>;

/// What a power cut may lose in parts of.
const SECTOR: usize = 16;

#[derive(Clone, Debug)]
enum Event {
    Create {
        name: String,
        file: usize,
    },
    Write {
        file: usize,
        at: usize,
        bytes: Vec<u8>,
    },
    Sync {
        file: usize,
    },
    Rename {
        from: String,
        to: String,
        file: usize,
    },
    Remove {
        name: String,
    },
    SyncNames,
}

/// What of the writes and names that were not synced reached the disk all the same.
#[derive(Clone, Copy, Debug)]
pub(super) enum Luck {
    Nothing,
    Everything,
    /// Everything, but of the last write only so many bytes from its beginning.
    Prefix(usize),
    /// Everything, but of the last write not the first so many bytes.
    Suffix(usize),
    /// Each sector of each write and each name by itself, by this seed.
    Random(u64),
}

#[derive(Debug, Default)]
struct State {
    base: Image,
    events: Vec<Event>,
    names: BTreeMap<String, usize>,
    files: Vec<Vec<u8>>,
    /// The operation with this number, counted from now on, fails.
    fail_at: Option<usize>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct MemDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct MemFile {
    disk: MemDisk,
    file: usize,
}

/// A small generator of chance: cases must be the same in every run.
pub(super) fn chance(seed: &mut u64) -> u64 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    let mixed = *seed ^ (*seed >> 29);
    mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 16
}

impl MemDisk {
    pub(super) fn of(image: Image) -> Self {
        let files: Vec<Vec<u8>> = image.values().cloned().collect();
        MemDisk(Arc::new(Mutex::new(State {
            names: image.keys().cloned().zip(0..).collect(),
            files,
            base: image,
            ..State::default()
        })))
    }

    /// Operations so far.
    pub(super) fn events(&self) -> usize {
        self.0.lock().events.len()
    }

    /// What a process finds that is started again on a running machine.
    pub(super) fn live(&self) -> Image {
        let state = self.0.lock();
        let names = state.names.iter();
        names
            .map(|(name, file)| (name.clone(), state.files[*file].clone()))
            .collect()
    }

    pub(super) fn fail_at(&self, operation: Option<usize>) {
        self.0.lock().fail_at = operation;
    }

    /// How long the last write before `upto` is, if it was not synced.
    pub(super) fn torn_write(&self, upto: usize) -> Option<usize> {
        match self.0.lock().events[..upto].last() {
            Some(Event::Write { bytes, .. }) => Some(bytes.len()),
            Some(_) | None => None,
        }
    }

    /// What a power cut leaves that strikes after `upto` operations.
    pub(super) fn after_cut(&self, upto: usize, luck: Luck) -> Image {
        let state = self.0.lock();
        let events = &state.events[..upto];
        let mut files: Vec<Vec<u8>> = state.base.values().cloned().collect();
        let mut names: BTreeMap<String, usize> = state.base.keys().cloned().zip(0..).collect();
        let mut seed = match luck {
            Luck::Random(seed) => seed,
            Luck::Nothing | Luck::Everything | Luck::Prefix(_) | Luck::Suffix(_) => 0,
        };
        let last = events.len().wrapping_sub(1);
        let synced = synced(events);
        for (n, (event, synced)) in events.iter().zip(synced).enumerate() {
            match event {
                Event::Write { file, at, bytes } => {
                    let contents = &mut files[*file];
                    for (offset, part) in (0..).step_by(SECTOR).zip(bytes.chunks(SECTOR)) {
                        let kept = match luck {
                            _ if synced => 0..part.len(),
                            Luck::Nothing => 0..0,
                            Luck::Prefix(len) if n == last => {
                                0..len.saturating_sub(offset).min(part.len())
                            }
                            Luck::Suffix(from) if n == last => {
                                from.saturating_sub(offset).min(part.len())..part.len()
                            }
                            Luck::Everything | Luck::Prefix(_) | Luck::Suffix(_) => 0..part.len(),
                            Luck::Random(_) => {
                                0..part.len() * usize::from(chance(&mut seed).is_multiple_of(2))
                            }
                        };
                        put(contents, at + offset + kept.start, &part[kept]);
                    }
                }
                Event::Sync { .. } | Event::SyncNames => {}
                Event::Create { file, .. } => {
                    if files.len() <= *file {
                        files.resize(file + 1, Vec::new());
                    }
                    apply_name(event, synced, luck, &mut seed, &mut names);
                }
                Event::Rename { .. } | Event::Remove { .. } => {
                    apply_name(event, synced, luck, &mut seed, &mut names);
                }
            }
        }
        names
            .into_iter()
            .map(|(name, file)| (name, files[file].clone()))
            .collect()
    }

    fn record(&self, event: Event) -> io::Result<()> {
        let mut state = self.0.lock();
        let state = &mut *state;
        if let Some(left) = &mut state.fail_at {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => return Err(io::Error::other("injected")),
            }
        }
        match &event {
            Event::Create { name, file } => {
                state.files.push(Vec::new());
                state.names.insert(name.clone(), *file);
            }
            Event::Write { file, at, bytes } => put(&mut state.files[*file], *at, bytes),
            Event::Rename { from, to, file } => {
                state.names.remove(from);
                state.names.insert(to.clone(), *file);
            }
            Event::Remove { name } => {
                state.names.remove(name);
            }
            Event::Sync { .. } | Event::SyncNames => {}
        }
        state.events.push(event);
        Ok(())
    }

    fn lookup(&self, name: &str) -> io::Result<usize> {
        let file = self.0.lock().names.get(name).copied();
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Which of the events a later sync made durable.
fn synced(events: &[Event]) -> Vec<bool> {
    let (mut files, mut names) = (BTreeSet::new(), false);
    let mut synced: Vec<bool> = events
        .iter()
        .rev()
        .map(|event| match event {
            Event::Write { file, .. } => files.contains(file),
            Event::Sync { file } => !files.insert(*file),
            Event::SyncNames => std::mem::replace(&mut names, true),
            Event::Create { .. } | Event::Rename { .. } | Event::Remove { .. } => names,
        })
        .collect();
    synced.reverse();
    synced
}

fn put(contents: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    if contents.len() < at + bytes.len() {
        contents.resize(at + bytes.len(), 0);
    }
    contents[at..at + bytes.len()].copy_from_slice(bytes);
}

fn apply_name(
    event: &Event,
    synced: bool,
    luck: Luck,
    seed: &mut u64,
    names: &mut BTreeMap<String, usize>,
) {
    let kept = match luck {
        _ if synced => true,
        Luck::Nothing => false,
        Luck::Everything | Luck::Prefix(_) | Luck::Suffix(_) => true,
        Luck::Random(_) => chance(seed).is_multiple_of(2),
    };
    if !kept {
        return;
    }
    match event {
        Event::Create { name, file } => {
            names.insert(name.clone(), *file);
        }
        Event::Rename { from, to, file } => {
            names.remove(from);
            names.insert(to.clone(), *file);
        }
        Event::Remove { name } => {
            names.remove(name);
        }
        Event::Write { .. } | Event::Sync { .. } | Event::SyncNames => {}
    }
}

impl Disk for MemDisk {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        if self.lookup(name).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = self.0.lock().files.len();
        self.record(Event::Create {
            name: name.to_owned(),
            file,
        })?;
        Ok(Box::new(MemFile {
            disk: self.clone(),
            file,
        }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(MemFile {
            disk: self.clone(),
            file: self.lookup(name)?,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let file = self.lookup(from)?;
        self.record(Event::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
            file,
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.lookup(name)?;
        self.record(Event::Remove {
            name: name.to_owned(),
        })
    }

    fn sync_names(&self) -> io::Result<()> {
        self.record(Event::SyncNames)
    }
}

impl DiskFile for MemFile {
    fn size(&self) -> io::Result<u64> {
        let size = self.disk.0.lock().files[self.file].len();
        u64::try_from(size).map_err(io::Error::other)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let state = self.disk.0.lock();
        let bytes = state.files[self.file].get(offset..offset + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.record(Event::Write {
            file: self.file,
            at: usize::try_from(offset).map_err(io::Error::other)?,
            bytes: bytes.to_vec(),
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.record(Event::Sync { file: self.file })
    }
}
