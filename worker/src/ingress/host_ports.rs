//! Ports that only this node answers, for one of its own tasks.
//!
//! To the rules they are ports of the mesh with one backend at most, so the client's address is kept,
//! and callers on the node itself reach them too. They take precedence over a port that every node
//! answers: the store refuses both at once, but for services that went back to an earlier spec.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::net::TcpListener;
use std::net::UdpSocket;

use weft_kernel::netns::Netns;
use weft_proto::TaskId;
use weft_proto::object::Task;
use weft_proto::spec::HostPort;
use weft_proto::spec::Protocol;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;

use crate::desired::Desired;

use super::mesh::Mesh;

/// Which tasks have their ports for themselves. Looked at once per task, before it starts.
#[derive(Debug, Default)]
pub(super) struct HostPorts {
    free: BTreeSet<TaskId>,
}

impl HostPorts {
    /// Says which of the tasks cannot have a port because another program of the host listens
    /// there.
    pub(super) fn conflicts(
        &mut self,
        desired: &Desired,
        active: &BTreeSet<TaskId>,
        host: &Netns,
    ) -> BTreeMap<TaskId, String> {
        self.free.retain(|task| active.contains(task));
        let mut problems = BTreeMap::new();
        for task in active.iter().filter_map(|id| desired.tasks.get(id)) {
            if task.spec.host_ports.is_empty() || self.free.contains(&task.id) {
                continue;
            }
            // What runs already has them; an earlier daemon looked.
            let looked = task.status.state >= TaskState::Starting;
            let taken = task.spec.host_ports.iter();
            match { taken }.find(|port| !looked && listens(host, port)) {
                Some(port) => {
                    let (published, protocol) = (port.published, port.protocol);
                    let problem = format!(
                        "port {published}/{protocol} of this node is in use by another program: \
                         stop that, or publish another port"
                    );
                    problems.insert(task.id, problem);
                }
                None => _ = self.free.insert(task.id),
            }
        }
        problems
    }
}

/// Whether a program of the host has the port. A namespace that cannot be entered shows elsewhere.
fn listens(host: &Netns, port: &HostPort) -> bool {
    let addr = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port.published);
    let bind = || match port.protocol {
        Protocol::Tcp => TcpListener::bind(addr).map(drop),
        Protocol::Udp => UdpSocket::bind(addr).map(drop),
    };
    let bound = host.run_in(bind);
    bound.is_ok_and(|bound| bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse))
}

impl Mesh {
    /// Answers the ports of this node's own tasks, but for those of `without`. A task that does not
    /// take connections (yet, or any more) has its port still: callers are refused at once.
    pub(super) fn answer_for_own(
        &mut self,
        desired: &Desired,
        active: &BTreeSet<TaskId>,
        without: &BTreeMap<TaskId, String>,
    ) {
        let own = active.iter().filter(|id| !without.contains_key(id));
        let mut own: Vec<&Task> = own.filter_map(|id| desired.tasks.get(id)).collect();
        // Of two, which there should not be, the one that takes connections has it.
        own.sort_by_key(|task| takes_connections(task));
        for task in own {
            for port in &task.spec.host_ports {
                let to = task.ingress_addr.filter(|_| takes_connections(task));
                let to = to.map(|addr| SocketAddrV4::new(addr, port.target));
                let key = (port.protocol, port.published);
                self.ports.insert(key, to.into_iter().collect());
            }
        }
    }
}

fn takes_connections(task: &Task) -> bool {
    task.status.state == TaskState::Running && task.desired == DesiredState::Running
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::desired;
    use crate::fixture::node_id;
    use crate::fixture::task;
    use crate::fixture::task_id;
    use std::net::IpAddr;
    use weft_proto::assignment::PeerRecord;

    fn with_port(n: u32, state: TaskState, published: u16) -> Task {
        let mut task = task(n);
        task.status.state = state;
        task.ingress_addr = Some(Ipv4Addr::new(10, 255, 1, 10 + u8::try_from(n).unwrap()));
        task.spec.host_ports = vec![HostPort {
            protocol: Protocol::Tcp,
            target: 80,
            published,
        }];
        task
    }

    fn mesh(tasks: Vec<Task>, without: &[u32]) -> BTreeMap<(Protocol, u16), Vec<SocketAddrV4>> {
        let active = tasks.iter().map(|task| task.id).collect();
        let mut desired = desired(1, tasks);
        let peer = PeerRecord {
            node: node_id(),
            hostname: "host".to_owned(),
            number: 1.try_into().unwrap(),
            data_addr: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            ingress_pool: weft_proto::defaults::ingress_pool(),
        };
        desired.peers.insert(peer.node, peer);
        let without = without
            .iter()
            .map(|n| (task_id(*n), String::new()))
            .collect();
        let (mut mesh, _) = Mesh::of(&desired, node_id(), &[], &active).unwrap();
        mesh.answer_for_own(&desired, &active, &without);
        mesh.ports
    }

    #[test]
    fn the_node_answers_for_its_own_task_once_it_runs() {
        let to = "10.255.1.11:80".parse().unwrap();
        let running = mesh(vec![with_port(1, TaskState::Running, 8080)], &[]);
        assert_eq!(running, [((Protocol::Tcp, 8080), vec![to])].into());
        let starting = mesh(vec![with_port(1, TaskState::Starting, 8080)], &[]);
        assert_eq!(starting, [((Protocol::Tcp, 8080), vec![])].into());
        let mut leaving = with_port(1, TaskState::Running, 8080);
        leaving.desired = DesiredState::Shutdown;
        assert_eq!(
            mesh(vec![leaving], &[]),
            starting,
            "new callers are refused"
        );
    }

    #[test]
    fn a_port_that_another_program_has_is_left_to_it() {
        let tasks = vec![
            with_port(1, TaskState::Running, 8080),
            with_port(2, TaskState::Running, 9090),
        ];
        let ports = mesh(tasks, &[2]);
        assert_eq!(
            ports.into_keys().collect::<Vec<_>>(),
            [(Protocol::Tcp, 8080)]
        );
    }

    #[test]
    fn a_listener_of_the_host_is_found_before_the_task_starts() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap().port();
        let host = Netns::current().unwrap();
        let active = [task_id(1)].into();
        let mut ports = HostPorts::default();
        let desired = |state| desired(1, [with_port(1, state, taken)]);
        let problems = ports.conflicts(&desired(TaskState::Preparing), &active, &host);
        let problem = &problems[&task_id(1)];
        assert!(problem.contains(&format!("port {taken}/tcp")), "{problem}");
        let problems = ports.conflicts(&desired(TaskState::Running), &active, &host);
        assert_eq!(problems, BTreeMap::new(), "what runs has its port");

        drop(listener);
        let mut ports = HostPorts::default();
        let problems = ports.conflicts(&desired(TaskState::Preparing), &active, &host);
        assert_eq!(problems, BTreeMap::new());
        assert!(!listens(
            &host,
            &with_port(1, TaskState::New, taken).spec.host_ports[0]
        ));
    }
}
