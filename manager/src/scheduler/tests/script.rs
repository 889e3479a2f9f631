//! Scheduler scripts: nodes, services and tasks as text, and what is made of them as text.
//!
//! ```text
//! node n1 cpu=4 memory=8GiB label=zone:a gpu=2 down|unknown|drain|pause
//! service web 3
//!   constraint node.labels.zone in (a, b)
//!   prefer spread=node.labels.zone
//!   reserve cpu=2 memory=512MiB gpu=1
//!   max-per-node 1
//!   host-port 8080
//! task web 1 running n1
//! ---
//! web.2 -> n1 10.255.1.10
//! web.3: no suitable node: ...
//! ```
//! Slots of a service without a `task` line are pending; `global NAME` has a pending task for each
//! node. The moment of the plan is minute 10; `task web 1 failed n1 minute=7` ended earlier.

use crate::fixture::*;
use crate::scheduler::plan;
use std::fmt::Write;
use weft_proto::command::Change;
use weft_proto::object::*;
use weft_proto::spec::*;
use weft_proto::task_state::TASK_STATES;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

/// What the plan makes of a script's state, a line for each task.
pub(super) fn run(script: &str) -> String {
    let world = World::read(script);
    let state = state(world.objects());
    let hostname = |id| state.node(id).unwrap().description.hostname.clone();
    let mut lines: Vec<((String, u32), String)> = Vec::new();
    for change in plan(&state, minute(10)) {
        let Change::Put {
            object: Object::Task(task),
            ..
        } = change
        else {
            panic!("{change:?}")
        };
        let mut line = task.name();
        if task.status.state == TaskState::Assigned {
            let node = hostname(task.node.unwrap());
            write!(line, " -> {node} {}", task.ingress_addr.unwrap()).unwrap();
        } else {
            write!(line, ": {}", task.status.message).unwrap();
        }
        lines.push(((task.service_name.to_string(), task.slot), line));
    }
    lines.sort();
    lines.into_iter().map(|(_, line)| line + "\n").collect()
}

fn minute(number: i64) -> Timestamp {
    Timestamp::from_millis(number * 60_000)
}

#[derive(Default)]
struct World {
    nodes: Vec<Node>,
    services: Vec<Service>,
    global: Vec<Service>,
    tasks: Vec<Task>,
}

