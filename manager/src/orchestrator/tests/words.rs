//! The commands of scripts.

use crate::fixture;
use crate::orchestrator;
use crate::orchestrator::tests::world::Fate;
use crate::orchestrator::tests::world::World;
use std::time::Duration;
use weft_proto::command::Change;
use weft_proto::object::*;
use weft_proto::spec::*;
use weft_proto::task_state::TaskState;

impl World {
    /// Does one line of a script.
    pub(super) fn act(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (verb, rest) = words.split_first().unwrap();
        match *verb {
            "node" => self.node_word(rest),
            "drain" => self.edit_node(rest[0], |n| n.spec.availability = Availability::Drain),
            "pause" => self.edit_node(rest[0], |n| n.spec.availability = Availability::Pause),
            "activate" => self.edit_node(rest[0], |n| n.spec.availability = Availability::Active),
            "label" => {
                let (key, value) = rest[1].split_once('=').unwrap();
                self.edit_node(rest[0], |node| {
                    node.spec.labels.insert(key.to_owned(), value.to_owned());
                });
            }
            "service" => self.create(rest[0], &rest[1..]),
            "update" => {
                let mut service = self.service(rest[0]);
                configure(&mut service.spec, &rest[1..]);
                self.use_secrets(&mut service.spec, &rest[1..]);
                let old = self.service(rest[0]);
                let new = orchestrator::updated(&old, service.spec);
                self.commit(vec![Change::update(new)]);
            }
            "rollback" => match orchestrator::rolled_back(&self.service(rest[0])) {
                Ok(new) => self.commit(vec![Change::update(new)]),
                Err(error) => self.say(&format!("refused: {error}")),
            },
            "secret" => self.secret(rest[0]),
            "remove" => {
                let service = self.service(rest[0]);
                self.commit(vec![Change::remove(service)]);
            }
            "fail" => self.end_task(rest[0], TaskState::Failed, 1),
            "complete" => self.end_task(rest[0], TaskState::Complete, 0),
            "fate" => self.fate(rest),
            "hold" => {
                let id = self.find_node(rest[0]).id;
                self.held.insert(id);
            }
            "release" => {
                let id = self.find_node(rest[0]).id;
                self.held.remove(&id);
            }
            "stubborn" => {
                let id = self.running(rest[0]).id;
                self.stubborn.insert(id);
            }
            "failover" => self.failover(),
            // Nobody leads and nobody works.
            "sleep" => {
                self.now += millis(rest[0]);
                return;
            }
            "tick" => return self.pass(millis(rest[0])),
            "tasks" => return self.table(),
            "status" => return self.status(rest[0]),
            _ => panic!("{line:?} is no command"),
        }
        self.settle();
    }

    fn node_word(&mut self, words: &[&str]) {
        match words {
            [name, "down"] => self.set_state(name, NodeState::Down),
            [name, "up"] => self.set_state(name, NodeState::Ready),
            [name, "gone"] => {
                let node = self.find_node(name);
                self.commit(vec![Change::remove(node)]);
            }
            [name, labels @ ..] => {
                let mut node = fixture::node(name[1..].parse().unwrap());
                node.status.since = self.time();
                for label in labels {
                    let (key, value) = label.split_once('=').unwrap();
                    node.spec.labels.insert(key.to_owned(), value.to_owned());
                }
                self.commit(vec![Change::create(node)]);
            }
            [] => panic!("which node?"),
        }
    }

    fn set_state(&mut self, name: &str, state: NodeState) {
        let now = self.time();
        self.edit_node(name, |node| {
            node.status.state = state;
            node.status.since = now;
        });
    }

    fn find_node(&self, name: &str) -> Node {
        let mut nodes = self.state.nodes();
        Node::clone(nodes.find(|n| n.description.hostname == *name).unwrap())
    }

    fn edit_node(&mut self, name: &str, edit: impl FnOnce(&mut Node)) {
        let mut node = self.find_node(name);
        edit(&mut node);
        self.commit(vec![Change::update(node)]);
    }

