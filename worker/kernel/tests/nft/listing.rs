//! Every ruleset of the data plane reads, when listed, like the text a person would have loaded.

use crate::guards;
use crate::net::Net;
use crate::rulesets;
use crate::rulesets::v4;
use weft_kernel::nft::Batch;

/// Installs through our API in one namespace and as text in another; both must list alike.
fn assert_lists_like(batch: &Batch, text: &str) {
    let (ours, theirs) = (Net::new(), Net::new());
    ours.commit(batch).unwrap();
    theirs.load(text);
    assert_eq!(ours.listing(), theirs.listing());
}

#[test]
fn vip_slot_map_lists_like_the_recipe() {
    let mut batch = rulesets::vip();
    let first = rulesets::slots(v4("10.5.0.100"), &[v4("10.5.0.2")]).remove(0);
    batch.add_elements(&rulesets::vip_table(), "be", [first]);
    assert_lists_like(
        &batch,
        "table ip w {
           map be { typeof ip daddr . numgen random mod 12 : ip daddr
             elements = { 10.5.0.100 . 0 : 10.5.0.2 }
           }
           set vips { typeof ip daddr; }
           chain out { type nat hook output priority -100
             dnat to ip daddr . numgen random mod 12 map @be
           }
           chain f { type filter hook output priority 0
             ip daddr @vips meta l4proto tcp reject with tcp reset
             ip daddr @vips reject with icmp type host-unreachable
           }
         }",
    );
}

#[test]
fn ipv6_vips_and_client_affinity_list_without_crashing_nft() {
    let net = Net::new();
    net.commit(&rulesets::vip6()).unwrap();
    let listing = net.listing();
    for expected in [
        "typeof ip6 daddr . numgen random mod 12 : ip6 daddr",
        "dnat ip6 to ip6 daddr . numgen random mod 12 map @be6",
        "dnat ip to jhash ip saddr mod 8 map @aff",
        "ip6 daddr fd05::65 reject with icmpv6 addr-unreachable",
        "fd05::64 . 0 : fd05::2",
    ] {
        assert!(
            listing.contains(expected),
            "{expected} is missing in\n{listing}"
        );
    }
}

#[test]
fn dns_redirect_lists_like_the_recipe() {
    assert_lists_like(
        &rulesets::dns(),
        "table ip dns {
           chain out { type nat hook output priority -100
             ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:40053
             ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:40053
           }
         }",
    );
}

#[test]
fn mesh_lists_like_the_recipe() {
    let mut batch = rulesets::mesh();
    let first = rulesets::publish(8080, v4("10.5.0.2"), 8000).remove(0);
    batch.add_elements(&rulesets::mesh_table(), "p4", [first]);
    assert_lists_like(
        &batch,
        r#"table inet weft {
           map p4 { typeof meta l4proto . th dport . numgen random mod 12 : ip daddr . th dport
             elements = { tcp . 8080 . 0 : 10.5.0.2 . 8000 }
           }
           map p6 { typeof meta l4proto . th dport . numgen random mod 12 : ip6 daddr . th dport; }
           chain dn {
             meta nfproto ipv4 meta l4proto { tcp, udp } dnat ip to meta l4proto . th dport . numgen random mod 12 map @p4
             meta nfproto ipv6 meta l4proto { tcp, udp } dnat ip6 to meta l4proto . th dport . numgen random mod 12 map @p6
           }
           chain pre { type nat hook prerouting priority -100
             fib daddr type local jump dn
           }
           chain out { type nat hook output priority -100
             fib daddr type local jump dn
           }
           chain post { type nat hook postrouting priority 100
             ip saddr 127.0.0.0/8 oifname "weft0" masquerade
             ip6 saddr ::1 oifname "weft0" masquerade
             ct status dnat oifname "weft0" ip saddr 10.255.0.0/16 masquerade
             ip saddr 10.255.7.0/24 oifname != "weft0" masquerade
           }
         }"#,
    );
}

