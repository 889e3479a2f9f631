//! What every command is handed.

use crate::client::Client;
use crate::config::Where;
use crate::contexts::Bundle;
use crate::contexts::ContextError;
use crate::contexts::Contexts;
use crate::contexts::LOCAL;
use crate::render::time;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use weft_proto::Name;
use weft_proto::time::Clock;
use weft_proto::time::SystemClock;
use weft_proto::time::Timestamp;

/// Which cluster, what time it is, and whether a person watches.
#[derive(Clone, Debug)]
pub(super) struct Context {
    place: Where,
    clock: Arc<dyn Clock>,
    /// Progress may be drawn over and over in the same place.
    pub(super) terminal: bool,
}

impl Context {
    pub(super) fn new(place: Where) -> Self {
        Context {
            place,
            clock: Arc::new(SystemClock),
            terminal: std::io::stderr().is_terminal(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.timestamp()
    }

    /// The name of a request that may be sent again.
    pub(super) fn request_id(&self) -> String {
        format!("cli-{:032x}", rand::random::<u128>())
    }

    /// The contexts of this person.
    pub(super) fn contexts(&self) -> Result<Contexts, ContextError> {
        let dir = self.place.config_dir.clone();
        dir.map(Contexts::new).ok_or(ContextError::NoDirectory)
    }

    /// The context that is used, if one is: named, or chosen before and no socket named.
    pub(super) fn chosen(&self) -> Result<Option<(Name, Bundle)>, ContextError> {
        let name = match (&self.place.context, &self.place.socket) {
            (Some(name), _) => Some(name.clone()).filter(|name| name.as_str() != LOCAL),
            (None, Some(_)) => None,
            (None, None) if self.place.config_dir.is_none() => None,
            (None, None) => self.contexts()?.current()?,
        };
        let Some(name) = name else {
            return Ok(None);
        };
        let bundle = self.contexts()?.load(&name)?;
        Ok(Some((name, bundle)))
    }

    pub(super) async fn connect(&self) -> anyhow::Result<Client> {
        let Some((name, bundle)) = self.chosen()? else {
            let socket = self.place.socket.clone();
            let socket: PathBuf = socket.unwrap_or_else(crate::config::default_socket);
            return Ok(Client::connect(&socket).await?);
        };
        if let Some(note) = ends_soon(&name, &bundle, self.now()) {
            eprintln!("{note}");
        }
        Ok(Client::connect_from_afar(&name, &bundle).await?)
    }
}

/// What to tell a person whose certificate is in the last quarter of its life.
fn ends_soon(name: &Name, bundle: &Bundle, now: Timestamp) -> Option<String> {
    let from = Timestamp::from(bundle.credentials.not_before());
    let until = Timestamp::from(bundle.credentials.not_after());
    let left = until.since(now);
    if left == Duration::ZERO || left > until.since(from) / 4 {
        return None;
    }
    Some(format!(
        "weft: the certificate of context {name} ends at {}: renew it with \"weft --context {name} user \
         renew\"",
        time::rfc3339(until)
    ))
}
