//! The rig against real namespaces, with a stand-in for the product.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use weft_rig::DaemonState;
use weft_rig::Host;
use weft_rig::Rig;
use weft_rig::RigError;
use weft_rig::contract;
use weft_rig::leftovers::leftovers;
use weft_rig::poll;
use weft_rig::process;
use weft_rig::process::ProcessId;

const CEILING: Duration = Duration::from_secs(20);

fn rig(name: &str) -> Rig {
    let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake-weft.sh");
    Rig::new(name, &fake).unwrap()
}

fn listen(host: &Host) -> (TcpListener, SocketAddr) {
    let listener = host
        .netns()
        .run(|| TcpListener::bind((host.addr(), 0)))
        .unwrap()
        .unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

fn connect(host: &Host, to: SocketAddr) -> io::Result<TcpStream> {
    host.netns()
        .run(|| TcpStream::connect_timeout(&to, Duration::from_millis(500)))
        .unwrap()
}

/// Living processes with this rig's cgroup, marker or namespaces.
fn living(host: &Host, rig: &Rig) -> Vec<ProcessId> {
    let netns = host.netns().inode().unwrap();
    let tag = rig.layout().tag;
    let owner = process::Owner {
        marker: format!("{tag}/{}", host.name()),
        netns: [netns].into(),
        cgroup_tag: format!("{tag}-{}", host.name()),
        state_dirs: Vec::new(),
    };
    process::owned(&owner)
        .unwrap()
        .iter()
        .map(|process| process.id)
        .collect()
}

#[test]
fn a_cut_cable_separates_two_hosts_until_it_is_healed() {
    let rig = rig("cut");
    let (n1, n2) = (rig.host("n1").unwrap(), rig.host("n2").unwrap());
    assert_eq!(n1.addr(), Ipv4Addr::new(10, 77, 0, 11));
    assert_eq!(n2.addr(), Ipv4Addr::new(10, 77, 0, 12));
    let (_listener, addr) = listen(&n2);
    rig.wait_for("n2 answers n1", CEILING, || connect(&n1, addr).ok())
        .unwrap();

    n2.cut().unwrap();
    assert!(
        connect(&n1, addr).is_err(),
        "a packet went through a cut cable"
    );

    n2.heal().unwrap();
    rig.wait_for("n2 answers n1 again", CEILING, || connect(&n1, addr).ok())
        .unwrap();
    let layout = rig.layout();
    rig.down().unwrap();
    assert_eq!(leftovers(&layout).unwrap(), [] as [String; 0]);
}

#[test]
fn the_client_reaches_hosts_and_has_an_address_of_its_own() {
    let rig = rig("client");
    let (n1, client) = (rig.host("n1").unwrap(), rig.client().unwrap());
    let (listener, addr) = listen(&n1);
    rig.wait_for("n1 answers the client", CEILING, || {
        connect(&client, addr).ok()
    })
    .unwrap();
    let (_, from) = listener.accept().unwrap();
    assert_eq!(from.ip(), Ipv4Addr::new(10, 77, 0, 200));
    assert_eq!(rig.host("n2").unwrap().addr(), Ipv4Addr::new(10, 77, 0, 12));
}

#[test]
fn rigs_side_by_side_with_equal_addresses_do_not_see_each_other() {
    let (one, two) = (rig("same"), rig("same"));
    let (a, b) = (one.host("n1").unwrap(), one.host("n2").unwrap());
    let (c, d) = (two.host("n1").unwrap(), two.host("n2").unwrap());
    assert_eq!((a.addr(), b.addr()), (c.addr(), d.addr()));
    let (_listener, addr) = listen(&b);
    one.wait_for("b answers a", CEILING, || connect(&a, addr).ok())
        .unwrap();
    assert!(connect(&c, addr).is_err(), "the other rig's host answered");
    drop(two);
    assert!(
        connect(&a, addr).is_ok(),
        "removing one rig disturbed the other"
    );
}

#[test]
fn kill_all_ends_the_daemon_and_tasks_that_left_its_namespaces() {
    let rig = rig("killall");
    let (n1, n2) = (rig.host("n1").unwrap(), rig.host("n2").unwrap());
    n1.start_daemon().unwrap();
    let neighbour = n2.start_daemon().unwrap();
    for host in [&n1, &n2] {
        // the shell, its own sleep, the plain child and the task in its cgroup
        rig.wait_for("the task left", CEILING, || {
            (living(host, &rig).len() >= 4).then_some(())
        })
        .unwrap();
    }
    n1.kill_all().unwrap();
    assert_eq!(living(&n1, &rig), []);
    assert_eq!(n1.daemon(), DaemonState::Absent);
    assert!(
        neighbour.is_alive(),
        "the neighbour's daemon was killed too"
    );
    assert!(living(&n2, &rig).len() >= 3);
    let layout = rig.layout();
    drop(rig);
    assert_eq!(leftovers(&layout).unwrap(), [] as [String; 0]);
}

#[test]
fn a_stopped_daemon_leaves_its_tasks_and_can_be_started_again() {
    let rig = rig("stop");
    let n1 = rig.host("n1").unwrap();
    let first = n1.start_daemon().unwrap();
    assert!(matches!(
        n1.start_daemon(),
        Err(RigError::DaemonRuns { .. })
    ));
    rig.wait_for("it logs", CEILING, || {
        n1.log().contains("fake daemon up").then_some(())
    })
    .unwrap();
    n1.stop_daemon().unwrap();
    assert!(!first.is_alive());
    assert_eq!(n1.daemon(), DaemonState::Absent);
    assert!(!living(&n1, &rig).is_empty(), "tasks died with the daemon");

    let second = n1.start_daemon().unwrap();
    assert_eq!(n1.daemon(), DaemonState::Running(second));
    n1.kill_daemon().unwrap();
    assert!(!second.is_alive());
}

#[test]
fn a_daemon_that_never_answers_is_reported_with_its_log() {
    let rig = rig("mute");
    let n1 = rig.host("n1").unwrap();
    n1.start_daemon().unwrap();
    rig.wait_for("it logs", CEILING, || n1.log().contains("up").then_some(()))
        .unwrap();
    let error = n1.wait_ready(Duration::from_millis(200)).unwrap_err();
    assert!(error.to_string().contains("fake daemon up"), "{error}");
    n1.kill_daemon().unwrap();
    let error = n1.wait_ready(CEILING).unwrap_err();
    assert!(matches!(error, RigError::DaemonEnded { .. }), "{error}");
}

#[test]
fn commands_run_under_the_hosts_name_and_report_failures_and_hangs() {
    let rig = rig("cmd");
    let n1 = rig.host("n1").unwrap();
    assert_eq!(n1.weft_ok(&["hostname"]).unwrap().trim(), "n1");
    let answer = n1.weft_json(&["json"]).unwrap();
    assert_eq!(contract::running_tasks(&answer), 1);
    let error = n1.weft_ok(&["fail", "nonsense"]).unwrap_err().to_string();
    assert!(error.contains("refused: nonsense"), "{error}");
    assert!(matches!(
        n1.weft_json(&["hostname"]),
        Err(RigError::Json { .. })
    ));
    let mut hang = Command::new("sleep");
    hang.arg("1000");
    let hung = n1.run_within(Duration::from_millis(200), hang);
    assert!(matches!(hung, Err(RigError::TooSlow { .. })));
}

#[test]
fn names_that_do_not_fit_a_link_are_refused() {
    let rig = rig("names");
    for bad in ["", "N1", "a b", "wire", "../x", "thirteen-long"] {
        assert!(
            matches!(rig.host(bad), Err(RigError::BadName { .. })),
            "{bad:?} was accepted"
        );
    }
}

#[test]
fn a_waiter_that_gives_up_says_what_it_waited_for() {
    let rig = rig("wait");
    let error = rig
        .wait_for::<()>("pigs fly", Duration::ZERO, || None)
        .unwrap_err();
    assert!(error.to_string().contains("pigs fly"), "{error}");
}

/// Not a test of its own: the process that dies with a rig in
/// `a_rig_whose_maker_was_killed_is_swept`, which starts it with a file to write to.
#[test]
#[ignore = "started by a_rig_whose_maker_was_killed_is_swept in a process of its own"]
fn maker_that_waits_to_be_killed() {
    let rig = rig("crash");
    rig.host("n1").unwrap().start_daemon().unwrap();
    // The one argument after `--skip` is free text to the test harness.
    let out = std::env::args().next_back().unwrap();
    std::fs::write(&out, rig.layout().tag).unwrap();
    poll::until::<()>(Duration::from_secs(60), || None);
}

#[test]
fn a_rig_whose_maker_was_killed_is_swept() {
    let out = tempfile::NamedTempFile::new().unwrap();
    let mut maker = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "maker_that_waits_to_be_killed",
            "--nocapture",
            "--skip",
        ])
        .arg(out.path())
        .process_group(0)
        .spawn()
        .unwrap();
    let tag = poll::until(CEILING, || {
        let tag = std::fs::read_to_string(out.path()).ok()?;
        (!tag.is_empty()).then_some(tag)
    });
    maker.kill().unwrap();
    maker.wait().unwrap();
    let layout = weft_rig::layout::Layout::test(&tag.unwrap());
    // Another test's rig may have swept meanwhile; then there is nothing left to be found.
    poll::until(CEILING, || {
        weft_rig::teardown::sweep().unwrap();
        leftovers(&layout).unwrap().is_empty().then_some(())
    });
    assert_eq!(leftovers(&layout).unwrap(), [] as [String; 0]);
    assert!(!layout.run.exists());
}

