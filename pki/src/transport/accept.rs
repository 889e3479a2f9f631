//! The listening side: accepts, shakes hands beside each other, hands out finished connections.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::io;
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

/// Of those, from one address: one hostile machine cannot take all places. Honest nodes behind
/// one address that exceed it are closed at once, and come back.
const MAX_HANDSHAKES_PER_ADDRESS: usize = 128;

/// Open connections of callers without a certificate, and how long each may last. A join or a
/// renewal by token takes a second; strangers must not be able to fill the memory by staying.
const MAX_ANONYMOUS: usize = 256;
const ANONYMOUS_STAY: Duration = Duration::from_secs(60);

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
    let guests = Arc::new(Guests::new(MAX_HANDSHAKES_PER_ADDRESS));
    let people = Arc::new(Guests::new(MAX_PER_USER));
    let anonymous = Arc::new(Semaphore::new(MAX_ANONYMOUS));
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
        let Some(guest) = guests.admit(remote.ip()) else {
            debug!(%remote, "too many unfinished handshakes from this address; closed");
            continue;
        };
        let (live, finished) = (live.clone(), finished.clone());
        let (anonymous, people) = (anonymous.clone(), people.clone());
        handshakes.spawn(async move {
            let handshake = handshake(stream, remote, &live, anonymous, people);
            let outcome = timeout(HANDSHAKE_TIMEOUT, handshake).await;
            drop((place, guest));
            match outcome {
                // A closed receiver means that the server is stopping.
                Ok(Ok(stream)) => drop(finished.send(Ok(stream)).await),
                Ok(Err(error)) => report(remote, &error),
                Err(_) => debug!(%remote, "no handshake within {HANDSHAKE_TIMEOUT:?}; closed"),
            }
        });
    }
}

async fn handshake(
    stream: TcpStream,
    remote: SocketAddr,
    live: &LiveCredentials,
    anonymous: Arc<Semaphore>,
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
        Some(_) if revoked => limited(anonymous)?,
        Some(node) => guarded(node, remote, live),
        None => match &user {
            Some(user) => counted(user, people)?,
            None => limited(anonymous)?,
        },
    };
    let peer = PeerIdentity {
        node,
        user,
        remote,
        revoked,
    };
    Ok(ServerStream::new(tls, peer, ending))
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
        .admit(user.identity.name.clone())
        .ok_or_else(|| io::Error::other("too many connections of one user"))?;
    Ok(Ending::new(async move {
        let _place = place;
        std::future::pending().await
    }))
}

/// A stranger's connection has one of few places, for a limited time.
fn limited(anonymous: Arc<Semaphore>) -> io::Result<Ending> {
    let place = anonymous
        .try_acquire_owned()
        .map_err(|_| io::Error::other("too many callers without a certificate"))?;
    Ok(Ending::new(async move {
        let _place = place;
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

/// How many come from one side: unfinished handshakes of an address, connections of a person.
struct Guests<K> {
    most: usize,
    counts: Mutex<HashMap<K, usize>>,
}

/// One of them; leaving is dropping it.
struct Guest<K: Clone + Eq + Hash> {
    guests: Arc<Guests<K>>,
    side: K,
}

impl<K: Clone + Eq + Hash> Guests<K> {
    fn new(most: usize) -> Self {
        Guests {
            most,
            counts: Mutex::default(),
        }
    }

    fn admit(self: &Arc<Self>, side: K) -> Option<Guest<K>> {
        let mut counts = self.counts.lock();
        let count = counts.entry(side.clone()).or_insert(0);
        if *count >= self.most {
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
    use std::net::IpAddr;

    #[test]
    fn one_address_cannot_take_all_places_and_gets_them_back() {
        let guests = Arc::new(Guests::new(MAX_HANDSHAKES_PER_ADDRESS));
        let greedy: IpAddr = [10, 0, 0, 1].into();
        let honest: IpAddr = [10, 0, 0, 2].into();
        let mut taken = Vec::new();
        while let Some(guest) = guests.admit(greedy) {
            taken.push(guest);
        }
        assert_eq!(taken.len(), MAX_HANDSHAKES_PER_ADDRESS);
        assert!(guests.admit(honest).is_some());
        taken.pop();
        assert!(guests.admit(greedy).is_some());
        taken.clear();
        assert!(guests.counts.lock().is_empty());
    }
}
