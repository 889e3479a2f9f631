//! In a network namespace of our own, which ends with its last descriptor.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::process::Command;
use std::process::Stdio;
use std::thread;

use nix::sched::CloneFlags;
use nix::sched::setns;
use nix::sched::unshare;

use super::support::dig;
use super::support::table;
use crate::dns::DnsServer;
use crate::dns::Forwarding;
use crate::dns::RESOLVER_ADDRESS;
use crate::dns::RESOLVER_PORT;
use crate::dns::bind_in;

/// The redirect the network room puts into a task's namespace.
const REDIRECT: &str = "table ip dnstest {
  chain out {
    type nat hook output priority -100
    ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:40053
    ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:40053
  }
}
";

struct Namespace(File);

impl Namespace {
    /// A fresh namespace with loopback up.
    fn new() -> Self {
        let namespace = Self::with_loopback_down();
        namespace.run(|| run_with_input("ip", &["link", "set", "lo", "up"], ""));
        namespace
    }

    fn with_loopback_down() -> Self {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        Self(made.join().unwrap())
    }

    /// Runs `work` on a thread inside; sockets and child processes it makes belong there.
    fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let file = self.0.try_clone().unwrap();
        let inside = thread::spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        inside.join().unwrap()
    }
}

fn run_with_input(program: &str, args: &[&str], input: &str) {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success(), "{program} {args:?}");
}

fn resolver(port: u16) -> SocketAddr {
    SocketAddr::new(RESOLVER_ADDRESS.into(), port)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_a_dns_server_itself_still_finds_ours() {
    let namespace = Namespace::new();
    let sockets = bind_in(&namespace.0).unwrap();
    let server = DnsServer::start(sockets, table(), Forwarding::Denied).unwrap();
    let theirs = namespace.run(|| {
        run_with_input("nft", &["-f", "-"], REDIRECT);
        UdpSocket::bind("0.0.0.0:53").unwrap()
    });
    assert_eq!(theirs.local_addr().unwrap().port(), 53);
    for port in [RESOLVER_PORT, 53] {
        for args in ["+short web A", "+short +tcp web A"] {
            let answer = namespace.run(move || dig(resolver(port), args));
            assert_eq!(answer, "10.0.1.2\n", "port {port}, {args}");
        }
    }
    drop(server);
}

#[tokio::test]
async fn two_namespaces_have_each_their_own_resolver_and_the_host_has_none() {
    let (one, two) = (Namespace::new(), Namespace::new());
    let first = bind_in(&one.0).unwrap();
    let second = bind_in(&two.0).unwrap();
    assert_eq!(
        first.udp.local_addr().unwrap(),
        second.udp.local_addr().unwrap()
    );
    let here = UdpSocket::bind("127.0.0.1:0").unwrap();
    here.connect(resolver(RESOLVER_PORT)).unwrap();
    here.send(b"x").unwrap();
    assert!(
        here.recv(&mut [0; 1]).is_err(),
        "refused: nobody listens in the host's namespace"
    );
}

/// Linux would let us bind, and the answers would come from the wrong address.
#[test]
fn a_namespace_whose_loopback_is_down_is_refused() {
    let namespace = Namespace::with_loopback_down();
    assert!(
        bind_in(&namespace.0)
            .unwrap_err()
            .to_string()
            .contains("loopback is down")
    );
}

#[test]
fn a_taken_address_is_an_error_that_names_it() {
    let namespace = Namespace::new();
    let _held = bind_in(&namespace.0).unwrap();
    let error = bind_in(&namespace.0).unwrap_err();
    let text = "failed to bind the resolver's udp socket to 127.0.0.11:40053";
    assert_eq!(error.to_string(), text);
}

#[test]
fn what_is_no_namespace_is_refused_and_the_caller_stays_where_it_was() {
    let before = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let file = File::open("/dev/null").unwrap();
    assert!(bind_in(&file).unwrap_err().to_string().contains("enter"));
    assert_eq!(
        std::fs::read_link("/proc/thread-self/ns/net").unwrap(),
        before
    );
}
