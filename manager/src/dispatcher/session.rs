//! One session with one agent.

use crate::dispatcher::assignment::managers;
use crate::dispatcher::certificates;
use crate::dispatcher::describe::Introduction;
use crate::dispatcher::double::doubled;
use crate::dispatcher::double::make_way;
use crate::dispatcher::feed::Feed;
use crate::dispatcher::presence::Seat;
use crate::dispatcher::report;
use crate::dispatcher::server::OUTBOX;
use crate::dispatcher::server::Shared;
use crate::dispatcher::standing::Standing;
use crate::logs::SessionLogs;
use crate::store::State;
use crate::store::View;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::sleep_until;
use tonic::Status;
use tonic::Streaming;
use weft_proto::NodeId;
use weft_proto::assignment::Assignments;
use weft_proto::wire;
use weft_proto::wire::agent_message::Kind as FromAgent;
use weft_proto::wire::manager_message::Kind as ToAgent;

/// How many heartbeats in a row may be missed.
const MISSED: u32 = 3;
/// Most reports in one message: more than the tasks a node can have.
const MAX_REPORTS: usize = 16_384;

pub(super) type Outbound = mpsc::Sender<Result<wire::ManagerMessage, Status>>;

/// Holds a session until it ends, and tells the agent why it ended. The agent then moves on to
/// another manager, or comes back.
pub(super) async fn hold(
    shared: Arc<Shared>,
    node: NodeId,
    inbound: Streaming<wire::AgentMessage>,
    outbound: Outbound,
) {
    let ended = tokio::select! {
        () = shared.shutdown.cancelled() => Status::unavailable("this manager is stopping"),
        ended = converse(&shared, node, inbound, &outbound) => ended,
    };
    tracing::info!(%node, why = ended.message(), "session ended");
    // An agent that does not read need not be told why.
    let _ = outbound.try_send(Err(ended));
}

async fn converse(
    shared: &Arc<Shared>,
    node: NodeId,
    mut inbound: Streaming<wire::AgentMessage>,
    outbound: &Outbound,
) -> Status {
    let introduction = match introduce(&mut inbound, shared.pace.hello).await {
        Ok(introduction) => introduction,
        Err(refused) => return refused,
    };
    // A heartbeat, and half of one for its way.
    let patience = shared.pace.heartbeat * 3 / 2;
    let instance = introduction.instance;
    if let Err(refused) = make_way(&shared.presence, node, instance, patience).await {
        return refused;
    }
    let seat = shared.presence.enter(node, instance);
    let (logs, requests) = shared.logs.attach(node);
    tracing::info!(%node, session = seat.session, "session began");
    let mut views = shared.trail.subscribe();
    let Some(feed) = begin(shared, node, &mut views, outbound).await else {
        return gone();
    };
    let session = Session {
        shared,
        node,
        looked: Instant::now(),
        said: Instant::now(),
        feed,
        standing: Standing::default(),
        certificate: certificates::Said::default(),
        policy: certificates::Policy::default(),
        seat,
        logs,
        outbound,
    };
    session.run(inbound, views, requests, introduction).await
}

/// Tells the agent everything; `None` when it is gone. Only so many sessions do that at a time, and
/// each until what it said is on its way: a thousand agents that come at once are served one after
/// the other, in little memory, and not all of them too late.
async fn begin(
    shared: &Shared,
    node: NodeId,
    views: &mut watch::Receiver<View>,
    outbound: &Outbound,
) -> Option<Feed> {
    // Told first, so that the agent knows whom it waits for.
    let managers = managers(&views.borrow());
    outbound.send(Ok(welcome(shared, &managers))).await.ok()?;
    let begun = tokio::select! {
        begun = shared.begins.acquire() => begun.ok()?,
        () = outbound.closed() => return None,
    };
    let known = shared.store.view().revision();
    let view = views.wait_for(|view| view.revision() >= known).await;
    let view = view.ok()?.clone();
    let (feed, snapshot) = Feed::begin(node, view.clone(), &shared.trail.common(&view));
    outbound.send(Ok(assignments(&snapshot))).await.ok()?;
    // A slow one need not hold up the others for long.
    let sent = tokio::time::timeout(shared.pace.hello, outbound.reserve_many(OUTBOX));
    drop(sent.await);
    drop(begun);
    Some(feed)
}

