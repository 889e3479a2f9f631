//! Published ports: `8080:80`, `8080:80/udp`, `80`, `published=8080,target=80,protocol=tcp`,
//! `mode=host,published=8080,target=80`.

use weft_proto::wire;

/// A port, and who answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command) enum Published {
    /// Every node.
    Mesh(wire::Port),
    /// The node of each task, for that task.
    Host(wire::Port),
}

impl Published {
    /// The port, whoever answers it.
    pub(in crate::command) fn port(&self) -> &wire::Port {
        match self {
            Published::Mesh(port) | Published::Host(port) => port,
        }
    }

    /// Puts it where a spec has such ports.
    pub(in crate::command) fn put(self, spec: &mut wire::ServiceSpec) {
        match self {
            Published::Mesh(port) => spec.ports.push(port),
            Published::Host(port) => spec.task.get_or_insert_default().host_ports.push(port),
        }
    }
}

/// Parses a port that every node answers for the service; with the target alone the cluster
/// chooses one out of 30000 to 32767. In mode host only the nodes of tasks answer it.
///
/// # Errors
/// What is wrong, or cannot be had yet, and how to write it.
pub(in crate::command) fn parse(text: &str) -> Result<Published, String> {
    if text.contains('=') {
        long(text)
    } else {
        short(text).map(Published::Mesh)
    }
}

/// What people write to take a port away again: its target as in `80`, `80/udp`.
///
/// # Errors
/// What is wrong, and how to write it.
pub(in crate::command) fn target(text: &str) -> Result<wire::Port, String> {
    let (number, protocol) = with_protocol(text)?;
    Ok(wire::Port {
        protocol,
        target: port(number)?,
        published: 0,
    })
}

const SHAPE: &str = "write it like 8080:80, 8080:80/udp, 80, or published=8080,target=80";

fn short(text: &str) -> Result<wire::Port, String> {
    let (numbers, protocol) = with_protocol(text)?;
    let parts: Vec<&str> = numbers.split(':').collect();
    let (published, target) = match parts.as_slice() {
        [target] => (0, port(target)?),
        [published, target] => (port(published)?, port(target)?),
        _ => {
            return Err(format!(
                "publishes on one address, which comes with a later release: {SHAPE}"
            ));
        }
    };
    Ok(wire::Port {
        protocol,
        target,
        published,
    })
}

fn long(text: &str) -> Result<Published, String> {
    let mut host = false;
    let mut wire = wire::Port {
        protocol: wire::Protocol::Tcp.into(),
        target: 0,
        published: 0,
    };
    for pair in text.split(',') {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("has a part without '=' ({pair}): {SHAPE}"))?;
        match (key, value) {
            ("published", number) => wire.published = port(number)?,
            ("target", number) => wire.target = port(number)?,
            ("protocol", name) => wire.protocol = protocol(name)?,
            ("mode", "ingress") => {}
            ("mode", "host") => host = true,
            ("mode", other) => return Err(format!("has mode {other:?}: use ingress or host")),
            (key, _) => {
                return Err(format!(
                    "has an unknown key {key:?}: use published, target, protocol and mode"
                ));
            }
        }
    }
    if wire.target == 0 {
        return Err(format!(
            "does not say the target, the port that tasks listen on: {SHAPE}"
        ));
    }
    match host {
        false => Ok(Published::Mesh(wire)),
        true if wire.published == 0 => Err(
            "does not say which port the nodes answer, and in mode host the cluster chooses none: \
             write it like mode=host,published=8080,target=80"
                .to_owned(),
        ),
        true => Ok(Published::Host(wire)),
    }
}

fn with_protocol(text: &str) -> Result<(&str, i32), String> {
    let (numbers, name) = text.split_once('/').unwrap_or((text, "tcp"));
    Ok((numbers, protocol(name)?))
}

fn protocol(name: &str) -> Result<i32, String> {
    match name {
        "tcp" => Ok(wire::Protocol::Tcp.into()),
        "udp" => Ok(wire::Protocol::Udp.into()),
        other => Err(format!("has protocol {other:?}: use tcp or udp")),
    }
}

fn port(text: &str) -> Result<u32, String> {
    match text.parse::<u16>() {
        Ok(number) if number != 0 => Ok(number.into()),
        Err(_) if text.contains('-') && !text.starts_with('-') => Err(format!(
            "has a range of ports ({text}): repeat the flag, once for each port"
        )),
        _ => Err(format!("has no port in {text:?} (1 to 65535): {SHAPE}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(published: u32, target: u32) -> wire::Port {
        wire::Port {
            protocol: wire::Protocol::Tcp.into(),
            target,
            published,
        }
    }

    fn tcp(published: u32, target: u32) -> Result<Published, String> {
        Ok(Published::Mesh(port(published, target)))
    }

    #[test]
    fn ports_are_written_short_or_long() {
        assert_eq!(parse("8080:80"), tcp(8080, 80));
        assert_eq!(parse("8080:80/tcp"), tcp(8080, 80));
        assert_eq!(parse("80"), tcp(0, 80));
        assert_eq!(parse("published=8080,target=80"), tcp(8080, 80));
        assert_eq!(parse("target=80,mode=ingress"), tcp(0, 80));
        let udp = wire::Port {
            protocol: wire::Protocol::Udp.into(),
            target: 53,
            published: 5353,
        };
        let udp = Ok(Published::Mesh(udp));
        assert_eq!(parse("5353:53/udp"), udp);
        assert_eq!(parse("published=5353,target=53,protocol=udp"), udp);
        assert_eq!(target("80"), Ok(port(0, 80)));
        let host = parse("mode=host,target=80,published=8080");
        assert_eq!(host, Ok(Published::Host(port(8080, 80))));
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", "no port in \"\""),
            ("0:80", "1 to 65535"),
            ("65536:80", "1 to 65535"),
            ("-1:80", "1 to 65535"),
            ("a:b", "1 to 65535"),
            ("8000-8010:80", "repeat the flag"),
            ("127.0.0.1:8080:80", "later release"),
            ("8080:80/sctp", "use tcp or udp"),
            ("published=8080", "does not say the target"),
            (
                "target=80,mode=host",
                "does not say which port the nodes answer",
            ),
            ("target=80,mode=both", "use ingress or host"),
            ("target=80,colour=red", "unknown key \"colour\""),
            ("target=80,x", "without '='"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
