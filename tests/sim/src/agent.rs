//! An agent without a machine: takes its tasks through their states, fails some, and speaks with
//! managers as a real one does.
#![allow(
    clippy::needless_update,
    reason = "messages get more fields, which are to have their defaults here"
)]

use crate::dice::Dice;
use crate::net::Life;
use crate::net::Net;
use crate::net::Place;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio::time::sleep_until;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::Streaming;
use weft_proto::TaskId;
use weft_proto::assignment::Assignment;
use weft_proto::assignment::AssignmentKey;
use weft_proto::assignment::Assignments;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::wire;
use weft_proto::wire::agent_message::Kind as Up;
use weft_proto::wire::dispatcher_client::DispatcherClient;
use weft_proto::wire::manager_message::Kind as Down;

/// How long a manager may take to begin a session.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a manager may be silent: it answers every heartbeat.
const SILENCE: Duration = Duration::from_secs(3);

/// What all agents of a run share.
#[derive(Debug, Default)]
pub struct Habits {
    /// Tasks fail by themselves, so many of a thousand steps.
    pub failing: AtomicU64,
    /// Times a task began to run.
    pub ran: AtomicU64,
    /// Sessions that were begun.
    pub sessions: AtomicU64,
}

/// An agent on its machine.
#[derive(Debug)]
pub struct Agent {
    /// Where it is.
    pub place: Place,
    tasks: Arc<Mutex<BTreeMap<TaskId, Mine>>>,
    managers: Vec<Place>,
    habits: Arc<Habits>,
    net: Net,
    dice: Dice,
    running: Option<JoinHandle<()>>,
}

/// A task as its agent knows it.
#[derive(Clone, Copy, Debug)]
struct Mine {
    state: TaskState,
    stop: bool,
    /// When it moves on.
    next: Instant,
}

impl Agent {
    /// An agent that does not run yet.
    pub fn new(
        place: Place,
        managers: Vec<Place>,
        habits: Arc<Habits>,
        net: Net,
        dice: &Dice,
    ) -> Agent {
        Agent {
            place,
            tasks: Arc::default(),
            managers,
            habits,
            net,
            dice: dice.fork(),
            running: None,
        }
    }

    /// Starts the agent. What ran on its machine still does.
    pub fn start(&mut self) {
        self.kill();
        let work = Work {
            life: self.net.begin(self.place),
            tasks: Arc::clone(&self.tasks),
            managers: self.managers.clone(),
            habits: Arc::clone(&self.habits),
            dice: self.dice.clone(),
            restarted: AtomicBool::new(true),
        };
        self.running = Some(tokio::spawn(work.run()));
    }

    /// Ends the agent; its tasks run on.
    pub fn kill(&mut self) {
        self.net.kill(self.place);
        if let Some(running) = self.running.take() {
            running.abort();
        }
    }

    /// Ends the machine: its tasks are gone too.
    pub fn power_off(&mut self) {
        self.kill();
        for mine in self.tasks.lock().values_mut() {
            if !mine.state.is_terminal() {
                mine.state = TaskState::Failed;
            }
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
        }
    }
}

struct Work {
    life: Life,
    tasks: Arc<Mutex<BTreeMap<TaskId, Mine>>>,
    managers: Vec<Place>,
    habits: Arc<Habits>,
    dice: Dice,
    restarted: AtomicBool,
}

impl Work {
    async fn run(self) {
        loop {
            if let Some(manager) = self.dice.pick(&self.managers) {
                // Why it ended does not matter to somebody who tries the next one.
                drop(self.session(*manager).await);
            }
            tokio::time::sleep(self.dice.millis(20, 300)).await;
        }
    }

    async fn session(&self, manager: Place) -> Result<(), Status> {
        let mut client = DispatcherClient::new(self.life.channel(manager));
        let (up, words) = mpsc::channel(64);
        say(&up, Up::Hello(self.hello())).await?;
        let begun = timeout(PATIENCE, client.session(ReceiverStream::new(words)));
        let mut down = begun.await.map_err(|_| silent())??.into_inner();
        let Some(Down::Welcome(welcome)) = hear(&mut down).await? else {
            return Err(Status::internal("no welcome"));
        };
        self.habits.sessions.fetch_add(1, Ordering::Relaxed);
        let period = Duration::from_millis(welcome.heartbeat_period_ms);
        let (mut beat, mut applied) = (Instant::now(), 0);
        // In a new session everything is said again.
        let mut unsaid: Vec<TaskId> = self.tasks.lock().keys().copied().collect();
        self.restarted.store(false, Ordering::Relaxed);
        let mut heard = Instant::now();
        loop {
            unsaid.extend(self.move_on());
            if let Some(report) = self.report(&unsaid) {
                say(&up, Up::Status(report)).await?;
                unsaid.clear();
            }
            let now = Instant::now();
            if now >= beat {
                let applied_revision = applied;
                say(&up, Up::Heartbeat(wire::Heartbeat { applied_revision })).await?;
                beat = now + period;
            }
            if now >= heard + SILENCE {
                return Err(silent());
            }
            tokio::select! {
                biased;
                message = down.message() => match message? {
                    None => return Ok(()),
                    Some(message) => {
                        heard = Instant::now();
                        if let Some(Down::Assignments(step)) = message.kind {
                            let step = Assignments::try_from(step)
                                .map_err(|error| Status::internal(error.to_string()))?;
                            applied = step.revision;
                            unsaid.extend(self.take(step));
                        }
                    }
                },
                () = sleep_until(self.wake_at(beat)) => {}
            }
        }
    }