#[test]
fn a_rig_opened_by_a_stranger_is_controlled_and_not_removed_by_dropping() {
    let rig = rig("open");
    let daemon = rig.host("n1").unwrap().start_daemon().unwrap();
    let stranger = Rig::open(&rig.layout().run).unwrap();
    let n1 = stranger.host("n1").unwrap();
    assert_eq!(n1.daemon(), DaemonState::Running(daemon));
    drop(stranger);
    assert!(daemon.is_alive());
    assert_eq!(
        Rig::open(Path::new("/run/weft-rig/none"))
            .unwrap_err()
            .to_string(),
        "no rig in /run/weft-rig/none"
    );
}

#[test]
fn a_program_enters_all_namespaces_of_a_task() {
    let rig = rig("enter");
    let n1 = rig.host("n1").unwrap();
    let mut task = Command::new("unshare");
    task.args([
        "-n",
        "-u",
        "-m",
        "-p",
        "-f",
        "--mount-proc",
        "sh",
        "-c",
        "hostname inside; exec sleep 1000",
    ]);
    let mut child = n1.spawn(&mut task).unwrap().unwrap();
    let id = i32::try_from(child.id()).unwrap();
    let inner = rig
        .wait_for("the task runs", CEILING, || {
            let all = process::scan().unwrap();
            let inner = all
                .iter()
                .find(|p| p.parent == id && p.args.first().is_some_and(|a| a == "sleep"))?;
            Some(inner.id.pid)
        })
        .unwrap();
    let mut look = Command::new("sh");
    look.args([
        "-c",
        "hostname; readlink /proc/self/ns/net; cat /proc/1/comm",
    ]);
    let out = tempfile::NamedTempFile::new().unwrap();
    look.stdout(out.reopen().unwrap());
    assert!(
        weft_rig::enter::spawn(inner, &mut look)
            .unwrap()
            .wait()
            .unwrap()
            .success()
    );
    let said = std::fs::read_to_string(out.path()).unwrap();
    let ns = std::fs::read_link(format!("/proc/{inner}/ns/net")).unwrap();
    assert_eq!(said, format!("inside\n{}\nsleep\n", ns.display()));
    rig.down().unwrap();
    child.wait().unwrap();
}
