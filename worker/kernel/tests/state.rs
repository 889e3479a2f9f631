//! Namespaces, links, routes, rules, neighbours and sysctls: what was set reads back, what is absent
//! says so.
#![allow(
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

mod bed;

use std::error::Error;

use bed::Bed;
use bed::CEILING;
use bed::end;
use bed::ip;
use bed::mac;
use bed::name;
use bed::net;
use bed::oracle;
use weft_kernel::netlink::AddressOptions;
use weft_kernel::netlink::Device;
use weft_kernel::netlink::Family;
use weft_kernel::netlink::Hint;
use weft_kernel::netlink::Hints;
use weft_kernel::netlink::Neighbour;
use weft_kernel::netlink::Netlink;
use weft_kernel::netlink::Route;
use weft_kernel::netlink::RouteFilter;
use weft_kernel::netlink::RouteKind;
use weft_kernel::netlink::Rule;
use weft_kernel::netlink::TABLE_LOCAL;
use weft_kernel::netns::Netns;
use weft_kernel::netns::NetnsError;
use weft_kernel::sysctl;

const AT_ONCE: AddressOptions = AddressOptions {
    nodad: true,
    no_prefix_route: false,
};

/// A namespace with a veth pair in it, up and addressed.
async fn wired(bed: &Bed) -> (Netlink, Device) {
    let netlink = bed.netlink("one");
    let (left, right) = netlink
        .ensure_veth(&end("v0"), &netlink, &end("v1"))
        .await
        .unwrap();
    left.add_address(net("10.9.0.1/24"), AT_ONCE).await.unwrap();
    left.add_address(net("fd09::1/64"), AT_ONCE).await.unwrap();
    left.set_up().await.unwrap();
    right.set_up().await.unwrap();
    (netlink, left)
}

#[tokio::test]
async fn a_namespace_is_made_found_entered_and_removed() {
    let bed = Bed::new();
    let path = bed.path("one");
    assert!(!Netns::exists(&path));
    let netns = Netns::create(&path).unwrap();
    assert!(Netns::exists(&path));
    assert!(matches!(
        Netns::create(&path),
        Err(NetnsError::Exists { .. })
    ));
    assert_eq!(
        Netns::ensure(&path).unwrap().id().unwrap(),
        netns.id().unwrap()
    );
    assert_ne!(Netns::current().unwrap().id().unwrap(), netns.id().unwrap());
    assert_eq!(
        Netns::list(bed.path("")).unwrap(),
        std::slice::from_ref(&path)
    );
    // How a container's namespace is reached.
    let by_process = Netns::open(format!("/proc/{}/ns/net", std::process::id())).unwrap();
    assert_eq!(
        by_process.id().unwrap(),
        Netns::current().unwrap().id().unwrap()
    );

    let inside = netns
        .run_in(|| std::fs::read_link("/proc/thread-self/ns/net"))
        .unwrap()
        .unwrap();
    let outside = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    assert_ne!(inside, outside);
    let loopback = Netlink::open(&netns)
        .unwrap()
        .link(&name("lo"))
        .await
        .unwrap()
        .unwrap();
    assert!(loopback.up);

    Netns::delete(&path).unwrap();
    Netns::delete(&path).unwrap();
    assert!(!path.exists());
    assert!(matches!(Netns::open(&path), Err(NetnsError::Open { .. })));
    std::fs::write(bed.path("plain"), "").unwrap();
    assert!(matches!(
        Netns::open(bed.path("plain")),
        Err(NetnsError::NotANamespace { .. })
    ));
    Netns::create(bed.path("plain")).unwrap();
}

#[test]
fn a_panic_inside_a_namespace_reaches_the_caller_outside() {
    let bed = Bed::new();
    let netns = bed.netns("one");
    let before = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let caught = std::panic::catch_unwind(|| netns.run_in(|| panic!("inside")));
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"inside"));
    assert_eq!(
        std::fs::read_link("/proc/thread-self/ns/net").unwrap(),
        before
    );
}

#[test]
fn a_netlink_connection_needs_a_runtime_and_says_so() {
    let error = Netlink::current().unwrap_err();
    assert!(
        error
            .source()
            .unwrap()
            .to_string()
            .contains("async runtime"),
        "{error:?}"
    );
}

