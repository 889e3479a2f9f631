//! `weft cluster keys`.

use crate::client::Client;
use crate::client::Control;
use crate::client::ReadArgs;
use crate::client::Refused;
use crate::command::context::Context;
use crate::command::output;
use crate::command::output::Format;
use crate::command::value::duration;
use crate::render::keys as render;
use crate::render::keys::KeysInfo;
use anyhow::bail;
use clap::Args;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::sleep;
use weft_proto::wire;

/// Between two looks at a key that is being distributed.
const LOOK: Duration = Duration::from_millis(200);
/// Twice what a key waits for nodes that do not answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Keys of encrypted networks.
#[derive(Debug, Args)]
#[command(
    after_help = "A new key is first told to all nodes that need it, and used when they hold it; the \
                  one before stays known for a while. Connections that are open go on.\n\
                  Example: weft cluster keys --rotate"
)]
pub(crate) struct KeysArgs {
    /// Make a new key now, and wait until it is in use
    #[arg(long)]
    rotate: bool,
    /// Make new keys this often from now on [at first: 12h]
    #[arg(long, value_name = "DURATION", value_parser = duration::millis)]
    every: Option<u64>,
    /// Do not wait until a new key is in use
    #[arg(short, long, requires = "rotate")]
    detach: bool,
    /// How to write the answer
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    read: ReadArgs,
}

/// Runs it.
pub(super) async fn run(context: &Context, args: &KeysArgs) -> anyhow::Result<()> {
    let client = context.connect().await?.reading(args.read);
    if args.rotate || args.every.is_some() {
        let request = wire::UpdateKeysRequest {
            rotate: args.rotate,
            rotation_ms: args.every,
            request_id: context.request_id(),
        };
        let update = |mut control: Control| {
            let request = request.clone();
            async move { control.update_keys(request).await }
        };
        let wanted = client.repeat(update).await?.epoch;
        if args.rotate && !args.detach {
            wait(&client, wanted).await?;
        }
    }
    let info = fetch(&client).await?;
    match args.format {
        Format::Json => output::json(&info),
        Format::Table => output::text(&render::text(&info, context.now())),
    }
}

async fn fetch(client: &Client) -> Result<KeysInfo, Refused> {
    let request = wire::GetKeysRequest {
        read: client.read(),
    };
    let get = |mut control: Control| async move { control.get_keys(request).await };
    let answer = client.repeat(get).await?;
    client.showed(answer.shown.as_ref());
    Ok(render::info(answer))
}

/// Returns when a key of this number or a newer one is in use; says what it waits for meanwhile.
async fn wait(client: &Client, wanted: u64) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    let mut told = None;
    loop {
        let info = fetch(client).await?;
        if render::active(&info) >= wanted {
            return Ok(());
        }
        let waits = render::waits(&info);
        if let Some(line) = waits.as_ref().filter(|_| waits != told) {
            eprintln!("{line}");
        }
        told = waits;
        if Instant::now() >= until {
            bail!(
                "key {wanted} is not in use after {} s; \"weft cluster keys\" shows what it waits for",
                PATIENCE.as_secs()
            );
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Cli;
    use clap::Parser;

    #[test]
    fn durations_are_read_and_nothing_waits_without_a_new_key() {
        let parse = |line: &str| {
            let words = ["weft", "cluster", "keys"].into_iter();
            Cli::try_parse_from(words.chain(line.split_whitespace())).map(|_| ())
        };
        assert!(parse("").is_ok());
        assert!(parse("--rotate --every 1h30m --format json").is_ok());
        assert!(parse("--every soon").is_err());
        assert!(parse("--detach").is_err());
    }
}
