//! Whether the managers can still decide when one of them goes. Pure.

use crate::store::State;
use std::collections::BTreeSet;
use weft_proto::Role;
use weft_proto::command::Change;
use weft_proto::object::Cluster;
use weft_proto::wire::ManagerMember;

/// How many managers vote, and how many of those answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Margin {
    /// Managers whose voice counts.
    pub voters: usize,
    /// Those that answer.
    pub answering: usize,
}

impl Margin {
    /// Of these members; learners do not count.
    pub fn of(members: &[ManagerMember]) -> Margin {
        let voters = members.iter().filter(|member| member.voter);
        Margin {
            voters: voters.clone().count(),
            answering: voters.filter(|member| member.reachable).count(),
        }
    }

    /// How many have to answer for anything to change.
    pub fn needed(self) -> usize {
        self.voters / 2 + 1
    }

    /// How many more may fail; `None`: too few answer already.
    pub fn spare(self) -> Option<usize> {
        self.answering.checked_sub(self.needed())
    }
}

impl std::fmt::Display for Margin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Margin { voters, answering } = self;
        let noun = if *voters == 1 { "manager" } else { "managers" };
        write!(f, "{voters} {noun}, {answering} answering: ")?;
        match self.spare() {
            None => write!(f, "{} are needed to change anything", self.needed()),
            Some(0) => f.write_str("none may fail"),
            Some(spare) => write!(f, "{spare} may fail"),
        }
    }
}

/// A manager that must not go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MustStay {
    /// Nobody would be left.
    #[error(
        "{node} is the last manager: the cluster and everything in it ends with it; make another \
         node a manager first (weft node promote)"
    )]
    Last {
        /// The manager.
        node: String,
    },
    /// Those that are left could not decide.
    #[error(
        "of {} managers {} answer; without {node} only {} of {} would answer: the cluster could not \
         decide any more; bring back a manager that does not answer, or remove it for good (weft \
         node rm --force), or add one (weft node promote)", .before.voters, .before.answering,
        .after.answering, .after.voters
    )]
    Needed {
        /// The manager.
        node: String,
        /// With it.
        before: Margin,
        /// Without it.
        after: Margin,
    },
}

/// The margin after manager `id`, called `name`, and all of `leaving`, which are on their way out,
/// are gone.
///
/// # Errors
/// Why it must stay.
pub fn without(
    members: &[ManagerMember],
    id: &str,
    name: &str,
    leaving: &BTreeSet<String>,
) -> Result<Margin, MustStay> {
    let before = Margin::of(members);
    let rest: Vec<ManagerMember> = members
        .iter()
        .filter(|member| member.node_id != id && !leaving.contains(&member.node_id))
        .cloned()
        .collect();
    let after = Margin::of(&rest);
    let node = name.to_owned();
    if after.voters == 0 {
        return Err(MustStay::Last { node });
    }
    if after.spare().is_none() {
        return Err(MustStay::Needed {
            node,
            before,
            after,
        });
    }
    Ok(after)
}

/// The members that are on their way out already.
pub fn leaving(state: &State, members: &[ManagerMember]) -> BTreeSet<String> {
    let goes = |id: &str| {
        let node = id.parse().ok().and_then(|id| state.node(id));
        node.is_none_or(|node| node.spec.role == Role::Worker)
    };
    let going = members.iter().filter(|member| goes(&member.node_id));
    going.map(|member| member.node_id.clone()).collect()
}

/// Of two managers that go at the same moment, the second decides anew.
pub fn one_at_a_time(state: &State) -> Option<Change> {
    let cluster = state.cluster()?;
    Some(Change::update(Cluster::clone(cluster)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(answering: &[bool]) -> Vec<ManagerMember> {
        let member = |(n, answers): (usize, &bool)| ManagerMember {
            node_id: format!("m{}", n + 1),
            voter: true,
            reachable: *answers,
            agents: 0,
            ..ManagerMember::default()
        };
        answering.iter().enumerate().map(member).collect()
    }

    fn go(answering: &[bool], id: &str) -> Result<Margin, String> {
        without(&members(answering), id, id, &BTreeSet::new()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_manager_may_go_as_long_as_a_majority_of_the_rest_answers() {
        for (answering, id, left) in [
            (
                vec![true, true],
                "m2",
                "1 manager, 1 answering: none may fail",
            ),
            (
                vec![true; 3],
                "m2",
                "2 managers, 2 answering: none may fail",
            ),
            (vec![true; 4], "m2", "3 managers, 3 answering: 1 may fail"),
            (
                vec![true, true, false],
                "m3",
                "2 managers, 2 answering: none may fail",
            ),
            (
                vec![true, true, true, false],
                "m1",
                "3 managers, 2 answering: none may fail",
            ),
        ] {
            assert_eq!(
                go(&answering, id).unwrap().to_string(),
                left,
                "{answering:?}"
            );
        }
    }

    #[test]
    fn one_whose_voice_is_needed_stays_and_the_numbers_say_why() {
        let why = go(&[true, true, false], "m2").unwrap_err();
        assert!(
            why.starts_with(
                "of 3 managers 2 answer; without m2 only 1 of 2 would answer: the cluster could \
                 not decide any more"
            ),
            "{why}"
        );
        assert!(go(&[true, true, true, false, false], "m1").is_err());
        assert!(go(&[true], "m1").unwrap_err().contains("the last manager"));
    }

    #[test]
    fn those_that_are_leaving_already_and_learners_do_not_count() {
        let leaving = BTreeSet::from(["m2".to_owned()]);
        let three = members(&[true; 3]);
        assert_eq!(without(&three, "m3", "m3", &leaving).unwrap().voters, 1);
        let mut learner = members(&[true, true]);
        learner[1].voter = false;
        assert!(without(&learner, "m1", "m1", &BTreeSet::new()).is_err());
    }
}
