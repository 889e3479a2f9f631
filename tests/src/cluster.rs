//! A cluster of a test.

use anyhow::Context;
use anyhow::bail;
use anyhow::ensure;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::time::Duration;
use weft_rig::Host;
use weft_rig::Rig;
use weft_rig::contract;

/// How long anything may take on a busy machine before a test gives up.
pub const CEILING: Duration = Duration::from_secs(90);

/// Managers and workers on one wire, and a client outside. Dropping it removes everything.
#[derive(Debug)]
pub struct Cluster {
    /// The machines.
    pub rig: Rig,
    /// Managers, the founder first.
    pub managers: Vec<Host>,
    /// Workers.
    pub workers: Vec<Host>,
    /// A machine that is no member.
    pub client: Host,
}

/// The program under test: built beside the tests.
pub fn weft_binary() -> anyhow::Result<PathBuf> {
    let me = std::env::current_exe().context("where am I")?;
    let dir = me
        .parent()
        .and_then(|deps| deps.parent())
        .context("no target directory")?;
    let weft = dir.join("weft");
    ensure!(
        weft.exists(),
        "{} is not built: run cargo build --bin weft",
        weft.display()
    );
    Ok(weft)
}

impl Cluster {
    /// Founds a cluster by the commands a person would type, and waits until all nodes are ready
    /// and all managers vote.
    pub fn start(name: &str, managers: usize, workers: usize) -> anyhow::Result<Cluster> {
        Self::start_with(name, managers, workers, &[])
    }

    /// The same, founded with these options as well.
    pub fn start_with(
        name: &str,
        managers: usize,
        workers: usize,
        options: &[&str],
    ) -> anyhow::Result<Cluster> {
        let rig = Rig::new(name, &weft_binary()?)?;
        let client = rig.client()?;
        let mut hosts = Vec::new();
        for n in 1..=managers + workers {
            let host = rig.host(&format!("n{n}"))?;
            host.start_daemon()?;
            hosts.push(host);
        }
        for host in &hosts {
            host.wait_ready(CEILING)?;
        }
        let workers = hosts.split_off(managers);
        let cluster = Cluster {
            rig,
            managers: hosts,
            workers,
            client,
        };
        let founder = cluster.founder();
        let mut init = contract::init(&founder.addr().to_string());
        init.extend(options.iter().map(|option| (*option).to_owned()));
        founder.weft_ok(&init)?;
        for (role, hosts) in [
            ("manager", cluster.managers.get(1..)),
            ("worker", Some(cluster.workers.as_slice())),
        ] {
            let token = founder.weft_ok(&contract::join_token(role))?;
            for host in hosts.unwrap_or_default() {
                let (manager, own) = (founder.addr().to_string(), host.addr().to_string());
                host.weft_ok(&contract::join(token.trim(), &manager, &own))?;
            }
        }
        cluster.wait_for_nodes(managers + workers_len(&cluster))?;
        cluster.wait_for_voters(managers)?;
        Ok(cluster)
    }

    /// The first manager.
    pub fn founder(&self) -> &Host {
        &self.managers[0]
    }

    /// All nodes, managers first.
    pub fn nodes(&self) -> impl Iterator<Item = &Host> {
        self.managers.iter().chain(&self.workers)
    }

    /// A node by name.
    pub fn node(&self, name: &str) -> anyhow::Result<&Host> {
        self.nodes()
            .find(|host| host.name() == name)
            .with_context(|| format!("no node {name}"))
    }

