//! One run of one replica of a service.

use crate::convert::ConvertError;
use crate::convert::door;
use crate::convert::field;
use crate::convert::task_spec;
use crate::object::Task;
use crate::object::TaskStatus;
use crate::task_state::DesiredState;
use crate::task_state::TaskState;
use crate::time::Timestamp;
use crate::wire;

impl From<&Task> for wire::Task {
    fn from(task: &Task) -> Self {
        wire::Task {
            meta: Some(task.meta.into()),
            id: task.id.to_string(),
            service_id: task.service.to_string(),
            service_name: task.service_name.to_string(),
            slot: task.slot,
            iteration: task.iteration,
            node_id: task.node.map(|id| id.to_string()).unwrap_or_default(),
            spec: Some((&*task.spec).into()),
            status: Some((&task.status).into()),
            desired_state: task.desired.number(),
            addresses: task
                .addresses
                .iter()
                .map(|(network, addr)| wire::TaskAddress {
                    network_id: network.to_string(),
                    addr: addr.to_string(),
                })
                .collect(),
            ingress_addr: task
                .ingress_addr
                .map(|addr| addr.to_string())
                .unwrap_or_default(),
        }
    }
}

pub(super) fn read(wire: wire::Task) -> Result<Task, ConvertError> {
    let spec = field::required("spec", wire.spec)?;
    let status = field::required("status", wire.status)?;
    if wire.slot == 0 {
        return Err(ConvertError::at("slot", "is 0: slots are counted from 1"));
    }
    let addresses = wire
        .addresses
        .into_iter()
        .map(|address| (address.network_id, address.addr));
    Ok(Task {
        meta: wire.meta.unwrap_or_default().into(),
        id: field::parse("id", &wire.id)?,
        service: field::parse("service_id", &wire.service_id)?,
        service_name: field::parse("service_name", &wire.service_name)?,
        slot: wire.slot,
        iteration: wire.iteration,
        node: field::optional("node_id", &wire.node_id, field::parse)?,
        spec: task_spec::read(spec).map_err(|e| e.within("spec"))?.into(),
        status: read_status(status).map_err(|e| e.within("status"))?,
        desired: DesiredState::from_number(wire.desired_state).ok_or_else(|| {
            ConvertError::at(
                "desired_state",
                format!("{} is no desired state", wire.desired_state),
            )
        })?,
        addresses: field::addresses("addresses", addresses)?,
        ingress_addr: field::optional("ingress_addr", &wire.ingress_addr, field::ipv4)?,
    })
}

door!(Task => Task, read, "task");

impl From<&TaskStatus> for wire::TaskStatus {
    fn from(status: &TaskStatus) -> Self {
        wire::TaskStatus {
            state: status.state.number(),
            at_ms: status.at.as_millis(),
            message: status.message.clone(),
            error: status.error.clone(),
            exit_code: status.exit_code,
        }
    }
}

fn read_status(wire: wire::TaskStatus) -> Result<TaskStatus, ConvertError> {
    Ok(TaskStatus {
        state: TaskState::from_number(wire.state)
            .ok_or_else(|| ConvertError::at("state", format!("{} is no task state", wire.state)))?,
        at: Timestamp::from_millis(wire.at_ms),
        message: wire.message,
        error: wire.error,
        exit_code: wire.exit_code,
    })
}

door!(TaskStatus => TaskStatus, read_status, "status");
