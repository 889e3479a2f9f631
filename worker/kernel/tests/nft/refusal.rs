//! What is refused, by name and without a trace; and what is read back.

use crate::guards;
use crate::net::Net;
use crate::rulesets;
use crate::rulesets::v4;
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use weft_kernel::nft::Batch;
use weft_kernel::nft::Chain;
use weft_kernel::nft::Element;
use weft_kernel::nft::Expr;
use weft_kernel::nft::Family;
use weft_kernel::nft::Field;
use weft_kernel::nft::Hook;
use weft_kernel::nft::NftError;
use weft_kernel::nft::Purpose;
use weft_kernel::nft::Table;
use weft_kernel::nft::Value;

#[test]
fn refused_step_is_named_and_the_whole_batch_changes_nothing() {
    let net = Net::new();
    net.commit(&rulesets::vip()).unwrap();
    let before = net.listing();
    let table = rulesets::vip_table();
    let mut batch = Batch::new();
    batch
        .add_elements(
            &table,
            "be",
            rulesets::slots(v4("10.5.0.100"), &[v4("10.5.0.2")]),
        )
        .add_chain(&table, Chain::regular("extra"))
        .add_rule(&table, "nowhere", [Expr::accept()])
        .flush_chain(&table, "out");
    let error = net.commit(&batch).unwrap_err();
    let NftError::Refused {
        step,
        object,
        source,
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(
        (*step, object.as_str(), *source),
        (2, "add rule ip w nowhere", Errno::ENOENT)
    );
    assert_eq!(net.listing(), before);
}

#[test]
fn element_of_the_wrong_width_is_refused_by_name() {
    let net = Net::new();
    net.commit(&rulesets::vip()).unwrap();
    let mut batch = Batch::new();
    let element = Element::key([Value::Mac([2; 6])]);
    batch.add_elements(&rulesets::vip_table(), "vips", [element]);
    let error = net.commit(&batch).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the kernel refused step 0 (add 1 elements to ip w vips); nothing was changed"
    );
    assert_eq!(error.errno(), Some(Errno::EINVAL));
}

