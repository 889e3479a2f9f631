//! Strategies for tasks, commands, snapshots and assignments.

use crate::assignment::Assignment;
use crate::assignment::AssignmentKey;
use crate::assignment::Assignments;
use crate::assignment::Backend;
use crate::assignment::EndpointRecord;
use crate::assignment::EpochsRecord;
use crate::assignment::MaterialRecord;
use crate::assignment::NetworkRecord;
use crate::assignment::PeerRecord;
use crate::assignment::PublishedRecord;
use crate::assignment::ServiceRecord;
use crate::assignment::TunnelRecord;
use crate::audit::Actor;
use crate::audit::AuditRecord;
use crate::command::AppliedCommand;
use crate::command::Change;
use crate::command::Command;
use crate::command::CommandResult;
use crate::command::Conflict;
use crate::command::ConflictKind;
use crate::command::Expect;
use crate::command::StoreSnapshot;
use crate::convert::arbitrary::*;
use crate::convert::arbitrary_service::*;
use crate::id::UserId;
use crate::object::KeyDigest;
use crate::object::Object;
use crate::object::ObjectKey;
use crate::object::RemovedNode;
use crate::object::Task;
use crate::object::TaskStatus;
use crate::object::User;
use crate::object::UserRole;
use crate::task_state::DesiredState;
use crate::task_state::TASK_STATES;
use crate::time::Timestamp;
use proptest::collection::btree_map;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::net::Ipv4Addr;

pub(super) fn task_status() -> impl Strategy<Value = TaskStatus> {
    let code = option::of(any::<i32>());
    (select(TASK_STATES.to_vec()), at(), text(), text(), code).prop_map(
        |(state, at, message, error, exit_code)| TaskStatus {
            state,
            at,
            message,
            error,
            exit_code,
        },
    )
}

pub(super) fn task() -> impl Strategy<Value = Task> {
    let desired = select(vec![
        DesiredState::Running,
        DesiredState::Shutdown,
        DesiredState::Remove,
    ]);
    let who = (meta(), task_id(), service_id(), name(), 1..=u32::MAX);
    let place = (
        option::of(node_id()),
        btree_map(network_id(), ip(), 0..3),
        option::of(any::<Ipv4Addr>()),
        any::<u64>(),
    );
    (who, place, task_spec(), task_status(), desired)
        .prop_map(|(who, place, spec, status, desired)| Task {
            meta: who.0,
            id: who.1,
            service: who.2,
            service_name: who.3,
            slot: who.4,
            iteration: place.3,
            node: place.0,
            spec: spec.into(),
            status,
            desired,
            addresses: place.1,
            ingress_addr: place.2,
        })
        .boxed()
}

pub(super) fn user() -> impl Strategy<Value = User> {
    let role = select(vec![UserRole::Viewer, UserRole::Operator, UserRole::Admin]);
    let who = (meta(), any::<u128>(), name(), option::of(name()));
    (who, role, 1..=u64::MAX, any::<[u8; 32]>(), at()).prop_map(
        |((meta, id, name, stack), role, ttl, key, expires)| User {
            meta,
            id: UserId::from_entropy(id),
            name,
            role,
            stack,
            certificate_ttl: std::time::Duration::from_millis(ttl),
            key: KeyDigest::from_bytes(key),
            expires,
        },
    )
}

pub(super) fn object() -> impl Strategy<Value = Object> {
    prop_oneof![
        cluster().prop_map(Object::from),
        node().prop_map(Object::from),
        network().prop_map(Object::from),
        service().prop_map(Object::from),
        task().prop_map(Object::from),
        user().prop_map(Object::from),
        join_token().prop_map(Object::from),
        material().prop_map(Object::from),
        key_ring().prop_map(Object::from),
    ]
}

pub(super) fn key() -> impl Strategy<Value = ObjectKey> {
    prop_oneof![
        Just(ObjectKey::Cluster),
        node_id().prop_map(ObjectKey::Node),
        network_id().prop_map(ObjectKey::Network),
        service_id().prop_map(ObjectKey::Service),
        task_id().prop_map(ObjectKey::Task),
        any::<u128>().prop_map(|bits| ObjectKey::User(UserId::from_entropy(bits))),
        join_token_id().prop_map(ObjectKey::JoinToken),
        (material_kind(), material_id()).prop_map(|(kind, id)| ObjectKey::Material(kind, id)),
        Just(ObjectKey::KeyRing),
    ]
}

fn expect() -> impl Strategy<Value = Expect> {
    prop_oneof![
        Just(Expect::Any),
        Just(Expect::Absent),
        any::<u64>().prop_map(Expect::Version),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (object(), expect()).prop_map(|(object, expect)| Change::Put { object, expect }),
        (key(), expect()).prop_map(|(key, expect)| Change::Delete { key, expect }),
        (key(), expect()).prop_map(|(key, expect)| Change::Guard { key, expect }),
    ]
}

fn actor() -> impl Strategy<Value = Actor> {
    (text(), text(), text(), text()).prop_map(|(identity, origin, call, summary)| Actor {
        identity,
        origin,
        call,
        summary,
    })
}

fn audit_record() -> impl Strategy<Value = AuditRecord> {
    (any::<u64>(), at(), actor()).prop_map(|(revision, at, actor)| AuditRecord {
        revision,
        at,
        actor,
    })
}

pub(super) fn command() -> impl Strategy<Value = Command> {
    let who = option::of(actor());
    let all = (command_id(), any::<i64>(), vec(change(), 0..4), who);
    all.prop_map(|(id, at, changes, actor)| Command {
        id,
        at: Timestamp::from_millis(at),
        changes,
        actor,
    })
}

