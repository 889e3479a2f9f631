//! The running resolver of a task.

use crate::dns::DnsServer;
use crate::dns::DnsTable;
use crate::dns::Forwarding;
use crate::dns::Upstreams;
use crate::dns::bind_in;
use crate::network::NetworkError;
use crate::network::wanted::TaskNet;
use std::sync::Arc;
use weft_kernel::netns::Netns;

/// Answers a task's questions for as long as it is kept.
#[derive(Debug)]
pub struct Resolver {
    server: DnsServer,
    names: Arc<DnsTable>,
    asks_outside: bool,
}

impl Resolver {
    /// Binds its sockets in the task's namespace and starts to answer.
    ///
    /// # Errors
    /// When the sockets cannot be bound, for instance while an earlier resolver still ends.
    pub fn start(
        netns: &Netns,
        net: &TaskNet,
        upstreams: &Arc<Upstreams>,
    ) -> Result<Self, NetworkError> {
        let of = || format!("task {}", net.id);
        let sockets =
            bind_in(netns).map_err(|cause| NetworkError::ResolverSockets { of: of(), cause })?;
        let names = Arc::clone(&net.sight.names);
        let server = DnsServer::start(sockets, names, forwarding(net, upstreams))
            .map_err(|cause| NetworkError::Resolver { of: of(), cause })?;
        Ok(Self {
            server,
            names: Arc::clone(&net.sight.names),
            asks_outside: net.asks_outside,
        })
    }

    /// Answers from what is wanted now on.
    pub fn update(&mut self, net: &TaskNet, upstreams: &Arc<Upstreams>) {
        if self.names == net.sight.names && self.asks_outside == net.asks_outside {
            return;
        }
        let names = Arc::clone(&net.sight.names);
        self.server
            .handle()
            .update(names, forwarding(net, upstreams));
        self.names = Arc::clone(&net.sight.names);
        self.asks_outside = net.asks_outside;
    }
}

fn forwarding(net: &TaskNet, upstreams: &Arc<Upstreams>) -> Forwarding {
    if net.asks_outside {
        Forwarding::To(Arc::clone(upstreams))
    } else {
        Forwarding::Denied
    }
}