#[tokio::test]
async fn routes_read_back_as_they_were_written_and_go_once() {
    let bed = Bed::new();
    let (netlink, device) = wired(&bed).await;
    let routes = [
        Route::to(net("10.255.3.1/32"))
            .by(&device)
            .source(ip("10.9.0.1")),
        Route::to(net("10.255.0.0/16"))
            .via(ip("10.9.0.2"))
            .by(&device)
            .mtu(1390),
        Route::to(net("10.254.0.0/16"))
            .via(ip("10.77.0.1"))
            .by(&device)
            .onlink()
            .metric(50),
        Route::to(net("0.0.0.0/0"))
            .via(ip("169.254.255.254"))
            .by(&device)
            .onlink()
            .table(100),
        Route::to(net("10.66.0.0/16"))
            .kind(RouteKind::Unreachable)
            .table(1000),
        Route::to(net("10.5.0.100/32"))
            .by(&device)
            .kind(RouteKind::Local)
            .table(TABLE_LOCAL),
        Route::to(net("fdff::/48"))
            .via(ip("fe80::1"))
            .by(&device)
            .source(ip("fd09::1")),
        Route::to(net("::/0"))
            .via(ip("fe80::ffff"))
            .by(&device)
            .onlink()
            .table(100),
        Route::to(net("fd06::/64")).by(&device).metric(7).mtu(1370),
        Route::to(net("::1/128"))
            .by(&device)
            .kind(RouteKind::Local)
            .table(TABLE_LOCAL)
            .metric(2048),
    ];
    for route in routes.iter().chain(&routes) {
        netlink
            .replace_route(route)
            .await
            .unwrap_or_else(|e| panic!("{e}: {:?}", e.source()));
    }
    let listed = netlink.routes(&RouteFilter::default()).await.unwrap();
    assert_eq!(listed.len(), routes.len(), "{listed:#?}");
    for route in &routes {
        assert!(listed.contains(route), "{route:?} is not in {listed:#?}");
    }
    let filter = RouteFilter {
        table: Some(100),
        family: Some(Family::V4),
        ..Default::default()
    };
    assert_eq!(netlink.routes(&filter).await.unwrap(), [routes[3]]);
    let empty = RouteFilter {
        table: Some(4242),
        ..Default::default()
    };
    assert_eq!(netlink.routes(&empty).await.unwrap(), []);
    let all = RouteFilter {
        foreign: true,
        link: Some(device.index()),
        ..Default::default()
    };
    assert!(netlink.routes(&all).await.unwrap().len() > 8);
    let shown = oracle(netlink.netns(), "ip", &["route", "show"]);
    assert!(
        shown.contains("10.255.3.1 dev v0 proto 87 scope link src 10.9.0.1"),
        "{shown}"
    );

    for route in routes.iter().chain(&routes) {
        netlink.delete_route(route).await.unwrap();
    }
    assert_eq!(netlink.routes(&RouteFilter::default()).await.unwrap(), []);
}

#[tokio::test]
async fn rules_read_back_as_they_were_written_and_go_once() {
    let bed = Bed::new();
    let netlink = bed.netlink("one");
    let mark = |family| Rule {
        family,
        priority: 100,
        mark: Some((0x1_0000, 0x1_0000)),
        source: None,
        table: 100,
    };
    let source = Rule {
        family: Family::V4,
        priority: 101,
        mark: None,
        source: Some(net("10.255.3.10/32")),
        table: 1000,
    };
    let rules = [mark(Family::V4), source, mark(Family::V6)];
    for rule in rules.iter().chain(&rules) {
        netlink.add_rule(rule).await.unwrap();
    }
    assert_eq!(netlink.rules().await.unwrap(), rules);
    let shown = oracle(netlink.netns(), "ip", &["rule", "show"]);
    assert!(
        shown.contains("from all fwmark 0x10000/0x10000 lookup 100"),
        "{shown}"
    );
    for rule in rules.iter().chain(&rules) {
        netlink.delete_rule(rule).await.unwrap();
    }
    assert_eq!(netlink.rules().await.unwrap(), []);
}

