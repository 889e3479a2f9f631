//! Bounds of what can be asked for, each with its reason.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Most replicas of one service: more than fit into the addresses of any sensible subnet, and few
/// enough that a slip of the finger does not fill the log with tasks.
pub const MAX_REPLICAS: u32 = 10_000;
/// Longest time a task has to end: a node that is drained must become empty within a day.
pub const MAX_STOP_GRACE: Duration = Duration::from_secs(24 * 3600);
/// Times of health checks: a command is a process of its own, so more than a few in a second cost
/// more than they tell; and what takes a day is no check.
pub(super) const HEALTH_TIMES: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(24 * 3600);
/// Largest secret or config, in bytes; the same as Swarm mode's. Each is sent whole, and kept in the
/// memory of every manager.
pub const MAX_MATERIAL_BYTES: usize = 500 << 10;
/// Permissions that a file of a secret or config can have: those of owner, group and others.
pub(super) const MAX_FILE_MODE: u32 = 0o777;
/// How often keys of the data plane are made anew. Twice a second could not be acknowledged by all;
/// after a month nobody remembers that they should be.
pub const KEY_ROTATIONS: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 3600);
/// Prefix lengths of an IPv4 subnet. A /29 holds a network address, a broadcast address, a virtual
/// address and five tasks; nothing shorter than a /8 is free for private use (RFC 1918).
pub const SUBNET_PREFIXES_V4: RangeInclusive<u8> = 8..=29;
/// Prefix lengths of an IPv6 subnet. A /120 holds as much as the default IPv4 subnet; the unique
/// local block is a /7 (RFC 4193), of which a site has a part.
pub const SUBNET_PREFIXES_V6: RangeInclusive<u8> = 8..=120;
/// Prefix lengths of the ingress pool: each node owns one /24 of it.
pub const INGRESS_PREFIXES: RangeInclusive<u8> = 8..=24;
