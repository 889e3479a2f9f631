//! Why a user is not made, changed or certified.

use crate::people::MAX_USERS;
use crate::propose::ProposeError;
use tonic::Status;
use weft_pki::IssueError;
use weft_proto::Name;
use weft_proto::convert::ConvertError;

/// A refusal. Nothing has changed, except after [`ProposeError::NoLeader`], when it is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum PeopleError {
    #[error(transparent)]
    Field(#[from] ConvertError),
    #[error(
        "there is a user {0} already: change it with \"weft user update\", or remove it first (weft \
         user rm {0})"
    )]
    NameTaken(Name),
    #[error("there is no user {0:?}: \"weft user ls\" shows all")]
    NotFound(String),
    #[error("there are {MAX_USERS} users already: remove those that are gone")]
    TooMany,
    #[error(
        "an admin cannot be limited to a stack: whoever may change members and users may do \
         everything; use the role operator or viewer"
    )]
    AdminOfAStack,
    #[error(
        "this is a request for another key than that of user {0}: renew with the bundle's own key, or \
         have an admin remove and create the user again"
    )]
    OtherKey(Name),
    #[error("this very request has made the user, and it was removed since")]
    MadeAndGone,
    #[error("no certificate can be made for this request: {0}")]
    Issue(#[from] IssueError),
    #[error("the certificate that was made cannot be read")]
    Certificate(#[from] weft_pki::IdentityError),
    #[error("the cluster has no state yet: run `weft cluster init` first")]
    NoCluster,
    #[error("the cluster's own root cannot be read; restore the managers from a backup")]
    Authority(#[source] weft_pki::AuthorityError),
    #[error(transparent)]
    Propose(#[from] ProposeError),
}

impl From<PeopleError> for Status {
    fn from(error: PeopleError) -> Status {
        let text = error.to_string();
        match error {
            PeopleError::Field(_) | PeopleError::AdminOfAStack | PeopleError::OtherKey(_) => {
                Status::invalid_argument(text)
            }
            PeopleError::NameTaken(_) => Status::already_exists(text),
            PeopleError::NotFound(_) | PeopleError::MadeAndGone => Status::not_found(text),
            PeopleError::TooMany => Status::resource_exhausted(text),
            PeopleError::NoCluster => Status::failed_precondition(text),
            PeopleError::Issue(
                IssueError::RequestTooLong { .. }
                | IssueError::BadRequest(_)
                | IssueError::UnsupportedKey,
            ) => Status::invalid_argument(text),
            PeopleError::Issue(_) | PeopleError::Certificate(_) | PeopleError::Authority(_) => {
                Status::internal(text)
            }
            PeopleError::Propose(error) => error.into(),
        }
    }
}
