//! What people ask for, validated: a value of these types can be acted on.

mod network;
mod node;
mod service;
mod task;

pub use network::NetworkSpec;
pub use node::Availability;
pub use node::NodeSpec;
pub use service::EndpointMode;
pub use service::Mode;
pub use service::Port;
pub use service::Protocol;
pub use service::ServiceSpec;
pub use service::UpdateConfig;
pub use service::UpdateOrder;
pub use task::Constraint;
pub use task::NetworkRef;
pub use task::ParseConstraintError;
pub use task::Resources;
pub use task::RestartCondition;
pub use task::RestartPolicy;
pub use task::Runtime;
pub use task::TaskSpec;

use std::collections::BTreeMap;

/// Free key-value pairs that people put on objects.
pub type Labels = BTreeMap<String, String>;
