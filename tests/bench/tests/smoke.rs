//! The benches work: every metric is measured once, short, without peers. What they find is not
//! looked at: the machine is shared.

use std::process::Command;

#[test]
fn a_quick_run_measures_every_metric_of_weft_and_leaves_nothing() -> anyhow::Result<()> {
    let out = tempfile::tempdir()?;
    let disk = tempfile::tempdir()?;
    let ended = Command::new(env!("CARGO_BIN_EXE_weft-bench"))
        .args(["--quick", "--no-peers", "--out"])
        .arg(out.path())
        .arg("--disk")
        .arg(disk.path())
        .output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    anyhow::ensure!(ended.status.success(), "{said}");
    let table = std::fs::read_to_string(out.path().join("results.md"))?;
    for metric in ["P1", "P2", "P3", "P4", "P5", "P6", "P18", "P19"] {
        let row = table
            .lines()
            .find(|line| line.starts_with(&format!("| {metric} |")));
        anyhow::ensure!(row.is_some(), "no row of {metric} in {table}");
    }
    let data = std::fs::read(out.path().join("results.json"))?;
    serde_json::from_slice::<serde_json::Value>(&data)?;
    let left = std::fs::read_dir(disk.path())?.count();
    assert_eq!(left, 0, "files are left in {}", disk.path().display());
    Ok(())
}
