//! Environment of tasks: `NAME=value`, `NAME` taken from this process, and files of both.

/// Reads a variable of this process.
pub(in crate::command) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Entries out of the lines of a file and of flags, in this order; of several with the same name
/// the last one counts.
///
/// # Errors
/// An entry without a name.
pub(in crate::command) fn merge(
    entries: &[String],
    lookup: Lookup<'_>,
) -> Result<Vec<String>, String> {
    let mut merged: Vec<String> = Vec::new();
    for entry in entries {
        let Some(entry) = resolve(entry, lookup)? else {
            continue;
        };
        put(&mut merged, entry);
    }
    Ok(merged)
}

/// Puts an entry in the place of one with the same name, or at the end.
pub(in crate::command) fn put(env: &mut Vec<String>, entry: String) {
    match env.iter_mut().find(|old| name(old) == name(&entry)) {
        Some(old) => *old = entry,
        None => env.push(entry),
    }
}

/// The name of an entry.
pub(in crate::command) fn name(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(name, _)| name)
}

/// `NAME` alone is left out where this process has no such variable, as Docker does.
pub(in crate::command) fn resolve(
    entry: &str,
    lookup: Lookup<'_>,
) -> Result<Option<String>, String> {
    if name(entry).is_empty() {
        return Err(format!(
            "environment entry {entry:?} has no name: write NAME=value"
        ));
    }
    if entry.contains('=') {
        return Ok(Some(entry.to_owned()));
    }
    Ok(lookup(entry).map(|value| format!("{entry}={value}")))
}

/// The entries of a file: one per line; empty lines and lines that begin with `#` are left out.
pub(in crate::command) fn lines(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim_start)
        .filter(|line| !line.trim_end().is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_entries_win_and_names_alone_come_from_this_process() {
        let here = |name: &str| (name == "HOME").then(|| "/root".to_owned());
        let entries = ["A=1", "B=2", "HOME", "GONE", "A=3=4"].map(str::to_owned);
        assert_eq!(
            merge(&entries, &here),
            Ok(vec![
                "A=3=4".to_owned(),
                "B=2".to_owned(),
                "HOME=/root".to_owned()
            ])
        );
        assert!(merge(&["=x".to_owned()], &here).is_err());
    }

    #[test]
    fn a_file_may_have_comments_and_empty_lines() {
        assert_eq!(
            lines("# first\nA=1\n\n  B=two words \n"),
            ["A=1", "B=two words "]
        );
    }
}
