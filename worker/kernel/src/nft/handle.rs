//! A netfilter socket in a network namespace, and the talk over it.

use super::batch::Batch;
use super::encode::SUBSYSTEM;
use super::encode::encode;
use super::error::NftError;
use super::wire;
use super::wire::Header;
use super::wire::Message;
use super::wire::Wire;
use netlink_sys::Socket;
use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sched::setns;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::recv;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::sockopt::SndBufForce;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::thread;

/// Netfilter's number among the netlink protocols.
const NETLINK_NETFILTER: isize = 12;
/// Room for answers, in bytes: some ten thousand refusals.
const ANSWER_ROOM: usize = 8 << 20;
/// More than the kernel puts into one datagram of a listing (32 KiB).
const DATAGRAM: usize = 64 << 10;
/// Listings are tried this often before giving up on a ruleset that keeps changing.
const LIST_TRIES: u32 = 20;

/// nftables of one network namespace.
///
/// Calls block for as long as the kernel works on them: microseconds, or some tens of
/// milliseconds for tens of thousands of elements.
pub struct Nft {
    socket: Socket,
    seq: u32,
}

impl std::fmt::Debug for Nft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nft")
            .field("fd", &self.socket.as_raw_fd())
            .finish_non_exhaustive()
    }
}

impl Nft {
    /// nftables of the calling thread's namespace.
    pub fn open() -> Result<Self, NftError> {
        let open = |source| NftError::Open { source };
        let mut socket = Socket::new(NETLINK_NETFILTER).map_err(open)?;
        socket.bind_auto().map_err(open)?;
        // Refusals then do not repeat the refused message, which may be 64 KiB.
        socket.set_cap_ack(true).map_err(open)?;
        // Without the right to exceed the system's limit, the limit has to do.
        let _ = setsockopt(&socket, RcvBufForce, &ANSWER_ROOM);
        Ok(Self { socket, seq: 1 })
    }

    /// nftables of another namespace.
    ///
    /// A thread enters the namespace, makes the socket and ends: a socket belongs for its life
    /// to the namespace it was made in, and no other thread ever leaves its own.
    pub fn open_in(netns: BorrowedFd<'_>) -> Result<Self, NftError> {
        thread::scope(|scope| {
            let enter = || {
                setns(netns, CloneFlags::CLONE_NEWNET)
                    .map_err(|source| NftError::Enter { source })?;
                Self::open()
            };
            let thread = thread::Builder::new()
                .name("nft-netns".to_owned())
                .spawn_scoped(scope, enter)
                .map_err(|source| NftError::Thread { source })?;
            thread.join().unwrap_or_else(|_| {
                let source = std::io::Error::other("the thread ended without an answer");
                Err(NftError::Thread { source })
            })
        })
    }

    /// Makes all changes of the batch, or none.
    ///
    /// # Errors
    /// [`NftError::Refused`] names the first step the kernel did not accept. After every error
    /// but [`NftError::Receive`] and [`NftError::Unanswered`] nothing has changed.
    pub fn commit(&mut self, batch: &Batch) -> Result<(), NftError> {
        let steps = batch.steps().len();
        let encoded = encode(batch, self.seq)?;
        if encoded.owners.is_empty() {
            return Ok(());
        }
        self.seq = encoded.last_seq.wrapping_add(2);
        self.send(&encoded.bytes)?;
        let mut confirmed = false;
        let mut refused: Option<(u32, Errno)> = None;
        // The kernel works while we send: all answers are there by now.
        self.receive(MsgFlags::MSG_DONTWAIT, |message| {
            let offset = message.seq.wrapping_sub(encoded.first_seq);
            let of_this_batch = offset <= encoded.last_seq.wrapping_sub(encoded.first_seq);
            match message.code() {
                Some(code) if message.kind == wire::KIND_ERROR && of_this_batch => {
                    if code == 0 {
                        confirmed |= message.seq == encoded.last_seq;
                    } else if refused.is_none_or(|(first, _)| offset < first) {
                        refused = Some((offset, Errno::from_raw(code.saturating_neg())));
                    }
                }
                _ => {}
            }
            true
        })?;
        let Some((offset, source)) = refused else {
            return if confirmed {
                Ok(())
            } else {
                Err(NftError::Unanswered { steps })
            };
        };
        let message = usize::try_from(offset)
            .ok()
            .and_then(|offset| offset.checked_sub(1));
        match message.and_then(|message| encoded.owners.get(message)) {
            Some(&step) => {
                let object = batch
                    .steps()
                    .get(step)
                    .map(ToString::to_string)
                    .unwrap_or_default();
                Err(NftError::Refused {
                    step,
                    object,
                    source,
                })
            }
            None => Err(NftError::RefusedAll { steps, source }),
        }
    }

