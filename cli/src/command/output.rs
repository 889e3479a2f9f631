//! Printing answers, for people or for programs.

use crate::client::ReadArgs;
use clap::Args;
use clap::ValueEnum;
use serde::Serialize;
use std::fmt::Display;
use std::io;
use std::io::Write;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs: keys stay as they are
    Json,
}

/// The options of every list.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ListArgs {
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// Only identifiers, one per line
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
}

/// One row of a list.
pub(super) trait Row: Serialize {
    fn id(&self) -> &str;
}

impl ListArgs {
    /// Writes `rows`; `table` is what people get to see.
    pub(super) fn print<R: Row>(
        self,
        rows: &[R],
        table: impl FnOnce(&[R]) -> String,
    ) -> anyhow::Result<()> {
        match (self.format, self.quiet) {
            (Format::Json, _) => json(rows),
            (Format::Table, true) => {
                let ids: Vec<&str> = rows.iter().map(Row::id).collect();
                lines(&ids)
            }
            (Format::Table, false) => text(&table(rows)),
        }
    }
}

/// Writes a text as it is, with one line break at its end.
pub(super) fn text(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.trim_end_matches('\n').as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}

/// Writes one item per line.
pub(super) fn lines(items: &[impl Display]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    for item in items {
        writeln!(out, "{item}")?;
    }
    out.flush()?;
    Ok(())
}

/// Writes JSON that people can read too.
pub(super) fn json(value: &(impl Serialize + ?Sized)) -> anyhow::Result<()> {
    text(&serde_json::to_string_pretty(value)?)
}
