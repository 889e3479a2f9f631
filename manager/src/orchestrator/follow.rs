//! Plans again and again for what changed only.

use crate::orchestrator::Agenda;
use crate::orchestrator::Dirty;
use crate::orchestrator::Plan;
use crate::orchestrator::affected;
use crate::orchestrator::plan_dirty;
use crate::store::State;
use weft_proto::TaskId;
use weft_proto::object::ObjectKey;
use weft_proto::time::Timestamp;

/// Knows which services want a look: [`affected`], [`plan_dirty`] and [`Agenda`] in one. It remembers
/// nothing that decisions depend on: a new one starts with everything, and decides alike.
#[derive(Clone, Debug)]
pub struct Orchestrator {
    seen: State,
    dirty: Dirty,
    agenda: Agenda,
}

impl Default for Orchestrator {
    fn default() -> Self {
        Orchestrator {
            seen: State::default(),
            dirty: Dirty::everything(),
            agenda: Agenda::default(),
        }
    }
}

impl Orchestrator {
    /// Goes on to a newer state. `changed`: all objects that changed since the last one; `None` when
    /// that is not known.
    pub fn follow(&mut self, state: &State, changed: Option<&[ObjectKey]>) {
        self.dirty.merge(match changed {
            Some(changed) => affected(&self.seen, state, changed),
            None => Dirty::everything(),
        });
        self.seen = state.clone();
    }

    /// Decides on the state followed last. [`Plan::wake_at`] is that of all services.
    pub fn plan(&mut self, now: Timestamp, new_id: &mut dyn FnMut() -> TaskId) -> Plan {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.merge(self.agenda.due(now));
        let mut plan = plan_dirty(&self.seen, &dirty, now, new_id);
        self.agenda.planned(&dirty, &plan);
        plan.wake_at = self.agenda.next();
        plan
    }

    /// A plan, or a part of it, did not become state: the next one is for everything.
    pub fn again(&mut self) {
        self.dirty = Dirty::everything();
    }
}
