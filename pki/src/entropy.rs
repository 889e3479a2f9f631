//! Where keys and numbers come from, when it gives nothing.

/// The random source gave nothing; only a broken kernel does that.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system's random source gave no bytes")]
pub struct EntropyError;
