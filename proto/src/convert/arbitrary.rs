//! Strategies for every domain value, as it can come through the door.

use crate::addr::NodeNumber;
use crate::addr::Vni;
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
use crate::object::Fingerprint;
use crate::object::IssuedToken;
use crate::object::KeyEpoch;
use crate::object::KeyPhase;
use crate::object::KeyRing;
use crate::object::ManagerStatus;
use crate::object::Material;
use crate::object::MaterialVersion;
use crate::object::Meta;
use crate::object::Network;
use crate::object::Node;
use crate::object::NodeCertificate;
use crate::object::NodeDescription;
use crate::object::NodeState;
use crate::object::NodeStatus;
use crate::object::PendingNode;
use crate::object::RootRotation;
use crate::object::RotationStage;
use crate::role::Role;
use crate::spec::Availability;
use crate::spec::FileRef;
use crate::spec::Generic;
use crate::spec::Labels;
use crate::spec::MaterialKind;
use crate::spec::MaterialName;
use crate::spec::MaterialSpec;
use crate::spec::NetworkSpec;
use crate::spec::NodeSpec;
use crate::spec::Protocol;
use crate::spec::Resources;
use crate::spec::Runtime;
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

pub(super) fn millis() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_millis)
}

pub(super) fn labels() -> impl Strategy<Value = Labels> {
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
    let unlock_key = option::of(any::<[u8; 32]>().prop_map(Into::into));
    let secrets = (any::<Vec<u8>>(), text(), text(), text(), unlock_key);
    let rest = (
        any::<u64>(),
        any::<u64>(),
        settings(),
        option::of(rotation()),
    );
    (meta(), cluster_id(), secrets, rest).prop_map(
        |(meta, id, secrets, (next_raft_id, keys_wanted, settings, rotation))| Cluster {
            meta,
            id,
            root_certificate: secrets.0,
            root_key: secrets.1,
            worker_token: secrets.2,
            manager_token: secrets.3,
            unlock_key: secrets.4,
            next_raft_id,
            settings,
            rotation,
            keys_wanted,
        },
    )
}

fn rotation() -> impl Strategy<Value = RootRotation> {
    let stage = select(vec![
        RotationStage::Spreading,
        RotationStage::Issuing,
        RotationStage::Returning,
    ]);
    let (certificate, cross) = (any::<Vec<u8>>(), any::<Vec<u8>>());
    (stage, certificate, text(), cross, at()).prop_map(
        |(stage, certificate, key, cross, started)| RootRotation {
            stage,
            certificate,
            key,
            cross,
            started,
        },
    )
}

fn certificate() -> impl Strategy<Value = NodeCertificate> {
    let print = || any::<[u8; 32]>().prop_map(Fingerprint::from_bytes);
    (print(), vec(print(), 0..3), at()).prop_map(|(issuer, trusted, not_after)| NodeCertificate {
        issuer,
        trusted,
        not_after,
    })
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
    let said = (
        node_spec(),
        description(),
        status,
        option::of(certificate()),
    );
    let rest = (option::of(manager), option::of(tunnel_key()));
    (meta(), node_id(), said, number(), ip(), rest).prop_map(
        |(meta, id, (spec, description, status, certificate), number, data_addr, rest)| Node {
            meta,
            id,
            spec,
            description,
            status,
            number,
            data_addr,
            manager: rest.0,
            certificate,
            tunnel_key: rest.1,
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

pub(super) fn files() -> impl Strategy<Value = Vec<FileRef>> {
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

pub(super) fn generic() -> impl Strategy<Value = Generic> {
    btree_map("[a-z]{1,6}", 1..=u64::MAX, 0..3)
}
