//! What the demo consists of.

use crate::contract::ServiceOrder;

/// Nodes, in the order they are made; the first three are managers.
pub(crate) const NODES: [(&str, &str); 5] = [
    ("n1", "manager"),
    ("n2", "manager"),
    ("n3", "manager"),
    ("n4", "worker"),
    ("n5", "worker"),
];

/// The overlay network all services join.
pub(crate) const NETWORK: &str = "demo";

/// Published port of nginx.
pub(crate) const WEB: u16 = 8080;

/// Published port of `weft whoami`.
pub(crate) const WHOAMI: u16 = 8000;

/// Programs the demo runs besides `weft`, and the Debian packages they are in.
pub(crate) const PROGRAMS: [(&str, &str); 2] =
    [("nginx", "nginx-light"), ("redis-server", "redis-server")];

/// The services. Tasks see the machine's files, but what they write is their own, so Debian's
/// stock configuration serves all three copies of nginx.
pub(crate) fn services() -> Vec<ServiceOrder> {
    let words = |line: &[&str]| line.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    vec![
        ServiceOrder {
            name: "web",
            replicas: 3,
            network: NETWORK,
            publish: Some("8080:80"),
            command: words(&["nginx", "-g", "daemon off;"]),
        },
        ServiceOrder {
            name: "redis",
            replicas: 1,
            network: NETWORK,
            publish: None,
            // Reached by name from other tasks, hence no protected mode; keeps nothing on disk.
            command: words(&["redis-server", "--save", "", "--protected-mode", "no"]),
        },
        ServiceOrder {
            name: "whoami",
            replicas: 5,
            network: NETWORK,
            publish: Some("8000:8000"),
            command: words(&["weft", "whoami"]),
        },
    ]
}
