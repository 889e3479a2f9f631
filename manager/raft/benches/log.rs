//! What the log costs beside the sync it cannot do without. Every figure is taken in turns with
//! raw `fdatasync` on the same disk, and given as a ratio to it: the disk changes by the hour.
//!
//! `cargo bench -p weft-raft --bench log [-- DIR]`; DIR is where the disk to measure is.
#![expect(clippy::unwrap_used, reason = "a benchmark stops where it fails")]

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use weft_raft::DataKey;
use weft_raft::DataKeys;
use weft_raft::Sealing;
use weft_raft::measure::Kept;
use weft_raft::measure::Probe;

const COMMAND: usize = 256;
const ROUNDS: usize = 10;
/// Of one sort, one at a time.
const WRITES: usize = 1000;
/// Of one measurement in one round.
const TURN: Duration = Duration::from_millis(300);
/// Writes that are under way together.
const CLIENTS: usize = 256;

/// One sort of log, and what was seen of it.
struct Subject {
    name: &'static str,
    kept: Kept,
    sealing: Sealing,
    alone: Vec<Duration>,
    /// Commits per second, one figure for each round.
    together: Vec<f64>,
}

fn main() {
    // `cargo bench` adds flags for harnesses that know them.
    let dir = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let dir = dir
        .map_or_else(tempfile::tempdir, tempfile::tempdir_in)
        .unwrap();
    let keys = DataKeys::new(DataKey::new(1, [1; 32]), Vec::new());
    let subject = |name, kept, sealing| Subject {
        name,
        kept,
        sealing,
        alone: Vec::new(),
        together: Vec::new(),
    };
    let mut subjects = [
        subject("files, sealed", Kept::Files, Sealing::with(Arc::new(keys))),
        subject("files", Kept::Files, Sealing::default()),
        subject("sled", Kept::Sled, Sealing::default()),
    ];
    let mut raw = one_client(dir.path(), &mut subjects);
    for round in 0..ROUNDS {
        let order: Vec<usize> = match round % 2 {
            0 => (0..subjects.len()).collect(),
            _ => (0..subjects.len()).rev().collect(),
        };
        for at in order {
            let dir = dir.path().join(format!("{round}-{at}"));
            measure(&mut subjects[at], &dir);
            std::fs::remove_dir_all(&dir).unwrap();
        }
    }
    let yardstick = percentile(&mut raw, 50);
    println!(
        "raw fdatasync of {COMMAND} bytes into written blocks: p50 {yardstick:?}, p99 {:?} ({} samples)",
        percentile(&mut raw, 99),
        raw.len()
    );
    let ideal = 1.0 / yardstick.as_secs_f64();
    for subject in &mut subjects {
        let p50 = percentile(&mut subject.alone, 50);
        let p99 = percentile(&mut subject.alone, 99);
        subject.together.sort_by(f64::total_cmp);
        let rate = subject.together[ROUNDS / 2];
        let (low, high) = (subject.together[0], subject.together[ROUNDS - 1]);
        println!(
            "{:14} one client: p50 {p50:?} = {:.2} x raw, p99 {p99:?}; {CLIENTS} clients: {rate:.0} commits/s = {:.1} x raw syncs/s ({low:.0} to {high:.0})",
            subject.name,
            p50.as_secs_f64() / yardstick.as_secs_f64(),
            rate / ideal,
        );
    }
}

/// One write at a time, each sort after the other, so that all meet the same disk. Returns the
/// times of the raw writes: the least that durability costs here.
fn one_client(dir: &Path, subjects: &mut [Subject]) -> Vec<Duration> {
    let file = File::create_new(dir.join("raw")).unwrap();
    let mut probes: Vec<Probe> = subjects
        .iter()
        .zip(0..)
        .map(|(s, n)| Probe::open(&dir.join(format!("one{n}")), s.kept, &s.sealing).unwrap())
        .collect();
    file.write_all_at(&vec![0; COMMAND * WRITES], 0).unwrap();
    file.sync_all().unwrap();
    let mut raw = Vec::new();
    for at in 0..WRITES {
        let before = Instant::now();
        let offset = u64::try_from(at * COMMAND).unwrap();
        file.write_all_at(&[7; COMMAND], offset).unwrap();
        file.sync_data().unwrap();
        raw.push(before.elapsed());
        for turn in 0..subjects.len() {
            let turn = (turn + at) % subjects.len();
            let before = Instant::now();
            probes[turn].append(vec![7; COMMAND]).wait().unwrap();
            subjects[turn].alone.push(before.elapsed());
        }
    }
    raw
}

fn measure(subject: &mut Subject, dir: &Path) {
    let mut probe = Probe::open(dir, subject.kept, &subject.sealing).unwrap();
    let mut under_way = VecDeque::new();
    let (begin, mut done) = (Instant::now(), 0_u32);
    while begin.elapsed() < TURN {
        under_way.push_back(probe.append(vec![7; COMMAND]));
        if under_way.len() == CLIENTS {
            under_way.pop_front().unwrap().wait().unwrap();
            done += 1;
        }
    }
    for pending in under_way {
        pending.wait().unwrap();
        done += 1;
    }
    subject
        .together
        .push(f64::from(done) / begin.elapsed().as_secs_f64());
}

fn percentile(samples: &mut [Duration], percent: usize) -> Duration {
    samples.sort_unstable();
    samples[samples.len() * percent / 100]
}