/// Kernels differ: older ones refuse, newer ones wait for the device.
#[test]
fn egress_of_a_missing_device_is_refused_by_name_or_waits_for_it() {
    let (net, peer) = (Net::new(), Net::new());
    match net.commit(&rulesets::egress("vxi", 1, [2; 6])) {
        Ok(()) => {
            net.veth("vxi", &peer, "peer");
            assert!(net.listing().contains("egress device \"vxi\""));
        }
        Err(NftError::Refused {
            step,
            object,
            source,
        }) => {
            let expected = (5, "add chain netdev weft eg", Errno::ENOENT);
            assert_eq!((step, object.as_str(), source), expected);
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn what_could_never_match_is_refused_before_it_is_sent() {
    let net = Net::new();
    let table = Table::new(Family::Ip, "w");
    for expr in [
        Expr::iifname("a-name-of-16-byte"),
        Expr::is(Field::Ip6Source, rulesets::v6("::1")),
        Expr::in_network(Field::Ip4Source, v4("10.0.0.0").into(), 33),
    ] {
        let mut batch = Batch::new();
        batch
            .add_table(&table)
            .add_chain(&table, Chain::base("c", Purpose::Filter, Hook::Input, 0))
            .add_rule(&table, "c", [expr]);
        let error = net.commit(&batch).unwrap_err();
        assert!(
            matches!(error, NftError::Impossible { step: 2, .. }),
            "{error:?}"
        );
    }
    assert_eq!(net.listing(), "");
}

#[test]
fn handle_goes_on_working_after_a_refusal() {
    let net = Net::new();
    let mut nft = net.nft();
    let table = rulesets::vip_table();
    let mut bad = Batch::new();
    bad.delete_table(&table);
    assert_eq!(nft.commit(&bad).unwrap_err().errno(), Some(Errno::ENOENT));
    nft.commit(&rulesets::vip()).unwrap();
    assert_eq!(nft.tables().unwrap(), [table]);
}

#[test]
fn ten_thousand_elements_load_at_once_and_read_back() {
    let net = Net::new();
    let mut nft = net.nft();
    let table = rulesets::vip_table();
    let vips = (0..10_000_u32).map(|n| Ipv4Addr::from(0x0a05_0000 + n));
    let elements: Vec<Element> = vips
        .flat_map(|vip| rulesets::slots(vip, &[v4("10.9.0.1")]).into_iter().take(2))
        .collect();
    let mut batch = rulesets::vip();
    batch.add_elements(&table, "be", elements.clone());
    nft.commit(&batch).unwrap();
    let found: BTreeSet<Element> = nft
        .elements(&table, &rulesets::backends())
        .unwrap()
        .into_iter()
        .collect();
    assert_eq!(found, elements.into_iter().collect());
}

#[test]
fn ten_thousand_refusals_still_name_the_first_refused_step() {
    let net = Net::new();
    let table = rulesets::vip_table();
    let mut batch = Batch::new();
    batch.add_table(&table);
    for _ in 0..10_000 {
        batch.add_rule(&table, "nowhere", [Expr::accept()]);
    }
    let error = net.commit(&batch).unwrap_err();
    assert!(
        matches!(error, NftError::Refused { step: 1, .. }),
        "{error:?}"
    );
}

#[test]
fn tables_chains_sets_and_typed_elements_are_observed() {
    let net = Net::new();
    net.commit(&rulesets::bridge()).unwrap();
    net.commit(&guards::receipt()).unwrap();
    let table = rulesets::bridge_table();
    let mut nft = net.nft();
    let tables: BTreeSet<Table> = nft.tables().unwrap().into_iter().collect();
    assert_eq!(
        tables,
        BTreeSet::from([Table::new(Family::Inet, "enc"), table.clone()])
    );
    assert_eq!(nft.chains(&table).unwrap(), ["pre"]);
    let sets: BTreeSet<String> = nft.sets(&table).unwrap().into_iter().collect();
    assert_eq!(sets, ["src4", "src6", "arp4"].map(String::from).into());

    let key = [Field::InputName, Field::EtherSource, Field::Ip4Source];
    let element = Element::key([
        rulesets::ifname("p1"),
        Value::Mac([2; 6]),
        v4("10.5.0.2").into(),
    ]);
    let set = weft_kernel::nft::Set::new("src4", key);
    let mut batch = Batch::new();
    batch.add_elements(&table, "src4", [element.clone()]);
    nft.commit(&batch).unwrap();
    assert_eq!(nft.elements(&table, &set).unwrap(), [element]);
    let mut batch = Batch::new();
    batch.flush_set(&table, "src4");
    nft.commit(&batch).unwrap();
    assert_eq!(nft.elements(&table, &set).unwrap(), []);
}

#[test]
fn listing_what_is_not_there_says_so() {
    let mut nft = Net::new().nft();
    let error = nft
        .elements(&rulesets::vip_table(), &rulesets::backends())
        .unwrap_err();
    assert_eq!(error.errno(), Some(Errno::ENOENT));
    assert_eq!(
        nft.chains(&rulesets::vip_table()).unwrap(),
        Vec::<String>::new()
    );
}

#[test]
fn flushes_and_deletions_leave_what_they_should() {
    let net = Net::new();
    let table = rulesets::mesh_table();
    net.commit(&rulesets::mesh()).unwrap();
    let mut batch = Batch::new();
    batch
        .flush_table(&table)
        .delete_chain(&table, "dn")
        .delete_set(&table, "p4")
        .add_rule(&table, "post", [Expr::Redirect(Some(80))]);
    // A redirect is not for postrouting: nothing may have changed.
    let error = net.commit(&batch).unwrap_err();
    assert!(
        matches!(error, NftError::Refused { step: 3, .. }),
        "{error:?}"
    );
    batch = Batch::new();
    batch
        .flush_table(&table)
        .delete_chain(&table, "dn")
        .delete_set(&table, "p4");
    net.commit(&batch).unwrap();
    let listing = net.listing();
    assert!(
        listing.contains("map p6") && listing.contains("chain post"),
        "{listing}"
    );
    for gone in ["p4", "dn", "masquerade"] {
        assert!(!listing.contains(gone), "{gone} is left in\n{listing}");
    }
    for _ in 0..2 {
        let mut batch = Batch::new();
        batch.ensure_no_table(&table);
        net.commit(&batch).unwrap();
        assert_eq!(net.listing(), "");
    }
}

#[tokio::test]
async fn asynchronous_form_commits_in_the_given_namespace() {
    let net = Net::new();
    let fd = net.fd().try_clone_to_owned().unwrap();
    weft_kernel::nft::commit_async(Some(fd), rulesets::dns())
        .await
        .unwrap();
    assert!(net.listing().contains("udp dport 53"));
}
