//! A Prometheus end point: `GET /metrics`, when `other_config:metrics-listen` names an address.
//!
//! Names are those of `ovs_exporter` (`ovs_dp_flows`, `ovs_interface_rx_packets`, `ovs_coverage_total` …),
//! and of Kube-OVN's pinger for who asks for `/metrics?names=kube-ovn`, so that dashboards made for them
//! work.

mod page;

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use page::Names;

use crate::event_loop::{Task, Turn, Wants};
use crate::net::{Listener, Local, Stream};
use crate::switch::Switch;

/// The end point as a task of the main loop.
pub(crate) struct Metrics {
    switch: Arc<Switch>,
    /// The address that was asked for.
    asked: Option<String>,
    listener: Option<Listener>,
    peers: Vec<Peer>,
}

struct Peer {
    stream: Stream,
    request: Vec<u8>,
    reply: Vec<u8>,
    gone: usize,
    since: Instant,
}

impl Metrics {
    /// An end point that listens when the configuration says so.
    pub(crate) fn new(switch: Arc<Switch>) -> Self {
        Self { switch, asked: None, listener: None, peers: Vec::new() }
    }

    /// Listens where the configuration says.
    fn follow(&mut self) {
        let asked = self.switch.setting("metrics-listen");
        if asked == self.asked {
            return;
        }
        self.listener = None;
        self.peers.clear();
        self.asked = asked;
        let Some(text) = &self.asked else { return };
        let made = match text.parse::<SocketAddr>() {
            Ok(address) => Local::Tcp(address.ip(), address.port()).listen(),
            Err(_) => Err(io::ErrorKind::InvalidInput.into()),
        };
        match made {
            Ok(listener) => self.listener = Some(listener),
            Err(error) => {
                let why = crate::errno::text(&error);
                log::error!(target: "bridge", "metrics-listen={text}: {why}; expected ADDRESS:PORT");
            }
        }
    }
}

impl Peer {
    /// Moves the conversation on; whether it goes on.
    fn serve(&mut self, switch: &Switch) -> bool {
        if self.since.elapsed() > PATIENCE {
            return false;
        }
        if self.reply.is_empty() {
            let mut buffer = [0; 2048];
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => {
                    self.request.extend_from_slice(buffer.get(..count).unwrap_or_default())
                }
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
            if self.request.len() > LONGEST_REQUEST {
                return false;
            }
            if !self.request.windows(4).any(|it| it == b"\r\n\r\n") {
                return true;
            }
            self.reply = answer(&self.request, switch);
        }
        while let Some(rest) = self.reply.get(self.gone..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(0) => return false,
                Ok(count) => self.gone += count,
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        false
    }
}

/// The reply to a request.
fn answer(request: &[u8], switch: &Switch) -> Vec<u8> {
    let text = String::from_utf8_lossy(request);
    let mut words = text.split_whitespace();
    let (status, body) = match (words.next(), words.next()) {
        (Some("GET"), Some("/metrics")) => ("200 OK", page::page(switch, Names::Exporter)),
        (Some("GET"), Some(path)) if path.starts_with("/metrics?") => {
            let asked = path.rsplit(['?', '&']).any(|it| it == "names=kube-ovn");
            let names = if asked { Names::KubeOvn } else { Names::Exporter };
            ("200 OK", page::page(switch, names))
        }
        (Some("GET"), Some(_)) => ("404 Not Found", "see /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "GET only\n".to_owned()),
    };
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: \
         close\r\n\r\n{body}"
    )
    .into_bytes()
}

impl Task for Metrics {
    fn name(&self) -> &'static str {
        "metrics"
    }

    fn run(&mut self, _turn: &Turn<'_>) {
        self.follow();
        if let Some(listener) = &self.listener {
            while let Ok(Some((stream, _))) = listener.accept() {
                if self.peers.len() < PEERS {
                    let since = Instant::now();
                    let (request, reply) = (Vec::new(), Vec::new());
                    self.peers.push(Peer { stream, request, reply, gone: 0, since });
                }
            }
        }
        let switch = &self.switch;
        self.peers.retain_mut(|peer| peer.serve(switch));
    }

    fn wait(&mut self, wants: &mut Wants) {
        if let Some(listener) = &self.listener {
            wants.read(listener);
        }
        for peer in &self.peers {
            if peer.reply.is_empty() {
                wants.read(&peer.stream);
            } else {
                wants.write(&peer.stream);
            }
            wants.real(PATIENCE);
        }
    }
}

const PEERS: usize = 16;
const LONGEST_REQUEST: usize = 16 << 10;
/// How long a conversation may take.
const PATIENCE: Duration = Duration::from_secs(10);