async fn introduce(
    inbound: &mut Streaming<wire::AgentMessage>,
    patience: Duration,
) -> Result<Introduction, Status> {
    let first = tokio::time::timeout(patience, inbound.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no hello came"))??
        .ok_or_else(gone)?;
    match first.kind {
        Some(FromAgent::Hello(hello)) => Introduction::read(hello),
        Some(
            FromAgent::Heartbeat(_)
            | FromAgent::Status(_)
            | FromAgent::Log(_)
            | FromAgent::KeysHeld(_)
            | FromAgent::Certificate(_),
        )
        | None => Err(Status::invalid_argument("a session begins with hello")),
    }
}

struct Session<'a> {
    shared: &'a Arc<Shared>,
    node: NodeId,
    /// When the state was looked at last.
    looked: Instant,
    /// When the agent was told something of the state last.
    said: Instant,
    feed: Feed,
    standing: Standing,
    certificate: certificates::Said,
    policy: certificates::Policy,
    seat: Seat,
    logs: SessionLogs,
    outbound: &'a Outbound,
}

impl Session<'_> {
    async fn run(
        mut self,
        mut inbound: Streaming<wire::AgentMessage>,
        mut views: watch::Receiver<View>,
        mut requests: mpsc::Receiver<ToAgent>,
        introduction: Introduction,
    ) -> Status {
        let silence = self.shared.pace.heartbeat * MISSED;
        let shared = Arc::clone(self.shared);
        let record = introduction.record(&*shared.proposer, self.node, &shared.pace);
        let mut record = Box::pin(record);
        let said = self.certificate.subscribe();
        let pace = shared.pace.retry;
        let certificate = certificates::record(said, &*shared.proposer, self.node, pace);
        let mut certificate = Box::pin(certificate);
        let (mut recorded, mut silent_at) = (false, Instant::now() + silence);
        // The state may have moved since the snapshot was made.
        let mut look_at = Some(Instant::now() + self.shared.pace.look);
        let mut request = None;
        loop {
            // Every arm is cancel-safe: a message half read stays in the stream's buffer, a permit
            // that was not given is taken from nobody.
            tokio::select! {
                () = self.seat.replaced.cancelled() => {
                    return Status::aborted("another session of this node began");
                }
                () = self.seat.doubled.cancelled() => return doubled(),
                () = sleep_until(silent_at) => {
                    return Status::deadline_exceeded(format!("nothing was heard for {silence:?}"));
                }
                () = &mut record, if !recorded => recorded = true,
                never = &mut certificate => match never {},
                message = inbound.message() => {
                    match message {
                        Ok(Some(message)) => {
                            let beat = matches!(message.kind, Some(FromAgent::Heartbeat(_)));
                            if matches!(message.kind, Some(FromAgent::Certificate(_))) {
                                look_at = Some(Instant::now());
                            }
                            self.hear(message);
                            // An agent that reads too slowly for this has other messages to read.
                            if beat && let Ok(permit) = self.outbound.try_reserve() {
                                permit.send(Ok(assignments(&self.feed.nothing_new())));
                            }
                        }
                        Ok(None) => return gone(),
                        Err(broken) => {
                            self.seat.broke();
                            return broken;
                        }
                    }
                    silent_at = Instant::now() + silence;
                }
                changed = views.changed() => {
                    if changed.is_err() {
                        return Status::unavailable("this manager is stopping");
                    }
                    let soon = self.looked + self.shared.pace.look;
                    look_at = Some(look_at.map_or(soon, |at| at.min(soon)));
                }
                next = requests.recv(), if request.is_none() => request = next,
                Some(next) = self.seat.moves.recv(), if request.is_none() => {
                    request = Some(ToAgent::Move(next));
                }
                permit = self.outbound.reserve(), if request.is_some() => match permit {
                    Ok(permit) => {
                        let kind = request.take();
                        permit.send(Ok(wire::ManagerMessage { kind }));
                    }
                    Err(_) => return gone(),
                },
                // An agent that reads slowly gets fewer and larger deltas.
                permit = room(self.outbound, look_at), if look_at.is_some() => {
                    let Ok(permit) = permit else { return gone() };
                    let view = views.borrow_and_update().clone();
                    let Some(node) = view.node(self.node) else {
                        return removed(&view, self.node);
                    };
                    if let Some(standing) = self.standing.changed(node) {
                        permit.send(Ok(standing));
                        look_at = Some(Instant::now());
                        continue;
                    }
                    // Only to one that says what it holds: it understands what it should hold.
                    let says = self.certificate.borrow().is_some();
                    if says && let Some(policy) = self.policy.changed(&view) {
                        permit.send(Ok(policy));
                        look_at = Some(Instant::now());
                        continue;
                    }
                    if let Some(delta) = self.look(view) {
                        permit.send(Ok(assignments(&delta)));
                    }
                    // A revision that is not told yet is told later, even if nothing moves.
                    look_at = (self.feed.told() < self.feed.seen())
                        .then(|| self.said + self.shared.pace.progress);
                }
            }
        }
    }

    fn look(&mut self, view: View) -> Option<Assignments> {
        self.looked = Instant::now();
        // Asked for after the view was taken: they may lead beyond it, and then it is seen there.
        let steps = self.shared.trail.since(self.feed.seen());
        let progress = self.looked >= self.said + self.shared.pace.progress;
        let delta = self.feed.look(&view, steps.as_deref(), progress);
        if delta.is_some() {
            self.said = self.looked;
        }
        delta
    }

    fn hear(&self, message: wire::AgentMessage) {
        let mut applied = None;
        match message.kind {
            Some(FromAgent::Heartbeat(beat)) => {
                // Nobody can have applied what was not told.
                applied = Some(beat.applied_revision.min(self.feed.told()));
            }
            Some(FromAgent::Status(report)) => self.report(report),
            Some(FromAgent::Log(chunk)) => self.logs.deliver(chunk),
            Some(FromAgent::Certificate(said)) => match certificates::read(said) {
                Some(said) => {
                    self.certificate.send_replace(Some(said));
                }
                None => tracing::warn!(node = %self.node, "a certificate that cannot be read"),
            },
            Some(FromAgent::KeysHeld(held)) => self.seat.holds_keys(held.epoch),
            // What else an agent of another version says is no reason to end its session.
            Some(FromAgent::Hello(_)) | None => {}
        }
        self.seat.heard(applied);
    }

    fn report(&self, reports: wire::StatusReport) {
        let now = self.shared.clock.timestamp();
        for one in reports.tasks.into_iter().take(MAX_REPORTS) {
            match report::read(one, now) {
                Some((task, status)) => {
                    let session = self.seat.session;
                    self.shared
                        .reporter
                        .report(self.node, session, task, status);
                }
                None => tracing::warn!(node = %self.node, "a status that cannot be read"),
            }
        }
    }
}

