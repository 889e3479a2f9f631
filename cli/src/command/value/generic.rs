//! `NAME=COUNT`: things that are only counted.

use std::str::FromStr;
use weft_proto::Name;
use weft_proto::wire;

/// An amount of something that is only counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::command) struct GenericResource {
    pub(in crate::command) name: Name,
    pub(in crate::command) count: u64,
}

impl FromStr for GenericResource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "is no counted resource: write NAME=COUNT, like gpu=2".to_owned();
        let (name, count) = text.split_once('=').ok_or_else(wrong)?;
        let name = name.parse().map_err(|err| format!("{err}"))?;
        match count.parse() {
            Ok(count @ 1..) => Ok(GenericResource { name, count }),
            Ok(0) | Err(_) => Err(wrong()),
        }
    }
}

impl From<GenericResource> for wire::GenericResource {
    fn from(resource: GenericResource) -> Self {
        wire::GenericResource {
            name: resource.name.to_string(),
            count: resource.count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_resources_are_a_name_and_a_number() {
        let parsed: GenericResource = "gpu=2".parse().unwrap();
        assert_eq!((parsed.name.as_str(), parsed.count), ("gpu", 2));
        for text in ["", "gpu", "gpu=", "gpu=0", "gpu=-1", "=1", "GPU=1", "gpu=x"] {
            assert!(text.parse::<GenericResource>().is_err(), "{text}");
        }
    }
}
