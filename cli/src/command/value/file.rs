//! Secrets and configs of a service: `NAME`, or `source=NAME,target=FILE,uid=1,gid=1,mode=0400`.

use weft_proto::wire;

/// Parses a use of a secret; whether there is one is for a manager to say.
///
/// # Errors
/// What is wrong, and how to write it.
pub(in crate::command) fn secret(text: &str) -> Result<wire::FileReference, String> {
    parse(text, wire::MaterialKind::Secret)
}

/// The same of a config.
///
/// # Errors
/// What is wrong, and how to write it.
pub(in crate::command) fn config(text: &str) -> Result<wire::FileReference, String> {
    parse(text, wire::MaterialKind::Config)
}

fn parse(text: &str, kind: wire::MaterialKind) -> Result<wire::FileReference, String> {
    let mut file = wire::FileReference {
        kind: kind.into(),
        ..wire::FileReference::default()
    };
    if !text.contains('=') {
        text.clone_into(&mut file.material_id);
    } else {
        for pair in text.split(',') {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| format!("has a part without '=' ({pair})"))?;
            match key {
                "source" | "src" => value.clone_into(&mut file.material_id),
                "target" => value.clone_into(&mut file.target),
                "uid" => file.uid = number(key, value)?,
                "gid" => file.gid = number(key, value)?,
                "mode" => file.mode = Some(mode(value)?),
                _ => {
                    return Err(format!(
                        "has an unknown key {key:?}: use source, target, uid, gid and mode"
                    ));
                }
            }
        }
    }
    if file.material_id.is_empty() {
        return Err("has no name: write NAME or source=NAME,target=FILE,mode=0400".to_owned());
    }
    Ok(file)
}

fn number(key: &str, value: &str) -> Result<u32, String> {
    let refused =
        |_| format!("has {key} {value:?}, which is no number: users have names within tasks only");
    value.parse().map_err(refused)
}

fn mode(value: &str) -> Result<u32, String> {
    u32::from_str_radix(value, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| format!("has mode {value:?}: write permissions in octal, like 0400"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_may_say_where_and_for_whom() {
        let plain = secret("pw").unwrap();
        assert_eq!((plain.material_id.as_str(), plain.mode), ("pw", None));
        assert_eq!(plain.kind(), wire::MaterialKind::Secret);
        let long = config("source=site.conf,target=/etc/site.conf,uid=1,gid=2,mode=0440").unwrap();
        assert_eq!(long.kind(), wire::MaterialKind::Config);
        assert_eq!((long.uid, long.gid, long.mode), (1, 2, Some(0o440)));
        assert_eq!(
            (long.material_id.as_str(), long.target.as_str()),
            ("site.conf", "/etc/site.conf")
        );
    }

    #[test]
    fn everything_else_is_refused() {
        for (text, reason) in [
            ("", "no name"),
            ("target=x", "no name"),
            ("source=a,uid=root", "no number"),
            ("source=a,mode=999", "octal"),
            ("source=a,mode=7777", "octal"),
            ("source=a,size=1", "unknown key"),
            ("source=a,x", "without '='"),
        ] {
            let error = secret(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
