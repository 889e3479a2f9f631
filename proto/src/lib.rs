//! What everybody speaks: identifiers, addresses, specs, task states and the wire format.
#![forbid(unsafe_code)]

pub mod addr;
pub mod assignment;
pub mod audit;
pub mod command;
pub mod convert;
pub mod defaults;
mod id;
pub mod key;
pub mod name;
pub mod object;
mod redacted;
mod role;
mod shared;
pub mod spec;
pub mod task_state;
pub mod template;
pub mod time;
pub mod wire;

pub use id::ClusterId;
pub use id::CommandId;
pub use id::ID_LEN;
pub use id::JoinTokenId;
pub use id::MaterialId;
pub use id::NetworkId;
pub use id::NodeId;
pub use id::ParseIdError;
pub use id::ServiceId;
pub use id::TaskId;
pub use id::UserId;
pub use name::Name;
pub use role::ParseRoleError;
pub use role::Role;
pub use shared::Shared;
