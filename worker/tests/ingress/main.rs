//! The routing mesh with real packets: three hosts and a client outside on one wire, tasks behind
//! the hosts, all in network namespaces.

mod answers;
mod life;
mod paths;
mod people;
mod walls;
mod world;
