//! A rig: a wire in the middle, hosts around it.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ipnet::Ipv4Net;
use nix::unistd::geteuid;

use crate::error::RigError;
use crate::error::chain;
use crate::host::Host;
use crate::host::port;
use crate::layout::Layout;
use crate::link;
use crate::netns::Netns;
use crate::poll;
use crate::process::ProcessId;
use crate::state::HostState;
use crate::state::RigState;
use crate::subnet;
use crate::teardown;

/// Namespace with the switch all hosts are plugged into.
pub(crate) const WIRE: &str = "wire";

/// The switch itself.
const BRIDGE: &str = "wire";

/// A host's link to the wire.
pub const HOST_LINK: &str = "eth0";

/// The client outside the cluster.
pub const CLIENT: &str = "client";

/// Counts the rigs of this process, so that their names differ.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// Machines on a wire of their own. Removed with everything in it when dropped, unless it was
/// made to stay.
#[derive(Debug)]
pub struct Rig {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: RigState,
    hosts: Vec<Host>,
    /// Whether dropping removes the rig.
    owned: bool,
}

impl Rig {
    /// A rig for one test; `name` shows in all it makes, `weft` is the program its hosts run.
    /// Rigs whose makers died are removed first.
    ///
    /// # Errors
    /// [`RigError::NotRoot`], [`RigError::BadName`], or whatever could not be made.
    pub fn new(name: &str, weft: &Path) -> Result<Self, RigError> {
        teardown::sweep()?;
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        let tag = format!("rig-{}-{}-{count}", checked(name)?, std::process::id());
        let state = RigState {
            layout: Layout::test(&tag),
            creator: ProcessId::current(),
            subnet: subnet::DEFAULT,
            uplink: false,
            weft: weft.to_owned(),
            hosts: Vec::new(),
        };
        Self::build(state)
    }

    /// A rig by its record: makes the directories and the wire. On failure nothing stays.
    ///
    /// # Errors
    /// [`RigError::AlreadyThere`] and as [`Rig::new`].
    pub fn build(state: RigState) -> Result<Self, RigError> {
        if !geteuid().is_root() {
            return Err(RigError::NotRoot {
                uid: geteuid().as_raw(),
            });
        }
        let run = state.layout.run.clone();
        if state.layout.state_file().exists() {
            return Err(RigError::AlreadyThere { dir: run });
        }
        for dir in [&state.layout.netns_dir(), &state.layout.state] {
            fs::create_dir_all(dir).map_err(|source| RigError::File {
                op: "create",
                path: dir.clone(),
                source,
            })?;
        }
        state.save()?;
        let rig = Self {
            inner: Mutex::new(Inner {
                state,
                hosts: Vec::new(),
                owned: true,
            }),
        };
        rig.lay_wire()?;
        Ok(rig)
    }

    /// A rig somebody else made. Dropping it changes nothing.
    ///
    /// # Errors
    /// [`RigError::NotThere`], [`RigError::State`].
    pub fn open(run: &Path) -> Result<Self, RigError> {
        let state = RigState::load(run)?;
        let host = |h: &HostState| Host::new(&h.name, h.addr, &state.layout, &state.weft);
        let hosts = state.hosts.iter().map(host).collect();
        Ok(Self {
            inner: Mutex::new(Inner {
                state,
                hosts,
                owned: false,
            }),
        })
    }

    /// Lets the rig outlive this process.
    ///
    /// # Errors
    /// [`RigError::File`] when that cannot be written down.
    pub fn keep(&self) -> Result<(), RigError> {
        let mut inner = self.lock();
        inner.state.creator = None;
        inner.state.save()?;
        inner.owned = false;
        Ok(())
    }

    /// Its directories and tag.
    pub fn layout(&self) -> Layout {
        self.lock().state.layout.clone()
    }

    /// Addresses on its wire.
    pub fn subnet(&self) -> Ipv4Net {
        self.lock().state.subnet
    }

    /// All hosts made so far, the client included.
    pub fn hosts(&self) -> Vec<Host> {
        self.lock().hosts.clone()
    }

    /// The host of that name, made on first use: .11, .12, ... in order of making.
    ///
    /// # Errors
    /// [`RigError::BadName`], [`RigError::NoAddress`], or whatever could not be made.
    pub fn host(&self, name: &str) -> Result<Host, RigError> {
        let nodes = self
            .hosts()
            .iter()
            .filter(|host| host.name() != CLIENT)
            .count();
        let last = u8::try_from(nodes)
            .ok()
            .and_then(|n| subnet::FIRST_HOST.checked_add(n));
        let last = last.filter(|&last| last < subnet::CLIENT);
        self.host_at(name, last)
    }

