use super::*;
use crate::command::Command;
use crate::command::service::ServiceCommand;
use crate::command::test_objects;
use crate::config::Cli;
use clap::Parser;

fn changed(line: &str) -> Result<wire::ServiceSpec, String> {
    let words = ["weft", "service", "update", "web"]
        .into_iter()
        .chain(line.split_whitespace());
    let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
    let Command::Service(command) = cli.command else {
        panic!("not a service command");
    };
    let ServiceCommand::Update(args) = *command else {
        panic!("not service update");
    };
    let networks = Networks::from([(test_objects::network().to_string(), "net".to_owned())]);
    let old = test_objects::service(3);
    spec(&old, args.update, &networks, &|_| None).map_err(|error| error.to_string())
}

fn task(line: &str) -> wire::TaskSpec {
    changed(line).unwrap().task.unwrap()
}

#[test]
fn what_is_not_said_stays_as_it_is() {
    let old = wire::ServiceSpec::from(&test_objects::service(3).spec);
    assert_eq!(changed(""), Ok(old.clone()));
    let mut scaled = old;
    scaled.replicated = Some(wire::ReplicatedMode { replicas: 5 });
    assert_eq!(changed("--replicas 5"), Ok(scaled));
}

#[test]
fn the_command_is_replaced_whole_or_in_its_arguments() {
    assert_eq!(
        task("-- redis-server --save").command,
        ["redis-server", "--save"]
    );
    assert_eq!(task("--args=-c/x").command, ["nginx", "-c/x"]);
    assert_eq!(task("--force").force_update, 1);
}

#[test]
fn ports_are_known_by_their_target() {
    let ports = |line: &str| {
        let ports = changed(line).unwrap().ports;
        ports
            .iter()
            .map(|p| (p.published, p.target))
            .collect::<Vec<_>>()
    };
    assert_eq!(ports("--publish-add 9000:90"), [(8080, 80), (9000, 90)]);
    assert_eq!(ports("--publish-add 8081:80"), [(8081, 80)]);
    assert_eq!(ports("--publish-rm 80"), []);
    assert_eq!(ports("--publish-rm 80 --publish-add 8080:81"), [(8080, 81)]);
}

#[test]
fn lists_gain_and_lose_items() {
    assert_eq!(task("--env-add A=2 --env-add B=3").env, ["A=2", "B=3"]);
    assert_eq!(task("--env-rm A").env, [] as [&str; 0]);
    assert_eq!(
        task("--constraint-add node.hostname!=n1 --constraint-rm node.role==worker").constraints,
        ["node.hostname!=n1"]
    );
    let labels = changed("--label-add tier=back --label-add x=y")
        .unwrap()
        .labels;
    let labels: Vec<_> = labels.iter().map(|l| (&*l.key, &*l.value)).collect();
    assert_eq!(labels, [("tier", "back"), ("x", "y")]);
    assert!(changed("--label-rm tier").unwrap().labels.is_empty());
    let networks = |line: &str| {
        let networks = task(line).networks;
        networks
            .into_iter()
            .map(|n| (n.network_id, n.aliases))
            .collect::<Vec<_>>()
    };
    assert_eq!(networks("--network-rm net"), []);
    assert_eq!(
        networks("--network-rm net --network-add other"),
        [("other".to_owned(), Vec::new())]
    );
    assert_eq!(
        networks("--network-add name=net,alias=a"),
        [("net".to_owned(), vec!["a".to_owned()])]
    );
}

#[test]
fn taking_away_what_is_not_there_changes_nothing() {
    for (line, text) in [
        ("--publish-rm 81", "publishes no port 81"),
        ("--publish-rm 80/udp", "publishes no port 80"),
        ("--env-rm B", "no environment variable B"),
        ("--constraint-rm node.role==manager", "no constraint"),
        ("--label-rm x", "no label x"),
        ("--network-rm other", "not attached to network other"),
        ("--replicas -1", "is no number of replicas"),
        ("--bogus", "--bogus"),
        ("--args x -- y", "cannot be used with"),
    ] {
        let error = changed(line).unwrap_err();
        assert!(error.contains(text), "{line}: {error}");
    }
}

#[test]
fn placement_is_changed_item_by_item() {
    let added = task("--placement-pref-add spread=node.labels.zone --generic-resource-add gpu=2");
    assert_eq!(added.preferences[0].key, "node.labels.zone");
    assert_eq!(added.reserved_generic[0].count, 2);
    let gone = changed("--placement-pref-rm spread=node.labels.zone").unwrap_err();
    assert!(gone.contains("nothing was changed"), "{gone}");
    let gone = changed("--generic-resource-rm gpu").unwrap_err();
    assert!(gone.contains("nothing was changed"), "{gone}");
}

#[test]
fn numbers_are_refused_where_the_mode_has_none() {
    let error = changed("--max-concurrent 2").unwrap_err();
    assert!(error.contains("replicated-job only"), "{error}");
}

#[test]
fn secrets_and_configs_come_and_go() {
    let mut old = test_objects::service(3);
    old.spec.task.files = vec![weft_proto::spec::FileRef {
        kind: weft_proto::spec::MaterialKind::Secret,
        material: weft_proto::MaterialId::from_entropy(5),
        name: "pw".parse().unwrap(),
        version: 4,
        target: "/run/secrets/pw".to_owned(),
        uid: 0,
        gid: 0,
        mode: 0o444,
    }];
    let files = |lists: ListChanges| {
        let mut files = wire::ServiceSpec::from(&old.spec).task.unwrap().files;
        change_files(&mut files, &lists).map_err(|error| error.to_string())?;
        let shown = files.iter();
        Ok(shown
            .map(|file| {
                format!(
                    "{:?} {}{} {}",
                    file.kind(),
                    file.name,
                    file.material_id,
                    file.version
                )
            })
            .collect::<Vec<_>>())
    };
    let id = "0000000000000000000000005";
    let kept = format!("Secret pw{id} 4");
    let none = || ListChanges::default();
    assert_eq!(
        files(none()),
        Ok(vec![kept.clone()]),
        "in the version it has"
    );
    let more = ListChanges {
        config_add: vec![file::config("pw").unwrap()],
        ..none()
    };
    assert_eq!(
        files(more),
        Ok(vec![kept, "Config pw 0".to_owned()]),
        "of another kind"
    );
    let again = ListChanges {
        secret_add: vec![
            file::secret("source=pw,target=a").unwrap(),
            file::secret("source=pw,target=b").unwrap(),
        ],
        ..none()
    };
    assert_eq!(
        files(again),
        Ok(vec!["Secret pw 0".to_owned(); 2]),
        "the present version"
    );
    for gone in ["pw", id] {
        let gone = ListChanges {
            secret_rm: vec![gone.to_owned()],
            ..none()
        };
        assert_eq!(files(gone), Ok(vec![]));
    }
    let unknown = ListChanges {
        config_rm: vec!["pw".to_owned()],
        ..none()
    };
    let refused: Result<Vec<String>, String> = files(unknown);
    assert!(refused.unwrap_err().contains("no config pw"));
}
