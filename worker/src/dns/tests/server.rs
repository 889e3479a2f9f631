use std::collections::BTreeSet;

use super::support::Served;
use super::support::serve;
use super::support::table;
use crate::dns::Forwarding;

fn internal() -> Served {
    serve(table(), Forwarding::Denied)
}

#[tokio::test]
async fn dig_sees_the_vip_the_tasks_the_alias_and_the_way_back() {
    let served = internal();
    assert_eq!(served.short("web A").await, ["10.0.1.2"]);
    assert_eq!(served.short("WEB. A").await, ["10.0.1.2"]);
    assert_eq!(served.short("front-end A").await, ["10.0.1.2"]);
    assert_eq!(served.short("web.3 A").await, ["10.0.1.13"]);
    assert_eq!(served.short("six AAAA").await, ["fd00::3"]);
    assert_eq!(served.short("-x 10.0.1.12").await, ["web.2."]);
    assert_eq!(
        served.short("_http._tcp.web SRV").await,
        ["0 0 8000 web.1.", "0 0 8000 web.2."]
    );
    let tasks = served.short("tasks.web A").await;
    assert_eq!(
        tasks,
        [
            "10.0.1.11",
            "10.0.1.12",
            "10.0.1.13",
            "10.0.1.14",
            "10.0.1.15"
        ]
    );
}

#[tokio::test]
async fn clients_that_take_the_first_address_are_spread() {
    let served = internal();
    let mut first = BTreeSet::new();
    for _ in 0..5 {
        let text = served.dig("+short tasks.web").await;
        first.extend(text.lines().next().map(str::to_owned));
    }
    assert_eq!(first.len(), 5);
}

#[tokio::test]
async fn a_known_name_of_another_type_is_an_empty_success() {
    let text = internal().dig("web AAAA").await;
    assert!(text.contains("status: NOERROR"), "{text}");
    assert!(text.contains("ANSWER: 0"), "{text}");
    assert!(!text.contains("WARNING"), "{text}");
}

#[tokio::test]
async fn an_internal_task_hears_at_once_that_a_foreign_name_does_not_exist() {
    let text = internal().dig("example.com A").await;
    assert!(text.contains("status: NXDOMAIN"), "{text}");
}

#[tokio::test]
async fn tcp_answers_several_questions_on_one_connection() {
    let text = internal()
        .dig("+tcp +keepopen +short web A tasks.web A web.1 A")
        .await;
    assert_eq!(text.lines().count(), 7, "{text}");
}

#[tokio::test]
async fn a_large_set_without_edns_is_truncated_and_whole_over_tcp() {
    let served = internal();
    let cut = served.dig("+noedns +ignore tasks.crowd").await;
    let flags = cut.lines().find(|line| line.contains("flags:")).unwrap();
    assert!(flags.contains(" tc"), "{cut}");
    // 12 header, 17 question, 16 a record: 30 records are 509 bytes; one is given up for EDNS.
    assert!(flags.contains("ANSWER: 29"), "{cut}");
    assert_eq!(
        served.short("+noedns tasks.crowd").await.len(),
        100,
        "dig goes on over TCP"
    );
    assert_eq!(
        served
            .short("+bufsize=4096 +ignore tasks.crowd")
            .await
            .len(),
        100
    );
    let edns = served.dig("+bufsize=600 +ignore tasks.crowd").await;
    assert!(
        edns.contains("EDNS: version: 0"),
        "truncation keeps the EDNS record: {edns}"
    );
    assert!(
        !edns.contains("Truncated packet") && !edns.contains("malformed"),
        "{edns}"
    );
}

#[tokio::test]
async fn odd_questions_are_refused_by_name() {
    let served = internal();
    for (args, status) in [
        ("web CH A", "REFUSED"),
        ("+opcode=notify web A", "NOTIMP"),
        ("+opcode=status web A", "NOTIMP"),
        ("+edns=1 +noednsneg web A", "BADVERS"),
        ("tasks.gone A", "NXDOMAIN"),
    ] {
        let text = served.dig(args).await;
        assert!(
            text.contains(&format!("status: {status}")),
            "{args}: {text}"
        );
    }
}

#[tokio::test]
async fn a_dropped_server_frees_its_address() {
    let served = internal();
    let address = served.address;
    drop(served);
    let gone = async {
        while std::net::UdpSocket::bind(address).is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), gone)
        .await
        .unwrap();
}