    /// A machine on the wire that is no member of anything: the outside client, at .200.
    ///
    /// # Errors
    /// As [`Rig::host`].
    pub fn client(&self) -> Result<Host, RigError> {
        self.host_at(CLIENT, Some(subnet::CLIENT))
    }

    /// Puts the machine itself on the wire, at .1, so that a person's `curl` reaches the hosts.
    ///
    /// # Errors
    /// [`RigError::Link`].
    pub fn add_uplink(&self) -> Result<(), RigError> {
        let mut inner = self.lock();
        inner.state.uplink = true;
        inner.state.save()?;
        let uplink = inner.state.layout.uplink();
        let machine = Netns::machine();
        let wire = Netns::at(&inner.state.layout.netns(WIRE));
        plug_in(&wire, &machine, "p-machine", &uplink)?;
        let (addr, bits) = (
            subnet::address(inner.state.subnet, subnet::MACHINE),
            inner.state.subnet.prefix_len(),
        );
        machine.run(|| {
            link::with_links(async |links| {
                links.address(&uplink, addr, bits).await?;
                links.set_up(&uplink, true).await
            })
        })?
    }

    /// Waits until `look` has an answer; the failure quotes every daemon's log.
    ///
    /// # Errors
    /// [`RigError::TimedOut`].
    pub fn wait_for<T>(
        &self,
        what: &str,
        ceiling: Duration,
        look: impl FnMut() -> Option<T>,
    ) -> Result<T, RigError> {
        poll::until(ceiling, look).ok_or_else(|| RigError::TimedOut {
            what: what.to_owned(),
            ceiling,
            logs: self.log_tails(),
        })
    }

    /// The ends of all daemons' logs.
    pub fn log_tails(&self) -> String {
        let hosts = self.hosts();
        let started = hosts.iter().filter(|host| !host.log().is_empty());
        started.map(Host::log_tail).collect::<Vec<_>>().join("\n")
    }

    /// Removes the rig with everything in it and checks that nothing is left.
    ///
    /// # Errors
    /// [`RigError::Leftovers`] names what could not be removed.
    pub fn down(self) -> Result<(), RigError> {
        self.remove()
    }

    fn remove(&self) -> Result<(), RigError> {
        let mut inner = self.lock();
        inner.owned = false;
        let hosts = inner.hosts.clone();
        teardown::remove(&inner.state, || {
            for host in &hosts {
                host.slot().reap();
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lay_wire(&self) -> Result<(), RigError> {
        let wire = Netns::create(&self.layout().netns(WIRE))?;
        wire.run(|| link::with_links(async |links| links.add_bridge(BRIDGE).await))?
    }

    fn host_at(&self, name: &str, last: Option<u8>) -> Result<Host, RigError> {
        let mut inner = self.lock();
        if let Some(host) = inner.hosts.iter().find(|host| host.name() == name) {
            return Ok(host.clone());
        }
        let subnet = inner.state.subnet;
        let no_address = || RigError::NoAddress {
            subnet,
            host: name.to_owned(),
        };
        let addr = subnet::address(subnet, last.ok_or_else(no_address)?);
        let layout = inner.state.layout.clone();
        let host = Host::new(checked(name)?, addr, &layout, &inner.state.weft);
        inner.state.hosts.push(HostState {
            name: name.to_owned(),
            addr,
        });
        inner.state.save()?;

        let dir = layout.host_dir(name);
        fs::create_dir_all(&dir).map_err(|source| RigError::File {
            op: "create",
            path: dir,
            source,
        })?;
        let netns = Netns::create(&layout.netns(name))?;
        plug_in(
            &Netns::at(&layout.netns(WIRE)),
            &netns,
            &port(name),
            HOST_LINK,
        )?;
        netns.run(|| {
            link::with_links(async |links| {
                links.address(HOST_LINK, addr, subnet.prefix_len()).await?;
                links.set_up(HOST_LINK, true).await
            })
        })??;
        inner.hosts.push(host.clone());
        Ok(host)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if !self.lock().owned {
            return;
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log_tails());
        }
        if let Err(error) = self.remove() {
            eprintln!("{}", chain(&error));
        }
    }
}

/// A cable: one end at the switch, the other in `host`.
fn plug_in(wire: &Netns, host: &Netns, port: &str, host_link: &str) -> Result<(), RigError> {
    let host_ns = host.open()?;
    wire.run(|| {
        link::with_links(async |links| {
            links.add_veth(port, host_link, host_ns.as_fd()).await?;
            links.plug(port, BRIDGE).await
        })
    })?
}

/// Names become link names (15 bytes with our prefix), directories and cgroups.
fn checked(name: &str) -> Result<&str, RigError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = (1..=12).contains(&name.len()) && name.chars().all(plain) && name != WIRE;
    fits.then_some(name).ok_or_else(|| RigError::BadName {
        name: name.to_owned(),
    })
}
