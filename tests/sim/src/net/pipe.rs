//! One connection.

use crate::net::Net;
use crate::net::Place;
use bytes::Buf;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::task::ready;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::time::Instant;
use tokio::time::Sleep;
use tokio::time::sleep_until;
use tonic::transport::server::Connected;

/// Both directions of a connection.
#[derive(Debug)]
pub(super) struct Line {
    net: Net,
    /// Whose ends these are: the one who opened it, the one who accepted it.
    places: [Place; 2],
    /// What goes from each end.
    from: [Mutex<Direction>; 2],
}

#[derive(Debug, Default)]
struct Direction {
    packets: VecDeque<(Instant, Bytes)>,
    last: Option<Instant>,
    /// The sender will send no more.
    ended: bool,
    /// The sender's process is dead.
    dead: bool,
    reader: Option<Waker>,
}

impl Direction {
    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Line {
    /// The process at a place is dead: its end says and hears nothing more, the other one notices.
    pub(super) fn die(&self, place: Place) {
        for (end, whose) in self.places.iter().enumerate() {
            if *whose == place {
                let mut said = self.from[end].lock();
                said.dead = true;
                said.ended = true;
                said.wake();
                let mut heard = self.from[1 - end].lock();
                heard.packets.clear();
                heard.wake();
            }
        }
    }

    /// What waits on either end looks again.
    pub(super) fn wake(&self) {
        for direction in &self.from {
            direction.lock().wake();
        }
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct Pipe {
    line: Arc<Line>,
    end: usize,
    sleep: Option<Pin<Box<Sleep>>>,
}

pub(super) fn pair(net: Net, opener: Place, acceptor: Place) -> (Pipe, Pipe, Arc<Line>) {
    let line = Arc::new(Line {
        net,
        places: [opener, acceptor],
        from: [Mutex::default(), Mutex::default()],
    });
    let end = |end| Pipe {
        line: Arc::clone(&line),
        end,
        sleep: None,
    };
    (end(0), end(1), Arc::clone(&line))
}

impl Pipe {
    fn said(&self) -> &Mutex<Direction> {
        &self.line.from[self.end]
    }

    fn heard(&self) -> &Mutex<Direction> {
        &self.line.from[1 - self.end]
    }

    fn is_dead(&self) -> bool {
        self.said().lock().dead
    }
}

fn broken() -> io::Error {
    io::Error::from(io::ErrorKind::BrokenPipe)
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.is_dead() {
                return Poll::Ready(Err(broken()));
            }
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(context));
                self.sleep = None;
            }
            let line = Arc::clone(&self.line);
            let [from, to] = [line.places[1 - self.end], line.places[self.end]];
            let cut = line.net.is_cut(from, to);
            let mut heard = self.heard().lock();
            let arrives = heard.packets.front().map(|(at, _)| *at);
            let now = Instant::now();
            match arrives {
                Some(at) if !cut && at <= now => {
                    if let Some((_, bytes)) = heard.packets.front_mut() {
                        let len = bytes.len().min(buffer.remaining());
                        buffer.put_slice(&bytes[..len]);
                        bytes.advance(len);
                        if bytes.is_empty() {
                            heard.packets.pop_front();
                        }
                    }
                    return Poll::Ready(Ok(()));
                }
                Some(at) if !cut => {
                    // Its death is news before the packet is.
                    heard.reader = Some(context.waker().clone());
                    drop(heard);
                    self.sleep = Some(Box::pin(sleep_until(at)));
                }
                None if !cut && heard.dead => {
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::ConnectionReset)));
                }
                None if !cut && heard.ended => return Poll::Ready(Ok(())),
                Some(_) | None => {
                    heard.reader = Some(context.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let gone = {
            let heard = self.heard().lock();
            heard.dead && heard.packets.is_empty()
        };
        let delay = self.line.net.delay();
        let mut said = self.said().lock();
        if said.ended || gone {
            return Poll::Ready(Err(broken()));
        }
        let now = Instant::now();
        let at = said.last.map_or(now + delay, |last| last.max(now + delay));
        said.last = Some(at);
        said.packets.push_back((at, Bytes::copy_from_slice(bytes)));
        said.wake();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut said = self.said().lock();
        said.ended = true;
        said.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut said = self.said().lock();
        said.ended = true;
        said.wake();
    }
}

/// The address that a server sees of its callers.
impl Connected for Pipe {
    type ConnectInfo = Place;

    fn connect_info(&self) -> Place {
        self.line.places[1 - self.end]
    }
}
