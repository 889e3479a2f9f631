//! Networks of a service: `NAME`, or `name=NAME,alias=ALIAS`.

use weft_proto::Name;
use weft_proto::wire;

/// Parses an attachment; whether there is such a network is for a manager to say.
///
/// # Errors
/// What is wrong, and how to write it.
pub(in crate::command) fn parse(text: &str) -> Result<wire::NetworkAttachment, String> {
    if text.is_empty() {
        return Err("has no name: write NETWORK or name=NETWORK,alias=ALIAS".to_owned());
    }
    let mut attachment = wire::NetworkAttachment::default();
    if !text.contains('=') {
        attachment.network_id = text.to_owned();
        return Ok(attachment);
    }
    for pair in text.split(',') {
        match pair.split_once('=') {
            Some(("name", name)) => attachment.network_id = name.to_owned(),
            Some(("alias", alias)) => {
                let alias: Name = alias.parse().map_err(|error| format!("alias {error}"))?;
                attachment.aliases.push(alias.to_string());
            }
            Some((key, _)) => {
                return Err(format!("has an unknown key {key:?}: use name and alias"));
            }
            None => return Err(format!("has a part without '=' ({pair})")),
        }
    }
    if attachment.network_id.is_empty() {
        return Err("has no name: write name=NETWORK,alias=ALIAS".to_owned());
    }
    Ok(attachment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_may_come_with_aliases() {
        let plain = parse("net").unwrap();
        assert_eq!((plain.network_id.as_str(), plain.aliases.len()), ("net", 0));
        let long = parse("name=net,alias=db,alias=store").unwrap();
        assert_eq!(long.network_id, "net");
        assert_eq!(long.aliases, ["db", "store"]);
    }

    #[test]
    fn everything_else_is_refused() {
        for (text, reason) in [
            ("", "no name"),
            ("alias=db", "no name"),
            ("name=net,alias=A", "cannot be a name"),
            ("name=net,ip=1", "unknown key"),
            ("name=net,x", "without '='"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
