//! Keeps the node's certificate, and the roots it trusts, as the cluster wants them.

use crate::agent::Dial;
use crate::agent::words;
use crate::desired::Desired;
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::error;
use tracing::info;
use tracing::warn;
use weft_pki::CertificateChain;
use weft_pki::ChainError;
use weft_pki::Credentials;
use weft_pki::CredentialsError;
use weft_pki::Due;
use weft_pki::KeyError;
use weft_pki::Keystore;
use weft_pki::KeystoreError;
use weft_pki::LiveCredentials;
use weft_pki::Policy;
use weft_pki::PrivateKey;
use weft_pki::RequestError;
use weft_pki::TrustError;
use weft_pki::certificate_request;
use weft_pki::due;
use weft_proto::time::Clock;
use weft_proto::wire;
use weft_proto::wire::ca_client::CaClient;

/// Longest sleep between two looks at the clock: a clock that is set, or a machine that was
/// asleep, is noticed within this.
const LOOK: Duration = Duration::from_secs(60);
/// One try with one manager, connecting included; the CA commits nothing, it only signs. Of a short
/// life no more than a quarter.
const CALL: Duration = Duration::from_secs(5);
/// When all nodes are told at once to renew, they do so within this. Of a short life no more than a
/// sixteenth.
const SPREAD: Duration = Duration::from_secs(3);
/// Pause after every manager failed; doubled up to `RETRY_MAX`. A quarter of the certificate's
/// life, at least, is left for tries. Of a short life no more than a twentieth.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Renews the certificate of this node when its time has come.
pub struct Renewal {
    /// The credentials in use.
    pub live: Arc<LiveCredentials>,
    /// Where they are kept.
    pub keystore: Keystore,
    /// Judges their age.
    pub clock: Arc<dyn Clock>,
    /// Managers named by a manager.
    pub desired: watch::Receiver<Arc<Desired>>,
    /// Managers named by the configuration, asked last.
    pub configured: Vec<SocketAddr>,
    /// How to reach them.
    pub dial: Dial,
    /// Asked for one now, whatever its age: the node's role has changed.
    pub asked: Arc<Notify>,
    /// What certificates should be, as managers say.
    pub policy: watch::Sender<Option<Policy>>,
    /// Seed of the moment of renewal and the order of managers.
    pub seed: u64,
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal")
            .field("live", &self.live)
            .finish_non_exhaustive()
    }
}

