//! What everybody speaks: identifiers, addresses, specs, task states and the wire format.
#![forbid(unsafe_code)]

mod id;
mod role;
pub mod wire;

pub use id::ClusterId;
pub use id::CommandId;
pub use id::ID_LEN;
pub use id::NetworkId;
pub use id::NodeId;
pub use id::ParseIdError;
pub use id::ServiceId;
pub use id::TaskId;
pub use role::ParseRoleError;
pub use role::Role;
