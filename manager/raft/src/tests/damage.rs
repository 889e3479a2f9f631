//! Damage of what was acknowledged: noticed, whatever it hits.

use super::mem_disk::Image;
use super::mem_disk::MemDisk;
use super::power::open;
use super::power::owner;
use super::power::sealed;
use crate::RaftId;
use crate::RecordError;
use crate::engine::Contents;
use crate::engine::Engine;
use crate::engine::Op;
use crate::error::Damage;
use crate::error::StartError;
use crate::file_engine::FileEngine;
use crate::file_engine::Sizes;
use crate::image;
use crate::layout;
use crate::seal::Sealing;
use crate::types::Command;
use crate::types::Entry;
use crate::types::LeaderId;
use crate::types::LogId;
use crate::types::Payload;
use crate::types::Vote;
use std::sync::Arc;

fn entry(index: u64) -> Op {
    let leader_id = LeaderId {
        term: 1,
        node_id: RaftId(1),
    };
    layout::put_entry(&Entry {
        log_id: LogId { leader_id, index },
        payload: Payload::Normal(Command(vec![7; 40].into())),
    })
}

fn vote(term: u64) -> Op {
    layout::put_vote(&Vote {
        leader_id: LeaderId {
            term,
            node_id: RaftId(1),
        },
        committed: true,
    })
}

/// Some segments with entries and votes, as a killed process leaves them.
fn written(sealing: &Sealing) -> (Image, Contents) {
    let disk = MemDisk::default();
    let (mut engine, mut contents) = open(&disk, sealing).unwrap();
    for index in 0..16 {
        let mut ops = vec![entry(index)];
        if index % 5 == 0 {
            ops.push(vote(index + 1));
        }
        ops.iter().cloned().for_each(|op| contents.apply(op));
        engine.commit(ops, true).unwrap();
    }
    (disk.live(), contents)
}

fn names(image: &Image) -> Vec<String> {
    image.keys().cloned().collect()
}

fn load(image: Image, sealing: &Sealing) -> Result<Contents, StartError> {
    let (_, contents) = open(&MemDisk::of(image), sealing)?;
    image::Image::load(&contents)?;
    Ok(contents)
}

fn flip_everything(sealing: &Sealing) -> [usize; 3] {
    let (image, contents) = written(sealing);
    assert!(image.len() > 2, "several segments");
    let (mut noticed, mut harmless, mut bytes) = (0, 0, 0);
    for (name, file) in &image {
        for at in 0..file.len() {
            bytes += 1;
            for bit in [0, 3, 7] {
                let mut damaged = image.clone();
                if let Some(file) = damaged.get_mut(name) {
                    file[at] ^= 1 << bit;
                }
                match load(damaged, sealing) {
                    Ok(found) => {
                        assert_eq!(found, contents, "{name} byte {at} bit {bit}: another log");
                        harmless += 1;
                    }
                    Err(_) => noticed += 1,
                }
            }
        }
    }
    [bytes, noticed, harmless]
}

#[test]
fn a_flipped_bit_is_noticed_or_harmless_wherever_it_is() {
    let [bytes, noticed, harmless] = flip_everything(&Sealing::default());
    println!(
        "{bytes} bytes, 3 bits each: {noticed} refused, {harmless} harmless, 0 silently different"
    );
    let [bytes, noticed, harmless] = flip_everything(&sealed());
    println!(
        "sealed, {bytes} bytes, 3 bits each: {noticed} refused, {harmless} harmless, 0 silently different"
    );
}

#[test]
fn a_missing_file_is_noticed_whichever_it_is() {
    let (image, _) = written(&Sealing::default());
    for name in names(&image) {
        let mut without = image.clone();
        without.remove(&name);
        let error = load(without, &Sealing::default()).unwrap_err();
        assert!(error.is_damage(), "{name}: {error:?}");
    }
    let nothing = FileEngine::open(
        Arc::new(MemDisk::default()),
        &owner(),
        &Sealing::default(),
        Sizes::default(),
        None,
    );
    assert!(nothing.unwrap_err().is_damage());
}

