//! `KEY=VALUE`.

use std::str::FromStr;
use weft_proto::wire;

/// A label; `KEY` alone has an empty value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::command) struct Label {
    pub(in crate::command) key: String,
    pub(in crate::command) value: String,
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        if key.is_empty() {
            return Err("has no key: write KEY=VALUE".to_owned());
        }
        Ok(Label {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl From<Label> for wire::Label {
    fn from(label: Label) -> Self {
        wire::Label {
            key: label.key,
            value: label.value,
        }
    }
}
