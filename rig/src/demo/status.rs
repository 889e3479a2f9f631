//! How the demo is doing.

use std::fmt;
use std::net::Ipv4Addr;

use crate::daemon::DaemonState;
use crate::demo::failure::DemoError;
use crate::demo::probe;
use crate::demo::stack;
use crate::error::RigError;
use crate::error::chain;
use crate::layout::Layout;
use crate::rig::Rig;

/// One node as seen from outside the cluster.
#[derive(Debug, Clone)]
pub struct DaemonLine {
    /// Its name.
    pub node: String,
    /// Its address.
    pub addr: Ipv4Addr,
    /// Its daemon.
    pub daemon: DaemonState,
    /// Whether nginx and whoami answer on it.
    pub answers: [bool; 2],
}

/// The demo as it is now. `Display` is the text to print.
#[derive(Debug, Clone)]
pub struct Status {
    /// Its nodes.
    pub nodes: Vec<DaemonLine>,
    /// What the first node that answers says about the cluster, or why none did.
    pub cluster: Result<String, String>,
}

/// Looks at the demo.
///
/// # Errors
/// [`DemoError::NotUp`] when there is none.
pub fn status(layout: &Layout) -> Result<Status, DemoError> {
    let rig = match Rig::open(&layout.run) {
        Err(RigError::NotThere { .. }) => return Err(DemoError::NotUp),
        opened => opened?,
    };
    let hosts = rig.hosts();
    let look = |host: &crate::Host| DaemonLine {
        node: host.name().to_owned(),
        addr: host.addr(),
        daemon: host.daemon(),
        answers: [stack::WEB, stack::WHOAMI].map(|port| probe::answers(host.addr(), port)),
    };
    let mut cluster = Err("no node's daemon runs".to_owned());
    let running = |host: &&crate::Host| matches!(host.daemon(), DaemonState::Running(_));
    for host in hosts.iter().filter(running) {
        let tables = host
            .weft_ok(&["node", "ls"])
            .and_then(|nodes| Ok(format!("{nodes}\n{}", host.weft_ok(&["service", "ls"])?)));
        cluster = tables.map_err(|error| chain(&error));
        if cluster.is_ok() {
            break;
        }
    }
    Ok(Status {
        nodes: hosts.iter().map(look).collect(),
        cluster,
    })
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (web, whoami) = (stack::WEB, stack::WHOAMI);
        writeln!(f, "NODE  ADDRESS      PORT {web}  PORT {whoami}  DAEMON")?;
        for line in &self.nodes {
            let [web, whoami] = line.answers.map(|ok| if ok { "answers" } else { "silent" });
            let daemon = match &line.daemon {
                DaemonState::Absent => "stopped".to_owned(),
                DaemonState::Running(id) => format!("process {}", id.pid),
                DaemonState::Ended(how) => format!("ended: {how}"),
            };
            let (node, addr) = (&line.node, line.addr.to_string());
            writeln!(f, "{node:<5} {addr:<12} {web:<10} {whoami:<10} {daemon}")?;
        }
        match &self.cluster {
            Ok(tables) => write!(f, "\n{}", tables.trim_end()),
            Err(why) => write!(f, "\nNo manager answers: {why}"),
        }
    }
}
