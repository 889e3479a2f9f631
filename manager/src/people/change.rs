//! What is asked for, and what it makes of the state. Pure.

use crate::people::Certified;
use crate::people::DEFAULT_TTL;
use crate::people::MAX_USERS;
use crate::people::TTLS;
use crate::people::error::PeopleError;
use crate::propose::retry::Decision;
use crate::store::Claim;
use crate::store::State;
use std::sync::Arc;
use std::time::Duration;
use weft_proto::Name;
use weft_proto::UserId;
use weft_proto::command;
use weft_proto::convert::ConvertError;
use weft_proto::object::ObjectKey;
use weft_proto::object::User;
use weft_proto::object::UserRole;
use weft_proto::wire;

/// A user as asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: Name,
    pub(super) role: UserRole,
    pub(super) stack: Option<Name>,
    pub(super) ttl: Duration,
}

impl Wanted {
    pub(super) fn read(request: &wire::CreateUserRequest) -> Result<Self, PeopleError> {
        let role = read_role(request.role)?;
        let stack = read_stack(&request.stack)?;
        fitting(role, stack.as_ref())?;
        Ok(Wanted {
            name: read_name("name", &request.name)?,
            role,
            stack,
            ttl: match request.ttl_ms {
                0 => DEFAULT_TTL,
                millis => read_ttl(millis)?,
            },
        })
    }
}

/// What is to change of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    role: Option<UserRole>,
    /// The inner `None`: no stack any more.
    stack: Option<Option<Name>>,
    ttl: Option<Duration>,
}

impl Change {
    pub(super) fn read(request: &wire::UpdateUserRequest) -> Result<Self, PeopleError> {
        let stack = request.stack.as_deref();
        Ok(Change {
            role: request.role.map(read_role).transpose()?,
            stack: stack.map(read_stack).transpose()?,
            ttl: request.ttl_ms.map(read_ttl).transpose()?,
        })
    }
}

fn read_name(field: &str, text: &str) -> Result<Name, PeopleError> {
    let parsed = text.parse();
    parsed.map_err(|error: weft_proto::name::ParseNameError| {
        PeopleError::Field(ConvertError::at(field, error.to_string()))
    })
}

fn read_stack(text: &str) -> Result<Option<Name>, PeopleError> {
    if text.is_empty() {
        return Ok(None);
    }
    read_name("stack", text).map(Some)
}

fn read_role(number: i32) -> Result<UserRole, PeopleError> {
    let role = wire::UserRole::try_from(number)
        .map_err(|_| ConvertError::new(format!("{number} is unknown here")))
        .and_then(UserRole::try_from);
    Ok(role.map_err(|error| error.within("role"))?)
}

fn read_ttl(millis: u64) -> Result<Duration, PeopleError> {
    let ttl = Duration::from_millis(millis);
    if TTLS.contains(&ttl) {
        return Ok(ttl);
    }
    let hours = |ttl: &Duration| ttl.as_secs() / 3600;
    let (least, most) = (TTLS.start().as_secs() / 60, hours(TTLS.end()) / 24);
    Err(PeopleError::Field(ConvertError::at(
        "ttl",
        format!(
            "{} s is no lifetime for a certificate: use {least}m to {most}d",
            ttl.as_secs()
        ),
    )))
}

/// An admin may do everything, so a limit to one stack would only look like one.
fn fitting(role: UserRole, stack: Option<&Name>) -> Result<(), PeopleError> {
    match (role, stack) {
        (UserRole::Admin, Some(_)) => Err(PeopleError::AdminOfAStack),
        (UserRole::Admin, None) | (UserRole::Operator | UserRole::Viewer, _) => Ok(()),
    }
}

/// A new user, as `certified` makes it.
pub(super) fn create(
    state: &State,
    id: UserId,
    certified: impl Fn(&State) -> Result<Certified, PeopleError>,
) -> Result<Decision<Certified>, PeopleError> {
    let (user, chain) = certified(state)?;
    if state.user(id).is_some() || named(state, &user.name).is_some() {
        return Err(PeopleError::NameTaken(user.name));
    }
    if state.users().count() >= MAX_USERS {
        return Err(PeopleError::TooMany);
    }
    Ok(Decision {
        changes: vec![command::Change::create(user.clone())],
        outcome: (user, chain),
    })
}

/// The user that is meant: by name, or by identifier.
pub(super) fn find(state: &State, target: &str) -> Result<Arc<User>, PeopleError> {
    let target = target.trim();
    let by_name = || named(state, &target.parse().ok()?);
    let by_id = || state.user(target.parse().ok()?).cloned();
    by_name().or_else(by_id).ok_or_else(|| {
        let shown = target.chars().take(80).collect();
        PeopleError::NotFound(shown)
    })
}

fn named(state: &State, name: &Name) -> Option<Arc<User>> {
    let ObjectKey::User(id) = state.holder(&Claim::UserName(name.clone()))? else {
        return None;
    };
    state.user(id).cloned()
}

/// Another role, stack or lifetime.
pub(super) fn update(
    state: &State,
    target: &str,
    change: &Change,
) -> Result<Decision<User>, PeopleError> {
    let old = find(state, target)?;
    let mut new = User::clone(&old);
    new.role = change.role.unwrap_or(new.role);
    new.certificate_ttl = change.ttl.unwrap_or(new.certificate_ttl);
    if let Some(stack) = &change.stack {
        new.stack.clone_from(stack);
    }
    fitting(new.role, new.stack.as_ref())?;
    let changes = if new == *old {
        Vec::new()
    } else {
        vec![command::Change::update(new.clone())]
    };
    Ok(Decision {
        changes,
        outcome: new,
    })
}

/// Removes a user.
pub(super) fn remove(state: &State, target: &str) -> Result<Decision<User>, PeopleError> {
    let user = User::clone(&*find(state, target)?);
    Ok(Decision {
        changes: vec![command::Change::remove(user.clone())],
        outcome: user,
    })
}
