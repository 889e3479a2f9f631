use crate::api::tests::House;
use crate::api::tests::house;
use crate::api::tests::refused;
use crate::api::tests::spec;
use crate::fixture::TaskFixture;
use crate::fixture::network;
use crate::fixture::node;
use crate::fixture::service;
use crate::fixture::task;
use tonic::Code;
use tonic::Request;
use tonic::Status;
use weft_proto::command::Change;
use weft_proto::command::Expect;
use weft_proto::object::NodeState;
use weft_proto::object::Service;
use weft_proto::object::UpdateState;
use weft_proto::object::UpdateStatus;
use weft_proto::spec::Mode;
use weft_proto::spec::RestartCondition;
use weft_proto::task_state::TaskState;
use weft_proto::time::Timestamp;
use weft_proto::wire;
use weft_proto::wire::control_server::Control;

impl House {
    async fn rollback(&self, target: &str) -> Result<wire::Service, Status> {
        let request = wire::RollbackServiceRequest {
            target: target.to_owned(),
            ..wire::RollbackServiceRequest::default()
        };
        let answer = self.control.rollback_service(Request::new(request)).await?;
        Ok(answer.into_inner().service.unwrap())
    }

    /// The orchestrator says how far the change of `svc1` is.
    fn roll(&self, state: UpdateState) {
        let view = self.fake.view();
        let mut service = Service::clone(view.services().next().unwrap());
        service.update = Some(UpdateStatus {
            state,
            started: Timestamp::from_millis(1),
            ended: None,
            message: String::new(),
        });
        let object = service.into();
        let expect = Expect::Any;
        self.fake.write(vec![Change::Put { object, expect }]);
    }
}

fn forced(n: u64) -> wire::ServiceSpec {
    let mut spec = spec(1, &[], &[]);
    spec.task.as_mut().unwrap().force_update = n;
    spec
}

fn force(spec: Option<&wire::ServiceSpec>) -> Option<u64> {
    spec.and_then(|spec| Some(spec.task.as_ref()?.force_update))
}

fn state(service: &wire::Service) -> Option<wire::update_status::State> {
    service.update.as_ref().map(wire::UpdateStatus::state)
}

fn job() -> wire::ServiceSpec {
    let mut spec = spec(1, &[], &[]);
    spec.replicated = None;
    spec.replicated_job = Some(wire::ReplicatedJobMode {
        completions: 2,
        max_concurrent: 0,
    });
    let restart = spec.task.as_mut().unwrap().restart.as_mut().unwrap();
    restart.condition = wire::RestartCondition::Unspecified.into();
    spec
}

#[tokio::test]
async fn what_means_nothing_in_a_mode_is_refused_and_says_why() {
    let house = house(vec![network(1).into()]);
    let refuse = async |change: &dyn Fn(&mut wire::ServiceSpec), part: &str| {
        let mut spec = job();
        change(&mut spec);
        refused(house.create(spec).await, Code::InvalidArgument, &[part]);
    };
    let any = |spec: &mut wire::ServiceSpec| {
        let restart = spec.task.as_mut().unwrap().restart.as_mut().unwrap();
        restart.condition = wire::RestartCondition::Any.into();
    };
    refuse(&any, "use on-failure or none").await;
    let published =
        |spec: &mut wire::ServiceSpec| spec.ports = super::spec(1, &[], &[(80, 80)]).ports;
    refuse(&published, "its tasks end").await;
    let global = |spec: &mut wire::ServiceSpec| {
        spec.replicated_job = None;
        spec.global = Some(wire::GlobalMode {});
    };
    let spread = |spec: &mut wire::ServiceSpec| {
        global(spec);
        spec.task.as_mut().unwrap().preferences = vec![wire::SpreadPreference {
            key: "node.labels.zone".to_owned(),
        }];
    };
    refuse(
        &spread,
        "placement preference means nothing for a service of mode global",
    )
    .await;
    let bounded = |spec: &mut wire::ServiceSpec| {
        global(spec);
        spec.task.as_mut().unwrap().max_per_node = 1;
    };
    refuse(&bounded, "one task on every node").await;
    assert_eq!(house.fake.proposals(), 0);
}

#[tokio::test]
async fn a_job_begins_a_run_when_it_is_made_and_when_its_tasks_change() {
    let house = house(vec![]);
    let made = house.create(job()).await.unwrap();
    assert_eq!(made.run.unwrap().iteration, 1);
    let made = Service::try_from(made).unwrap();
    let condition = made.spec.task.restart.condition;
    assert_eq!(
        condition,
        RestartCondition::OnFailure,
        "a job that ended well is done"
    );

    let mut more = job();
    more.replicated_job.as_mut().unwrap().completions = 5;
    let more = house.update("svc1", 0, more).await.unwrap();
    assert_eq!(more.run.unwrap().iteration, 1);
    let mut other = job();
    other.task.as_mut().unwrap().force_update = 1;
    let other = house.update("svc1", 0, other).await.unwrap();
    assert_eq!(other.run.unwrap().iteration, 2);
    assert_eq!(other.update, None);
}

#[tokio::test]
async fn a_service_keeps_its_mode() {
    let house = house(vec![]);
    house.create(spec(1, &[], &[])).await.unwrap();
    let mut global = spec(1, &[], &[]);
    global.replicated = None;
    global.global = Some(wire::GlobalMode {});
    let parts = ["mode replicated", "cannot become global", "create it anew"];
    let answer = house.update("svc1", 0, global).await;
    refused(answer, Code::InvalidArgument, &parts);
}

