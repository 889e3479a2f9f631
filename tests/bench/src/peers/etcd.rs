//! Three members of etcd 3.4 out of Debian.
//!
//! People reach them as they reach Weft here, through a socket without TLS; members talk to each
//! other with TLS, as Weft's do. Everything else is as etcd's own defaults are.

use crate::load::Ask;
use crate::load::Client;
use crate::peers::AT_ONCE;
use crate::peers::CEILING;
use crate::peers::Group;
use crate::peers::socket::connect;
use anyhow::Context;
use anyhow::bail;
use anyhow::ensure;
use futures::StreamExt;
use futures::TryStreamExt;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;
use tokio::time::Instant;
use tonic::Status;
use tonic::transport::Channel;
use weft_rig::Host;
use weft_rig::Rig;

#[allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    dead_code,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated: the .proto file carries the documentation"
)]
mod wire {
    tonic::include_proto!("etcdserverpb");
}

use wire::kv_client::KvClient;
use wire::maintenance_client::MaintenanceClient;

/// Name of the socket in a member's directory, in etcd's own way of writing it.
const SOCKET: &str = "client:0";
/// Between members.
const PEER_PORT: u16 = 2380;

/// A group of members.
pub(crate) struct Etcd {
    members: Vec<Member>,
    /// Bytes of one value.
    value: usize,
}

struct Member {
    host: Host,
    process: Mutex<Option<Child>>,
}

/// A caller that puts and gets one key of its own.
pub(crate) struct EtcdClient {
    kv: KvClient<Channel>,
    key: Vec<u8>,
    size: usize,
    turn: u8,
}

impl Etcd {
    /// A fresh group of `count` members, whose callers write values of `value` bytes.
    pub(crate) async fn start(rig: &Rig, count: usize, value: usize) -> anyhow::Result<Etcd> {
        let host = |n| rig.host(&format!("etcd{n}"));
        let hosts: Vec<Host> = (1..=count).map(host).collect::<Result<_, _>>()?;
        let members = hosts.into_iter().map(|host| Member {
            host,
            process: Mutex::new(None),
        });
        let etcd = Etcd {
            members: members.collect(),
            value,
        };
        for member in 0..count {
            etcd.spawn(member)?;
        }
        etcd.wait_ready().await?;
        Ok(etcd)
    }

    fn member(&self, member: usize) -> anyhow::Result<&Member> {
        self.members.get(member).context("no such member of etcd")
    }

    fn dir(&self, member: usize) -> anyhow::Result<PathBuf> {
        Ok(self.member(member)?.host.state_dir())
    }

    /// The process of a member.
    pub(crate) fn pid(&self, member: usize) -> anyhow::Result<i32> {
        let process = self.member(member)?.process.lock();
        let process = process.unwrap_or_else(PoisonError::into_inner);
        let child = process
            .as_ref()
            .context("this member of etcd is not running")?;
        Ok(child.id().try_into()?)
    }

    /// Puts the keys of clients `from` to `to`, `at_once` at a time, by way of the first member.
    pub(crate) async fn fill(&self, from: usize, to: usize, at_once: usize) -> anyhow::Result<()> {
        let channel = connect(&self.dir(0)?.join(SOCKET)).await?;
        let client = KvClient::new(channel);
        let size = self.value;
        let puts = (from..to).map(|number| {
            let mut client = EtcdClient {
                kv: client.clone(),
                key: format!("state/{number:08}").into_bytes(),
                size,
                turn: 0,
            };
            async move { client.ask(Ask::Write).await }
        });
        let done = futures::stream::iter(puts).buffer_unordered(at_once);
        Ok(done.try_collect().await?)
    }

