//! Bytes of the nfnetlink wire: message headers, attributes, and reading both back.
//!
//! Small and ours, because the general netlink crates know no nftables: a header is 16 bytes in
//! native order, an attribute is a length, a kind and padding to four bytes, and nftables'
//! integers inside attributes are big endian.

/// The message asks for something.
pub(crate) const REQUEST: u16 = 0x1;
/// Confirm this message even when it succeeds.
pub(crate) const ACK: u16 = 0x4;
/// What was asked for changed while it was being listed.
pub(crate) const DUMP_INTERRUPTED: u16 = 0x10;
/// List all objects.
pub(crate) const DUMP: u16 = 0x300;
/// Make it if it is not there.
pub(crate) const CREATE: u16 = 0x400;
/// Put it after what is there.
pub(crate) const APPEND: u16 = 0x800;
/// An answer that carries an error number (zero: success).
pub(crate) const KIND_ERROR: u16 = 2;
/// The end of a listing.
pub(crate) const KIND_DONE: u16 = 3;

const HEADER: usize = 16;
const NESTED: u16 = 0x8000;
const KIND_MASK: u16 = 0x3fff;

/// What precedes the attributes of one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) seq: u32,
    pub(crate) family: u8,
    /// Only the two ends of a batch use it: the subsystem the batch is for.
    pub(crate) resource: u16,
}

/// Messages being written.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    bytes: Vec<u8>,
    fault: Option<String>,
}

impl Wire {
    /// Everything written, or why it cannot be sent.
    pub(crate) fn finish(self) -> Result<Vec<u8>, String> {
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(self.bytes),
        }
    }

    /// Remembers the first thing that cannot be expressed; `finish` then refuses. This keeps the
    /// encoders free of error plumbing without ever sending something half right.
    pub(crate) fn fault(&mut self, why: String) {
        self.fault.get_or_insert(why);
    }

    /// Whether something could not be expressed so far.
    pub(crate) fn faulty(&self) -> bool {
        self.fault.is_some()
    }

    /// Writes one whole message.
    pub(crate) fn message(&mut self, header: Header, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.bytes.extend(header.kind.to_ne_bytes());
        self.bytes.extend(header.flags.to_ne_bytes());
        self.bytes.extend(header.seq.to_ne_bytes());
        self.bytes.extend([0; 4]);
        self.bytes.extend([header.family, 0]);
        self.bytes.extend(header.resource.to_be_bytes());
        body(self);
        match u32::try_from(self.bytes.len() - start) {
            Ok(length) => self.patch(start, &length.to_ne_bytes()),
            Err(_) => self.fault("message exceeds 4 GiB".to_owned()),
        }
    }

    /// Writes an attribute of plain bytes.
    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) {
        self.attribute(kind, |wire| wire.bytes.extend(value));
    }

    /// Writes a number the way nftables wants it.
    pub(crate) fn number(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Writes a name, with its end mark.
    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        self.attribute(kind, |wire| {
            wire.bytes.extend(value.as_bytes());
            wire.bytes.push(0);
        });
    }

    /// Writes bytes that are attributes already.
    pub(crate) fn raw(&mut self, attributes: &[u8]) {
        self.bytes.extend(attributes);
    }

    /// Writes an attribute that holds attributes.
    pub(crate) fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        self.attribute(kind | NESTED, body);
    }

    fn attribute(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        body(self);
        match u16::try_from(self.bytes.len() - start) {
            Ok(length) => self.patch(start, &length.to_ne_bytes()),
            Err(_) => self.fault(format!("attribute {} exceeds 64 KiB", kind & KIND_MASK)),
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn patch(&mut self, at: usize, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    }
}

/// One received message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) seq: u32,
    /// What follows the netlink header.
    pub(crate) payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The error number an answer carries; zero for success, `None` when there is none.
    pub(crate) fn code(&self) -> Option<i32> {
        Some(i32::from_ne_bytes(array(self.payload, 0)?))
    }

    /// Address family and attributes of an nftables object.
    pub(crate) fn object(&self) -> Option<(u8, Attributes<'a>)> {
        Some((*self.payload.first()?, attributes(self.payload.get(4..)?)))
    }
}

/// Walks the messages of one datagram; stops at the first malformed one.
pub(crate) fn messages(mut rest: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(array(rest, 0)?)).ok()?;
        let message = Message {
            kind: u16::from_ne_bytes(array(rest, 4)?),
            flags: u16::from_ne_bytes(array(rest, 6)?),
            seq: u32::from_ne_bytes(array(rest, 8)?),
            payload: rest.get(HEADER..length)?,
        };
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// Attributes being read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes<'a>(&'a [u8]);

/// Reads the attributes in `bytes`; stops at the first malformed one.
pub(crate) fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes(bytes)
}

impl<'a> Attributes<'a> {
    /// The first attribute of this kind.
    pub(crate) fn get(mut self, kind: u16) -> Option<&'a [u8]> {
        self.find(|(found, _)| *found == kind)
            .map(|(_, value)| value)
    }

    /// A name, without its end mark.
    pub(crate) fn text(self, kind: u16) -> Option<String> {
        let value = self.get(kind)?;
        let end = value
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(value.len());
        Some(String::from_utf8_lossy(value.get(..end)?).into_owned())
    }

    /// The attributes inside one.
    pub(crate) fn nested(self, kind: u16) -> Option<Attributes<'a>> {
        self.get(kind).map(attributes)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16::from_ne_bytes(array(self.0, 0)?));
        let kind = u16::from_ne_bytes(array(self.0, 2)?) & KIND_MASK;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}
