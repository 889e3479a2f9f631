use crate::support::*;
use std::process::Command;
use std::time::Duration;
use weft_worker::runtime::Runtime;
use weft_worker::runtime::TaskLaunch;

#[tokio::test]
async fn three_unmodified_nginx_run_side_by_side() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let mut servers = Vec::new();
    for n in 0..3 {
        let netns = NetNs::new();
        let launch = TaskLaunch {
            netns: Some(netns.path()),
            hostname: format!("nginx-{n}"),
            ..bench.shell("hostname > /var/www/html/me.txt; exec nginx -g 'daemon off;'")
        };
        let task = launch.id;
        pid(&start(&runtime, launch).await);
        servers.push((n, netns, task));
    }
    for (n, netns, task) in &servers {
        let answer = wait("nginx answers", || netns.curl("http://127.0.0.1/me.txt")).await;
        assert_eq!(answer, format!("nginx-{n}\n"));
        // 3 is QUIT, nginx's own graceful stop.
        let policy = weft_worker::runtime::StopPolicy {
            signal: 3,
            grace: Duration::from_secs(10),
        };
        let ended = runtime.stop(*task, policy).await.unwrap();
        assert!(
            ended.exit().unwrap().is_success(),
            "{ended:?} {}",
            output(&runtime, *task).await
        );
    }
}

#[tokio::test]
async fn unmodified_redis_serves_and_stops_gracefully() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let netns = NetNs::new();
    let launch = TaskLaunch {
        netns: Some(netns.path()),
        ..bench.launch(&["redis-server"])
    };
    let task = launch.id;
    start(&runtime, launch).await;
    wait_for_output(&runtime, task, "Ready to accept connections").await;
    let name = netns.path();
    let pong = Command::new("nsenter")
        .arg(format!("--net={}", name.display()))
        .args(["redis-cli", "ping"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&pong.stdout), "PONG\n");
    let ended = runtime.stop(task, term(CEILING)).await.unwrap();
    assert!(ended.exit().unwrap().is_success(), "{ended:?}");
}
