//! Tests that need to see inside: openraft's storage suite, damaged disks, failing disks.

mod crash;
mod disk;
mod slow;
mod suite;
