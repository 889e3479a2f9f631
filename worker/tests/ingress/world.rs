//! Three hosts, a client and a wire. Everything is gone when a test ends, however it ends.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;
use weft_kernel::netns::Netns;
use weft_proto::NetworkId;
use weft_proto::NodeId;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::addr::IngressSlice;
use weft_proto::addr::NodeNumber;
use weft_proto::assignment::Backend;
use weft_proto::assignment::NetworkRecord;
use weft_proto::assignment::PeerRecord;
use weft_proto::assignment::PublishedRecord;
use weft_proto::defaults;
use weft_proto::object::Meta;
use weft_proto::object::Task;
use weft_proto::object::TaskStatus;
use weft_proto::spec::Protocol;
use weft_proto::spec::Runtime;
use weft_proto::spec::TaskSpec;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;
use weft_worker::dataplane::IngressPlane;
use weft_worker::desired::Desired;
use weft_worker::ingress::Ingress;
use weft_worker::ingress::IngressConfig;

use crate::people::PATIENCE;

/// The outside client's address.
pub(crate) const CLIENT: &str = "192.0.2.9";

/// The hosts: `192.0.2.1` to `192.0.2.3`.
pub(crate) const A: usize = 0;
pub(crate) const B: usize = 1;
pub(crate) const C: usize = 2;

pub(crate) struct World {
    dir: TempDir,
    pub(crate) client: Netns,
    pub(crate) hosts: Vec<Host>,
    pub(crate) desired: Desired,
}

pub(crate) struct Host {
    pub(crate) netns: Netns,
    pub(crate) ip: Ipv4Addr,
    data_addr: IpAddr,
    pub(crate) slice: IngressSlice,
    pub(crate) run_dir: PathBuf,
    pub(crate) id: NodeId,
    pub(crate) ingress: Ingress,
    pub(crate) tasks: BTreeMap<TaskId, Netns>,
}

/// A task: its namespace, and where the mesh finds it.
#[derive(Clone)]
pub(crate) struct Placed {
    pub(crate) id: TaskId,
    pub(crate) netns: Netns,
    pub(crate) addr: Ipv4Addr,
}

impl World {
    /// Hosts with strict source checks, as many distributions have them, and no mesh yet.
    pub(crate) fn new() -> Self {
        Self::over(|n| Ipv4Addr::new(192, 0, 2, n).into())
    }

    /// The same, with IPv6 between the nodes.
    pub(crate) fn over_v6() -> Self {
        Self::over(|n| format!("fd00:50::{n}").parse().unwrap())
    }

    fn over(data_addr: impl Fn(u8) -> IpAddr) -> Self {
        let dir = TempDir::with_prefix("weft-ingress-").unwrap();
        let make = |name: &str| Netns::create(dir.path().join(name)).unwrap();
        let wire = make("wire");
        ip(&wire, "link add br0 type bridge");
        ip(&wire, "link set br0 up");
        let plug = |netns: &Netns, name: &str, address: &str| {
            let path = dir.path().join(name);
            let peer = format!("peer name eth0 netns {}", path.display());
            ip(&wire, &format!("link add {name} type veth {peer}"));
            ip(&wire, &format!("link set {name} master br0 up"));
            ip(netns, &format!("addr add {address}/24 dev eth0"));
            // Link-local addresses come when they like and would spoil comparisons.
            ip(netns, "link set eth0 addrgenmode none up");
            operates(&wire, name);
            operates(netns, "eth0");
        };
        let client = make("client");
        plug(&client, "client", CLIENT);
        let mut desired = Desired::default();
        let hosts = (1..=3u8).map(|n| {
            let name = format!("host{n}");
            let netns = make(&name);
            let address = Ipv4Addr::new(192, 0, 2, n);
            plug(&netns, &name, &address.to_string());
            let data_addr = data_addr(n);
            if data_addr.is_ipv6() {
                ip(&netns, &format!("addr add {data_addr}/64 dev eth0 nodad"));
            }
            write_sysctl(&netns, "net/ipv4/conf/all/rp_filter", "1");
            let peer = PeerRecord {
                node: NodeId::from_entropy(n.into()),
                hostname: name.clone(),
                number: number(n),
                data_addr,
                ingress_pool: defaults::ingress_pool(),
            };
            let run_dir = dir.path().join(format!("run{n}"));
            desired.peers.insert(peer.node, peer.clone());
            Host {
                ingress: open(&run_dir, peer.node, data_addr, &netns),
                netns,
                ip: address,
                data_addr,
                slice: IngressSlice::of(peer.ingress_pool, peer.number).unwrap(),
                run_dir,
                id: peer.node,
                tasks: BTreeMap::new(),
            }
        });
        let hosts = hosts.collect();
        Self {
            dir,
            client,
            hosts,
            desired,
        }
    }

    /// A new task on a host, on these networks.
    pub(crate) fn task(&mut self, host: usize, networks: &[NetworkId]) -> Placed {
        let n = u128::try_from(self.desired.tasks.len()).unwrap() + 1;
        let netns = Netns::create(self.dir.path().join(format!("task{n}"))).unwrap();
        let host = &mut self.hosts[host];
        let addr = host.slice.at(10 + u8::try_from(host.tasks.len()).unwrap());
        let id = TaskId::from_entropy(n);
        let task = record(id, host.id, addr, networks);
        self.desired.tasks.insert(id, task);
        host.tasks.insert(id, netns.clone());
        Placed { id, netns, addr }
    }

