//! resolv.conf, the node's (read) and a task's (written). Pure.

use std::fmt::Write;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::SocketAddrV6;

use super::RESOLVER_ADDRESS;

/// The port every resolver named in a resolv.conf listens on.
const DNS_PORT: u16 = 53;

/// What matters to us of a node's `/etc/resolv.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// Resolvers in order of preference. Loopback ones are usable, as questions are sent from the
    /// node's own namespace.
    pub nameservers: Vec<SocketAddr>,
    /// Search domains, in order; the last `search` or `domain` line counts.
    pub search: Vec<String>,
}

impl ResolvConf {
    /// Reads the text of a resolv.conf. Lines that make no sense are skipped, as libc does.
    ///
    /// 127.0.0.11 is left out: a node that is itself a task would forward to itself for ever.
    pub fn parse(text: &str) -> Self {
        let mut conf = Self::default();
        for line in text.lines() {
            // A comment starts with either character (resolv.conf(5)), in the first column; libc
            // also takes it to end a list of words.
            let mut words = line
                .split_whitespace()
                .take_while(|word| !word.starts_with(['#', ';']));
            match words.next() {
                Some("nameserver") => conf.nameservers.extend(words.next().and_then(nameserver)),
                Some("search" | "domain") => {
                    conf.search = words
                        .filter(|word| is_domain(word))
                        .map(str::to_owned)
                        .collect();
                }
                Some(_) | None => {}
            }
        }
        conf
    }
}

/// The text of a task's `/etc/resolv.conf`.
///
/// `ndots:0` makes libc ask for every name as it is written before it appends a search domain, so
/// `web` is one question, answered here. The node's search domains are kept, as with Docker, for
/// tasks that may reach outside; for the others they could only add failing questions.
pub fn task_resolv_conf(node: &ResolvConf, may_forward: bool) -> String {
    let mut text = format!("nameserver {RESOLVER_ADDRESS}\n");
    if may_forward && !node.search.is_empty() {
        // Writing to a String does not fail.
        let _ = writeln!(text, "search {}", node.search.join(" "));
    }
    text.push_str("options ndots:0\n");
    text
}

fn nameserver(word: &str) -> Option<SocketAddr> {
    let address = parse_scoped(word)?;
    (address.ip() != IpAddr::V4(RESOLVER_ADDRESS)).then_some(address)
}

/// An address, with a numeric zone (`fe80::1%2`) where there is one. A zone given by interface
/// name would need the kernel to resolve, so such a resolver is skipped.
fn parse_scoped(word: &str) -> Option<SocketAddr> {
    match word.split_once('%') {
        None => Some(SocketAddr::new(word.parse().ok()?, DNS_PORT)),
        Some((address, zone)) => {
            let address = address.parse().ok()?;
            Some(SocketAddrV6::new(address, DNS_PORT, 0, zone.parse().ok()?).into())
        }
    }
}

/// Keeps text that could not be a domain out of a file libc parses.
fn is_domain(word: &str) -> bool {
    word.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
