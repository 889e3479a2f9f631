//! TLS settings: 1.3 only, no resumption, HTTP/2, and judges that look at identities.
//!
//! A resumed session would skip the check of the client's certificate, so that a renewed,
//! expired or revoked one would not be noticed: every connection does a full handshake.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::server::NoServerSessionStorage;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;

use crate::Credentials;
use crate::RootDigest;
use crate::UserCredentials;
use crate::transport::Expect;
use crate::verify::ClientVerifier;
use crate::verify::NodeVerifier;
use crate::verify::PinnedRootVerifier;

const HTTP2: &[u8] = b"h2";

/// The one cryptography provider, named everywhere: a second one that some dependency switches on
/// would make the library's own choice panic.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The listening side. A client certificate is optional here, because a joining node has none:
/// what may be called without one is the business of whoever answers the call.
pub(crate) fn server_config(
    credentials: &Credentials,
    clock: Arc<dyn TimeProvider>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = provider();
    let store = Arc::new(credentials.trust().store()?);
    let chain = WebPkiClientVerifier::builder_with_provider(store, provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let verifier = ClientVerifier {
        chain,
        cluster: credentials.identity().cluster,
    };
    let mut config = ServerConfig::builder_with_details(provider, clock)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(resolver(credentials.certified_key()));
    config.alpn_protocols = vec![HTTP2.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The calling side of a node that has a certificate.
pub(crate) fn client_config(
    credentials: &Credentials,
    expect: Expect,
    clock: Arc<dyn TimeProvider>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = provider();
    let verifier = NodeVerifier {
        root: credentials.trust().store()?,
        cluster: credentials.identity().cluster,
        expect,
        algorithms: provider.signature_verification_algorithms,
    };
    let config = client_builder(provider, Arc::new(verifier), clock)?
        .with_client_cert_resolver(resolver(credentials.certified_key()));
    Ok(finished(config))
}

/// The calling side of a person: she trusts managers of her cluster, and nobody else.
pub(crate) fn user_config(
    credentials: &UserCredentials,
    clock: Arc<dyn TimeProvider>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = provider();
    let verifier = NodeVerifier {
        root: credentials.store()?,
        cluster: credentials.identity().cluster,
        expect: Expect::any_manager(),
        algorithms: provider.signature_verification_algorithms,
    };
    let config = client_builder(provider, Arc::new(verifier), clock)?
        .with_client_cert_resolver(resolver(credentials.certified_key()));
    Ok(finished(config))
}

/// Who judges certificates of callers by these roots.
pub(crate) fn client_judge(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, rustls::Error> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))
}

/// The calling side of a node that only knows a root's digest.
pub(crate) fn enrol_config(
    digest: RootDigest,
    clock: Arc<dyn TimeProvider>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = provider();
    let verifier = PinnedRootVerifier {
        digest,
        algorithms: provider.signature_verification_algorithms,
    };
    let config = client_builder(provider, Arc::new(verifier), clock)?.with_no_client_auth();
    Ok(finished(config))
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn client_builder(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
    clock: Arc<dyn TimeProvider>,
) -> Result<Builder, rustls::Error> {
    // "Dangerous" because a bad verifier is; ours checks more than the default one, not less.
    Ok(ClientConfig::builder_with_details(provider, clock)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier))
}

fn finished(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![HTTP2.to_vec()];
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

fn resolver(key: &Arc<CertifiedKey>) -> Arc<SingleCertAndKey> {
    Arc::new(SingleCertAndKey::from(key.clone()))
}
