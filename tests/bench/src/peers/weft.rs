//! Managers and workers of Weft: real daemons, made by the commands a person would type.

use crate::load::Ask;
use crate::load::Client;
use crate::peers::AT_ONCE;
use crate::peers::CEILING;
use crate::peers::Group;
use crate::peers::socket::connect;
use anyhow::Context;
use futures::StreamExt;
use futures::TryStreamExt;
use nix::sys::signal::Signal;
use prost::Message;
use serde_json::Value;
use std::time::Duration;
use tokio::task::block_in_place;
use tokio::time::Instant;
use tonic::Code;
use tonic::Status;
use tonic::transport::Channel;
use weft_proto::wire;
use weft_proto::wire::control_client::ControlClient;
use weft_rig::DaemonState;
use weft_rig::Host;
use weft_rig::Rig;
use weft_rig::contract;

/// A cluster of managers.
pub(crate) struct Weft {
    managers: Vec<Host>,
}

/// A caller that changes a label of one service of its own, which has no tasks.
pub(crate) struct WeftClient {
    control: ControlClient<Channel>,
    target: String,
    spec: wire::ServiceSpec,
}

impl Weft {
    /// A fresh cluster of `count` managers that all vote.
    pub(crate) fn start(rig: &Rig, count: usize) -> anyhow::Result<Weft> {
        let host = |n| rig.host(&format!("weft{n}"));
        let managers: Vec<Host> = (1..=count).map(host).collect::<Result<_, _>>()?;
        for host in &managers {
            host.start_daemon()?;
        }
        for host in &managers {
            host.wait_ready(CEILING)?;
        }
        let weft = Weft { managers };
        let (founder, others) = weft.managers.split_first().context("no manager")?;
        founder.weft_ok(&contract::init(&founder.addr().to_string()))?;
        for host in others {
            weft.join(host, "manager")?;
        }
        rig.wait_for("all managers vote", CEILING, || {
            (weft.voters()? == count).then_some(())
        })?;
        Ok(weft)
    }

    /// Makes a host with a running daemon a member.
    pub(crate) fn join(&self, host: &Host, role: &str) -> anyhow::Result<()> {
        let founder = self.manager(0)?;
        let token = founder.weft_ok(&contract::join_token(role))?;
        let (manager, own) = (founder.addr().to_string(), host.addr().to_string());
        host.weft_ok(&contract::join(token.trim(), &manager, &own))?;
        Ok(())
    }

    /// A manager by its place.
    pub(crate) fn manager(&self, member: usize) -> anyhow::Result<&Host> {
        self.managers.get(member).context("no such manager")
    }

    fn voters(&self) -> Option<usize> {
        let info = self.managers.first()?;
        let info = info
            .weft_json(&["cluster", "info", "--format", "json"])
            .ok()?;
        let members = info.pointer("/cluster/members")?.as_array()?;
        let voter = |member: &&Value| member["voter"] == true;
        Some(members.iter().filter(voter).count())
    }

    /// The calls of people, on one manager.
    pub(crate) async fn control(&self, member: usize) -> anyhow::Result<ControlClient<Channel>> {
        let channel = connect(&self.manager(member)?.socket()).await?;
        Ok(ControlClient::new(channel).max_decoding_message_size(256 << 20))
    }

    /// The daemon's process on a host.
    pub(crate) fn pid(host: &Host) -> anyhow::Result<i32> {
        match host.daemon() {
            DaemonState::Running(id) => Ok(id.pid),
            other @ (DaemonState::Absent | DaemonState::Ended(_)) => {
                anyhow::bail!("the daemon of {} is {other:?}", host.name())
            }
        }
    }

    async fn client(&self, member: usize, number: usize) -> anyhow::Result<WeftClient> {
        let mut client = WeftClient {
            control: self.control(member).await?,
            target: String::new(),
            spec: spec(number),
        };
        client.adopt().await?;
        Ok(client)
    }

    /// Waits until a member answers a read that the whole group confirms. A daemon that ended is
    /// started again: while the last threads of a killed one go, it still holds its directory, and
    /// even its socket.
    async fn answers(&self, member: usize) -> anyhow::Result<()> {
        let deadline = Instant::now() + CEILING;
        loop {
            let answer = async {
                let mut control = self.control(member).await?;
                anyhow::Ok(
                    control
                        .get_cluster(wire::GetClusterRequest::default())
                        .await?,
                )
            };
            match answer.await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
            let host = self.manager(member)?;
            if matches!(host.daemon(), DaemonState::Ended(_)) {
                block_in_place(|| host.kill_daemon().and_then(|()| host.start_daemon()))?;
            }
        }
    }
}

/// Bytes of one change's object as the log carries it: what a peer's value should be as large as.
pub(crate) fn object_size() -> usize {
    let service = wire::Service {
        meta: Some(wire::Meta {
            version: 100_000,
            created_at_ms: 1_700_000_000_000,
            updated_at_ms: 1_700_000_000_000,
        }),
        id: "x".repeat(25),
        spec: Some(spec(1)),
        ..Default::default()
    };
    service.encoded_len()
}

