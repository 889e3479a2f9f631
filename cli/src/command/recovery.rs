//! `weft cluster backup`, `restore` and `update-addr`.

use crate::client::Refused;
use crate::command::cluster::AddressArgs;
use crate::command::context::Context;
use crate::command::output;
use crate::command::output::Format;
use crate::render;
use crate::render::time;
use anyhow::Context as _;
use anyhow::bail;
use clap::Args;
use serde::Serialize;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use weft_manager::recovery::Backup;
use weft_proto::time::Timestamp;
use weft_proto::wire;
use weft_proto::wire::restore_part::Part;

/// Bytes in one message.
const PART: usize = 256 << 10;

/// Where to.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// File to write; - for standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace the file if it is there
    #[arg(short, long)]
    force: bool,
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What from, and how others reach this node.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// File that `weft cluster backup` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    address: AddressArgs,
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// The new addresses.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct UpdateAddrArgs {
    #[command(flatten)]
    address: AddressArgs,
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What was backed up or restored. The keys of its JSON do not change.
#[derive(Debug, Serialize)]
struct Summary {
    cluster_id: String,
    revision: u64,
    taken_at: String,
    /// Bytes in the file.
    size: usize,
    /// On a restore: the manager.
    node_id: Option<String>,
    /// On a restore: where others reach it.
    address: Option<String>,
    /// On a restore: nodes that are members no more.
    fenced: Vec<String>,
}

/// Runs `backup`.
pub(super) async fn backup(context: &Context, args: &BackupArgs) -> anyhow::Result<()> {
    let to_stdout = args.file.as_os_str() == "-";
    if !to_stdout && !args.force && args.file.exists() {
        bail!(
            "{} is there already: choose another file, or replace it with --force",
            args.file.display()
        );
    }
    let request = wire::BackupRequest {
        at_ms: context.now().as_millis(),
    };
    let answer = context.connect().await?.control().backup(request).await;
    let mut parts = answer.map_err(Refused::from)?.into_inner();
    let mut bytes = Vec::new();
    while let Some(part) = parts.message().await.map_err(Refused::from)? {
        bytes.extend_from_slice(&part.data);
    }
    // Whatever came over the socket, only a whole backup becomes a file.
    let backup = Backup::decode(&bytes)?;
    if to_stdout {
        let mut out = std::io::stdout().lock();
        out.write_all(&bytes)?;
        return Ok(out.flush()?);
    }
    write(&args.file, &bytes).with_context(|| format!("write {}", args.file.display()))?;
    let summary = Summary {
        cluster_id: backup.cluster.to_string(),
        revision: backup.snapshot.revision,
        taken_at: time::rfc3339(backup.taken_at),
        size: bytes.len(),
        node_id: None,
        address: None,
        fenced: Vec::new(),
    };
    match args.format {
        Format::Json => output::json(&summary),
        Format::Table => output::text(&format!(
            "Cluster {} is backed up to {} ({} bytes, revision {}).\nThe file holds the cluster's \
             keys: whoever reads it can become any node. Keep it as you keep a root password.",
            backup.cluster.short(),
            args.file.display(),
            summary.size,
            summary.revision
        )),
    }
}

/// For the owner's eyes only, and there as a whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    let unfinished = path.with_file_name(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}

/// Runs `restore`.
pub(super) async fn restore(context: &Context, args: RestoreArgs) -> anyhow::Result<()> {
    let bytes =
        std::fs::read(&args.file).with_context(|| format!("read {}", args.file.display()))?;
    // Refused here, it never reaches the daemon.
    let backup = Backup::decode(&bytes).with_context(|| args.file.display().to_string())?;
    let head = Part::Head(wire::RestoreHead {
        advertise_addr: args.address.advertise_addr,
        data_path_addr: args.address.data_path_addr,
    });
    let size = bytes.len();
    let data: Vec<Part> = bytes
        .chunks(PART)
        .map(|part| Part::Data(part.to_vec()))
        .collect();
    let parts = std::iter::once(head).chain(data);
    let parts = parts.map(|part| wire::RestorePart { part: Some(part) });
    let request = futures::stream::iter(parts.collect::<Vec<_>>());
    let answer = context.connect().await?.local().restore(request).await;
    let made = answer.map_err(Refused::from)?.into_inner();
    let summary = Summary {
        cluster_id: made.cluster_id,
        revision: made.revision,
        taken_at: time::rfc3339(Timestamp::from_millis(made.taken_at_ms)),
        size,
        node_id: Some(made.node_id),
        address: Some(made.addr.clone()),
        fenced: made.fenced,
    };
    match args.format {
        Format::Json => output::json(&summary),
        Format::Table => output::text(&format!(
            "Cluster {} is as it was at {}. Of its nodes {} are members still: those that reach this \
             one at an address they know come by themselves, the others are down until they leave \
             (\"weft cluster leave --force\") and join again, and their tasks run elsewhere.\n\n{}",
            backup.cluster.short(),
            summary.taken_at,
            made.workers,
            render::cluster::recovered(&summary.fenced, &made.addr)
        )),
    }
}

/// The addresses of this node. The keys of its JSON do not change.
#[derive(Debug, Serialize)]
struct Addresses {
    advertise_addr: String,
    data_path_addr: String,
}

/// Runs `update-addr`.
pub(super) async fn update_addr(context: &Context, args: UpdateAddrArgs) -> anyhow::Result<()> {
    let request = wire::UpdateAddressRequest {
        advertise_addr: args.address.advertise_addr,
        data_path_addr: args.address.data_path_addr,
    };
    let answer = context
        .connect()
        .await?
        .local()
        .update_address(request)
        .await;
    let moved = answer.map_err(Refused::from)?.into_inner();
    let moved = Addresses {
        advertise_addr: moved.advertise_addr,
        data_path_addr: moved.data_path_addr,
    };
    match args.format {
        Format::Json => output::json(&moved),
        Format::Table => output::text(&format!(
            "This node is reached at {}, and for traffic of tasks at {}.",
            moved.advertise_addr, moved.data_path_addr
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_backup_file_is_for_its_owner_only_also_when_another_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("backup");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
