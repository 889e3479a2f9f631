//! `weft cluster ca`.

use crate::client::Client;
use crate::client::Control;
use crate::command::context::Context;
use crate::command::output;
use crate::command::output::Format;
use crate::command::value::duration;
use crate::render::ca as render;
use anyhow::Context as _;
use anyhow::bail;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::sleep;
use weft_proto::wire;
use zeroize::Zeroizing;

/// How often is looked.
const PAUSE: Duration = Duration::from_millis(300);

/// What to do with the root of all certificates.
#[derive(Debug, Args)]
pub(crate) struct CaArgs {
    /// Change to another root, one of the cluster's own making unless --cert and --key are given
    #[arg(long, conflicts_with = "abort")]
    rotate: bool,
    /// The new root's certificate, PEM
    #[arg(long, value_name = "FILE", requires = "rotate", requires = "key")]
    cert: Option<PathBuf>,
    /// The new root's key, PEM, PKCS#8, ECDSA P-256
    #[arg(long, value_name = "FILE", requires = "rotate", requires = "cert")]
    key: Option<PathBuf>,
    /// Call a change off: nodes return to the root they had
    #[arg(long)]
    abort: bool,
    /// Return at once; the cluster goes on by itself
    #[arg(short, long)]
    detach: bool,
    /// How long to wait at most, like 30s or 10m
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "10m")]
    wait_timeout: Duration,
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Runs it.
pub(super) async fn run(context: &Context, args: &CaArgs) -> anyhow::Result<()> {
    let client = context.connect().await?;
    if args.rotate || args.abort {
        let request = request(context, args)?;
        let rotate = |mut control: Control| {
            let request = request.clone();
            async move { control.rotate_ca(request).await }
        };
        client.repeat(rotate).await?;
        if !args.detach {
            wait(&client, args.wait_timeout).await?;
        }
    }
    let shown = render::ca(fetch(&client).await?, context.now());
    match args.format {
        Format::Json => output::json(&shown),
        Format::Table => output::text(&render::text(&shown)),
    }
}

fn request(context: &Context, args: &CaArgs) -> anyhow::Result<wire::RotateCaRequest> {
    let read = |file: &Option<PathBuf>| match file {
        None => Ok(Zeroizing::default()),
        Some(file) => std::fs::read_to_string(file)
            .map(Zeroizing::new)
            .with_context(|| format!("read {}", file.display())),
    };
    Ok(wire::RotateCaRequest {
        request_id: context.request_id(),
        cert_pem: read(&args.cert)?.to_string(),
        key_pem: read(&args.key)?.to_string(),
        abort: args.abort,
        at_ms: context.now().as_millis(),
    })
}

async fn fetch(client: &Client) -> anyhow::Result<wire::GetCaResponse> {
    let look = |mut control: Control| async move { control.get_ca(wire::GetCaRequest {}).await };
    Ok(client.repeat(look).await?)
}

/// Until no change is under way. Says on the way whom it waits for.
async fn wait(client: &Client, patience: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + patience;
    let mut told = String::new();
    while let Some(progress) = fetch(client).await?.rotation {
        let now = render::progress(&progress);
        if now != told {
            // Beside the answer, which scripts read.
            eprintln!("{now}");
            told = now;
        }
        if Instant::now() >= deadline {
            bail!(
                "the root is not changed yet after {}; the cluster goes on by itself: look at it with \
                 \"weft cluster ca\", remove nodes that are gone for good with \"weft node rm\", or call \
                 it off with \"weft cluster ca --abort\"",
                crate::render::time::span(patience)
            );
        }
        sleep(PAUSE).await;
    }
    Ok(())
}
