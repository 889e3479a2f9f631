//! Values of flags: what people type, parsed.

pub(super) mod amount;
pub(super) mod duration;
pub(super) mod env;
pub(super) mod file;
pub(super) mod generic;
pub(super) mod label;
pub(super) mod network;
pub(super) mod port;
