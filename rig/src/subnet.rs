//! Which addresses the wire uses.

use std::fs;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Underlay of every rig that nobody else can see, and the demo's first choice.
pub const DEFAULT: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 77, 0, 0), 24);

/// Last byte of the first host's address; below it is room for the machine (.1) and switches.
pub const FIRST_HOST: u8 = 11;

/// Last byte of the address of the client outside the cluster.
pub const CLIENT: u8 = 200;

/// Last byte of the machine's own address on the wire.
pub const MACHINE: u8 = 1;

/// The address of `subnet` whose last byte is `last`.
pub fn address(subnet: Ipv4Net, last: u8) -> Ipv4Addr {
    let [a, b, c, _] = subnet.network().octets();
    Ipv4Addr::new(a, b, c, last)
}

/// The first /24 that collides with no route of this machine: 10.77.0.0/24, then 10.77.1.0/24
/// and so on. A default route collides with nothing. `None` when all 256 are taken.
pub fn pick(routes: &[Ipv4Net]) -> Option<Ipv4Net> {
    let collides = |net: &Ipv4Net| {
        let overlap = |r: &Ipv4Net| r.contains(&net.network()) || net.contains(&r.network());
        routes
            .iter()
            .any(|route| route.prefix_len() > 0 && overlap(route))
    };
    (0..=255)
        .map(|third| Ipv4Net::new_assert(Ipv4Addr::new(10, 77, third, 0), 24))
        .find(|net| !collides(net))
}

/// Routes of this machine's main table, as `/proc/net/route` shows them.
///
/// # Errors
/// When the file cannot be read.
pub fn machine_routes() -> std::io::Result<Vec<Ipv4Net>> {
    fs::read_to_string("/proc/net/route").map(|text| parse_routes(&text))
}

/// Reads `/proc/net/route`: destination and mask are hexadecimal in the machine's byte order.
pub fn parse_routes(text: &str) -> Vec<Ipv4Net> {
    let route = |line: &str| {
        let mut columns = line.split_whitespace();
        let destination = u32::from_str_radix(columns.nth(1)?, 16).ok()?;
        let mask = u32::from_str_radix(columns.nth(5)?, 16).ok()?;
        let prefix = u8::try_from(mask.count_ones()).ok()?;
        Ipv4Net::new(Ipv4Addr::from(destination.to_ne_bytes()), prefix).ok()
    };
    text.lines().skip(1).filter_map(route).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_choice_is_taken_when_only_a_default_route_exists() {
        assert_eq!(pick(&[net("0.0.0.0/0")]), Some(DEFAULT));
    }

    #[test]
    fn a_colliding_route_moves_the_wire_to_the_next_range() {
        assert_eq!(pick(&[net("10.77.0.0/25")]), Some(net("10.77.1.0/24")));
        assert_eq!(pick(&[net("10.77.0.0/23")]), Some(net("10.77.2.0/24")));
        assert_eq!(pick(&[net("10.0.0.0/8")]), None);
    }

    #[test]
    fn routes_are_read_from_their_hexadecimal_table() {
        let text = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
                    eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\n\
                    weft\t00004D0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\n";
        assert_eq!(parse_routes(text), [net("0.0.0.0/0"), net("10.77.0.0/24")]);
    }
}
