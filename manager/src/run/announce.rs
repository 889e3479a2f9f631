//! A manager that was started at another address than the others know says so.

use crate::departure::MembershipService;
use crate::store::Store;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use weft_proto::wire;
use weft_proto::wire::membership_client::MembershipClient;
use weft_raft::Dialer;
use weft_raft::Member;
use weft_raft::RaftNode;

/// Between two looks at what the state says.
const PERIOD: Duration = Duration::from_secs(1);
/// One attempt at one manager.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Tells the others, until `stop`, whenever the state has another address of this manager than
/// `addr`. Nobody calls it under its new address before, so it has to be the one that calls.
pub(super) async fn keep(
    store: Arc<Store>,
    raft: RaftNode,
    own: MembershipService,
    dialer: Arc<dyn Dialer>,
    addr: SocketAddr,
    stop: CancellationToken,
) {
    let work = async {
        loop {
            sleep(PERIOD).await;
            let (me, leads) = {
                let status = raft.status();
                let status = status.borrow();
                (status.me, status.is_leader)
            };
            let known = store.view().node(me.node_id).and_then(|node| node.manager);
            if known.is_none_or(|known| known.addr == addr || known.raft_id != me.raft_id.0) {
                continue;
            }
            tracing::info!(%addr, was = ?known, "this manager is reached at a new address");
            if leads {
                if let Err(why) = own.announce(me.node_id, addr).await {
                    tracing::warn!(%why, "the new address is not written down yet");
                }
                continue;
            }
            let others: Vec<Member> = raft.status().borrow().members.values().copied().collect();
            for other in others
                .into_iter()
                .filter(|other| other.raft_id != me.raft_id)
            {
                let mut client = MembershipClient::new(dialer.channel(&other));
                let request = wire::AnnounceRequest {
                    advertise_addr: addr.to_string(),
                };
                match timeout(ATTEMPT, client.announce(request)).await {
                    Ok(Ok(_)) => break,
                    Ok(Err(why)) => {
                        tracing::warn!(%other, %why, "the new address is not written down yet");
                    }
                    Err(_) => tracing::warn!(%other, "no answer about the new address"),
                }
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}
