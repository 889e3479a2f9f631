//! `weft user`.

use crate::client::Client;
use crate::client::Control;
use crate::client::Refused;
use crate::command::context::Context;
use crate::command::output;
use crate::command::output::Format;
use crate::command::value::duration;
use crate::contexts;
use crate::contexts::Bundle;
use crate::render::user as render;
use anyhow::Context as _;
use anyhow::bail;
use clap::Args;
use clap::Subcommand;
use std::path::Path;
use std::path::PathBuf;
use weft_pki::CertificateChain;
use weft_pki::PrivateKey;
use weft_pki::RootCert;
use weft_pki::certificate_request;
use weft_proto::Name;
use weft_proto::object::User;
use weft_proto::object::UserRole;
use weft_proto::wire;

/// What to do with users: people who use the cluster from their own machines.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make a user and write the bundle that lets her in
    Create(CreateArgs),
    /// List the users
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Show users in full
    Inspect(InspectArgs),
    /// Change what a user may do; it holds from her next call on
    Update(UpdateArgs),
    /// Remove users; what they have open is cut
    Rm(RmArgs),
    /// Get a new certificate for the user of this context, before the old one ends
    Renew,
}

/// A new user.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: weft user create alice --role operator --out alice.weft\n\
                  On her machine: weft context import alice.weft; weft --context alice service ls"
)]
pub(crate) struct CreateArgs {
    /// Name: 1 to 63 lower-case letters, digits and '-'
    #[arg(value_name = "NAME")]
    name: Name,
    /// viewer looks, operator runs services and networks, admin does everything
    #[arg(long, value_name = "ROLE")]
    role: UserRole,
    /// Only with services and networks that have the label weft.stack=STACK
    #[arg(long, value_name = "STACK")]
    stack: Option<Name>,
    /// How long each of her certificates is valid [default: 30d]
    #[arg(long, value_name = "DURATION", value_parser = duration::millis, default_value_t = 0, hide_default_value = true)]
    ttl: u64,
    /// Where the bundle goes: a new file, or a directory for NAME.weft. Whoever has it is this user
    #[arg(long, value_name = "PATH", default_value = ".")]
    out: PathBuf,
}

/// How to print them.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Only names, one per line
    #[arg(short, long)]
    quiet: bool,
    /// Show what the answering manager has, at once and also without a leader
    #[arg(long)]
    stale: bool,
}

/// Which users.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Users
    #[arg(required = true, value_name = "USER")]
    targets: Vec<String>,
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

/// What to change.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// The user
    #[arg(value_name = "USER")]
    target: String,
    /// Another role
    #[arg(long, value_name = "ROLE")]
    role: Option<UserRole>,
    /// Only with this stack from now on; empty: with the whole cluster
    #[arg(long, value_name = "STACK")]
    stack: Option<String>,
    /// How long her next certificates are valid
    #[arg(long, value_name = "DURATION", value_parser = duration::millis)]
    ttl: Option<u64>,
}

/// Which users.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// Users
    #[arg(required = true, value_name = "USER")]
    targets: Vec<String>,
}

/// Runs it.
pub(super) async fn run(context: &Context, command: UserCommand) -> anyhow::Result<()> {
    match command {
        UserCommand::Create(args) => create(context, args).await,
        UserCommand::Ls(args) => {
            let client = context.connect().await?;
            let rows = render::rows(&fetch(&client, "", args.stale).await?);
            match (args.format, args.quiet) {
                (Format::Json, _) => output::json(&rows),
                (Format::Table, true) => {
                    let names: Vec<&Name> = rows.iter().map(|row| &row.name).collect();
                    output::lines(&names)
                }
                (Format::Table, false) => output::text(&render::table(&rows, context.now())),
            }
        }
        UserCommand::Inspect(args) => inspect(context, &args).await,
        UserCommand::Update(args) => update(context, args).await,
        UserCommand::Rm(args) => rm(context, args).await,
        UserCommand::Renew => renew(context).await,
    }
}

