//! The sockets of one task's resolver, made inside its network namespace.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::SocketAddrV4;
use std::net::TcpListener;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::thread;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sched::CloneFlags;
use nix::sched::setns;

use super::RESOLVER_ADDRESS;
use super::RESOLVER_PORT;

/// A UDP and a TCP socket on the same address, non-blocking. They stay in the namespace they were
/// made in, whichever thread uses them.
#[derive(Debug)]
pub struct Sockets {
    /// For nearly all questions.
    pub udp: UdpSocket,
    /// For answers too large for UDP.
    pub tcp: TcpListener,
}

/// Why there are no sockets.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The namespace's descriptor could not be copied for the thread that enters it.
    #[error("failed to duplicate the descriptor of the task's network namespace")]
    DuplicateNamespace {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// No thread to enter the namespace with.
    #[error("failed to start the thread that enters the task's network namespace")]
    StartThread {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Entering needs CAP_SYS_ADMIN and a descriptor of a network namespace.
    #[error("failed to enter the task's network namespace")]
    EnterNamespace {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The namespace's interfaces could not be listed.
    #[error("failed to read the interfaces of the task's network namespace")]
    ReadInterfaces {
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Too early: see [`bind_in`].
    #[error(
        "loopback is down in the task's network namespace; set it up before binding the resolver"
    )]
    LoopbackDown,
    /// Another socket in the namespace has the address, or it does not exist there.
    #[error("failed to bind the resolver's {protocol} socket to {address}")]
    Bind {
        /// "udp" or "tcp".
        protocol: &'static str,
        /// What was asked for.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The thread ended without an answer.
    #[error("the thread that enters the task's network namespace ended early")]
    ThreadLost,
}

/// Binds [`RESOLVER_ADDRESS`]:[`RESOLVER_PORT`] inside the network namespace `netns` (an open
/// `/proc/<pid>/ns/net` or `/run/netns/<name>`). Blocks for a few system calls.
///
/// Loopback must be up there. In a namespace without any local route Linux takes every address
/// for a broadcast one: the bind succeeds, but the socket has no source address for ever, its
/// answers leave from 127.0.0.1, and connected clients do not take them.
pub fn bind_in(netns: impl AsFd) -> Result<Sockets, BindError> {
    let netns = netns
        .as_fd()
        .try_clone_to_owned()
        .map_err(|source| BindError::DuplicateNamespace { source })?;
    // A thread of its own, never one of a pool: no error can leave a thread that serves others in
    // a task's namespace.
    let thread = thread::Builder::new()
        .name("dns-bind".to_owned())
        .spawn(move || enter_and_bind(&netns))
        .map_err(|source| BindError::StartThread { source })?;
    thread.join().unwrap_or(Err(BindError::ThreadLost))
}

fn enter_and_bind(netns: &OwnedFd) -> Result<Sockets, BindError> {
    setns(netns, CloneFlags::CLONE_NEWNET).map_err(|errno| BindError::EnterNamespace {
        source: errno.into(),
    })?;
    let mut interfaces = getifaddrs().map_err(|errno| BindError::ReadInterfaces {
        source: errno.into(),
    })?;
    let up = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_LOOPBACK;
    if !interfaces.any(|interface| interface.flags.contains(up)) {
        return Err(BindError::LoopbackDown);
    }
    bind(RESOLVER_ADDRESS, RESOLVER_PORT)
}

/// Binds in the calling thread's namespace. Port 0 takes a free one, the same for both sockets.
pub fn bind(address: Ipv4Addr, port: u16) -> Result<Sockets, BindError> {
    let address = SocketAddr::V4(SocketAddrV4::new(address, port));
    let (udp, address) = bind_udp(address).map_err(|source| BindError::Bind {
        protocol: "udp",
        address,
        source,
    })?;
    let tcp = bind_tcp(address).map_err(|source| BindError::Bind {
        protocol: "tcp",
        address,
        source,
    })?;
    Ok(Sockets { udp, tcp })
}

fn bind_udp(address: SocketAddr) -> io::Result<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    let bound = socket.local_addr()?;
    Ok((socket, bound))
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    // std sets SO_REUSEADDR, so a restarted agent need not wait for old connections.
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
