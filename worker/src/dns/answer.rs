//! From a packet to what to do about it, and from a message to bytes that fit. Pure.

use hickory_proto::ProtoError;
use hickory_proto::op::Edns;
use hickory_proto::op::Header;
use hickory_proto::op::Message;
use hickory_proto::op::MessageType;
use hickory_proto::op::Metadata;
use hickory_proto::op::OpCode;
use hickory_proto::op::ResponseCode;
use hickory_proto::op::emit_message_parts;
use hickory_proto::rr::DNSClass;
use hickory_proto::serialize::binary::BinDecodable;
use hickory_proto::serialize::binary::BinDecoder;
use hickory_proto::serialize::binary::BinEncoder;

use super::table::DnsTable;
use super::table::Outcome;

/// Largest UDP answer to a client without EDNS, in bytes (RFC 1035 s.4.2.1).
const PLAIN_UDP_LIMIT: u16 = 512;

/// Largest UDP answer at all, in bytes, and the size we offer. More than the 1232 of the public
/// internet, since the packet never leaves the task's loopback (MTU 65536).
const EDNS_UDP_LIMIT: u16 = 4096;

/// How a client is connected, which bounds the size of its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// What to do with a packet.
#[derive(Debug)]
pub(super) enum Decision {
    /// No header, or not a question: silence, or two servers could talk to each other for ever.
    Ignore,
    Reply(Message),
    /// Exactly one well-formed question, not ours.
    Forward(Message),
}

/// Decides one packet. Never panics, whatever the bytes.
pub(super) fn decide(
    packet: &[u8],
    table: &DnsTable,
    may_forward: bool,
    rotation: usize,
) -> Decision {
    // The header alone first: the codec sets memory aside for as many questions as the header
    // claims, up to 65,535, and most nonsense ends here.
    let Ok(header) = Header::read(&mut BinDecoder::new(packet)) else {
        return Decision::Ignore;
    };
    if header.metadata.message_type != MessageType::Query {
        return Decision::Ignore;
    }
    let refuse_unread = |code| {
        let Metadata { id, op_code, .. } = header.metadata;
        Decision::Reply(Message::error_msg(id, op_code, code))
    };
    if header.metadata.op_code != OpCode::Query {
        return refuse_unread(ResponseCode::NotImp);
    }
    if header.counts.queries != 1 {
        return refuse_unread(ResponseCode::FormErr);
    }
    let Ok(request) = Message::from_vec(packet) else {
        return refuse_unread(ResponseCode::FormErr);
    };
    let refuse = |code| Decision::Reply(failure(&request, code));
    if request.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        return refuse(ResponseCode::BADVERS);
    }
    let [question] = request.queries.as_slice() else {
        return refuse(ResponseCode::FormErr);
    };
    if question.query_class() != DNSClass::IN {
        return refuse(ResponseCode::Refused);
    }
    match table.resolve(question, rotation) {
        Outcome::Answer(answer) => {
            let mut reply = empty_reply(&request);
            reply.metadata.authoritative = true;
            reply.answers = answer.records;
            reply.additionals = answer.additionals;
            Decision::Reply(reply)
        }
        // Negative answers carry no SOA, so nobody keeps them: a service created a moment later
        // is found by the next question.
        Outcome::NoData => {
            let mut reply = empty_reply(&request);
            reply.metadata.authoritative = true;
            Decision::Reply(reply)
        }
        Outcome::NoSuchName => refuse(ResponseCode::NXDomain),
        Outcome::NotOurs if may_forward => Decision::Forward(request),
        // NXDOMAIN and not REFUSED: on the latter libc asks again and then reports a temporary
        // failure; a task that may not reach outside shall hear "no such name" at once.
        Outcome::NotOurs => refuse(ResponseCode::NXDomain),
    }
}

/// A reply to `request` that only says what went wrong.
pub(super) fn failure(request: &Message, code: ResponseCode) -> Message {
    let mut reply = empty_reply(request);
    reply.metadata.response_code = code;
    reply
}

/// Largest answer this client takes, in bytes.
pub(super) fn size_limit(request: &Message, transport: Transport) -> u16 {
    match (transport, &request.edns) {
        (Transport::Tcp, _) => u16::MAX,
        (Transport::Udp, None) => PLAIN_UDP_LIMIT,
        (Transport::Udp, Some(edns)) => edns.max_payload().clamp(PLAIN_UDP_LIMIT, EDNS_UDP_LIMIT),
    }
}

/// Same for a reply of ours, whose EDNS part repeats what the client offered.
pub(super) fn encode_reply(
    reply: &mut Message,
    transport: Transport,
    out: &mut Vec<u8>,
) -> Result<(), ProtoError> {
    let limit = size_limit(reply, transport);
    if let Some(edns) = &mut reply.edns {
        edns.set_max_payload(EDNS_UDP_LIMIT);
    }
    encode(reply, limit, out)
}

/// Encodes into `out`, replacing its contents. What does not fit in `limit` bytes is left out
/// and the message marked truncated; as many answers as fit are kept, because old stub resolvers
/// take those instead of asking again over TCP.
pub(super) fn encode(
    message: &mut Message,
    limit: u16,
    out: &mut Vec<u8>,
) -> Result<(), ProtoError> {
    let (answers, truncated) = emit(message, limit, out)?;
    if !truncated || message.metadata.truncation {
        return Ok(());
    }
    message.additionals.clear();
    message.authorities.clear();
    if answers < message.answers.len() {
        // One record fewer than fit makes room for the EDNS record (11 bytes; the smallest
        // answer has 12 before its data), which must not be lost.
        message.answers.truncate(answers.saturating_sub(1));
        message.metadata.truncation = true;
    }
    emit(message, limit, out)?;
    Ok(())
}

fn emit(message: &Message, limit: u16, out: &mut Vec<u8>) -> Result<(usize, bool), ProtoError> {
    out.clear();
    let mut encoder = BinEncoder::new(out);
    encoder.set_max_size(limit);
    let header = emit_message_parts(
        &message.metadata,
        &mut message.queries.iter(),
        &mut message.answers.iter(),
        &mut message.authorities.iter(),
        &mut message.additionals.iter(),
        message.edns.as_ref(),
        None,
        &mut encoder,
    )?;
    Ok((
        usize::from(header.counts.answers),
        header.metadata.truncation,
    ))
}

fn empty_reply(request: &Message) -> Message {
    let mut reply = Message::response(request.metadata.id, request.metadata.op_code);
    reply.metadata = Metadata::response_from_request(&request.metadata);
    // Said even where nothing is forwarded: without it dig warns, and some stubs look elsewhere.
    reply.metadata.recursion_available = true;
    reply.queries.clone_from(&request.queries);
    if let Some(asked) = &request.edns {
        let mut edns = Edns::new();
        edns.set_max_payload(asked.max_payload()).set_version(0);
        reply.edns = Some(edns);
    }
    reply
}
