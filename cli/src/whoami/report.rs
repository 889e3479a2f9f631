//! What is reported about a request, as data and as text. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use ::http::Request;
use serde::Serialize;

/// What the task was told about itself, by environment.
#[derive(Clone, Debug, Default, Serialize, clap::Args)]
pub(crate) struct Identity {
    /// Name of the service this task belongs to
    #[arg(long, env = "WEFT_SERVICE_NAME", hide = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service_name: Option<String>,
    /// Name of the task
    #[arg(long, env = "WEFT_TASK_NAME", hide = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) task_name: Option<String>,
    /// Id of the task
    #[arg(long, env = "WEFT_TASK_ID", hide = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) task_id: Option<String>,
    /// Name of the node it runs on
    #[arg(long, env = "WEFT_NODE_NAME", hide = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node_name: Option<String>,
}

/// One request as it arrived here. `Display` is the plain-text page.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    pub(super) hostname: String,
    #[serde(flatten)]
    pub(super) identity: &'a Identity,
    /// Who connected: the address this host sees, which after a proxy or a masquerade is theirs.
    pub(super) client: SocketAddr,
    /// The address and port that were called, as this host sees them.
    pub(super) local: SocketAddr,
    pub(super) request: String,
    /// Values by lower-case name; a header sent twice has two.
    pub(super) headers: BTreeMap<String, Vec<String>>,
}

impl<'a> Report<'a> {
    pub(super) fn new<B>(
        hostname: String,
        identity: &'a Identity,
        client: SocketAddr,
        local: SocketAddr,
        request: &Request<B>,
    ) -> Self {
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in request.headers() {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            headers.entry(name.to_string()).or_default().push(value);
        }
        let request = format!(
            "{} {} {:?}",
            request.method(),
            request.uri(),
            request.version()
        );
        let (client, local) = (canonical(client), canonical(local));
        Self {
            hostname,
            identity,
            client,
            local,
            request,
            headers,
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "hostname: {}", self.hostname)?;
        let Identity {
            service_name,
            task_name,
            task_id,
            node_name,
        } = self.identity;
        let told = [
            ("service", service_name),
            ("task", task_name),
            ("task id", task_id),
            ("node", node_name),
        ];
        for (label, value) in told {
            if let Some(value) = value {
                writeln!(f, "{label}: {value}")?;
            }
        }
        writeln!(f, "client: {}", self.client)?;
        writeln!(f, "local: {}", self.local)?;
        writeln!(f, "\n{}", self.request)?;
        for (name, values) in &self.headers {
            for value in values {
                writeln!(f, "{name}: {value}")?;
            }
        }
        Ok(())
    }
}

/// An IPv4 client of a dual-stack socket as the IPv4 address it is.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
