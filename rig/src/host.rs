//! One host: its namespaces, its cable to the wire, and programs run on it.

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use nix::sched::CloneFlags;
use serde_json::Value;

use crate::cgroup;
use crate::command;
use crate::command::Output;
use crate::contract;
use crate::daemon::Slot;
use crate::error::RigError;
use crate::layout::Layout;
use crate::layout::MARKER;
use crate::link;
use crate::mounts;
use crate::netns::Netns;
use crate::process;
use crate::process::Owner;
use crate::rig::WIRE;

/// How long a command may take: joins wait for an election, `service create` for convergence.
const COMMAND: Duration = Duration::from_secs(60);

/// A machine of the rig. Clones are the same machine.
#[derive(Debug, Clone)]
pub struct Host(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    addr: Ipv4Addr,
    layout: Layout,
    weft: PathBuf,
    netns: Netns,
    slot: Slot,
}

/// Name of a host's link inside the wire.
pub(crate) fn port(host: &str) -> String {
    format!("p-{host}")
}

impl Host {
    pub(crate) fn new(name: &str, addr: Ipv4Addr, layout: &Layout, weft: &Path) -> Self {
        Self(Arc::new(Inner {
            name: name.to_owned(),
            addr,
            layout: layout.clone(),
            weft: weft.to_owned(),
            netns: Netns::at(&layout.netns(name)),
            slot: Slot::default(),
        }))
    }

    /// Its name, also its hostname.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its address on the wire.
    pub fn addr(&self) -> Ipv4Addr {
        self.0.addr
    }

    /// Its network namespace.
    pub fn netns(&self) -> &Netns {
        &self.0.netns
    }

    /// The daemon's `--state-dir`.
    pub fn state_dir(&self) -> PathBuf {
        self.layout().host_state(self.name())
    }

    /// The daemon's `--run-dir`.
    pub fn run_dir(&self) -> PathBuf {
        self.layout().host_run(self.name())
    }

    /// The daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.run_dir().join(contract::SOCKET)
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.0.layout
    }

    pub(crate) fn weft_path(&self) -> &Path {
        &self.0.weft
    }

    pub(crate) fn slot(&self) -> &Slot {
        &self.0.slot
    }

    /// Starts `command` on this host: in its network namespace, under its hostname, marked as
    /// its own. Standard streams are the caller's choice.
    ///
    /// # Errors
    /// Outer: the namespace cannot be entered. Inner: the program cannot be started.
    pub fn spawn(&self, command: &mut Command) -> Result<io::Result<Child>, RigError> {
        let marker = self.layout().marker(self.name());
        let value = marker.split_once('=').map_or("", |(_, value)| value);
        command.env(MARKER, value);
        self.netns().run(|| {
            nix::sched::unshare(CloneFlags::CLONE_NEWUTS)?;
            nix::unistd::sethostname(self.name())?;
            command.spawn()
        })
    }

    /// Runs any program on this host to its end.
    ///
    /// # Errors
    /// [`RigError::Spawn`], or [`RigError::TooSlow`] after a minute. A failure exit is no error.
    pub fn run(&self, command: Command) -> Result<Output, RigError> {
        self.run_within(COMMAND, command)
    }

    /// Like [`Host::run`] with another limit.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub fn run_within(&self, limit: Duration, command: Command) -> Result<Output, RigError> {
        command::run(self.name(), command, limit, |command| self.spawn(command))
    }

    /// Runs a program given as words.
    ///
    /// # Errors
    /// As [`Host::run`].
    pub fn sh(&self, words: &[&str]) -> Result<Output, RigError> {
        let mut command = Command::new(words.first().copied().unwrap_or_default());
        command.args(words.iter().skip(1));
        self.run(command)
    }

    /// Runs `weft` on this host against its daemon.
    ///
    /// # Errors
    /// As [`Host::run`]. A failure exit is no error.
    pub fn weft<S: AsRef<str>>(&self, args: &[S]) -> Result<Output, RigError> {
        self.run(self.weft_command(args))
    }

    /// Runs `weft` and returns what it printed; a failure exit is an error here.
    ///
    /// # Errors
    /// As [`Host::run`], and [`RigError::Failed`].
    pub fn weft_ok<S: AsRef<str>>(&self, args: &[S]) -> Result<String, RigError> {
        self.weft_ok_within(COMMAND, args)
    }

    /// Like [`Host::weft_ok`] with another limit.
    ///
    /// # Errors
    /// As [`Host::weft_ok`].
    pub fn weft_ok_within<S: AsRef<str>>(
        &self,
        limit: Duration,
        args: &[S],
    ) -> Result<String, RigError> {
        let command = self.weft_command(args);
        let line = command::line(&command);
        let output = self.run_within(limit, command)?;
        if output.success() {
            return Ok(output.stdout);
        }
        let (host, said) = (self.name().to_owned(), output.said());
        Err(RigError::Failed {
            command: line,
            host,
            status: output.status,
            said,
        })
    }

    /// Runs `weft` and parses the JSON it prints.
    ///
    /// # Errors
    /// As [`Host::weft_ok`], and [`RigError::Json`].
    pub fn weft_json<S: AsRef<str>>(&self, args: &[S]) -> Result<Value, RigError> {
        let said = self.weft_ok(args)?;
        serde_json::from_str(&said).map_err(|source| RigError::Json {
            command: command::line(&self.weft_command(args)),
            host: self.name().to_owned(),
            said,
            source,
        })
    }

    fn weft_command<S: AsRef<str>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(self.weft_path());
        command.args(contract::socket_option(&self.socket()));
        command.args(args.iter().map(AsRef::as_ref));
        command
    }

    /// Pulls the host's cable: nothing gets in or out, and it sees that.
    ///
    /// # Errors
    /// [`RigError::Link`].
    pub fn cut(&self) -> Result<(), RigError> {
        self.set_cable(false)
    }

    /// Plugs the cable in again.
    ///
    /// # Errors
    /// [`RigError::Link`].
    pub fn heal(&self) -> Result<(), RigError> {
        self.set_cable(true)
    }

    fn set_cable(&self, up: bool) -> Result<(), RigError> {
        // The far end of the cable, so that the host keeps its routes as a real one does.
        let wire = Netns::at(&self.layout().netns(WIRE));
        let port = port(self.name());
        wire.run(|| link::with_links(async |links| links.set_up(&port, up).await))?
    }

    /// Kills the daemon, its shims, its tasks and everything else on this host, as a power cut
    /// would; files stay. Kernel objects in the host's namespace stay too: use [`Host::cut`] to
    /// silence them.
    ///
    /// # Errors
    /// [`RigError::StillRunning`] when something does not die.
    pub fn kill_all(&self) -> Result<(), RigError> {
        let what = format!("host {}", self.name());
        let cgroups = process::kill_owned(&self.owner()?, &what, || {
            self.slot().reap();
        })?;
        cgroup::prune(&cgroups);
        self.forget_daemon()
    }

    /// What belongs to this host.
    fn owner(&self) -> Result<Owner, RigError> {
        let mut netns = BTreeSet::from([self.netns().inode()?]);
        for dir in [self.run_dir(), self.state_dir()] {
            let below = mounts::below(&dir).map_err(|source| RigError::File {
                op: "list mounts below",
                path: dir,
                source,
            })?;
            netns.extend(below.iter().filter_map(|mount| mount.netns));
        }
        let tag = &self.layout().tag;
        Ok(Owner {
            marker: format!("{tag}/{}", self.name()),
            netns,
            cgroup_tag: format!("{tag}-{}", self.name()),
            state_dirs: vec![self.state_dir()],
        })
    }
}
