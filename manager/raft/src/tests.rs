//! Tests that need to see inside: openraft's storage suite, damaged disks, failing disks.

mod crash;
mod damage;
mod disk;
mod mem_disk;
mod power;
mod slow;
mod suite;
