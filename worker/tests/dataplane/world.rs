//! Two nodes in one process: a namespace each as their host, joined by a cable, and a data plane on
//! each. What a manager would tell is made from a list of tasks.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;
use tempfile::TempDir;
use weft_kernel::netlink::AddressOptions;
use weft_kernel::netlink::Alias;
use weft_kernel::netlink::IfName;
use weft_kernel::netlink::Netlink;
use weft_kernel::netlink::OperState;
use weft_kernel::netlink::VethEnd;
use weft_kernel::netns::Netns;
use weft_proto::NetworkId;
use weft_proto::NodeId;
use weft_proto::ServiceId;
use weft_proto::TaskId;
use weft_proto::addr::Vni;
use weft_proto::assignment::EndpointRecord;
use weft_proto::assignment::NetworkRecord;
use weft_proto::assignment::ServiceRecord;
use weft_proto::defaults;
use weft_proto::object::Meta;
use weft_proto::object::Task;
use weft_proto::object::TaskStatus;
use weft_proto::spec::NetworkRef;
use weft_proto::spec::Runtime;
use weft_proto::spec::TaskSpec;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;
use weft_worker::dataplane::DataPlane;
use weft_worker::dataplane::DataPlaneConfig;
use weft_worker::dataplane::Network;
use weft_worker::dataplane::NoIngress;
use weft_worker::desired::Desired;
use weft_worker::dns::ResolvConf;

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn network_id(n: u8) -> NetworkId {
    NetworkId::from_entropy(u128::from(n) << 100 | u128::from(n))
}

fn node_id(n: usize) -> NodeId {
    NodeId::from_entropy(u128::try_from(n).unwrap())
}

/// A task: `web.1` on node 1, with an address on each of its networks.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) name: &'static str,
    pub(crate) node: usize,
    pub(crate) at: Vec<(u8, &'static str)>,
    pub(crate) ready: bool,
}

pub(crate) fn placed(name: &'static str, node: usize, at: &[(u8, &'static str)]) -> Placed {
    Placed {
        name,
        node,
        at: at.to_vec(),
        ready: true,
    }
}

impl Placed {
    pub(crate) fn id(&self) -> TaskId {
        let (service, slot) = self.name.split_once('.').unwrap();
        let slot: u128 = slot.parse().unwrap();
        TaskId::from_entropy(u128::from(service.as_bytes()[0]) << 64 | slot)
    }

    fn service(&self) -> &'static str {
        self.name.split_once('.').unwrap().0
    }

    fn task(&self) -> Task {
        Task {
            meta: Meta::default(),
            id: self.id(),
            service: service_id(self.service()),
            service_name: self.service().parse().unwrap(),
            slot: self.name.split_once('.').unwrap().1.parse().unwrap(),
            iteration: 0,
            node: Some(node_id(self.node)),
            spec: spec(self.at.iter().map(|(network, _)| *network)).into(),
            status: TaskStatus {
                state: TaskState::Running,
                at: Timestamp::default(),
                message: String::new(),
                error: String::new(),
                exit_code: None,
            },
            desired: DesiredState::Running,
            addresses: self
                .at
                .iter()
                .map(|(network, address)| (network_id(*network), ip(address)))
                .collect(),
            ingress_addr: None,
        }
    }
}

fn service_id(name: &str) -> ServiceId {
    ServiceId::from_entropy(u128::from(name.as_bytes()[0]))
}

fn spec(networks: impl Iterator<Item = u8>) -> TaskSpec {
    let networks = networks.map(|network| NetworkRef {
        id: network_id(network),
        aliases: Vec::new(),
    });
    TaskSpec {
        runtime: Runtime::Process,
        command: vec!["true".to_owned()],
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
        networks: networks.collect(),
        stop_signal: defaults::STOP_SIGNAL.to_owned(),
        stop_grace: defaults::STOP_GRACE,
        force_update: 0,
        preferences: Vec::new(),
        max_per_node: None,
        reserved_generic: std::collections::BTreeMap::new(),
        host_ports: Vec::new(),
        health: None,
    }
}

/// A service on a network: name, network, virtual address.
pub(crate) type Served = (&'static str, u8, Option<&'static str>);

pub(crate) struct World {
    dir: TempDir,
    pub(crate) planes: Vec<DataPlane<NoIngress>>,
    pub(crate) tasks: Vec<Placed>,
    pub(crate) services: Vec<Served>,
    pub(crate) internal: bool,
    /// The subnet of each network.
    subnets: fn(u8) -> String,
    /// What the addresses of the underlay begin with.
    underlay: &'static str,
}

impl World {
    pub(crate) async fn new(tasks: Vec<Placed>, services: Vec<Served>) -> Self {
        Self::over("192.168.50.", tasks, services).await
    }

    pub(crate) async fn over(
        underlay: &'static str,
        tasks: Vec<Placed>,
        services: Vec<Served>,
    ) -> Self {
        let mut world = Self {
            underlay,
            dir: TempDir::with_prefix("weft-dataplane-").unwrap(),
            planes: Vec::new(),
            tasks,
            services,
            internal: true,
            subnets: |n| format!("10.5.{n}.0/24"),
        };
        world.lay_cable().await;
        for node in [1, 2] {
            let plane = world.open(node).await;
            world.planes.push(plane);
        }
        world
    }

    pub(crate) fn with_subnets(mut self, subnets: fn(u8) -> String) -> Self {
        self.subnets = subnets;
        self
    }

