//! How fast the leader decides on tasks, and what a task costs: rounds of the planner on a state
//! with a thousand nodes, every transaction encoded, decoded and applied as the log does it, but
//! without disks and other managers. `cargo bench -p weft-manager --bench placing`.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on ends")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use weft_manager::leader::Planner;
use weft_manager::store::State;
use weft_manager::store::Store;
use weft_proto::ClusterId;
use weft_proto::CommandId;
use weft_proto::NetworkId;
use weft_proto::NodeId;
use weft_proto::Role;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::addr::NodeNumber;
use weft_proto::addr::Vni;
use weft_proto::command::Change;
use weft_proto::command::Command;
use weft_proto::command::StoreSnapshot;
use weft_proto::defaults;
use weft_proto::object::*;
use weft_proto::spec::*;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;

const NODES: u16 = 1_000;
/// Changes in a transaction, as the leader bounds it.
const BATCH: usize = 1_000;

struct Bench {
    store: Store,
    planner: Planner,
    seen: Option<u64>,
    ids: u128,
    bytes: usize,
    planning: f64,
    applying: f64,
}

impl Bench {
    fn write(&mut self, changes: Vec<Change>) {
        let index = self.store.view().revision() + 1;
        let command = Command {
            id: CommandId::from_entropy(index.into()),
            at: Timestamp::from_millis(1),
            changes,
            actor: None,
        };
        let begun = cpu();
        let bytes = command.encode();
        self.bytes += bytes.len();
        let command = Command::decode(&bytes).unwrap();
        self.store.apply(index, &command).unwrap();
        self.applying += cpu() - begun;
    }

    fn write_all(&mut self, mut changes: Vec<Change>) {
        while !changes.is_empty() {
            let rest = changes.split_off(changes.len().min(BATCH));
            self.write(std::mem::replace(&mut changes, rest));
        }
    }

    /// Rounds until there is nothing to do.
    fn settle(&mut self) {
        loop {
            let view = self.store.view();
            let changed = self
                .seen
                .and_then(|seen| self.store.changes_since(seen).ok());
            self.seen = Some(view.revision());
            let ids = &mut self.ids;
            let mut new_id = || {
                // Spread as real identifiers are.
                *ids += 1;
                TaskId::from_entropy(ids.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
            };
            let begun = cpu();
            let now = Timestamp::from_millis(1);
            let round = self
                .planner
                .round(&view, changed.as_deref(), now, &mut new_id);
            self.planning += cpu() - begun;
            if round.changes.is_empty() {
                return;
            }
            self.write_all(round.changes);
        }
    }
}

fn main() {
    println!("tasks  services  planned+applied/s  planning us/task  log us/task  log bytes/task");
    for (services, replicas) in [
        (1, 100),
        (1, 1_000),
        (10, 1_000),
        (100, 1_000),
        (10_000, 10),
    ] {
        let bench = create(services, replicas);
        let tasks = f64::from(services * replicas);
        println!(
            "{tasks:>6} {services:>9} {:>18.0} {:>17.1} {:>12.1} {:>15.0}",
            tasks / (bench.planning + bench.applying),
            1e6 * bench.planning / tasks,
            1e6 * bench.applying / tasks,
            bench.bytes as f64 / tasks,
        );
    }
    memory_and_restart();
}

/// A cluster in which services were made one after the other.
fn create(services: u32, replicas: u32) -> Bench {
    let mut bench = Bench {
        store: Store::default(),
        planner: Planner::default(),
        seen: None,
        ids: 0,
        bytes: 0,
        planning: 0.0,
        applying: 0.0,
    };
    let mut base: Vec<Change> = vec![Change::create(cluster()), Change::create(network())];
    base.extend((1..=NODES).map(|n| Change::create(node(n))));
    bench.write_all(base);
    bench.settle();
    (bench.bytes, bench.planning, bench.applying) = (0, 0.0, 0.0);
    for n in 0..services {
        bench.write(vec![Change::create(service(n, replicas))]);
        bench.settle();
    }
    let placed = |task: &std::sync::Arc<Task>| task.status.state == TaskState::Assigned;
    let view = bench.store.view();
    assert_eq!(
        view.tasks().filter(|t| placed(t)).count(),
        (services * replicas) as usize
    );
    bench
}

fn memory_and_restart() {
    let before = resident();
    let bench = create(100, 1_000);
    let snapshot = bench.store.view().to_snapshot().encode();
    drop(bench);
    let empty = resident();
    let begun = cpu();
    let decoded = StoreSnapshot::decode(&snapshot).unwrap();
    let read = cpu() - begun;
    let state = State::from_snapshot(decoded);
    let restored = cpu() - begun;
    println!(
        "100000 tasks: snapshot {} bytes/task, decoded in {read:.2} s, restored in {restored:.2} s",
        snapshot.len() / 100_000
    );
    println!(
        "memory: {} KiB before, {} KiB after a full run was dropped, {} KiB with the restored state",
        before >> 10,
        empty >> 10,
        resident() >> 10
    );
    let tasks = state.tasks().count();
    assert_eq!(tasks, 100_000);
}

/// Seconds that this thread was on a processor: others on the machine do not count.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanos: f64 = text.split_whitespace().next().unwrap().parse().unwrap();
    nanos / 1e9
}