    fn spawn(&self, member: usize) -> anyhow::Result<()> {
        let host = &self.member(member)?.host;
        let dir = self.dir(member)?;
        fs::create_dir_all(&dir)?;
        // A killed member leaves its socket behind, and the next one stumbles over it.
        match fs::remove_file(dir.join(SOCKET)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(dir.join("log"))?;
        let url = |host: &Host| format!("https://{}:{PEER_PORT}", host.addr());
        let all: Vec<String> = self
            .members
            .iter()
            .map(|m| format!("{}={}", m.host.name(), url(&m.host)))
            .collect();
        let mut command = Command::new("etcd");
        command
            .current_dir(&dir)
            .args(["--name", host.name(), "--data-dir", "data"])
            .args(["--listen-peer-urls", &url(host)])
            .args(["--initial-advertise-peer-urls", &url(host)])
            .args(["--peer-auto-tls", "--initial-cluster", &all.join(",")])
            .args(["--listen-client-urls", &format!("unix://{SOCKET}")])
            .args([
                "--advertise-client-urls",
                &format!("http://{}:2379", host.addr()),
            ])
            // Its limit of 2 GB would end a long run.
            .args(["--quota-backend-bytes", "8589934592"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = host
            .spawn(&mut command)?
            .context("start etcd: is it installed (deploy/install-deps.sh bench)?")?;
        let process = &self.member(member)?.process;
        *process.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        Ok(())
    }

    async fn status(&self, member: usize) -> anyhow::Result<wire::StatusResponse> {
        let channel = connect(&self.dir(member)?.join(SOCKET)).await?;
        let mut client = MaintenanceClient::new(channel);
        Ok(client.status(wire::StatusRequest {}).await?.into_inner())
    }

    /// Waits until all members follow one leader and have about as long a log.
    async fn wait_ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + CEILING;
        loop {
            let mut seen = Vec::new();
            for member in 0..self.members.len() {
                if let Ok(status) = self.status(member).await {
                    seen.push((status.leader, status.raft_index));
                }
            }
            let agree = seen
                .windows(2)
                .all(|w| matches!(w, [(a, i), (b, j)] if a == b && i.abs_diff(*j) < 1000));
            if seen.len() == self.members.len() && agree && seen.iter().all(|(l, _)| *l != 0) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "etcd did not become ready: {seen:?}; see {}",
                self.dir(0)?.join("log").display()
            );
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    async fn client(&self, member: usize, number: usize) -> anyhow::Result<EtcdClient> {
        let channel = connect(&self.dir(member)?.join(SOCKET)).await?;
        let mut client = EtcdClient {
            kv: KvClient::new(channel),
            key: format!("bench/{number:08}").into_bytes(),
            size: self.value,
            turn: 0,
        };
        // The key is there before anybody measures reading it.
        client.ask(Ask::Write).await?;
        Ok(client)
    }
}

impl Group for Etcd {
    type Client = EtcdClient;

    async fn clients(&self, count: usize) -> anyhow::Result<Vec<EtcdClient>> {
        let first = self.leader().await?;
        let members = self.members.len();
        let made = (0..count).map(|number| self.client((first + number) % members, number));
        futures::stream::iter(made)
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn survivors(&self, dead: usize, each: usize) -> anyhow::Result<Vec<EtcdClient>> {
        let alive: Vec<usize> = (0..self.members.len()).filter(|m| *m != dead).collect();
        let places = alive.iter().copied().cycle().take(alive.len() * each);
        let made = places
            .enumerate()
            .map(|(number, member)| self.client(member, number));
        futures::stream::iter(made)
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn leader(&self) -> anyhow::Result<usize> {
        let deadline = Instant::now() + CEILING;
        loop {
            for member in 0..self.members.len() {
                let status = self.status(member).await;
                let leads =
                    |s: wire::StatusResponse| Some(s.leader) == s.header.map(|h| h.member_id);
                if status.is_ok_and(leads) {
                    return Ok(member);
                }
            }
            if Instant::now() > deadline {
                bail!("no member of etcd leads");
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    fn pids(&self) -> anyhow::Result<Vec<i32>> {
        (0..self.members.len())
            .map(|member| self.pid(member))
            .collect()
    }

    fn kill(&self, member: usize) -> anyhow::Result<()> {
        let process = self.member(member)?.process.lock();
        let child = process.unwrap_or_else(PoisonError::into_inner).take();
        let mut child = child.context("this member of etcd is not running")?;
        child
            .kill()
            .and_then(|()| child.wait())
            .context("kill etcd")?;
        Ok(())
    }

    fn buried(&self, _: usize) -> anyhow::Result<()> {
        // Killing waits for that already.
        Ok(())
    }

    async fn restart(&self, member: usize) -> anyhow::Result<()> {
        self.spawn(member)?;
        self.wait_ready().await
    }
}

impl Client for EtcdClient {
    async fn ask(&mut self, ask: Ask) -> Result<(), Status> {
        match ask {
            Ask::Write => {
                self.turn = self.turn.wrapping_add(1);
                let request = wire::PutRequest {
                    key: self.key.clone(),
                    value: vec![self.turn; self.size],
                };
                self.kv.put(request).await.map(|_| ())
            }
            Ask::Read => {
                let request = wire::RangeRequest {
                    key: self.key.clone(),
                    ..Default::default()
                };
                let found = self.kv.range(request).await?.into_inner();
                match found.kvs.as_slice() {
                    [_] => Ok(()),
                    _ => Err(Status::not_found("the key of this client")),
                }
            }
        }
    }
}