impl World {
    fn read(script: &str) -> World {
        let mut world = World::default();
        for line in script.lines().map(str::trim) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "" | "#" => {}
                "node" => world.node(rest),
                "service" => world.service(rest),
                "global" => {
                    world.service(&format!("{rest} 0"));
                    let service = world.services.pop().unwrap();
                    world.global.push(service);
                }
                "task" => world.task(rest),
                "constraint" => world.spec().constraints.push(rest.parse().unwrap()),
                "prefer" => world.spec().preferences.push(rest.parse().unwrap()),
                "max-per-node" => world.spec().max_per_node = Some(rest.parse().unwrap()),
                "host-port" => world.spec().host_ports.push(HostPort {
                    protocol: Protocol::Tcp,
                    target: 80,
                    published: rest.parse().unwrap(),
                }),
                "reserve" => {
                    let spec = world.spec();
                    for pair in rest.split_whitespace() {
                        let reserved = (&mut spec.reservations, &mut spec.reserved_generic);
                        amount(reserved.0, reserved.1, pair);
                    }
                }
                other => panic!("unknown word {other:?} in {line:?}"),
            }
        }
        world
    }

    fn objects(self) -> Vec<Object> {
        let mut objects: Vec<Object> = vec![cluster().into()];
        let mut next = 1000;
        let mut pending = |service: &Service, slot| {
            next += 1;
            let mut task = task(next, service).slot(slot).state(TaskState::Pending);
            task.service_name = service.spec.name.clone();
            task
        };
        for service in &self.services {
            let Mode::Replicated { replicas } = service.spec.mode else {
                panic!()
            };
            let taken: Vec<u32> = self
                .tasks
                .iter()
                .filter(|task| task.service == service.id && !task.status.state.is_terminal())
                .map(|task| task.slot)
                .collect();
            let free = (1..=replicas).filter(|slot| !taken.contains(slot));
            objects.extend(free.map(|slot| Object::from(pending(service, slot))));
        }
        for service in &self.global {
            for node in &self.nodes {
                let slot = u32::from(node.number.get());
                objects.push(pending(service, slot).on(node).into());
            }
        }
        objects.extend(self.nodes.into_iter().map(Object::from));
        objects.extend(self.services.into_iter().map(Object::from));
        objects.extend(self.global.into_iter().map(Object::from));
        objects.extend(self.tasks.into_iter().map(Object::from));
        objects
    }

    fn node(&mut self, line: &str) {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut node = node(u16::try_from(self.nodes.len() + 1).unwrap());
        node.description.hostname = name.to_owned();
        for word in rest.split_whitespace() {
            match word {
                "down" => node.status.state = NodeState::Down,
                "unknown" => node.status.state = NodeState::Unknown,
                "drain" => node.spec.availability = Availability::Drain,
                "pause" => node.spec.availability = Availability::Pause,
                "manager" => node.spec.role = weft_proto::Role::Manager,
                "bare" => node.description.runtimes.clear(),
                pair => match pair.strip_prefix("label=") {
                    Some(label) => {
                        let (key, value) = label.split_once(':').unwrap();
                        node.spec.labels.insert(key.to_owned(), value.to_owned());
                    }
                    None => {
                        let about = &mut node.description;
                        amount(&mut about.resources, &mut about.generic, pair);
                    }
                },
            }
        }
        self.nodes.push(node);
    }

    fn service(&mut self, line: &str) {
        let (text, replicas) = line.split_once(' ').unwrap();
        let number = self.services.len() + self.global.len() * 10 + 1;
        let mut service = service(u8::try_from(number).unwrap(), replicas.parse().unwrap());
        service.spec.name = name(text);
        self.services.push(service);
    }

    /// The spec of the service that was named last.
    fn spec(&mut self) -> &mut TaskSpec {
        let service = self.services.last_mut().or(self.global.last_mut()).unwrap();
        &mut service.spec.task
    }

    fn task(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let service = self.services.iter().chain(&self.global);
        let service = service
            .into_iter()
            .find(|service| service.spec.name.to_string() == words[0])
            .unwrap()
            .clone();
        let state = TASK_STATES
            .into_iter()
            .find(|state| state.to_string() == words[2])
            .unwrap();
        let on = self
            .nodes
            .iter()
            .find(|node| node.description.hostname == words[3])
            .unwrap();
        let id = u128::try_from(self.tasks.len() + 1).unwrap();
        let mut task = task(id, &service)
            .slot(words[1].parse().unwrap())
            .state(state)
            .on(on);
        task.service_name = service.spec.name.clone();
        let minutes = words.get(4).and_then(|word| word.strip_prefix("minute="));
        task.status.at = minute(minutes.map_or(9, |minutes| minutes.parse().unwrap()));
        self.tasks.push(task);
    }
}

fn amount(resources: &mut Resources, generic: &mut Generic, pair: &str) {
    let (key, value) = pair.split_once('=').unwrap();
    match key {
        "cpu" => {
            let cpus: f64 = value.parse().unwrap();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "small"
            )]
            let nano = (cpus * 1e9) as u64;
            resources.nano_cpus = nano;
        }
        "memory" => {
            let (number, shift) = match (value.strip_suffix("MiB"), value.strip_suffix("GiB")) {
                (Some(number), _) => (number, 20),
                (_, Some(number)) => (number, 30),
                _ => panic!("{pair}"),
            };
            resources.memory_bytes = number.parse::<u64>().unwrap() << shift;
        }
        name => _ = generic.insert(name.to_owned(), value.parse().unwrap()),
    }
}
