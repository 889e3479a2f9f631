//! People, and the contexts they use clusters by.

use crate::render::table;
use crate::render::time;
use serde::Serialize;
use weft_proto::Name;
use weft_proto::UserId;
use weft_proto::object::User;
use weft_proto::object::UserRole;
use weft_proto::time::Timestamp;

/// A user in a list. The keys of its JSON do not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct UserRow {
    pub(crate) id: UserId,
    pub(crate) name: Name,
    pub(crate) role: UserRole,
    pub(crate) stack: Option<Name>,
    /// End of the newest certificate, in milliseconds of Unix time.
    pub(crate) expires: Timestamp,
}

/// The rows of a list, by name.
pub(crate) fn rows(users: &[User]) -> Vec<UserRow> {
    let mut rows: Vec<UserRow> = users
        .iter()
        .map(|user| UserRow {
            id: user.id,
            name: user.name.clone(),
            role: user.role,
            stack: user.stack.clone(),
            expires: user.expires,
        })
        .collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

/// A table for people.
pub(crate) fn table(rows: &[UserRow], now: Timestamp) -> String {
    let line = |row: &UserRow| {
        [
            row.name.to_string(),
            row.role.to_string(),
            stack(row.stack.as_ref()),
            ends(row.expires, now),
        ]
    };
    table::table(
        ["NAME", "ROLE", "STACK", "CERTIFICATE"],
        rows.iter().map(line),
    )
}

fn stack(stack: Option<&Name>) -> String {
    stack.map_or_else(|| "-".to_owned(), ToString::to_string)
}

fn ends(expires: Timestamp, now: Timestamp) -> String {
    let verb = if expires <= now { "ended" } else { "until" };
    format!("{verb} {}", time::rfc3339(expires))
}

/// One user in full, for people.
pub(crate) fn inspect(user: &User) -> String {
    table::pairs(&[
        ("ID", user.id.to_string()),
        ("Name", user.name.to_string()),
        ("Created", time::rfc3339(user.meta.created_at)),
        ("Role", user.role.to_string()),
        ("Stack", stack(user.stack.as_ref())),
        ("Certificates valid for", time::span(user.certificate_ttl)),
        ("Newest one until", time::rfc3339(user.expires)),
        ("Key (SHA-256)", user.key.to_string()),
    ])
}

/// A context in a list. The keys of its JSON do not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ContextRow {
    pub(crate) name: Name,
    pub(crate) current: bool,
    /// Null, as all that follows, when the bundle is damaged.
    pub(crate) user: Option<Name>,
    pub(crate) cluster: Option<String>,
    pub(crate) managers: Vec<String>,
    pub(crate) expires: Option<Timestamp>,
}

/// A table for people; a star marks the one in use.
pub(crate) fn contexts(rows: &[ContextRow]) -> String {
    let line = |row: &ContextRow| {
        let mark = if row.current { " *" } else { "" };
        [
            format!("{}{mark}", row.name),
            row.user.as_ref().map_or("damaged", Name::as_str).to_owned(),
            row.managers.join(", "),
            row.expires.map(time::rfc3339).unwrap_or_default(),
        ]
    };
    table::table(["NAME", "USER", "MANAGERS", "UNTIL"], rows.iter().map(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use weft_proto::object::KeyDigest;
    use weft_proto::object::Meta;

    fn user(name: &str, role: UserRole, stack: Option<&str>) -> User {
        User {
            meta: Meta::default(),
            id: UserId::from_entropy(1),
            name: name.parse().unwrap(),
            role,
            stack: stack.map(|stack| stack.parse().unwrap()),
            certificate_ttl: Duration::from_secs(86_400),
            key: KeyDigest::from_bytes([7; 32]),
            expires: Timestamp::from_millis(1_795_187_045_678),
        }
    }

    #[test]
    fn users_are_listed_by_name_with_what_they_may_do() {
        let rows = rows(&[
            user("bob", UserRole::Viewer, Some("shop")),
            user("alice", UserRole::Admin, None),
        ]);
        assert_eq!(
            table(&rows, Timestamp::from_millis(1_795_187_045_677)),
            "NAME    ROLE     STACK   CERTIFICATE\n\
             alice   admin    -       until 2026-11-20T15:04:05.678Z\n\
             bob     viewer   shop    until 2026-11-20T15:04:05.678Z"
        );
        assert!(table(&rows, Timestamp::from_millis(i64::MAX)).contains("ended 2026"));
        let text = inspect(&user("bob", UserRole::Viewer, Some("shop")));
        assert!(text.contains("Certificates valid for:  24h"), "{text}");
    }

    #[test]
    fn contexts_say_which_is_used_and_which_is_damaged() {
        let row = |name: &str, current: bool, user: Option<&str>| ContextRow {
            name: name.parse().unwrap(),
            current,
            user: user.map(|user| user.parse().unwrap()),
            cluster: None,
            managers: vec!["192.0.2.1:2377".to_owned()],
            expires: Some(Timestamp::from_millis(0)),
        };
        assert_eq!(
            contexts(&[row("prod", true, Some("alice")), row("test", false, None)]),
            "NAME     USER      MANAGERS         UNTIL\n\
             prod *   alice     192.0.2.1:2377   1970-01-01T00:00:00.000Z\n\
             test     damaged   192.0.2.1:2377   1970-01-01T00:00:00.000Z"
        );
    }
}
