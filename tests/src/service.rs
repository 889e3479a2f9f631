//! What `weft whoami` says.

use anyhow::Context;

/// An answer of `weft whoami`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whoami {
    /// The address that called, as the task saw it, without the port.
    pub client: String,
    /// The task that answered.
    pub task: String,
}

impl Whoami {
    /// Reads the page.
    pub fn parse(page: &str) -> anyhow::Result<Whoami> {
        let field = |name: &str| {
            page.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(|value| value.trim().to_owned())
                .with_context(|| format!("no {name} in {page:?}"))
        };
        let client = field("client")?;
        let client = client
            .rsplit_once(':')
            .map_or(client.as_str(), |(addr, _)| addr);
        Ok(Whoami {
            client: client.to_owned(),
            task: field("task")?,
        })
    }
}