    fn service(&self, name: &str) -> Service {
        let mut services = self.state.services();
        Service::clone(services.find(|s| *s.spec.name.as_str() == *name).unwrap())
    }

    fn create(&mut self, name: &str, words: &[&str]) {
        let number = u8::try_from(self.state.services().count() + 1).unwrap();
        let mut service = fixture::service(number, 1);
        service.spec.name = fixture::name(name);
        service.spec.task.command = vec!["v1".to_owned()];
        configure(&mut service.spec, words);
        self.use_secrets(&mut service.spec, words);
        service.run = orchestrator::first_run(&service.spec);
        self.commit(vec![Change::create(service)]);
    }

    /// `secret 1`: there is a secret pw1, or another version of it.
    fn secret(&mut self, number: &str) {
        let number: u8 = number.parse().unwrap();
        let Some(old) = self.state.material(fixture::material_id(number.into())) else {
            return self.commit(vec![Change::create(fixture::secret(number, 1))]);
        };
        let mut new = fixture::secret(number, old.current() + 1);
        new.meta = old.meta;
        let mut changes = Vec::new();
        for service in self.state.services() {
            let mut spec = service.spec.clone();
            let files = spec.task.files.iter_mut();
            for file in files.filter(|file| file.material == new.id) {
                file.version = new.current();
            }
            if spec != service.spec {
                changes.push(Change::update(orchestrator::refreshed(service, spec)));
            }
        }
        changes.push(Change::update(new));
        self.commit(changes);
    }

    /// `secret=1`: the present version of pw1.
    fn use_secrets(&self, spec: &mut ServiceSpec, words: &[&str]) {
        for word in words {
            if let Some(number) = word.strip_prefix("secret=") {
                let id = fixture::material_id(number.parse().unwrap());
                let secret = self.state.material(id).unwrap();
                spec.task.files = vec![fixture::file(secret, secret.current())];
            }
        }
    }

    fn running(&self, name: &str) -> Task {
        let mut tasks = self.tasks().into_iter();
        tasks
            .find(|task| task.name() == name && task.is_wanted())
            .unwrap_or_else(|| panic!("{name} does not run"))
    }

    fn end_task(&mut self, name: &str, state: TaskState, code: i32) {
        let id = self.running(name).id;
        self.report(id, state, Some(code));
    }

    /// `fate v2 fails after 1s`, `fate v2 completes after 1s`, `fate v2 hangs`, `fate v2 runs`.
    fn fate(&mut self, words: &[&str]) {
        let command = words[0].to_owned();
        let fate = match &words[1..] {
            ["fails", "after", time] => Fate::Ends(1, millis(time)),
            ["completes", "after", time] => Fate::Ends(0, millis(time)),
            ["hangs"] => Fate::Hangs,
            ["runs"] => {
                self.fates.remove(&command);
                return;
            }
            other => panic!("{other:?} is no fate"),
        };
        self.fates.insert(command, fate);
    }

    fn table(&mut self) {
        for task in self.tasks() {
            let node = task.node.map_or("-".to_owned(), |id| self.node_name(id));
            let line = format!(
                "{:<9} {:<9} {:<9} {:<4} {:<3} {}",
                self.tag(&task),
                task.status.state.to_string(),
                task.desired.to_string(),
                node,
                told(&task.spec),
                task.status.message,
            );
            self.log.push(line.trim_end().to_owned());
        }
    }

    fn status(&mut self, name: &str) {
        let service = self.service(name);
        let count = orchestrator::count(&self.state, &service);
        let mut line = format!(
            "{name} ({}): {} run, {} wanted",
            service.spec.mode, count.running, count.wanted
        );
        if service.spec.mode.is_job() {
            line.push_str(&format!(", {} completed", count.completed));
        }
        if let Some(update) = &service.update {
            line.push_str(&format!("; {}", update.state));
        }
        if let Some(previous) = &service.previous {
            line.push_str(&format!("; previous {}", told(&previous.task)));
        }
        self.log.push(line);
        let notes = orchestrator::notes(&self.state, service.id);
        for task in self.tasks() {
            let ended = task.status.state.is_terminal();
            if let Some(note) = notes.get(&task.id).filter(|_| ended) {
                self.log
                    .push(format!("  {}: {}", self.tag(&task), note.why));
            }
        }
    }
}

