//! This machine is reached at another address than before.

use crate::daemon::address::Advertise;
use crate::daemon::found::data_addr;
use crate::daemon::node::NodeHandle;
use crate::daemon::node_file::NodeFile;
use anyhow::bail;
use std::net::SocketAddr;
use weft_proto::wire;

impl NodeFile {
    /// Another address to be reached at; packets of networks go there too, if they did before.
    pub(super) fn move_to(&mut self, advertise: SocketAddr) {
        if self.data_addr == self.advertise_addr.ip() {
            self.data_addr = advertise.ip();
        }
        let (old, new) = (self.advertise_addr, advertise);
        for addr in self.managers.iter_mut().filter(|addr| **addr == old) {
            *addr = new;
        }
        self.advertise_addr = advertise;
    }
}

impl NodeHandle {
    /// Starts this node's parts again with other addresses. Its tasks go on.
    pub(super) async fn update_address(
        &self,
        request: &wire::UpdateAddressRequest,
    ) -> anyhow::Result<wire::UpdateAddressResponse> {
        let mut running = self.running.lock().await;
        self.must_be_open().await?;
        let Some(node) = running.as_ref() else {
            bail!("this node is in no cluster: give the address when it joins one")
        };
        let mut file = node.file.clone();
        if !request.advertise_addr.is_empty() {
            file.move_to(Advertise::given(&request.advertise_addr)?.0);
        }
        if !request.data_path_addr.is_empty() {
            file.data_addr = data_addr(&request.data_path_addr, Advertise(file.advertise_addr))?;
        }
        let answer = wire::UpdateAddressResponse {
            advertise_addr: file.advertise_addr.to_string(),
            data_path_addr: file.data_addr.to_string(),
        };
        if file == node.file {
            return Ok(answer);
        }
        file.store(&self.config.paths.node_file())?;
        let credentials = node.credentials.clone();
        if let Some(node) = running.take() {
            node.stop().await;
        }
        let started = async {
            let manager = self.start_manager(&file, credentials.clone()).await?;
            self.start(file, credentials, manager).await
        };
        match started.await {
            Ok(node) => *running = Some(node),
            Err(why) => {
                // Only a new process gets out of this.
                self.fail(format!(
                    "this node does not start at its new address: {why:#}"
                ));
                return Err(why);
            }
        }
        self.note(String::new());
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_moves_takes_its_packets_along_unless_they_go_elsewhere() {
        let file = |data: &str| NodeFile {
            advertise_addr: "192.0.2.1:2377".parse().unwrap(),
            data_addr: data.parse().unwrap(),
            raft_id: None,
            standing: 0,
            switch_log: false,
            managers: vec![
                "192.0.2.1:2377".parse().unwrap(),
                "192.0.2.2:2377".parse().unwrap(),
            ],
        };
        let new: SocketAddr = "192.0.2.9:2377".parse().unwrap();
        for (data, moved) in [("192.0.2.1", "192.0.2.9"), ("10.0.0.1", "10.0.0.1")] {
            let mut file = file(data);
            file.move_to(new);
            assert_eq!(file.data_addr.to_string(), moved);
            assert_eq!(file.managers[0], new);
        }
    }
}
