//! Reads records in order, across files, while they are written and removed.

use super::LogLine;
use super::LogQuery;
use super::Tail;
use super::file;
use super::format::decode;
use super::numbers;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Seek;
use std::io::SeekFrom;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

/// Lines handed over at once: enough to make a thread switch cheap, few enough to stay small.
const BATCH_LINES: usize = 256;

/// A position in the log files of one directory.
#[derive(Debug)]
pub(super) struct LogReader {
    dir: PathBuf,
    since: Option<SystemTime>,
    current: Option<(u64, BufReader<File>)>,
    /// A record whose end is not written yet.
    unfinished: Vec<u8>,
}

impl LogReader {
    /// Starts where the query says.
    pub(super) fn open(dir: &Path, query: LogQuery) -> io::Result<Self> {
        let at_start = || Self {
            dir: dir.to_owned(),
            since: query.since,
            current: None,
            unfinished: Vec::new(),
        };
        let Tail::Last(wanted) = query.tail else {
            return Ok(at_start());
        };
        // Reading forward twice is simpler than backwards and bounded by the size kept. Only
        // positions are remembered, so a large tail does not hold the lines in memory.
        let mut scan = at_start();
        let mut starts: VecDeque<(u64, u64)> = VecDeque::new();
        let mut end = at_start();
        while let Some((position, line)) = scan.next_at()? {
            if query.since.is_none_or(|since| line.time >= since) {
                starts.push_back(position);
                if starts.len() > wanted {
                    starts.pop_front();
                }
            }
        }
        match starts.front() {
            Some(&(number, offset)) => {
                end.seek(number, offset)?;
                Ok(end)
            }
            // Nothing of what there is: go on from where the scan ended.
            None => Ok(scan),
        }
    }

    /// The next lines; empty if there are none yet.
    pub(super) fn batch(&mut self) -> io::Result<Vec<LogLine>> {
        let mut lines = Vec::new();
        while lines.len() < BATCH_LINES {
            match self.next_at()? {
                Some((_, line)) if self.since.is_none_or(|since| line.time >= since) => {
                    lines.push(line);
                }
                Some(_) => {}
                None => break,
            }
        }
        Ok(lines)
    }

    fn seek(&mut self, number: u64, offset: u64) -> io::Result<()> {
        match File::open(file(&self.dir, number)) {
            Ok(mut opened) => {
                opened.seek(SeekFrom::Start(offset))?;
                self.current = Some((number, BufReader::new(opened)));
                Ok(())
            }
            // Rotated away meanwhile: the oldest file there is now is the right place.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The next line with the file and offset at which it begins.
    fn next_at(&mut self) -> io::Result<Option<((u64, u64), LogLine)>> {
        loop {
            let Some((number, reader)) = &mut self.current else {
                match numbers(&self.dir)?.first() {
                    Some(&first) => self.seek(first, 0)?,
                    None => return Ok(None),
                }
                if self.current.is_none() {
                    return Ok(None);
                }
                continue;
            };
            let number = *number;
            let start = reader.stream_position()? - self.unfinished.len() as u64;
            reader.read_until(b'\n', &mut self.unfinished)?;
            if self.unfinished.ends_with(b"\n") {
                self.unfinished.pop();
                let line = decode(&std::mem::take(&mut self.unfinished));
                if let Some(line) = line {
                    return Ok(Some(((number, start), line)));
                }
                continue;
            }
            // At the end. A later file is made before the first record goes there, so once it is
            // seen, this one is complete as soon as it has been read to its end once more.
            let Some(next) = numbers(&self.dir)?.into_iter().find(|&n| n > number) else {
                return Ok(None);
            };
            let before = self.unfinished.len();
            reader.read_until(b'\n', &mut self.unfinished)?;
            if self.unfinished.len() > before {
                if self.unfinished.ends_with(b"\n") {
                    self.unfinished.pop();
                    if let Some(line) = decode(&std::mem::take(&mut self.unfinished)) {
                        return Ok(Some(((number, start), line)));
                    }
                }
                continue;
            }
            self.unfinished.clear();
            self.current = None;
            self.seek(next, 0)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::LogStream;
    use super::super::LogWriter;
    use super::*;
    use std::time::Duration;
    use std::time::UNIX_EPOCH;

    fn written(lines: u64) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = LogWriter::open(dir.path()).unwrap();
        for n in 0..lines {
            let at = UNIX_EPOCH + Duration::from_secs(n);
            writer
                .write(LogStream::Stdout, at, format!("{n}\n").as_bytes())
                .unwrap();
        }
        dir
    }

    fn read(dir: &Path, query: LogQuery) -> Vec<String> {
        let lines = LogReader::open(dir, query).unwrap().batch().unwrap();
        lines
            .iter()
            .map(|line| String::from_utf8_lossy(&line.bytes).into_owned())
            .collect()
    }

    #[test]
    fn the_tail_is_the_last_lines() {
        let dir = written(10);
        let tail = |wanted| LogQuery {
            tail: Tail::Last(wanted),
            ..LogQuery::default()
        };
        assert_eq!(read(dir.path(), tail(2)), ["8", "9"]);
        assert_eq!(read(dir.path(), tail(0)), [""; 0]);
        assert_eq!(read(dir.path(), tail(99)).len(), 10);
    }

    #[test]
    fn older_lines_than_asked_for_are_left_out() {
        let dir = written(10);
        let query = LogQuery {
            since: Some(UNIX_EPOCH + Duration::from_secs(7)),
            tail: Tail::Last(5),
            follow: false,
        };
        assert_eq!(read(dir.path(), query), ["7", "8", "9"]);
    }

    #[test]
    fn a_tail_of_nothing_goes_on_with_what_comes_next() {
        let dir = written(3);
        let query = LogQuery {
            tail: Tail::Last(0),
            ..LogQuery::default()
        };
        let mut reader = LogReader::open(dir.path(), query).unwrap();
        let mut writer = LogWriter::open(dir.path()).unwrap();
        writer
            .write(LogStream::Stderr, UNIX_EPOCH, b"new\n")
            .unwrap();
        assert_eq!(reader.batch().unwrap()[0].bytes, "new");
    }
}
