//! A node becomes a manager, or a worker again, or is told that it was removed, while it runs.
//!
//! What the cluster wants comes with the agent's session, and managers ask for it by themselves. What
//! the node is stands in its node file and in its certificate. One step after the other brings the two
//! together, and each can be taken again after a crash.

use crate::daemon::node::NodeHandle;
use anyhow::Context;
use anyhow::anyhow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use weft_pki::Expect;
use weft_pki::LiveCredentials;
use weft_pki::channel;
use weft_proto::Role;
use weft_proto::wire;
use weft_proto::wire::membership_client::MembershipClient;
use weft_worker::agent::Standing;
use weft_worker::agent::Told;

/// How often a manager asks the others what it should be. Its own replica is the last to know that
/// its voice counts no longer.
const PERIOD: Duration = Duration::from_secs(2);
/// Until a step that was begun is looked at again.
const SOON: Duration = Duration::from_millis(200);
/// One call to one manager.
const CALL: Duration = Duration::from_secs(5);

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Present {
    /// By its node file.
    raft_id: Option<u64>,
    /// Its manager part runs.
    manages: bool,
    /// By its certificate.
    certificate: Role,
}

/// One step from what a node is to what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Say where it is reached, and get an identity in the log.
    Announce,
    /// Get a certificate for the new role.
    Renew,
    /// Take part in consensus under this identity.
    Start(u64),
    /// Take part no more, and forget the log.
    Stop,
}

/// The next step. Pure.
fn plan(present: Present, wanted: Standing) -> Option<Step> {
    match (wanted.raft_id, present.raft_id) {
        // An identity in the log is used for one life as a manager only.
        (Some(wanted), Some(present)) if wanted != present => Some(Step::Stop),
        (Some(_), _) if present.certificate != Role::Manager => Some(Step::Renew),
        (Some(wanted), _) if !present.manages => Some(Step::Start(wanted)),
        (Some(_), _) => None,
        (None, Some(_)) => Some(Step::Stop),
        (None, None) if wanted.role == Role::Manager => Some(Step::Announce),
        (None, None) if present.certificate == Role::Manager => Some(Step::Renew),
        (None, None) => None,
    }
}

/// Where to call, and as whom.
struct Caller {
    credentials: Arc<LiveCredentials>,
    managers: Vec<SocketAddr>,
    advertise: SocketAddr,
    manages: bool,
}

