//! `weft service ls`.

use crate::command::context::Context;
use crate::command::output::ListArgs;
use crate::command::output::Row;
use crate::command::service::fetch;
use crate::render::service;
use crate::render::service::ServiceRow;

impl Row for ServiceRow {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

/// Runs it.
pub(super) async fn run(context: &Context, list: ListArgs) -> anyhow::Result<()> {
    let client = context.connect().await?.reading(list.read);
    let services = fetch::services(&client, "").await?;
    list.print(&service::rows(&services), service::table)
}
