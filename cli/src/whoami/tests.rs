use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use clap::Parser;
use nix::sys::signal::Signal;
use nix::sys::signal::raise;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Server;
use super::WhoamiArgs;
use super::http::slowness;
use super::report::Identity;
use super::termination;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: WhoamiArgs,
}

struct Running {
    http: SocketAddr,
    tcp: SocketAddr,
    udp: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

/// Loopback at the port of a socket bound to any address.
fn loopback(bound: SocketAddr) -> SocketAddr {
    ([127, 0, 0, 1], bound.port()).into()
}

async fn bind() -> Server {
    let identity = Identity {
        service_name: Some("web".to_owned()),
        task_name: Some("web.1".to_owned()),
        task_id: None,
        node_name: Some("node-a".to_owned()),
    };
    let args = WhoamiArgs {
        port: 0,
        tcp_port: Some(0),
        udp_port: Some(0),
        identity,
    };
    Server::bind(args).await.unwrap()
}

async fn start() -> Running {
    let server = bind().await;
    let http = loopback(server.http_address().unwrap());
    let tcp = loopback(server.tcp.as_ref().unwrap().local_addr().unwrap());
    let udp = loopback(server.udp.as_ref().unwrap().local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    Running {
        http,
        tcp,
        udp,
        stop,
        ended,
    }
}

async fn curl(address: SocketAddr, path: &str, options: &[&str]) -> String {
    let mut command = Command::new("curl");
    command
        .args(["-sS", "--max-time", "20", "--noproxy", "*"])
        .args(options);
    command.arg(format!("http://{address}{path}"));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_page_says_who_answered_and_who_asked() {
    let running = start().await;
    let text = curl(running.http, "/some/path?x=1", &["-H", "X-Test: one", "-i"]).await;
    for line in [
        "HTTP/1.1 200 OK",
        "content-type: text/plain; charset=utf-8",
        "service: web",
        "task: web.1",
        "node: node-a",
        "client: 127.0.0.1:",
        &format!("local: {}", running.http),
        "GET /some/path?x=1 HTTP/1.1",
        "x-test: one",
    ] {
        assert!(text.contains(line), "{line} is missing:\n{text}");
    }
    assert!(
        !text.contains("task id"),
        "what was not told is not shown: {text}"
    );
    let hostname = nix::unistd::gethostname().unwrap();
    assert!(text.contains(&format!("hostname: {}", hostname.to_string_lossy())));
}

#[tokio::test]
async fn json_says_the_same() {
    let running = start().await;
    let options = ["-H", "X-Test: one", "-H", "X-Test: two"];
    let text = curl(running.http, "/json", &options).await;
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["task_name"], "web.1");
    assert_eq!(json["task_id"], serde_json::Value::Null);
    assert_eq!(json["local"], running.http.to_string());
    assert_eq!(json["request"], "GET /json HTTP/1.1");
    assert_eq!(json["headers"]["x-test"], serde_json::json!(["one", "two"]));
}

#[tokio::test]
async fn health_is_ok_and_a_slow_request_without_a_number_is_the_callers_fault() {
    let running = start().await;
    assert_eq!(curl(running.http, "/health", &[]).await, "ok\n");
    let code = ["-o", "/dev/null", "-w", "%{http_code}"];
    assert_eq!(curl(running.http, "/slow?ms=x", &code).await, "400");
    assert_eq!(curl(running.http, "/slow?ms=1", &code).await, "200");
}

#[test]
fn slowness_is_bounded() {
    assert_eq!(slowness(Some("ms=20")), Some(Duration::from_millis(20)));
    assert_eq!(
        slowness(Some("a=b&ms=99999999")),
        Some(Duration::from_secs(60))
    );
    for nonsense in [None, Some(""), Some("ms=-1"), Some("ms="), Some("sm=1")] {
        assert_eq!(slowness(nonsense), None);
    }
}

#[tokio::test]
async fn ipv6_clients_are_served_by_the_same_socket() {
    let running = start().await;
    let address = SocketAddr::new("::1".parse().unwrap(), running.http.port());
    assert!(curl(address, "/", &[]).await.contains("client: [::1]:"));
}

#[tokio::test]
async fn tcp_and_udp_are_echoed() {
    let running = start().await;
    let mut stream = TcpStream::connect(running.tcp).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut back))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(back, b"hello");

    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(running.udp).await.unwrap();
    for message in [b"one".as_slice(), b""] {
        socket.send(message).await.unwrap();
        let mut buffer = [9; 8];
        let length = timeout(PATIENCE, socket.recv(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(&buffer[..length], message);
    }
}

#[tokio::test]
async fn stopping_refuses_new_callers_and_answers_those_under_way() {
    let running = start().await;
    let mut idle = TcpStream::connect(running.http).await.unwrap();
    let mut busy = TcpStream::connect(running.http).await.unwrap();
    // The second request is known to be under way when the first, on the same connection and
    // so read before it, has been answered.
    let requests =
        b"GET /health HTTP/1.1\r\nhost: x\r\n\r\nGET /slow?ms=700 HTTP/1.1\r\nhost: x\r\n\r\n";
    busy.write_all(requests).await.unwrap();
    let mut first = [0; 4];
    timeout(PATIENCE, busy.read_exact(&mut first))
        .await
        .unwrap()
        .unwrap();
    tokio::task::yield_now().await;
    running.stop.send(()).unwrap();
    let mut rest = String::new();
    timeout(PATIENCE, busy.read_to_string(&mut rest))
        .await
        .unwrap()
        .unwrap();
    assert!(rest.contains("GET /slow?ms=700"), "{rest}");
    assert!(rest.contains("connection: close"), "{rest}");
    let closed = timeout(PATIENCE, idle.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(closed, Ok(0) | Err(_)));
    timeout(PATIENCE, running.ended).await.unwrap().unwrap();
    assert!(TcpStream::connect(running.http).await.is_err());
}

#[tokio::test]
async fn sigterm_and_sigint_end_the_server() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let stop = termination().unwrap();
        let ended = tokio::spawn(bind().await.run(stop));
        raise(signal).unwrap();
        timeout(PATIENCE, ended).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let running = start().await;
    let port = running.http.port();
    let args = WhoamiArgs {
        port,
        tcp_port: None,
        udp_port: None,
        identity: Identity::default(),
    };
    let error = Server::bind(args).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        format!("failed to listen on TCP port {port}")
    );
}

#[test]
fn the_command_line_has_a_default_port_and_no_echo() {
    let args = Line::try_parse_from(["whoami"]).unwrap().args;
    assert_eq!(
        (args.port, args.tcp_port, args.udp_port),
        (8000, None, None)
    );
    let line = [
        "whoami",
        "--port",
        "81",
        "--udp-port",
        "5353",
        "--task-name",
        "web.2",
    ];
    let args = Line::try_parse_from(line).unwrap().args;
    assert_eq!((args.port, args.udp_port), (81, Some(5353)));
    assert_eq!(args.identity.task_name.as_deref(), Some("web.2"));
}
