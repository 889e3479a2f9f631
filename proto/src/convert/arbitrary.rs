//! Strategies for every domain value, as it can come through the door.

use crate::addr::NodeNumber;
use crate::addr::Vni;
use crate::convert::MAX_REPLICAS;
use crate::convert::MAX_STOP_GRACE;
use crate::id::ClusterId;
use crate::id::CommandId;
use crate::id::JoinTokenId;
use crate::id::MaterialId;
use crate::id::NetworkId;
use crate::id::NodeId;
use crate::id::ServiceId;
use crate::id::TaskId;
use crate::key::SecretKey;
use crate::key::TunnelKey;
use crate::name::Name;
use crate::object::Cluster;
use crate::object::ClusterSettings;
use crate::object::Data;
use crate::object::IssuedToken;
use crate::object::JobRun;
use crate::object::KeyEpoch;
use crate::object::KeyPhase;
use crate::object::KeyRing;
use crate::object::ManagerStatus;
use crate::object::Material;
use crate::object::MaterialVersion;
use crate::object::Meta;
use crate::object::Network;
use crate::object::Node;
use crate::object::NodeDescription;
use crate::object::NodeState;
use crate::object::NodeStatus;
use crate::object::PendingNode;
use crate::object::Service;
use crate::object::UpdateState;
use crate::object::UpdateStatus;
use crate::role::Role;
use crate::spec::Availability;
use crate::spec::Constraint;
use crate::spec::EndpointMode;
use crate::spec::FailureAction;
use crate::spec::FileRef;
use crate::spec::Generic;
use crate::spec::HealthCheck;
use crate::spec::HostPort;
use crate::spec::Hostname;
use crate::spec::Labels;
use crate::spec::MaterialKind;
use crate::spec::MaterialName;
use crate::spec::MaterialSpec;
use crate::spec::Mode;
use crate::spec::NetworkRef;
use crate::spec::NetworkSpec;
use crate::spec::NodeSpec;
use crate::spec::Port;
use crate::spec::Protocol;
use crate::spec::Ratio;
use crate::spec::Resources;
use crate::spec::RestartCondition;
use crate::spec::RestartPolicy;
use crate::spec::Runtime;
use crate::spec::ServiceSpec;
use crate::spec::SpreadPreference;
use crate::spec::TaskSpec;
use crate::spec::UpdateConfig;
use crate::spec::UpdateOrder;
use crate::time::Timestamp;
use ipnet::IpNet;
use ipnet::Ipv4Net;
use ipnet::Ipv6Net;
use proptest::collection::btree_map;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

macro_rules! ids {
    ($($name:ident: $id:ident),*) => {$(
        pub(super) fn $name() -> impl Strategy<Value = $id> {
            any::<u128>().prop_map($id::from_entropy)
        }
    )*};
}
ids!(cluster_id: ClusterId, command_id: CommandId, join_token_id: JoinTokenId, material_id: MaterialId, network_id: NetworkId, node_id: NodeId, service_id: ServiceId, task_id: TaskId);

pub(super) fn name() -> impl Strategy<Value = Name> {
    "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?".prop_map(|text| text.parse().unwrap())
}

pub(super) fn text() -> impl Strategy<Value = String> {
    "\\PC{0,12}"
}

pub(super) fn at() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_millis)
}

fn millis() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_millis)
}

fn labels() -> impl Strategy<Value = Labels> {
    btree_map("[a-z.]{1,8}", text(), 0..3)
}

pub(super) fn meta() -> impl Strategy<Value = Meta> {
    (any::<u64>(), at(), at()).prop_map(|(version, created_at, updated_at)| Meta {
        version,
        created_at,
        updated_at,
    })
}

pub(super) fn ip() -> impl Strategy<Value = IpAddr> {
    any::<IpAddr>()
}

pub(super) fn socket() -> impl Strategy<Value = SocketAddr> {
    (ip(), any::<u16>()).prop_map(SocketAddr::from)
}

pub(super) fn subnet() -> impl Strategy<Value = IpNet> {
    // 10.0.0.0/8 and fd00::/8: never reserved.
    let v4 = (any::<u32>(), 8u8..=29).prop_map(|(bits, prefix)| {
        let addr = Ipv4Addr::from_bits(bits & 0x00ff_ffff | 0x0a00_0000);
        IpNet::V4(Ipv4Net::new(addr, prefix).unwrap().trunc())
    });
    let v6 = (any::<u128>(), 8u8..=120).prop_map(|(bits, prefix)| {
        let addr = Ipv6Addr::from_bits(bits >> 8 | 0xfd << 120);
        IpNet::V6(Ipv6Net::new(addr, prefix).unwrap().trunc())
    });
    prop_oneof![v4, v6]
}

