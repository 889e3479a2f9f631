//! What a thief reads on the disks of a manager and of a worker: every byte of every file is looked
//! at.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use weft_rig::Host;
use weft_tests::CEILING;
use weft_tests::Cluster;

/// In names, labels, environments and hosts of everything that is made.
const CANARY: &str = "kanarienvogel";
/// Text that long is not found in sealed bytes by accident.
const TEXT: usize = 24;

struct File {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl File {
    fn has(&self, text: &str) -> bool {
        let windows = self.bytes.windows(text.len());
        windows
            .into_iter()
            .any(|at| at.eq_ignore_ascii_case(text.as_bytes()))
    }

    fn is(&self, end: &str) -> bool {
        self.path.to_string_lossy().ends_with(end)
    }

    /// What `strings` would print.
    fn texts(&self) -> Vec<String> {
        self.bytes
            .split(|byte| !(b' '..=b'~').contains(byte))
            .filter(|run| run.len() >= TEXT)
            .map(|run| String::from_utf8_lossy(run).into_owned())
            .collect()
    }
}

/// All files, links not followed: what they lead to outside is not on this disk.
fn files(dir: &Path) -> anyhow::Result<Vec<File>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let kind = fs::symlink_metadata(&path)?.file_type();
        if kind.is_dir() {
            found.extend(files(&path)?);
        } else if kind.is_file() {
            let bytes = fs::read(&path)?;
            found.push(File { path, bytes });
        }
    }
    Ok(found)
}

/// A cluster of one manager and one worker with a canary wherever people can put one.
fn with_canaries(name: &str, options: &[&str]) -> anyhow::Result<Cluster> {
    let cluster = Cluster::start_with(name, 1, 1, options)?;
    let founder = cluster.founder();
    let net = format!("{CANARY}-net");
    founder.weft_ok(&["network", "create", &net])?;
    for node in ["n1", "n2"] {
        let label = format!("{CANARY}={CANARY}");
        founder.weft_ok(&["node", "update", "--label-add", &label, node])?;
    }
    let env = format!("PASSWORD={CANARY}");
    founder.weft_ok(&[
        "service",
        "create",
        "--name",
        CANARY,
        "--replicas",
        "4",
        "--network",
        &net,
        "--env",
        &env,
        "--publish",
        "8000:8000",
        "--",
        "weft",
        "whoami",
    ])?;
    cluster.wait_running(CANARY, 4)?;
    cluster.wait_answers(cluster.nodes(), 8000)?;
    Ok(cluster)
}

/// Names, tokens and keys are nowhere but in the files that `keys` names.
fn check(host: &Host, cluster: &str, secrets: &[&str], keys: &[&str]) -> anyhow::Result<()> {
    let all = files(&host.state_dir())?;
    assert!(all.len() > 3, "there is something to look at");
    for file in &all {
        let path = file.path.display();
        if keys.iter().any(|end| file.is(end)) {
            continue;
        }
        assert!(!file.has(CANARY), "{path} names what people named");
        for secret in ["WFTKN_", "WFLK_", "PRIVATE KEY"].iter().chain(secrets) {
            assert!(!file.has(secret), "{path} holds a secret: {secret:.6}");
        }
        if file.is(".pb") || path.to_string().contains("/raft/") {
            for text in file.texts() {
                assert!(text.contains(cluster), "{path} holds text: {text}");
            }
        }
    }
    Ok(())
}

fn cluster_id(host: &Host) -> anyhow::Result<String> {
    let info = host.weft_json(&["cluster", "info", "--format", "json"])?;
    Ok(info["cluster_id"].as_str().unwrap_or("?").to_owned())
}

#[test]
fn a_stolen_disk_names_nothing_and_with_autolock_nothing_on_it_opens_it() -> anyhow::Result<()> {
    for (name, options) in [("stolen", &[][..]), ("stolen-lock", &["--autolock"][..])] {
        let locked = !options.is_empty();
        let cluster = with_canaries(name, options)?;
        let (manager, worker) = (cluster.founder(), &cluster.workers[0]);
        let id = cluster_id(manager)?;
        let token = manager.weft_ok(&["cluster", "join-token", "worker", "--quiet"])?;
        let secret = token.trim().rsplit('_').next().unwrap_or("?").to_owned();
        for host in cluster.nodes() {
            host.stop_daemon()?;
        }
        let open = ["raft.key", "agent.key", "node.key"];
        let keys: &[&str] = if locked { &[] } else { &open };
        check(manager, &id, &[&secret], keys)?;
        // A worker's key opens what that worker may know anyway.
        check(worker, &id, &[&secret], &["agent.key", "node.key"])?;
        let names = files(&manager.state_dir())?;
        let has = |end: &str| names.iter().any(|file| file.is(end));
        assert_eq!(has("agent.key"), !locked);
        assert_eq!(has("node.key"), !locked);
        assert!(has("raft.key"));
        assert!(
            !files(&worker.state_dir())?
                .iter()
                .any(|file| file.is("raft.key")),
            "a worker has no keys of managers"
        );
        if !locked {
            for host in cluster.nodes() {
                host.start_daemon()?;
                host.wait_ready(CEILING)?;
            }
            cluster.wait_for_nodes(2)?;
            cluster.wait_running(CANARY, 4)?;
        }
        cluster.down()?;
    }
    Ok(())
}
