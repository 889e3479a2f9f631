//! Programs that talk: servers that say who they are and whom they see, and their clients.

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::thread;
use std::time::Duration;

use nix::sys::socket::AddressFamily;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockType;
use nix::sys::socket::SockaddrIn;
use nix::sys::socket::bind;
use nix::sys::socket::connect;
use nix::sys::socket::setsockopt;
use nix::sys::socket::socket;
use nix::sys::socket::sockopt::ReuseAddr;
use std::os::fd::AsRawFd;
use weft_kernel::netns::Netns;

/// How long what should work may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long what should not work is waited for.
pub(crate) const GIVE_UP: Duration = Duration::from_millis(1500);

/// Serves TCP and UDP on a port: says its name and the peer's address, then echoes.
pub(crate) fn serve(netns: &Netns, port: u16, name: &str) {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let (tcp, udp) = netns
        .run_in(|| {
            (
                TcpListener::bind(any).unwrap(),
                UdpSocket::bind(any).unwrap(),
            )
        })
        .unwrap();
    let said = name.to_owned();
    thread::spawn(move || {
        for stream in tcp.incoming() {
            let Ok(stream) = stream else { return };
            let said = said.clone();
            thread::spawn(move || converse(stream, &said));
        }
    });
    let said = name.to_owned();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((_, from)) = udp.recv_from(&mut buffer) {
            _ = udp.send_to(format!("{said} {from}").as_bytes(), from);
        }
    });
}

fn converse(stream: TcpStream, name: &str) -> io::Result<()> {
    let mut out = stream.try_clone()?;
    writeln!(out, "{name} {}", stream.peer_addr()?)?;
    for line in BufReader::new(stream).lines() {
        writeln!(out, "{name}:{}", line?)?;
    }
    Ok(())
}

/// An open connection, and what the server said about it.
pub(crate) struct Talk {
    pub(crate) server: String,
    pub(crate) seen: SocketAddr,
    pub(crate) local: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl Talk {
    /// Whether the connection still carries words both ways, from the same server.
    pub(crate) fn alive(&mut self, word: &str) -> bool {
        let mut answer = String::new();
        let said = writeln!(self.stream.get_mut(), "{word}");
        said.is_ok()
            && self.stream.read_line(&mut answer).is_ok()
            && answer == format!("{}:{word}\n", self.server)
    }

    fn begin(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let local = stream.local_addr()?;
        let mut stream = BufReader::new(stream);
        let mut banner = String::new();
        stream.read_line(&mut banner)?;
        let (server, seen) = split(&banner)?;
        Ok(Self {
            server,
            seen,
            local,
            stream,
        })
    }
}

fn split(banner: &str) -> io::Result<(String, SocketAddr)> {
    let odd = || io::Error::other(format!("odd banner {banner:?}"));
    let (server, seen) = banner.trim().split_once(' ').ok_or_else(odd)?;
    Ok((server.to_owned(), seen.parse().map_err(|_| odd())?))
}

pub(crate) fn to(ip: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(ip.into(), port)
}

/// Calls; what should work.
pub(crate) fn call(from: &Netns, to: SocketAddr) -> io::Result<Talk> {
    call_within(from, to, PATIENCE)
}

/// Calls and waits for this long only.
pub(crate) fn call_within(from: &Netns, to: SocketAddr, wait: Duration) -> io::Result<Talk> {
    let stream = from
        .run_in(|| TcpStream::connect_timeout(&to, wait))
        .unwrap()?;
    Talk::begin(stream)
}

/// Calls from a chosen port, which several calls may share.
pub(crate) fn call_from(from: &Netns, port: u16, to: SocketAddr) -> io::Result<Talk> {
    let SocketAddr::V4(to) = to else {
        return Err(io::Error::other("IPv4 only"));
    };
    let made = from.run_in(|| -> io::Result<TcpStream> {
        let stream = SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Inet, SockType::Stream, stream, None)?;
        setsockopt(&fd, ReuseAddr, &true)?;
        bind(fd.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, port))?;
        connect(fd.as_raw_fd(), &SockaddrIn::from(to))?;
        Ok(TcpStream::from(fd))
    });
    Talk::begin(made.unwrap()?)
}

/// One UDP question; who answered, and whom it saw.
pub(crate) fn ask(
    from: &Netns,
    to: SocketAddr,
    wait: Duration,
) -> io::Result<(String, SocketAddr)> {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let socket = from.run_in(|| UdpSocket::bind(any)).unwrap()?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(wait))?;
    socket.send(b"?")?;
    let mut buffer = [0; 128];
    let length = socket.recv(&mut buffer)?;
    split(&String::from_utf8_lossy(&buffer[..length]))
}
