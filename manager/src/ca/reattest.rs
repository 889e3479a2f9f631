//! A member whose certificate has expired gets a new one: it shows a join token, and that it holds
//! the key of its last certificate. It stays the node that it was.

use crate::ca::error::CaError;
use crate::store::State;
use weft_pki::CertificateChain;
use weft_pki::IdentityError;
use weft_pki::Trust;
use weft_pki::proof::ProofError;
use weft_pki::proof::verify_proof;
use weft_proto::Role;
use weft_proto::object::Node;
use weft_proto::wire;

/// Who asks: a member still, in the role that it has now, for which `given` is the token.
pub(super) fn reattest<'a>(
    state: &'a State,
    trust: &Trust,
    given: Role,
    request: &wire::IssueRequest,
    proof: &wire::NodeProof,
) -> Result<&'a Node, CaError> {
    let chain = CertificateChain::from_der(proof.chain_der.clone());
    let chain = chain.map_err(|_| ProofError::from(IdentityError::NotACertificate))?;
    let was = verify_proof(trust, &chain, &request.csr_der, &proof.signature)?;
    let node: &Node = state.node(was.node).ok_or(CaError::Removed(was.node))?;
    // As in a renewal: what it is now, not what it was or is to become.
    let role = match node.manager {
        Some(_) => Role::Manager,
        None => Role::Worker,
    };
    if role != given {
        return Err(CaError::OtherRole {
            node: node.id,
            role,
            given,
        });
    }
    Ok(node)
}