    fn hello(&self) -> wire::Hello {
        let place = self.life.place;
        wire::Hello {
            description: Some(description(place)),
            data_addr: format!("192.0.2.{}", place.0),
            ..wire::Hello::default()
        }
    }

    fn wake_at(&self, beat: Instant) -> Instant {
        let tasks = self.tasks.lock();
        let moving = tasks.values().filter(|mine| mine.moves());
        moving.map(|mine| mine.next).fold(beat, Instant::min)
    }

    /// Takes a step of assignments; returns tasks of which there is something to say.
    fn take(&self, step: Assignments) -> Vec<TaskId> {
        let mut tasks = self.tasks.lock();
        let mut said = Vec::new();
        if step.snapshot {
            let told = |id: &TaskId| {
                step.upserts
                    .iter()
                    .any(|piece| piece.key() == AssignmentKey::Task(*id))
            };
            tasks.retain(|id, _| told(id));
        }
        for key in step.removals {
            if let AssignmentKey::Task(id) = key {
                tasks.remove(&id);
            }
        }
        for piece in step.upserts {
            let Assignment::Task(task) = piece else {
                continue;
            };
            let next = Instant::now() + self.dice.millis(1, 40);
            let mine = tasks.entry(task.id).or_insert(Mine {
                state: task.status.state,
                stop: false,
                next,
            });
            mine.stop = task.desired > DesiredState::Running;
            mine.next = mine.next.min(next);
            if mine.state > task.status.state {
                said.push(task.id);
            }
            // Nobody can say less of it than is known.
            mine.state = mine.state.max(task.status.state);
        }
        said
    }

    /// Moves tasks on whose time has come; returns which.
    fn move_on(&self) -> Vec<TaskId> {
        let now = Instant::now();
        let failing = self.habits.failing.load(Ordering::Relaxed);
        let mut moved = Vec::new();
        for (id, mine) in self.tasks.lock().iter_mut() {
            if !mine.moves() || mine.next > now {
                continue;
            }
            let before = mine.state;
            mine.state = match mine.state {
                _ if mine.stop => TaskState::Shutdown,
                _ if self.dice.per_mille(failing) => TaskState::Failed,
                TaskState::Assigned => TaskState::Accepted,
                TaskState::Accepted => TaskState::Preparing,
                TaskState::Preparing => TaskState::Starting,
                TaskState::Starting => TaskState::Running,
                same @ (TaskState::New
                | TaskState::Pending
                | TaskState::Running
                | TaskState::Complete
                | TaskState::Shutdown
                | TaskState::Failed
                | TaskState::Rejected
                | TaskState::Orphaned) => same,
            };
            let running = mine.state == TaskState::Running;
            let wait = if running {
                self.dice.millis(300, 3000)
            } else {
                self.dice.millis(1, 60)
            };
            mine.next = now + wait;
            if mine.state != before {
                moved.push(*id);
                self.habits
                    .ran
                    .fetch_add(u64::from(running), Ordering::Relaxed);
            }
        }
        moved
    }

    fn report(&self, ids: &[TaskId]) -> Option<wire::StatusReport> {
        let known = self.tasks.lock();
        let report = |id: &TaskId| {
            let mine = known.get(id)?;
            Some(wire::TaskReport {
                task_id: id.to_string(),
                status: Some(wire::TaskStatus {
                    state: mine.state.number(),
                    at_ms: 0,
                    exit_code: (mine.state == TaskState::Failed).then_some(1),
                    ..wire::TaskStatus::default()
                }),
            })
        };
        let tasks: Vec<wire::TaskReport> = ids.iter().filter_map(report).collect();
        (!tasks.is_empty()).then(|| wire::StatusReport {
            tasks,
            ..wire::StatusReport::default()
        })
    }
}

impl Mine {
    /// Whether it changes by itself. One that runs may fail.
    fn moves(&self) -> bool {
        self.state >= TaskState::Assigned && !self.state.is_terminal()
    }
}

/// What a simulated machine says about itself.
pub fn description(place: Place) -> wire::NodeDescription {
    wire::NodeDescription {
        hostname: format!("n{}", place.0),
        os: "linux".to_owned(),
        arch: "x86_64".to_owned(),
        version: "0.1.0".to_owned(),
        resources: Some(wire::Resources {
            nano_cpus: 4_000_000_000,
            memory_bytes: 8 << 30,
        }),
        runtimes: vec!["process".to_owned()],
        ..wire::NodeDescription::default()
    }
}

async fn say(up: &mpsc::Sender<wire::AgentMessage>, kind: Up) -> Result<(), Status> {
    let message = wire::AgentMessage { kind: Some(kind) };
    let sent = timeout(PATIENCE, up.send(message)).await;
    sent.map_err(|_| silent())?.map_err(|_| silent())
}

async fn hear(down: &mut Streaming<wire::ManagerMessage>) -> Result<Option<Down>, Status> {
    let message = timeout(PATIENCE, down.message()).await;
    let message = message.map_err(|_| silent())??;
    Ok(message.and_then(|message| message.kind))
}

fn silent() -> Status {
    Status::deadline_exceeded("the manager is silent")
}
