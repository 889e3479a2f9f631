//! nftables through our codec, against the kernel, with the `nft` program as the oracle.
//! Needs root; every test makes namespaces of its own that vanish with it.
#![forbid(unsafe_code)]

// Marked as test code, which it is anyway, so that its helpers may unwrap.
#[cfg(test)]
mod guards;
#[cfg(test)]
mod listing;
#[cfg(test)]
mod mesh;
#[cfg(test)]
mod net;
#[cfg(test)]
mod refusal;
#[cfg(test)]
mod rulesets;
#[cfg(test)]
mod spoof;
#[cfg(test)]
mod vip;
