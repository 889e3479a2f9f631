//! What people ask for, validated: a value of these types can be acted on.

mod health;
mod hostname;
mod material;
mod mode;
mod network;
mod node;
mod placement;
mod schedule;
mod service;
mod task;
mod update;

pub use health::HealthCheck;
pub use hostname::Hostname;
pub use hostname::ParseHostnameError;
pub use material::FileRef;
pub use material::MaterialKind;
pub use material::MaterialName;
pub use material::MaterialSpec;
pub use material::ParseMaterialNameError;
pub use mode::Mode;
pub use network::NetworkSpec;
pub use node::Availability;
pub use node::NodeSpec;
pub use placement::Constraint;
pub use placement::ParseConstraintError;
pub use placement::ParsePreferenceError;
pub use placement::SpreadPreference;
pub use schedule::ParseScheduleError;
pub use schedule::Schedule;
pub use service::EndpointMode;
pub use service::HostPort;
pub use service::Port;
pub use service::Protocol;
pub use service::ServiceSpec;
pub use task::Generic;
pub use task::NetworkRef;
pub use task::Resources;
pub use task::RestartCondition;
pub use task::RestartPolicy;
pub use task::Runtime;
pub use task::TaskSpec;
pub use update::FailureAction;
pub use update::ParseRatioError;
pub use update::Ratio;
pub use update::UpdateConfig;
pub use update::UpdateOrder;

use std::collections::BTreeMap;

/// Free key-value pairs that people put on objects.
pub type Labels = BTreeMap<String, String>;
