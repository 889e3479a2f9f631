//! One manager as its clients see it: calls on its socket.

use crate::record::Action;
use crate::record::Outcome;
use crate::record::Seen;
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::UnixStream;
use tonic::Code;
use tonic::Status;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use tower::service_fn;
use weft_proto::wire;
use weft_proto::wire::control_client::ControlClient;
use weft_proto::wire::local_client::LocalClient;

/// How long a client waits before it counts an outcome as unknown and goes on. Longer than an
/// election, so that most calls survive one; shorter than a manager's own patience, so that a
/// client is not lost to the run for long.
const PATIENCE: Duration = Duration::from_secs(4);

/// Lists of a few thousand services.
const MESSAGE_MAX: usize = 64 << 20;

/// The label that holds a register's value.
const LABEL: &str = "v";

/// What a call was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// How it ended.
    pub outcome: Outcome,
    /// The revision that a read shows; 0 for everything else.
    pub revision: u64,
}

impl Told {
    fn of(outcome: Outcome) -> Told {
        Told {
            outcome,
            revision: 0,
        }
    }
}

/// A connection to one manager; made on first use and again after it broke.
#[derive(Clone, Debug)]
pub struct Node {
    channel: Channel,
}

impl Node {
    /// The manager that listens on `socket`. Must be called in a tokio runtime.
    pub fn new(socket: &Path) -> Node {
        Node::with_patience(socket, PATIENCE)
    }

    /// Like [`Node::new`] with another limit for each call.
    pub fn with_patience(socket: &Path, patience: Duration) -> Node {
        let socket: PathBuf = socket.to_owned();
        let connector = service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        // The name is never looked up: the connector knows where to go.
        let channel = Endpoint::from_static("http://weft.invalid")
            .timeout(patience)
            .connect_with_connector_lazy(connector);
        Node { channel }
    }

    /// The calls about the cluster.
    pub fn control(&self) -> ControlClient<Channel> {
        ControlClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_MAX)
    }

    /// What the daemon says of itself, without asking anybody.
    ///
    /// # Errors
    /// As the daemon answers, or does not.
    pub async fn info(&self) -> Result<wire::InfoResponse, Status> {
        let mut local = LocalClient::new(self.channel.clone());
        Ok(local.info(wire::InfoRequest {}).await?.into_inner())
    }

    /// Does something to a register. Writes with the same `request` are done once, on whichever
    /// managers they arrive; an empty one stands for no other call.
    pub async fn act(&self, key: u32, action: Action, request: &str) -> Told {
        let target = name_of(key);
        let mut control = self.control();
        let answered = match action {
            Action::Create(value) => {
                let spec = Some(spec_of(key, value));
                let request_id = request.to_owned();
                let request = wire::CreateServiceRequest { spec, request_id };
                let asked = control.create_service(request);
                asked.await.map(|_| Told::of(Outcome::Done))
            }
            Action::Write(value) | Action::Swap { value, .. } => {
                let version = match action {
                    Action::Swap { version, .. } => version,
                    Action::Create(_) | Action::Write(_) | Action::Read => 0,
                };
                let asked = control.update_service(wire::UpdateServiceRequest {
                    target,
                    version,
                    spec: Some(spec_of(key, value)),
                    request_id: request.to_owned(),
                });
                asked.await.map(|_| Told::of(Outcome::Done))
            }
            Action::Read => {
                let read = None;
                let asked = control.list_services(wire::ListServicesRequest { target, read });
                asked.await.map(|answer| {
                    let answer = answer.into_inner();
                    let listed = answer.services.into_iter().next();
                    let service = listed.and_then(|listing| listing.service);
                    let content = service.and_then(|service| seen(&service));
                    Told {
                        outcome: content.map_or(Outcome::Unknown, Outcome::Read),
                        revision: answer.shown.map_or(0, |shown| shown.revision),
                    }
                })
            }
        };
        answered.unwrap_or_else(|status| Told::of(outcome_of(action, &status)))
    }

    /// Every register there is, by number.
    ///
    /// # Errors
    /// As the manager answers, or does not.
    pub async fn all(&self) -> Result<Vec<(u32, Seen)>, Status> {
        let request = wire::ListServicesRequest::default();
        let answer = self.control().list_services(request).await?.into_inner();
        let services = answer.services.into_iter().filter_map(|l| l.service);
        Ok(services.filter_map(|service| register(&service)).collect())
    }
}

