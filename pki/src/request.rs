//! A node's request for a certificate.

use rcgen::CertificateParams;
use rcgen::DistinguishedName;

use crate::PrivateKey;

/// The request could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign the certificate request")]
pub struct RequestError(#[source] pub(crate) rcgen::Error);

/// A certificate request (PKCS#10, DER) for `key`.
///
/// It names nobody: the issuer decides who the holder is and takes only the public key out of
/// the request. The signature proves that the sender holds the private key.
pub fn certificate_request(key: &PrivateKey) -> Result<Vec<u8>, RequestError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(key.pair()).map_err(RequestError)?;
    Ok(request.der().to_vec())
}
