//! `weft cluster unlock` and `unlock-key`, and `cluster update --autolock`.

use crate::client::Refused;
use crate::command::Interrupted;
use crate::command::context::Context;
use crate::command::output;
use crate::render;
use anyhow::Context as _;
use clap::Args;
use nix::sys::termios;
use nix::sys::termios::LocalFlags;
use nix::sys::termios::SetArg;
use nix::sys::termios::Termios;
use std::io;
use std::io::BufRead;
use std::io::IsTerminal;
use std::io::Read;
use std::io::Stdin;
use std::path::Path;
use std::path::PathBuf;
use weft_pki::UnlockKey;
use weft_proto::wire;
use zeroize::Zeroizing;

/// Whether managers are locked after a restart.
#[derive(Debug, Args)]
pub(super) struct AutolockArgs {
    /// Whether managers wait for the unlock key after a restart
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    pub(super) autolock: Option<bool>,
}

/// What opens it.
#[derive(Debug, Args)]
pub(crate) struct UnlockArgs {
    /// File with the unlock key; - for standard input [default: ask for it]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// What to do with the unlock key.
#[derive(Debug, Args)]
pub(crate) struct UnlockKeyArgs {
    /// Make a new one first: the old one no longer works
    #[arg(long)]
    rotate: bool,
    /// Only the key
    #[arg(short, long)]
    quiet: bool,
}

impl AutolockArgs {
    /// Asks for it, if it was given; what to tell then.
    pub(super) async fn apply(&self, context: &Context) -> anyhow::Result<Option<String>> {
        let Some(autolock) = self.autolock else {
            return Ok(None);
        };
        let request = wire::SetAutolockRequest { autolock };
        let client = context.connect().await?;
        let answer = client.control().set_autolock(request).await;
        let key = Zeroizing::new(answer.map_err(Refused::from)?.into_inner().unlock_key);
        Ok(Some(if autolock {
            format!(
                "Managers of this cluster are locked after a restart.\n\n{}",
                render::cluster::unlock_key(&key)
            )
        } else {
            "Managers of this cluster open by themselves after a restart.".to_owned()
        }))
    }
}

/// Runs `unlock`.
pub(super) async fn unlock(context: &Context, args: &UnlockArgs) -> anyhow::Result<()> {
    let key = read_key(args.key_file.as_deref())?;
    // A mistyped key is told here, and never sent.
    let key = UnlockKey::parse(&key)?;
    let request = wire::UnlockRequest {
        unlock_key: key.reveal().as_str().to_owned(),
    };
    let answer = context.connect().await?.local().unlock(request).await;
    answer.map_err(Refused::from)?;
    output::text("This manager is unlocked and takes up its place again.")
}

/// Runs `unlock-key`.
pub(super) async fn unlock_key(context: &Context, args: &UnlockKeyArgs) -> anyhow::Result<()> {
    let request = wire::GetUnlockKeyRequest {
        rotate: args.rotate,
    };
    let client = context.connect().await?;
    let answer = client.control().get_unlock_key(request).await;
    let key = Zeroizing::new(answer.map_err(Refused::from)?.into_inner().unlock_key);
    if args.quiet {
        return output::text(&key);
    }
    let shown = render::cluster::unlock_key(&key);
    if !args.rotate {
        return output::text(&shown);
    }
    output::text(&format!(
        "The unlock key is new. Managers that run take it within a second. One that is down or locked \
         now opens with the old key still, and takes the new one when it has caught up: keep the old \
         one until then.\n\n{shown}"
    ))
}

fn read_key(file: Option<&Path>) -> anyhow::Result<Zeroizing<String>> {
    let stdin = io::stdin();
    match file {
        Some(path) if path.as_os_str() != "-" => {
            let text = std::fs::read_to_string(path);
            let text = text.with_context(|| format!("read {}", path.display()))?;
            Ok(Zeroizing::new(text))
        }
        None if stdin.is_terminal() => ask(&stdin),
        Some(_) | None => {
            let mut text = Zeroizing::new(String::new());
            io::stdin()
                .take(LONGEST)
                .read_to_string(&mut text)
                .context("read the unlock key from standard input")?;
            Ok(text)
        }
    }
}

/// More than any key has.
const LONGEST: u64 = 4096;

/// Asks on the terminal, which does not show what is typed.
fn ask(stdin: &Stdin) -> anyhow::Result<Zeroizing<String>> {
    eprint!("Unlock key: ");
    let quiet = Quiet::begin(stdin).context("hide what is typed")?;
    let typed = type_in(stdin.lock());
    drop(quiet);
    eprintln!();
    typed
}

/// One line, as a terminal in raw mode sends it.
fn type_in(from: impl BufRead) -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(Vec::with_capacity(128));
    for byte in from.bytes() {
        match byte.context("read the unlock key")? {
            b'\n' | b'\r' | 0x04 => break,
            0x03 => return Err(Interrupted("not unlocked".to_owned()).into()),
            0x08 | 0x7f => drop(line.pop()),
            byte => line.push(byte),
        }
    }
    let text = std::str::from_utf8(&line).context("this is not an unlock key")?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// A terminal that neither shows nor acts on what is typed, until this is dropped.
struct Quiet<'a> {
    terminal: &'a Stdin,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn begin(terminal: &'a Stdin) -> nix::Result<Self> {
        let before = termios::tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet
            .local_flags
            .remove(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG);
        termios::tcsetattr(terminal, SetArg::TCSAFLUSH, &quiet)?;
        Ok(Quiet { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = termios::tcsetattr(self.terminal, SetArg::TCSAFLUSH, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_ends_with_the_line_and_can_be_corrected_or_called_off() {
        let typed = |text: &[u8]| type_in(text).map(|text| text.to_string());
        assert_eq!(typed(b"WFLK\r\nmore").unwrap(), "WFLK");
        assert_eq!(typed(b"\x7fWX\x7fF\n").unwrap(), "WF");
        assert_eq!(typed(b"no end").unwrap(), "no end");
        assert!(typed(b"WF\x03LK\n").unwrap_err().is::<Interrupted>());
    }

    #[test]
    fn a_key_is_read_out_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "WFLK_1_x\n").unwrap();
        assert_eq!(read_key(Some(&path)).unwrap().trim(), "WFLK_1_x");
        let missing = read_key(Some(&dir.path().join("none"))).unwrap_err();
        assert!(missing.to_string().contains("none"), "{missing}");
    }
}
