//! Bringing the demo up, step by step.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use crate::contract;
use crate::demo::failure::DemoError;
use crate::demo::probe;
use crate::demo::stack;
use crate::error::RigError;
use crate::host::Host;
use crate::layout::Layout;
use crate::process::ProcessId;
use crate::rig::Rig;
use crate::state::RigState;
use crate::subnet;

/// How long a daemon may take to answer: it creates its databases and syncs them.
pub(super) const DAEMON: Duration = Duration::from_secs(30);

/// How long the cluster, or a service, may take to be ready on two busy cores.
const READY: Duration = Duration::from_secs(120);

/// What `up` tells while it works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A step begins.
    Begin(String),
    /// The step just begun is done.
    Done(Duration),
}

/// What a person wants to know once the demo is up. `Display` is the text to print.
#[derive(Debug, Clone)]
pub struct Summary {
    nodes: Vec<(String, &'static str, Ipv4Addr)>,
    node_table: String,
    service_table: String,
    weft: PathBuf,
    took: Duration,
}

/// Brings the demo up: hosts, daemons, cluster, network, services; returns when every published
/// port answers on every node. On failure everything is removed again.
///
/// `layout` is [`Layout::demo`], except in tests; `weft` is the program to run as daemon, command line and sample service.
///
/// # Errors
/// [`DemoError`] says which step failed, why, and what to do.
pub fn up(
    layout: &Layout,
    weft: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, DemoError> {
    let start = Instant::now();
    for (program, package) in stack::PROGRAMS {
        if !is_installed(program) {
            return Err(DemoError::Missing { program, package });
        }
    }
    let mut steps = Steps { progress };
    let rig = build(layout, weft, &mut steps)?;
    let hosts = nodes(&rig)?;
    let first = hosts.first().ok_or(DemoError::NotUp)?;
    form_cluster(&rig, &hosts, &mut steps)?;
    deploy(&rig, first, &mut steps)?;
    wait_for_answers(&rig, &hosts, &mut steps)?;
    let summary = Summary {
        nodes: hosts
            .iter()
            .zip(stack::NODES)
            .map(|(host, (_, role))| (host.name().to_owned(), role, host.addr()))
            .collect(),
        node_table: first.weft_ok(&["node", "ls"])?,
        service_table: first.weft_ok(&["service", "ls"])?,
        weft: weft.to_owned(),
        took: start.elapsed(),
    };
    rig.keep()?;
    Ok(summary)
}

/// Tells progress and turns failures into advice.
struct Steps<'a> {
    progress: &'a mut dyn FnMut(Progress),
}

impl Steps<'_> {
    fn run<T>(
        &mut self,
        rig: Option<&Rig>,
        step: &str,
        hint: &'static str,
        work: impl FnOnce() -> Result<T, RigError>,
    ) -> Result<T, DemoError> {
        let start = Instant::now();
        (self.progress)(Progress::Begin(step.to_owned()));
        let result = work().map_err(|source| {
            let quoted = matches!(
                &source,
                RigError::TimedOut { .. } | RigError::DaemonEnded { .. }
            );
            let logs = rig
                .filter(|_| !quoted)
                .map(Rig::log_tails)
                .unwrap_or_default();
            DemoError::Step {
                step: step.to_owned(),
                source: Box::new(source),
                logs,
                hint,
            }
        })?;
        (self.progress)(Progress::Done(start.elapsed()));
        Ok(result)
    }
}

const HINT_MACHINE: &str = "Check that this is root on a machine that allows network namespaces \
                            (a container needs --privileged).";
const HINT_WEFT: &str = "The log above is the daemon's; `WEFT_LOG=debug` makes it say more.";
const HINT_SLOW: &str = "On a slow machine, run it again when less else is running.";

fn build(layout: &Layout, weft: &Path, steps: &mut Steps<'_>) -> Result<Rig, DemoError> {
    if let Ok(before) = RigState::load(&layout.run) {
        let interrupted = before.is_stale();
        if !interrupted {
            return Err(DemoError::AlreadyUp);
        }
        steps.run(
            None,
            "remove what an interrupted start left",
            HINT_MACHINE,
            || crate::teardown::remove(&before, || {}),
        )?;
    }
    let routes = subnet::machine_routes().map_err(|source| RigError::File {
        op: "read",
        path: PathBuf::from("/proc/net/route"),
        source,
    })?;
    let subnet = subnet::pick(&routes).ok_or(DemoError::NoRange)?;
    let step = format!("make {} hosts on {subnet}", stack::NODES.len());
    steps.run(None, &step, HINT_MACHINE, || {
        let state = RigState {
            layout: layout.clone(),
            creator: ProcessId::current(),
            subnet,
            uplink: false,
            weft: weft.to_owned(),
            hosts: Vec::new(),
        };
        let rig = Rig::build(state)?;
        for (name, _) in stack::NODES {
            let host = rig.host(name)?;
            host.netns().alias(&rig.layout().netns_alias(name))?;
        }
        rig.add_uplink()?;
        Ok(rig)
    })
}

fn nodes(rig: &Rig) -> Result<Vec<Host>, RigError> {
    stack::NODES
        .iter()
        .map(|(name, _)| rig.host(name))
        .collect()
}

