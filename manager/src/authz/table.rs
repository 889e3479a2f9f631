//! The table.

use crate::authz::Caller;
use crate::authz::Denied;
use weft_proto::Name;
use weft_proto::object::UserRole;

/// Only people on the node itself.
const LOCAL: &[Caller] = &[Caller::LocalSocket];
/// Who may do everything: root on a manager, and admins from afar. What is the cluster's own secret,
/// and who its people are.
const ROOT: &[Caller] = &[Caller::LocalSocket, ADMIN];
/// As [`ROOT`], and managers that hand a call on: who is a member.
const ADMINS: &[Caller] = &[Caller::LocalSocket, Caller::Manager, ADMIN];
/// Whoever runs what the cluster runs.
const OPERATORS: &[Caller] = &[Caller::LocalSocket, Caller::Manager, ADMIN, OPERATOR];
/// Whoever looks.
const VIEWERS: &[Caller] = &[
    Caller::LocalSocket,
    Caller::Manager,
    ADMIN,
    OPERATOR,
    VIEWER,
];
/// People with a certificate, about themselves.
const PEOPLE: &[Caller] = &[ADMIN, OPERATOR, VIEWER];
/// Managers among themselves.
const MANAGERS: &[Caller] = &[Caller::Manager];
/// Every member of the cluster.
const MEMBERS: &[Caller] = &[Caller::Manager, Caller::Worker];
/// Whoever reaches the port: the join token inside the call is the credential.
const EVERYONE: &[Caller] = &[
    Caller::LocalSocket,
    Caller::Manager,
    Caller::Worker,
    Caller::Anonymous,
];

const ADMIN: Caller = Caller::User(UserRole::Admin);
const OPERATOR: Caller = Caller::User(UserRole::Operator);
const VIEWER: Caller = Caller::User(UserRole::Viewer);

/// Every call there is, and who may make it.
pub(super) const TABLE: &[(&str, &[Caller])] = &[
    ("/weft.v1.Ca/Issue", EVERYONE),
    ("/weft.v1.Ca/Renew", MEMBERS),
    ("/weft.v1.Control/GetCluster", VIEWERS),
    ("/weft.v1.Control/GetJoinToken", ADMINS),
    ("/weft.v1.Control/ListNodes", VIEWERS),
    // Another role is for admins only: the handler looks.
    ("/weft.v1.Control/UpdateNode", OPERATORS),
    ("/weft.v1.Control/RemoveNode", ADMINS),
    ("/weft.v1.Control/CreateNetwork", OPERATORS),
    ("/weft.v1.Control/ListNetworks", VIEWERS),
    ("/weft.v1.Control/RemoveNetwork", OPERATORS),
    ("/weft.v1.Control/CreateService", OPERATORS),
    ("/weft.v1.Control/UpdateService", OPERATORS),
    ("/weft.v1.Control/RollbackService", OPERATORS),
    ("/weft.v1.Control/RemoveService", OPERATORS),
    ("/weft.v1.Control/ListServices", VIEWERS),
    ("/weft.v1.Control/ListTasks", VIEWERS),
    ("/weft.v1.Control/ServiceLogs", VIEWERS),
    ("/weft.v1.Control/Watch", VIEWERS),
    ("/weft.v1.Control/StateHash", VIEWERS),
    ("/weft.v1.Control/Backup", ROOT),
    ("/weft.v1.Control/ListAudit", ROOT),
    ("/weft.v1.Control/CreateUser", ROOT),
    ("/weft.v1.Control/ListUsers", VIEWERS),
    ("/weft.v1.Control/UpdateUser", ROOT),
    ("/weft.v1.Control/RemoveUser", ROOT),
    ("/weft.v1.Control/RenewUser", PEOPLE),
    ("/weft.v1.Control/CreateJoinToken", ADMINS),
    ("/weft.v1.Control/ListJoinTokens", ADMINS),
    ("/weft.v1.Control/RemoveJoinToken", ADMINS),
    ("/weft.v1.Control/DecideNode", ADMINS),
    ("/weft.v1.Control/SetAutolock", LOCAL),
    ("/weft.v1.Control/GetUnlockKey", LOCAL),
    ("/weft.v1.Control/UpdateCluster", ADMINS),
    ("/weft.v1.Control/GetCa", VIEWERS),
    ("/weft.v1.Control/RotateCa", ADMINS),
    ("/weft.v1.Control/CreateSecret", OPERATORS),
    ("/weft.v1.Control/UpdateSecret", OPERATORS),
    ("/weft.v1.Control/ListSecrets", OPERATORS),
    ("/weft.v1.Control/RemoveSecret", OPERATORS),
    ("/weft.v1.Control/CreateConfig", OPERATORS),
    ("/weft.v1.Control/UpdateConfig", OPERATORS),
    ("/weft.v1.Control/ListConfigs", OPERATORS),
    ("/weft.v1.Control/RemoveConfig", OPERATORS),
    ("/weft.v1.Control/GetKeys", VIEWERS),
    ("/weft.v1.Control/UpdateKeys", ADMINS),
    ("/weft.v1.Dispatcher/Session", MEMBERS),
    ("/weft.v1.Local/Info", LOCAL),
    ("/weft.v1.Local/Init", LOCAL),
    ("/weft.v1.Local/Join", LOCAL),
    ("/weft.v1.Local/Leave", LOCAL),
    ("/weft.v1.Local/Restore", LOCAL),
    ("/weft.v1.Local/UpdateAddress", LOCAL),
    ("/weft.v1.Local/Unlock", LOCAL),
    ("/weft.v1.Membership/Announce", MEMBERS),
    ("/weft.v1.Membership/Depart", MEMBERS),
    ("/weft.v1.Membership/GetStanding", MEMBERS),
    ("/weft.v1.Peer/Propose", MANAGERS),
    ("/weft.v1.Peer/ProposeMany", MANAGERS),
    ("/weft.v1.Peer/ReadIndex", MANAGERS),
    ("/weft.v1.Peer/Presence", MANAGERS),
    ("/weft.v1.Peer/RelayLogs", MANAGERS),
    ("/weft.v1.Raft/Append", MANAGERS),
    ("/weft.v1.Raft/Vote", MANAGERS),
    ("/weft.v1.Raft/PreVote", MANAGERS),
    ("/weft.v1.Raft/InstallSnapshot", MANAGERS),
    ("/weft.v1.Raft/TransferLeader", MANAGERS),
];

