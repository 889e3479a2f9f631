use crate::dns::ResolvConf;
use crate::dns::task_resolv_conf;

fn servers(text: &str) -> Vec<String> {
    ResolvConf::parse(text)
        .nameservers
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn nameservers_keep_their_order_and_our_own_address_is_left_out() {
    let text = "# made by hand\nnameserver 192.0.2.1\nnameserver 127.0.0.11\n\
                nameserver\t127.0.0.53 # local\nnameserver 2001:db8::1\n";
    assert_eq!(
        servers(text),
        ["192.0.2.1:53", "127.0.0.53:53", "[2001:db8::1]:53"]
    );
}

#[test]
fn lines_that_make_no_sense_are_skipped() {
    let text = ";nameserver 1.1.1.1\nnameserver\nnameserver no.address\nnameserver fe80::1%eth0\n\
                nameserver fe80::1%2\noptions edns0\n\u{0}\nsortlist x";
    assert_eq!(servers(text), ["[fe80::1%2]:53"]);
    assert_eq!(ResolvConf::parse(""), ResolvConf::default());
}

#[test]
fn the_last_search_line_counts_and_holds_only_domains() {
    let conf = ResolvConf::parse("domain a.example\nsearch b.example c.example ;x\n");
    assert_eq!(conf.search, ["b.example", "c.example"]);
    assert_eq!(
        ResolvConf::parse("search a$(x) ok.example").search,
        ["ok.example"]
    );
}

#[test]
fn a_task_asks_us_and_keeps_the_search_domains_if_it_may_reach_outside() {
    let node = ResolvConf::parse("nameserver 192.0.2.1\nsearch a.example b.example");
    let open = "nameserver 127.0.0.11\nsearch a.example b.example\noptions ndots:0\n";
    assert_eq!(task_resolv_conf(&node, true), open);
    let internal = "nameserver 127.0.0.11\noptions ndots:0\n";
    assert_eq!(task_resolv_conf(&node, false), internal);
    assert_eq!(task_resolv_conf(&ResolvConf::default(), true), internal);
}
