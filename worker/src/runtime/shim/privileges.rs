//! What a task may not do, whoever it runs as.

use super::account::Account;
use super::setup_error::SetupError;
use super::setup_error::step;
use nix::unistd::Gid;
use nix::unistd::Uid;
use rustix::io::Errno;
use rustix::thread::CapabilitySet;
use rustix::thread::CapabilitySets;

/// What root in a task keeps: Docker's default set, without `MKNOD`. Docker can leave that in
/// since it also limits devices by control group; here a device file made by a task would open
/// the host's disk.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Gives up everything but [`KEPT`] for good and becomes the account.
pub(super) fn drop_to(account: &Account) -> Result<(), SetupError> {
    rustix::thread::set_no_new_privs(true).map_err(step("cannot forbid new privileges"))?;
    rustix::thread::clear_ambient_capability_set()
        .map_err(step("cannot clear ambient capabilities"))?;
    for bit in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if KEPT.contains(capability) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            Err(Errno::INVAL) => break, // one above the last this kernel has
            Err(error) => return Err(step("cannot drop capabilities")(error)),
        }
    }

    let failed = || format!("cannot become user {} group {}", account.uid, account.gid);
    let groups: Vec<Gid> = account.groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    nix::unistd::setgroups(&groups).map_err(step(failed()))?;
    nix::unistd::setresgid(gid, gid, gid).map_err(step(failed()))?;
    nix::unistd::setresuid(uid, uid, uid).map_err(step(failed()))?;

    // Leaving root has cleared them already.
    let kept = if account.uid == 0 {
        KEPT
    } else {
        CapabilitySet::empty()
    };
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets).map_err(step("cannot set capabilities"))
}
