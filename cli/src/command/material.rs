//! `weft secret` and `weft config`.

use crate::client::Client;
use crate::client::Control;
use crate::client::ReadArgs;
use crate::client::Refused;
use crate::command::context::Context;
use crate::command::output;
use crate::command::output::Format;
use crate::command::output::ListArgs;
use crate::command::output::Row;
use crate::command::value::label::Label;
use crate::render::material as render;
use crate::render::material::MaterialRow;
use anyhow::Context as _;
use anyhow::bail;
use clap::Args;
use clap::Subcommand;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use weft_proto::convert::MAX_MATERIAL_BYTES;
use weft_proto::object::Data;
use weft_proto::object::Material;
use weft_proto::spec::MaterialKind;
use weft_proto::spec::MaterialName;
use weft_proto::wire;

/// What to do with them. They are named by name, identifier, or the beginning of one.
#[derive(Debug, Subcommand)]
pub(crate) enum MaterialCommand {
    /// Keep the content of a file, or of standard input
    Create(CreateArgs),
    /// List them, with the services that use them
    #[command(visible_alias = "list")]
    Ls(ListArgs),
    /// Show them in full; the data of a config too, that of a secret never
    Inspect(InspectArgs),
    /// Remove those that no service uses
    Rm(RmArgs),
    /// Replace the content: services that use it roll over to the new one
    Update(UpdateArgs),
}

/// A new one.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Name: 1 to 64 letters, digits, '-', '_' and '.'; also the name of the file in tasks
    #[arg(value_name = "NAME")]
    name: MaterialName,
    /// File with the content, at most 500 KiB; "-": standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Free label; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE")]
    label: Vec<Label>,
    /// Fill in placeholders like {{.Node.Hostname}} and {{secret "NAME"}} for each task
    #[arg(long)]
    template: bool,
    /// The same as --template, as Docker spells it: golang is all there is
    #[arg(long, value_name = "DRIVER", value_parser = ["golang"])]
    template_driver: Option<String>,
}

/// Which.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Names
    #[arg(required = true, value_name = "NAME")]
    targets: Vec<String>,
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    #[command(flatten)]
    read: ReadArgs,
}

/// Which.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// Names
    #[arg(required = true, value_name = "NAME")]
    targets: Vec<String>,
}

/// Other content.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Name
    #[arg(value_name = "NAME")]
    target: String,
    /// File with the new content, at most 500 KiB; "-": standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Row for MaterialRow {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

/// Runs it.
pub(super) async fn run(
    context: &Context,
    kind: MaterialKind,
    command: MaterialCommand,
) -> anyhow::Result<()> {
    match command {
        MaterialCommand::Create(args) => create(context, kind, args).await,
        MaterialCommand::Ls(list) => {
            let client = context.connect().await?.reading(list.read);
            let rows = render::rows(&fetch(&client, kind, "").await?);
            list.print(&rows, render::table)
        }
        MaterialCommand::Inspect(args) => inspect(context, kind, &args).await,
        MaterialCommand::Rm(args) => rm(context, kind, args).await,
        MaterialCommand::Update(args) => update(context, kind, &args).await,
    }
}

/// The content of a file, within the bounds: what is refused without a manager is refused before
/// one is looked for.
fn content(kind: MaterialKind, name: &str, file: &Path) -> anyhow::Result<Data> {
    let mut bytes = Vec::new();
    // One byte more tells that there is too much.
    let most = u64::try_from(MAX_MATERIAL_BYTES)?.saturating_add(1);
    if file == Path::new("-") {
        let read = std::io::stdin().lock().take(most).read_to_end(&mut bytes);
        read.context("cannot read standard input")?;
    } else {
        let open = std::fs::File::open(file);
        open.and_then(|open| open.take(most).read_to_end(&mut bytes))
            .with_context(|| format!("cannot read {}", file.display()))?;
    }
    let data = Data::new(bytes);
    if data.bytes().is_empty() {
        bail!("{kind} {name} would be empty: give a file that is not, or text on standard input");
    }
    if data.bytes().len() > MAX_MATERIAL_BYTES {
        bail!(
            "{kind} {name} has more than {} KiB: keep large files elsewhere, and only the key to \
             them in the cluster",
            MAX_MATERIAL_BYTES >> 10
        );
    }
    Ok(data)
}

