use std::net::IpAddr;
use weft_kernel::netlink::Mac;

/// The Ethernet address of whoever has this address on an overlay network. Computed, not told:
/// every node knows it, and nobody has to ask.
///
/// The first byte says "locally administered", the second which family; an IPv6 address gives its
/// last 32 bits, in which the addresses of one subnet differ. Pure.
pub fn mac_of(ip: IpAddr) -> Mac {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            Mac([2, 0, a, b, c, d])
        }
        IpAddr::V6(ip) => {
            let [.., a, b, c, d] = ip.octets();
            Mac([2, 6, a, b, c, d])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ethernet_address_follows_from_the_address() {
        let mac = |text: &str| mac_of(text.parse().unwrap()).to_string();
        assert_eq!(mac("10.5.0.2"), "02:00:0a:05:00:02");
        assert_eq!(mac("fd05::1:2"), "02:06:00:01:00:02");
    }
}