    async fn lay_cable(&self) {
        let [one, two] = [1, 2].map(|node| Netlink::open(&self.host(node)).unwrap());
        let end = VethEnd {
            name: IfName::new("eth0").unwrap(),
            alias: Alias::new("cable").unwrap(),
            mtu: 1500,
            mac: None,
        };
        let ends = one.ensure_veth(&end, &two, &end).await.unwrap();
        for (node, device) in [(1, &ends.0), (2, &ends.1)] {
            let net = ipnet::IpNet::new(self.data_addr(node), 24).unwrap();
            let options = AddressOptions {
                nodad: true,
                no_prefix_route: false,
            };
            device.add_address(net, options).await.unwrap();
            device.set_up().await.unwrap();
        }
        // The kernel may take up to a second to notice, and drops what is sent until then.
        let begun = Instant::now();
        for device in [ends.0, ends.1] {
            while device.observe().await.unwrap().oper != OperState::Up {
                assert!(begun.elapsed() < Duration::from_secs(10));
                tokio::task::yield_now().await;
            }
        }
    }

    fn data_addr(&self, n: usize) -> IpAddr {
        ip(&format!("{}{n}", self.underlay))
    }

    pub(crate) fn host(&self, node: usize) -> Netns {
        Netns::ensure(self.dir.path().join(format!("host{node}"))).unwrap()
    }

    pub(crate) fn run_dir(&self, node: usize) -> PathBuf {
        self.dir.path().join(format!("node{node}"))
    }

    pub(crate) async fn open(&self, node: usize) -> DataPlane<NoIngress> {
        DataPlane::open(self.config(node), NoIngress).await.unwrap()
    }

    pub(crate) fn config(&self, node: usize) -> DataPlaneConfig {
        DataPlaneConfig {
            run_dir: self.run_dir(node),
            me: node_id(node),
            data_addr: self.data_addr(node),
            resolv_conf: ResolvConf::default(),
            host: self.host(node),
        }
    }

    pub(crate) fn placed(&self, name: &str) -> &Placed {
        self.tasks.iter().find(|task| task.name == name).unwrap()
    }

    pub(crate) fn netns(&self, name: &str) -> Netns {
        let task = self.placed(name);
        let file = format!("netns/task-{}", task.id());
        Netns::open(self.run_dir(task.node).join(file)).unwrap()
    }

    pub(crate) fn network_netns(&self, node: usize, network: u8) -> Netns {
        let file = format!("netns/net-{}", network_id(network));
        Netns::open(self.run_dir(node).join(file)).unwrap()
    }

    /// What the manager tells a node.
    pub(crate) fn desired(&self, node: usize) -> Desired {
        let own: Vec<_> = self.tasks.iter().filter(|task| task.node == node).collect();
        let networks: BTreeSet<u8> = own
            .iter()
            .flat_map(|task| &task.at)
            .map(|(network, _)| *network)
            .collect();
        let mut desired = Desired {
            tasks: own.iter().map(|task| (task.id(), task.task())).collect(),
            ..Desired::default()
        };
        for &n in &networks {
            let id = network_id(n);
            let record = NetworkRecord {
                id,
                name: format!("net{n}").parse().unwrap(),
                vni: Vni::try_from(4096 + u32::from(n)).unwrap(),
                subnet: (self.subnets)(n).parse().unwrap(),
                internal: self.internal,
                encrypted: false,
            };
            desired.networks.insert(id, record);
            for task in &self.tasks {
                for (_, address) in task.at.iter().filter(|(at, _)| *at == n) {
                    let mut endpoint = endpoint(task, id, ip(address));
                    endpoint.node_data_addr = self.data_addr(task.node);
                    desired.endpoints.insert((id, task.id()), endpoint);
                }
            }
        }
        for (name, network, vip) in &self.services {
            if networks.contains(network) {
                let record = ServiceRecord {
                    network: network_id(*network),
                    service: service_id(name),
                    name: name.parse().unwrap(),
                    aliases: vec![format!("{name}-alias").parse().unwrap()],
                    vip: vip.map(ip),
                };
                desired
                    .services
                    .insert((record.network, record.service), record);
            }
        }
        desired
    }

    pub(crate) fn active(&self, node: usize) -> BTreeSet<TaskId> {
        let own = self.tasks.iter().filter(|task| task.node == node);
        own.map(Placed::id).collect()
    }

    /// One round on each node; nothing may fail.
    pub(crate) async fn reconcile(&mut self) {
        for node in [1, 2] {
            let (desired, active) = (self.desired(node), self.active(node));
            let round = self.planes[node - 1].reconcile(&desired, &active).await;
            assert_eq!(round.problems, Vec::<String>::new());
            let failed: BTreeMap<_, _> = round.tasks.iter().filter(|(_, it)| it.is_err()).collect();
            assert!(failed.is_empty(), "{failed:?}");
            assert_eq!(round.tasks.len(), active.len());
        }
    }
}

fn endpoint(task: &Placed, network: NetworkId, addr: IpAddr) -> EndpointRecord {
    EndpointRecord {
        network,
        task: task.id(),
        service: service_id(task.service()),
        name: task.name.to_owned(),
        addr,
        node: node_id(task.node),
        node_data_addr: IpAddr::from([0; 4]),
        ready: task.ready,
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for dir in ["", "node1/netns", "node2/netns"] {
            for path in Netns::list(self.dir.path().join(dir)).unwrap_or_default() {
                // What else could be done on the way out of a failed test?
                let _ = Netns::delete(path);
            }
        }
    }
}