/// What a task is: its command, and its secrets in their versions: `v1+pw1:2`.
pub(super) fn told(spec: &TaskSpec) -> String {
    let files = spec.files.iter();
    let files = files.map(|file| format!("+{}:{}", file.name, file.version));
    [spec.command[0].clone()].into_iter().chain(files).collect()
}

fn millis(text: &str) -> i64 {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap());
    let number: i64 = number.parse().unwrap();
    match unit {
        "ms" => number,
        "s" => number * 1000,
        "m" => number * 60_000,
        "h" => number * 3_600_000,
        _ => panic!("{text:?} is no time"),
    }
}

fn span(text: &str) -> Duration {
    Duration::from_millis(millis(text).try_into().unwrap())
}

fn configure(spec: &mut ServiceSpec, words: &[&str]) {
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || value.parse::<u32>().unwrap();
        match key {
            "replicas" => match &mut spec.mode {
                Mode::ReplicatedJob { completions, .. } => *completions = number(),
                mode @ (Mode::Replicated { .. } | Mode::Global | Mode::GlobalJob) => {
                    *mode = Mode::Replicated { replicas: number() };
                }
            },
            "mode" => {
                spec.mode = match value {
                    "global" => Mode::Global,
                    "global-job" => Mode::GlobalJob,
                    "replicated-job" => Mode::ReplicatedJob {
                        completions: 1,
                        max_concurrent: 0,
                    },
                    _ => panic!("{value:?} is no mode"),
                };
                if spec.mode.is_job() {
                    spec.task.restart.condition = RestartCondition::OnFailure;
                }
            }
            "concurrent" => {
                if let Mode::ReplicatedJob { max_concurrent, .. } = &mut spec.mode {
                    *max_concurrent = number();
                }
            }
            "schedule" => spec.schedule = Some(value.replace('_', " ").parse().unwrap()),
            "command" => spec.task.command = vec![value.to_owned()],
            // See `use_secrets`.
            "secret" => {}
            "force" => spec.task.force_update += 1,
            "constraint" => {
                let (label, wanted) = value.split_once(':').unwrap();
                let text = format!("node.labels.{label}=={wanted}");
                spec.task.constraints = vec![text.parse().unwrap()];
            }
            "delay" => spec.task.restart.delay = span(value),
            "attempts" => spec.task.restart.max_attempts = number(),
            "window" => spec.task.restart.window = span(value),
            "condition" => {
                spec.task.restart.condition = match value {
                    "none" => RestartCondition::None,
                    "on-failure" => RestartCondition::OnFailure,
                    _ => RestartCondition::Any,
                }
            }
            key => match key.split_once('-') {
                Some(("update", key)) => roll(&mut spec.update, key, value),
                Some(("rollback", key)) => roll(&mut spec.rollback, key, value),
                _ => panic!("{key:?} is no setting"),
            },
        }
    }
}

fn roll(config: &mut UpdateConfig, key: &str, value: &str) {
    match key {
        "parallelism" => config.parallelism = value.parse().unwrap(),
        "delay" => config.delay = span(value),
        "monitor" => config.monitor = span(value),
        "ratio" => config.max_failure_ratio = value.parse().unwrap(),
        "order" => {
            config.order = match value {
                "start-first" => UpdateOrder::StartFirst,
                _ => UpdateOrder::StopFirst,
            }
        }
        "action" => {
            config.failure_action = match value {
                "rollback" => FailureAction::Rollback,
                "continue" => FailureAction::Continue,
                _ => FailureAction::Pause,
            }
        }
        _ => panic!("{key:?} is no setting of updates"),
    }
}
