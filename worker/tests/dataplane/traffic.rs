//! Real connections between tasks, and programs of others as oracles.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::Duration;
use weft_kernel::netns::Netns;

/// Longer than any answer takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const PORT: u16 = 7000;

/// Answers every byte with `name` and the caller's address, padded to 32 bytes.
pub(crate) fn serve(netns: &Netns, name: &'static str) {
    let listener = netns
        .run_in(|| {
            TcpListener::bind(("::", PORT)).or_else(|_| TcpListener::bind(("0.0.0.0", PORT)))
        })
        .unwrap()
        .unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let peer = stream.peer_addr().unwrap().ip().to_canonical();
            let answer = format!("{:<32}", format!("{name} {peer}"));
            thread::spawn(move || {
                let mut byte = [0];
                while stream.read_exact(&mut byte).is_ok() {
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

pub(crate) fn connect(netns: &Netns, to: IpAddr) -> io::Result<TcpStream> {
    connect_within(netns, to, PATIENCE)
}

pub(crate) fn connect_within(netns: &Netns, to: IpAddr, limit: Duration) -> io::Result<TcpStream> {
    let to = SocketAddr::from((to, PORT));
    let stream = netns
        .run_in(|| TcpStream::connect_timeout(&to, limit))
        .unwrap()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Ok(stream)
}

/// Who is at the other end, and whom it takes us for.
pub(crate) fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"?").unwrap();
    let mut answer = [0; 32];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8(answer.to_vec())
        .unwrap()
        .trim()
        .to_owned()
}

/// The output of a program run in `netns`.
pub(crate) fn oracle(netns: &Netns, program: &str, arguments: &[&str]) -> String {
    let output = netns
        .run_in(|| Command::new(program).args(arguments).output())
        .unwrap()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The sorted answers to a question, asked as a task asks.
pub(crate) fn dig(netns: &Netns, arguments: &[&str]) -> Vec<String> {
    let mut all = vec!["@127.0.0.11", "+short", "+tries=1", "+time=5"];
    all.extend(arguments);
    let text = oracle(netns, "dig", &all);
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}
