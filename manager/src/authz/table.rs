//! The table.

use crate::authz::Caller;
use crate::authz::Denied;

/// Only people on the node itself.
const LOCAL: &[Caller] = &[Caller::LocalSocket];
/// People on a manager, and managers that hand a call on.
const OPERATORS: &[Caller] = &[Caller::LocalSocket, Caller::Manager];
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

/// Every call there is, and who may make it.
pub(super) const TABLE: &[(&str, &[Caller])] = &[
    ("/weft.v1.Ca/Issue", EVERYONE),
    ("/weft.v1.Ca/Renew", MEMBERS),
    ("/weft.v1.Control/GetCluster", OPERATORS),
    ("/weft.v1.Control/GetJoinToken", OPERATORS),
    ("/weft.v1.Control/ListNodes", OPERATORS),
    ("/weft.v1.Control/UpdateNode", OPERATORS),
    ("/weft.v1.Control/RemoveNode", OPERATORS),
    ("/weft.v1.Control/CreateNetwork", OPERATORS),
    ("/weft.v1.Control/ListNetworks", OPERATORS),
    ("/weft.v1.Control/RemoveNetwork", OPERATORS),
    ("/weft.v1.Control/CreateService", OPERATORS),
    ("/weft.v1.Control/UpdateService", OPERATORS),
    ("/weft.v1.Control/RollbackService", OPERATORS),
    ("/weft.v1.Control/RemoveService", OPERATORS),
    ("/weft.v1.Control/ListServices", OPERATORS),
    ("/weft.v1.Control/ListTasks", OPERATORS),
    ("/weft.v1.Control/ServiceLogs", OPERATORS),
    ("/weft.v1.Control/Watch", OPERATORS),
    ("/weft.v1.Control/StateHash", OPERATORS),
    ("/weft.v1.Control/Backup", LOCAL),
    ("/weft.v1.Control/SetAutolock", LOCAL),
    ("/weft.v1.Control/GetUnlockKey", LOCAL),
    ("/weft.v1.Control/ListAudit", LOCAL),
    ("/weft.v1.Control/CreateSecret", OPERATORS),
    ("/weft.v1.Control/UpdateSecret", OPERATORS),
    ("/weft.v1.Control/ListSecrets", OPERATORS),
    ("/weft.v1.Control/RemoveSecret", OPERATORS),
    ("/weft.v1.Control/CreateConfig", OPERATORS),
    ("/weft.v1.Control/UpdateConfig", OPERATORS),
    ("/weft.v1.Control/ListConfigs", OPERATORS),
    ("/weft.v1.Control/RemoveConfig", OPERATORS),
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
            remedy: remedy(allowed),
        }),
        None => Err(Denied::Unknown { path: shown() }),
    }
}

fn remedy(allowed: &[Caller]) -> &'static str {
    if allowed.contains(&Caller::LocalSocket) {
        ": run the command on a manager, where it goes through the local socket"
    } else {
        ""
    }
}
