use crate::api::tests::House;
use crate::api::tests::house;
use crate::api::tests::refused;
use crate::api::tests::spec;
use crate::fixture::*;
use prost::Message;
use tonic::Code;
use tonic::Request;
use tonic::Status;
use weft_proto::command::Change;
use weft_proto::object::Service;
use weft_proto::task_state::TaskState;
use weft_proto::wire;
use weft_proto::wire::control_server::Control;

impl House {
    async fn make(
        &self,
        kind: wire::MaterialKind,
        name: &str,
        data: &str,
        template: bool,
    ) -> Result<wire::Material, Status> {
        let request = Request::new(wire::CreateMaterialRequest {
            spec: Some(wire::MaterialSpec {
                name: name.to_owned(),
                template,
                ..wire::MaterialSpec::default()
            }),
            data: data.as_bytes().to_vec(),
            request_id: String::new(),
        });
        let answer = match kind {
            wire::MaterialKind::Config => self.control.create_config(request).await?,
            _ => self.control.create_secret(request).await?,
        };
        Ok(answer.into_inner().material.unwrap())
    }

    async fn secret(&self, name: &str, data: &str) -> Result<wire::Material, Status> {
        self.make(wire::MaterialKind::Secret, name, data, false)
            .await
    }

    async fn renew(
        &self,
        target: &str,
        data: &str,
    ) -> Result<wire::UpdateMaterialResponse, Status> {
        let request = Request::new(wire::UpdateMaterialRequest {
            target: target.to_owned(),
            data: data.as_bytes().to_vec(),
            request_id: String::new(),
        });
        Ok(self.control.update_secret(request).await?.into_inner())
    }

    async fn remove_secret(&self, target: &str) -> Result<String, Status> {
        let target = target.to_owned();
        let request = Request::new(wire::RemoveMaterialRequest {
            target,
            request_id: String::new(),
        });
        Ok(self.control.remove_secret(request).await?.into_inner().id)
    }

    fn stored(&self, n: u8) -> Service {
        let view = self.fake.store().view();
        let mut services = view.services();
        let name = format!("svc{n}");
        let found = services.find(|service| service.spec.name.as_str() == name);
        Service::clone(found.unwrap())
    }

    fn pinned(&self, n: u8) -> u64 {
        self.stored(n).spec.task.files[0].version
    }
}

fn using(n: u8, kind: wire::MaterialKind, names: &[&str]) -> wire::ServiceSpec {
    let mut spec = spec(n, &[], &[]);
    spec.task.as_mut().unwrap().files = names
        .iter()
        .map(|name| wire::FileReference {
            kind: kind.into(),
            material_id: (*name).to_owned(),
            ..wire::FileReference::default()
        })
        .collect();
    spec
}

fn with_secret(n: u8, name: &str) -> wire::ServiceSpec {
    using(n, wire::MaterialKind::Secret, &[name])
}

#[tokio::test]
async fn a_secret_goes_in_and_its_data_never_comes_out() {
    let house = house(vec![]);
    let made = house.secret("db.pw", "hunter2").await.unwrap();
    assert_eq!(made.versions[0].number, 1);
    assert!(made.versions[0].at_ms > 0, "stamped when it became state");
    let list = |target: &str| {
        let target = target.to_owned();
        let request = wire::ListMaterialsRequest { target, read: None };
        house.control.list_secrets(Request::new(request))
    };
    let renewed = house.renew("db.pw", "hunter3").await.unwrap();
    let answers = [
        made.encode_to_vec(),
        renewed.encode_to_vec(),
        list("").await.unwrap().into_inner().encode_to_vec(),
        list("db.pw").await.unwrap().into_inner().encode_to_vec(),
    ];
    for answer in answers {
        assert!(!answer.windows(6).any(|part| part == b"hunter"));
    }
    let data = |view: &crate::store::State| {
        let id = made.id.parse().unwrap();
        view.material(id).unwrap().data().unwrap().clone()
    };
    assert_eq!(data(&house.fake.store().view()).bytes(), b"hunter3");
}

