mod assignments;
mod feeds;
mod reports;
mod sessions;
pub(crate) mod support;
