//! How messages with data of secrets are shown: without it.

use crate::wire;
use std::fmt;

macro_rules! redacted {
    ($($name:ident { $($field:ident),* })*) => {$(
        impl fmt::Debug for wire::$name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($field), &self.$field))*
                    .field("data", &format_args!("({} bytes)", self.data.len()))
                    .finish()
            }
        }
    )*};
}
redacted! {
    MaterialVersion { number, at_ms }
    MaterialRecord { kind, id, version, name, template }
    CreateMaterialRequest { spec, request_id }
    UpdateMaterialRequest { target, request_id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_shows_data() {
        let data = || b"hunter2".to_vec();
        let shown = [
            format!(
                "{:?}",
                wire::MaterialVersion {
                    data: data(),
                    ..Default::default()
                }
            ),
            format!(
                "{:?}",
                wire::MaterialRecord {
                    data: data(),
                    ..Default::default()
                }
            ),
            format!(
                "{:?}",
                wire::CreateMaterialRequest {
                    data: data(),
                    ..Default::default()
                }
            ),
            format!(
                "{:?}",
                wire::UpdateMaterialRequest {
                    data: data(),
                    ..Default::default()
                }
            ),
        ];
        for text in shown {
            assert!(text.contains("(7 bytes)"), "{text}");
            assert!(!text.contains("104") && !text.contains("hunter"), "{text}");
        }
    }
}
