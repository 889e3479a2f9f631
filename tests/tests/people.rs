//! People who use a cluster from their own machines.

use anyhow::Context;
use anyhow::ensure;
use serde_json::Value;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use weft_rig::Host;
use weft_rig::contract;
use weft_tests::CEILING;
use weft_tests::Cluster;
use weft_tests::weft_binary;

/// A person's machine: a host that is no member, and a directory for her contexts.
struct Desk<'a> {
    host: &'a Host,
    config: tempfile::TempDir,
}

impl Desk<'_> {
    fn command(&self, args: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(weft_binary()?);
        command
            .args(args)
            .env("WEFT_CONFIG", self.config.path())
            .env_remove("WEFT_SOCKET")
            .env_remove("WEFT_CONTEXT")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(command)
    }

    fn start(&self, args: &[&str]) -> anyhow::Result<Child> {
        self.spawn(self.command(args)?)
    }

    fn spawn(&self, mut command: Command) -> anyhow::Result<Child> {
        Ok(self.host.netns().run(move || command.spawn())??)
    }

    /// Exit and both texts.
    fn weft(&self, args: &[&str]) -> anyhow::Result<(bool, String, String)> {
        let output = self.start(args)?.wait_with_output()?;
        Ok((
            output.status.success(),
            String::from_utf8(output.stdout)?,
            String::from_utf8(output.stderr)?,
        ))
    }

    fn ok(&self, args: &[&str]) -> anyhow::Result<String> {
        let (done, out, err) = self.weft(args)?;
        ensure!(done, "weft {args:?}: {err}");
        Ok(out)
    }

    fn refused(&self, args: &[&str], words: &[&str]) -> anyhow::Result<()> {
        let (done, _, err) = self.weft(args)?;
        ensure!(!done, "weft {args:?} was accepted");
        for word in words {
            ensure!(
                err.contains(word),
                "weft {args:?} says {err:?}, without {word:?}"
            );
        }
        for inside in ["panicked", "Status {", "transport error"] {
            ensure!(!err.contains(inside), "weft {args:?} says {err:?}");
        }
        Ok(())
    }
}

/// Makes a user on a manager, and hands her bundle over.
fn hired(cluster: &Cluster, desk: &Desk<'_>, name: &str, words: &[&str]) -> anyhow::Result<()> {
    let out = tempfile::tempdir()?;
    let file = out.path().join("bundle.weft");
    let path = file.to_str().context("a path")?;
    let create = [&["user", "create", name, "--out", path], words].concat();
    cluster.founder().weft_ok(&create)?;
    ensure!(mode(&file)? == 0o600, "others can read the bundle");
    desk.ok(&["context", "import", path, "--name", name])?;
    Ok(())
}

fn mode(path: &Path) -> anyhow::Result<u32> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o777)
}

/// Removed: what is open is cut, and nothing more is let in.
fn removal_cuts_what_is_open(cluster: &Cluster, desk: &Desk<'_>) -> anyhow::Result<()> {
    let manager = cluster.founder();
    let told = desk.config.path().join("events");
    let mut command = desk.command(&["--context", "otto", "events"])?;
    command.stdout(std::fs::File::create(&told)?);
    let mut events = desk.spawn(command)?;
    let mut turn = 0;
    // Only what happens after it began is told, so it happens until it is.
    let begun = cluster.rig.wait_for("the events of a user", CEILING, || {
        turn += 1;
        let name = format!("marker-{turn}");
        manager.weft_ok(&["network", "create", &name]).ok()?;
        let told = std::fs::read_to_string(&told).ok()?;
        told.contains("marker-").then_some(())
    });
    if begun.is_err() {
        events.kill()?;
    }
    begun?;
    manager.weft_ok(&["user", "rm", "otto"])?;
    let ended = cluster.rig.wait_for("the events to be cut", CEILING, || {
        events.try_wait().ok().flatten()
    });
    if ended.is_err() {
        events.kill()?;
    }
    let cut = events.wait_with_output()?;
    ended?;
    assert!(!cut.status.success());
    let said = String::from_utf8(cut.stderr)?;
    assert!(said.contains("otto") && said.contains("removed"), "{said}");
    desk.refused(&["--context", "otto", "node", "ls"], &["otto", "removed"])?;
    Ok(())
}

