//! Each script in `golden/` has its expected outcome behind `---`. With `WEFT_BLESS=1` in the
//! environment the outcome is written there instead.

use crate::scheduler::tests::script;
use std::fs;
use std::path::PathBuf;

fn check(name: &str) {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/scheduler/tests/golden");
    let path = dir.join(name).with_extension("txt");
    let text = fs::read_to_string(&path).unwrap();
    let (input, expected) = text.split_once("---\n").unwrap_or((&text, ""));
    let outcome = script::run(input);
    if std::env::var_os("WEFT_BLESS").is_some() {
        fs::write(&path, format!("{input}---\n{outcome}")).unwrap();
        return;
    }
    assert_eq!(outcome, expected, "{}", path.display());
}

macro_rules! golden {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            check(stringify!($name));
        }
    )*};
}

golden! {
    replicas_spread_over_nodes
    every_reason_is_counted_and_told_with_its_amounts
    lists_and_labels_keep_nodes_out
    one_node_takes_no_more_than_the_most_per_node
    generic_resources_are_counted_by_name
    a_port_of_a_node_is_for_one_of_its_tasks
    tasks_spread_over_zones_then_over_racks
    a_full_zone_leaves_its_share_to_the_others
    load_by_reservations_decides_between_equal_spread
    a_node_where_tasks_fail_comes_last
    tasks_of_global_services_wait_for_their_own_node
    ended_and_leaving_tasks_count_as_they_should
}
