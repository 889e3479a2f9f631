//! Managers of Docker's Swarm mode out of Debian: its control plane only, no containers.

use crate::load::Ask;
use crate::load::Client;
use crate::peers::CEILING;
use crate::peers::http::Http;
use anyhow::Context;
use anyhow::ensure;
use serde_json::Value;
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use tokio::time::Instant;
use tokio::time::sleep;
use tonic::Status;
use weft_rig::Host;
use weft_rig::Rig;

/// Where a daemon finds the control groups it insists on: the older kind lacks one that it wants on
/// some machines, although no container is ever started here.
const IN_OWN_MOUNTS: &str =
    "mount --make-rprivate / && mount -t cgroup2 none /sys/fs/cgroup && exec dockerd \"$@\"";

/// A group of managers.
pub(crate) struct Swarm {
    hosts: Vec<Host>,
    daemons: Vec<Child>,
    size: usize,
}

/// A caller that creates one config after the other: a transaction of one object, as ours are.
pub(crate) struct SwarmClient {
    http: Http,
    size: usize,
}

impl Swarm {
    /// A fresh swarm of `count` managers, whose callers write objects of `size` bytes.
    pub(crate) async fn start(rig: &Rig, count: usize, size: usize) -> anyhow::Result<Swarm> {
        let host = |n| rig.host(&format!("swarm{n}"));
        let hosts: Vec<Host> = (1..=count).map(host).collect::<Result<_, _>>()?;
        let mut swarm = Swarm {
            hosts,
            daemons: Vec::new(),
            size,
        };
        for host in &swarm.hosts {
            swarm.daemons.push(spawn(host)?);
        }
        for host in &swarm.hosts {
            wait_ready(host).await?;
        }
        let (first, others) = swarm.hosts.split_first().context("no manager")?;
        let listen = |host: &Host| format!("{}:2377", host.addr());
        let init = json!({"ListenAddr": listen(first), "AdvertiseAddr": listen(first)});
        ask(first, "POST", "/swarm/init", &init).await?;
        let info = ask(first, "GET", "/swarm", &Value::Null).await?;
        for host in others {
            let join = json!({
                "ListenAddr": listen(host),
                "AdvertiseAddr": listen(host),
                "RemoteAddrs": [listen(first)],
                "JoinToken": info["JoinTokens"]["Manager"],
            });
            ask(host, "POST", "/swarm/join", &join).await?;
        }
        Ok(swarm)
    }

    /// So many callers, each with a connection of its own, spread over all managers.
    pub(crate) async fn clients(&self, count: usize) -> anyhow::Result<Vec<SwarmClient>> {
        let mut clients = Vec::with_capacity(count);
        for number in 0..count {
            let host = self.hosts.get(number % self.hosts.len());
            clients.push(SwarmClient {
                http: Http::connect(&socket(host.context("no manager")?)).await?,
                size: self.size,
            });
        }
        Ok(clients)
    }

    /// The process of the first manager's daemon.
    pub(crate) fn pid(&self) -> anyhow::Result<i32> {
        let daemon = self.daemons.first().context("no daemon")?;
        Ok(daemon.id().try_into()?)
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            // The rig kills what it started; this only collects the corpses.
            drop(daemon.kill().and_then(|()| daemon.wait()));
        }
    }
}

fn socket(host: &Host) -> PathBuf {
    host.run_dir().join("docker.sock")
}

fn spawn(host: &Host) -> anyhow::Result<Child> {
    let (state, run) = (host.state_dir(), host.run_dir());
    for dir in [&state, &run] {
        fs::create_dir_all(dir)?;
    }
    let log = fs::File::create(state.join("log"))?;
    let option = |name: &str, value: PathBuf| format!("--{name}={}", value.display());
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", IN_OWN_MOUNTS, "dockerd"])
        .arg(option("data-root", state.join("data")))
        .arg(option("exec-root", run.join("exec")))
        .arg(option("pidfile", run.join("docker.pid")))
        .arg(format!("--host=unix://{}", socket(host).display()))
        .args(["--iptables=false", "--ip6tables=false", "--bridge=none"])
        .args(["--storage-driver=vfs", "--log-level=error"])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    host.spawn(&mut command)?.context("start dockerd")
}

async fn ask(host: &Host, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
    Http::connect(&socket(host))
        .await?
        .ask(method, path, body)
        .await
}

async fn wait_ready(host: &Host) -> anyhow::Result<()> {
    let deadline = Instant::now() + CEILING;
    while ask(host, "GET", "/_ping", &Value::Null).await.is_err() {
        let log = host.state_dir().join("log");
        let said = || fs::read_to_string(&log).unwrap_or_default();
        let failed = said().contains("failed to start daemon");
        ensure!(
            !failed && Instant::now() < deadline,
            "dockerd does not run here: {}",
            said().lines().last().unwrap_or_default()
        );
        sleep(std::time::Duration::from_millis(100)).await;
    }
    Ok(())
}

impl Client for SwarmClient {
    async fn ask(&mut self, ask: Ask) -> Result<(), Status> {
        let answer = match ask {
            Ask::Write => {
                let body = json!({
                    "Name": format!("bench-{:032x}", rand::random::<u128>()),
                    // Base64: three bytes of data for four of these.
                    "Data": "QUFB".repeat(self.size / 3),
                });
                self.http.ask("POST", "/configs/create", &body).await
            }
            Ask::Read => self.http.ask("GET", "/swarm", &Value::Null).await,
        };
        answer
            .map(|_| ())
            .map_err(|error| Status::unknown(format!("{error:#}")))
    }
}