/// Brings this node to what its cluster wants it to be, until `stop`.
pub(super) async fn follow(node: Arc<NodeHandle>, stop: CancellationToken) {
    let mut told = node.told.subscribe();
    let mut turn = 0_usize;
    let work = async {
        loop {
            told.mark_unchanged();
            turn = turn.wrapping_add(1);
            let again = match node.step(turn).await {
                Ok(again) => again,
                Err(why) => {
                    tracing::warn!(
                        why = format!("{why:#}"),
                        "this node's role is not as wanted yet"
                    );
                    false
                }
            };
            let pause = if again { SOON } else { PERIOD };
            drop(timeout(pause, told.changed()).await);
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

impl NodeHandle {
    /// Takes one step. Whether to look again soon.
    async fn step(&self, turn: usize) -> anyhow::Result<bool> {
        let Some(caller) = self.caller().await else {
            return Ok(false);
        };
        if let Err(why) = self.certify_itself().await {
            tracing::warn!(
                why = format!("{why:#}"),
                "this manager's certificate is not renewed"
            );
        }
        if caller.manages {
            self.ask(&caller, turn).await;
        }
        let told = self.told.borrow().clone();
        let wanted = match told {
            Told::Nothing => return Ok(false),
            Told::Removed(why) => {
                self.give_up(&why).await;
                return Ok(false);
            }
            Told::Member(wanted) => wanted,
        };
        let step = {
            let running = self.running.lock().await;
            let Some(running) = running.as_ref() else {
                return Ok(false);
            };
            if wanted.version < running.file.standing {
                return Ok(false);
            }
            let present = Present {
                raft_id: running.file.raft_id,
                manages: running.manager.is_some(),
                certificate: running.credentials.current().identity().role,
            };
            plan(present, wanted)
        };
        let Some(step) = step else {
            return Ok(false);
        };
        tracing::info!(?step, ?wanted, "this node's role changes");
        match step {
            Step::Announce => self.announce(&caller).await?,
            Step::Renew => self.renewed(&caller).await,
            Step::Start(raft_id) => self.become_manager(raft_id, wanted.version).await?,
            Step::Stop => self.become_worker(wanted.version).await?,
        }
        Ok(true)
    }

    /// Asks the agent for another certificate, and waits for it a while.
    async fn renewed(&self, caller: &Caller) {
        let role = || caller.credentials.current().identity().role;
        let before = role();
        self.renew.notify_one();
        let changed = async {
            while role() == before {
                sleep(SOON).await;
            }
        };
        // Nothing lost if it takes longer: the agent goes on trying, and so does the next step.
        drop(timeout(CALL, changed).await);
    }

    async fn caller(&self) -> Option<Caller> {
        let running = self.running.lock().await;
        let running = running.as_ref()?;
        let own = running.file.advertise_addr;
        let others = running.manager.iter().flat_map(|manager| manager.others());
        let mut managers: Vec<SocketAddr> = running.worker.managers();
        managers.extend(others);
        managers.sort_unstable();
        managers.dedup();
        managers.retain(|addr| !(running.is_manager() && *addr == own));
        Some(Caller {
            credentials: running.credentials.clone(),
            managers,
            advertise: own,
            manages: running.is_manager(),
        })
    }

    /// Asks one of the other managers what this node should be.
    async fn ask(&self, caller: &Caller, turn: usize) {
        let Some(count) = std::num::NonZeroUsize::new(caller.managers.len()) else {
            return;
        };
        let Some(addr) = caller.managers.get(turn % count) else {
            return;
        };
        let mut client = client(caller, *addr);
        let answer = timeout(CALL, client.get_standing(wire::GetStandingRequest {})).await;
        match answer {
            Ok(Ok(answer)) => self.learn(answer.into_inner().standing),
            Ok(Err(status)) if weft_pki::says_removed(&status) => {
                let why = status.message().to_owned();
                self.told.send_replace(Told::Removed(why));
            }
            // It may be down, or without a majority itself.
            Ok(Err(_)) | Err(_) => {}
        }
    }

    async fn announce(&self, caller: &Caller) -> anyhow::Result<()> {
        let mut last = anyhow!("no manager is known");
        for addr in &caller.managers {
            let request = wire::AnnounceRequest {
                advertise_addr: caller.advertise.to_string(),
            };
            match timeout(CALL, client(caller, *addr).announce(request)).await {
                Ok(Ok(answer)) => {
                    let answer = answer.into_inner();
                    self.lock_with(&answer.unlock_key)?;
                    self.learn(answer.standing);
                    return Ok(());
                }
                Ok(Err(status)) => {
                    let why = weft_pki::explain(&status);
                    let why = why.unwrap_or_else(|| status.message().to_owned());
                    last = anyhow!("{addr}: {why}");
                }
                Err(_) => last = anyhow!("{addr} does not answer"),
            }
        }
        Err(last).context("no manager gave this node its place among them")
    }

    fn learn(&self, standing: Option<wire::Standing>) {
        if let Some(standing) = standing.and_then(Standing::read) {
            self.told.send_if_modified(|told| told.learn(standing));
        }
    }
}

fn client(caller: &Caller, addr: SocketAddr) -> MembershipClient<tonic::transport::Channel> {
    let to = channel(addr, caller.credentials.clone(), Expect::any_manager());
    MembershipClient::new(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(role: Role, raft_id: Option<u64>) -> Standing {
        Standing {
            version: 1,
            role,
            raft_id,
        }
    }

    /// What the steps do to a node and to what the cluster says, with a crash after each: what ran
    /// before a crash runs after it if the node file says so.
    fn walk(mut present: Present, mut standing: Standing, crashes: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some(step) = plan(present, standing) {
            steps.push(step);
            assert!(steps.len() < 9, "no end: {steps:?}");
            match step {
                Step::Announce => standing.raft_id = Some(7),
                Step::Renew => {
                    present.certificate = if standing.raft_id.is_some() {
                        Role::Manager
                    } else {
                        Role::Worker
                    }
                }
                Step::Start(raft_id) => {
                    present.raft_id = Some(raft_id);
                    present.manages = true;
                }
                Step::Stop => {
                    present.raft_id = None;
                    present.manages = false;
                }
            }
            if crashes {
                present.manages = present.raft_id.is_some();
            }
        }
        steps
    }

    const WORKER: Present = Present {
        raft_id: None,
        manages: false,
        certificate: Role::Worker,
    };
    const MANAGER: Present = Present {
        raft_id: Some(3),
        manages: true,
        certificate: Role::Manager,
    };

    #[test]
    fn a_worker_becomes_a_manager_and_a_manager_a_worker() {
        for crashes in [false, true] {
            let up = walk(WORKER, wanted(Role::Manager, None), crashes);
            assert_eq!(up, [Step::Announce, Step::Renew, Step::Start(7)]);
            let down = walk(MANAGER, wanted(Role::Worker, None), crashes);
            assert_eq!(down, [Step::Stop, Step::Renew]);
        }
    }

    #[test]
    fn a_manager_that_is_on_its_way_out_goes_on_until_the_others_let_it_go() {
        assert_eq!(plan(MANAGER, wanted(Role::Worker, Some(3))), None);
        assert_eq!(plan(MANAGER, wanted(Role::Manager, Some(3))), None);
    }

    #[test]
    fn a_new_life_as_a_manager_begins_with_the_end_of_the_old_one() {
        let steps = walk(MANAGER, wanted(Role::Manager, Some(7)), false);
        assert_eq!(steps, [Step::Stop, Step::Start(7)]);
        let again = walk(MANAGER, wanted(Role::Manager, None), false);
        assert_eq!(again, [Step::Stop, Step::Announce, Step::Start(7)]);
    }

    #[test]
    fn a_manager_whose_start_failed_is_started_again() {
        let mut stopped = MANAGER;
        stopped.manages = false;
        let step = plan(stopped, wanted(Role::Manager, Some(3)));
        assert_eq!(step, Some(Step::Start(3)));
    }
}
