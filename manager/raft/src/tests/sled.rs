//! What sled does with files that a crash or a disk damaged: the reason for files of our own.
//! Says nothing about this release's log, so it runs by hand; `docs/durability.md` has the figures.

use crate::engine::Contents;
use crate::engine::Engine;
use crate::engine::Op;
use crate::legacy::SledEngine;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::Path;

type Files = BTreeMap<String, Vec<u8>>;

const SECTOR: usize = 512;

fn read(dir: &Path) -> Files {
    let files = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    files
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect()
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    right: usize,
    refused: usize,
    /// Acknowledged entries are missing, and those that are there have no gap.
    lost_silently: usize,
    /// Acknowledged entries are missing, with a gap or wrong bytes that records would show.
    lost: usize,
    entries_lost: usize,
}

/// Opens `files` and sees whether everything of `least`, and nothing beyond `most`, is there.
fn open(files: &Files, least: &Contents, most: &Contents, tally: &mut Tally) {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    std::fs::create_dir(&log).unwrap();
    for (name, bytes) in files {
        std::fs::write(log.join(name), bytes).unwrap();
    }
    let found = catch_unwind(AssertUnwindSafe(|| {
        SledEngine::open(&log).and_then(|engine| engine.contents())
    }));
    match found {
        Ok(Ok(found)) if found == *least || found == *most => tally.right += 1,
        Ok(Ok(found)) => {
            let silent = (0..).zip(&found.entries).all(|(n, (index, record))| {
                n == *index && least.entries.get(index) == Some(record)
            });
            match silent {
                true => tally.lost_silently += 1,
                false => tally.lost += 1,
            }
            tally.entries_lost += least.entries.len().saturating_sub(found.entries.len());
        }
        Ok(Err(_)) | Err(_) => tally.refused += 1,
    }
}

#[test]
#[ignore = "evidence about sled, not about this log; takes a minute"]
fn what_sled_makes_of_torn_writes_and_flipped_bits() {
    const COMMITS: u64 = 24;
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut engine = SledEngine::open(&log).unwrap();
    let mut contents = Contents::default();
    let mut history = vec![(read(&log), contents.clone())];
    for index in 0..COMMITS {
        let len = 200 + usize::try_from(index).unwrap() * 90;
        let record = vec![u8::try_from(index).unwrap() + 1; len];
        let op = Op::Entry { index, record };
        contents.apply(op.clone());
        engine.commit(vec![op], true).unwrap();
        history.push((read(&log), contents.clone()));
    }
    drop(engine);

    let mut torn = Tally::default();
    for pair in history.windows(2) {
        let ((before, least), (after, most)) = (&pair[0], &pair[1]);
        let (old, new) = (&before["db"], &after["db"]);
        let sectors: Vec<usize> = (0..new.len().div_ceil(SECTOR))
            .filter(|n| {
                let range = n * SECTOR..((n + 1) * SECTOR).min(new.len());
                old.get(range.clone()) != Some(&new[range])
            })
            .collect();
        let mut cuts: Vec<Vec<usize>> = Vec::new();
        for n in 0..sectors.len().min(4) {
            cuts.push(sectors[..n].to_vec());
            cuts.push(sectors[n..].to_vec());
        }
        for kept in cuts {
            let mut files = before.clone();
            let db = files.get_mut("db").unwrap();
            db.resize(new.len().max(old.len()), 0);
            for n in kept {
                let range = n * SECTOR..((n + 1) * SECTOR).min(new.len());
                db[range.clone()].copy_from_slice(&new[range]);
            }
            open(&files, least, most, &mut torn);
        }
    }
    println!("sled, torn writes: {torn:?}");

    let (files, contents) = history.last().unwrap();
    let mut untouched = Tally::default();
    open(files, contents, contents, &mut untouched);
    assert_eq!(untouched.right, 1);
    for (name, bytes) in files {
        let mut flips = Tally::default();
        let used = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
        for at in (0..used).step_by((used / 150).max(1)) {
            let mut files = files.clone();
            if let Some(file) = files.get_mut(name) {
                file[at] ^= 4;
            }
            open(&files, contents, contents, &mut flips);
        }
        println!("sled, one flipped bit in {name} ({used} bytes): {flips:?}");
    }
}
