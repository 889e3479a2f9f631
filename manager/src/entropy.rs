//! Where identifiers come from, so that tests can say which.

/// A source of random bits for identifiers. Every call gives others.
pub trait Entropy: Send + Sync {
    /// 128 random bits.
    fn bits(&self) -> u128;
}

impl<F> Entropy for F
where
    F: Fn() -> u128 + Send + Sync,
{
    fn bits(&self) -> u128 {
        self()
    }
}