/// A register's service name.
pub fn name_of(key: u32) -> String {
    format!("k{key}")
}

/// Number and content of the register that a service is; `None` when it is none of ours.
pub fn register(service: &wire::Service) -> Option<(u32, Seen)> {
    let name = &service.spec.as_ref()?.name;
    let key = name.strip_prefix('k')?.parse().ok()?;
    Some((key, seen(service)?))
}

/// The value and version a service holds.
fn seen(service: &wire::Service) -> Option<Seen> {
    let labels = &service.spec.as_ref()?.labels;
    let label = labels.iter().find(|label| label.key == LABEL)?;
    Some(Seen {
        value: label.value.parse().ok()?,
        version: service.meta.as_ref()?.version,
    })
}

/// A service without tasks, whose label is the value.
fn spec_of(key: u32, value: u64) -> wire::ServiceSpec {
    wire::ServiceSpec {
        name: name_of(key),
        labels: vec![wire::Label {
            key: LABEL.to_owned(),
            value: value.to_string(),
        }],
        task: Some(wire::TaskSpec {
            command: vec!["sleep".to_owned(), "1000".to_owned()],
            ..wire::TaskSpec::default()
        }),
        replicated: Some(wire::ReplicatedMode { replicas: 0 }),
        ..wire::ServiceSpec::default()
    }
}

/// What an error leaves known. Only what certainly had no effect counts as failed.
fn outcome_of(action: Action, status: &Status) -> Outcome {
    let code = status.code();
    let refused = [
        Code::FailedPrecondition,
        Code::InvalidArgument,
        Code::NotFound,
    ];
    if code == Code::Aborted && matches!(action, Action::Swap { .. }) {
        Outcome::Mismatch
    } else if code == Code::Aborted || refused.contains(&code) || never_sent(status) {
        Outcome::Failed
    } else {
        // AlreadyExists as well: the name is ours alone, so an earlier attempt was heard.
        Outcome::Unknown
    }
}

/// Nobody listened, so nobody heard.
fn never_sent(status: &Status) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = status.source();
    while let Some(current) = cause {
        let kind = current.downcast_ref::<io::Error>().map(io::Error::kind);
        if let Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) = kind {
            return true;
        }
        cause = current.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_is_a_service_and_back() {
        let service = wire::Service {
            meta: Some(wire::Meta {
                version: 9,
                ..wire::Meta::default()
            }),
            spec: Some(spec_of(4, 77)),
            ..wire::Service::default()
        };
        let content = Seen {
            value: 77,
            version: 9,
        };
        assert_eq!(register(&service), Some((4, content)));
    }

    #[test]
    fn only_what_certainly_had_no_effect_counts_as_failed() {
        let outcome = |status| outcome_of(Action::Write(1), &status);
        assert_eq!(outcome(Status::aborted("")), Outcome::Failed);
        assert_eq!(outcome(Status::unavailable("")), Outcome::Unknown);
        assert_eq!(
            outcome(Status::cancelled("Timeout expired")),
            Outcome::Unknown
        );
        assert_eq!(outcome(Status::already_exists("")), Outcome::Unknown);
    }

    #[tokio::test]
    async fn a_call_that_nobody_heard_has_failed() {
        let node = Node::new(Path::new("/nonexistent/weft.sock"));
        let told = node.act(1, Action::Write(1), "").await;
        assert_eq!(told.outcome, Outcome::Failed);
    }
}