fn form_cluster(rig: &Rig, hosts: &[Host], steps: &mut Steps<'_>) -> Result<(), DemoError> {
    steps.run(Some(rig), "start the daemons", HINT_WEFT, || {
        for host in hosts {
            host.start_daemon()?;
        }
        hosts.iter().try_for_each(|host| host.wait_ready(DAEMON))
    })?;
    let Some((first, others)) = hosts.split_first() else {
        return Ok(());
    };
    let manager = first.addr().to_string();
    let step = format!("weft cluster init on {}", first.name());
    steps.run(Some(rig), &step, HINT_WEFT, || {
        first.weft_ok(&contract::init(&manager))
    })?;
    for (host, (_, role)) in others.iter().zip(stack::NODES.iter().skip(1)) {
        let step = format!("weft cluster join on {} as {role}", host.name());
        steps.run(Some(rig), &step, HINT_WEFT, || {
            let token = first.weft_ok(&contract::join_token(role))?;
            let join = contract::join(token.trim(), &manager, &host.addr().to_string());
            host.weft_ok(&join)
        })?;
    }
    steps.run(
        Some(rig),
        "wait until all nodes are ready",
        HINT_SLOW,
        || {
            rig.wait_for("all five nodes are ready", READY, || {
                let answer = first.weft_json(&contract::node_ls()).ok()?;
                (contract::ready_nodes(&answer) == hosts.len()).then_some(())
            })
        },
    )
}

fn deploy(rig: &Rig, first: &Host, steps: &mut Steps<'_>) -> Result<(), DemoError> {
    let step = format!("weft network create {}", stack::NETWORK);
    steps.run(Some(rig), &step, HINT_WEFT, || {
        first.weft_ok(&contract::network_create(stack::NETWORK))
    })?;
    for order in stack::services() {
        let step = format!(
            "weft service create {} ({} replicas)",
            order.name, order.replicas
        );
        steps.run(Some(rig), &step, HINT_WEFT, || {
            first.weft_ok_within(READY, &contract::service_create(&order))
        })?;
    }
    Ok(())
}

fn wait_for_answers(rig: &Rig, hosts: &[Host], steps: &mut Steps<'_>) -> Result<(), DemoError> {
    let Some(first) = hosts.first() else {
        return Ok(());
    };
    for order in stack::services() {
        let step = format!("wait until {} runs", order.name);
        steps.run(Some(rig), &step, HINT_SLOW, || {
            let what = format!("{} tasks of {} run", order.replicas, order.name);
            rig.wait_for(&what, READY, || {
                let answer = first.weft_json(&contract::service_ps(order.name)).ok()?;
                let running = u32::try_from(contract::running_tasks(&answer)).ok()?;
                (running == order.replicas).then_some(())
            })
        })?;
    }
    for port in [stack::WEB, stack::WHOAMI] {
        let step = format!("wait until port {port} answers on every node");
        steps.run(Some(rig), &step, HINT_SLOW, || {
            hosts.iter().try_for_each(|host| {
                let what = format!("http://{}:{port} answers", host.addr());
                rig.wait_for(&what, READY, || {
                    probe::answers(host.addr(), port).then_some(())
                })
            })
        })?;
    }
    Ok(())
}

/// Where Debian puts programs; the environment is not asked, since tasks get a fixed PATH too.
fn is_installed(program: &str) -> bool {
    let dirs = [
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
    ];
    dirs.iter().any(|dir| Path::new(dir).join(program).exists())
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = self.took.as_secs_f64();
        writeln!(f, "The demo is up after {took:.0} s.\n")?;
        for (name, role, addr) in &self.nodes {
            writeln!(f, "  {name}  {addr}  {role}")?;
        }
        let (nodes, services) = (self.node_table.trim_end(), self.service_table.trim_end());
        writeln!(f, "\n{nodes}\n\n{services}\n")?;
        let weft = shortest(&self.weft);
        let (web, whoami) = (stack::WEB, stack::WHOAMI);
        let addrs: Vec<String> = self
            .nodes
            .iter()
            .map(|(_, _, addr)| addr.to_string())
            .collect();
        writeln!(f, "Try:")?;
        writeln!(
            f,
            "  for ip in {}; do curl -s $ip:{whoami} | grep -e task: -e client:; done",
            addrs.join(" ")
        )?;
        writeln!(
            f,
            "  {weft} demo exec whoami.1 -- dig +short whoami tasks.whoami redis"
        )?;
        writeln!(f, "  {weft} demo exec n1 -- {weft} service scale whoami=8")?;
        writeln!(
            f,
            "  {weft} demo kill leader; curl -sI {}:{web} | head -1; {weft} demo status",
            addrs.last().map_or("", String::as_str)
        )?;
        writeln!(
            f,
            "  {weft} demo exec n2 -- {weft} service logs --tail 3 whoami"
        )?;
        write!(
            f,
            "`{weft} demo start n1` starts a killed daemon again, `{weft} demo down` removes every trace."
        )
    }
}

/// The program as a person standing here would type it.
fn shortest(weft: &Path) -> String {
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| weft.strip_prefix(here).ok().map(Path::to_owned));
    below
        .unwrap_or_else(|| weft.to_owned())
        .display()
        .to_string()
}
