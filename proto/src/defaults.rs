//! Every default that a user can see, with its reason.

use crate::object::ClusterSettings;
use crate::spec::FailureAction;
use crate::spec::Ratio;
use crate::spec::Resources;
use crate::spec::RestartCondition;
use crate::spec::RestartPolicy;
use crate::spec::UpdateConfig;
use crate::spec::UpdateOrder;
use ipnet::IpNet;
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;
use std::time::Duration;

/// The one control port, as Swarm mode uses: firewalls that are open for it stay as they are.
pub const CONTROL_PORT: u16 = 2377;
/// Where nodes send VXLAN packets to each other (RFC 7348 s. 8).
pub const VXLAN_PORT: u16 = 4789;
/// State of a daemon.
pub const STATE_DIR: &str = "/var/lib/weft";
/// Socket and namespaces of a daemon.
pub const RUN_DIR: &str = "/run/weft";
/// Name of the socket within the run directory.
pub const SOCKET_NAME: &str = "weft.sock";

/// Automatic published ports, as in Swarm mode: above common services, below Linux's ephemeral
/// range (32768), so that outgoing connections never hold one.
pub const AUTO_PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;
/// How long an ended task keeps its record, counted in tasks of the same slot.
pub const TASK_HISTORY: usize = 5;
/// Time between a task's end and its replacement: long enough that a task which fails at once does
/// not keep a node busy, short enough that nobody waits.
pub const RESTART_DELAY: Duration = Duration::from_secs(5);
/// How long a task has to end after its stop signal; the same as Docker's.
pub const STOP_GRACE: Duration = Duration::from_secs(10);
/// The signal that asks a task to end.
pub const STOP_SIGNAL: &str = "SIGTERM";
/// Permissions of a secret's or config's file in a task; the same as Swarm mode's.
pub const FILE_MODE: u32 = 0o444;
/// Where tasks find secrets that say no path; the same as in Swarm mode.
pub const SECRETS_DIR: &str = "/run/secrets";
/// Life of a node's certificate: a stolen one is worth little, and a node renews it at half-life,
/// so that half a day without managers costs nothing.
pub const CERTIFICATE_TTL: Duration = Duration::from_secs(24 * 3600);
/// How old a key of the data plane gets: the same as Swarm mode's.
pub const KEY_ROTATION: Duration = Duration::from_secs(12 * 3600);
/// Whether a new network is encrypted between nodes when nobody says so. Off for as long as the data
/// plane cannot: a network must never be thought encrypted that is not.
pub const NETWORK_ENCRYPTED: bool = false;
/// Prefix length of a network's subnet: 254 addresses.
pub const SUBNET_PREFIX: u8 = 24;

/// When ended tasks are replaced: always, as in Swarm mode.
pub const RESTART: RestartPolicy = RestartPolicy {
    condition: RestartCondition::Any,
    delay: RESTART_DELAY,
    max_attempts: 0,
    window: Duration::ZERO,
};
/// When tasks of a job are replaced: one that ended well is done.
pub const JOB_RESTART: RestartPolicy = RestartPolicy {
    condition: RestartCondition::OnFailure,
    ..RESTART
};
/// How changes roll over: one slot at a time, the old task first, and the first failure stops it
/// while the rest of the service goes on as it was; as in Swarm mode.
pub const UPDATE: UpdateConfig = UpdateConfig {
    parallelism: 1,
    delay: Duration::ZERO,
    order: UpdateOrder::StopFirst,
    monitor: MONITOR,
    failure_action: FailureAction::Pause,
    max_failure_ratio: Ratio::NONE,
};
/// How a return to the previous spec rolls over: as a change does.
pub const ROLLBACK: UpdateConfig = UPDATE;
/// How long a replaced task is watched for failure; the same as Swarm mode's.
pub const MONITOR: Duration = Duration::from_secs(5);
/// Between two health checks, how long one may take, and how many in a row make a task unhealthy;
/// the same as Docker's.
pub const HEALTH_INTERVAL: Duration = Duration::from_secs(30);
/// See [`HEALTH_INTERVAL`].
pub const HEALTH_TIMEOUT: Duration = Duration::from_secs(30);
/// See [`HEALTH_INTERVAL`].
pub const HEALTH_RETRIES: u32 = 3;
/// No limits and no reservations.
pub const RESOURCES: Resources = Resources {
    nano_cpus: 0,
    memory_bytes: 0,
};

/// Where subnets of networks are cut from; the same as Swarm mode's.
pub fn address_pools() -> Vec<IpNet> {
    vec![IpNet::V4(Ipv4Net::new_assert(
        Ipv4Addr::new(10, 0, 0, 0),
        9,
    ))]
}

/// Each node owns one /24 of it; its 255 slices bound the number of nodes.
pub fn ingress_pool() -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(10, 255, 0, 0), 16)
}

/// Settings of a new cluster.
pub fn settings() -> ClusterSettings {
    ClusterSettings {
        address_pools: address_pools(),
        subnet_prefix: SUBNET_PREFIX,
        ingress_pool: ingress_pool(),
        certificate_ttl: CERTIFICATE_TTL,
        key_rotation: KEY_ROTATION,
    }
}
