//! What this machine can do at all, measured beside everything else.

use crate::stats::quantile_of;
use anyhow::Context;
use aws_lc_rs::aead::AES_128_GCM;
use aws_lc_rs::aead::Aad;
use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::aead::Nonce;
use aws_lc_rs::aead::UnboundKey;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

/// As much as a small log entry.
const RECORD: [u8; 300] = [7; 300];
/// How many records one look at the disk writes.
const SYNCS: usize = 200;
/// How long one look at the processor takes.
const CRYPTO: Duration = Duration::from_millis(50);
/// As much as a TLS record.
const BLOCK: usize = 16 << 10;

/// What one look found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Yardstick {
    /// Milliseconds to append a record and have it on the disk: half of them are faster.
    pub(crate) sync_p50: f64,
    /// 99 of 100 are faster.
    pub(crate) sync_p99: f64,
    /// Gigabytes a second that one processor encrypts.
    pub(crate) aes: f64,
}

/// Looks at the disk below `dir` and at one processor. Blocks for some hundreds of milliseconds.
pub(crate) fn measure(dir: &Path) -> anyhow::Result<Yardstick> {
    let waits = syncs(dir).with_context(|| format!("write to {}", dir.display()))?;
    Ok(Yardstick {
        sync_p50: quantile_of(&waits, 0.5),
        sync_p99: quantile_of(&waits, 0.99),
        aes: aes().context("encrypt with AES-128-GCM")?,
    })
}

fn syncs(dir: &Path) -> std::io::Result<Vec<f64>> {
    let path = dir.join("yardstick");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let mut waits = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let start = Instant::now();
        file.write_all(&RECORD)?;
        file.sync_data()?;
        waits.push(start.elapsed().as_secs_f64() * 1e3);
    }
    std::fs::remove_file(&path)?;
    Ok(waits)
}

fn aes() -> Result<f64, aws_lc_rs::error::Unspecified> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &[1; 16])?);
    let mut block = vec![0; BLOCK];
    let (start, mut blocks) = (Instant::now(), 0u32);
    while start.elapsed() < CRYPTO {
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        // Always the same nonce: nothing of this is ever sent.
        drop(key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut block)?);
        blocks += 1;
    }
    let bytes = f64::from(blocks) * 16.0 * 1024.0;
    Ok(bytes / start.elapsed().as_secs_f64() / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_finds_something_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let found = measure(dir.path()).unwrap();
        assert!(found.sync_p50 > 0.0 && found.sync_p99 >= found.sync_p50);
        assert!(found.aes > 0.0);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