pub(super) fn vni() -> impl Strategy<Value = Vni> {
    (1..=Vni::MAX.get()).prop_map(|number| Vni::try_from(number).unwrap())
}

pub(super) fn number() -> impl Strategy<Value = NodeNumber> {
    (1..=u16::MAX).prop_map(|number| NodeNumber::try_from(number).unwrap())
}

pub(super) fn protocol() -> impl Strategy<Value = Protocol> {
    select(vec![Protocol::Tcp, Protocol::Udp])
}

pub(super) fn resources() -> impl Strategy<Value = Resources> {
    (any::<u64>(), any::<u64>()).prop_map(|(nano_cpus, memory_bytes)| Resources {
        nano_cpus,
        memory_bytes,
    })
}

pub(super) fn settings() -> impl Strategy<Value = ClusterSettings> {
    let ttl = (1..=u64::MAX).prop_map(Duration::from_millis);
    let rotation = (1_000u64..=30 * 24 * 3_600_000).prop_map(Duration::from_millis);
    let times = (ttl, rotation);
    (
        vec(subnet(), 0..3),
        8u8..=120,
        any::<u32>(),
        8u8..=24,
        times,
    )
        .prop_map(
            |(address_pools, subnet_prefix, bits, prefix, (certificate_ttl, key_rotation))| {
                ClusterSettings {
                    address_pools,
                    subnet_prefix,
                    ingress_pool: Ipv4Net::new(Ipv4Addr::from_bits(bits), prefix)
                        .unwrap()
                        .trunc(),
                    certificate_ttl,
                    key_rotation,
                }
            },
        )
}

pub(super) fn cluster() -> impl Strategy<Value = Cluster> {
    let secrets = (any::<Vec<u8>>(), text(), text(), text());
    let counts = (any::<u64>(), any::<u64>());
    (meta(), cluster_id(), secrets, counts, settings()).prop_map(
        |(meta, id, secrets, (next_raft_id, keys_wanted), settings)| Cluster {
            meta,
            id,
            root_certificate: secrets.0,
            root_key: secrets.1,
            worker_token: secrets.2,
            manager_token: secrets.3,
            next_raft_id,
            settings,
            keys_wanted,
        },
    )
}

pub(super) fn node_spec() -> impl Strategy<Value = NodeSpec> {
    let availability = vec![
        Availability::Active,
        Availability::Pause,
        Availability::Drain,
    ];
    let role = select(vec![Role::Worker, Role::Manager]);
    (role, select(availability), labels()).prop_map(|(role, availability, labels)| NodeSpec {
        role,
        availability,
        labels,
    })
}

pub(super) fn description() -> impl Strategy<Value = NodeDescription> {
    let runtimes = vec(Just(Runtime::Process), 0..2);
    let has = (resources(), runtimes, generic(), any::<bool>());
    (text(), text(), text(), text(), has).prop_map(
        |(hostname, os, arch, version, (resources, runtimes, generic, encrypts))| NodeDescription {
            hostname,
            os,
            arch,
            version,
            resources,
            runtimes,
            generic,
            encrypts,
        },
    )
}

pub(super) fn secret_key() -> impl Strategy<Value = SecretKey> {
    any::<[u8; 32]>().prop_map(SecretKey::new)
}

pub(super) fn tunnel_key() -> impl Strategy<Value = TunnelKey> {
    (1..=u8::MAX, any::<[u8; 31]>()).prop_map(|(first, rest)| {
        let bytes = [&[first][..], &rest].concat();
        TunnelKey::try_from(bytes.as_slice()).unwrap()
    })
}

pub(super) fn key_ring() -> impl Strategy<Value = KeyRing> {
    let epochs = btree_map(any::<u64>(), (secret_key(), at(), at()), 1..5);
    (meta(), epochs, any::<bool>()).prop_map(|(meta, epochs, distributing)| {
        let last = epochs.len() - 1;
        let active = last - usize::from(distributing && last > 0);
        let epochs = epochs.into_iter().enumerate();
        let epoch = |(n, (number, (key, born, since))): (usize, (u64, _))| KeyEpoch {
            number,
            key,
            born,
            since,
            phase: match n.cmp(&active) {
                std::cmp::Ordering::Less => KeyPhase::Retired,
                std::cmp::Ordering::Equal => KeyPhase::Active,
                std::cmp::Ordering::Greater => KeyPhase::Distributing,
            },
        };
        KeyRing {
            meta,
            epochs: epochs.map(epoch).collect(),
        }
    })
}

