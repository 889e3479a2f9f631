//! Services and tasks from a manager.

use crate::client::Client;
use crate::client::Refused;
use crate::render::service::Counts;
use crate::render::task;
use crate::render::task::NodeNames;
use crate::render::task::TaskRow;
use std::collections::BTreeSet;
use weft_proto::NodeId;
use weft_proto::object::Node;
use weft_proto::object::NodeState;
use weft_proto::object::Service;
use weft_proto::object::Task;
use weft_proto::wire;

/// The service that is meant, with its numbers of tasks; all with an empty target.
pub(super) async fn services(
    client: &Client,
    target: &str,
) -> anyhow::Result<Vec<(Service, Counts)>> {
    let request = wire::ListServicesRequest {
        target: target.to_owned(),
        read: client.read(),
    };
    let answer = client.control().list_services(request).await;
    let answer = answer.map_err(Refused::from)?.into_inner();
    client.showed(answer.shown.as_ref());
    let listings = answer.services;
    let mut services = Vec::with_capacity(listings.len());
    for listing in listings {
        let service = Service::try_from(listing.service.unwrap_or_default())?;
        let counts = Counts {
            running: listing.running,
            wanted: listing.wanted,
            completed: listing.completed,
        };
        services.push((service, counts));
    }
    Ok(services)
}

/// The one service that is meant.
pub(super) async fn service(client: &Client, target: &str) -> anyhow::Result<(Service, Counts)> {
    let services = services(client, target).await?;
    services.into_iter().next().ok_or_else(|| {
        anyhow::anyhow!("there is no service {target:?}: list them with \"weft service ls\"")
    })
}

/// The tasks of a service, and the names of nodes; of all services with an empty target.
pub(super) async fn tasks(client: &Client, target: &str) -> anyhow::Result<(Vec<Task>, NodeNames)> {
    let (tasks, nodes, _) = tasks_and_nodes(client, target).await?;
    Ok((tasks, task::names(&nodes)))
}

/// The tasks of a service, without those of nodes that are down: what became of them is not known
/// before the nodes return.
pub(super) async fn tasks_in_sight(client: &Client, target: &str) -> anyhow::Result<Vec<Task>> {
    let (mut tasks, nodes, _) = tasks_and_nodes(client, target).await?;
    let down = nodes.iter().filter(|n| n.status.state == NodeState::Down);
    let down: BTreeSet<NodeId> = down.map(|node| node.id).collect();
    tasks.retain(|task| task.node.is_none_or(|node| !down.contains(&node)));
    Ok(tasks)
}

/// The tasks of a service as a list shows them.
pub(super) async fn rows(client: &Client, target: &str) -> anyhow::Result<Vec<TaskRow>> {
    let (tasks, nodes, waits) = tasks_and_nodes(client, target).await?;
    let mut rows = task::rows(&tasks, &task::names(&nodes));
    task::wait(&mut rows, &waits);
    Ok(rows)
}

type Listed = (Vec<Task>, Vec<Node>, Vec<wire::TaskWait>);

async fn tasks_and_nodes(client: &Client, target: &str) -> anyhow::Result<Listed> {
    let request = wire::ListTasksRequest {
        service: target.to_owned(),
        node: String::new(),
        read: client.read(),
    };
    let answer = client.control().list_tasks(request).await;
    let answer = answer.map_err(Refused::from)?.into_inner();
    client.showed(answer.shown.as_ref());
    let tasks: Result<Vec<_>, _> = answer.tasks.into_iter().map(Task::try_from).collect();
    let nodes: Result<Vec<_>, _> = answer.nodes.into_iter().map(Node::try_from).collect();
    Ok((tasks?, nodes?, answer.waits))
}

/// The tasks of a node, also those of services that are removed; none where the node is gone.
pub(super) async fn tasks_of_node(client: &Client, node: NodeId) -> anyhow::Result<Vec<Task>> {
    let request = wire::ListTasksRequest {
        service: String::new(),
        node: node.to_string(),
        read: client.read(),
    };
    let answer = client.control().list_tasks(request).await;
    let tasks = match answer.map_err(Refused::from) {
        Ok(answer) => answer.into_inner().tasks,
        Err(refused) if refused.is_missing() => Vec::new(),
        Err(refused) => return Err(refused.into()),
    };
    let tasks: Result<Vec<_>, _> = tasks.into_iter().map(Task::try_from).collect();
    Ok(tasks?)
}
