//! nftables over netlink, without the `nft` program.
//!
//! A [`Batch`] collects [`Step`]s as plain data; [`commit`] makes them all in one transaction in
//! a chosen network namespace, or none. [`Nft`] keeps the socket for those who change often, and
//! reads back what is there.
//!
//! The codec is our own, because it has to say exactly what the data plane needs and no more:
//! concatenated keys with random slots, maps to address and port, conntrack zones, writes at a
//! device's egress. Sets carry nft's own notes about their keys, so that `nft list ruleset`
//! reads like the text a person would have written.
//!
//! ```no_run
//! use weft_kernel::nft::{Batch, Chain, Element, Expr, Family, Field, Hook, Purpose, Set, Table};
//! use weft_kernel::nft::{Value, commit};
//! use std::net::Ipv4Addr;
//!
//! let table = Table::new(Family::Ip, "w");
//! let key = [Field::Ip4Destination, Field::Random(12)];
//! let backends = Set::map("be", key, [Field::Ip4Destination]);
//! let (vip, task) = (Ipv4Addr::new(10, 5, 0, 100), Ipv4Addr::new(10, 5, 0, 2));
//! let mut batch = Batch::new();
//! batch
//!     .replace_table(&table)
//!     .add_set(&table, &backends)
//!     .add_chain(&table, Chain::base("out", Purpose::Nat, Hook::Output, -100))
//!     .add_rule(&table, "out", [Expr::dnat_map(false, key, "be", false)])
//!     .add_elements(
//!         &table,
//!         "be",
//!         [Element::pair([vip.into(), Value::Number(0)], [task.into()])],
//!     );
//! commit(None, &batch)?;
//! # Ok::<(), weft_kernel::nft::NftError>(())
//! ```

mod batch;
mod compile;
mod depend;
mod encode;
mod error;
mod expr;
mod field;
mod handle;
mod object;
mod observe;
mod step;
#[cfg(test)]
mod tests;
mod typeof_key;
mod value;
pub(crate) mod wire;

pub use batch::Batch;
pub use error::NftError;
pub use expr::Destination;
pub use expr::Expr;
pub use expr::Reject;
pub use expr::Source;
pub use expr::Target;
pub use expr::Verdict;
pub use field::Base;
pub use field::Field;
pub use handle::Nft;
pub use object::Attachment;
pub use object::Chain;
pub use object::Element;
pub use object::Family;
pub use object::Hook;
pub use object::Policy;
pub use object::Purpose;
pub use object::Set;
pub use object::Table;
pub use step::Step;
pub use value::Value;

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

/// Makes all changes of the batch in the namespace (`None`: the calling thread's), or none.
/// Blocks; see [`Nft::commit`] for the errors.
pub fn commit(netns: Option<BorrowedFd<'_>>, batch: &Batch) -> Result<(), NftError> {
    match netns {
        Some(netns) => Nft::open_in(netns)?.commit(batch),
        None => Nft::open()?.commit(batch),
    }
}

/// [`commit`] on a thread where blocking is allowed.
pub async fn commit_async(netns: Option<OwnedFd>, batch: Batch) -> Result<(), NftError> {
    let work = move || commit(netns.as_ref().map(AsFd::as_fd), &batch);
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(source) => Err(NftError::Lost { source }),
    }
}
