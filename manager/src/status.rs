//! Refusals as callers see them: the code for programs, the text for people.

use crate::allocator::AllocateError;
use crate::propose::ProposeError;
use tonic::Status;
use weft_proto::command::Conflict;
use weft_proto::command::ConflictKind;

impl From<ProposeError> for Status {
    fn from(error: ProposeError) -> Status {
        let text = error.to_string();
        match error {
            ProposeError::Conflict(conflict) => of_conflict(&conflict),
            ProposeError::NoLeader(_) | ProposeError::Stopping => Status::unavailable(text),
            ProposeError::TooLarge(_) => Status::invalid_argument(text),
        }
    }
}

fn of_conflict(conflict: &Conflict) -> Status {
    match conflict.kind {
        ConflictKind::Version => Status::aborted(format!(
            "{conflict}; it changes faster than this request could follow: try again"
        )),
        ConflictKind::Exists | ConflictKind::Taken => Status::already_exists(conflict.to_string()),
        ConflictKind::Missing => Status::not_found(conflict.to_string()),
        ConflictKind::Invalid => Status::failed_precondition(conflict.to_string()),
    }
}

impl From<AllocateError> for Status {
    fn from(error: AllocateError) -> Status {
        let text = error.to_string();
        match error {
            AllocateError::Addresses { .. }
            | AllocateError::Subnets { .. }
            | AllocateError::Vnis
            | AllocateError::Ports
            | AllocateError::Nodes { .. } => Status::resource_exhausted(text),
            AllocateError::SubnetHoldsNode { .. } | AllocateError::SubnetInIngress { .. } => {
                Status::invalid_argument(text)
            }
            AllocateError::PortTaken { .. } => Status::already_exists(text),
            AllocateError::NoCluster => Status::failed_precondition(text),
        }
    }
}