#[test]
fn origin_zone_and_mark_list_like_the_recipe() {
    assert_lists_like(
        &rulesets::origin(),
        r#"table inet weft {
           map zone { typeof ether saddr : ct zone
             elements = { 02:ff:00:00:00:01 : 1 }
           }
           map omark { typeof ether saddr : meta mark
             elements = { 02:ff:00:00:00:01 : 0x10001 }
           }
           chain raw { type filter hook prerouting priority -300
             iifname "vxi" ct original zone set ether saddr map @zone
           }
           chain pre { type filter hook prerouting priority -150
             iifname "vxi" ct direction original ct mark set ether saddr map @omark
             iifname != "vxi" ct direction reply ct mark and 0x10000 == 0x10000 meta mark set ct mark
           }
           chain nat { type nat hook postrouting priority 100
           }
         }"#,
    );
}

#[test]
fn egress_rewrite_lists_like_the_recipe() {
    assert_lists_like(
        &rulesets::egress("lo", 0x10001, rulesets::ORIGIN),
        r#"table netdev weft {
           map mac { typeof meta mark : ether daddr
             elements = { 0x10001 : 02:ff:00:00:00:01 }
           }
           chain eg { type filter hook egress device "lo" priority 0
             ether daddr set meta mark map @mac
           }
         }"#,
    );
}

#[test]
fn bridge_guard_lists_like_the_recipe() {
    assert_lists_like(
        &rulesets::bridge(),
        r#"table bridge weft {
           set src4 { typeof iifname . ether saddr . ip saddr; }
           set src6 { typeof iifname . ether saddr . ip6 saddr; }
           set arp4 { typeof iifname . arp saddr ether . arp saddr ip; }
           chain pre { type filter hook prerouting priority -300; policy drop;
             iifname "vx*" accept
             iifname . ether saddr . ip saddr @src4 accept
             iifname . ether saddr . ip6 saddr @src6 accept
             iifname . arp saddr ether . arp saddr ip @arp4 accept
           }
         }"#,
    );
}

#[test]
fn ingress_filter_lists_like_the_recipe() {
    assert_lists_like(
        &guards::ingress_filter(),
        r#"table inet guard {
           set own4 { typeof iifname . ip saddr
             elements = { "t10" . 10.255.7.10 }
           }
           set own6 { typeof iifname . ip6 saddr; }
           set nodes4 { typeof ip daddr; }
           set pub { typeof meta l4proto . th dport
             elements = { tcp . 8080 }
           }
           set egress { typeof iifname
             elements = { "t10" }
           }
           chain spoof { type filter hook prerouting priority -310
             iifname "t*" ip6 saddr fe80::/10 ip6 daddr fe80::/10 accept
             iifname "t*" ip saddr 0.0.0.0/0 iifname . ip saddr != @own4 drop
             iifname "t*" ip6 saddr ::/0 iifname . ip6 saddr != @own6 drop
           }
           chain inp { type filter hook input priority 0; policy drop;
             icmp type echo-request accept
             icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, echo-request } accept
             ct state established,related accept
           }
           chain eg {
             ip daddr @nodes4 meta l4proto . th dport @pub accept
             ip daddr @nodes4 reject with icmpx type host-unreachable
             ip daddr 10.255.0.0/16 drop
             iifname @egress accept
           }
           chain forw { type filter hook forward priority 0; policy drop;
             ct state established,related accept
             iifname { "vxi", "host0" } oifname "t*" accept
             iifname "t*" oifname "host0" jump eg
           }
         }"#,
    );
}

#[test]
fn receipt_filter_lists_like_the_recipe() {
    assert_lists_like(
        &guards::receipt(),
        "table inet enc {
           set ok { typeof ip saddr . @th,96,24
             elements = { 10.99.0.2 . 100 }
           }
           chain in { type filter hook prerouting priority -300
             udp dport 4789 ip saddr . @th,96,24 @ok notrack accept
             icmp type destination-unreachable accept
             counter drop
           }
         }",
    );
}
