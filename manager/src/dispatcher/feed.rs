//! What an agent was told so far, and what to tell it next. Pure.

use crate::dispatcher::assignment::Version;
use crate::dispatcher::assignment::assignments_for;
use crate::dispatcher::assignment::diff;
use crate::dispatcher::assignment::managers;
use crate::dispatcher::assignment::material;
use crate::dispatcher::assignment::materials_of;
use crate::dispatcher::assignment::networks_of;
use crate::dispatcher::assignment::of_network;
use crate::dispatcher::assignment::tasks;
use crate::dispatcher::news::Piece;
use crate::dispatcher::trail::Step;
use crate::keys::Tunnels;
use crate::store::View;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use weft_proto::NetworkId;
use weft_proto::NodeId;
use weft_proto::assignment::Assignment;
use weft_proto::assignment::AssignmentKey;
use weft_proto::assignment::Assignments;

/// What one agent was told in one session. Holds no copy of it: the state that it was told of says
/// what it knows.
#[derive(Debug)]
pub(super) struct Feed {
    node: NodeId,
    /// The state that was looked at last.
    seen: View,
    /// The networks that the node is on, in that state.
    networks: BTreeSet<NetworkId>,
    /// The secrets and configs that its tasks use, in that state.
    materials: BTreeSet<Version>,
    managers: Vec<SocketAddr>,
    /// The last revision the agent was told.
    told: u64,
}

impl Feed {
    /// Begins with everything. `common`: what every node knows at this state.
    pub(super) fn begin(node: NodeId, view: View, common: &[Assignment]) -> (Feed, Assignments) {
        let networks = networks_of(&view, node);
        let managers = managers(&view);
        let materials = materials_of(&view, node);
        let used = materials.iter().filter_map(|of| material(&view, *of));
        let own = networks.iter().flat_map(|id| of_network(&view, *id));
        let tunnels = Tunnels::of(&view, node);
        let snapshot = Assignments {
            revision: view.revision(),
            snapshot: true,
            upserts: tasks(&view, node)
                .chain(own)
                .chain(used)
                .chain(common.iter().cloned())
                .chain(tunnels.iter().flat_map(Tunnels::all))
                .collect(),
            removals: Vec::new(),
            managers: managers.clone(),
        };
        let told = view.revision();
        let feed = Feed {
            node,
            seen: view,
            networks,
            materials,
            managers,
            told,
        };
        (feed, snapshot)
    }

    /// The revision of the state that was looked at last.
    pub(super) fn seen(&self) -> u64 {
        self.seen.revision()
    }

    /// The last revision the agent was told.
    pub(super) fn told(&self) -> u64 {
        self.told
    }

    /// Nothing new: what a heartbeat is answered with, so that an agent notices a silent manager.
    pub(super) fn nothing_new(&self) -> Assignments {
        Assignments {
            revision: self.told,
            snapshot: false,
            upserts: Vec::new(),
            removals: Vec::new(),
            managers: self.managers.clone(),
        }
    }

    /// Looks at a newer state. `steps` lead there from [`Feed::seen`]; `None` when they are not
    /// known. A revision that changes nothing for the node is told only when `progress` is due.
    pub(super) fn look(
        &mut self,
        view: &View,
        steps: Option<&[Arc<Step>]>,
        progress: bool,
    ) -> Option<Assignments> {
        let mut pending = BTreeMap::new();
        let before = self.managers.clone();
        match steps {
            Some(steps) => {
                for step in steps {
                    self.take(step, &mut pending);
                }
            }
            None => self.compare(view, &mut pending),
        }
        let revision = self.seen.revision();
        let news = before != self.managers || !pending.is_empty();
        let overdue = progress && revision > self.told;
        if !news && !overdue {
            return None;
        }
        self.told = revision;
        let (mut upserts, mut removals) = (Vec::new(), Vec::new());
        for (key, piece) in pending {
            match piece {
                Some(piece) => upserts.push(piece),
                None => removals.push(key),
            }
        }
        Some(Assignments {
            revision,
            snapshot: false,
            upserts,
            removals,
            managers: self.managers.clone(),
        })
    }

    fn take(&mut self, step: &Step, pending: &mut BTreeMap<AssignmentKey, Option<Assignment>>) {
        let Some(news) = &step.news else {
            return self.compare(&step.new, pending);
        };
        if news.moved.contains(&self.node) {
            let networks = networks_of(&step.new, self.node);
            for lost in self.networks.difference(&networks) {
                let known = of_network(&step.old, *lost);
                pending.extend(known.map(|piece| (piece.key(), None)));
            }
            for gained in networks.difference(&self.networks) {
                let all = of_network(&step.new, *gained);
                pending.extend(all.map(|piece| (piece.key(), Some(piece))));
            }
            // What changed on the gained ones is in what was said of all of them.
            let kept = self.networks.intersection(&networks);
            pending.extend(kept.flat_map(|id| pieces(news.networks.get(id))));
            self.networks = networks;
            let materials = materials_of(&step.new, self.node);
            let lost = self.materials.difference(&materials);
            let gone = lost.map(|(id, version)| AssignmentKey::Material(*id, *version));
            pending.extend(gone.map(|key| (key, None)));
            let gained = materials.difference(&self.materials);
            let told = gained.filter_map(|of| material(&step.new, *of));
            pending.extend(told.map(|piece| (piece.key(), Some(piece))));
            self.materials = materials;
        } else {
            let kept = self.networks.iter();
            pending.extend(kept.flat_map(|id| pieces(news.networks.get(id))));
        }
        pending.extend(pieces(news.nodes.get(&self.node)));
        pending.extend(news.common.iter().cloned());
        // Derived for this node alone, and kept nowhere.
        if news.tunnels.concern(self.node) {
            let (old, new) = (&step.old, &step.new);
            let (old, new) = (Tunnels::of(old, self.node), Tunnels::of(new, self.node));
            pending.extend(Tunnels::changes(old.as_ref(), new.as_ref()));
        }
        if news.managers {
            self.managers = managers(&step.new);
        }
        self.seen = Arc::clone(&step.new);
    }

    /// All that differs from the state that was seen.
    fn compare(&mut self, view: &View, pending: &mut BTreeMap<AssignmentKey, Option<Assignment>>) {
        let known = assignments_for(&self.seen, self.node);
        let (upserts, removals) = diff(&known, &assignments_for(view, self.node));
        pending.extend(upserts.into_iter().map(|piece| (piece.key(), Some(piece))));
        pending.extend(removals.into_iter().map(|key| (key, None)));
        self.networks = networks_of(view, self.node);
        self.materials = materials_of(view, self.node);
        self.managers = managers(view);
        self.seen = Arc::clone(view);
    }
}

fn pieces(pieces: Option<&Vec<Piece>>) -> impl Iterator<Item = Piece> {
    pieces.into_iter().flatten().cloned()
}
