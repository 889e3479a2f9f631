//! The listening side: accepts, shakes hands beside each other, hands out finished connections.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::io;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tracing::debug;
use tracing::warn;
use weft_proto::Name;

use crate::LiveCredentials;
use crate::NodeIdentity;
use crate::Refusal;
use crate::UserProof;
use crate::transport::PeerIdentity;
use crate::transport::ServerStream;
use crate::transport::ending::Ending;
use crate::user::Holder;

/// A handshake takes two round trips and a few milliseconds of work; who needs longer than this
/// is broken or hostile.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Unfinished handshakes at one time, about 40 KiB each. Beyond it the kernel's backlog waits.
const MAX_HANDSHAKES: usize = 512;

/// Of those, from one source: one hostile machine cannot take all places. Honest nodes behind
/// one address that exceed it are closed at once, and come back.
const MAX_HANDSHAKES_PER_SOURCE: usize = 128;

/// With so many unfinished handshakes at one time there is a flood, of many machines or many
/// addresses: then each has this long, and each source these places. An honest handshake takes
/// some milliseconds where machines are near, and a fifth of a second between continents.
const FLOOD: usize = MAX_HANDSHAKES / 2;
const FLOOD_TIMEOUT: Duration = Duration::from_secs(1);
const FLOOD_PER_SOURCE: usize = 16;

/// Open connections of callers without a certificate, of one source too, and how long each may
/// last. A join by token takes a second, and as long as its manager waits for a leader; strangers
/// must not be able to fill the memory by staying, nor to shut the door for others.
const MAX_ANONYMOUS: usize = 512;
const MAX_ANONYMOUS_PER_SOURCE: usize = 64;
const ANONYMOUS_STAY: Duration = Duration::from_secs(30);

/// What a caller without a certificate may send on one connection: a request to join has some
/// kilobytes, and what it is wrapped in less. With the places above, strangers hold 64 MiB at most.
const ANONYMOUS_BYTES: usize = 128 << 10;

/// The network of one site is one source: whoever has an IPv6 address has 2^64 of them.
const SITE_PREFIX: u32 = 64;

/// Open connections of one person: a command needs one, a web page some. One who was removed, or a
/// stolen bundle, must not be able to fill the memory either.
const MAX_PER_USER: usize = 64;

/// Finished connections that nobody has taken yet.
const FINISHED: usize = 64;

/// Pause after the kernel refused to accept, usually because file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts on `listener` until `shutdown` is ready or the stream is dropped.
///
/// Every handshake runs on its own, under a deadline and a bound, with the credentials that are
/// current when the connection arrives. A failed handshake is logged and never reaches the
/// stream, so the stream ends only with `shutdown`; its items are always `Ok`, in the form that
/// tonic's `serve_with_incoming` wants. Callers without a certificate are let in, because joining
/// nodes have none, but few at a time and for a minute only. Must be called within a tokio runtime.
pub fn serve_incoming(
    listener: TcpListener,
    live: Arc<LiveCredentials>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> impl Stream<Item = io::Result<ServerStream>> + Send + Unpin + 'static {
    let (finished, stream) = mpsc::channel(FINISHED);
    tokio::spawn(async move {
        tokio::select! {
            () = shutdown => {}
            () = finished.closed() => {}
            () = accept_all(listener, live, finished.clone()) => {}
        }
    });
    ReceiverStream::new(stream)
}

type Finished = mpsc::Sender<io::Result<ServerStream>>;

async fn accept_all(listener: TcpListener, live: Arc<LiveCredentials>, finished: Finished) {
    let places = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    let guests = Arc::new(Guests::default());
    let people = Arc::new(Guests::default());
    let anonymous = Arc::new(Anonymous::default());
    // Dropped with this future, which ends every unfinished handshake.
    let mut handshakes = JoinSet::new();
    loop {
        while handshakes.try_join_next().is_some() {}
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let flood = places.available_permits() < MAX_HANDSHAKES - FLOOD;
        let (most, patience) = if flood {
            (FLOOD_PER_SOURCE, FLOOD_TIMEOUT)
        } else {
            (MAX_HANDSHAKES_PER_SOURCE, HANDSHAKE_TIMEOUT)
        };
        let Some(guest) = guests.admit(source(remote.ip()), most) else {
            debug!(%remote, "too many unfinished handshakes from this address; closed");
            continue;
        };
        let (live, finished) = (live.clone(), finished.clone());
        let (anonymous, people) = (anonymous.clone(), people.clone());
        handshakes.spawn(async move {
            let handshake = handshake(stream, remote, &live, anonymous, people);
            let outcome = timeout(patience, handshake).await;
            drop((place, guest));
            match outcome {
                // A closed receiver means that the server is stopping.
                Ok(Ok(stream)) => drop(finished.send(Ok(stream)).await),
                Ok(Err(error)) => report(remote, &error),
                Err(_) => debug!(%remote, "no handshake within {patience:?}; closed"),
            }
        });
    }
}