#[tokio::test]
async fn the_data_of_a_config_is_in_the_answer_to_its_name_only() {
    let house = house(vec![]);
    let config = wire::MaterialKind::Config;
    house
        .make(config, "site", "listen 80", false)
        .await
        .unwrap();
    // Names of secrets are others.
    house.secret("site", "x").await.unwrap();
    for (target, shown) in [("", ""), ("site", "listen 80")] {
        let target = target.to_owned();
        let request = Request::new(wire::ListMaterialsRequest { target, read: None });
        let answer = house.control.list_configs(request).await.unwrap();
        let found = answer.into_inner().materials;
        let [listing] = found.as_slice() else {
            panic!("{} configs", found.len());
        };
        let versions = &listing.material.as_ref().unwrap().versions;
        assert_eq!(versions[0].data, shown.as_bytes());
    }
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_by_name() {
    let house = house(vec![]);
    house.secret("pw", "x").await.unwrap();
    let before = house.fake.proposals();
    let taken = house.secret("pw", "y").await;
    refused(
        taken,
        Code::AlreadyExists,
        &["secret pw", "weft secret update pw"],
    );
    refused(
        house.secret("e", "").await,
        Code::InvalidArgument,
        &["secret e has no data"],
    );
    let large = house.secret("l", &"x".repeat((500 << 10) + 1)).await;
    refused(large, Code::InvalidArgument, &["512001 bytes", "512000"]);
    let name = house.secret("a/b", "x").await;
    refused(name, Code::InvalidArgument, &["cannot be a name"]);
    let config = wire::MaterialKind::Config;
    let unknown = house.make(config, "t", "{{.Node.Nope}}", true).await;
    refused(
        unknown,
        Code::InvalidArgument,
        &["config t", "{{.Node.Nope}} is unknown"],
    );
    refused(
        house.renew("pw", "").await,
        Code::InvalidArgument,
        &["no data"],
    );
    refused(
        house.renew("nope", "x").await,
        Code::NotFound,
        &["no secret \"nope\"", "pw"],
    );
    assert_eq!(house.fake.proposals(), before);
}

#[tokio::test]
async fn a_service_has_the_present_version_and_another_one_rolls_it_over() {
    let house = house(vec![]);
    house.secret("pw", "one").await.unwrap();
    house.create(with_secret(1, "pw")).await.unwrap();
    let file = house.stored(1).spec.task.files[0].clone();
    assert_eq!(
        (file.target.as_str(), file.mode, file.version),
        ("/run/secrets/pw", 0o444, 1)
    );

    let same = house.renew("pw", "one").await.unwrap();
    assert_eq!(
        (same.services.len(), house.pinned(1)),
        (0, 1),
        "nothing new"
    );
    let done = house.renew("pw", "two").await.unwrap();
    assert_eq!(done.services, ["svc1"]);
    let service = house.stored(1);
    assert_eq!(service.spec.task.files[0].version, 2);
    assert_eq!(service.previous.unwrap().task.files[0].version, 1);
    assert!(!service.update.unwrap().state.has_ended());

    // The way back has the data of before, as long as it may be gone.
    let request = wire::RollbackServiceRequest {
        target: "svc1".to_owned(),
        ..wire::RollbackServiceRequest::default()
    };
    house
        .control
        .rollback_service(Request::new(request))
        .await
        .unwrap();
    assert_eq!(house.pinned(1), 1);
    let view = house.fake.store().view();
    let secret = view.materials().next().unwrap();
    assert_eq!(secret.versions[&1].data.bytes(), b"one");
    assert_eq!(secret.versions[&2].data.bytes(), b"two");

    // Another change of the service says nothing about the secret.
    let mut spec = wire::ServiceSpec::from(&house.stored(1).spec);
    spec.task.as_mut().unwrap().env = vec!["A=b".to_owned()];
    house.update("svc1", 0, spec).await.unwrap();
    assert_eq!(house.pinned(1), 1);
    house.renew("pw", "three").await.unwrap();
    assert_eq!(house.pinned(1), 3);
}

#[tokio::test]
async fn a_service_that_comes_while_a_secret_changes_is_not_left_behind() {
    let house = house(vec![]);
    house.secret("pw", "one").await.unwrap();
    let secret =
        weft_proto::object::Material::clone(house.fake.store().view().materials().next().unwrap());
    let mut late = service(1, 1);
    late.spec.task.files = vec![file(&secret, 1)];
    house.fake.rival(vec![Change::create(late)]);
    let done = house.renew("pw", "two").await.unwrap();
    assert_eq!(done.services, ["svc1"], "found in the second attempt");
    assert_eq!(house.pinned(1), 2);
}

#[tokio::test]
async fn a_secret_in_use_cannot_be_removed() {
    let house = house(vec![]);
    let made = house.secret("pw", "one").await.unwrap();
    house.create(with_secret(1, "pw")).await.unwrap();
    house.create(with_secret(2, &made.id)).await.unwrap();
    let used = house.remove_secret("pw").await;
    refused(
        used,
        Code::FailedPrecondition,
        &["services svc1, svc2", "take it out"],
    );
    let (one, two) = (house.stored(1), house.stored(2));
    let stopping = task(7, &one).state(TaskState::Running);
    house.fake.rival(vec![
        Change::create(stopping),
        Change::remove(one),
        Change::remove(two),
    ]);
    house.secret("other", "x").await.unwrap();
    let used = house.remove_secret("pw").await;
    refused(
        used,
        Code::FailedPrecondition,
        &["svc1.1", "still stopping"],
    );
    house.remove_secret("other").await.unwrap();
}

#[tokio::test]
async fn uses_that_cannot_be_are_refused() {
    let house = house(vec![]);
    house.secret("a", "x").await.unwrap();
    house.secret("b", "x").await.unwrap();
    let unknown = house.create(with_secret(1, "nope")).await;
    refused(unknown, Code::NotFound, &["no secret \"nope\""]);
    let config = house
        .create(using(1, wire::MaterialKind::Config, &["a"]))
        .await;
    refused(config, Code::NotFound, &["no config \"a\""]);
    let mut twice = using(1, wire::MaterialKind::Secret, &["a", "b"]);
    twice.task.as_mut().unwrap().files[1].target = "a".to_owned();
    let twice = house.create(twice).await;
    refused(
        twice,
        Code::InvalidArgument,
        &["secret a and secret b", "/run/secrets/a"],
    );
    let mut climbs = with_secret(1, "a");
    climbs.task.as_mut().unwrap().files[0].target = "../../etc/passwd".to_owned();
    let climbs = house.create(climbs).await;
    refused(climbs, Code::InvalidArgument, &["files[0].target", ".."]);
    let mut gone = with_secret(1, "a");
    gone.task.as_mut().unwrap().files[0].version = 9;
    refused(
        house.create(gone).await,
        Code::FailedPrecondition,
        &["version 9 of secret a"],
    );
}

#[tokio::test]
async fn placeholders_are_checked_where_they_are_written() {
    let house = house(vec![]);
    let config = wire::MaterialKind::Config;
    let text = "{{secret \"pw\"}} {{index .Service.Labels \"zone\"}} {{env \"LEVEL\"}}";
    house.make(config, "site", text, true).await.unwrap();
    house.secret("pw", "x").await.unwrap();
    let mut asked = using(1, config, &["site"]);
    refused(
        house.create(asked.clone()).await,
        Code::InvalidArgument,
        &["config site", "{{secret \"pw\"}}"],
    );
    let task = asked.task.as_mut().unwrap();
    task.files.extend(with_secret(1, "pw").task.unwrap().files);
    refused(
        house.create(asked.clone()).await,
        Code::InvalidArgument,
        &["Service.Labels \"zone\""],
    );
    let label = |key: &str, value: &str| wire::Label {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    asked.labels = vec![label("zone", "z1"), label("other", "o")];
    refused(
        house.create(asked.clone()).await,
        Code::InvalidArgument,
        &["env \"LEVEL\""],
    );
    let task = asked.task.as_mut().unwrap();
    task.env = vec![
        "LEVEL=info".to_owned(),
        "HOST={{.Node.Hostname}}".to_owned(),
    ];
    house.create(asked.clone()).await.unwrap();
    let labels = house.stored(1).spec.task.template_labels.clone();
    assert_eq!(labels.len(), 1, "only what is asked for: {labels:?}");
    assert_eq!(labels["zone"], "z1");

    let mut env = spec(2, &[], &[]);
    env.task.as_mut().unwrap().env = vec!["P={{secret \"pw\"}}".to_owned()];
    refused(
        house.create(env).await,
        Code::InvalidArgument,
        &["secrets and configs only"],
    );
}
