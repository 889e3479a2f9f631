//! Power cuts at every operation of the log's files, and what is there afterwards: everything
//! that was acknowledged, and of what was not, a prefix.

use super::mem_disk::Image;
use super::mem_disk::Luck;
use super::mem_disk::MemDisk;
use super::mem_disk::chance;
use crate::DataKey;
use crate::DataKeys;
use crate::engine::Contents;
use crate::engine::Engine;
use crate::engine::Meta;
use crate::engine::Op;
use crate::error::StartError;
use crate::file_engine::FileEngine;
use crate::file_engine::Sizes;
use crate::seal::Place;
use crate::seal::SealError;
use crate::seal::Sealer;
use crate::seal::Sealing;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use weft_proto::wire;

/// Small, so that a short history has many segments.
const SIZES: Sizes = Sizes {
    segment: 700,
    ahead: 256,
};

pub(super) fn owner() -> wire::RaftIdentity {
    wire::RaftIdentity {
        cluster: "c".to_owned(),
        raft_id: 1,
    }
}

pub(super) fn open(
    disk: &MemDisk,
    sealing: &Sealing,
) -> Result<(FileEngine, Contents), StartError> {
    FileEngine::open(
        Arc::new(disk.clone()),
        &owner(),
        sealing,
        SIZES,
        Some([9; 16]),
    )
}

pub(super) fn sealed() -> Sealing {
    Sealing::with(Arc::new(DataKeys::new(
        DataKey::new(1, [5; 32]),
        Vec::new(),
    )))
}

/// What a member does to its log, by chance: appends, conflicts, purges, votes.
struct Member {
    seed: u64,
    first: u64,
    next: u64,
}

impl Member {
    fn new(seed: u64) -> Self {
        Member {
            seed,
            first: 0,
            next: 0,
        }
    }

    fn below(&mut self, limit: u64) -> u64 {
        chance(&mut self.seed) % limit
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = 1 + self.below(60);
        (0..len)
            .map(|_| u8::try_from(self.below(251) + 1).unwrap())
            .collect()
    }

    /// One request of the log, and whether somebody waits for it.
    fn request(&mut self) -> (Vec<Op>, bool) {
        match self.below(10) {
            0 if self.next > self.first => {
                let first = self.first + self.below(self.next - self.first);
                self.next = first;
                (vec![Op::Truncate { first }], true)
            }
            1 if self.next > self.first => {
                let upto = self.first + self.below(self.next - self.first);
                self.first = upto + 1;
                let record = self.bytes();
                let name = Meta::Purged;
                (vec![Op::Meta { name, record }, Op::Purge { upto }], false)
            }
            2 => {
                let (name, record) = (Meta::Vote, self.bytes());
                (vec![Op::Meta { name, record }], true)
            }
            3 => {
                let name = Meta::Committed;
                let gone = self.below(4) == 0;
                let record = if gone { Vec::new() } else { self.bytes() };
                (vec![Op::Meta { name, record }], false)
            }
            _ => {
                let mut ops = Vec::new();
                for _ in 0..=self.below(3) {
                    let (index, record) = (self.next, self.bytes());
                    ops.push(Op::Entry { index, record });
                    self.next += 1;
                }
                (ops, true)
            }
        }
    }
}

/// A history: the log after each request, and after how many operations which request was
/// acknowledged.
struct History {
    disk: MemDisk,
    states: Vec<Contents>,
    acknowledged: Vec<(usize, usize)>,
    /// How many operations had been done when a request was sent.
    sent: Vec<usize>,
}