#[tokio::test]
async fn a_change_rolls_over_and_can_be_rolled_back_but_not_the_scale() {
    let house = house(vec![]);
    let made = house.create(forced(0)).await.unwrap();
    assert_eq!((state(&made), made.previous), (None, None));
    let never = house.rollback("svc1").await;
    refused(
        never,
        Code::FailedPrecondition,
        &["no previous spec", "not changed since"],
    );

    let changed = house.update("svc1", 0, forced(1)).await.unwrap();
    assert_eq!(state(&changed), Some(wire::update_status::State::Updating));
    assert_eq!(force(changed.previous.as_ref()), Some(0));
    house.roll(UpdateState::Completed);
    let mut scaled = forced(1);
    scaled.replicated = Some(wire::ReplicatedMode { replicas: 7 });
    let scaled = house.update("svc1", 0, scaled).await.unwrap();
    assert_eq!(state(&scaled), Some(wire::update_status::State::Completed));
    assert_eq!(force(scaled.previous.as_ref()), Some(0));

    let back = house.rollback("svc1").await.unwrap();
    assert_eq!(state(&back), Some(wire::update_status::State::RollingBack));
    assert_eq!(force(back.spec.as_ref()), Some(0));
    assert_eq!(back.spec.unwrap().replicated.unwrap().replicas, 7);
    assert_eq!(force(back.previous.as_ref()), Some(1), "and forth again");
}

#[tokio::test]
async fn what_never_came_to_its_end_is_nothing_to_return_to() {
    let house = house(vec![]);
    house.create(forced(0)).await.unwrap();
    house.update("svc1", 0, forced(1)).await.unwrap();
    house.roll(UpdateState::Paused);
    let again = house.update("svc1", 0, forced(2)).await.unwrap();
    assert_eq!(force(again.previous.as_ref()), Some(0));
    house.roll(UpdateState::Paused);
    let back = house.rollback("svc1").await.unwrap();
    assert_eq!(force(back.spec.as_ref()), Some(0));
    assert_eq!(back.previous, None);
    refused(
        house.rollback("svc1").await,
        Code::FailedPrecondition,
        &["rolled back already"],
    );
}

#[tokio::test]
async fn an_update_of_nothing_resumes_a_paused_one_and_scaling_does_not() {
    let house = house(vec![]);
    house.create(forced(0)).await.unwrap();
    house.update("svc1", 0, forced(1)).await.unwrap();
    house.roll(UpdateState::Paused);
    let mut scaled = forced(1);
    scaled.replicated = Some(wire::ReplicatedMode { replicas: 7 });
    let scaled = house.update("svc1", 0, scaled).await.unwrap();
    assert_eq!(state(&scaled), Some(wire::update_status::State::Paused));
    let resumed = house.update("svc1", 0, scaled.spec.unwrap()).await.unwrap();
    assert_eq!(state(&resumed), Some(wire::update_status::State::Updating));
    assert_eq!(
        resumed.update.unwrap().started_ms,
        0,
        "the leader says when"
    );
}

#[tokio::test]
async fn a_rollback_to_a_network_that_is_gone_is_refused() {
    let house = house(vec![network(1).into()]);
    house.create(spec(1, &["net1"], &[])).await.unwrap();
    house.update("svc1", 0, spec(1, &[], &[])).await.unwrap();
    let gone = wire::RemoveNetworkRequest {
        request_id: String::new(),
        target: "net1".to_owned(),
    };
    house
        .control
        .remove_network(Request::new(gone))
        .await
        .unwrap();
    let answer = house.rollback("svc1").await;
    refused(
        answer,
        Code::FailedPrecondition,
        &["was removed", "service update"],
    );
}

#[tokio::test]
async fn a_list_says_how_many_tasks_there_should_be() {
    let (mut global, mut work) = (service(1, 0), service(2, 0));
    global.spec.mode = Mode::Global;
    work.spec.mode = Mode::ReplicatedJob {
        completions: 5,
        max_concurrent: 0,
    };
    work.run = Some(weft_proto::object::JobRun {
        iteration: 2,
        started: Timestamp::from_millis(1),
        skipped: None,
    });
    let mut down = node(3);
    down.status.state = NodeState::Down;
    let lost = task(1, &global).on(&down).slot(3).state(TaskState::Running);
    let runs = task(2, &global).on(&node(1)).state(TaskState::Running);
    let complete = |n: u128, iteration| {
        let mut task = task(n, &work).state(TaskState::Complete);
        task.slot = u32::try_from(n).unwrap();
        task.iteration = iteration;
        task
    };
    let house = house(vec![
        node(1).into(),
        node(2).into(),
        down.into(),
        lost.into(),
        runs.into(),
        complete(3, 1).into(),
        complete(4, 2).into(),
        complete(5, 2).into(),
        global.into(),
        work.into(),
    ]);
    let all = wire::ListServicesRequest::default();
    let answer = house
        .control
        .list_services(Request::new(all))
        .await
        .unwrap();
    let numbers: Vec<_> = answer
        .into_inner()
        .services
        .iter()
        .map(|listing| (listing.running, listing.wanted, listing.completed))
        .collect();
    assert_eq!(numbers, [(1, 2, 0), (0, 5, 2)]);
}

#[tokio::test]
async fn an_ended_task_says_what_becomes_of_its_slot() {
    let mut svc = service(1, 1);
    svc.spec.task.restart.max_attempts = 2;
    let ended = task(1, &svc).on(&node(1)).state(TaskState::Failed);
    let house = house(vec![node(1).into(), svc.into(), ended.into()]);
    let all = wire::ListTasksRequest::default();
    let answer = house.control.list_tasks(Request::new(all)).await.unwrap();
    let tasks = answer.into_inner().tasks;
    let message = &tasks[0].status.as_ref().unwrap().message;
    assert_eq!(message, "starts again 5 s after its end, attempt 1 of 2");
}
