//! `weft context`.

use crate::command::context::Context;
use crate::command::output;
use crate::command::output::Format;
use crate::contexts;
use crate::contexts::Bundle;
use crate::contexts::Contexts;
use crate::contexts::LOCAL;
use crate::render::user as render;
use crate::render::user::ContextRow;
use clap::Args;
use clap::Subcommand;
use std::path::PathBuf;
use weft_proto::Name;
use weft_proto::time::Timestamp;

/// What to do with contexts: the clusters that this person uses from afar.
#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// List the contexts
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Add a cluster by a bundle that `weft user create` wrote
    Import(ImportArgs),
    /// Use a context without saying so from now on; `local` is the socket of this machine
    Use(UseArgs),
    /// Forget contexts, with their keys
    Rm(RmArgs),
}

/// How to print them.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Which bundle.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The bundle
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What to call it here [default: the user's name]
    #[arg(long, value_name = "NAME")]
    name: Option<Name>,
}

/// Which context.
#[derive(Debug, Args)]
pub(crate) struct UseArgs {
    /// The context
    #[arg(value_name = "CONTEXT")]
    name: Name,
}

/// Which contexts.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// The contexts
    #[arg(required = true, value_name = "CONTEXT")]
    names: Vec<Name>,
}

/// Runs it.
pub(super) fn run(context: &Context, command: ContextCommand) -> anyhow::Result<()> {
    let contexts = context.contexts()?;
    match command {
        ContextCommand::Ls(args) => ls(&contexts, args.format),
        ContextCommand::Import(args) => {
            let bundle = contexts::read(&args.file)?;
            let own = bundle.credentials.identity().name.clone();
            let name = args.name.unwrap_or(own);
            contexts.add(&name, &bundle)?;
            output::text(&format!(
                "Context {name} is ready: weft --context {name} service ls\n\
                 To use it without saying so: weft context use {name}"
            ))
        }
        ContextCommand::Use(args) => {
            let chosen = Some(&args.name).filter(|name| name.as_str() != LOCAL);
            contexts.choose(chosen)?;
            output::text(args.name.as_str())
        }
        ContextCommand::Rm(args) => {
            for name in &args.names {
                contexts.remove(name)?;
                output::text(name.as_str())?;
            }
            Ok(())
        }
    }
}

fn ls(contexts: &Contexts, format: Format) -> anyhow::Result<()> {
    let current = contexts.current()?;
    let mut rows = Vec::new();
    for name in contexts.names()? {
        // One that is damaged must not hide the others.
        let bundle = contexts.load(&name);
        rows.push(row(&name, bundle.ok().as_ref(), current.as_ref()));
    }
    match format {
        Format::Json => output::json(&rows),
        Format::Table => output::text(&render::contexts(&rows)),
    }
}

fn row(name: &Name, bundle: Option<&Bundle>, current: Option<&Name>) -> ContextRow {
    let identity = bundle.map(|bundle| bundle.credentials.identity().clone());
    ContextRow {
        name: name.clone(),
        current: current == Some(name),
        user: identity.as_ref().map(|identity| identity.name.clone()),
        cluster: identity.map(|identity| identity.cluster.to_string()),
        managers: bundle
            .map(|bundle| bundle.managers.iter().map(ToString::to_string).collect())
            .unwrap_or_default(),
        expires: bundle.map(|bundle| Timestamp::from(bundle.credentials.not_after())),
    }
}
