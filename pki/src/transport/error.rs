//! Why a connection to another node did not come about.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::SystemTime;

use rustls::AlertDescription;

use crate::Refusal;
use crate::when::apart;
use crate::when::show;

/// Why a connection to another node did not come about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No TCP connection.
    #[error("cannot reach {addr}")]
    Dial {
        /// The address dialled.
        addr: SocketAddr,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Neither an answer nor a refusal in time.
    #[error("no answer from {addr}: is the machine up, and does a firewall let the port through?")]
    Timeout {
        /// The address dialled.
        addr: SocketAddr,
    },
    /// This node did not accept the other one's certificate.
    #[error("refused the node at {addr}")]
    PeerRefused {
        /// The address dialled.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: Refusal,
    },
    /// The other node did not accept this one, or what it presented.
    #[error("the node at {addr} refused this node ({})", alert_meaning(*.alert))]
    RefusedByPeer {
        /// The address dialled.
        addr: SocketAddr,
        /// What it said.
        alert: AlertDescription,
    },
    /// The handshake failed otherwise: often, no node listens there.
    #[error("no secure connection with {addr}: is it a node of the cluster?")]
    Handshake {
        /// The address dialled.
        addr: SocketAddr,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// This node's own certificate ran out, so that nobody would accept it.
    #[error(
        "this node's certificate expired at {}, and it is {} here, {} later: correct the clock, or renew it with \
         \"weft cluster join --token TOKEN MANAGER:2377\" on this node, which keeps its identity and tasks",
        show(.not_after), show(.now), apart(.not_after, .now)
    )]
    OwnCertificateExpired {
        /// This node's clock.
        now: SystemTime,
        /// When it ran out.
        not_after: SystemTime,
    },
    /// A person's own certificate ran out.
    #[error(
        "your certificate expired at {}, and it is {} here: correct the clock, or have an admin remove \
         and create the user again",
        show(.not_after), show(.now)
    )]
    UserCertificateExpired {
        /// This machine's clock.
        now: SystemTime,
        /// When it ran out.
        not_after: SystemTime,
    },
    /// TLS refused to be set up.
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

impl ConnectError {
    /// Sorts an error of the handshake, or of reading after it.
    pub(super) fn of_tls(addr: SocketAddr, source: io::Error) -> Self {
        let tls = source.get_ref().and_then(|e| e.downcast_ref());
        if let Some(refusal) = tls.and_then(Refusal::from_tls) {
            return Self::PeerRefused {
                addr,
                source: refusal,
            };
        }
        match tls {
            Some(rustls::Error::AlertReceived(alert)) => Self::RefusedByPeer {
                addr,
                alert: *alert,
            },
            Some(_) | None => Self::Handshake { addr, source },
        }
    }
}

/// The kind of an I/O error whose text is a [`ConnectError::RefusedByPeer`]. No read or write on an
/// open TCP connection fails with it otherwise.
pub(super) const LATE_REFUSAL: io::ErrorKind = io::ErrorKind::PermissionDenied;

fn alert_meaning(alert: AlertDescription) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "foreign and non-exhaustive")]
    match alert {
        AlertDescription::CertificateExpired => {
            "its clock says that this node's certificate is expired or not yet valid; \
             compare the two clocks"
                .to_owned()
        }
        AlertDescription::UnknownCA => "this node is of another cluster".to_owned(),
        AlertDescription::DecryptError => {
            "this node's certificate was made by another root".to_owned()
        }
        other => format!("{other:?}"),
    }
}

/// Finds the reason behind a failed call: what a `tonic::Status` or transport error wraps.
///
/// `None` when the connection itself was not the problem, and also when the other side refused
/// this one after the handshake: HTTP/2 then keeps only the text. To show people a reason, use
/// [`explain`].
pub fn connect_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a ConnectError> {
    causes(error).find_map(|error| error.downcast_ref())
}

/// Why no connection came about, in one line for a person; `None` when that was not the problem.
pub fn explain(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(found) = connect_error(error) {
        let words: Vec<_> = causes(found).map(ToString::to_string).collect();
        return Some(words.join(": "));
    }
    causes(error)
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .find(|error| error.kind() == LATE_REFUSAL)
        .map(ToString::to_string)
}

type Cause<'a> = &'a (dyn Error + 'static);

/// An error and what it stems from, outermost first.
fn causes<'a>(error: Cause<'a>) -> impl Iterator<Item = Cause<'a>> {
    std::iter::successors(Some(error), |error| cause(*error))
}

fn cause<'a>(error: Cause<'a>) -> Option<Cause<'a>> {
    // An io::Error's source skips the error that it carries.
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(carried) => Some(carried),
        None => error.source(),
    }
}
