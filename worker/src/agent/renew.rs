//! Keeps the node's certificate fresh.

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
use weft_pki::KeyError;
use weft_pki::Keystore;
use weft_pki::KeystoreError;
use weft_pki::LiveCredentials;
use weft_pki::PrivateKey;
use weft_pki::RenewAt;
use weft_pki::RequestError;
use weft_pki::certificate_request;
use weft_pki::renew_at;
use weft_proto::time::Clock;
use weft_proto::wire;
use weft_proto::wire::ca_client::CaClient;

/// Longest sleep between two looks at the clock: a clock that is set, or a machine that was
/// asleep, is noticed within this.
const LOOK: Duration = Duration::from_secs(60);
/// One try with one manager, connecting included; the CA commits nothing, it only signs.
const CALL: Duration = Duration::from_secs(5);
/// Pause after every manager failed; doubled up to `RETRY_MAX`. A quarter of the certificate's
/// life, at least, is left for tries.
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
        while !shutdown.is_cancelled() {
            let current = self.live.current();
            let now = self.clock.now();
            let due = if asked {
                RenewAt::Now
            } else {
                renew_at(current.not_before(), current.not_after(), now, jitter)
            };
            let pause = match due {
                RenewAt::Later(at) => at.duration_since(now).unwrap_or_default().min(LOOK),
                RenewAt::Expired { since } => {
                    if !std::mem::replace(&mut expired, true) {
                        error!(
                            ?since,
                            "this node's certificate expired: join again with a token"
                        );
                    }
                    LOOK
                }
                RenewAt::Now => match self.renew_unless(&shutdown, &mut rng).await {
                    Ok(()) => {
                        (failures, expired, asked) = (0, false, false);
                        jitter = rng.random();
                        continue;
                    }
                    Err(error) => {
                        let causes = std::iter::successors(error.source(), |e| (*e).source());
                        let causes: Vec<_> = causes.map(ToString::to_string).collect();
                        warn!(%error, ?causes, "the certificate is not renewed yet");
                        let pause = RETRY_MAX.min(RETRY_MIN * 2_u32.pow(failures.min(10)));
                        failures = failures.saturating_add(1);
                        pause.mul_f64(rng.random_range(0.5..1.0))
                    }
                },
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.asked.notified() => asked = true,
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
        let fresh = Credentials::new(key, chain, current.root().clone())
            .map_err(RenewError::Credentials)?;
        if fresh.identity().node != current.identity().node {
            return Err(RenewError::OtherNode);
        }
        // Kept before it is used: what the cluster sees must survive a crash.
        let (keystore, kept) = (self.keystore.clone(), fresh.clone());
        tokio::task::spawn_blocking(move || keystore.store(&kept))
            .await
            .map_err(RenewError::Thread)?
            .map_err(RenewError::Keep)?;
        info!(identity = %fresh.identity(), "certificate renewed");
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
        let mut last = RenewError::NoManager;
        for addr in managers {
            let mut client = CaClient::new((self.dial)(addr));
            let request = wire::RenewRequest {
                csr_der: csr_der.clone(),
            };
            let reason = match timeout(CALL, client.renew(request)).await {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) => words(&status),
                Err(_) => format!("no answer within {CALL:?}"),
            };
            last = RenewError::Call { addr, reason };
        }
        Err(last)
    }
}

#[cfg(test)]
#[path = "renew_tests.rs"]
mod tests;