/// Bytes of memory in use by this process.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().unwrap();
    kib << 10
}

fn cluster() -> Cluster {
    let mut settings = defaults::settings();
    settings.ingress_pool = "100.64.0.0/10".parse().unwrap();
    Cluster {
        meta: Meta::default(),
        id: ClusterId::from_entropy(1),
        root_certificate: vec![1],
        root_key: "key".to_owned(),
        worker_token: "w".to_owned(),
        manager_token: "m".to_owned(),
        next_raft_id: 2,
        settings,
        keys_wanted: 0,
    }
}

fn network() -> Network {
    Network {
        meta: Meta::default(),
        id: NetworkId::from_entropy(1),
        spec: NetworkSpec {
            name: "net".parse().unwrap(),
            labels: Labels::new(),
            subnet: None,
            internal: false,
            attachable: false,
            encrypted: false,
        },
        vni: Vni::try_from(4097).unwrap(),
        subnet: "10.0.0.0/12".parse().unwrap(),
    }
}

fn node(n: u16) -> Node {
    let [high, low] = n.to_be_bytes();
    Node {
        meta: Meta::default(),
        id: NodeId::from_entropy(n.into()),
        spec: NodeSpec {
            role: Role::Worker,
            availability: Availability::Active,
            labels: Labels::from([("zone".to_owned(), format!("z{}", n % 3))]),
        },
        description: NodeDescription {
            hostname: format!("n{n}"),
            os: "linux".to_owned(),
            arch: "x86_64".to_owned(),
            version: "0.1.0".to_owned(),
            resources: Resources {
                nano_cpus: 64_000_000_000,
                memory_bytes: 256 << 30,
            },
            runtimes: vec![Runtime::Process],
            generic: Generic::new(),
            encrypts: false,
        },
        status: NodeStatus {
            state: NodeState::Ready,
            message: String::new(),
            since: Timestamp::default(),
        },
        number: NodeNumber::try_from(n).unwrap(),
        data_addr: IpAddr::V4(Ipv4Addr::new(192, 168, high, low)),
        manager: None,
        tunnel_key: None,
    }
}

fn service(n: u32, replicas: u32) -> Service {
    let spec = TaskSpec {
        runtime: Runtime::Process,
        command: ["nginx", "-g", "daemon off;"].map(str::to_owned).to_vec(),
        env: vec!["NGINX_PORT=8080".to_owned(), "LOG_LEVEL=info".to_owned()],
        working_dir: None,
        user: None,
        hostname: None,
        files: Vec::new(),
        template_labels: std::collections::BTreeMap::new(),
        limits: defaults::RESOURCES,
        reservations: Resources {
            nano_cpus: 100_000_000,
            memory_bytes: 64 << 20,
        },
        restart: defaults::RESTART,
        constraints: vec!["node.role==worker".parse().unwrap()],
        networks: vec![NetworkRef {
            id: NetworkId::from_entropy(1),
            aliases: vec![],
        }],
        stop_signal: defaults::STOP_SIGNAL.to_owned(),
        stop_grace: defaults::STOP_GRACE,
        force_update: 0,
        preferences: vec!["spread=node.labels.zone".parse().unwrap()],
        max_per_node: None,
        reserved_generic: Generic::new(),
        host_ports: Vec::new(),
        health: None,
    };
    Service {
        meta: Meta::default(),
        id: ServiceId::from_entropy(u128::from(n) + 1),
        spec: ServiceSpec {
            name: format!("service-{n}").parse().unwrap(),
            labels: Labels::new(),
            task: spec.into(),
            mode: Mode::Replicated { replicas },
            update: defaults::UPDATE,
            rollback: defaults::ROLLBACK,
            schedule: None,
            endpoint_mode: EndpointMode::Vip,
            ports: Vec::new(),
        },
        vips: BTreeMap::new(),
        ports: Vec::new(),
        previous: None,
        update: None,
        run: None,
    }
}
