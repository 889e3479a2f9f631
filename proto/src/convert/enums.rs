//! Enums: the wire's zero means "not said" and is refused here; specs put their default in its
//! place before they ask.

use crate::command::ConflictKind;
use crate::convert::ConvertError;
use crate::object::KeyPhase;
use crate::object::NodeState;
use crate::object::UpdateState;
use crate::object::UserRole;
use crate::role::Role;
use crate::spec::Availability;
use crate::spec::EndpointMode;
use crate::spec::FailureAction;
use crate::spec::MaterialKind;
use crate::spec::Protocol;
use crate::spec::RestartCondition;
use crate::spec::Runtime;
use crate::spec::UpdateOrder;
use crate::wire;

macro_rules! same_variants {
    ($wire:path, $domain:ident { $($variant:ident),* }, $remedy:literal) => {
        impl From<$domain> for $wire {
            fn from(value: $domain) -> Self {
                match value {
                    $($domain::$variant => Self::$variant,)*
                }
            }
        }

        impl TryFrom<$wire> for $domain {
            type Error = ConvertError;

            fn try_from(value: $wire) -> Result<Self, ConvertError> {
                type Wire = $wire;
                match value {
                    Wire::Unspecified => Err(ConvertError::new(concat!("is not said: ", $remedy))),
                    $(Wire::$variant => Ok($domain::$variant),)*
                }
            }
        }
    };
}

same_variants!(
    wire::NodeRole,
    Role { Worker, Manager },
    "use worker or manager"
);
same_variants!(
    wire::Availability,
    Availability {
        Active,
        Pause,
        Drain
    },
    "use active, pause or drain"
);
same_variants!(
    wire::NodeState,
    NodeState {
        Unknown,
        Ready,
        Down
    },
    "use unknown, ready or down"
);
same_variants!(
    wire::key_epoch::Phase,
    KeyPhase {
        Distributing,
        Active,
        Retired
    },
    "use distributing, active or retired"
);
same_variants!(wire::Protocol, Protocol { Tcp, Udp }, "use tcp or udp");
same_variants!(
    wire::EndpointMode,
    EndpointMode { Vip, Dnsrr },
    "use vip or dnsrr"
);
same_variants!(
    wire::RestartCondition,
    RestartCondition {
        None,
        OnFailure,
        Any
    },
    "use none, on-failure or any"
);
same_variants!(
    wire::UpdateOrder,
    UpdateOrder {
        StopFirst,
        StartFirst
    },
    "use stop-first or start-first"
);
same_variants!(
    wire::FailureAction,
    FailureAction {
        Pause,
        Continue,
        Rollback
    },
    "use pause, continue or rollback"
);
same_variants!(
    wire::update_status::State,
    UpdateState {
        Updating,
        Paused,
        Completed,
        RollingBack,
        RollbackPaused,
        RollbackCompleted
    },
    "use a state of an update"
);
same_variants!(
    wire::UserRole,
    UserRole {
        Viewer,
        Operator,
        Admin
    },
    "use viewer, operator or admin"
);
same_variants!(
    wire::MaterialKind,
    MaterialKind { Secret, Config },
    "use secret or config"
);
same_variants!(wire::Runtime, Runtime { Process }, "use process");
same_variants!(
    wire::conflict::Kind,
    ConflictKind {
        Version,
        Exists,
        Missing,
        Taken,
        Invalid
    },
    "use version, exists, missing, taken or invalid"
);
