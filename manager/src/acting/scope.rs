//! Which objects a call may touch.

use crate::acting;
use weft_proto::Name;
use weft_proto::UserId;
use weft_proto::object::User;
use weft_proto::object::UserRole;
use weft_proto::spec::Labels;

/// The label that says which stack an object belongs to.
pub const STACK_LABEL: &str = "weft.stack";

/// What the state grants a person at the moment of her call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which user.
    pub user: UserId,
    /// Of the state's record of her; changes with every change of it.
    pub version: u64,
    /// What she may do.
    pub role: UserRole,
    /// Only with objects of this stack; `None`: with all.
    pub stack: Option<Name>,
}

impl Grant {
    /// What a user's record grants.
    pub fn of(user: &User) -> Self {
        Grant {
            user: user.id,
            version: user.meta.version,
            role: user.role,
            stack: user.stack.clone(),
        }
    }

    /// Whether both grant the same to the same person.
    pub fn is_like(&self, other: &Grant) -> bool {
        (self.user, self.role, &self.stack) == (other.user, other.role, &other.stack)
    }
}

/// The objects that a call may touch: all of them, or those with the label of one stack. Handlers of
/// the calls that people of a stack may make ask it about each object; all other calls are refused to
/// them before they come so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(Option<Name>);

impl Scope {
    /// That of the call that is being served; outside of calls everything.
    pub fn current() -> Self {
        Scope(acting::grant().and_then(|grant| grant.stack))
    }

    /// One stack only.
    pub fn stack(name: Name) -> Self {
        Scope(Some(name))
    }

    /// Whether an object with these labels is one of them.
    pub fn has(&self, labels: &Labels) -> bool {
        match &self.0 {
            None => true,
            Some(stack) => labels.get(STACK_LABEL).map(String::as_str) == Some(stack.as_str()),
        }
    }

    /// The stack, if it is only one.
    pub fn only(&self) -> Option<&Name> {
        self.0.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_has_what_carries_its_label_and_nothing_else() {
        let labels = |text: &str| Labels::from([(STACK_LABEL.to_owned(), text.to_owned())]);
        let shop = Scope::stack("shop".parse().unwrap());
        assert!(shop.has(&labels("shop")));
        for other in ["shop2", "sho", "", "SHOP"] {
            assert!(!shop.has(&labels(other)), "{other}");
        }
        assert!(!shop.has(&Labels::new()));
        assert!(Scope::default().has(&Labels::new()));
        assert!(Scope::default().has(&labels("shop")));
    }
}
