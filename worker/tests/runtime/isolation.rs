use crate::support::*;
use std::fs;
use std::path::Path;
use weft_worker::runtime::Bind;
use weft_worker::runtime::ExitReason;
use weft_worker::runtime::TaskLaunch;

#[tokio::test]
async fn a_task_has_its_own_environment_host_name_and_name_resolution() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = TaskLaunch {
        hostname: "web-1".to_owned(),
        env: env(&[("GREETING", "hello world")]),
        resolv_conf: "nameserver 127.0.0.11\n".to_owned(),
        hosts: "10.0.1.7 web-1\n".to_owned(),
        working_dir: "/usr/share".into(),
        ..bench.shell("env | sort; hostname; cat /etc/hostname /etc/resolv.conf /etc/hosts; pwd")
    };
    let (exit, output) = run(&runtime, launch).await;
    assert!(exit.is_success(), "{output}");
    assert_eq!(
        output,
        "GREETING=hello world\nHOME=/root\nHOSTNAME=web-1\n\
         PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/usr/share\n\
         web-1\nweb-1\nnameserver 127.0.0.11\n10.0.1.7 web-1\n/usr/share\n"
    );
    assert_ne!(
        fs::read_to_string("/proc/sys/kernel/hostname").unwrap(),
        "web-1\n"
    );
}

#[tokio::test]
async fn a_task_is_alone_in_its_process_namespace() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let output = script(&bench, &runtime, "echo $$; cd /proc; echo [0-9]*").await;
    assert_eq!(output, "1\n1\n", "itself and no more");
}

#[tokio::test]
async fn a_task_sees_only_the_network_it_is_given() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let netns = NetNs::new();
    let launch = TaskLaunch {
        netns: Some(netns.path()),
        ..bench.shell("ls /sys/class/net; readlink /proc/self/ns/net")
    };
    let (exit, output) = run(&runtime, launch).await;
    assert!(exit.is_success(), "{output}");
    let host = fs::read_link("/proc/self/ns/net").unwrap();
    assert!(output.starts_with("lo\n"), "{output}");
    assert!(!output.contains(host.to_str().unwrap()), "{output}");
}

#[tokio::test]
async fn hidden_directories_are_empty_also_below_a_mounted_parent() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let secret = bench.state.path().join("ca.key");
    fs::write(&secret, "canary").unwrap();
    let parent = bench.state.path().parent().unwrap().to_owned();
    let name = bench
        .state
        .path()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let looked = format!(
        "ls -A {0}; ls -A /up/{name}; touch {0}/x 2>&1",
        bench.state.path().display()
    );
    let launch = TaskLaunch {
        mounts: vec![Bind {
            source: parent,
            target: "/up".into(),
            read_only: true,
        }],
        ..bench.shell(&looked)
    };
    let (exit, output) = run(&runtime, launch).await;
    assert_eq!(exit.reason, ExitReason::Code(1), "{output}");
    assert!(
        output.starts_with("touch:") && output.contains("Read-only"),
        "{output}"
    );
}

#[tokio::test]
async fn writes_of_a_task_do_not_reach_the_host() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let name = format!("weft-canary-{}", unique());
    let write = format!(
        "for d in /etc /usr/bin /var/lib /run /tmp /dev/shm /root; do \
         echo x > $d/{name} || exit 1; done; rm /etc/passwd; ls /etc/{name}"
    );
    let output = script(&bench, &runtime, &write).await;
    assert_eq!(output, format!("/etc/{name}\n"));
    for dir in [
        "/etc", "/usr/bin", "/var/lib", "/run", "/tmp", "/dev/shm", "/root",
    ] {
        assert!(!Path::new(dir).join(&name).exists(), "{dir}");
    }
    assert!(Path::new("/etc/passwd").exists());
}

#[tokio::test]
async fn mounts_are_shown_at_their_targets_and_read_only_ones_stay_so() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let volume = tempfile::tempdir_in("/var/tmp").unwrap();
    let file = volume.path().join("config.txt");
    fs::write(&file, "from the host\n").unwrap();
    let mount = |source: &Path, target: &str, read_only| Bind {
        source: source.to_owned(),
        target: target.into(),
        read_only,
    };
    let launch = TaskLaunch {
        mounts: vec![
            mount(volume.path(), "/data", false),
            mount(&file, "/run/deep/below/config", true),
        ],
        ..bench.shell(
            "cat /run/deep/below/config; echo back > /data/out; \
             echo no >> /run/deep/below/config || echo refused",
        )
    };
    let (_, output) = run(&runtime, launch).await;
    assert!(
        output.contains("from the host\n") && output.contains("refused\n"),
        "{output}"
    );
    assert_eq!(
        fs::read_to_string(volume.path().join("out")).unwrap(),
        "back\n"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "from the host\n");
}

#[tokio::test]
async fn a_link_in_a_volume_cannot_lead_a_mount_onto_the_host() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let volume = tempfile::tempdir_in("/var/tmp").unwrap();
    let host = tempfile::tempdir_in("/var/tmp").unwrap();
    let way = format!("/.weft-old-root{}", host.path().display());
    std::os::unix::fs::symlink(way, volume.path().join("sub")).unwrap();
    let mount = |target: &str| Bind {
        source: volume.path().to_owned(),
        target: target.into(),
        read_only: false,
    };
    let launch = TaskLaunch {
        mounts: vec![mount("/data"), mount("/data/sub/made")],
        ..bench.launch(&["true"])
    };
    let (exit, _) = run(&runtime, launch).await;
    assert!(matches!(exit.reason, ExitReason::NotStarted(_)), "{exit:?}");
    assert!(!host.path().join("made").exists());
}

#[tokio::test]
async fn root_in_a_task_keeps_few_powers_and_gains_none() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let output = script(
        &bench,
        &runtime,
        "grep -E 'CapBnd|CapEff|CapAmb|NoNewPrivs' /proc/self/status; \
         mknod /tmp/disk b 8 0 2>/dev/null && echo made; \
         mount -t tmpfs none /mnt 2>/dev/null && echo mounted; \
         echo x 2>/dev/null > /proc/sys/kernel/core_pattern && echo wrote; \
         hostname other 2>/dev/null && echo renamed; \
         cat /proc/kcore 2>/dev/null | head -c1 | wc -c; echo done",
    )
    .await;
    assert_eq!(
        output,
        "CapEff:\t00000000a00425fb\nCapBnd:\t00000000a00425fb\n\
         CapAmb:\t0000000000000000\nNoNewPrivs:\t1\n0\ndone\n"
    );
}

#[tokio::test]
async fn a_task_can_run_as_another_user() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let launch = TaskLaunch {
        user: Some("www-data".to_owned()),
        ..bench.shell(
            "id -un; id -G; echo $HOME; echo direct > /dev/stdout; grep CapEff /proc/self/status",
        )
    };
    let (exit, output) = run(&runtime, launch).await;
    assert!(exit.is_success(), "{output}");
    assert_eq!(
        output,
        "www-data\n33\n/var/www\ndirect\nCapEff:\t0000000000000000\n"
    );
}

#[tokio::test]
async fn the_usual_devices_are_there_and_no_others() {
    let bench = Bench::new();
    let runtime = bench.open().await;
    let output = script(
        &bench,
        &runtime,
        "ls /dev | tr '\\n' ' '; echo; echo x > /dev/null; head -c4 /dev/urandom | wc -c; \
         head -c3 /dev/zero | wc -c; test -c /dev/ptmx && echo pty",
    )
    .await;
    assert_eq!(
        output,
        "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero \n4\n3\npty\n"
    );
}