pub(super) fn node() -> impl Strategy<Value = Node> {
    let state = select(vec![NodeState::Unknown, NodeState::Ready, NodeState::Down]);
    let status = (state, text(), at()).prop_map(|(state, message, since)| NodeStatus {
        state,
        message,
        since,
    });
    let manager =
        (any::<u64>(), socket()).prop_map(|(raft_id, addr)| ManagerStatus { raft_id, addr });
    let said = (node_spec(), description(), status);
    let rest = (option::of(manager), option::of(tunnel_key()));
    (meta(), node_id(), said, number(), ip(), rest).prop_map(
        |(meta, id, (spec, description, status), number, data_addr, (manager, tunnel_key))| Node {
            meta,
            id,
            spec,
            description,
            status,
            number,
            data_addr,
            manager,
            tunnel_key,
        },
    )
}

fn pending() -> impl Strategy<Value = PendingNode> {
    let place = (ip(), option::of(socket()));
    (node_id(), description(), place, at(), any::<bool>()).prop_map(
        |(id, description, (data_addr, advertise_addr), asked, rejected)| PendingNode {
            id,
            description,
            data_addr,
            advertise_addr,
            asked,
            rejected,
        },
    )
}

pub(super) fn join_token() -> impl Strategy<Value = IssuedToken> {
    let role = select(vec![Role::Worker, Role::Manager]);
    let what = (role, any::<[u8; 32]>(), text(), labels(), any::<bool>());
    let bounds = (option::of(at()), option::of(any::<u32>()), any::<u32>());
    (meta(), join_token_id(), what, bounds, vec(pending(), 0..3)).prop_map(
        |(meta, id, what, bounds, pending)| IssuedToken {
            meta,
            id,
            role: what.0,
            sha256: what.1,
            name: what.2,
            expires: bounds.0,
            uses_left: bounds.1,
            used: bounds.2,
            labels: what.3,
            approve: what.4,
            pending,
        },
    )
}

pub(super) fn network_spec() -> impl Strategy<Value = NetworkSpec> {
    (
        name(),
        labels(),
        option::of(subnet()),
        (any::<bool>(), any::<bool>(), any::<bool>()),
    )
        .prop_map(
            |(name, labels, subnet, (internal, attachable, encrypted))| NetworkSpec {
                name,
                labels,
                subnet,
                internal,
                attachable,
                encrypted,
            },
        )
}

pub(super) fn network() -> impl Strategy<Value = Network> {
    (meta(), network_id(), network_spec(), vni(), subnet()).prop_map(
        |(meta, id, spec, vni, subnet)| Network {
            meta,
            id,
            spec,
            vni,
            subnet,
        },
    )
}

pub(super) fn material_kind() -> impl Strategy<Value = MaterialKind> {
    select(vec![MaterialKind::Secret, MaterialKind::Config])
}

pub(super) fn material_name() -> impl Strategy<Value = MaterialName> {
    "[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,20}[a-zA-Z0-9])?".prop_map(|text| text.parse().unwrap())
}

pub(super) fn data() -> impl Strategy<Value = Data> {
    vec(any::<u8>(), 0..9).prop_map(Data::new)
}

pub(super) fn material() -> impl Strategy<Value = Material> {
    let spec = (material_name(), labels(), any::<bool>()).prop_map(|(name, labels, template)| {
        MaterialSpec {
            name,
            labels,
            template,
        }
    });
    let version = (at(), data()).prop_map(|(at, data)| MaterialVersion { at, data });
    let versions = btree_map(1..=u64::MAX, version, 1..3);
    (meta(), material_id(), material_kind(), spec, versions)
        .prop_map(|(meta, id, kind, spec, versions)| Material {
            meta,
            id,
            kind,
            spec,
            versions,
        })
        .boxed()
}