fn history(seed: u64, requests: usize, sealing: &Sealing) -> History {
    let mut member = Member::new(seed);
    let disk = MemDisk::default();
    let (mut engine, contents) = open(&disk, sealing).unwrap();
    let mut history = History {
        states: vec![contents],
        acknowledged: Vec::new(),
        sent: vec![disk.events()],
        disk,
    };
    for n in 1..=requests {
        let (ops, durable) = member.request();
        let mut next = history.states[n - 1].clone();
        ops.iter().cloned().for_each(|op| next.apply(op));
        history.states.push(next);
        history.sent.push(history.disk.events());
        engine.commit(ops, durable).unwrap();
        if durable {
            history.acknowledged.push((history.disk.events(), n));
        }
    }
    history
}

impl History {
    /// The requests that may be the last one seen after a cut: from the last acknowledged one to
    /// the last one sent.
    fn bounds(&self, events: usize) -> (usize, usize) {
        let acknowledged = self.acknowledged.iter().rev();
        let acknowledged = acknowledged
            .into_iter()
            .find(|(at, _)| *at <= events)
            .map_or(0, |(_, n)| *n);
        let sent = self.sent.iter().rposition(|at| *at <= events).unwrap_or(0);
        (acknowledged, sent)
    }

    /// Which request `contents` is the result of.
    fn request(&self, contents: &Contents, (first, last): (usize, usize)) -> Option<usize> {
        (first..=last).find(|n| self.states[*n] == *contents)
    }
}

/// Every luck to try with a cut after `upto` operations; `step` is between two torn writes.
fn lucks(disk: &MemDisk, upto: usize, step: usize, seeds: u64) -> Vec<Luck> {
    let mut lucks = vec![Luck::Nothing, Luck::Everything];
    lucks.extend((0..seeds).map(|seed| Luck::Random(seed + 1)));
    if let Some(len) = disk.torn_write(upto) {
        lucks.extend((1..len).step_by(step).map(Luck::Prefix));
        lucks.extend((1..len).step_by(step).map(Luck::Suffix));
    }
    lucks
}

/// Recovers `image` and goes on: the log must be one that `history` allows, must still be the
/// same after a second cut at any operation of the recovery, and must take another request.
fn check(
    history: &History,
    bounds: (usize, usize),
    image: Image,
    sealing: &Sealing,
    twice: bool,
) -> usize {
    let disk = MemDisk::of(image);
    let (mut engine, contents) = open(&disk, sealing).unwrap();
    let n = history.request(&contents, bounds);
    let n = n.unwrap_or_else(|| panic!("{bounds:?} does not allow {contents:?}"));
    let opened = disk.events();
    let vote = Op::Meta {
        name: Meta::Vote,
        record: b"after".to_vec(),
    };
    let mut after = contents.clone();
    after.apply(vote.clone());
    engine.commit(vec![vote], true).unwrap();
    let mut cases = 1;
    let cuts = if twice { 0 } else { disk.events() };
    for upto in cuts..=disk.events() {
        for luck in [Luck::Nothing, Luck::Everything, Luck::Random(7)] {
            let (_, again) = open(&MemDisk::of(disk.after_cut(upto, luck)), sealing).unwrap();
            let allowed = if upto == disk.events() {
                again == after
            } else if upto >= opened {
                // What was shown once must stay.
                again == contents || again == after
            } else {
                history.request(&again, bounds).is_some()
            };
            assert!(allowed, "request {n}, second cut after {upto} ({luck:?})");
            cases += 1;
        }
    }
    cases
}

fn cut_everywhere(
    seed: u64,
    requests: usize,
    step: usize,
    seeds: u64,
    sealing: &Sealing,
) -> [usize; 3] {
    let history = history(seed, requests, sealing);
    let (mut firsts, mut seconds) = (0_usize, 0);
    for upto in 0..=history.disk.events() {
        for luck in lucks(&history.disk, upto, step, seeds) {
            let image = history.disk.after_cut(upto, luck);
            if image.is_empty() {
                // Before the log had a name there was nothing to acknowledge.
                continue;
            }
            // Recoveries differ little between torn writes; a few of those are cut in turn.
            let twice = firsts.is_multiple_of(29) || matches!(luck, Luck::Random(1));
            seconds += check(&history, history.bounds(upto), image, sealing, twice);
            firsts += 1;
        }
    }
    [history.disk.events(), firsts, seconds]
}

