//! A worker of which there is nothing but the session.

use anyhow::Context;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use weft_pki::Expect;
use weft_pki::Keystore;
use weft_pki::LiveCredentials;
use weft_proto::NodeId;
use weft_proto::assignment::Assignment;
use weft_proto::assignment::AssignmentKey;
use weft_proto::assignment::Assignments;
use weft_proto::assignment::EpochsRecord;
use weft_proto::assignment::TunnelRecord;
use weft_proto::key::SecretKey;
use weft_proto::task_state::TaskState;
use weft_proto::wire;
use weft_proto::wire::agent_message::Kind as Up;
use weft_proto::wire::dispatcher_client::DispatcherClient;
use weft_proto::wire::manager_message::Kind as Down;
use weft_rig::Host;

const HEARTBEAT: Duration = Duration::from_millis(500);
/// A manager that says nothing for so long is left.
const SILENCE: Duration = Duration::from_secs(3);

/// What it was told.
#[derive(Debug, Default)]
struct Told {
    epochs: EpochsRecord,
    peers: BTreeMap<NodeId, TunnelRecord>,
    /// Every key ever, and of which pair it was said to be.
    received: Vec<(NodeId, [u8; 32])>,
}

/// A worker with the identity of a real one.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) node: NodeId,
    told: Arc<Mutex<Told>>,
    asleep: Arc<AtomicBool>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Consumer {
    /// Takes the place of the worker on `host`, whose daemon was stopped.
    pub(crate) fn start(
        host: &Host,
        number: u8,
        managers: &[Ipv4Addr],
    ) -> anyhow::Result<Consumer> {
        let credentials = Keystore::new(host.state_dir().join("identity")).load()?;
        let node = credentials.identity().node;
        let live = LiveCredentials::new(credentials)?;
        let (told, asleep, end) = (Arc::default(), Arc::default(), Arc::default());
        let work = Work {
            live,
            hello: wire::Hello {
                description: Some(wire::NodeDescription {
                    hostname: host.name().to_owned(),
                    os: "linux".to_owned(),
                    arch: "x86_64".to_owned(),
                    version: "0.1.0".to_owned(),
                    runtimes: vec!["process".to_owned()],
                    encrypts: true,
                    ..wire::NodeDescription::default()
                }),
                data_addr: host.addr().to_string(),
                tunnel_key: vec![number; 32],
                ..wire::Hello::default()
            },
            managers: managers
                .iter()
                .map(|ip| SocketAddr::from((*ip, 2377)))
                .collect(),
            told: Arc::clone(&told),
            asleep: Arc::clone(&asleep),
            end: Arc::clone(&end),
        };
        let netns = host.netns().clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("a runtime")?;
        let thread = std::thread::spawn(move || {
            let done = netns.run(|| runtime.block_on(work.run()));
            drop(done);
        });
        Ok(Consumer {
            node,
            told,
            asleep,
            end,
            thread: Some(thread),
        })
    }

    /// Hears nothing and says nothing, or does again.
    pub(crate) fn sleep(&self, asleep: bool) {
        self.asleep.store(asleep, Ordering::Relaxed);
    }

    /// How many tunnels it has whose key in use it holds.
    pub(crate) fn peers(&self) -> usize {
        let told = lock(&self.told);
        let active = told.epochs.active;
        let usable = |tunnel: &&TunnelRecord| tunnel.keys.contains_key(&active);
        told.peers.values().filter(usable).count()
    }

    /// Every key it ever received, and of which peer's pair.
    pub(crate) fn received(&self) -> Vec<(NodeId, [u8; 32])> {
        lock(&self.told).received.clone()
    }

    /// Those of whom one uses a key that the other does not hold.
    pub(crate) fn apart(all: &[&Consumer]) -> Vec<(NodeId, NodeId)> {
        let used = |by: &Consumer, with: NodeId| -> Option<SecretKey> {
            let told = lock(&by.told);
            let active = told.epochs.active;
            told.peers.get(&with)?.keys.get(&active).cloned()
        };
        let holds = |by: &Consumer, with: NodeId, key: &SecretKey| {
            let told = lock(&by.told);
            let tunnel = told.peers.get(&with);
            tunnel.is_some_and(|tunnel| tunnel.keys.values().any(|held| held == key))
        };
        let mut apart = Vec::new();
        for one in all {
            for other in all.iter().filter(|other| other.node != one.node) {
                let fits = used(one, other.node).is_some_and(|key| holds(other, one.node, &key));
                if !fits {
                    apart.push((one.node, other.node));
                }
            }
        }
        apart
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn lock(told: &Mutex<Told>) -> std::sync::MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Work {
    live: Arc<LiveCredentials>,
    hello: wire::Hello,
    managers: Vec<SocketAddr>,
    told: Arc<Mutex<Told>>,
    asleep: Arc<AtomicBool>,
    end: Arc<AtomicBool>,
}

impl Work {
    async fn run(self) {
        let mut turn = 0;
        while !self.end.load(Ordering::Relaxed) {
            if !self.asleep.load(Ordering::Relaxed) {
                let addr = self.managers[turn % self.managers.len()];
                // Why it ended does not matter to somebody who tries the next one.
                drop(self.session(addr).await);
                turn += 1;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn session(&self, addr: SocketAddr) -> anyhow::Result<()> {
        let channel = weft_pki::channel(addr, Arc::clone(&self.live), Expect::any_manager());
        let mut client = DispatcherClient::new(channel);
        let (up, words) = mpsc::channel(64);
        say(&up, Up::Hello(self.hello.clone())).await?;
        let begun = timeout(SILENCE, client.session(ReceiverStream::new(words))).await??;
        let mut down = begun.into_inner();
        let mut beat = tokio::time::interval(HEARTBEAT);
        let mut applied_revision = 0;
        let mut heard = tokio::time::Instant::now();
        loop {
            if self.end.load(Ordering::Relaxed) || self.asleep.load(Ordering::Relaxed) {
                return Ok(());
            }
            tokio::select! {
                _ = beat.tick() => {
                    anyhow::ensure!(heard.elapsed() < SILENCE, "silence");
                    say(&up, Up::Heartbeat(wire::Heartbeat { applied_revision })).await?;
                }
                message = down.message() => {
                    heard = tokio::time::Instant::now();
                    let message = message?.context("the session ended")?;
                    if let Some(Down::Assignments(step)) = message.kind {
                        let step = Assignments::try_from(step)?;
                        applied_revision = step.revision;
                        self.take(step, &up).await?;
                    }
                }
            }
        }
    }

    async fn take(
        &self,
        step: Assignments,
        up: &mpsc::Sender<wire::AgentMessage>,
    ) -> anyhow::Result<()> {
        let mut running = Vec::new();
        let newest = {
            let mut told = lock(&self.told);
            if step.snapshot {
                told.epochs = EpochsRecord::default();
                told.peers.clear();
            }
            for key in step.removals {
                if let AssignmentKey::Tunnel(peer) = key {
                    told.peers.remove(&peer);
                } else if key == AssignmentKey::Epochs {
                    told.epochs = EpochsRecord::default();
                }
            }
            for piece in step.upserts {
                if let Assignment::Tunnel(tunnel) = piece {
                    let keys = tunnel.keys.values();
                    let keys = keys.map(|key| (tunnel.node, *key.expose()));
                    told.received.extend(keys);
                    told.peers.insert(tunnel.node, tunnel);
                } else if let Assignment::Epochs(epochs) = piece {
                    told.epochs = epochs;
                } else if let Assignment::Task(task) = piece
                    && task.status.state < TaskState::Running
                {
                    running.push(task.id);
                }
            }
            told.epochs.newest
        };
        say(up, Up::KeysHeld(wire::KeysHeld { epoch: newest })).await?;
        let tasks = running.iter().map(|id| wire::TaskReport {
            task_id: id.to_string(),
            status: Some(wire::TaskStatus {
                state: TaskState::Running.number(),
                ..wire::TaskStatus::default()
            }),
        });
        let tasks: Vec<_> = tasks.collect();
        if !tasks.is_empty() {
            say(up, Up::Status(wire::StatusReport { tasks })).await?;
        }
        Ok(())
    }
}

async fn say(up: &mpsc::Sender<wire::AgentMessage>, kind: Up) -> anyhow::Result<()> {
    let message = wire::AgentMessage { kind: Some(kind) };
    Ok(timeout(SILENCE, up.send(message)).await??)
}
