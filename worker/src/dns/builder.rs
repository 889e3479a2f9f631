//! Builds a [`DnsTable`] from plain data.

use std::net::IpAddr;

use hickory_proto::ProtoError;
use hickory_proto::rr::LowerName;
use hickory_proto::rr::Name;
use hickory_proto::rr::rdata::SRV;
use ipnet::IpNet;

use super::DEFAULT_TTL_SECONDS;
use super::table::DnsTable;
use super::table::Entry;

/// A name that cannot be put on the wire. The rest of the table is unaffected; leave the name out.
#[derive(Debug, thiserror::Error)]
#[error("{name:?} cannot be a DNS name (labels of 1 to 63 characters, 253 in all)")]
pub struct InvalidName {
    name: String,
    #[source]
    source: Option<ProtoError>,
}

/// Where an SRV record points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrvTarget {
    /// Name of the task or service that listens.
    pub target: String,
    /// The port it listens on.
    pub port: u16,
}

/// Collects what one task can see. Names are taken without a search domain, in any case, with or
/// without a trailing dot. The same name given twice collects the addresses of both: that is how
/// an alias shared by several services, or a service on two networks, comes about.
#[derive(Clone, Debug)]
pub struct DnsTableBuilder {
    table: DnsTable,
}

impl Default for DnsTableBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl DnsTableBuilder {
    /// No names, default TTL.
    pub fn new() -> Self {
        let table = DnsTable {
            ttl: DEFAULT_TTL_SECONDS,
            ..DnsTable::default()
        };
        Self { table }
    }

    /// TTL in seconds of the names added from here on, and of all reverse names.
    pub fn ttl(&mut self, seconds: u32) -> &mut Self {
        self.table.ttl = seconds;
        self
    }

    /// A service reached through virtual addresses: the name, and the way back from each address.
    pub fn service(&mut self, service: &str, vips: &[IpAddr]) -> Result<&mut Self, InvalidName> {
        self.name(service, vips)?.reverse(vips, service)
    }

    /// A service without virtual addresses (`dnsrr`): the name stands for all healthy tasks.
    pub fn round_robin(
        &mut self,
        service: &str,
        healthy: &[IpAddr],
    ) -> Result<&mut Self, InvalidName> {
        self.name(service, healthy)
    }

    /// `tasks.<service>`: the addresses of all healthy tasks; none of them is an empty answer.
    pub fn tasks_of(
        &mut self,
        service: &str,
        healthy: &[IpAddr],
    ) -> Result<&mut Self, InvalidName> {
        self.name(&format!("tasks.{service}"), healthy)
    }

    /// One task (`web.1`), also for the asking task's own host name: the name and the way back.
    pub fn task(&mut self, name: &str, addresses: &[IpAddr]) -> Result<&mut Self, InvalidName> {
        self.name(name, addresses)?.reverse(addresses, name)
    }

    /// Any further name for these addresses, such as a network alias; no way back.
    pub fn name(&mut self, name: &str, addresses: &[IpAddr]) -> Result<&mut Self, InvalidName> {
        let entry = self.entry(name)?;
        for address in addresses {
            match address {
                IpAddr::V4(v4) => push_new(&mut entry.v4, *v4),
                IpAddr::V6(v6) => push_new(&mut entry.v6, *v6),
            }
        }
        Ok(self)
    }

    /// Answers PTR questions for each address with this name, after those given earlier.
    pub fn reverse(&mut self, addresses: &[IpAddr], name: &str) -> Result<&mut Self, InvalidName> {
        let target = parse(name)?;
        for &address in addresses {
            push_new(
                self.table.reverse.entry(address).or_default(),
                target.clone(),
            );
        }
        Ok(self)
    }

    /// SRV records, equal in priority and weight, under a name such as `_http._tcp.web`.
    pub fn srv(&mut self, name: &str, targets: &[SrvTarget]) -> Result<&mut Self, InvalidName> {
        let records = targets
            .iter()
            .map(|to| Ok(SRV::new(0, 0, to.port, parse(&to.target)?)))
            .collect::<Result<Vec<_>, InvalidName>>()?;
        let entry = self.entry(name)?;
        for record in records {
            push_new(&mut entry.srv, record);
        }
        Ok(self)
    }

    /// Reverse questions inside this subnet are never forwarded: an address nobody has (any more)
    /// does not exist, and the outside need not learn of it.
    pub fn own_subnet(&mut self, subnet: IpNet) -> &mut Self {
        push_new(&mut self.table.own_subnets, subnet);
        self
    }

    /// The finished table.
    pub fn build(&self) -> DnsTable {
        self.table.clone()
    }

    fn entry(&mut self, name: &str) -> Result<&mut Entry, InvalidName> {
        let key = LowerName::new(&parse(name)?);
        let ttl = self.table.ttl;
        let entry = self.table.names.entry(key).or_default();
        entry.ttl = ttl;
        Ok(entry)
    }
}

fn parse(name: &str) -> Result<Name, InvalidName> {
    let invalid = |source| InvalidName {
        name: name.to_owned(),
        source,
    };
    // A backslash starts an escape in the presentation format: refuse it, rather than serve a
    // name other than the one that was written.
    if name.contains('\\') {
        return Err(invalid(None));
    }
    let mut parsed = Name::from_ascii(name).map_err(|source| invalid(Some(source)))?;
    if parsed.is_root() || parsed.num_labels() == 0 {
        return Err(invalid(None));
    }
    parsed.set_fqdn(true);
    Ok(parsed)
}

fn push_new<T: PartialEq>(items: &mut Vec<T>, item: T) {
    if !items.contains(&item) {
        items.push(item);
    }
}