#[test]
fn a_hole_before_later_writes_is_damage_and_not_a_torn_write() {
    let (image, _) = written(&Sealing::default());
    for name in names(&image) {
        let len = image[&name].iter().rposition(|b| *b != 0).unwrap();
        // A sector of zeros, as a lost write leaves.
        for at in (0..len.saturating_sub(64)).step_by(16) {
            let mut holed = image.clone();
            if let Some(file) = holed.get_mut(&name) {
                file[at..at + 16].fill(0);
                if *file == image[&name] {
                    continue;
                }
            }
            let error = load(holed, &Sealing::default()).unwrap_err();
            assert!(error.is_damage(), "{name} at {at}: {error:?}");
        }
    }
}

#[test]
fn files_and_groups_in_each_others_places_are_refused() {
    for sealing in [Sealing::default(), sealed()] {
        let (image, _) = written(&sealing);
        let names = names(&image);
        let mut swapped = image.clone();
        swapped.insert(names[0].clone(), image[&names[1]].clone());
        swapped.insert(names[1].clone(), image[&names[0]].clone());
        assert!(load(swapped, &sealing).unwrap_err().is_damage());
        // A group over the one before it: same length, both whole.
        let file = &image[&names[1]];
        let starts: Vec<usize> = (0..file.len() - 4)
            .filter(|at| file[*at..].starts_with(b"WFRM"))
            .collect();
        let mut spliced = image.clone();
        if let Some(target) = spliced.get_mut(&names[1]) {
            let group = file[starts[2]..starts[3]].to_vec();
            target[starts[1]..starts[1] + group.len()].copy_from_slice(&group);
        }
        assert!(load(spliced, &sealing).unwrap_err().is_damage());
    }
}

#[test]
fn a_segment_of_another_log_or_member_is_refused() {
    let (image, _) = written(&sealed());
    let other = |owner: &weft_proto::wire::RaftIdentity, log| {
        let disk = MemDisk::default();
        let sizes = Sizes {
            segment: 700,
            ahead: 256,
        };
        let opened = FileEngine::open(Arc::new(disk.clone()), owner, &sealed(), sizes, Some(log));
        let (mut engine, _) = opened.unwrap();
        for index in 0..16 {
            engine.commit(vec![entry(index)], true).unwrap();
        }
        disk.live()
    };
    let mut foreign = image.clone();
    let name = names(&image)[1].clone();
    foreign.insert(name.clone(), other(&owner(), [1; 16])[&name].clone());
    let error = load(foreign, &sealed()).unwrap_err();
    assert!(
        matches!(
            error,
            StartError::Damaged {
                source: Damage::OtherLog,
                ..
            }
        ),
        "{error:?}"
    );
    let stranger = weft_proto::wire::RaftIdentity {
        raft_id: 2,
        ..owner()
    };
    let error = load(other(&stranger, [9; 16]), &sealed()).unwrap_err();
    assert!(matches!(error, StartError::OtherOwner { .. }), "{error:?}");
    // Even with the checksums made right, what another member sealed does not open.
    let mut renamed = other(&stranger, [9; 16]);
    for (name, file) in &mut renamed {
        let (head, begin) = crate::segment::decode(name[..8].parse().unwrap(), file).unwrap();
        let head = crate::segment::encode(&crate::segment::Head {
            owner: owner(),
            ..head
        });
        assert_eq!(head.len(), begin);
        file[..begin].copy_from_slice(&head);
    }
    let error = load(renamed, &sealed()).unwrap_err();
    assert!(
        matches!(
            error,
            StartError::Damaged {
                source: Damage::Record(RecordError::Unseal(_)),
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn an_older_vote_does_not_pass_for_the_newest_one() {
    let disk = MemDisk::default();
    let (mut engine, _) = open(&disk, &sealed()).unwrap();
    engine.commit(vec![vote(1)], true).unwrap();
    let before = disk.live();
    engine.commit(vec![vote(2)], true).unwrap();
    let name = names(&before)[0].clone();
    let (old, mut now) = (before[&name].clone(), disk.live());
    let starts: Vec<usize> = (0..old.len() - 4)
        .filter(|at| old[*at..].starts_with(b"WFRM"))
        .collect();
    // The group of the first vote in the place of the second: equally long, and rightly sealed.
    let (first, second) = (starts[1], starts[2]);
    if let Some(file) = now.get_mut(&name) {
        let group = old[first..second].to_vec();
        file[second..second + group.len()].copy_from_slice(&group);
    }
    assert!(load(now, &sealed()).unwrap_err().is_damage());
    assert_eq!(
        load(disk.live(), &sealed()).unwrap().metas.keys().count(),
        1
    );
}
