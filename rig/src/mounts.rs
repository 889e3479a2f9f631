//! Mounts of this machine, as far as a rig has to find and remove its own.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use nix::mount::MntFlags;

/// One line of `/proc/self/mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// Type of file system (`nsfs` for a bind-mounted namespace).
    pub kind: String,
    /// For a bound namespace, its number.
    pub netns: Option<u64>,
}

/// All mounts this process sees, in the order they were made.
///
/// # Errors
/// When /proc cannot be read.
pub fn all() -> io::Result<Vec<Mount>> {
    fs::read_to_string("/proc/self/mountinfo").map(|text| parse(&text))
}

/// Mounts at or below `dir`.
///
/// # Errors
/// When /proc cannot be read.
pub fn below(dir: &Path) -> io::Result<Vec<Mount>> {
    let mut mounts = all()?;
    mounts.retain(|mount| mount.point.starts_with(dir));
    Ok(mounts)
}

/// Unmounts everything at or below `dir`, the youngest first. Detaches, because a task that is
/// just dying may still hold a file open.
///
/// # Errors
/// The first mount that would not go; the others are tried all the same.
pub fn unmount_below(dir: &Path) -> io::Result<()> {
    let mut result = Ok(());
    for mount in below(dir)?.iter().rev() {
        if let Err(errno) = nix::mount::umount2(&mount.point, MntFlags::MNT_DETACH) {
            result = result.and(Err(io::Error::from(errno)));
        }
    }
    result
}

/// Reads the kernel's table.
pub fn parse(text: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let root = left.next()?;
        let point = unescape(left.next()?);
        let kind = right.split(' ').next()?.to_owned();
        let netns = root
            .strip_prefix("net:[")
            .and_then(|n| n.strip_suffix(']')?.parse().ok());
        Some(Mount {
            point: PathBuf::from(point),
            kind,
            netns,
        })
    };
    text.lines().filter_map(mount).collect()
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (code, plain)| {
        text.replace(code, plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_namespace_is_read_with_its_number() {
        let line =
            "61 24 0:4 net:[4026532281] /run/weft-rig/a\\040b/ns/n1 rw shared:1 - nsfs nsfs rw";
        let expected = Mount {
            point: "/run/weft-rig/a b/ns/n1".into(),
            kind: "nsfs".to_owned(),
            netns: Some(4_026_532_281),
        };
        assert_eq!(parse(line), [expected]);
    }

    #[test]
    fn lines_with_several_optional_fields_or_none_are_read() {
        let text = "1 2 0:3 / /a rw,relatime shared:1 master:2 - tmpfs tmpfs rw\n\
                    2 2 0:3 / /b rw - cgroup2 cgroup2 rw";
        let kinds: Vec<_> = parse(text).into_iter().map(|mount| mount.kind).collect();
        assert_eq!(kinds, ["tmpfs", "cgroup2"]);
    }
}
