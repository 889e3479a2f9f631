//! Which manager holds more agents than its share, and where some of them should go.
//!
//! Agents choose managers by chance and stay: a manager that comes back holds none for ever. The
//! leader knows from every manager's reports how many it holds, and asks some to move: few at a
//! time, from one that holds clearly more than its share until it holds no more than that.

use crate::store::State;
use crate::store::Store;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use weft_proto::NodeId;
use weft_proto::spec::Availability;
use weft_proto::wire;

/// A manager that says nothing for this long has no part in it: eight of its reports.
const FRESH: Duration = Duration::from_secs(2);
/// How long a manager must have been heard before it is given agents or asked for some: one that
/// comes and goes does not move everybody each time, and a new leader hears all of them first.
const SETTLED: Duration = Duration::from_secs(5);
/// Between two requests to one manager: longer than a move takes, so that what was asked for shows.
const EVERY: Duration = Duration::from_secs(2);
/// Most agents that one manager is asked for at a time.
const AT_ONCE: usize = 32;
/// A manager holds clearly too many when it holds more than a fifth more than its share.
const SLACK: usize = 5;

/// How many agents each manager holds, as the leader hears it. In memory: a new leader begins anew.
#[derive(Debug)]
pub struct Balance {
    store: Arc<Store>,
    held: Mutex<Held>,
}

/// What a manager is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Advice {
    /// As many of its agents are to move, each to one of these.
    pub move_to: Vec<SocketAddr>,
    /// What all managers hold.
    pub agents: Vec<wire::ManagerAgents>,
}

impl Balance {
    /// With this manager's replica, which says who the managers are.
    pub fn new(store: Arc<Store>) -> Self {
        Balance {
            store,
            held: Mutex::default(),
        }
    }

    /// A manager's node said whom it hears: what it should do about it.
    pub fn hear(&self, manager: NodeId, heard: &[wire::Heard], now: Instant) -> Advice {
        let own = manager.to_string();
        // Its own agent stays with it.
        let others = |heard: &&wire::Heard| !heard.gone && heard.node_id != own;
        let agents = heard.iter().filter(others).count();
        let managers = managers(&self.store.view());
        let mut held = self.held.lock();
        let move_to = held.step(manager, agents, &managers, now);
        Advice {
            move_to,
            agents: held.all(),
        }
    }
}

/// A manager by the state.
#[derive(Clone, Copy, Debug)]
struct Manager {
    node: NodeId,
    addr: SocketAddr,
    /// Its node is drained: it gives all of them away.
    drains: bool,
}

fn managers(state: &State) -> Vec<Manager> {
    let manager = |node: &Arc<weft_proto::object::Node>| {
        Some(Manager {
            node: node.id,
            addr: node.manager?.addr,
            drains: node.spec.availability == Availability::Drain,
        })
    };
    state.nodes().filter_map(manager).collect()
}

#[derive(Debug, Default)]
struct Held(BTreeMap<NodeId, Holding>);

/// What is known of one manager.
#[derive(Clone, Copy, Debug)]
struct Holding {
    agents: usize,
    /// Heard without a break since, and last.
    since: Instant,
    at: Instant,
    /// Some of its agents were asked to move, and when last.
    asked: Option<Instant>,
    /// It held clearly too many, and still holds more than its share.
    over: bool,
    /// On their way to it, as of when.
    coming: usize,
    sent: Option<Instant>,
}

impl Holding {
    fn new(now: Instant) -> Self {
        Holding {
            agents: 0,
            since: now,
            at: now,
            asked: None,
            over: false,
            coming: 0,
            sent: None,
        }
    }

    fn settled(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= SETTLED
    }

    /// What it holds, or will soon.
    fn load(&self, now: Instant) -> usize {
        let on_their_way = self.sent.filter(|at| within(*at, EVERY, now));
        self.agents + on_their_way.map_or(0, |_| self.coming)
    }
}

fn within(at: Instant, span: Duration, now: Instant) -> bool {
    now.saturating_duration_since(at) < span
}

impl Held {
    fn all(&self) -> Vec<wire::ManagerAgents> {
        let one = |(node, holding): (&NodeId, &Holding)| wire::ManagerAgents {
            node_id: node.to_string(),
            agents: u32::try_from(holding.agents).unwrap_or(u32::MAX),
        };
        self.0.iter().map(one).collect()
    }

    /// `manager` holds so many. Where as many of them should go as there are answers. Pure but for
    /// what it remembers.
    fn step(
        &mut self,
        manager: NodeId,
        agents: usize,
        managers: &[Manager],
        now: Instant,
    ) -> Vec<SocketAddr> {
        self.0.retain(|_, holding| within(holding.at, FRESH, now));
        let mine = self.0.entry(manager).or_insert_with(|| Holding::new(now));
        (mine.agents, mine.at) = (agents, now);
        let settled = |node: NodeId| self.0.get(&node).filter(|holding| holding.settled(now));
        let here = managers
            .iter()
            .filter_map(|one| Some((one, settled(one.node)?)));
        let (mut total, mut drains, mut open) = (0_usize, None, Vec::new());
        for (one, holding) in here {
            total += holding.agents;
            if one.node == manager {
                drains = Some(one.drains);
            }
            if !one.drains {
                open.push((holding.load(now), one.node, one.addr));
            }
        }
        let Some(drains) = drains else {
            return Vec::new();
        };
        // Rounded up: one more than another one holds is no more than its share.
        let share = total.div_ceil(open.len().max(1));
        open.retain(|(_, node, _)| *node != manager);
        let (limit, goal) = if drains {
            (0, 0)
        } else {
            (share + share / SLACK, share)
        };
        let Some(mine) = self.0.get_mut(&manager) else {
            return Vec::new();
        };
        mine.over = agents > limit || (mine.over && agents > goal);
        if !mine.over || mine.asked.is_some_and(|at| within(at, EVERY, now)) {
            return Vec::new();
        }
        let count = agents.saturating_sub(goal).div_ceil(4).min(AT_ONCE);
        let to = deal(count, open, (!drains).then_some(share));
        if !to.is_empty() {
            mine.asked = Some(now);
        }
        for (node, _) in &to {
            if let Some(holding) = self.0.get_mut(node) {
                let still = holding.sent.filter(|at| within(*at, EVERY, now));
                holding.coming = still.map_or(0, |_| holding.coming) + 1;
                holding.sent = Some(now);
            }
        }
        to.into_iter().map(|(_, addr)| addr).collect()
    }
}

