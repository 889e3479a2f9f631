//! A task's namespace: links to its networks, virtual addresses, a resolver.

mod attach;
pub(super) mod dns;
mod resolver;
pub mod vip;

pub use attach::attach;
pub use attach::lost_backend;
pub use attach::open;
pub use attach::steer;
pub use resolver::Resolver;
