//! The connection to the daemon's socket.

mod reading;

pub(crate) use reading::ReadArgs;

use self::reading::Reading;
use crate::contexts::Bundle;
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;
use tonic::Code;
use tonic::Response;
use tonic::Status;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use tower::service_fn;
use weft_pki::user_channel;
use weft_proto::Name;
use weft_proto::wire;
use weft_proto::wire::control_client::ControlClient;
use weft_proto::wire::local_client::LocalClient;

/// Longest time until an answer begins. A join waits for its managers, everything else is far
/// quicker; who waits longer than this waits for a daemon that hangs.
const ANSWER: Duration = Duration::from_secs(120);

/// Large enough for the lists of the largest cluster: 10,000 tasks of a few hundred bytes each.
const MESSAGE_MAX: usize = 64 << 20;

/// The calls about the cluster, over one connection.
pub(crate) type Control = ControlClient<Channel>;

/// How long a request that is safe to repeat is sent again: longer than an election or the restart
/// of a daemon takes, shorter than managers remember what they did.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest time until a manager far away shows that it is there.
const PROBE: Duration = Duration::from_secs(3);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// A connected daemon.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    channel: Channel,
    reading: Reading,
}

/// Nobody could be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreachable {
    /// The daemon of this machine.
    #[error("cannot reach the daemon at {}: {reason}{}", .socket.display(), remedy(*.kind))]
    Daemon {
        socket: PathBuf,
        kind: io::ErrorKind,
        reason: String,
    },
    /// Any manager of a context.
    #[error("cannot reach the cluster of context {context}: {reason}")]
    Managers { context: Name, reason: String },
}

fn remedy(kind: io::ErrorKind) -> &'static str {
    if kind == io::ErrorKind::PermissionDenied {
        "; run this as root"
    } else {
        "; start it with \"systemctl start weft\" or \"weft daemon\""
    }
}

/// What the daemon or a manager refused, or could not do. Servers say what, why and what to do,
/// so that their words are all there is to show.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refused {
    code: Code,
    message: String,
    broken: bool,
}

impl Refused {
    /// Another try may succeed: there was no leader, or the daemon is just starting.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self.code,
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted
        )
    }

    /// The connection broke before the answer: the request may have been carried out.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// The same after the last try at a change: some try may have reached the log.
    fn undecided(mut self) -> Refused {
        self.message
            .push_str("; the change may have been made all the same: look before you ask again");
        self
    }

    /// There is no such object.
    pub(crate) fn is_missing(&self) -> bool {
        self.code == Code::NotFound
    }
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        let code = status.code();
        if let Some(why) = weft_pki::explain(&status) {
            return Refused {
                code,
                message: why,
                broken: true,
            };
        }
        let broken = matches!(status.message(), "transport error" | "h2 protocol error");
        let message = match (code, status.message()) {
            (Code::Cancelled, "Timeout expired") => format!(
                "the daemon did not answer within {} s: look at its log with \
                 \"journalctl -u weft\"",
                ANSWER.as_secs()
            ),
            (_, "") => format!("the daemon gave no reason ({})", code.description()),
            // Made by this side when the connection broke; the cause says more.
            (_, "transport error" | "h2 protocol error") => format!(
                "the connection to the daemon broke: {}; is it still running?",
                innermost(&status)
            ),
            (_, message) => message.to_owned(),
        };
        Refused {
            code,
            message,
            broken,
        }
    }
}

