//! The state as a file.

use crate::api::cluster;
use crate::api::error::ApiError;
use crate::recovery::Backup;
use crate::store::View;
use tonic::Status;
use weft_proto::time::Timestamp;
use weft_proto::wire;

/// Bytes in one message.
const PART: usize = 256 << 10;

/// The parts of a backup of this view.
pub(super) async fn parts(
    view: View,
    taken_at: Timestamp,
) -> Result<Vec<Result<wire::BackupPart, Status>>, ApiError> {
    cluster::get(&view)?;
    // A large state takes some tenths of a second to write down.
    let bytes = tokio::task::spawn_blocking(move || {
        let backup = Backup::of(&view, taken_at, env!("CARGO_PKG_VERSION"));
        backup.map(|backup| backup.encode()).unwrap_or_default()
    });
    let bytes = bytes.await.map_err(|_| ApiError::Incomplete("state"))?;
    let parts = bytes.chunks(PART).map(|part| {
        Ok(wire::BackupPart {
            data: part.to_vec(),
        })
    });
    Ok(parts.collect())
}