    /// A network for tasks.
    pub(crate) fn network(&mut self, n: u32, internal: bool) -> NetworkId {
        let id = NetworkId::from_entropy(n.into());
        let record = NetworkRecord {
            id,
            name: format!("net{n}").parse().unwrap(),
            vni: (5000 + n).try_into().unwrap(),
            subnet: "10.0.1.0/24".parse().unwrap(),
            internal,
            encrypted: false,
        };
        self.desired.networks.insert(id, record);
        id
    }

    /// Publishes a port, or changes where it leads: to these tasks, at 8000.
    pub(crate) fn publish(&mut self, protocol: Protocol, port: u16, tasks: &[&Placed]) {
        let backends = tasks.iter().map(|task| Backend {
            task: task.id,
            addr: task.addr,
            port: 8000,
        });
        let record = PublishedRecord {
            protocol,
            port,
            service_name: "web".parse().unwrap(),
            backends: backends.collect(),
        };
        self.desired.published.insert((protocol, port), record);
    }

    /// One round on every host, without problems.
    pub(crate) async fn settle(&mut self) {
        for host in &mut self.hosts {
            let problems = host.ingress.reconcile(&self.desired, &host.tasks).await;
            assert_eq!(problems, BTreeMap::new());
        }
    }

    /// Ends a host's daemon and starts it again.
    pub(crate) fn restart(&mut self, host: usize) {
        let host = &mut self.hosts[host];
        host.ingress = open(&host.run_dir, host.id, host.data_addr, &host.netns);
    }

    pub(crate) fn inner(&self, host: usize) -> Netns {
        Netns::open(self.hosts[host].run_dir.join("netns/ingress")).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let inner = self.hosts.iter().map(|host| host.run_dir.join("netns"));
        for dir in inner.chain([self.dir.path().to_owned()]) {
            for path in Netns::list(dir).unwrap() {
                Netns::delete(path).unwrap();
            }
        }
    }
}

fn open(run_dir: &std::path::Path, me: NodeId, data_addr: IpAddr, host: &Netns) -> Ingress {
    let config = IngressConfig {
        run_dir: run_dir.to_owned(),
        me,
        data_addr,
        host: Some(host.clone()),
    };
    Ingress::open(config).unwrap()
}

fn number(n: u8) -> NodeNumber {
    u16::from(n).try_into().unwrap()
}

fn record(id: TaskId, node: NodeId, addr: Ipv4Addr, networks: &[NetworkId]) -> Task {
    let on = |(at, network): (usize, &NetworkId)| {
        let host = u8::try_from(at).unwrap() + 2;
        (*network, IpAddr::from([10, 0, 1, host]))
    };
    Task {
        meta: Meta::default(),
        id,
        service: ServiceId::from_entropy(1),
        service_name: "web".parse().unwrap(),
        slot: 1,
        iteration: 0,
        node: Some(node),
        spec: TaskSpec {
            runtime: Runtime::Process,
            command: vec!["serve".to_owned()],
            env: Vec::new(),
            working_dir: None,
            user: None,
            hostname: None,
            files: Vec::new(),
            template_labels: std::collections::BTreeMap::new(),
            limits: defaults::RESOURCES,
            reservations: defaults::RESOURCES,
            restart: defaults::RESTART,
            constraints: Vec::new(),
            networks: Vec::new(),
            stop_signal: defaults::STOP_SIGNAL.to_owned(),
            stop_grace: defaults::STOP_GRACE,
            force_update: 0,
            preferences: Vec::new(),
            max_per_node: None,
            reserved_generic: std::collections::BTreeMap::new(),
            host_ports: Vec::new(),
            health: None,
        }
        .into(),
        status: TaskStatus {
            state: TaskState::Running,
            at: Timestamp::default(),
            message: String::new(),
            error: String::new(),
            exit_code: None,
        },
        desired: DesiredState::Running,
        addresses: networks.iter().enumerate().map(on).collect(),
        ingress_addr: Some(addr),
    }
}

pub(crate) fn write_sysctl(netns: &Netns, key: &str, value: &str) {
    weft_kernel::sysctl::set(netns, key, value).unwrap();
}

/// Waits until a link carries packets.
fn operates(netns: &Netns, link: &str) {
    let begun = Instant::now();
    while !ip(netns, &format!("link show {link}")).contains("state UP") {
        assert!(begun.elapsed() < PATIENCE, "{link} stays down");
        sleep(Duration::from_millis(10));
    }
}

/// `ip`, to build the world.
pub(crate) fn ip(netns: &Netns, arguments: &str) -> String {
    oracle(netns, "ip", arguments)
}

/// The output of a program run in `netns`.
pub(crate) fn oracle(netns: &Netns, program: &str, arguments: &str) -> String {
    let arguments = arguments.split_whitespace();
    let output = netns
        .run_in(|| Command::new(program).args(arguments).output())
        .unwrap()
        .unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