async fn handshake(
    stream: TcpStream,
    remote: SocketAddr,
    live: &LiveCredentials,
    anonymous: Arc<Anonymous>,
    people: Arc<Guests<Name>>,
) -> io::Result<ServerStream> {
    // Raft and watch messages are small and wanted at once.
    stream.set_nodelay(true)?;
    let tls = TlsAcceptor::from(live.server_config())
        .accept(stream)
        .await?;
    let leaf = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let holder = leaf
        .map(Holder::from_certificate)
        .transpose()
        .map_err(io::Error::other)?;
    let (node, user) = match holder {
        Some(Holder::Node(node)) => (Some(node), None),
        Some(Holder::User(user)) => (None, Some(Arc::new(user))),
        None => (None, None),
    };
    let revoked = node.is_some_and(|node| live.revoked().contains(&node));
    let ending = match node {
        // Let in to be told that it is not welcome, like a stranger.
        Some(node) if !revoked => guarded(node, remote, live),
        Some(_) => limited(&anonymous, remote.ip())?,
        None => match &user {
            Some(user) => counted(user, people)?,
            None => limited(&anonymous, remote.ip())?,
        },
    };
    let most = (node.is_none() || revoked).then_some(ANONYMOUS_BYTES);
    let peer = PeerIdentity {
        node,
        user,
        remote,
        revoked,
    };
    Ok(ServerStream::new(tls, peer, ending, most))
}

/// A node's connection lasts until the node is no longer welcome, which may be already.
fn guarded(node: NodeIdentity, remote: SocketAddr, live: &LiveCredentials) -> Ending {
    let revoked = live.revoked().wait_for(node);
    Ending::new(async move {
        revoked.await;
        warn!(%remote, %node, "cut a connection: this identity was revoked");
        io::ErrorKind::ConnectionAborted
    })
}

/// A person's connection has one of few places of hers. Whether she is welcome is said to each call,
/// so that one who was removed hears it.
fn counted(user: &UserProof, people: Arc<Guests<Name>>) -> io::Result<Ending> {
    let place = people
        .admit(user.identity.name.clone(), MAX_PER_USER)
        .ok_or_else(|| io::Error::other("too many connections of one user"))?;
    Ok(Ending::new(async move {
        let _place = place;
        std::future::pending().await
    }))
}

/// A stranger's connection has one of few places, for a limited time.
fn limited(anonymous: &Anonymous, address: IpAddr) -> io::Result<Ending> {
    let crowded = || io::Error::other("too many callers without a certificate");
    let places = anonymous.places.clone();
    let place = places.try_acquire_owned().map_err(|_| crowded())?;
    let guest = anonymous
        .guests
        .admit(source(address), MAX_ANONYMOUS_PER_SOURCE);
    let guest = guest.ok_or_else(crowded)?;
    Ok(Ending::new(async move {
        let _here = (place, guest);
        tokio::time::sleep(ANONYMOUS_STAY).await;
        io::ErrorKind::TimedOut
    }))
}

/// A certificate that was refused is something a person must hear of; noise is not.
fn report(remote: SocketAddr, error: &io::Error) {
    let tls = error.get_ref().and_then(|e| e.downcast_ref());
    match tls.and_then(Refusal::from_tls) {
        Some(refusal) => warn!(%remote, "refused a connection: {refusal}"),
        None => debug!(%remote, %error, "handshake failed"),
    }
}

/// Open connections of callers without a certificate.
struct Anonymous {
    places: Arc<Semaphore>,
    guests: Arc<Guests<IpAddr>>,
}

impl Default for Anonymous {
    fn default() -> Self {
        Anonymous {
            places: Arc::new(Semaphore::new(MAX_ANONYMOUS)),
            guests: Arc::default(),
        }
    }
}

/// What an address is counted as.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let site = u128::MAX << (128 - SITE_PREFIX);
            Ipv6Addr::from_bits(address.to_bits() & site).into()
        }
    }
}

/// How many come from one side: unfinished handshakes and callers without a certificate of a
/// source, connections of a person.
struct Guests<K> {
    counts: Mutex<HashMap<K, usize>>,
}

impl<K> Default for Guests<K> {
    fn default() -> Self {
        Guests {
            counts: Mutex::default(),
        }
    }
}

/// One of them; leaving is dropping it.
struct Guest<K: Clone + Eq + Hash> {
    guests: Arc<Guests<K>>,
    side: K,
}

impl<K: Clone + Eq + Hash> Guests<K> {
    /// Lets one more of a side in, while it has fewer than `most`.
    fn admit(self: &Arc<Self>, side: K, most: usize) -> Option<Guest<K>> {
        let mut counts = self.counts.lock();
        let count = counts.entry(side.clone()).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Guest {
            guests: self.clone(),
            side,
        })
    }
}

impl<K: Clone + Eq + Hash> Drop for Guest<K> {
    fn drop(&mut self) {
        let mut counts = self.guests.counts.lock();
        if let Some(count) = counts.get_mut(&self.side) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.side);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places_and_gets_them_back() {
        let guests = Arc::new(Guests::default());
        let greedy: IpAddr = [10, 0, 0, 1].into();
        let honest: IpAddr = [10, 0, 0, 2].into();
        let mut taken = Vec::new();
        while let Some(guest) = guests.admit(greedy, 128) {
            taken.push(guest);
        }
        assert_eq!(taken.len(), 128);
        assert!(guests.admit(greedy, FLOOD_PER_SOURCE).is_none());
        assert!(guests.admit(honest, FLOOD_PER_SOURCE).is_some());
        taken.pop();
        assert!(guests.admit(greedy, 128).is_some());
        taken.clear();
        assert!(guests.counts.lock().is_empty());
    }

    #[test]
    fn a_site_of_ipv6_is_one_source() {
        let of = |text: &str| source(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
