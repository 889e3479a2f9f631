//! Turns what a task writes into records, and bounds how much of it is kept.

use super::FILE_BYTES;
use super::FILES_KEPT;
use super::LogLine;
use super::LogStream;
use super::RECORD_BYTES;
use super::file;
use super::format::encode;
use super::numbers;
use bytes::Bytes;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

/// Appends to the newest file of a directory and begins new ones.
#[derive(Debug)]
pub(crate) struct LogWriter {
    dir: PathBuf,
    file: File,
    number: u64,
    written: u64,
    file_bytes: u64,
    /// What each stream has written since its last line end.
    open_lines: [Vec<u8>; 2],
}

impl LogWriter {
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        Self::with_file_size(dir, FILE_BYTES)
    }

    fn with_file_size(dir: &Path, file_bytes: u64) -> io::Result<Self> {
        let number = numbers(dir)?.last().copied().unwrap_or(0);
        let file = append(dir, number)?;
        Ok(Self {
            dir: dir.to_owned(),
            written: file.metadata()?.len(),
            file,
            number,
            file_bytes,
            open_lines: [Vec::new(), Vec::new()],
        })
    }

    /// Takes what a stream wrote; whole lines go to the file.
    pub(crate) fn write(
        &mut self,
        stream: LogStream,
        now: SystemTime,
        bytes: &[u8],
    ) -> io::Result<()> {
        let mut records = Vec::new();
        let open = &mut self.open_lines[index(stream)];
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, ended) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            open.extend_from_slice(text);
            while open.len() > RECORD_BYTES {
                let rest = open.split_off(RECORD_BYTES);
                records.push((std::mem::replace(open, rest), true));
            }
            if ended {
                records.push((std::mem::take(open), false));
            }
        }
        self.append(stream, now, records)
    }

    /// Writes what a stream left without a line end.
    pub(crate) fn finish(&mut self, stream: LogStream, now: SystemTime) -> io::Result<()> {
        let rest = std::mem::take(&mut self.open_lines[index(stream)]);
        if rest.is_empty() {
            return Ok(());
        }
        self.append(stream, now, vec![(rest, false)])
    }

    fn append(
        &mut self,
        stream: LogStream,
        time: SystemTime,
        records: Vec<(Vec<u8>, bool)>,
    ) -> io::Result<()> {
        for (text, partial) in records {
            if self.written >= self.file_bytes {
                self.rotate()?;
            }
            let bytes = Bytes::from(text);
            let record = encode(&LogLine {
                time,
                stream,
                bytes,
                partial,
            });
            self.file.write_all(&record)?;
            self.written += record.len() as u64;
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        // The new file first: a reader at the end of the old one must find where to go on.
        self.file = append(&self.dir, self.number + 1)?;
        self.number += 1;
        self.written = 0;
        let numbers = numbers(&self.dir)?;
        let surplus = numbers.len().saturating_sub(FILES_KEPT);
        for &old in numbers.iter().take(surplus) {
            fs::remove_file(file(&self.dir, old))?;
        }
        Ok(())
    }
}

fn index(stream: LogStream) -> usize {
    match stream {
        LogStream::Stdout => 0,
        LogStream::Stderr => 1,
    }
}

fn append(dir: &Path, number: u64) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(file(dir, number))
}

#[cfg(test)]
mod tests {
    use super::super::LogQuery;
    use super::super::reader::LogReader;
    use super::*;
    use std::time::UNIX_EPOCH;

    fn texts(dir: &Path) -> Vec<(String, bool)> {
        let mut reader = LogReader::open(dir, LogQuery::default()).unwrap();
        let lines = std::iter::from_fn(|| Some(reader.batch().unwrap()).filter(|b| !b.is_empty()));
        lines
            .flatten()
            .map(|line| {
                (
                    String::from_utf8_lossy(&line.bytes).into_owned(),
                    line.partial,
                )
            })
            .collect()
    }

    #[test]
    fn a_line_that_arrives_in_pieces_is_one_record() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = LogWriter::open(dir.path()).unwrap();
        writer.write(LogStream::Stdout, UNIX_EPOCH, b"hel").unwrap();
        writer
            .write(LogStream::Stderr, UNIX_EPOCH, b"other\n")
            .unwrap();
        writer
            .write(LogStream::Stdout, UNIX_EPOCH, b"lo\n\nend")
            .unwrap();
        writer.finish(LogStream::Stdout, UNIX_EPOCH).unwrap();
        let expected = ["other", "hello", "", "end"].map(|text| (text.to_owned(), false));
        assert_eq!(texts(dir.path()), expected);
    }

    #[test]
    fn a_very_long_line_is_cut_into_partial_records() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = LogWriter::open(dir.path()).unwrap();
        let mut long = vec![b'x'; RECORD_BYTES * 2 + 1];
        long.push(b'\n');
        writer.write(LogStream::Stdout, UNIX_EPOCH, &long).unwrap();
        let lengths: Vec<_> = texts(dir.path())
            .into_iter()
            .map(|(text, partial)| (text.len(), partial))
            .collect();
        assert_eq!(
            lengths,
            [(RECORD_BYTES, true), (RECORD_BYTES, true), (1, false)]
        );
    }

    #[test]
    fn old_files_go_and_the_newest_lines_stay() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = LogWriter::with_file_size(dir.path(), 500).unwrap();
        for n in 0..100 {
            writer
                .write(LogStream::Stdout, UNIX_EPOCH, format!("{n}\n").as_bytes())
                .unwrap();
        }
        assert_eq!(numbers(dir.path()).unwrap().len(), FILES_KEPT);
        let texts = texts(dir.path());
        assert!(texts.len() < 50, "{} lines kept", texts.len());
        assert_eq!(texts.last(), Some(&("99".to_owned(), false)));
    }
}