pub(super) fn result() -> impl Strategy<Value = CommandResult> {
    let kind = select(vec![
        ConflictKind::Version,
        ConflictKind::Exists,
        ConflictKind::Missing,
        ConflictKind::Taken,
        ConflictKind::Invalid,
    ]);
    prop_oneof![
        any::<u64>().prop_map(Ok),
        (kind, text()).prop_map(|(kind, message)| Err(Conflict { kind, message })),
    ]
}

pub(super) fn snapshot() -> impl Strategy<Value = StoreSnapshot> {
    let applied = (command_id(), any::<i64>(), result());
    let applied = applied.prop_map(|(id, at, result)| AppliedCommand {
        id,
        at: Timestamp::from_millis(at),
        result,
    });
    let recent = vec(applied, 0..4);
    let addresses = vec((network_id(), ip()), 0..3);
    let removed = (node_id(), text(), 1..=u16::MAX, any::<i64>(), addresses);
    let removed = removed.prop_map(|(id, hostname, number, at, addresses)| RemovedNode {
        addresses,
        id,
        hostname,
        number: number.try_into().unwrap(),
        at: Timestamp::from_millis(at),
    });
    let all = (
        any::<u64>(),
        vec(object(), 0..4),
        recent,
        vec(removed, 0..4),
        vec(audit_record(), 0..4),
    );
    all.prop_map(
        |(revision, objects, recent, removed, audit)| StoreSnapshot {
            revision,
            objects,
            recent,
            removed,
            audit,
        },
    )
}

fn network_record() -> impl Strategy<Value = NetworkRecord> {
    let kind = (any::<bool>(), any::<bool>());
    (network_id(), name(), vni(), subnet(), kind).prop_map(
        |(id, name, vni, subnet, (internal, encrypted))| NetworkRecord {
            id,
            name,
            vni,
            subnet,
            internal,
            encrypted,
        },
    )
}

fn endpoint_record() -> impl Strategy<Value = EndpointRecord> {
    let ids = (network_id(), task_id(), service_id(), node_id());
    (ids, text(), ip(), ip(), any::<bool>()).prop_map(|(ids, name, addr, node_data_addr, ready)| {
        EndpointRecord {
            network: ids.0,
            task: ids.1,
            service: ids.2,
            node: ids.3,
            name,
            addr,
            node_data_addr,
            ready,
        }
    })
}

fn service_record() -> impl Strategy<Value = ServiceRecord> {
    let aliases = vec(name(), 0..3);
    (
        network_id(),
        service_id(),
        name(),
        aliases,
        option::of(ip()),
    )
        .prop_map(|(network, service, name, aliases, vip)| ServiceRecord {
            network,
            service,
            name,
            aliases,
            vip,
        })
}

fn published_record() -> impl Strategy<Value = PublishedRecord> {
    let backend = (task_id(), any::<Ipv4Addr>(), 1..=u16::MAX)
        .prop_map(|(task, addr, port)| Backend { task, addr, port });
    (protocol(), 1..=u16::MAX, name(), vec(backend, 0..3)).prop_map(
        |(protocol, port, service_name, backends)| PublishedRecord {
            protocol,
            port,
            service_name,
            backends,
        },
    )
}

fn peer_record() -> impl Strategy<Value = PeerRecord> {
    (node_id(), text(), number(), ip(), settings()).prop_map(
        |(node, hostname, number, data_addr, settings)| PeerRecord {
            node,
            hostname,
            number,
            data_addr,
            ingress_pool: settings.ingress_pool,
        },
    )
}

fn material_record() -> impl Strategy<Value = MaterialRecord> {
    let what = (material_kind(), material_id(), any::<u64>());
    (what, material_name(), any::<bool>(), data()).prop_map(
        |((kind, id, version), name, template, data)| MaterialRecord {
            kind,
            id,
            version,
            name,
            template,
            data,
        },
    )
}

fn tunnel_record() -> impl Strategy<Value = TunnelRecord> {
    let keys = btree_map(any::<u64>(), secret_key(), 0..4);
    (node_id(), tunnel_key(), ip(), keys).prop_map(|(node, public_key, data_addr, keys)| {
        TunnelRecord {
            node,
            public_key,
            data_addr,
            keys,
        }
    })
}

pub(super) fn assignment() -> impl Strategy<Value = Assignment> {
    prop_oneof![
        task().prop_map(|task| Assignment::Task(Box::new(task))),
        network_record().prop_map(Assignment::Network),
        endpoint_record().prop_map(Assignment::Endpoint),
        service_record().prop_map(Assignment::Service),
        published_record().prop_map(Assignment::Published),
        peer_record().prop_map(Assignment::Peer),
        material_record().prop_map(Assignment::Material),
        tunnel_record().prop_map(Assignment::Tunnel),
        (any::<u64>(), any::<u64>())
            .prop_map(|(active, newest)| Assignment::Epochs(EpochsRecord { active, newest })),
    ]
}

pub(super) fn assignments() -> impl Strategy<Value = Assignments> {
    let removals = vec(assignment().prop_map(|piece| piece.key()), 0..4);
    let upserts = vec(assignment(), 0..4);
    let head = (any::<u64>(), any::<bool>());
    (head, upserts, removals, vec(socket(), 0..3)).prop_map(
        |((revision, snapshot), upserts, removals, managers): (_, _, Vec<AssignmentKey>, _)| {
            Assignments {
                revision,
                snapshot,
                upserts,
                removals,
                managers,
            }
        },
    )
}