fn files() -> impl Strategy<Value = Vec<FileRef>> {
    let what = (
        material_kind(),
        material_id(),
        material_name(),
        any::<u64>(),
    );
    let owner = (any::<u32>(), any::<u32>(), 0..=0o777u32);
    btree_map("/[a-z]{1,4}(/[a-z]{1,4})?", (what, owner), 0..3).prop_map(|files| {
        let file = |(target, (what, owner)): (String, _)| {
            let ((kind, material, name, version), (uid, gid, mode)) = (what, owner);
            FileRef {
                kind,
                material,
                name,
                version,
                target,
                uid,
                gid,
                mode,
            }
        };
        let mut files: Vec<FileRef> = files.into_iter().map(file).collect();
        let inside = |inner: &str, outer: &str| inner.starts_with(&format!("{outer}/"));
        let all = files.clone();
        files.retain(|file| !all.iter().any(|other| inside(&file.target, &other.target)));
        files
    })
}

fn hostname() -> impl Strategy<Value = Hostname> {
    let template = Just("{{.Node.Hostname}}-{{.Task.Slot}}".to_owned());
    prop_oneof![name().prop_map(|name| name.to_string()), template]
        .prop_map(|text| text.parse().unwrap())
}

fn restart() -> impl Strategy<Value = RestartPolicy> {
    let condition = select(vec![
        RestartCondition::None,
        RestartCondition::OnFailure,
        RestartCondition::Any,
    ]);
    (condition, millis(), any::<u32>(), millis()).prop_map(
        |(condition, delay, max_attempts, window)| RestartPolicy {
            condition,
            delay,
            max_attempts,
            window,
        },
    )
}

fn networks() -> impl Strategy<Value = Vec<NetworkRef>> {
    btree_map(network_id(), vec(name(), 0..3), 0..3).prop_map(|networks| {
        let refs = networks.into_iter();
        refs.map(|(id, aliases)| NetworkRef { id, aliases })
            .collect()
    })
}

fn constraint() -> impl Strategy<Value = Constraint> {
    let key = select(vec!["node.id", "node.role", "node.labels.disk"]);
    let values = vec("[a-z0-9]{1,8}", 1..3);
    (key, any::<bool>(), values).prop_map(|(key, equal, values)| Constraint {
        key: key.to_owned(),
        equal,
        values,
    })
}

fn preference() -> impl Strategy<Value = SpreadPreference> {
    select(vec![
        "node.labels.zone",
        "node.labels.rack",
        "node.hostname",
    ])
    .prop_map(|key| SpreadPreference {
        key: key.to_owned(),
    })
}

fn generic() -> impl Strategy<Value = Generic> {
    btree_map("[a-z]{1,6}", 1..=u64::MAX, 0..3)
}

// Boxed, as the other large ones: a test has 2 MiB of stack.
pub(super) fn task_spec() -> impl Strategy<Value = TaskSpec> {
    let grace = 0..=u64::try_from(MAX_STOP_GRACE.as_millis()).unwrap();
    let run = (
        vec("\\PC{1,8}", 1..4),
        vec("[A-Z]{1,4}=\\PC{0,8}", 0..3),
        option::of("/[a-z/]{0,8}"),
        option::of("[a-z]{1,8}"),
        option::of(hostname()),
        (files(), labels()),
    );
    let place = (
        resources(),
        resources(),
        vec(constraint(), 0..3),
        networks(),
        vec(preference(), 0..3),
        any::<u32>().prop_map(NonZeroU32::new),
        generic(),
    );
    let end = (
        restart(),
        select(vec!["SIGTERM", "SIGINT", "SIGUSR2"]),
        grace,
        any::<u64>(),
    );
    let here = (host_ports(), option::of(health()));
    (run, place, end, here)
        .prop_map(|(run, place, end, here)| TaskSpec {
            host_ports: here.0,
            health: here.1,
            runtime: Runtime::Process,
            command: run.0,
            env: run.1,
            working_dir: run.2,
            user: run.3,
            hostname: run.4,
            files: run.5.0,
            template_labels: run.5.1,
            limits: place.0,
            reservations: place.1,
            constraints: place.2,
            networks: place.3,
            preferences: place.4,
            max_per_node: place.5,
            reserved_generic: place.6,
            restart: end.0,
            stop_signal: end.1.to_owned(),
            stop_grace: Duration::from_millis(end.2),
            force_update: end.3,
        })
        .boxed()
}

fn host_ports() -> impl Strategy<Value = Vec<HostPort>> {
    btree_map((protocol(), 1..=u16::MAX), 1..=u16::MAX, 0..3).prop_map(|ports| {
        let port = |((protocol, published), target)| HostPort {
            protocol,
            target,
            published,
        };
        ports.into_iter().map(port).collect()
    })
}

