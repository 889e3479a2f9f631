//! Answers as text: pure functions from domain types, with the time handed in.

pub(crate) mod audit;
pub(crate) mod cluster;
pub(crate) mod event;
#[cfg(test)]
mod golden;
pub(crate) mod join_token;
pub(crate) mod keys;
pub(crate) mod material;
pub(crate) mod network;
pub(crate) mod node;
pub(crate) mod service;
mod table;
pub(crate) mod task;
pub(crate) mod time;
pub(crate) mod unit;
pub(crate) mod user;
