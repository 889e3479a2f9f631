//! Who is who: the cluster's root, node certificates, join tokens, and connections on which
//! both sides have proven their identity.
//!
//! `init` makes a [`Root`]. A [`JoinToken`] pins the root's digest. A joining node makes a
//! [`PrivateKey`], reaches a manager over an [`enrol_channel`], sends a certificate request and
//! gets back a chain that [`issue`] made. From then on it speaks TLS 1.3 with both sides
//! authenticated: [`serve_incoming`] on the listening side, [`channel`] on the calling side. Both
//! read [`LiveCredentials`], so a renewed certificate is used by the next connection.
#![forbid(unsafe_code)]

mod authority;
mod base32;
mod credentials;
mod entropy;
mod identity;
mod issue;
mod key;
mod keystore;
mod local_key;
pub mod proof;
mod refusal;
mod renewal;
mod request;
mod revoked;
mod root;
pub mod rotation;
mod tls;
mod token;
mod token_secret;
mod transport;
mod trust;
pub mod tunnel;
mod unlock_key;
mod user;
mod verify;
mod when;

pub use authority::Authority;
pub use authority::AuthorityError;
pub use authority::policy;
pub use credentials::Credentials;
pub use credentials::CredentialsError;
pub use credentials::LiveCredentials;
pub use entropy::EntropyError;
pub use identity::IdentityError;
pub use identity::NodeIdentity;
pub use issue::CLOCK_SKEW_ALLOWANCE;
pub use issue::CertificateChain;
pub use issue::ChainError;
pub use issue::DEFAULT_CERTIFICATE_TTL;
pub use issue::IssueError;
pub use issue::check_request;
pub use issue::issue;
pub use issue::issue_user;
pub use issue::requested_key_bits;
pub use key::KeyError;
pub use key::PrivateKey;
pub use keystore::KeySeal;
pub use keystore::Keystore;
pub use keystore::KeystoreError;
pub use local_key::LocalKey;
pub use refusal::Refusal;
pub use renewal::Due;
pub use renewal::Policy;
pub use renewal::RenewAt;
pub use renewal::due;
pub use renewal::renew_at;
pub use request::RequestError;
pub use request::certificate_request;
pub use root::Root;
pub use root::RootCert;
pub use root::RootDigest;
pub use root::RootError;
pub use token::JoinToken;
pub use token::ParseTokenError;
pub use token_secret::TokenSecret;
pub use token_secret::TokenVerifier;
pub use transport::ConnectError;
pub use transport::Expect;
pub use transport::PeerIdentity;
pub use transport::ServerStream;
pub use transport::channel;
pub use transport::connect_error;
pub use transport::enrol_channel;
pub use transport::explain;
pub use transport::peer_of;
pub use transport::removed_status;
pub use transport::says_removed;
pub use transport::serve_incoming;
pub use transport::server;
pub use transport::user_channel;
pub use trust::Trust;
pub use trust::TrustError;
pub use unlock_key::ParseUnlockKeyError;
pub use unlock_key::UnlockKey;
pub use user::UserCredentials;
pub use user::UserIdentity;
pub use user::UserProof;
pub use user::key_digest;
