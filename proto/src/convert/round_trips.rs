//! What goes out comes back the same, and nothing that comes in makes the door panic.

use crate::assignment::Assignments;
use crate::command::Command;
use crate::command::StoreSnapshot;
use crate::convert::arbitrary::*;
use crate::convert::arbitrary_log::*;
use crate::convert::arbitrary_service::*;
use crate::convert::decode_result;
use crate::convert::encode_result;
use crate::object::Meta;
use crate::object::NodeDescription;
use crate::spec::Resources;
use crate::wire;
use proptest::prelude::*;
use prost::Message;

macro_rules! round_trips {
    ($($test:ident: $strategy:expr => $wire:ident;)*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(48))]
            $(
                #[test]
                fn $test(value in $strategy) {
                    let bytes = wire::$wire::from(&value).encode_to_vec();
                    let back = wire::$wire::decode(bytes.as_slice()).unwrap().try_into();
                    prop_assert_eq!(back, Ok(value));
                }
            )*
        }
    };
}

round_trips! {
    a_cluster_survives_a_round_trip: cluster() => Cluster;
    settings_survive_a_round_trip: settings() => ClusterSettings;
    a_node_survives_a_round_trip: node() => Node;
    a_node_spec_survives_a_round_trip: node_spec() => NodeSpec;
    a_network_survives_a_round_trip: network() => Network;
    a_network_spec_survives_a_round_trip: network_spec() => NetworkSpec;
    a_service_survives_a_round_trip: service() => Service;
    a_service_spec_survives_a_round_trip: service_spec() => ServiceSpec;
    a_task_survives_a_round_trip: task() => Task;
    a_task_spec_survives_a_round_trip: task_spec() => TaskSpec;
    a_task_status_survives_a_round_trip: task_status() => TaskStatus;
    a_user_survives_a_round_trip: user() => User;
    a_join_token_survives_a_round_trip: join_token() => JoinToken;
    a_material_survives_a_round_trip: material() => Material;
    a_key_ring_survives_a_round_trip: key_ring() => KeyRing;
    an_object_survives_a_round_trip: object() => Object;
    a_key_survives_a_round_trip: key() => ObjectKey;
    an_assignment_survives_a_round_trip: assignment() => Assignment;
    assignments_survive_a_round_trip: assignments() => Assignments;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_command_survives_the_log(command in command()) {
        prop_assert_eq!(Command::decode(&command.encode()), Ok(command));
    }

    #[test]
    fn a_result_survives_a_round_trip(result in result()) {
        prop_assert_eq!(decode_result(&encode_result(&result)), Ok(result));
    }

    #[test]
    fn a_snapshot_survives_a_round_trip(snapshot in snapshot()) {
        prop_assert_eq!(StoreSnapshot::decode(&snapshot.encode()), Ok(snapshot));
    }

    #[test]
    fn meta_resources_and_descriptions_survive_a_round_trip(
        meta in meta(), resources in resources(), description in description()
    ) {
        prop_assert_eq!(Meta::from(wire::Meta::from(meta)), meta);
        prop_assert_eq!(Resources::from(wire::Resources::from(resources)), resources);
        let back = NodeDescription::from(wire::NodeDescription::from(&description));
        prop_assert_eq!(back, description);
    }

    #[test]
    fn fields_of_a_newer_version_are_ignored(command in command(), value: u64) {
        let mut bytes = command.encode();
        // Field 2000 as a varint: no message of ours has it.
        prost::encoding::uint64::encode(2000, &value, &mut bytes);
        prop_assert_eq!(Command::decode(&bytes), Ok(command));
    }

    #[test]
    fn a_damaged_command_never_panics(command in command(), at: prop::sample::Index, bits: u8) {
        let mut bytes = command.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= bits;
        let _ = Command::decode(&bytes);
        let _ = Command::decode(&bytes[..at]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>) {
        let _ = Command::decode(&bytes);
        let _ = decode_result(&bytes);
        let _ = StoreSnapshot::decode(&bytes);
        if let Ok(wire) = wire::Assignments::decode(bytes.as_slice()) {
            let _ = Assignments::try_from(wire);
        }
    }
}
