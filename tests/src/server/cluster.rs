//! Several servers that know each other.

use std::net::SocketAddr;

use super::port::ReservedPort;
use super::{Options, RealServer, Release, TestServer};

/// Servers with routes between them, which tell their clients of each other.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<RealServer>,
    /// The nodes need the ports of their routes for as long as they may be restarted.
    _routes: Vec<ReservedPort>,
}

impl Cluster {
    /// Starts `size` servers with the same options. Each tells a client of all the others when this returns.
    ///
    /// # Panics
    /// The release is missing, or a server refuses to start or to join.
    pub fn start(release: Release, size: usize, options: &Options) -> Self {
        let routes: Vec<ReservedPort> = (0..size).map(|_| ReservedPort::new()).collect();
        let mut nodes: Vec<RealServer> = (0..size).map(|_| RealServer::prepare(release)).collect();
        for (index, node) in nodes.iter_mut().enumerate() {
            let options = options.clone().extra(&cluster_lines(index, &routes));
            node.configure(&options);
            node.launch();
        }
        let mut cluster = Self { nodes, _routes: routes };
        cluster.await_discovery();
        cluster
    }

    /// The servers.
    pub fn nodes(&self) -> &[RealServer] {
        &self.nodes
    }

    /// One of the servers, to kill it or to start it again.
    ///
    /// # Panics
    /// There are not so many.
    pub fn node(&mut self, index: usize) -> &mut RealServer {
        &mut self.nodes[index]
    }

    /// The addresses of the servers, for a client that is told of all from the beginning.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(TestServer::url).collect()
    }

    /// Waits until each server that runs tells its clients of every server that runs.
    ///
    /// # Panics
    /// It does not come to that.
    pub fn await_discovery(&mut self) {
        let mut running: Vec<SocketAddr> = Vec::new();
        for node in &mut self.nodes {
            if node.is_running() {
                running.push(node.addr());
            }
        }
        for node in &mut self.nodes {
            if node.is_running() {
                node.await_info("the servers to find each other", |info| {
                    running.iter().all(|addr| info.contains(&format!("\"{addr}\"")))
                });
            }
        }
    }
}

/// Of two servers, one has the route to the other. Where both dial at the same time, each may close as a duplicate what the
/// other keeps; then 2.10.26 does not always tell its clients of the other any more.
fn cluster_lines(index: usize, ports: &[ReservedPort]) -> String {
    let earlier = ports.iter().take(index);
    let routes: Vec<String> =
        earlier.map(|route| format!("\"nats://127.0.0.1:{}\"", route.port())).collect();
    format!(
        "cluster {{\n  name: \"nats-tests\"\n  listen: \"127.0.0.1:{}\"\n  routes: [{}]\n}}",
        ports[index].port(),
        routes.join(", ")
    )
}
