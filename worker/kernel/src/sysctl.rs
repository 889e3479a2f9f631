//! Network sysctls of a namespace. `/proc/sys/net` shows the namespace of the reading thread, so a
//! throw-away thread enters the namespace and reads or writes the file.

use std::fs;
use std::io;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use crate::netns::Netns;
use crate::netns::NetnsError;
use crate::netns::Place;

/// What went wrong with a sysctl: one variant per operation.
#[derive(Debug, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "the message of each variant says what it is and names its fields"
)]
pub enum SysctlError {
    #[error("`{key}` is no network sysctl: write it with slashes, as net/ipv4/ip_forward")]
    BadKey { key: String },
    #[error("failed to read sysctl {key} in {place}")]
    Read {
        key: String,
        place: Place,
        #[source]
        cause: io::Error,
    },
    #[error("failed to set sysctl {key} to {value} in {place}")]
    Write {
        key: String,
        value: String,
        place: Place,
        #[source]
        cause: io::Error,
    },
    #[error("failed to reach sysctl {key}")]
    Enter {
        key: String,
        #[source]
        cause: NetnsError,
    },
}

/// The value of `key` in `netns`, without the newline. Keys are paths below `/proc/sys` and begin
/// with `net/`, with slashes because interface names may contain dots.
///
/// # Errors
/// When the key is malformed, unknown to this kernel, or not readable.
pub fn get(netns: &Netns, key: &str) -> Result<String, SysctlError> {
    let path = file_of(key)?;
    netns
        .run_in(|| fs::read_to_string(&path))
        .map_err(|cause| SysctlError::Enter {
            key: key.to_owned(),
            cause,
        })?
        .map(|value| value.trim_end().to_owned())
        .map_err(|cause| SysctlError::Read {
            key: key.to_owned(),
            place: netns.place().clone(),
            cause,
        })
}

/// Sets `key` to `value` in `netns`; says whether that changed anything. A value that is already
/// there is not written again: some files (forwarding) act on every write.
///
/// # Errors
/// As [`get`], and when the kernel refuses the value.
pub fn set(netns: &Netns, key: &str, value: &str) -> Result<bool, SysctlError> {
    let path = file_of(key)?;
    netns
        .run_in(|| {
            if fs::read_to_string(&path)?.trim_end() == value {
                return Ok(false);
            }
            fs::write(&path, value).map(|()| true)
        })
        .map_err(|cause| SysctlError::Enter {
            key: key.to_owned(),
            cause,
        })?
        .map_err(|cause| SysctlError::Write {
            key: key.to_owned(),
            value: value.to_owned(),
            place: netns.place().clone(),
            cause,
        })
}

fn file_of(key: &str) -> Result<PathBuf, SysctlError> {
    let relative = Path::new(key);
    let plain = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if plain && relative.starts_with("net") {
        Ok(Path::new("/proc/sys").join(relative))
    } else {
        Err(SysctlError::BadKey {
            key: key.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_outside_the_network_tree_is_refused() {
        for key in [
            "kernel/hostname",
            "/net/ipv4/ip_forward",
            "net/../kernel/hostname",
            "net.ipv4",
        ] {
            assert!(
                matches!(file_of(key), Err(SysctlError::BadKey { .. })),
                "{key}"
            );
        }
        assert!(file_of("net/ipv4/conf/eth0.5/rp_filter").is_ok());
    }
}
