//! Requests that are sent again when no answer came, and are done once.

use crate::api::error::ApiError;
use aws_lc_rs::digest::Context;
use aws_lc_rs::digest::SHA256;
use weft_proto::CommandId;
use weft_proto::convert::ConvertError;

/// The longest identifier of a request, in bytes.
const LONGEST: usize = 128;

/// What a caller calls its request, if it may send it again.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestId<'a>(Option<&'a str>);

impl<'a> RequestId<'a> {
    /// Reads what was sent. Empty: there is none.
    pub(super) fn read(text: &'a str) -> Result<Self, ApiError> {
        if text.len() > LONGEST {
            let error = ConvertError::new(format!("has {} bytes, at most {LONGEST}", text.len()));
            return Err(ApiError::Field(error.within("request_id")));
        }
        Ok(RequestId(Some(text).filter(|text| !text.is_empty())))
    }

    /// The identifier of the transaction: the same for the same request of the same `call`.
    pub(super) fn command(self, call: &str) -> Option<CommandId> {
        let id = self.0?;
        Some(CommandId::from_entropy(bits("command", call, id)))
    }

    /// Bits for the identifier of the object that `call` makes: the same for the same request,
    /// otherwise whatever `new` gives.
    pub(super) fn object(self, call: &str, new: impl FnOnce() -> u128) -> u128 {
        self.0.map_or_else(new, |id| bits("object", call, id))
    }
}

fn bits(what: &str, call: &str, id: &str) -> u128 {
    let mut hash = Context::new(&SHA256);
    for part in ["weft request 1", what, call, id] {
        hash.update(part.as_bytes());
        hash.update(&[0]);
    }
    let digest = hash.finish();
    let first = digest.as_ref().iter().take(16);
    first.fold(0, |bits, byte| bits << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_has_one_transaction_and_one_object_and_others_have_others() {
        let id = |text: &str, call: &str| {
            let request = RequestId::read(text).unwrap();
            (request.command(call).unwrap(), request.object(call, || 0))
        };
        assert_eq!(id("a", "create service"), id("a", "create service"));
        let (command, object) = id("a", "create service");
        for (text, call) in [("b", "create service"), ("a", "create network")] {
            let other = id(text, call);
            assert_ne!(command, other.0);
            assert_ne!(object, other.1);
        }
    }

    #[test]
    fn without_a_name_every_call_is_another_request() {
        let none = RequestId::read("").unwrap();
        assert_eq!(none.command("create service"), None);
        assert_eq!(none.object("create service", || 7), 7);
        let long = "x".repeat(LONGEST + 1);
        let error = RequestId::read(&long).unwrap_err().to_string();
        assert!(error.contains("request_id"), "{error}");
    }
}