fn spec(number: usize) -> wire::ServiceSpec {
    wire::ServiceSpec {
        name: format!("bench-{number}"),
        labels: vec![wire::Label {
            key: "turn".to_owned(),
            value: "0000000000".to_owned(),
        }],
        task: Some(wire::TaskSpec {
            runtime: wire::Runtime::Process.into(),
            command: vec!["sleep".to_owned(), "infinity".to_owned()],
            env: vec!["MODE=benchmark".to_owned()],
            ..Default::default()
        }),
        replicated: Some(wire::ReplicatedMode { replicas: 0 }),
        ..Default::default()
    }
}

impl Group for Weft {
    type Client = WeftClient;

    async fn clients(&self, count: usize) -> anyhow::Result<Vec<WeftClient>> {
        let first = self.leader().await?;
        let members = self.managers.len();
        let made = (0..count).map(|number| self.client((first + number) % members, number));
        futures::stream::iter(made)
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn survivors(&self, dead: usize, each: usize) -> anyhow::Result<Vec<WeftClient>> {
        let alive: Vec<usize> = (0..self.managers.len()).filter(|m| *m != dead).collect();
        let places = alive.iter().copied().cycle().take(alive.len() * each);
        let made = places
            .enumerate()
            .map(|(number, member)| self.client(member, number));
        futures::stream::iter(made)
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn leader(&self) -> anyhow::Result<usize> {
        let deadline = Instant::now() + CEILING;
        loop {
            for member in 0..self.managers.len() {
                let ask = async {
                    let mut control = self.control(member).await?;
                    let request = wire::ListNodesRequest::default();
                    anyhow::Ok(control.list_nodes(request).await?.into_inner())
                };
                let Ok(nodes) = ask.await else { continue };
                let leads = |name: &str| {
                    nodes.nodes.iter().any(|node| {
                        let hostname = node.description.as_ref().map(|d| d.hostname.as_str());
                        node.id == nodes.leader_node_id && hostname == Some(name)
                    })
                };
                let place = self.managers.iter().position(|host| leads(host.name()));
                if let Some(place) = place {
                    return Ok(place);
                }
            }
            anyhow::ensure!(Instant::now() < deadline, "no manager leads");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn pids(&self) -> anyhow::Result<Vec<i32>> {
        self.managers.iter().map(Weft::pid).collect()
    }

    fn kill(&self, member: usize) -> anyhow::Result<()> {
        match self.manager(member)?.daemon() {
            // Not `kill_daemon`, which comes back only when the process is buried.
            DaemonState::Running(id) => Ok(id.signal(Signal::SIGKILL)?),
            DaemonState::Absent | DaemonState::Ended(_) => Ok(()),
        }
    }

    fn buried(&self, member: usize) -> anyhow::Result<()> {
        block_in_place(|| {
            self.manager(member)?
                .kill_daemon()
                .map_err(anyhow::Error::from)
        })
    }

    async fn restart(&self, member: usize) -> anyhow::Result<()> {
        let host = self.manager(member)?;
        block_in_place(|| host.kill_daemon().and_then(|()| host.start_daemon()))?;
        self.answers(member).await
    }
}

impl WeftClient {
    /// Finds the service of this client, or makes it.
    async fn adopt(&mut self) -> Result<(), Status> {
        let request = wire::CreateServiceRequest {
            spec: Some(self.spec.clone()),
            ..wire::CreateServiceRequest::default()
        };
        let service = match self.control.create_service(request).await {
            Ok(made) => made.into_inner().service,
            Err(status) if status.code() == Code::AlreadyExists => {
                let request = wire::ListServicesRequest {
                    target: self.spec.name.clone(),
                    ..wire::ListServicesRequest::default()
                };
                let found = self.control.list_services(request).await?.into_inner();
                let found = found.services.into_iter().next();
                found.and_then(|listing| listing.service)
            }
            Err(status) => return Err(status),
        };
        let service = service.ok_or_else(|| Status::not_found("the service of this client"))?;
        self.target = service.id;
        Ok(())
    }
}

impl Client for WeftClient {
    async fn ask(&mut self, ask: Ask) -> Result<(), Status> {
        match ask {
            Ask::Write => {
                if let Some(label) = self.spec.labels.first_mut() {
                    // Random, so that no run repeats what an earlier one left.
                    label.value = format!("{:010}", rand::random::<u32>());
                }
                let request = wire::UpdateServiceRequest {
                    target: self.target.clone(),
                    spec: Some(self.spec.clone()),
                    ..Default::default()
                };
                self.control.update_service(request).await.map(|_| ())
            }
            Ask::Read => {
                let request = wire::ListServicesRequest {
                    target: self.target.clone(),
                    ..wire::ListServicesRequest::default()
                };
                let found = self.control.list_services(request).await?.into_inner();
                match found.services.as_slice() {
                    [_] => Ok(()),
                    _ => Err(Status::not_found("the service of this client")),
                }
            }
        }
    }
}
