//! The first thing a newcomer does.

use std::process::Command;
use std::process::Output;
use weft_tests::weft_binary;

fn demo(args: &[&str]) -> anyhow::Result<Output> {
    Ok(Command::new(weft_binary()?)
        .arg("demo")
        .args(args)
        .output()?)
}

fn ok(args: &[&str]) -> anyhow::Result<String> {
    let output = demo(args)?;
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    anyhow::ensure!(output.status.success(), "weft demo {args:?}: {out}{err}");
    Ok(format!("{out}{err}"))
}

/// Removes the demo also when an assertion fails.
struct Down;

impl Drop for Down {
    fn drop(&mut self) {
        drop(demo(&["down"]));
    }
}

#[test]
fn the_demo_comes_up_answers_and_leaves_nothing_behind() -> anyhow::Result<()> {
    let before = kernel_objects()?;
    let down = Down;
    ok(&["up"])?;
    let again = ok(&["up"])?;
    assert!(again.contains("already up"), "{again}");
    let status = ok(&["status"])?;
    for word in ["n1", "n5", "web", "redis", "whoami"] {
        assert!(status.contains(word), "{status}");
    }
    let pong = ok(&["exec", "whoami.1", "--", "redis-cli", "-h", "redis", "ping"])?;
    assert!(pong.contains("PONG"), "{pong}");
    let killed = ok(&["kill", "leader"])?;
    let node = killed
        .split_whitespace()
        .find(|word| word.starts_with('n'))
        .unwrap_or_default();
    ok(&["start", node])?;
    ok(&["down"])?;
    ok(&["down"])?;
    assert_eq!(kernel_objects()?, before);
    drop(down);
    Ok(())
}

/// Links, namespaces, mounts, tables and processes of this machine that carry our name.
fn kernel_objects() -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for words in [
        &["ip", "-o", "link"][..],
        &["ip", "netns", "list"],
        &["cat", "/proc/mounts"],
        &["nft", "list", "tables"],
        &["find", "/sys/fs/cgroup", "-type", "d", "-name", "weft*"],
        &[
            "find",
            "/run",
            "/var/lib",
            "-maxdepth",
            "1",
            "-name",
            "weft-demo*",
        ],
    ] {
        let output = Command::new(words[0]).args(&words[1..]).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        found.extend(
            text.lines()
                .filter(|l| l.contains("weft-demo"))
                .map(str::to_owned),
        );
    }
    Ok(found)
}