fn health() -> impl Strategy<Value = HealthCheck> {
    let time = || (100..=86_400_000_u64).prop_map(Duration::from_millis);
    let command = vec("[a-z]{1,6}", 1..3);
    let start = prop_oneof![Just(Duration::ZERO), time()];
    (command, time(), time(), 1..=u32::MAX, start).prop_map(
        |(command, interval, timeout, retries, start_period)| HealthCheck {
            command,
            interval,
            timeout,
            retries: NonZeroU32::new(retries).unwrap(),
            start_period,
        },
    )
}

fn ports() -> impl Strategy<Value = Vec<Port>> {
    let chosen = btree_map((protocol(), 1..=u16::MAX), 1..=u16::MAX, 0..3);
    let free = vec((protocol(), 1..=u16::MAX), 0..2);
    (chosen, free).prop_map(|(chosen, free)| {
        let chosen = chosen
            .into_iter()
            .map(|((protocol, published), target)| Port {
                protocol,
                target,
                published: Some(published),
            });
        let free = free.into_iter().map(|(protocol, target)| Port {
            protocol,
            target,
            published: None,
        });
        chosen.chain(free).collect()
    })
}

fn update_config(actions: Vec<FailureAction>) -> impl Strategy<Value = UpdateConfig> {
    let order = select(vec![UpdateOrder::StopFirst, UpdateOrder::StartFirst]);
    let ratio = (0..=1000u32).prop_map(|number| Ratio::from_thousandths(number).unwrap());
    let failure = (millis(), select(actions), ratio);
    (any::<u32>(), millis(), order, failure).prop_map(|(parallelism, delay, order, failure)| {
        UpdateConfig {
            parallelism,
            delay,
            order,
            monitor: failure.0,
            failure_action: failure.1,
            max_failure_ratio: failure.2,
        }
    })
}

fn mode() -> impl Strategy<Value = Mode> {
    let slots = 0..=MAX_REPLICAS;
    prop_oneof![
        slots
            .clone()
            .prop_map(|replicas| Mode::Replicated { replicas }),
        Just(Mode::Global),
        (slots, any::<u32>()).prop_map(|(completions, max_concurrent)| Mode::ReplicatedJob {
            completions,
            max_concurrent,
        }),
        Just(Mode::GlobalJob),
    ]
}

pub(super) fn service_spec() -> impl Strategy<Value = ServiceSpec> {
    let stopping = vec![FailureAction::Pause, FailureAction::Continue];
    let all = [stopping.clone(), vec![FailureAction::Rollback]].concat();
    let rolls = (update_config(all), update_config(stopping));
    let endpoint_mode = select(vec![EndpointMode::Vip, EndpointMode::Dnsrr]);
    let schedule = option::of(select(vec!["* * * * *", "@daily", "30 4 * * MON"]));
    let runs = (mode(), schedule);
    (
        name(),
        labels(),
        task_spec(),
        runs,
        rolls,
        endpoint_mode,
        ports(),
    )
        .prop_map(
            |(name, labels, task, (mode, schedule), (update, rollback), endpoint_mode, ports)| {
                ServiceSpec {
                    name,
                    labels,
                    task: task.into(),
                    mode,
                    update,
                    rollback,
                    schedule: schedule
                        .filter(|_| mode.is_job())
                        .map(|text| text.parse().unwrap()),
                    endpoint_mode,
                    ports,
                }
            },
        )
        .boxed()
}

fn update_status() -> impl Strategy<Value = UpdateStatus> {
    let state = select(vec![
        UpdateState::Updating,
        UpdateState::Paused,
        UpdateState::Completed,
        UpdateState::RollingBack,
        UpdateState::RollbackPaused,
        UpdateState::RollbackCompleted,
    ]);
    (state, at(), option::of(at()), text()).prop_map(|(state, started, ended, message)| {
        UpdateStatus {
            state,
            started,
            ended,
            message,
        }
    })
}

pub(super) fn service() -> impl Strategy<Value = Service> {
    let vips = btree_map(network_id(), ip(), 0..3);
    let run =
        (any::<u64>(), at(), option::of(at())).prop_map(|(iteration, started, skipped)| JobRun {
            iteration,
            started,
            skipped,
        });
    let history = (
        option::of(service_spec().prop_map(Box::new)),
        option::of(update_status()),
        option::of(run),
    );
    (meta(), service_id(), service_spec(), vips, ports(), history)
        .prop_map(
            |(meta, id, spec, vips, ports, (previous, update, run))| Service {
                meta,
                id,
                spec,
                vips,
                ports,
                previous,
                update,
                run,
            },
        )
        .boxed()
}
