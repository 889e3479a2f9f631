//! Whether a published port answers, as a browser on this machine would ask.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

/// How long one request may take before it counts as unanswered.
const REQUEST: Duration = Duration::from_secs(2);

/// Whether `GET /` gets a success.
pub(crate) fn answers(addr: Ipv4Addr, port: u16) -> bool {
    get(SocketAddr::from((addr, port))).is_ok_and(|reply| is_success(&reply))
}

fn get(to: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&to, REQUEST)?;
    stream.set_read_timeout(Some(REQUEST))?;
    stream.set_write_timeout(Some(REQUEST))?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n"
    )?;
    let mut line = [0; 12];
    stream.read_exact(&mut line)?;
    Ok(line.to_vec())
}

fn is_success(status_line: &[u8]) -> bool {
    status_line.starts_with(b"HTTP/1.1 2") || status_line.starts_with(b"HTTP/1.0 2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_success_counts_as_an_answer() {
        assert!(is_success(b"HTTP/1.1 200"));
        assert!(!is_success(b"HTTP/1.1 502"));
        assert!(!is_success(b"SSH-2.0-Open"));
    }
}