/// The calls that people of a single stack may make, as far as their role goes: those whose handlers
/// ask about each object whether it belongs to the stack ([`crate::acting::Scope`]).
pub(super) const STACKED: &[&str] = &[
    "/weft.v1.Control/CreateNetwork",
    "/weft.v1.Control/ListNetworks",
    "/weft.v1.Control/RemoveNetwork",
    "/weft.v1.Control/CreateService",
    "/weft.v1.Control/UpdateService",
    "/weft.v1.Control/RollbackService",
    "/weft.v1.Control/RemoveService",
    "/weft.v1.Control/ListServices",
    "/weft.v1.Control/ListTasks",
    "/weft.v1.Control/ServiceLogs",
    "/weft.v1.Control/RenewUser",
];

/// Whether somebody who is limited to `stack` may make the call at `path`.
///
/// # Errors
/// That she may not.
pub fn authorize_stack(path: &str, stack: &Name) -> Result<(), Denied> {
    if STACKED.contains(&path) {
        return Ok(());
    }
    Err(Denied::OtherThanStack {
        path: path.chars().take(100).collect(),
        stack: stack.clone(),
    })
}

/// Whether `caller` may make the call at `path` (`/package.Service/Method`). What is not in the
/// table is denied.
///
/// # Errors
/// Why not, and what to do.
pub fn authorize(path: &str, caller: Caller) -> Result<(), Denied> {
    let row = TABLE.iter().find(|(row, _)| *row == path);
    let shown = || path.chars().take(100).collect();
    match row {
        Some((_, allowed)) if allowed.contains(&caller) => Ok(()),
        // Without a certificate nobody learns which calls there are.
        Some(_) | None if caller == Caller::Anonymous => {
            Err(Denied::Unauthenticated { path: shown() })
        }
        Some((_, allowed)) => Err(Denied::Forbidden {
            path: shown(),
            caller,
            remedy: remedy(allowed, caller),
        }),
        None => Err(Denied::Unknown { path: shown() }),
    }
}

fn remedy(allowed: &[Caller], caller: Caller) -> &'static str {
    let socket = allowed.contains(&Caller::LocalSocket);
    if !matches!(caller, Caller::User(_)) {
        return if socket {
            ": run the command on a manager, where it goes through the local socket"
        } else {
            ""
        };
    }
    if allowed.contains(&OPERATOR) {
        ": ask somebody who is an operator or admin"
    } else if allowed.contains(&ADMIN) {
        ": ask an admin"
    } else if socket {
        ": run the command on the node itself, as root"
    } else {
        ""
    }
}