async fn create(context: &Context, kind: MaterialKind, args: CreateArgs) -> anyhow::Result<()> {
    let data = content(kind, args.name.as_str(), &args.file)?;
    let client = context.connect().await?;
    let request_id = context.request_id();
    let spec = wire::MaterialSpec {
        name: args.name.to_string(),
        labels: args.label.into_iter().map(Into::into).collect(),
        template: args.template || args.template_driver.is_some(),
    };
    let create = |mut control: Control| {
        let request = wire::CreateMaterialRequest {
            spec: Some(spec.clone()),
            data: data.bytes().to_vec(),
            request_id: request_id.clone(),
        };
        async move {
            match kind {
                MaterialKind::Secret => control.create_secret(request).await,
                MaterialKind::Config => control.create_config(request).await,
            }
        }
    };
    let made = client.repeat(create).await?.material;
    output::text(&made.unwrap_or_default().id)
}

async fn update(context: &Context, kind: MaterialKind, args: &UpdateArgs) -> anyhow::Result<()> {
    let data = content(kind, &args.target, &args.file)?;
    let client = context.connect().await?;
    let request_id = context.request_id();
    let update = |mut control: Control| {
        let request = wire::UpdateMaterialRequest {
            target: args.target.clone(),
            data: data.bytes().to_vec(),
            request_id: request_id.clone(),
        };
        async move {
            match kind {
                MaterialKind::Secret => control.update_secret(request).await,
                MaterialKind::Config => control.update_config(request).await,
            }
        }
    };
    let done = client.repeat(update).await?;
    output::text(&done.material.unwrap_or_default().id)?;
    if !done.services.is_empty() {
        let services = done.services.join(", ");
        eprintln!("weft: rolls over now: {services} (weft service ps shows how far)");
    }
    Ok(())
}

/// Those that are meant, each with the services that use it; all with an empty target.
pub(super) async fn fetch(
    client: &Client,
    kind: MaterialKind,
    target: &str,
) -> anyhow::Result<Vec<(Material, Vec<String>)>> {
    let request = wire::ListMaterialsRequest {
        target: target.to_owned(),
        read: client.read(),
    };
    let mut control = client.control();
    let answer = match kind {
        MaterialKind::Secret => control.list_secrets(request).await,
        MaterialKind::Config => control.list_configs(request).await,
    };
    let answer = answer.map_err(Refused::from)?.into_inner();
    client.showed(answer.shown.as_ref());
    let mut found = Vec::new();
    for listing in answer.materials {
        let material = Material::try_from(listing.material.unwrap_or_default())?;
        found.push((material, listing.used_by));
    }
    Ok(found)
}

async fn inspect(context: &Context, kind: MaterialKind, args: &InspectArgs) -> anyhow::Result<()> {
    let client = context.connect().await?.reading(args.read);
    let mut found = Vec::new();
    for target in &args.targets {
        found.extend(fetch(&client, kind, target).await?);
    }
    let details: Vec<_> = found.iter().map(render::details).collect();
    match args.format {
        Format::Json => output::json(&details),
        Format::Table => {
            let texts: Vec<String> = details.iter().map(render::inspect).collect();
            output::text(&texts.join("\n\n"))
        }
    }
}

async fn rm(context: &Context, kind: MaterialKind, args: RmArgs) -> anyhow::Result<()> {
    let client = context.connect().await?;
    for target in args.targets {
        // What was removed is named by who asked, when the answer comes from a second try.
        let request = wire::RemoveMaterialRequest {
            target: target.clone(),
            request_id: context.request_id(),
        };
        let remove = |mut control: Control| {
            let request = request.clone();
            async move {
                match kind {
                    MaterialKind::Secret => control.remove_secret(request).await,
                    MaterialKind::Config => control.remove_config(request).await,
                }
            }
        };
        let id = client.repeat(remove).await?.id;
        output::text(if id.is_empty() { &target } else { &id })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_empty_or_too_large_is_refused_before_anybody_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        let said = |bytes: usize| {
            std::fs::write(&file, vec![b'x'; bytes]).unwrap();
            content(MaterialKind::Secret, "pw", &file).map_err(|error| error.to_string())
        };
        assert!(said(0).unwrap_err().contains("secret pw would be empty"));
        let large = said(MAX_MATERIAL_BYTES + 1).unwrap_err();
        assert!(large.contains("more than 500 KiB"), "{large}");
        assert_eq!(
            said(MAX_MATERIAL_BYTES).unwrap().bytes().len(),
            MAX_MATERIAL_BYTES
        );
        let gone = content(MaterialKind::Config, "c", &dir.path().join("gone")).unwrap_err();
        assert!(gone.to_string().contains("cannot read"), "{gone}");
    }
}