const HISTORIES: u64 = 8;

#[test]
fn a_power_cut_at_any_operation_loses_nothing_acknowledged() {
    let mut sums = [0; 3];
    for seed in 1..=HISTORIES {
        let counts = cut_everywhere(seed, 60, 67, 3, &Sealing::default());
        sums.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
    }
    let [events, firsts, seconds] = sums;
    println!(
        "{HISTORIES} histories of 60 requests: {events} operations, {firsts} power cuts, {seconds} recoveries with second cuts"
    );
}

#[test]
fn a_write_torn_at_any_byte_is_cut_off_whole() {
    let [events, firsts, seconds] = cut_everywhere(99, 16, 1, 2, &Sealing::default());
    println!(
        "torn at every byte: {events} operations, {firsts} power cuts, {seconds} recoveries with second cuts"
    );
}

#[test]
fn a_sealed_log_survives_the_same_power_cuts() {
    let [events, firsts, seconds] = cut_everywhere(5, 30, 37, 4, &sealed());
    println!(
        "sealed: {events} operations, {firsts} power cuts, {seconds} recoveries with second cuts"
    );
}

/// Seals each frame with the next of seven data keys, and opens with all.
struct Changing {
    keys: Vec<DataKeys>,
    sealed: AtomicUsize,
}

impl Sealer for Changing {
    fn seal(&self, place: &Place, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let n = self.sealed.fetch_add(1, Ordering::Relaxed);
        self.keys[n % self.keys.len()].seal(place, plain)
    }

    fn open(&self, place: &Place, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        self.keys[0].open(place, sealed)
    }
}

#[test]
fn a_log_whose_data_keys_change_all_the_time_survives_the_same_power_cuts() {
    let key = |n: u8| DataKey::new(u32::from(n), [n; 32]);
    let keys = (1..=7).map(|n| {
        let older = (1..=7).filter(|other| *other != n).map(key).collect();
        DataKeys::new(key(n), older)
    });
    let sealing = Sealing::with(Arc::new(Changing {
        keys: keys.collect(),
        sealed: AtomicUsize::new(0),
    }));
    let [events, firsts, seconds] = cut_everywhere(11, 30, 37, 4, &sealing);
    println!(
        "changing keys: {events} operations, {firsts} power cuts, {seconds} recoveries with second cuts"
    );
}

#[test]
fn after_any_failed_operation_nothing_is_acknowledged_and_nothing_lost() {
    let mut cases = 0;
    for seed in 1..=6 {
        let whole = history(seed, 40, &Sealing::default());
        for failing in 0..whole.disk.events() {
            let disk = MemDisk::default();
            disk.fail_at(Some(failing));
            let Ok((mut engine, _)) = open(&disk, &Sealing::default()) else {
                continue;
            };
            let mut member = Member::new(seed);
            let (mut acknowledged, mut sent) = (0, 0);
            for n in 1..=40 {
                let (ops, durable) = member.request();
                sent = n;
                match engine.commit(ops, durable) {
                    Ok(()) if durable => acknowledged = n,
                    Ok(()) => {}
                    Err(_) => break,
                }
            }
            disk.fail_at(None);
            let vote = Op::Meta {
                name: Meta::Vote,
                record: vec![1],
            };
            assert!(sent == 40 || engine.commit(vec![vote], true).is_err());
            for image in [disk.live(), disk.after_cut(disk.events(), Luck::Nothing)] {
                let (_, found) = open(&MemDisk::of(image), &Sealing::default()).unwrap();
                let found = whole.request(&found, (acknowledged, sent));
                assert!(found.is_some(), "seed {seed}, operation {failing}");
                cases += 1;
            }
        }
    }
    println!("{cases} restarts after a failed operation");
}
