//! Files of secrets and configs on their way to a task: from the daemon through the supervisor to the
//! first process, by pipes. They are in no record of the task's directory, no argument and no
//! environment.
//!
//! On a pipe: the number of bytes that follow (u64), then for each file the length of its path (u32),
//! the path, owner, group and permissions (u32 each), the length of its data (u32), the data; all
//! little endian.

use std::io;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use weft_proto::object::Data;
use zeroize::Zeroizing;

/// All files of a task are not longer, in bytes: a damaged length must not ask for all of memory.
const MOST: u64 = 256 << 20;

/// A file that a task finds, in memory and read-only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFile {
    /// Where, absolute.
    pub target: PathBuf,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its permissions.
    pub mode: u32,
    /// What it says.
    pub data: Data,
}

/// The files as they are on a pipe.
///
/// # Errors
/// They are too long.
pub(crate) fn encode(files: &[TaskFile]) -> io::Result<Zeroizing<Vec<u8>>> {
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "the task's files are too long");
    let number = |length: usize| u32::try_from(length).map_err(|_| too_long());
    let length = |file: &TaskFile| 20 + file.target.as_os_str().len() + file.data.bytes().len();
    let body: usize = files.iter().map(length).sum();
    let body = u64::try_from(body).map_err(|_| too_long())?;
    if body > MOST {
        return Err(too_long());
    }
    // All of it at once, so that no copy is left where the vector has grown.
    let room = usize::try_from(body).map_err(|_| too_long())?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(8 + room));
    bytes.extend_from_slice(&body.to_le_bytes());
    for file in files {
        let path = file.target.as_os_str().as_bytes();
        bytes.extend_from_slice(&number(path.len())?.to_le_bytes());
        bytes.extend_from_slice(path);
        for value in [
            file.uid,
            file.gid,
            file.mode,
            number(file.data.bytes().len())?,
        ] {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        bytes.extend_from_slice(file.data.bytes());
    }
    Ok(bytes)
}

/// Reads what [`encode`] made, up to the end of it.
///
/// # Errors
/// The pipe ends early, or what is on it is something else.
pub(crate) fn receive(pipe: &mut impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut head = [0; 8];
    pipe.read_exact(&mut head)?;
    let body = u64::from_le_bytes(head);
    let room = usize::try_from(body).ok().filter(|_| body <= MOST);
    let room = room.ok_or_else(damaged)?;
    let mut bytes = Zeroizing::new(vec![0; 8 + room]);
    let (start, rest) = bytes.split_at_mut(8);
    start.copy_from_slice(&head);
    pipe.read_exact(rest)?;
    Ok(bytes)
}

/// The files in what was received.
///
/// # Errors
/// It is something else.
pub(crate) fn decode(bytes: &[u8]) -> io::Result<Vec<TaskFile>> {
    let (_, mut rest) = bytes.split_at_checked(8).ok_or_else(damaged)?;
    let mut files = Vec::new();
    while !rest.is_empty() {
        let length = number(&mut rest)?;
        let target = PathBuf::from(std::ffi::OsStr::from_bytes(take(&mut rest, length)?));
        let [uid, gid, mode] = [number(&mut rest)?, number(&mut rest)?, number(&mut rest)?];
        let length = number(&mut rest)?;
        let data = Data::new(take(&mut rest, length)?.to_vec());
        files.push(TaskFile {
            target,
            uid,
            gid,
            mode,
            data,
        });
    }
    Ok(files)
}

fn take<'a>(rest: &mut &'a [u8], length: u32) -> io::Result<&'a [u8]> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let (taken, after) = rest.split_at_checked(length).ok_or_else(damaged)?;
    *rest = after;
    Ok(taken)
}

fn number(rest: &mut &[u8]) -> io::Result<u32> {
    let (bytes, after) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    *rest = after;
    Ok(u32::from_le_bytes(*bytes))
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the task's files came damaged")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(target: &str, data: &[u8]) -> TaskFile {
        TaskFile {
            target: target.into(),
            uid: 1000,
            gid: 7,
            mode: 0o440,
            data: Data::new(data.to_vec()),
        }
    }

    #[test]
    fn what_goes_through_a_pipe_arrives_and_what_is_cut_is_noticed() {
        let files = vec![file("/run/secrets/a", b"one"), file("/b", &[0xff; 3000])];
        let bytes = encode(&files).unwrap();
        let received = receive(&mut bytes.as_slice()).unwrap();
        assert_eq!(decode(&received).unwrap(), files);
        for end in 0..bytes.len() {
            assert!(receive(&mut &bytes[..end]).is_err(), "cut at {end}");
        }
        assert_eq!(decode(&encode(&[]).unwrap()).unwrap(), []);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
            let _ = receive(&mut bytes.as_slice());
        }
    }
}
