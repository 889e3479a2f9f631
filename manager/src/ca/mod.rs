//! Certificates for nodes.