    /// Waits for something that a manager can be asked for.
    pub fn wait<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
        Ok(self.rig.wait_for(what, CEILING, look)?)
    }

    /// Any manager whose daemon answers.
    pub fn ask(&self, args: &[&str]) -> anyhow::Result<Value> {
        let mut last = anyhow::anyhow!("no manager");
        for manager in &self.managers {
            match manager.weft_json(args) {
                Ok(value) => return Ok(value),
                Err(err) => last = err.into(),
            }
        }
        Err(last)
    }

    /// Waits until so many nodes are ready.
    pub fn wait_for_nodes(&self, count: usize) -> anyhow::Result<()> {
        self.wait(&format!("{count} ready nodes"), || {
            let nodes = self.ask(&["node", "ls", "--format", "json"]).ok()?;
            (contract::ready_nodes(&nodes) == count).then_some(())
        })
    }

    /// Waits until so many managers vote.
    pub fn wait_for_voters(&self, count: usize) -> anyhow::Result<()> {
        self.wait(&format!("{count} voting managers"), || {
            // One that was demoted answers too, and knows nothing of the cluster.
            let voters = |manager: &Host| {
                let info = manager.weft_json(&["cluster", "info", "--format", "json"]);
                let info = info.ok()?;
                let members = info.pointer("/cluster/members")?.as_array()?;
                Some(members.iter().filter(|m| m["voter"] == true).count())
            };
            let voters = self.managers.iter().find_map(voters);
            (voters == Some(count)).then_some(())
        })
    }

    /// The process of every running task, by task name: what must survive.
    pub fn processes(&self, tasks: &[(String, String)]) -> anyhow::Result<Vec<String>> {
        let process = |(task, node): &(String, String)| {
            // Start time of the task's first process, in ticks: another process, another time.
            let stat = self.in_task_ok(task, &["cut", "-d", " ", "-f", "22", "/proc/1/stat"])?;
            Ok(format!("{task} on {node} since {}", stat.trim()))
        };
        tasks.iter().map(process).collect()
    }

    /// Adds a machine by the commands a person would type: `role` is `manager` or `worker`, `through`
    /// any manager.
    pub fn join(&mut self, name: &str, role: &str, through: &Host) -> anyhow::Result<Host> {
        let host = self.rig.host(name)?;
        host.start_daemon()?;
        host.wait_ready(CEILING)?;
        let token = through.weft_ok(&contract::join_token(role))?;
        let (manager, own) = (through.addr().to_string(), host.addr().to_string());
        host.weft_ok(&contract::join(token.trim(), &manager, &own))?;
        if role == "manager" {
            self.managers.push(host.clone());
        } else {
            self.workers.push(host.clone());
        }
        Ok(host)
    }

    /// What a node says it is: `none`, `worker` or `manager`.
    pub fn state_of(&self, host: &Host) -> Option<String> {
        let info = host
            .weft_json(&["cluster", "info", "--format", "json"])
            .ok()?;
        Some(info["state"].as_str()?.to_owned())
    }

    /// The name of the node that leads.
    pub fn leader(&self) -> anyhow::Result<&Host> {
        let name = self.wait("a leader", || {
            let nodes = self.ask(&["node", "ls", "--format", "json"]).ok()?;
            contract::rows(&nodes)
                .iter()
                .find(|node| node["manager"] == "leader")
                .and_then(|node| Some(node["hostname"].as_str()?.to_owned()))
        })?;
        self.node(&name)
    }

    /// The running tasks of a service: name and node.
    pub fn running(&self, service: &str) -> anyhow::Result<Vec<(String, String)>> {
        let tasks = self.ask(&["service", "ps", service, "--format", "json"])?;
        Ok(contract::rows(&tasks)
            .iter()
            .filter(|task| task["state"] == "running" && task["desired_state"] == "running")
            .map(|task| (text(&task["name"]), text(&task["node"])))
            .collect())
    }

    /// Waits until so many tasks of a service run, and returns name and node of each.
    pub fn wait_running(
        &self,
        service: &str,
        count: usize,
    ) -> anyhow::Result<Vec<(String, String)>> {
        self.wait(&format!("{count} running tasks of {service}"), || {
            self.running(service)
                .ok()
                .filter(|tasks| tasks.len() == count)
        })
    }

    /// Runs a program inside a task's namespaces: `web.1`.
    pub fn in_task(&self, task: &str, words: &[&str]) -> anyhow::Result<Output> {
        let (service, _) = task
            .split_once('.')
            .context("a task is called SERVICE.SLOT")?;
        let tasks = self.ask(&["service", "ps", service, "--format", "json"])?;
        let id = contract::task_id(&tasks, task).with_context(|| format!("{task} does not run"))?;
        let pid = self
            .nodes()
            .find_map(|host| task_pid(&host.state_dir(), &id));
        let pid = pid.with_context(|| format!("no process of {task}"))?;
        let (program, args) = words.split_first().context("no program")?;
        let mut command = Command::new(program);
        command
            .args(args)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .stdin(std::process::Stdio::null());
        Ok(weft_rig::enter::spawn(pid, &mut command)?.wait_with_output()?)
    }

    /// What a program inside a task printed; a failure exit is an error here.
    pub fn in_task_ok(&self, task: &str, words: &[&str]) -> anyhow::Result<String> {
        let output = self.in_task(task, words)?;
        if !output.status.success() {
            bail!(
                "{words:?} in {task}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Asks for a page from outside.
    pub fn get(&self, host: &Host, port: u16) -> anyhow::Result<String> {
        get_from(&self.client, &format!("http://{}:{port}/", host.addr()))
    }

    /// Waits until every one of the nodes answers on a port.
    pub fn wait_answers<'a>(
        &self,
        nodes: impl Iterator<Item = &'a Host>,
        port: u16,
    ) -> anyhow::Result<()> {
        for node in nodes {
            self.wait(
                &format!("an answer of {} on port {port}", node.name()),
                || self.get(node, port).ok(),
            )?;
        }
        Ok(())
    }

    /// Ends the test: everything is removed, and it is checked that nothing is left.
    pub fn down(self) -> anyhow::Result<()> {
        Ok(self.rig.down()?)
    }
}

fn workers_len(cluster: &Cluster) -> usize {
    cluster.workers.len()
}

/// Asks for a page from some host.
pub fn get_from(host: &Host, url: &str) -> anyhow::Result<String> {
    let output = host.sh(&["curl", "-sS", "--fail", "--max-time", "3", url])?;
    if !output.status.success() {
        bail!("{url}: {}", output.stderr);
    }
    Ok(output.stdout)
}

/// The different values, sorted.
pub fn distinct<T: Ord>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    values
        .into_iter()
        .collect::<BTreeSet<T>>()
        .into_iter()
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn task_pid(state_dir: &std::path::Path, id: &str) -> Option<i32> {
    let path = state_dir.join("tasks").join(id).join(contract::TASK_RECORD);
    let record: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    contract::task_pid(&record)
}
