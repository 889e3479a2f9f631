//! Whose rights a task has.
//!
//! Read from the task's own `/etc/passwd` and `/etc/group`, not through the C library: that
//! would ask directory services over the task's network.

use super::setup_error::SetupError;
use super::setup_error::step;
use std::fs;

/// A user with its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
    pub(super) home: String,
}

/// Looks up `user`, `uid`, `user:group` or `uid:gid`; root if absent.
pub(super) fn find(wanted: Option<&str>) -> Result<Account, SetupError> {
    let Some(wanted) = wanted else {
        return Ok(Account {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            home: "/root".to_owned(),
        });
    };
    let read = |path: &str| fs::read_to_string(path).map_err(step(format!("cannot read {path}")));
    resolve(wanted, &read("/etc/passwd")?, &read("/etc/group")?)
}

fn resolve(wanted: &str, passwd: &str, group: &str) -> Result<Account, SetupError> {
    let (user, named_group) = match wanted.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (wanted, None),
    };
    let fields = |line: &'_ str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    // A number is a number even where a user of that name exists, as with Docker.
    let by_number: Option<u32> = user.parse().ok();
    let entry = passwd.lines().map(fields).find(|entry| match by_number {
        Some(uid) => number(entry, 2) == Some(uid),
        None => entry.first().is_some_and(|name| name == user),
    });
    let uid = by_number
        .or_else(|| number(entry.as_ref()?, 2))
        .ok_or_else(|| SetupError::NoSuchUser(user.to_owned()))?;
    let own_gid = entry
        .as_ref()
        .and_then(|entry| number(entry, 3))
        .unwrap_or(0);
    let home = entry.as_ref().and_then(|entry| entry.get(5).cloned());
    let home = home
        .filter(|home| !home.is_empty())
        .unwrap_or_else(|| "/".to_owned());

    let group_entries: Vec<_> = group.lines().map(fields).collect();
    if let Some(named) = named_group {
        let gid = named.parse().ok().or_else(|| {
            let entry = group_entries
                .iter()
                .find(|e| e.first().is_some_and(|g| g == named))?;
            number(entry, 2)
        });
        let gid = gid.ok_or_else(|| SetupError::NoSuchGroup(named.to_owned()))?;
        return Ok(Account {
            uid,
            gid,
            groups: vec![gid],
            home,
        });
    }
    // Groups of the account; those of a named group are given up on purpose.
    let name = entry.as_ref().and_then(|entry| entry.first());
    let member = |entry: &&Vec<String>| {
        entry.get(3).is_some_and(|members| {
            members
                .split(',')
                .any(|m| Some(m) == name.map(String::as_str))
        })
    };
    let mut groups = vec![own_gid];
    groups.extend(
        group_entries
            .iter()
            .filter(member)
            .filter_map(|entry| number(entry, 2)),
    );
    Ok(Account {
        uid,
        gid: own_gid,
        groups,
        home,
    })
}

fn number(entry: &[String], field: usize) -> Option<u32> {
    entry.get(field)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nwww:x:33:34:w:/var/www:/bin/false\n";
    const GROUP: &str = "root:x:0:\nwww:x:34:\nlogs:x:4:syslog,www\n";

    #[test]
    fn a_name_brings_its_groups_and_home() {
        let account = resolve("www", PASSWD, GROUP).unwrap();
        assert_eq!((account.uid, account.gid), (33, 34));
        assert_eq!(account.groups, [34, 4]);
        assert_eq!(account.home, "/var/www");
    }

    #[test]
    fn a_number_needs_no_entry() {
        let account = resolve("5000", PASSWD, GROUP).unwrap();
        assert_eq!(
            (account.uid, account.gid, account.home.as_str()),
            (5000, 0, "/")
        );
    }

    #[test]
    fn a_named_group_replaces_the_accounts_own() {
        let account = resolve("www:logs", PASSWD, GROUP).unwrap();
        assert_eq!((account.gid, account.groups), (4, vec![4]));
    }

    #[test]
    fn unknown_names_are_refused() {
        assert!(matches!(
            resolve("nobody", PASSWD, GROUP),
            Err(SetupError::NoSuchUser(_))
        ));
        assert!(matches!(
            resolve("www:x", PASSWD, GROUP),
            Err(SetupError::NoSuchGroup(_))
        ));
    }
}
