//! Tests that need to see inside: openraft's storage suite, damaged disks, failing disks.

mod crash;
mod damage;
mod disk;
mod mem_disk;
mod migration;
mod power;
mod sled;
mod slow;
mod snapshots;
mod suite;
