use super::*;

fn networks(stale: bool, min_revision: u64) -> Request<wire::ListNetworksRequest> {
    Request::new(wire::ListNetworksRequest {
        read: Some(wire::ReadOptions {
            stale,
            min_revision,
        }),
        ..wire::ListNetworksRequest::default()
    })
}

#[tokio::test]
async fn a_list_says_what_it_shows_and_who_shows_it() {
    let house = house(vec![fixture::network(1).into(), fixture::node(1).into()]);
    let answer = house.control.list_networks(networks(false, 0)).await;
    let shown = answer.unwrap().into_inner().shown.unwrap();
    assert_eq!(shown.revision, house.fake.view().revision());
    assert_eq!(shown.node_id, fixture::node_id(1).to_string());
    assert_eq!(shown.hostname, "n1");
    assert_eq!(house.fake.fresh_reads(), 1);
}

#[tokio::test]
async fn a_stale_list_asks_nobody_and_is_never_older_than_asked_for() {
    let house = house(vec![fixture::network(1).into()]);
    for (stale, min, fresh_reads) in [(true, 0, 0), (true, 1, 0), (false, 0, 1)] {
        let answer = house.control.list_networks(networks(stale, min)).await;
        assert_eq!(answer.unwrap().into_inner().networks.len(), 1);
        assert_eq!(house.fake.fresh_reads(), fresh_reads);
    }
    let waits = house.control.list_networks(networks(true, 2));
    let catches_up = async {
        tokio::task::yield_now().await;
        house.fake.store().advance(2);
    };
    let (answer, ()) = tokio::join!(waits, catches_up);
    assert_eq!(answer.unwrap().into_inner().shown.unwrap().revision, 2);
    let behind = house.control.list_networks(networks(true, 9)).await;
    refused(
        behind,
        Code::Unavailable,
        &["revision 2", "to 9", "another manager"],
    );
}
