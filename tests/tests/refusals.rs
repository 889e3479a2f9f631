//! Bad input gets a clear message and changes nothing.

use serde_json::Value;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;
use weft_rig::Host;
use weft_rig::contract;
use weft_tests::Cluster;

/// Everything a manager knows, to be compared.
fn state(cluster: &Cluster) -> anyhow::Result<[Value; 3]> {
    let ask = |what| {
        cluster
            .founder()
            .weft_json(&[what, "ls", "--format", "json"])
    };
    Ok([ask("node")?, ask("network")?, ask("service")?])
}

/// The command fails, says all of these words, and shows no trace of its insides.
fn refused(host: &Host, args: &[&str], words: &[&str]) -> anyhow::Result<()> {
    let output = host.weft(args)?;
    let said = &output.stderr;
    assert!(!output.status.success(), "weft {args:?} was accepted");
    for word in words {
        assert!(
            said.contains(word),
            "weft {args:?} says {said:?}, without {word:?}"
        );
    }
    for inside in ["panicked", "RUST_BACKTRACE", "Status {", "Os {"] {
        assert!(!said.contains(inside), "weft {args:?} says {said:?}");
    }
    Ok(())
}

#[test]
fn bad_input_is_refused_with_a_reason_and_changes_nothing() -> anyhow::Result<()> {
    let cluster = Cluster::start("refusals", 1, 1)?;
    let manager = cluster.founder();
    manager.weft_ok(&["network", "create", "demo", "--subnet", "10.20.0.0/24"])?;
    manager.weft_ok(&[
        "service",
        "create",
        "-d",
        "--name",
        "web",
        "--publish",
        "8080:80",
        "--replicas",
        "1",
        "--",
        "sleep",
        "1000",
    ])?;
    cluster.wait_running("web", 1)?;
    let before = state(&cluster)?;

    let create =
        |extra: &[&'static str]| [&["service", "create"], extra, &["--", "sleep", "1"]].concat();
    refused(
        manager,
        &["network", "create", "n", "--colour", "red"],
        &["--colour"],
    )?;
    refused(
        manager,
        &["network", "create", "n", "--subnet", "10.30.0.0/99"],
        &["10.30.0.0/99"],
    )?;
    refused(
        manager,
        &["network", "create", "n", "--subnet", "10.30.0.7/24"],
        &["10.30.0.0/24"],
    )?;
    refused(
        manager,
        &["network", "create", "n", "--subnet", "10.20.0.0/16"],
        &["overlaps", "demo"],
    )?;
    refused(manager, &["network", "create", "demo"], &["demo"])?;
    refused(
        manager,
        &["network", "create", "n", "--opt", "encrypted=true"],
        &["encrypted"],
    )?;
    refused(
        manager,
        &["network", "create", "Not_A_Label"],
        &["Not_A_Label", "lower-case"],
    )?;
    refused(manager, &create(&["--name", "two words"]), &["two words"])?;
    refused(
        manager,
        &create(&["--name", "b", "--publish", "8080:80"]),
        &["8080", "web"],
    )?;
    refused(
        manager,
        &create(&["--name", "b", "--network", "nowhere"]),
        &["nowhere"],
    )?;
    refused(
        manager,
        &create(&["--name", "b", "--replicas", "-1"]),
        &["-1"],
    )?;
    refused(manager, &create(&["--name", "web"]), &["web"])?;
    refused(manager, &["service", "rm", "nothing"], &["nothing"])?;
    refused(manager, &["network", "rm", "nothing"], &["nothing"])?;
    refused(manager, &["cluster", "init"], &["already"])?;

    assert_eq!(state(&cluster)?, before);
    cluster.down()
}

#[test]
fn bad_tokens_and_second_joins_are_refused() -> anyhow::Result<()> {
    let cluster = Cluster::start("tokens", 1, 1)?;
    let other = Cluster::start("tokens2", 1, 0)?;
    let manager = cluster.founder();
    let stranger = cluster.rig.host("stranger")?;
    stranger.start_daemon()?;
    stranger.wait_ready(weft_tests::CEILING)?;
    let before = state(&cluster)?;

    let token = manager
        .weft_ok(&contract::join_token("worker"))?
        .trim()
        .to_owned();
    let foreign = other
        .founder()
        .weft_ok(&contract::join_token("worker"))?
        .trim()
        .to_owned();
    let remote = format!("{}:2377", manager.addr());
    let join = |host: &Host, token: &str, words: &[&str]| {
        refused(host, &["cluster", "join", "--token", token, &remote], words)
    };
    join(&stranger, "swordfish", &["token"])?;
    join(&stranger, &token[..token.len() - 5], &["token"])?;
    join(&stranger, &foreign, &["cluster"])?;
    join(&cluster.workers[0], &token, &["already"])?;
    manager.weft_ok(&["cluster", "join-token", "worker", "--rotate", "-q"])?;
    join(&stranger, &token, &["token"])?;
    // On a node of no cluster and on a worker, the way on is said.
    refused(&stranger, &["node", "ls"], &["weft cluster join"])?;
    refused(&cluster.workers[0], &["node", "ls"], &["worker", &remote])?;

    assert_eq!(state(&cluster)?, before);
    other.down()?;
    cluster.down()
}

#[test]
fn garbage_on_the_control_port_disturbs_nobody() -> anyhow::Result<()> {
    let cluster = Cluster::start("garbage", 1, 0)?;
    let manager = cluster.founder();
    let addr = std::net::SocketAddr::from((manager.addr(), 2377));
    let answers = cluster
        .client
        .netns()
        .run(|| -> std::io::Result<Vec<usize>> {
            [
                &b"GET / HTTP/1.1\r\n\r\n"[..],
                &[0xff; 4096],
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                b"",
            ]
            .into_iter()
            .map(|garbage| {
                let mut stream = TcpStream::connect_timeout(&addr, Duration::from_secs(3))?;
                stream.set_read_timeout(Some(Duration::from_secs(10)))?;
                stream.write_all(garbage)?;
                stream.shutdown(std::net::Shutdown::Write)?;
                let mut answer = Vec::new();
                // A reset is as good an answer as an alert.
                Ok(stream.read_to_end(&mut answer).unwrap_or(0))
            })
            .collect()
        })??;
    assert!(answers.iter().all(|len| *len < 64), "{answers:?}");
    manager.weft_ok(&["network", "create", "still-here"])?;
    cluster.down()
}
