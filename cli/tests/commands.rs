//! The program itself, run against a fake daemon on a socket of its own: answers, error texts,
//! exit codes, and the exact words the rig says.
#![expect(clippy::unwrap_used, reason = "tests")]

mod fake;

use fake::Fake;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use weft_proto::wire;
use weft_rig::contract;

/// What a run of the program left behind.
#[derive(Debug)]
struct Run {
    code: i32,
    out: String,
    err: String,
}

fn weft(socket: &Path, args: &[impl AsRef<std::ffi::OsStr>]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_weft"))
        .env_remove("WEFT_SOCKET")
        .env_remove("WEFT_CONTEXT")
        .args(contract::socket_option(socket))
        .args(args)
        .output()
        .unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn ok(fake: &Fake, args: &[impl AsRef<std::ffi::OsStr>]) -> String {
    let run = weft(&fake.socket(), args);
    assert_eq!(run.code, 0, "{run:?}");
    run.out
}

fn json(fake: &Fake, args: &[impl AsRef<std::ffi::OsStr>]) -> Value {
    serde_json::from_str(&ok(fake, args)).unwrap()
}

fn refused(fake: &Fake, line: &str) -> String {
    let run = weft(&fake.socket(), &line.split(' ').collect::<Vec<_>>());
    assert_eq!(run.code, 1, "{run:?}");
    run.err
}

#[test]
fn every_word_of_the_rig_is_understood() {
    let fake = Fake::start();
    ok(&fake, &contract::init("192.0.2.1"));
    ok(&fake, &contract::join("tok", "192.0.2.1", "192.0.2.2"));
    {
        let memory = fake.memory.lock().unwrap();
        let init = memory.init.as_ref().unwrap();
        assert_eq!(init.advertise_addr, "192.0.2.1");
        let join = memory.join.as_ref().unwrap();
        assert_eq!(
            (&*join.token, &*join.remote_addr),
            ("tok", "192.0.2.1:2377")
        );
        assert_eq!(join.advertise_addr, "192.0.2.2");
    }
    let token = ok(&fake, &contract::join_token("manager"));
    assert_eq!(token, "token-NODE_ROLE_MANAGER-false\n");
    assert_eq!(contract::ready_nodes(&json(&fake, &contract::node_ls())), 1);

    ok(&fake, &contract::network_create("demo"));
    let order = contract::ServiceOrder {
        name: "web",
        replicas: 3,
        network: "demo",
        publish: Some("8080:80"),
        command: ["nginx", "-g", "daemon off;"].map(str::to_owned).to_vec(),
    };
    ok(&fake, &contract::service_create(&order));
    let tasks = json(&fake, &contract::service_ps("web"));
    assert_eq!(contract::running_tasks(&tasks), 3);
    assert!(contract::task_id(&tasks, "web.2").is_some());
    let services = json(&fake, &contract::service_ls());
    assert_eq!(contract::rows(&services).len(), 1);
    ok(&fake, &contract::service_rm("web"));
    assert_eq!(
        contract::rows(&json(&fake, &contract::service_ls())).len(),
        0
    );
}

#[test]
fn init_says_how_others_join_and_works_without_cluster() {
    let fake = Fake::start();
    let text = ok(&fake, &["init", "--default-addr-pool", "10.20.0.0/16"]);
    assert!(
        text.contains("weft cluster join --token secret-token 192.0.2.1:2377"),
        "{text}"
    );
    let pools = fake
        .memory
        .lock()
        .unwrap()
        .init
        .clone()
        .unwrap()
        .address_pools;
    assert_eq!(pools, ["10.20.0.0/16"]);
    assert_eq!(
        refused(&fake, "init"),
        "weft: this node is in a cluster already\n"
    );
    assert!(refused(&fake, "leave").contains("use --force"));
    ok(&fake, &["leave", "--force"]);
    let text = ok(&fake, &["cluster", "join-token", "worker", "--rotate"]);
    assert!(
        text.contains("join --token token-NODE_ROLE_WORKER-true"),
        "{text}"
    );
}

#[test]
fn a_token_for_a_purpose_is_made_listed_and_removed() {
    let fake = Fake::start();
    let text = ok(
        &fake,
        &[
            "cluster",
            "join-token",
            "create",
            "--role",
            "manager",
            "--ttl",
            "1h",
            "--uses",
            "2",
            "--label",
            "zone=a",
            "--approve",
            "--name",
            "rack 7",
        ],
    );
    assert!(
        text.contains("join --token told-once 192.0.2.1:2377"),
        "{text}"
    );
    assert!(text.contains("shown this once"), "{text}");
    // The short form, and only the token.
    let short = ["cluster", "join-token", "worker", "--ttl", "30m", "-q"];
    assert_eq!(ok(&fake, &short), "told-once\n");
    let made = fake.memory.lock().unwrap().tokens.clone();
    assert_eq!(
        (made[0].role(), made[1].role()),
        (wire::NodeRole::Manager, wire::NodeRole::Worker)
    );
    assert_eq!((made[0].uses_left, made[1].uses_left), (Some(2), None));
    assert!(made[0].approve && made[0].name == "rack 7" && made[0].labels[0].key == "zone");
    let rows = json(&fake, &["cluster", "join-token", "ls", "--format", "json"]);
    assert_eq!(rows[0]["name"], "rack 7");
    assert!(!rows.to_string().contains("sha256"), "{rows}");
    let ids = ok(&fake, &["cluster", "join-token", "ls", "-q"]);
    let ids: Vec<&str> = ids.lines().collect();
    assert_eq!(ids, [made[0].id.as_str(), made[1].id.as_str()]);
    ok(&fake, &["cluster", "join-token", "rm", ids[0], ids[1]]);
    assert!(ok(&fake, &["cluster", "join-token", "ls"]).contains("standing token"));
    assert_eq!(
        json(&fake, &["cluster", "join-token", "ls", "--format", "json"]),
        Value::Array(Vec::new())
    );
}

#[test]
fn who_waits_to_be_let_in_reads_for_what_and_asks_again() {
    let fake = Fake::start();
    fake.memory.lock().unwrap().waits = 2;
    let run = weft(&fake.socket(), &["join", "--token", "tok", "192.0.2.1"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(
        run.err.matches("waits to be let into the cluster").count(),
        1,
        "{run:?}"
    );
    assert!(run.err.contains("weft node accept"), "{run:?}");
    assert!(run.out.contains("joined the cluster"), "{run:?}");
    assert_eq!(ok(&fake, &["node", "accept", "n7"]), "n7\n");
    assert_eq!(ok(&fake, &["node", "reject", "n8"]), "n8\n");
    let decided = fake.memory.lock().unwrap().decided.clone();
    assert_eq!(decided, [("n7".to_owned(), true), ("n8".to_owned(), false)]);
}

#[test]
fn a_service_lives_its_life() {
    let fake = Fake::start();
    ok(&fake, &["network", "create", "net"]);
    let create = [
        "service",
        "create",
        "--name",
        "web",
        "--network",
        "net",
        "sleep",
        "9",
    ];
    let run = weft(&fake.socket(), &create);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(
        run.out.trim().len(),
        25,
        "the identifier, and nothing else: {run:?}"
    );
    assert!(run.err.contains("web: 1 of 1 tasks run"), "{run:?}");
    assert_eq!(
        ok(&fake, &["service", "scale", "web=4"]),
        "web scaled to 4\n"
    );
    ok(
        &fake,
        &[
            "service",
            "update",
            "web",
            "--env-add",
            "A=1",
            "--network-rm",
            "net",
            "-d",
        ],
    );
    let inspect = json(&fake, &["service", "inspect", "web"]);
    assert_eq!(inspect[0]["spec"]["task"]["env"][0], "A=1");
    assert_eq!(
        inspect[0]["spec"]["task"]["networks"],
        serde_json::json!([])
    );
    let table = ok(&fake, &["service", "ls"]);
    assert!(table.contains("4/4"), "{table}");
    assert_eq!(
        ok(&fake, &["service", "ps", "-q", "web"]).lines().count(),
        4
    );
    assert!(ok(&fake, &["service", "inspect", "--format", "table", "web"]).contains("sleep 9"));
    assert_eq!(ok(&fake, &["node", "ps"]).lines().count(), 5);
    let logs = weft(&fake.socket(), &["service", "logs", "web"]);
    assert_eq!(logs.out, "web.1@n1 | hello\n");
    assert_eq!(logs.err, "web.1@n1 | oh no\n");
    assert_eq!(ok(&fake, &["service", "rm", "web"]), "web\n");
    ok(&fake, &["network", "rm", "net"]);
}

#[test]
fn a_service_that_cannot_work_is_reported_with_its_error() {
    let fake = Fake::start();
    let err = refused(&fake, "service create --name bad -- fail");
    assert!(
        err.contains("bad.1 ended 3 times: cannot start fail: no such file"),
        "{err}"
    );
    assert!(err.contains("weft service logs bad"), "{err}");
    let err = refused(
        &fake,
        "service create --name slow --wait-timeout 500ms -- wait",
    );
    assert!(
        err.contains("slow.1: no node has 1 TiB of memory free"),
        "{err}"
    );
    assert!(err.contains("not as it was asked for after 500ms"), "{err}");
    let table = ok(&fake, &["service", "ps", "slow"]);
    assert!(table.contains("no node has 1 TiB"), "{table}");
    ok(
        &fake,
        &["service", "create", "-d", "--name", "later", "--", "wait"],
    );
}

#[test]
fn what_servers_refuse_is_shown_in_their_words_only() {
    let fake = Fake::start();
    assert_eq!(
        refused(&fake, "service create --network nope x"),
        "weft: there is no network \"nope\"\n"
    );
    assert!(refused(&fake, "service ps ghost").contains("there is no service \"ghost\""));
    assert!(refused(&fake, "node inspect n9").contains("there is no node \"n9\""));
    assert!(
        refused(&fake, "network create --opt encrypted=maybe n").contains("neither yes nor no")
    );
    assert!(fake.memory.lock().unwrap().networks.is_empty());
    fake.memory.lock().unwrap().worker = true;
    assert!(refused(&fake, "node ls").contains("there is one at 192.0.2.9:2377"));
    let info = ok(&fake, &["cluster", "info"]);
    assert!(
        info.contains("worker") && info.contains("192.0.2.9:2377"),
        "{info}"
    );
}

#[test]
fn command_lines_that_make_no_sense_end_with_code_two() {
    let nowhere = Path::new("/nonexistent/weft.sock");
    for line in [
        "",
        "frobnicate",
        "node ls --bogus",
        "service create --replicas -1 x",
        "service create --name Not_A_Label x",
        "network create --subnet 10.0.0.0/33 n",
        "cluster join 192.0.2.1:2377",
        "cluster join-token boss",
        "cluster join-token",
        "cluster join-token worker --rotate --ttl 1h",
        "cluster join-token worker --uses 0",
        "cluster join-token worker --ttl 0",
        "cluster join-token create --ttl 1h",
        "node accept",
        "service scale web",
    ] {
        let run = weft(nowhere, &line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(run.code, 2, "{line}: {run:?}");
    }
}

#[test]
fn without_a_daemon_the_way_to_start_it_is_told() {
    let run = weft(Path::new("/nonexistent/weft.sock"), &["node", "ls"]);
    assert_eq!(run.code, 1);
    assert_eq!(
        run.err,
        "cannot reach the daemon at /nonexistent/weft.sock: there is no such socket; start it \
         with \"systemctl start weft\" or \"weft daemon\"\n"
    );
    assert!(
        weft(Path::new("/nonexistent"), &["version"])
            .out
            .contains("not running")
    );
}

#[test]
fn shells_get_a_completion_and_the_shim_is_not_for_people() {
    let nowhere = Path::new("/nonexistent");
    assert!(weft(nowhere, &["completion", "bash"]).out.contains("_weft"));
    let help = weft(nowhere, &["--help"]).out;
    assert!(
        !help.contains("shim") && !help.contains("task-init"),
        "{help}"
    );
    let shim = Command::new(env!("CARGO_BIN_EXE_weft"))
        .arg("shim")
        .output()
        .unwrap();
    assert_eq!(shim.status.code(), Some(2));
}

#[test]
fn a_backup_that_came_in_part_becomes_no_file() {
    let fake = Fake::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup");
    let said = refused(&fake, &format!("cluster backup {}", file.display()));
    assert!(said.contains("cut short"), "{said}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    std::fs::write(&file, "precious").unwrap();
    let said = refused(&fake, &format!("cluster backup {}", file.display()));
    assert!(said.contains("is there already"), "{said}");
    let said = refused(&fake, &format!("cluster restore {}", file.display()));
    assert!(said.contains("no backup of a cluster"), "{said}");
}

#[test]
fn a_node_says_where_it_moved_to() {
    let fake = Fake::start();
    let args = [
        "cluster",
        "update-addr",
        "--advertise-addr",
        "192.0.2.9:2377",
    ];
    assert_eq!(
        ok(&fake, &args),
        "This node is reached at 192.0.2.9:2377, and for traffic of tasks at 192.0.2.1.\n"
    );
    let json = json(&fake, &[&args[..], &["--format", "json"]].concat());
    assert_eq!(json["advertise_addr"], "192.0.2.9:2377");
}