async fn room(
    outbound: &Outbound,
    at: Option<Instant>,
) -> Result<mpsc::Permit<'_, Result<wire::ManagerMessage, Status>>, mpsc::error::SendError<()>> {
    sleep_until(at.unwrap_or_else(Instant::now)).await;
    outbound.reserve().await
}

fn welcome(shared: &Shared, managers: &[SocketAddr]) -> wire::ManagerMessage {
    let welcome = wire::Welcome {
        heartbeat_period_ms: u64::try_from(shared.pace.heartbeat.as_millis()).unwrap_or(u64::MAX),
        manager_addrs: managers.iter().map(ToString::to_string).collect(),
    };
    wire::ManagerMessage {
        kind: Some(ToAgent::Welcome(welcome)),
    }
}

fn assignments(step: &Assignments) -> wire::ManagerMessage {
    wire::ManagerMessage {
        kind: Some(ToAgent::Assignments(step.into())),
    }
}

fn gone() -> Status {
    Status::cancelled("the agent ended the session")
}

/// Told beyond doubt only to one that is known to have been removed: it will end its tasks.
pub(super) fn removed(view: &State, node: NodeId) -> Status {
    const WORDS: &str =
        "this node was removed from the cluster: `weft cluster join` makes it a new one";
    match view.removed_node(node) {
        Some(_) => weft_pki::removed_status(WORDS),
        None => Status::permission_denied(WORDS),
    }
}
