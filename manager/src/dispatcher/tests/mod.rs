mod assignments;
mod feeds;
mod reports;
mod sessions;
mod storm;
pub(crate) mod support;
