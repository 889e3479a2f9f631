//! As much of HTTP/1.1 as asking a Docker daemon takes: one connection, one question at a time.

use anyhow::Context;
use anyhow::bail;
use serde_json::Value;
use std::path::Path;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::net::UnixStream;

/// The largest answer that is read.
const MAX_ANSWER: usize = 16 << 20;

/// A connection.
pub(super) struct Http {
    stream: BufReader<UnixStream>,
}

impl Http {
    /// Connects to the socket at `path`.
    pub(super) async fn connect(path: &Path) -> anyhow::Result<Http> {
        let stream = UnixStream::connect(path)
            .await
            .with_context(|| format!("connect to {}", path.display()))?;
        Ok(Http {
            stream: BufReader::new(stream),
        })
    }

    /// Asks, and reads the answer; an answer that is a refusal is an error with its text.
    pub(super) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all((head + &body).as_bytes()).await?;
        let status = self.line().await?;
        let code = status.split(' ').nth(1).unwrap_or_default().to_owned();
        let (mut length, mut chunked) = (0, false);
        loop {
            let line = self.line().await?.to_ascii_lowercase();
            match line.split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse()?,
                Some(("transfer-encoding", value)) => chunked = value.contains("chunked"),
                Some(_) => {}
                None if line.is_empty() => break,
                None => bail!("odd header {line:?}"),
            }
        }
        let text = if chunked {
            self.chunks().await?
        } else {
            self.bytes(length).await?
        };
        if !code.starts_with('2') {
            bail!("{method} {path}: {code} {}", String::from_utf8_lossy(&text));
        }
        if text.is_empty() {
            return Ok(Value::Null);
        }
        // Some answers are plain text, of which nobody here wants to know more.
        Ok(serde_json::from_slice(&text).unwrap_or_default())
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            bail!("the connection was closed");
        }
        Ok(line.trim_end().to_owned())
    }

    async fn bytes(&mut self, length: usize) -> anyhow::Result<Vec<u8>> {
        if length > MAX_ANSWER {
            bail!("an answer of {length} bytes");
        }
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    async fn chunks(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let length = usize::from_str_radix(&self.line().await?, 16)?;
            all.extend(self.bytes(length).await?);
            self.line().await?;
            if length == 0 {
                return Ok(all);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    async fn answer(text: &'static str) -> anyhow::Result<Value> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path)?;
        let server = async {
            let (mut stream, _) = listener.accept().await?;
            stream.write_all(text.as_bytes()).await?;
            let mut asked = vec![0; 4];
            stream.read_exact(&mut asked).await?;
            anyhow::Ok(())
        };
        let client = async {
            Http::connect(&path)
                .await?
                .ask("GET", "/x", &Value::Null)
                .await
        };
        let (served, answer) = tokio::join!(server, client);
        served?;
        answer
    }

    #[tokio::test]
    async fn answers_are_read_with_their_length_and_in_chunks() {
        let plain = answer("HTTP/1.1 201 Created\r\nContent-Length: 8\r\n\r\n{\"ID\":1}").await;
        assert_eq!(plain.unwrap()["ID"], 1);
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"I\r\n5\r\nD\":2}\r\n0\r\n\r\n";
        assert_eq!(answer(chunked).await.unwrap()["ID"], 2);
    }

    #[tokio::test]
    async fn a_refusal_is_an_error_with_its_text() {
        let refused = "HTTP/1.1 409 Conflict\r\nContent-Length: 14\r\n\r\n{\"message\":\"\"}";
        let error = answer(refused).await.unwrap_err().to_string();
        assert!(
            error.contains("409") && error.contains("message"),
            "{error}"
        );
    }
}