fn innermost(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

impl Client {
    /// Connects to the daemon that listens on `socket`.
    pub(crate) async fn connect(socket: &Path) -> Result<Client, Unreachable> {
        let path = socket.to_owned();
        let connector = service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        // The name is never looked up: the connector knows where to go.
        let channel = Endpoint::from_static("http://weft.invalid")
            .timeout(ANSWER)
            .connect_with_connector(connector)
            .await
            .map_err(|error| unreachable(socket, &error))?;
        Ok(Client {
            channel,
            reading: Reading::default(),
        })
    }

    /// Connects to the first of a bundle's managers that answers.
    pub(crate) async fn connect_from_afar(
        context: &Name,
        bundle: &Bundle,
    ) -> Result<Client, Unreachable> {
        let mut reasons = Vec::new();
        for addr in &bundle.managers {
            let channel = user_channel(*addr, bundle.credentials.clone());
            match timeout(PROBE, probe(channel.clone())).await {
                Ok(Ok(())) => {
                    return Ok(Client {
                        channel,
                        reading: Reading::default(),
                    });
                }
                Ok(Err(why)) => reasons.push(why),
                Err(_) => reasons.push(format!("{addr} does not answer")),
            }
        }
        Err(Unreachable::Managers {
            context: context.clone(),
            reason: reasons.join("; "),
        })
    }

    /// The same daemon, with lists read as asked for.
    pub(crate) fn reading(mut self, args: ReadArgs) -> Client {
        self.reading = Reading::new(args);
        self
    }

    /// How lists are read: goes into each request.
    pub(crate) fn read(&self) -> Option<wire::ReadOptions> {
        self.reading.options()
    }

    /// What an answer showed: goes out of each answer.
    pub(crate) fn showed(&self, shown: Option<&wire::Shown>) {
        if let Some(note) = shown.and_then(|shown| self.reading.note(shown)) {
            eprintln!("{note}");
        }
    }

    /// Makes a call, and makes it again for a while when no leader answers or the connection
    /// breaks. Only for calls that do the same once or often, like those with a `request_id`.
    pub(crate) async fn repeat<T, F>(
        &self,
        mut call: impl FnMut(Control) -> F,
    ) -> Result<T, Refused>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let until = Instant::now() + PATIENCE;
        let mut told = false;
        loop {
            let refused = match call(self.control()).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) => Refused::from(status),
            };
            let passing = refused.code == Code::Unavailable || refused.is_broken();
            if !passing {
                return Err(refused);
            }
            if Instant::now() >= until {
                return Err(refused.undecided());
            }
            if !told {
                eprintln!("weft: {refused}; trying again for {} s", PATIENCE.as_secs());
                told = true;
            }
            sleep(PAUSE).await;
        }
    }

    /// The calls about the cluster.
    pub(crate) fn control(&self) -> Control {
        ControlClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_MAX)
    }

    /// The calls about this very node.
    pub(crate) fn local(&self) -> LocalClient<Channel> {
        LocalClient::new(self.channel.clone())
    }
}

/// Whether there is a manager at the other end that lets this user in. What it answers does not
/// matter: many a user may not ask this.
async fn probe(channel: Channel) -> Result<(), String> {
    let read = Some(wire::ReadOptions {
        stale: true,
        min_revision: 0,
    });
    let asked = ControlClient::new(channel)
        .get_cluster(wire::GetClusterRequest { read })
        .await;
    match asked {
        Ok(_) => Ok(()),
        Err(status) => weft_pki::explain(&status).map_or(Ok(()), Err),
    }
}

fn unreachable(socket: &Path, error: &(dyn Error + 'static)) -> Unreachable {
    let mut cause = Some(error);
    let mut io = None;
    while let Some(current) = cause {
        io = current.downcast_ref::<io::Error>().or(io);
        cause = current.source();
    }
    let kind = io.map_or(io::ErrorKind::Other, io::Error::kind);
    let reason = if kind == io::ErrorKind::NotFound {
        "there is no such socket".to_owned()
    } else if kind == io::ErrorKind::ConnectionRefused {
        "nobody listens there".to_owned()
    } else {
        innermost(error)
    };
    Unreachable::Daemon {
        socket: socket.to_owned(),
        kind,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_daemon_is_named_with_the_way_to_start_it() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("weft.sock");
        let error = Client::connect(&socket).await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "cannot reach the daemon at {}: there is no such socket; start it with \
                 \"systemctl start weft\" or \"weft daemon\"",
                socket.display()
            )
        );
    }

    #[test]
    fn a_refusal_is_shown_in_the_servers_words_only() {
        let refused = Refused::from(Status::not_found("there is no service \"x\": list them"));
        assert_eq!(refused.to_string(), "there is no service \"x\": list them");
        assert!(!refused.is_passing());
        assert!(Refused::from(Status::unavailable("no leader")).is_passing());
        let silent = Refused::from(Status::new(Code::Internal, ""));
        assert_eq!(
            silent.to_string(),
            "the daemon gave no reason (Internal error)"
        );
    }
}
