//! nftables through our codec, against the kernel, with the `nft` program as the oracle.
//! Needs root; every test makes namespaces of its own that vanish with it.
#![forbid(unsafe_code)]

mod listing;
mod mesh;
mod net;
mod refusal;
mod rulesets;
mod spoof;
mod vip;
