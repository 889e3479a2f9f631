//! Tasks as real processes: needs root, overlayfs, namespaces and control groups.

mod adoption;
mod isolation;
mod lifecycle;
mod limits;
mod logs;
mod servers;
mod support;
