//! What a person needs to use a cluster from afar, as one file.

use serde::Deserialize;
use serde::Serialize;
use std::fs;
use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use weft_pki::CertificateChain;
use weft_pki::PrivateKey;
use weft_pki::RootCert;
use weft_pki::UserCredentials;
use zeroize::Zeroizing;

/// The layout of the file.
const LAYOUT: u32 = 1;
/// Most managers in a bundle: more than any cluster has.
const MANAGERS: usize = 64;

/// A person's credentials, and where her cluster is.
#[derive(Clone, Debug)]
pub(crate) struct Bundle {
    pub(crate) credentials: Arc<UserCredentials>,
    /// Never empty.
    pub(crate) managers: Vec<SocketAddr>,
}

/// A text that is no bundle.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    #[error("it is no bundle of \"weft user create\"")]
    Json(#[source] serde_json::Error),
    #[error("it has layout {0}, which is not known here: use a newer weft")]
    Layout(u32),
    #[error("it names no manager, or too many")]
    Managers,
    #[error(transparent)]
    Key(#[from] weft_pki::KeyError),
    #[error(transparent)]
    Chain(#[from] weft_pki::ChainError),
    #[error(transparent)]
    Root(#[from] weft_pki::RootError),
    #[error(transparent)]
    Credentials(#[from] weft_pki::CredentialsError),
}

#[derive(Deserialize)]
struct Read {
    layout: u32,
    managers: Vec<SocketAddr>,
    certificate: String,
    key: String,
    roots: String,
}

#[derive(Serialize)]
struct Written<'a> {
    layout: u32,
    /// For people who look into the file.
    user: &'a str,
    cluster: &'a str,
    managers: &'a [SocketAddr],
    certificate: String,
    key: &'a str,
    roots: String,
}

impl Bundle {
    /// Key, certificate and roots, checked to fit together.
    pub(crate) fn new(
        key: PrivateKey,
        chain: CertificateChain,
        roots: Vec<RootCert>,
        managers: Vec<SocketAddr>,
    ) -> Result<Self, BundleError> {
        if managers.is_empty() || managers.len() > MANAGERS {
            return Err(BundleError::Managers);
        }
        let credentials = Arc::new(UserCredentials::new(key, chain, roots)?);
        Ok(Bundle {
            credentials,
            managers,
        })
    }

    /// The inverse of [`Bundle::to_text`].
    pub(crate) fn from_text(text: &str) -> Result<Self, BundleError> {
        let read: Read = serde_json::from_str(text).map_err(BundleError::Json)?;
        if read.layout != LAYOUT {
            return Err(BundleError::Layout(read.layout));
        }
        let key = Zeroizing::new(read.key);
        let roots = CertificateChain::from_pem(&read.roots)?;
        let roots = roots.certificates().iter();
        let roots = roots.map(|der| RootCert::from_der(der.clone()));
        Bundle::new(
            PrivateKey::from_pem(&key)?,
            CertificateChain::from_pem(&read.certificate)?,
            roots.collect::<Result<_, _>>()?,
            read.managers,
        )
    }

    /// The file's content: JSON with the key in it.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        let credentials = &self.credentials;
        let key = credentials.key().to_pem();
        let roots = credentials.roots().iter().map(RootCert::to_pem);
        let written = Written {
            layout: LAYOUT,
            user: credentials.identity().name.as_str(),
            cluster: credentials.identity().cluster.as_str(),
            managers: &self.managers,
            certificate: credentials.chain().to_pem(),
            key: &key,
            roots: roots.collect(),
        };
        // Texts and numbers only, which always become JSON.
        Zeroizing::new(serde_json::to_string_pretty(&written).unwrap_or_default() + "\n")
    }
}

/// Writes a bundle to a file that does not exist yet. Only the owner reads it.
pub(crate) fn write_new(path: &Path, bundle: &Bundle) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bundle.to_text().as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::time::Duration;
    use weft_pki::Root;
    use weft_pki::UserIdentity;
    use weft_pki::certificate_request;
    use weft_pki::issue_user;
    use weft_proto::ClusterId;
    use weft_proto::time::Clock;
    use weft_proto::time::SystemClock;

    pub(in crate::contexts) fn bundle(name: &str) -> Bundle {
        let cluster = ClusterId::from_entropy(7);
        let now = SystemClock.now();
        let root = Root::create(cluster, now).unwrap();
        let key = PrivateKey::generate().unwrap();
        let identity = UserIdentity {
            cluster,
            name: name.parse().unwrap(),
        };
        let csr = certificate_request(&key).unwrap();
        let day = Duration::from_secs(86_400);
        let chain = issue_user(&root, &csr, &identity, now, day).unwrap();
        let managers = vec!["192.0.2.1:2377".parse().unwrap()];
        Bundle::new(key, chain, vec![root.cert().clone()], managers).unwrap()
    }

    #[test]
    fn a_bundle_survives_its_file_and_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alice.weft");
        let made = bundle("alice");
        write_new(&path, &made).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let read = Bundle::from_text(&text).unwrap();
        assert_eq!(read.credentials.chain(), made.credentials.chain());
        assert_eq!(*read.to_text(), text);
        assert!(write_new(&path, &made).is_err(), "nothing is written over");
        let key = made.credentials.key().to_pem();
        let secret = key.lines().nth(1).unwrap();
        assert!(text.contains(secret) && !format!("{made:?}").contains(secret));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let (one, other) = (bundle("alice"), bundle("bob"));
        let text = one.to_text();
        let key = |of: &Bundle| of.credentials.key().to_pem().replace('\n', "\\n");
        let mixed = text.replace(&key(&one), &key(&other));
        assert!(matches!(
            Bundle::from_text(&mixed),
            Err(BundleError::Credentials(_))
        ));
        let newer = text.replace("\"layout\": 1", "\"layout\": 9");
        assert!(matches!(
            Bundle::from_text(&newer),
            Err(BundleError::Layout(9))
        ));
        let nowhere = text.replace("\"192.0.2.1:2377\"", "");
        assert!(matches!(
            Bundle::from_text(&nowhere),
            Err(BundleError::Managers)
        ));
        for garbage in ["", "{}", "[]", "\u{0}"] {
            assert!(Bundle::from_text(garbage).is_err(), "{garbage:?}");
        }
    }
}