async fn create(context: &Context, args: CreateArgs) -> anyhow::Result<()> {
    let path = bundle_path(&args.out, &args.name);
    if path.exists() {
        bail!(
            "{} exists: give another --out, or remove it if nobody needs it",
            path.display()
        );
    }
    // The key never leaves this machine but in the bundle.
    let key = PrivateKey::generate()?;
    let request = wire::CreateUserRequest {
        name: args.name.to_string(),
        role: wire::UserRole::from(args.role).into(),
        stack: args
            .stack
            .map(|stack| stack.to_string())
            .unwrap_or_default(),
        ttl_ms: args.ttl,
        csr_der: certificate_request(&key)?,
        request_id: context.request_id(),
    };
    let client = context.connect().await?;
    let create = |mut control: Control| {
        let request = request.clone();
        async move { control.create_user(request).await }
    };
    let made = client.repeat(create).await?;
    let bundle = bundle(key, made.certificate.unwrap_or_default())?;
    contexts::write_new(&path, &bundle).with_context(|| {
        format!(
            "user {0} was made, but {1} cannot be written: remove her (weft user rm {0}) and create her \
             again with another --out",
            args.name,
            path.display()
        )
    })?;
    output::text(&path.display().to_string())
}

/// A directory gets a file of the user's name.
fn bundle_path(out: &Path, name: &Name) -> PathBuf {
    if out.is_dir() {
        return out.join(format!("{name}.weft"));
    }
    out.to_owned()
}

fn bundle(key: PrivateKey, certificate: wire::UserCertificate) -> anyhow::Result<Bundle> {
    let roots = certificate.root_der.into_iter();
    let roots = roots.map(|der| RootCert::from_der(der.into()));
    let managers = certificate.manager_addrs.iter();
    let managers = managers.map(|addr| addr.parse());
    Bundle::new(
        key,
        CertificateChain::from_der(certificate.chain_der)?,
        roots.collect::<Result<_, _>>()?,
        managers.collect::<Result<_, _>>()?,
    )
    .context("the manager's answer is odd")
}

async fn fetch(client: &Client, target: &str, stale: bool) -> anyhow::Result<Vec<User>> {
    let request = wire::ListUsersRequest {
        target: target.to_owned(),
        stale,
    };
    let answer = client.control().list_users(request).await;
    let users = answer.map_err(Refused::from)?.into_inner().users;
    let users: Result<_, _> = users.into_iter().map(User::try_from).collect();
    Ok(users?)
}

async fn inspect(context: &Context, args: &InspectArgs) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let mut users = Vec::new();
    for target in &args.targets {
        if target.is_empty() {
            bail!("no user is named: give a name");
        }
        users.extend(fetch(&client, target, false).await?);
    }
    match args.format {
        Format::Json => output::json(&users),
        Format::Table => {
            let texts: Vec<String> = users.iter().map(render::inspect).collect();
            output::text(&texts.join("\n\n"))
        }
    }
}

async fn update(context: &Context, args: UpdateArgs) -> anyhow::Result<()> {
    if args.role.is_none() && args.stack.is_none() && args.ttl.is_none() {
        bail!("nothing is to change: give --role, --stack or --ttl");
    }
    let request = wire::UpdateUserRequest {
        target: args.target,
        role: args.role.map(|role| wire::UserRole::from(role).into()),
        stack: args.stack,
        ttl_ms: args.ttl,
        request_id: context.request_id(),
    };
    let client = context.connect().await?;
    let update = |mut control: Control| {
        let request = request.clone();
        async move { control.update_user(request).await }
    };
    let user = client.repeat(update).await?.user.unwrap_or_default();
    output::text(&user.name)
}

async fn rm(context: &Context, args: RmArgs) -> anyhow::Result<()> {
    let client = context.connect().await?;
    for target in args.targets {
        let request = wire::RemoveUserRequest {
            target: target.clone(),
        };
        let answer = client.control().remove_user(request).await;
        answer.map_err(Refused::from)?;
        output::text(&target)?;
    }
    Ok(())
}

/// The person herself, with the certificate that she has.
async fn renew(context: &Context) -> anyhow::Result<()> {
    let Some((name, old)) = context.chosen()? else {
        bail!(
            "renewing is for the user of a context: give --context, or choose one with \"weft context \
             use\""
        );
    };
    let key = old.credentials.key().clone();
    let request = wire::RenewUserRequest {
        csr_der: certificate_request(&key)?,
    };
    let client = context.connect().await?;
    let renew = |mut control: Control| {
        let request = request.clone();
        async move { control.renew_user(request).await }
    };
    let certificate = client.repeat(renew).await?.certificate.unwrap_or_default();
    let new = bundle(key, certificate)?;
    context.contexts()?.store(&name, &new)?;
    let until = weft_proto::time::Timestamp::from(new.credentials.not_after());
    output::text(&format!(
        "Context {name} is good until {}",
        crate::render::time::rfc3339(until)
    ))
}
