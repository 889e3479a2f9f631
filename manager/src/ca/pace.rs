//! How fast nodes may join.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::time::Duration;
use tokio::time::Instant;

/// Between two joins, in the long run: 20 a second. A join is a write to the log and a signature;
/// a rack of machines is in within seconds, and the log keeps nearly all its room for others.
const INTERVAL: Duration = Duration::from_millis(50);
/// Between two from one source: half of all, so that no source takes the turns of all others.
const SOURCE_INTERVAL: Duration = Duration::from_millis(100);
/// How many may come at once before they are spread out, from one source too: a rack behind one
/// address.
const BURST: u32 = 20;
/// The longest anybody waits for their turn; below the deadlines that clients have.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Most sources that are remembered, about 100 bytes each. One that had no turn for a few seconds is
/// forgotten; while there are more, those that are not remembered are refused.
const MAX_SOURCES: usize = 1024;
/// The network of one site: whoever has an IPv6 address has 2^64 of them (RFC 4291 s. 2.5.1).
const SITE_PREFIX: u32 = 64;

/// Who calls, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source(Option<IpAddr>);

impl Source {
    /// The source that an address is of; `None`: it came over no network.
    pub(super) fn of(addr: Option<IpAddr>) -> Source {
        Source(addr.map(|addr| match addr.to_canonical() {
            IpAddr::V4(addr) => addr.into(),
            IpAddr::V6(addr) => {
                let site = u128::MAX << (128 - SITE_PREFIX);
                Ipv6Addr::from_bits(addr.to_bits() & site).into()
            }
        }))
    }
}

/// Spreads calls out, and refuses those that would wait for too long.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<Line>);

#[derive(Debug, Default)]
struct Line {
    /// When the next call would be due if all came evenly; `None` before the first.
    due: Option<Instant>,
    /// The same of each source that called lately.
    sources: BTreeMap<Source, Instant>,
}

impl Pace {
    /// Takes the next turn: when it is, or how long the line is. Who is refused takes no turn.
    pub(super) fn turn(&self, source: Source, now: Instant) -> Result<Instant, Duration> {
        let mut line = self.0.lock();
        let own = line.sources.get(&source).map_or(now, |due| now.max(*due));
        let own_wait = wait(own, SOURCE_INTERVAL, now)?;
        let next = line.due.map_or(now, |due| due.max(now));
        let wait = own_wait.max(wait(next, INTERVAL, now)?);
        if line.sources.len() >= MAX_SOURCES && !line.sources.contains_key(&source) {
            line.sources.retain(|_, due| *due > now);
            if line.sources.len() >= MAX_SOURCES {
                return Err(LONGEST_WAIT);
            }
        }
        line.sources.insert(source, own + SOURCE_INTERVAL);
        line.due = Some(next + INTERVAL);
        Ok(now + wait)
    }
}

/// How long a call waits that would be due at `due` if all came evenly; too long is an error.
fn wait(due: Instant, interval: Duration, now: Instant) -> Result<Duration, Duration> {
    let wait = (due - now).saturating_sub(interval * (BURST - 1));
    if wait > LONGEST_WAIT {
        return Err(wait);
    }
    Ok(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(n: u32) -> Source {
        Source::of(Some(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n).into()))
    }

    #[tokio::test]
    async fn a_burst_passes_at_once_then_calls_are_spread_and_then_refused() {
        let (pace, now) = (Pace::default(), Instant::now());
        for n in 0..BURST {
            assert_eq!(pace.turn(v4(n), now), Ok(now));
        }
        assert_eq!(pace.turn(v4(90), now), Ok(now + INTERVAL));
        assert_eq!(pace.turn(v4(91), now), Ok(now + 2 * INTERVAL));
        let passed = (100..1000).filter(|n| pace.turn(v4(*n), now).is_ok());
        assert_eq!(passed.count(), 98, "five seconds' worth of calls in all");
        assert!(pace.turn(v4(90), now).is_err());
    }

    #[tokio::test]
    async fn a_flood_from_one_source_leaves_turns_for_others() {
        let (pace, begin) = (Pace::default(), Instant::now());
        for second in 0..60 {
            let now = begin + Duration::from_secs(second);
            for _ in 0..10_000 {
                let _ = pace.turn(v4(1), now);
            }
            let turn = pace.turn(v4(2), now).expect("an honest one has its turn");
            assert!(turn <= now + LONGEST_WAIT * 3 / 5, "{:?}", turn - now);
        }
    }

    #[tokio::test]
    async fn sources_take_bounded_memory_and_are_forgotten() {
        let (pace, begin) = (Pace::default(), Instant::now());
        for n in 0..100_000 {
            // One every 50 ms, so that none is refused for the length of the line.
            let _ = pace.turn(v4(n), begin + INTERVAL * n);
            assert!(pace.0.lock().sources.len() <= MAX_SOURCES);
        }
        let later = begin + INTERVAL * 200_000;
        assert_eq!(pace.turn(v4(7), later), Ok(later));
    }

    #[test]
    fn a_site_of_ipv6_is_one_source_and_a_mapped_address_is_that_of_ipv4() {
        let source = |text: &str| Source::of(Some(text.parse().unwrap()));
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
    }

    #[tokio::test]
    async fn the_line_is_forgotten_when_nobody_comes() {
        let (pace, now) = (Pace::default(), Instant::now());
        while pace.turn(v4(1), now).is_ok() {}
        let later = now + Duration::from_secs(60);
        for _ in 0..BURST {
            assert_eq!(pace.turn(v4(1), later), Ok(later));
        }
    }
}