#[tokio::test]
async fn neighbours_and_addresses_read_back_as_they_were_written() {
    let bed = Bed::new();
    let (_, device) = wired(&bed).await;
    let mac = mac("02:ff:ff:ff:ff:ff");
    for ip in [ip("169.254.255.254"), ip("fe80::ffff")] {
        device.set_neighbour(ip, mac).await.unwrap();
        let known = Neighbour {
            ip,
            mac: Some(mac),
            permanent: true,
        };
        assert!(device.neighbours().await.unwrap().contains(&known));
        device.delete_neighbour(ip).await.unwrap();
        device.delete_neighbour(ip).await.unwrap();
        assert!(!device.neighbours().await.unwrap().contains(&known));
    }
    let options = AddressOptions {
        nodad: true,
        no_prefix_route: true,
    };
    device
        .add_address(net("fe80::2/64"), options)
        .await
        .unwrap();
    device
        .add_address(net("fe80::2/64"), options)
        .await
        .unwrap();
    let found = device.addresses().await.unwrap();
    let added = found
        .iter()
        .find(|address| address.net == net("fe80::2/64"))
        .unwrap();
    assert_eq!((added.options, added.tentative), (options, false));
    // No address of the kernel's own making is among them.
    assert_eq!(found.len(), 3, "{found:?}");
    device.delete_address(net("fe80::2/64")).await.unwrap();
    device.delete_address(net("fe80::2/64")).await.unwrap();
    assert_eq!(device.addresses().await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_path_to_a_destination_names_source_and_link() {
    let bed = Bed::new();
    let (netlink, device) = wired(&bed).await;
    for (to, source) in [("10.9.0.7", "10.9.0.1"), ("fd09::7", "fd09::1")] {
        let path = netlink.path_to(ip(to)).await.unwrap().unwrap();
        assert_eq!(
            (path.source, path.link),
            (Some(ip(source)), Some(device.index()))
        );
        assert_eq!(path.gateway, None);
        let owner = netlink.owner_of(ip(source)).await.unwrap().unwrap();
        assert_eq!((owner.index, owner.mtu), (device.index(), 1500));
    }
    assert_eq!(netlink.path_to(ip("8.8.8.8")).await.unwrap(), None);
    assert_eq!(netlink.path_to(ip("2001:db8::1")).await.unwrap(), None);
}

#[tokio::test]
async fn a_link_is_renamed_moved_and_keeps_its_alias() {
    let bed = Bed::new();
    let (netlink, device) = wired(&bed).await;
    let other = bed.netlink("two");
    device.set_down().await.unwrap();
    let device = device.rename(name("dot.ted")).await.unwrap();
    device.set_mtu(1400).await.unwrap();
    device.set_mac(mac("02:00:00:00:00:01")).await.unwrap();
    let moved = device.move_to(&other).await.unwrap();
    let seen = moved.observe().await.unwrap();
    assert_eq!((seen.purpose(), seen.mtu), (Some("test-v0"), 1400));
    assert_eq!(seen.mac, Some(mac("02:00:00:00:00:01")));
    assert!(seen.peer_netns.is_some());
    assert_eq!(netlink.link(&name("dot.ted")).await.unwrap(), None);
}

#[tokio::test]
async fn a_missing_link_is_named_with_its_namespace() {
    let bed = Bed::new();
    let (netlink, device) = wired(&bed).await;
    let error = netlink.device(&name("nope")).await.unwrap_err();
    let expected = format!(
        "failed to read link nope in network namespace {}: there is no such link",
        bed.path("one").display()
    );
    assert_eq!(format!("{error}: {}", error.source().unwrap()), expected);
    assert!(error.is_missing_link());

    netlink.delete_link(device.name()).await.unwrap();
    device.delete().await.unwrap();
    let error = device.set_up().await.unwrap_err();
    assert!(error.is_missing_link(), "{error:?}");
    assert!(
        error.to_string().starts_with("failed to set link v0 up in"),
        "{error}"
    );
    assert!(device.observe().await.unwrap_err().is_missing_link());
}

#[tokio::test]
async fn a_sysctl_is_set_in_its_namespace_only() {
    let bed = Bed::new();
    let (one, two) = (bed.netns("one"), bed.netns("two"));
    let key = "net/ipv4/conf/lo/route_localnet";
    assert!(sysctl::set(&one, key, "1").unwrap());
    assert!(!sysctl::set(&one, key, "1").unwrap());
    assert_eq!(sysctl::get(&one, key).unwrap(), "1");
    assert_eq!(sysctl::get(&two, key).unwrap(), "0");
    let error = sysctl::set(&one, "net/ipv4/conf/nope/forwarding", "1")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("net/ipv4/conf/nope/forwarding to 1 in network namespace"),
        "{error}"
    );
}

#[tokio::test]
async fn a_change_of_a_link_is_hinted() {
    let bed = Bed::new();
    let mut hints = Hints::open(&bed.netns("one")).unwrap();
    let (_, device) = wired(&bed).await;
    assert_eq!(device.name(), &name("v0"));
    for wanted in [Hint::Link, Hint::Address] {
        let heard = async { while hints.next().await.unwrap() != wanted {} };
        tokio::time::timeout(CEILING, heard).await.unwrap();
    }
}
