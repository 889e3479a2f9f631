use crate::support::*;
use futures::StreamExt;
use weft_worker::runtime::LogQuery;
use weft_worker::runtime::LogStream;
use weft_worker::runtime::Runtime;
use weft_worker::runtime::Tail;

#[tokio::test]
async fn lines_carry_time_and_stream() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let before = now();
    let launch = bench.shell("echo out; sleep 0.2; printf 'err' >&2");
    let task = launch.id;
    run(&runtime, launch).await;
    let lines = runtime.logs(task, LogQuery::default()).await.unwrap();
    let lines: Vec<_> = lines.map(Result::unwrap).collect().await;
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (line.stream, &line.bytes[..]))
        .collect();
    assert_eq!(
        seen,
        [
            (LogStream::Stdout, &b"out"[..]),
            (LogStream::Stderr, &b"err"[..])
        ]
    );
    assert!(before <= lines[0].time && lines[0].time < lines[1].time && lines[1].time <= now());
}

#[tokio::test]
async fn followed_lines_come_as_they_are_written_and_end_with_the_task() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = bench
        .shell("echo a; echo b; echo c; trap 'echo d; exit' TERM; while :; do sleep 0.05; done");
    let task = launch.id;
    start(&runtime, launch).await;
    wait_for_output(&runtime, task, "c\n").await;
    let query = LogQuery {
        tail: Tail::Last(2),
        follow: true,
        since: None,
    };
    let mut lines = runtime.logs(task, query).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.push(lines.next().await.unwrap().unwrap().bytes);
    }
    assert_eq!(seen, ["b", "c"]);
    runtime.stop(task, term(CEILING)).await.unwrap();
    let rest: Vec<_> = lines.map(|line| line.unwrap().bytes).collect().await;
    assert_eq!(rest, ["d"]);
}

#[tokio::test]
async fn a_flood_of_output_is_kept_to_its_last_part() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    // 45 MB with time stamps, of which 30 MB may stay.
    let launch = bench.shell("seq -f 'line %08g of very many lines that all look alike' 500000");
    let task = launch.id;
    start(&runtime, launch).await;
    assert!(exit(&runtime, task).await.is_success());
    let dir = bench.tasks_dir().join(task.as_str());
    let sizes: Vec<u64> = std::fs::read_dir(dir)
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("log."))
        .map(|entry| entry.metadata().unwrap().len())
        .collect();
    assert_eq!(sizes.len(), 3);
    assert!(sizes.iter().sum::<u64>() < 31 << 20, "{sizes:?}");
    let query = LogQuery {
        tail: Tail::Last(1),
        ..LogQuery::default()
    };
    let last = runtime
        .logs(task, query)
        .await
        .unwrap()
        .next()
        .await
        .unwrap()
        .unwrap();
    assert!(last.bytes.starts_with(b"line 00500000"), "{last:?}");
}
