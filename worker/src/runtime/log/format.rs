//! One record of a log file.

use super::LogLine;
use super::LogStream;
use super::timestamp;
use bytes::Bytes;

/// The record with its line end.
pub(super) fn encode(line: &LogLine) -> Vec<u8> {
    let stream = match line.stream {
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
    };
    let tag = if line.partial { 'P' } else { 'F' };
    let head = format!("{} {stream} {tag} ", timestamp::format(line.time));
    let mut record = Vec::with_capacity(head.len() + line.bytes.len() + 1);
    record.extend_from_slice(head.as_bytes());
    record.extend_from_slice(&line.bytes);
    record.push(b'\n');
    record
}

/// Reads a record without its line end; none for one that was cut by a crash.
pub(super) fn decode(record: &[u8]) -> Option<LogLine> {
    let mut parts = record.splitn(4, |&byte| byte == b' ');
    let time = timestamp::parse(std::str::from_utf8(parts.next()?).ok()?)?;
    let stream = match parts.next()? {
        b"stdout" => LogStream::Stdout,
        b"stderr" => LogStream::Stderr,
        _ => return None,
    };
    let partial = match parts.next()? {
        b"F" => false,
        b"P" => true,
        _ => return None,
    };
    Some(LogLine {
        time,
        stream,
        bytes: Bytes::copy_from_slice(parts.next()?),
        partial,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn a_record_reads_back_whatever_bytes_it_holds() {
        let line = LogLine {
            time: UNIX_EPOCH,
            stream: LogStream::Stderr,
            bytes: Bytes::from_static(b"a b \xff \r"),
            partial: true,
        };
        let record = encode(&line);
        let (end, record) = record.split_last().unwrap();
        assert_eq!(*end, b'\n');
        assert_eq!(decode(record), Some(line));
    }

    #[test]
    fn a_cut_record_is_not_a_line() {
        assert_eq!(decode(b"1970-01-01T00:00:00.000000000Z stdo"), None);
    }
}
