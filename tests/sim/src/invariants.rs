//! What must hold of every state at any time, and of the managers together.

use crate::cluster::Cluster;
use crate::host::node_id;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use tokio::time::Instant;
use weft_manager::store::State;
use weft_proto::object::NodeState;
use weft_proto::object::Task;
use weft_proto::task_state::DesiredState;
use weft_proto::task_state::TaskState;
use weft_proto::wire;

/// The first thing wrong with a state: something belongs to two (I4).
pub fn broken(state: &State) -> Option<String> {
    let mut held: BTreeMap<String, String> = BTreeMap::new();
    let mut twice = None;
    let mut hold = |what: String, who: String| {
        if let Some(other) = held.insert(what.clone(), who.clone())
            && other != who
        {
            twice.get_or_insert(format!("{what} belongs to {other} and {who} (I4)"));
        }
    };
    for node in state.nodes() {
        hold(format!("node number {}", node.number), node.id.to_string());
        if let Some(manager) = node.manager {
            hold(format!("raft id {}", manager.raft_id), node.id.to_string());
        }
    }
    for network in state.networks() {
        let who = network.id.to_string();
        hold(format!("VNI {}", network.vni), who.clone());
        hold(format!("subnet {}", network.subnet), who.clone());
        hold(format!("network name {}", network.spec.name), who);
    }
    for service in state.services() {
        let who = service.id.to_string();
        hold(format!("service name {}", service.spec.name), who.clone());
        for (network, vip) in &service.vips {
            hold(format!("address {vip} of network {network}"), who.clone());
        }
        for port in service.ports.iter().filter(|port| port.published.is_some()) {
            let number = port.published.unwrap_or(0);
            hold(format!("port {number}/{}", port.protocol), who.clone());
        }
    }
    for task in state
        .tasks()
        .filter(|task| !task.status.state.is_terminal())
    {
        let who = task.id.to_string();
        for (network, addr) in &task.addresses {
            hold(format!("address {addr} of network {network}"), who.clone());
        }
        if let Some(addr) = task.ingress_addr {
            hold(format!("ingress address {addr}"), who.clone());
        }
        // All services here stop the old task of a slot before they start the new one.
        if task.is_wanted() {
            hold(format!("slot {} of {}", task.slot, task.service), who);
        }
    }
    twice
}

/// The first thing wrong with the managers together.
pub fn disagreement(cluster: &Cluster) -> Option<String> {
    let now = Instant::now();
    let statuses = cluster.all_running().into_iter().map(|running| {
        let status = running.raft.status().borrow().clone();
        (running, status)
    });
    let statuses: Vec<_> = statuses.collect();
    let applied = statuses.iter().map(|(_, status)| status.last_applied).max();
    let (applied, mut leaders) = (applied.unwrap_or(0), BTreeMap::new());
    for (running, status) in &statuses {
        if status.is_leader
            && let Some(other) = leaders.insert((status.term, status.me.raft_id), &running.who)
        {
            return Some(format!("{other} and {} lead in one term", running.who));
        }
    }
    let office = statuses
        .iter()
        .filter(|(_, status)| status.holds_office(now));
    let newest = office.max_by_key(|(_, status)| status.term)?;
    // What was applied anywhere is committed, and whoever leads now has it.
    let term = statuses.iter().map(|(_, status)| status.term).max();
    if Some(newest.1.term) == term && newest.1.last_log < applied {
        let (who, last) = (&newest.0.who, newest.1.last_log);
        return Some(format!(
            "{who} leads with {last} entries, {applied} were applied (I1)"
        ));
    }
    None
}

/// The first thing that has not converged (I8).
pub fn unconverged(cluster: &Cluster) -> Option<String> {
    let all = cluster.all_running();
    if all.len() < cluster.places().len() {
        return Some("not all managers run".to_owned());
    }
    let views: Vec<_> = all.iter().map(|running| running.store.view()).collect();
    let first = views.first()?;
    let behind = views
        .iter()
        .find(|view| view.revision() != first.revision());
    if let Some(behind) = behind {
        let (one, other) = (first.revision(), behind.revision());
        return Some(format!("managers are at revisions {one} and {other}"));
    }
    for number in 0..cluster.agents() {
        let place = cluster.agent(number)?.lock().place;
        let node = first.node(node_id(place))?;
        if node.status.state != NodeState::Ready {
            return Some(format!("node {} is {}", place.0, node.status.state));
        }
    }
    first.services().find_map(|service| {
        let spec = wire::ServiceSpec::from(&service.spec);
        let replicas = spec.replicated.map_or(0, |mode| mode.replicas);
        let tasks: Vec<&Task> = first.tasks_of_service(service.id).map(|t| &**t).collect();
        let running = |task: &&&Task| {
            task.status.state == TaskState::Running && task.desired == DesiredState::Running
        };
        let slots: BTreeSet<u32> = tasks.iter().filter(running).map(|task| task.slot).collect();
        let live = tasks.iter().filter(|task| !task.status.state.is_terminal());
        let (slots, live) = (slots.len(), live.count());
        let wanted = replicas as usize;
        (slots != wanted || live != wanted).then(|| {
            let name = &service.spec.name;
            let states: Vec<String> = tasks
                .iter()
                .map(|task| format!("{}:{}>{:?}", task.slot, task.status.state, task.desired))
                .collect();
            format!("{name} has {slots} of {replicas} replicas, {live} live tasks: {states:?}")
        })
    })
}
