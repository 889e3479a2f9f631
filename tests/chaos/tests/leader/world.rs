//! Three managers with a register, and somebody who does things to them.

use std::time::Duration;
use std::time::Instant;
use tokio::runtime::Runtime;
use weft_chaos::nemesis::Nemesis;
use weft_chaos::node::Node;
use weft_chaos::record::Action;
use weft_chaos::record::Outcome;
use weft_chaos::record::Recorder;
use weft_chaos::replicas::Replicas;
use weft_tests::CEILING;
use weft_tests::Cluster;

/// The register.
pub(crate) const KEY: u32 = 0;

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) nemesis: Nemesis,
    runtime: Runtime,
    nodes: Vec<Node>,
}

impl World {
    /// The register has the value 1.
    pub(crate) fn new(name: &str) -> anyhow::Result<World> {
        let cluster = Cluster::start(name, 3, 0)?;
        let runtime = Runtime::new()?;
        let nodes = {
            let _in_runtime = runtime.enter();
            let managers = cluster.managers.iter();
            managers.map(|host| Node::new(&host.socket())).collect()
        };
        let nemesis = Nemesis::new(&cluster.managers, runtime.handle(), &Recorder::default())?;
        let world = World {
            cluster,
            nemesis,
            runtime,
            nodes,
        };
        let begun = Instant::now();
        let create = || world.nodes[0].act(KEY, Action::Create(1), "create");
        while world.runtime.block_on(create()).outcome != Outcome::Done {
            assert!(begun.elapsed() < CEILING, "the register cannot be made");
        }
        Ok(world)
    }

    /// One call of a client of that manager.
    pub(crate) fn act(&self, place: usize, action: Action) -> Outcome {
        let told = self.nodes[place].act(KEY, action, "");
        self.runtime.block_on(told).outcome
    }

    /// The value that a client of that manager reads, if it gets an answer.
    pub(crate) fn read(&self, place: usize) -> Option<u64> {
        match self.act(place, Action::Read) {
            Outcome::Read(seen) => Some(seen.value),
            Outcome::Done | Outcome::Mismatch | Outcome::Failed | Outcome::Unknown => None,
        }
    }

    /// Writes through that manager until it is acknowledged.
    pub(crate) fn write(&self, place: usize, value: u64) {
        let begun = Instant::now();
        while self.act(place, Action::Write(value)) != Outcome::Done {
            assert!(begun.elapsed() < CEILING, "no write succeeds");
        }
    }

    /// Waits until a client of that manager gets an answer.
    pub(crate) fn wait_read(&self, place: usize) -> u64 {
        let begun = Instant::now();
        loop {
            match self.read(place) {
                Some(value) => return value,
                None => assert!(begun.elapsed() < CEILING, "no read succeeds"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// All managers have one and the same state, and everything is removed.
    pub(crate) fn end(self) -> anyhow::Result<()> {
        for host in &self.cluster.managers {
            host.wait_ready(CEILING)?;
        }
        for place in 0..self.nodes.len() {
            self.wait_read(place);
        }
        let managers = self.cluster.managers.iter();
        let sockets: Vec<_> = managers.map(|host| host.socket()).collect();
        self.runtime
            .block_on(async { Replicas::start(&sockets).finish().await })?;
        self.cluster.down()
    }
}
