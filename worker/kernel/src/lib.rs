//! Linux as the node's networking sees it: namespaces, links, addresses, routes, neighbours,
//! forwarding entries, connection tracking, nftables and sysctls. Knows the kernel and nothing about who asks.
#![forbid(unsafe_code)]

pub mod conntrack;
pub mod netlink;
pub mod netns;
pub mod nft;
pub mod sysctl;
