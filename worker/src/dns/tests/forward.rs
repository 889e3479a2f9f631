use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::support::FakeUpstream;
use super::support::Manner;
use super::support::UPSTREAM_ANSWER;
use super::support::serve;
use super::support::table;
use crate::dns::Forwarding;
use crate::dns::Upstreams;

fn to(servers: &[SocketAddr]) -> Forwarding {
    Forwarding::To(Arc::new(Upstreams::new(servers.to_vec())))
}

#[tokio::test]
async fn unknown_names_are_forwarded_and_known_ones_never() {
    let upstream = FakeUpstream::start(Manner::Normal);
    let served = serve(table(), upstream.forwarding());
    for known in [
        "web A",
        "web AAAA",
        "web MX",
        "sick A",
        "-x 10.0.9.9",
        "tasks.gone A",
    ] {
        served.dig(known).await;
    }
    assert_eq!(upstream.asked(), 0);
    assert_eq!(served.short("example.com A").await, [UPSTREAM_ANSWER]);
    assert_eq!(served.short("+tcp example.com A").await, [UPSTREAM_ANSWER]);
    assert_eq!(served.short("single A").await, [UPSTREAM_ANSWER]);
    assert_eq!(upstream.asked(), 3);
}

#[tokio::test]
async fn an_internal_task_forwards_nothing() {
    let upstream = FakeUpstream::start(Manner::Normal);
    let served = serve(table(), upstream.forwarding());
    served.server.handle().update(table(), Forwarding::Denied);
    assert!(served.dig("example.com A").await.contains("NXDOMAIN"));
    assert_eq!(upstream.asked(), 0);
}

#[tokio::test]
async fn without_a_resolver_the_failure_comes_at_once() {
    let served = serve(table(), to(&[]));
    let before = Instant::now();
    assert!(served.dig("example.com A").await.contains("SERVFAIL"));
    assert!(before.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn forged_answers_are_passed_over() {
    let upstream = FakeUpstream::start(Manner::ForgedFirst);
    let served = serve(table(), upstream.forwarding());
    assert_eq!(served.short("example.com A").await, [UPSTREAM_ANSWER]);
}

#[tokio::test]
async fn a_truncated_answer_is_fetched_over_tcp() {
    let upstream = FakeUpstream::start(Manner::TruncatedOverUdp);
    let served = serve(table(), upstream.forwarding());
    assert_eq!(
        served.short("+ignore example.com A").await,
        [UPSTREAM_ANSWER]
    );
}

#[tokio::test]
async fn an_answer_larger_than_the_client_takes_is_truncated() {
    let upstream = FakeUpstream::start(Manner::Large);
    let served = serve(table(), upstream.forwarding());
    let text = served.dig("+noedns +ignore example.com A").await;
    let flags = text.lines().find(|line| line.contains("flags:")).unwrap();
    assert!(flags.contains(" tc"), "{text}");
    assert_eq!(
        served
            .short("+bufsize=1232 +ignore example.com A")
            .await
            .len(),
        60
    );
}

#[tokio::test]
async fn the_next_resolver_is_asked_when_one_fails_or_is_silent_and_then_first() {
    let silent = FakeUpstream::start(Manner::Silent);
    let failing = FakeUpstream::start(Manner::ServFail);
    let good = FakeUpstream::start(Manner::Normal);
    let served = serve(
        table(),
        to(&[silent.address, failing.address, good.address]),
    );
    assert_eq!(served.short("a.example A").await, [UPSTREAM_ANSWER]);
    assert_eq!((silent.asked(), failing.asked(), good.asked()), (1, 1, 1));
    assert_eq!(served.short("b.example A").await, [UPSTREAM_ANSWER]);
    assert_eq!((silent.asked(), failing.asked(), good.asked()), (1, 1, 2));
}

#[tokio::test]
async fn if_all_resolvers_fail_the_client_is_told_before_it_gives_up() {
    let silent = FakeUpstream::start(Manner::Silent);
    let servers = [silent.address; 5];
    let served = serve(table(), to(&servers));
    assert!(served.dig("a.example A").await.contains("SERVFAIL"));
}

#[tokio::test]
async fn a_silent_resolver_does_not_hold_up_known_names() {
    let silent = FakeUpstream::start(Manner::Silent);
    let served = serve(table(), silent.forwarding());
    let (slow, fast) = tokio::join!(served.dig("a.example A"), async {
        let before = Instant::now();
        assert_eq!(served.short("web A").await, ["10.0.1.2"]);
        before.elapsed()
    });
    assert!(slow.contains("SERVFAIL"), "{slow}");
    assert!(fast < Duration::from_secs(1));
}
