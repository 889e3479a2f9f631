//! Wires between members that can be cut, each direction by itself.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::runtime::Handle;
use tokio::time::sleep;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use weft_raft::Dialer;
use weft_raft::Member;

/// All wires of a cluster. Bytes of a cut direction wait, as TCP would keep retrying them.
pub(crate) struct Wires {
    handle: Handle,
    cut: Mutex<BTreeSet<(u64, u64)>>,
}

impl Wires {
    /// The relays run on the runtime of the caller.
    pub(crate) fn new() -> Arc<Wires> {
        Arc::new(Wires {
            handle: Handle::current(),
            cut: Mutex::default(),
        })
    }

    /// Nothing gets from `from` to `to` any more.
    pub(crate) fn cut(&self, from: u64, to: u64) {
        self.cut.lock().unwrap().insert((from, to));
    }

    pub(crate) fn heal(&self) {
        self.cut.lock().unwrap().clear();
    }

    fn is_cut(&self, from: u64, to: u64) -> bool {
        self.cut.lock().unwrap().contains(&(from, to))
    }

    async fn relay(self: Arc<Self>, from: u64, to: u64, near: TcpStream, addr: SocketAddr) {
        while self.is_cut(from, to) {
            sleep(Duration::from_millis(5)).await;
        }
        let Ok(far) = TcpStream::connect(addr).await else {
            return;
        };
        near.set_nodelay(true).unwrap();
        far.set_nodelay(true).unwrap();
        let (near_read, near_write) = near.into_split();
        let (far_read, far_write) = far.into_split();
        tokio::select! {
            () = self.pump(from, to, near_read, far_write) => {}
            () = self.pump(to, from, far_read, near_write) => {}
        }
    }

    async fn pump(&self, from: u64, to: u64, mut read: OwnedReadHalf, mut write: OwnedWriteHalf) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(len @ 1..) = read.read(&mut buffer).await {
            while self.is_cut(from, to) {
                sleep(Duration::from_millis(5)).await;
            }
            if write.write_all(&buffer[..len]).await.is_err() {
                return;
            }
        }
    }
}

/// Dials through the wires.
pub(crate) struct Wired {
    pub(crate) from: u64,
    pub(crate) wires: Arc<Wires>,
}

impl Dialer for Wired {
    fn channel(&self, member: &Member) -> Channel {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let local = listener.local_addr().unwrap();
        let (from, to, addr) = (self.from, member.raft_id.0, member.addr);
        let wires = Arc::clone(&self.wires);
        self.wires.handle.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&wires).relay(from, to, near, addr));
            }
        });
        Endpoint::from_shared(format!("http://{local}"))
            .unwrap()
            .connect_timeout(Duration::from_millis(500))
            .connect_lazy()
    }
}
