//! One session with one manager.

use crate::agent::Agent;
use crate::agent::Outbox;
use crate::agent::Standing;
use crate::agent::Verdict;
use crate::agent::judge;
use crate::agent::logs::Logs;
use crate::agent::words;
use crate::desired::Desired;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::MissedTickBehavior;
use tokio::time::sleep_until;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tracing::debug;
use tracing::info;
use tracing::warn;
use weft_proto::assignment::Assignments;
use weft_proto::convert::ConvertError;
use weft_proto::wire;
use weft_proto::wire::agent_message::Kind as Up;
use weft_proto::wire::dispatcher_client::DispatcherClient;
use weft_proto::wire::manager_message::Kind as Down;

/// A manager that accepted the connection must welcome within this, connecting included; one that
/// cannot is worse than the next one.
const WELCOME: Duration = Duration::from_secs(3);
/// A manager that answers heartbeats and then is silent for this long, or for three heartbeats if
/// that is longer, is left. One that never answers any is watched by the connection's keepalive
/// alone, which takes 4 s.
const SILENCE: Duration = Duration::from_secs(3);
/// How long a manager that is to take over may be behind the one that holds the session.
const CATCH_UP: Duration = Duration::from_secs(5);
/// How long a manager that is left may take to see that.
const FAREWELL: Duration = Duration::from_secs(1);
/// Used until a manager says how often to send heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Bounds of what a manager may ask for: neither a flood nor silence.
const HEARTBEAT_RANGE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// Reports that the cluster does not show yet are sent again this often: a manager may have lost
/// its leader before it could pass them on.
const RESEND: Duration = Duration::from_secs(2);
/// Messages waiting to be sent.
const QUEUE: usize = 64;
/// Tasks in one status message.
const REPORTS: usize = 500;
/// Bytes of one message from a manager: a snapshot for a node with thousands of endpoints.
const MAX_MESSAGE: usize = 64 << 20;

/// Why a session ended or never began.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("{0}")]
    Failed(String),
    #[error("{0}")]
    Removed(String),
    #[error("the manager ended the session")]
    Closed,
    #[error("no welcome within {WELCOME:?}")]
    NoWelcome,
    #[error("the manager said nothing for {0:?}")]
    Silent(Duration),
    #[error("the manager takes no messages")]
    Stalled,
    #[error("the manager lags behind: it is at revision {theirs}, this node knows {ours}")]
    Behind { theirs: u64, ours: u64 },
    #[error("the manager did not come up to what this node knows within {CATCH_UP:?}")]
    Late,
    #[error("this node holds its session with another manager now")]
    Left,
    #[error("the manager sent a change before any snapshot")]
    OutOfOrder,
    #[error("the manager sent something this version does not understand: {0}")]
    Garbled(#[from] ConvertError),
}

impl From<tonic::Status> for Ended {
    fn from(status: tonic::Status) -> Self {
        if weft_pki::says_removed(&status) {
            return Ended::Removed(status.message().to_owned());
        }
        Ended::Failed(words(&status))
    }
}

/// One session, from the first try to connect until it ends.
pub(super) struct Session<'a> {
    agent: &'a Agent,
    /// Its snapshot was taken.
    pub(super) began: bool,
    /// The managers that this one named.
    pub(super) named: Vec<SocketAddr>,
    /// It answers heartbeats, so its silence means something.
    answers: bool,
    sent: Outbox,
    /// It is to take over from another one, and does not know yet what that one knows.
    successor: Option<Successor>,
    orders: Orders,
    /// The epoch that it was told this node holds the keys of.
    held: u64,
}

/// How a session is told to end, and says that another manager should hold it.
#[derive(Clone, Debug)]
pub(super) struct Orders {
    /// Cancelled when another session took over.
    pub(super) leave: CancellationToken,
    /// What the manager asked for.
    pub(super) moves: mpsc::Sender<wire::Move>,
}

/// A session that begins beside another one. That one is believed until this one knows as much:
/// state never goes back.
#[derive(Debug)]
pub(super) struct Successor {
    known: Option<Desired>,
    took_over: oneshot::Sender<()>,
    late_at: Instant,
}