/// Why the certificate was not renewed.
#[derive(Debug, thiserror::Error)]
enum RenewError {
    #[error("cannot make a key")]
    Key(#[source] KeyError),
    #[error("cannot make a certificate request")]
    Request(#[source] RequestError),
    #[error("no manager is known")]
    NoManager,
    #[error("manager {addr}: {reason}")]
    Call { addr: SocketAddr, reason: String },
    #[error("the manager's answer is no certificate chain")]
    Chain(#[source] ChainError),
    #[error("the manager's certificate does not fit")]
    Credentials(#[source] CredentialsError),
    #[error("the manager's certificate is for another node")]
    OtherNode,
    #[error("the manager's roots cannot be used")]
    Trust(#[source] TrustError),
    #[error("the new certificate cannot be kept")]
    Keep(#[source] KeystoreError),
    #[error("the new certificate cannot be used")]
    Swap(#[source] CredentialsError),
    #[error("the disk's thread ended")]
    Thread(#[source] tokio::task::JoinError),
}

impl Renewal {
    /// Renews whenever it is time, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let mut jitter = rng.random();
        let mut failures = 0_u32;
        let mut expired = false;
        let mut asked = false;
        let mut waited = None;
        let mut policies = self.policy.subscribe();
        let mut changes = self.live.summaries();
        while !shutdown.is_cancelled() {
            changes.mark_unchanged();
            let policy = policies.borrow_and_update().clone();
            let version = policy.as_ref().map(|policy| policy.version);
            let current = self.live.current();
            let life = life(&current);
            let now = self.clock.now();
            let due = match due(&current, policy.as_ref(), now, jitter) {
                Due::Later(_) | Due::Told if asked => Due::Now,
                Due::Told if waited == version => Due::Now,
                due @ (Due::Later(_)
                | Due::Adopt(_)
                | Due::Told
                | Due::Now
                | Due::Expired { .. }) => due,
            };
            let done = match due {
                Due::Later(at) => Err(at.duration_since(now).unwrap_or_default().min(LOOK)),
                Due::Told => {
                    waited = version;
                    Err(SPREAD.min(life / 16).mul_f64(rng.random()))
                }
                Due::Expired { since } => {
                    if !std::mem::replace(&mut expired, true) {
                        error!(
                            ?since,
                            "this node's certificate expired; to renew it run \"weft cluster join \
                             --token TOKEN MANAGER:2377\" here, with a token from \"weft cluster \
                             join-token\" on a manager: the node keeps its identity and its tasks"
                        );
                    }
                    Err(LOOK)
                }
                Due::Adopt(fresh) => Ok(self.keep(*fresh).await.map(|()| {
                    info!(trust = ?self.live.current().trust().fingerprints(), "other roots are trusted");
                })),
                Due::Now => Ok(self.renew_unless(&shutdown, &mut rng).await.map(|()| {
                    asked = false;
                    jitter = rng.random();
                })),
            };
            let pause = match done {
                Ok(Ok(())) => {
                    (failures, expired, waited) = (0, false, None);
                    continue;
                }
                Ok(Err(error)) => {
                    let causes = std::iter::successors(error.source(), |e| (*e).source());
                    let causes: Vec<_> = causes.map(ToString::to_string).collect();
                    warn!(%error, ?causes, "the certificate is not renewed yet");
                    let pause = RETRY_MIN.min(life / 20) * 2_u32.pow(failures.min(10));
                    failures = failures.saturating_add(1);
                    RETRY_MAX.min(pause).mul_f64(rng.random_range(0.5..1.0))
                }
                Err(pause) => pause,
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.asked.notified() => asked = true,
                Ok(()) = policies.changed() => {}
                Ok(()) = changes.changed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn renew_unless(
        &self,
        shutdown: &CancellationToken,
        rng: &mut StdRng,
    ) -> Result<(), RenewError> {
        // A half-done renewal changes nothing; one that was kept is used after the next start.
        tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            done = self.renew(rng) => done,
        }
    }

    async fn renew(&self, rng: &mut StdRng) -> Result<(), RenewError> {
        let key = PrivateKey::generate().map_err(RenewError::Key)?;
        let request = certificate_request(&key).map_err(RenewError::Request)?;
        let answer = self.ask(request, rng).await?;
        let chain = CertificateChain::from_der(answer.chain_der).map_err(RenewError::Chain)?;
        let current = self.live.current();
        let policy = answer.certificates.map(Policy::read).transpose();
        let policy = policy.map_err(RenewError::Trust)?;
        let trust = match &policy {
            Some(policy) => policy.trust.clone(),
            None => current.trust().clone(),
        };
        let fresh = Credentials::new(key, chain, trust).map_err(RenewError::Credentials)?;
        if fresh.identity().node != current.identity().node {
            return Err(RenewError::OtherNode);
        }
        self.keep(fresh).await?;
        if let Some(policy) = policy {
            self.policy.send_if_modified(|known| learn(known, policy));
        }
        info!(identity = %self.live.current().identity(), "certificate renewed");
        Ok(())
    }

    async fn keep(&self, fresh: Credentials) -> Result<(), RenewError> {
        // Kept before it is used: what the cluster sees must survive a crash.
        let (keystore, kept) = (self.keystore.clone(), fresh.clone());
        tokio::task::spawn_blocking(move || keystore.store(&kept))
            .await
            .map_err(RenewError::Thread)?
            .map_err(RenewError::Keep)?;
        self.live.swap(fresh).map_err(RenewError::Swap)
    }

    /// Asks one manager after the other.
    async fn ask(
        &self,
        csr_der: Vec<u8>,
        rng: &mut StdRng,
    ) -> Result<wire::RenewResponse, RenewError> {
        let mut managers = self.desired.borrow().managers.clone();
        managers.shuffle(rng);
        let rest = self
            .configured
            .iter()
            .filter(|addr| !managers.contains(addr));
        let rest: Vec<_> = rest.copied().collect();
        managers.extend(rest);
        let patience = CALL.min(life(&self.live.current()) / 4);
        let mut last = RenewError::NoManager;
        for addr in managers {
            let mut client = CaClient::new((self.dial)(addr));
            let request = wire::RenewRequest {
                csr_der: csr_der.clone(),
            };
            let reason = match timeout(patience, client.renew(request)).await {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) => words(&status),
                Err(_) => format!("no answer within {patience:?}"),
            };
            last = RenewError::Call { addr, reason };
        }
        Err(last)
    }
}

/// How long a certificate is valid in all.
fn life(held: &Credentials) -> Duration {
    let life = held.not_after().duration_since(held.not_before());
    life.unwrap_or_default()
}

/// Takes over what was said, unless something newer was.
pub(super) fn learn(known: &mut Option<Policy>, said: Policy) -> bool {
    if known
        .as_ref()
        .is_some_and(|known| known.version >= said.version)
    {
        return false;
    }
    *known = Some(said);
    true
}

#[cfg(test)]
#[path = "renew_tests.rs"]
mod tests;