/// Gives so many to those that have least, none of them more than `most`.
fn deal(
    count: usize,
    mut open: Vec<(usize, NodeId, SocketAddr)>,
    most: Option<usize>,
) -> Vec<(NodeId, SocketAddr)> {
    let mut to = Vec::new();
    for _ in 0..count {
        let Some((load, node, addr)) = open.iter_mut().min() else {
            break;
        };
        if most.is_some_and(|most| *load >= most) {
            break;
        }
        *load += 1;
        to.push((*node, *addr));
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::node_id;

    /// A cluster's managers and what each holds; whoever is asked to move has moved a second later.
    struct World {
        held: Held,
        managers: Vec<Manager>,
        agents: Vec<usize>,
        up: Vec<bool>,
        now: Instant,
        moved: Vec<usize>,
    }

    impl World {
        fn new(agents: &[usize]) -> World {
            let managers = (1..=agents.len()).map(|n| Manager {
                node: node_id(n as u128),
                addr: ([192, 0, 2, u8::try_from(n).unwrap()], 2377).into(),
                drains: false,
            });
            World {
                held: Held::default(),
                managers: managers.collect(),
                agents: agents.to_vec(),
                up: vec![true; agents.len()],
                now: Instant::now(),
                moved: Vec::new(),
            }
        }

        /// A second in which every manager reports four times.
        fn second(&mut self) {
            let mut moves = Vec::new();
            for _ in 0..4 {
                for n in 0..self.managers.len() {
                    if self.up[n] {
                        let node = self.managers[n].node;
                        let held = self.agents[n];
                        let to = self.held.step(node, held, &self.managers, self.now);
                        moves.extend(to.into_iter().map(|addr| (n, addr)));
                    }
                }
                self.now += Duration::from_millis(250);
            }
            self.moved.push(moves.len());
            for (from, addr) in moves {
                let to = self.managers.iter().position(|one| one.addr == addr);
                self.agents[from] -= 1;
                self.agents[to.unwrap()] += 1;
            }
        }

        fn seconds(&mut self, count: usize) {
            (0..count).for_each(|_| self.second());
        }
    }

    #[test]
    fn a_manager_that_returned_gets_its_share_and_then_nobody_moves() {
        let mut world = World::new(&[50, 49, 0]);
        world.up[2] = false;
        world.seconds(20);
        assert_eq!(world.moved.iter().sum::<usize>(), 0, "two share all evenly");
        world.up[2] = true;
        world.seconds(5);
        assert_eq!(world.agents, [50, 49, 0], "it must be there for a while");
        world.seconds(60);
        assert_eq!(world.agents, [33, 33, 33]);
        assert_eq!(world.moved.iter().sum::<usize>(), 33, "nobody moves twice");
        assert!(world.moved.iter().all(|moved| *moved <= AT_ONCE));
    }

    #[test]
    fn a_little_more_than_its_share_is_left_alone() {
        let mut world = World::new(&[2, 2, 1]);
        world.seconds(30);
        assert_eq!(world.agents, [2, 2, 1]);
        let mut world = World::new(&[38, 32, 29]);
        world.seconds(30);
        assert_eq!(world.agents, [38, 32, 29], "15 % more than a third");
        let mut world = World::new(&[2, 0, 2]);
        world.seconds(30);
        assert_eq!(world.agents, [2, 0, 2]);
        let mut world = World::new(&[4, 0, 0]);
        world.seconds(30);
        assert_eq!(world.agents, [2, 1, 1]);
    }

    #[test]
    fn many_move_in_portions() {
        let mut world = World::new(&[3000, 0, 0]);
        world.seconds(7);
        assert_eq!(world.agents[0], 3000 - AT_ONCE);
        world.seconds(300);
        assert!(
            world.agents.iter().all(|held| *held == 1000),
            "{:?}",
            world.agents
        );
        assert!(world.moved.iter().all(|moved| *moved <= AT_ONCE));
    }

    #[test]
    fn a_drained_manager_gives_all_away_and_gets_none() {
        let mut world = World::new(&[10, 10, 10]);
        world.managers[1].drains = true;
        world.seconds(60);
        assert_eq!(world.agents, [15, 0, 15]);
        world.managers[1].drains = false;
        world.seconds(60);
        assert_eq!(world.agents, [10, 10, 10]);
    }

    #[test]
    fn a_lonely_manager_keeps_all() {
        let mut world = World::new(&[10]);
        world.seconds(20);
        world.managers[0].drains = true;
        world.seconds(20);
        assert_eq!(world.agents, [10]);
    }

    #[test]
    fn a_manager_that_comes_and_goes_moves_nobody() {
        let mut world = World::new(&[10, 10, 0]);
        for _ in 0..10 {
            world.up[2] = true;
            world.seconds(3);
            world.up[2] = false;
            world.seconds(3);
        }
        assert_eq!(world.agents, [10, 10, 0]);
    }
}