    /// Asks for a listing and hands every object to `each`; begins again when the ruleset
    /// changed meanwhile.
    pub(super) fn list<T>(
        &mut self,
        what: &str,
        (kind, family): (u16, u8),
        body: impl Fn(&mut Wire),
        mut each: impl FnMut(&mut Vec<T>, Message<'_>),
    ) -> Result<Vec<T>, NftError> {
        for _ in 0..LIST_TRIES {
            let seq = self.seq;
            self.seq = seq.wrapping_add(1);
            let mut request = Wire::default();
            let flags = wire::REQUEST | wire::DUMP;
            let kind = SUBSYSTEM << 8 | kind;
            request.message(
                Header {
                    kind,
                    flags,
                    seq,
                    family,
                    resource: 0,
                },
                &body,
            );
            let request = request.finish().map_err(|_| NftError::List {
                what: what.to_owned(),
                source: Errno::ENAMETOOLONG,
            })?;
            self.send(&request)?;
            let mut found = Vec::new();
            let mut interrupted = false;
            let mut failed = 0;
            self.receive(MsgFlags::empty(), |message| {
                if message.seq != seq {
                    return true;
                }
                interrupted |= message.flags & wire::DUMP_INTERRUPTED != 0;
                if message.kind == wire::KIND_DONE || message.kind == wire::KIND_ERROR {
                    failed = message.code().unwrap_or(0);
                    return false;
                }
                each(&mut found, message);
                true
            })?;
            if failed == 0 && !interrupted {
                return Ok(found);
            }
            let source = Errno::from_raw(failed.saturating_neg());
            if failed != 0 && source != Errno::EINTR {
                return Err(NftError::List {
                    what: what.to_owned(),
                    source,
                });
            }
        }
        Err(NftError::Restless {
            what: what.to_owned(),
            tries: LIST_TRIES,
        })
    }

    fn send(&self, bytes: &[u8]) -> Result<(), NftError> {
        // A transaction is one datagram, whatever its size. Without the right to exceed the
        // system's limit a large one fails below, with the size in the error.
        let _ = setsockopt(&self.socket, SndBufForce, &(bytes.len() + DATAGRAM));
        match self.socket.send(bytes, 0) {
            Ok(_) => Ok(()),
            Err(source) => Err(NftError::Send {
                bytes: bytes.len(),
                source,
            }),
        }
    }

    /// Reads until `each` has enough, or, when told not to wait, until nothing is left.
    fn receive(
        &self,
        flags: MsgFlags,
        mut each: impl FnMut(Message<'_>) -> bool,
    ) -> Result<(), NftError> {
        let mut datagram = vec![0; DATAGRAM];
        loop {
            match recv(self.socket.as_raw_fd(), &mut datagram, flags) {
                Ok(length) => {
                    let bytes = datagram.get(..length).unwrap_or_default();
                    for message in wire::messages(bytes) {
                        if !each(message) {
                            return Ok(());
                        }
                    }
                }
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => {}
                // So many refusals that some were lost; those left still tell enough. (Listings
                // wait for room instead.)
                Err(Errno::ENOBUFS) if flags.contains(MsgFlags::MSG_DONTWAIT) => {}
                Err(source) => return Err(NftError::Receive { source }),
            }
        }
    }
}
