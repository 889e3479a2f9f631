//! Joining and renewing over a store in memory.

mod founding;
mod issue;
mod over_tls;
mod pending;
mod renew;
mod tokens;

use crate::ca::CaService;
use crate::ca::Founded;
use crate::ca::Founding;
use crate::ca::bootstrap;
use crate::fixture;
use crate::propose::fake::FakeProposer;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;
use tonic::Code;
use tonic::Request;
use tonic::Status;
use weft_pki::PrivateKey;
use weft_pki::certificate_request;
use weft_proto::Role;
use weft_proto::defaults;
use weft_proto::object::Cluster;
use weft_proto::time::Clock;
use weft_proto::wire;
use weft_proto::wire::ca_server::Ca;

#[derive(Debug)]
struct Stopped(SystemTime);

impl Clock for Stopped {
    fn now(&self) -> SystemTime {
        self.0
    }
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_184_566)
}

/// A cluster of one manager, and its certificate authority.
struct House {
    fake: Arc<FakeProposer>,
    ca: CaService,
}

fn founding(now: SystemTime) -> Founding {
    Founding {
        description: fixture::node(1).description,
        data_addr: fixture::node(1).data_addr,
        advertise_addr: "192.0.2.1:2377".parse().unwrap(),
        settings: defaults::settings(),
        now,
        cluster: ids()(),
        node: ids()(),
    }
}

/// Every cluster and node of the tests gets another identifier.
fn ids() -> impl Fn() -> u128 + Send + Sync + 'static {
    static NEXT: AtomicU64 = AtomicU64::new(1000);
    || u128::from(NEXT.fetch_add(1, Ordering::Relaxed))
}

fn found(at: SystemTime) -> Founded {
    bootstrap(founding(at)).unwrap()
}

fn house() -> House {
    house_of(found(now()).changes, now())
}

fn house_of(changes: Vec<weft_proto::command::Change>, at: SystemTime) -> House {
    let fake = Arc::new(FakeProposer::default());
    fake.write(changes);
    let clock = Arc::new(Stopped(at));
    let ca = CaService::new(fake.clone(), clock, Arc::new(ids()));
    House { fake, ca }
}

impl House {
    fn cluster(&self) -> Cluster {
        Cluster::clone(self.fake.view().cluster().unwrap())
    }

    fn token(&self, role: Role) -> String {
        match role {
            Role::Worker => self.cluster().worker_token,
            Role::Manager => self.cluster().manager_token,
        }
    }

    /// What machine `n` sends to join with a role.
    fn request(&self, n: u16, role: Role) -> wire::IssueRequest {
        let node = fixture::node(n);
        wire::IssueRequest {
            token: self.token(role),
            csr_der: csr(&PrivateKey::generate().unwrap()),
            description: Some((&node.description).into()),
            data_addr: node.data_addr.to_string(),
            advertise_addr: match role {
                Role::Manager => format!("{}:2377", node.data_addr),
                Role::Worker => String::new(),
            },
        }
    }

    async fn issue(&self, request: wire::IssueRequest) -> Result<wire::IssueResponse, Status> {
        Ok(self.ca.issue(Request::new(request)).await?.into_inner())
    }

    async fn join(&self, n: u16, role: Role) -> wire::IssueResponse {
        self.issue(self.request(n, role)).await.unwrap()
    }
}

fn csr(key: &PrivateKey) -> Vec<u8> {
    certificate_request(key).unwrap()
}

/// Asserts the code and that the text has every part.
#[track_caller]
fn refused<T>(answer: Result<T, Status>, code: Code, parts: &[&str]) {
    let Err(status) = answer else {
        panic!("it was not refused");
    };
    assert_eq!(status.code(), code, "{status}");
    for part in parts {
        let text = status.message();
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}
