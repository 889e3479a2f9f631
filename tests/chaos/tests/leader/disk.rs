//! A manager whose disk is full.

use crate::world::World;
use anyhow::Context;
use anyhow::ensure;
use nix::mount::MsFlags;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use weft_rig::DaemonState;
use weft_rig::Host;
use weft_tests::CEILING;

/// Moves a host's state onto a small file system of its own. The rig unmounts it.
fn onto_small_disk(host: &Host, size: &str) -> anyhow::Result<()> {
    let state = host.state_dir();
    let aside = state.with_extension("aside");
    std::fs::rename(&state, &aside)?;
    std::fs::create_dir(&state)?;
    let options = format!("size={size}");
    nix::mount::mount(
        Some("none"),
        &state,
        Some("tmpfs"),
        MsFlags::empty(),
        Some(options.as_str()),
    )?;
    let copied = Command::new("cp")
        .arg("-a")
        .arg(aside.join("."))
        .arg(&state)
        .status()?;
    ensure!(copied.success(), "the state does not fit");
    std::fs::remove_dir_all(&aside)?;
    Ok(())
}

/// Writes a file until the file system refuses.
fn fill(dir: &Path) -> anyhow::Result<()> {
    let mut file = File::create(dir.join("full"))?;
    let block = [0; 4096];
    while file.write_all(&block).is_ok() {}
    Ok(())
}

#[test]
fn a_manager_with_a_full_disk_stops_nobody_else_and_comes_back_when_there_is_room()
-> anyhow::Result<()> {
    for leads in [false, true] {
        let world = World::new("full")?;
        let leader = world.nemesis.wait_leader()?;
        let place = if leads { leader } else { (leader + 1) % 3 };
        let host = &world.cluster.managers[place];
        host.stop_daemon()?;
        onto_small_disk(host, "256m")?;
        host.start_daemon()?;
        host.wait_ready(CEILING)?;
        world.wait_read(place);
        if leads {
            // The office comes to it when nobody else may have it.
            let others = (0..3).filter(|n| *n != place);
            for other in others {
                world.cluster.managers[other].stop_daemon()?;
                world.cluster.managers[other].start_daemon()?;
                world.cluster.managers[other].wait_ready(CEILING)?;
                world.wait_read(other);
            }
        }
        fill(&host.state_dir())?;
        let other = (place + 1) % 3;
        // Far more than what may be left in a block or in a preallocated file.
        for value in 2..300 {
            world.write(other, value);
        }
        std::fs::remove_file(host.state_dir().join("full"))
            .context("the file that fills the disk")?;
        // It may have ended: its log takes nothing, so it can promise nothing.
        if !matches!(host.daemon(), DaemonState::Running(_)) {
            host.kill_daemon()?;
            host.start_daemon()?;
        }
        host.wait_ready(CEILING)?;
        assert_eq!(world.wait_read(place), 299, "leads: {leads}");
        world.end()?;
    }
    Ok(())
}