#[test]
fn a_person_works_from_her_own_machine_as_far_as_her_role_goes() -> anyhow::Result<()> {
    let cluster = Cluster::start("people", 3, 0)?;
    let manager = cluster.founder();
    let desk = Desk {
        host: &cluster.client,
        config: tempfile::tempdir()?,
    };
    hired(&cluster, &desk, "vera", &["--role", "viewer"])?;
    hired(&cluster, &desk, "otto", &["--role", "operator"])?;
    hired(&cluster, &desk, "ada", &["--role", "admin", "--ttl", "1h"])?;
    hired(
        &cluster,
        &desk,
        "carol",
        &["--role", "operator", "--stack", "shop"],
    )?;

    roles_hold(&desk)?;

    // One context without saying so, also when the first manager is gone.
    desk.ok(&["context", "use", "ada"])?;
    desk.ok(&["user", "renew"])?;
    let users = desk.ok(&["user", "ls", "-q"])?;
    assert_eq!(
        users.lines().collect::<Vec<_>>(),
        ["ada", "carol", "otto", "vera"]
    );
    let audit = desk.ok(&["audit", "--actor", "user/otto"])?;
    assert!(
        audit.contains("user/otto") && audit.contains("created service web"),
        "{audit}"
    );
    desk.refused(&["--context", "nobody", "node", "ls"], &["weft context ls"])?;

    removal_cuts_what_is_open(&cluster, &desk)?;
    let audit = manager.weft_json(&["audit", "--format", "json"])?;
    let told = |text: &str| {
        let rows = contract::rows(&audit);
        rows.iter().any(|row| row["summary"].as_str() == Some(text))
    };
    for text in [
        "founded the cluster, created node n1",
        "created node n2",
        "created user otto",
        "removed user otto",
    ] {
        assert!(told(text), "{text:?} is not in {audit}");
    }
    cluster.down()
}

/// What each may do, and what she hears about the rest.
fn roles_hold(desk: &Desk) -> anyhow::Result<()> {
    let nodes: Value = serde_json::from_str(&desk.ok(&[
        "--context",
        "vera",
        "node",
        "ls",
        "--format",
        "json",
    ])?)?;
    assert_eq!(contract::ready_nodes(&nodes), 3);
    let create = [
        "service", "create", "-d", "--name", "web", "--", "sleep", "1000",
    ];
    let of = |context| [&["--context", context], &create[..]].concat();
    desk.refused(&of("vera"), &["role viewer", "operator or admin"])?;
    desk.ok(&of("otto"))?;
    desk.refused(
        &["--context", "otto", "node", "demote", "n2"],
        &["only admins"],
    )?;
    desk.refused(
        &["--context", "otto", "cluster", "join-token", "worker"],
        &["ask an admin"],
    )?;
    desk.refused(
        &[
            "--context",
            "otto",
            "user",
            "create",
            "eve",
            "--role",
            "admin",
            "--out",
            "/tmp",
        ],
        &["ask an admin"],
    )?;
    desk.ok(&["--context", "ada", "cluster", "join-token", "worker", "-q"])?;
    desk.refused(
        &["--context", "ada", "cluster", "init"],
        &["on the node itself"],
    )?;
    desk.refused(&of("carol"), &["weft.stack=shop"])?;
    desk.refused(&["--context", "carol", "service", "rm", "web"], &["web"])?;
    desk.ok(&[
        "--context",
        "carol",
        "service",
        "create",
        "-d",
        "--name",
        "shop-web",
        "--label",
        "weft.stack=shop",
        "--",
        "sleep",
        "1000",
    ])?;
    Ok(())
}