impl Successor {
    /// `took_over` is told when it knows as much.
    pub(super) fn new(took_over: oneshot::Sender<()>) -> Self {
        Successor {
            known: None,
            took_over,
            late_at: Instant::now() + CATCH_UP,
        }
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(agent: &'a Agent, orders: Orders, successor: Option<Successor>) -> Self {
        Session {
            agent,
            successor,
            orders,
            began: false,
            named: Vec::new(),
            answers: false,
            sent: Outbox::new(),
            held: 0,
        }
    }

    /// Holds it until it ends, and says why it did.
    pub(super) async fn hold(&mut self, addr: SocketAddr) -> Ended {
        match self.try_hold(addr).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn try_hold(&mut self, addr: SocketAddr) -> Result<std::convert::Infallible, Ended> {
        let (up, queue) = mpsc::channel(QUEUE);
        send(&up, self.hello()).await?;
        let channel = (self.agent.dial)(addr);
        let mut client = DispatcherClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        let begin = async {
            let response = client.session(ReceiverStream::new(queue)).await?;
            let mut down = response.into_inner();
            let welcome = welcome(&mut down).await?;
            Ok::<_, Ended>((down, welcome))
        };
        let (mut down, welcome) = timeout(WELCOME, begin)
            .await
            .map_err(|_| Ended::NoWelcome)??;
        self.named = addresses(&welcome.manager_addrs);
        let period = heartbeat_period(&welcome);
        info!(manager = %addr, ?period, "session with this manager");

        let agent = self.agent;
        let mut logs = Logs::new(agent.hello.node, Arc::clone(&agent.runtime), up.clone());
        let mut outbox = agent.outbox.clone();
        let mut applied = agent.applied.clone();
        outbox.mark_changed();
        let mut beat = tokio::time::interval(period);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut resend = tokio::time::interval_at(Instant::now() + RESEND, RESEND);
        resend.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let patience = SILENCE.max(period * 3);
        let mut heard = Instant::now();
        let late_at = self.successor.as_ref().map_or(heard, |one| one.late_at);
        loop {
            let answers = self.answers;
            let silence = async move {
                if answers {
                    sleep_until(heard + patience).await;
                } else {
                    std::future::pending().await
                }
            };
            // Every arm is cancel-safe; what an arm does runs to its end.
            tokio::select! {
                message = down.message() => {
                    heard = Instant::now();
                    let message = message?.ok_or(Ended::Closed)?;
                    self.take(message, &mut logs)?;
                    self.tell_keys_held(&up).await?;
                }
                _ = beat.tick() => send(&up, heartbeat(&applied)).await?,
                Ok(()) = applied.changed() => {
                    applied.mark_unchanged();
                    send(&up, heartbeat(&applied)).await?;
                }
                Ok(()) = outbox.changed() => {
                    outbox.mark_unchanged();
                    self.report(&outbox, &up).await?;
                }
                _ = resend.tick() => {
                    self.sent.clear();
                    self.report(&outbox, &up).await?;
                }
                () = silence => return Err(Ended::Silent(patience)),
                () = sleep_until(late_at), if self.successor.is_some() => return Err(Ended::Late),
                () = self.orders.leave.cancelled() => break,
            }
        }
        // An end in order: the manager sees that nobody died.
        drop((up, logs));
        let end = async { while let Ok(Some(_)) = down.message().await {} };
        drop(timeout(FAREWELL, end).await);
        Err(Ended::Left)
    }

    fn hello(&self) -> Up {
        Up::Hello(wire::Hello {
            description: Some((&self.agent.hello.description).into()),
            data_addr: self.agent.hello.data_addr.to_string(),
            tunnel_key: self.agent.hello.tunnel_key.as_bytes().to_vec(),
            instance: self.agent.hello.instance,
        })
    }

    fn take(&mut self, message: wire::ManagerMessage, logs: &mut Logs) -> Result<(), Ended> {
        match message.kind {
            Some(Down::Assignments(wire)) => self.assign(wire.try_into()?),
            Some(Down::LogRequest(request)) => {
                let desired = Arc::clone(&self.agent.desired.borrow());
                logs.open(request, &desired);
                Ok(())
            }
            Some(Down::LogCancel(cancel)) => {
                logs.cancel(cancel.subscription);
                Ok(())
            }
            Some(Down::Welcome(welcome)) => {
                self.named = addresses(&welcome.manager_addrs);
                Ok(())
            }
            Some(Down::Standing(standing)) => {
                if let Some(standing) = Standing::read(standing) {
                    self.agent
                        .told
                        .send_if_modified(|told| told.learn(standing));
                }
                Ok(())
            }
            Some(Down::Move(order)) => {
                // While one is followed no other is.
                let _ = self.orders.moves.try_send(order);
                Ok(())
            }
            // A newer manager's message that this version does not know.
            None => Ok(()),
        }
    }

    fn assign(&mut self, step: Assignments) -> Result<(), Ended> {
        let Some(successor) = self.successor.take() else {
            return self.follow(step);
        };
        let known = match successor.known {
            None if !step.snapshot => return Err(Ended::OutOfOrder),
            None => Desired::default().after(step),
            Some(known) => known.after(step),
        };
        if known.revision < self.agent.desired.borrow().revision {
            self.successor = Some(Successor {
                known: Some(known),
                ..successor
            });
            return Ok(());
        }
        self.began = true;
        if known != **self.agent.desired.borrow() {
            self.agent.desired.send_replace(Arc::new(known));
        }
        // Whoever waits for it is the agent itself.
        let _ = successor.took_over.send(());
        Ok(())
    }

    fn follow(&mut self, step: Assignments) -> Result<(), Ended> {
        let present = Arc::clone(&self.agent.desired.borrow());
        match judge(&present, &step, self.began) {
            Verdict::Behind => Err(Ended::Behind {
                theirs: step.revision,
                ours: present.revision,
            }),
            Verdict::OutOfOrder => Err(Ended::OutOfOrder),
            Verdict::Ignore => {
                warn!(
                    theirs = step.revision,
                    ours = present.revision,
                    "ignored an old change"
                );
                Ok(())
            }
            Verdict::Take => {
                self.began = true;
                // First, so that whoever acts on the assignments has what they need.
                let known = Arc::clone(&self.agent.keys.borrow());
                if let Some(next) = known.after(&step) {
                    self.agent.keys.send_replace(Arc::new(next));
                }
                let delta = !step.snapshot;
                let next = present.after(step);
                if next == *present {
                    // A change of nothing is a sign of life. One that tells a new revision is
                    // not: it comes only while the cluster's state moves.
                    self.answers |= delta;
                } else {
                    debug!(
                        revision = next.revision,
                        tasks = next.tasks.len(),
                        "assigned"
                    );
                    self.agent.desired.send_replace(Arc::new(next));
                }
                Ok(())
            }
        }
    }

    /// Says which keys this node holds, when that is news to this manager.
    async fn tell_keys_held(&mut self, up: &mpsc::Sender<wire::AgentMessage>) -> Result<(), Ended> {
        let epoch = self.agent.keys.borrow().epochs.newest;
        if self.began && epoch != self.held {
            self.held = epoch;
            send(up, Up::KeysHeld(wire::KeysHeld { epoch })).await?;
        }
        Ok(())
    }

    /// Sends what this session did not send yet.
    async fn report(
        &mut self,
        outbox: &watch::Receiver<Outbox>,
        up: &mpsc::Sender<wire::AgentMessage>,
    ) -> Result<(), Ended> {
        let now = outbox.borrow().clone();
        let fresh = now
            .iter()
            .filter(|(task, status)| self.sent.get(*task) != Some(*status));
        let tasks: Vec<_> = fresh
            .map(|(task, status)| wire::TaskReport {
                task_id: task.to_string(),
                status: Some(status.into()),
            })
            .collect();
        for some in tasks.chunks(REPORTS) {
            let report = wire::StatusReport {
                tasks: some.to_vec(),
            };
            send(up, Up::Status(report)).await?;
        }
        self.sent = now;
        Ok(())
    }
}

async fn welcome(down: &mut Streaming<wire::ManagerMessage>) -> Result<wire::Welcome, Ended> {
    match down.message().await?.ok_or(Ended::Closed)?.kind {
        Some(Down::Welcome(welcome)) => Ok(welcome),
        Some(
            Down::Assignments(_)
            | Down::LogRequest(_)
            | Down::LogCancel(_)
            | Down::Standing(_)
            | Down::Move(_),
        )
        | None => Err(Ended::NoWelcome),
    }
}

fn heartbeat(applied: &watch::Receiver<u64>) -> Up {
    Up::Heartbeat(wire::Heartbeat {
        applied_revision: *applied.borrow(),
    })
}

fn heartbeat_period(welcome: &wire::Welcome) -> Duration {
    let (least, most) = HEARTBEAT_RANGE;
    match welcome.heartbeat_period_ms {
        0 => HEARTBEAT,
        ms => Duration::from_millis(ms).clamp(least, most),
    }
}

/// Addresses that cannot be read are left out: the others are as good.
fn addresses(texts: &[String]) -> Vec<SocketAddr> {
    let parsed = texts.iter().filter_map(|text| text.parse().ok());
    parsed.collect()
}

/// Queues a message. A queue that stays full means a manager that reads nothing.
async fn send(up: &mpsc::Sender<wire::AgentMessage>, kind: Up) -> Result<(), Ended> {
    let message = wire::AgentMessage { kind: Some(kind) };
    match timeout(SILENCE, up.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Ended::Closed),
        Err(_) => Err(Ended::Stalled),
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
