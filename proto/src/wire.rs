//! Generated wire types of package `weft.v1`: messages, clients and servers.
//!
//! Only conversion code and the network faces of rooms look in here; everything else speaks the
//! domain types of this crate.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::wildcard_enum_match_arm,
    clippy::too_many_lines,
    reason = "generated: the .proto files carry the documentation"
)]

tonic::include_proto!("weft.v1");

/// The encoded `FileDescriptorSet` of every file of the package, so that tests can walk all RPCs.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/weft.v1.fds"));
