//! The demo cluster.
