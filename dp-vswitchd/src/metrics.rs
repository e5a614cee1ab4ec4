//! A Prometheus end point: `GET /metrics`, when `other_config:metrics-listen` names an address.
//!
//! Names are those of the field's exporter (`ovs_dp_flows`, `ovs_interface_rx_packets`,
//! `ovs_coverage_total` …) wherever it has one, so that dashboards made for it work.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dp_core::boundary::Datapath as _;

use crate::commands::coverage;
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
        (Some("GET"), Some(path)) if path == "/metrics" || path.starts_with("/metrics?") => {
            ("200 OK", page(switch))
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

/// A page of metrics: samples by family.
#[derive(Default)]
struct Page(BTreeMap<&'static str, (&'static str, Vec<String>)>);

impl Page {
    fn add(&mut self, name: &'static str, kind: &'static str, labels: &[(&str, &str)], value: u64) {
        let labels: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escape(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.0
            .entry(name)
            .or_insert((kind, Vec::new()))
            .1
            .push(format!("{name}{labels} {value}\n"));
    }

    fn text(self) -> String {
        let mut text = String::new();
        for (name, (kind, samples)) in self.0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "# TYPE {name} {kind}\n{}", samples.concat());
        }
        text
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn page(switch: &Switch) -> String {
    let mut page = Page::default();
    page.add("ovs_up", "gauge", &[], 1);
    for datapath in switch.datapaths() {
        let name = datapath.to_string();
        let totals = datapath.netdev.totals();
        let own: &[(&str, &str)] = &[("datapath", &name)];
        page.add("ovs_dp_flows", "gauge", own, totals.flows);
        page.add("ovs_dp_lookups_hit", "counter", own, totals.hits());
        page.add("ovs_dp_lookups_missed", "counter", own, totals.upcalls);
        page.add("ovs_dp_lookups_lost", "counter", own, totals.upcalls_failed);
        page.add("ovs_dp_masks_hit", "counter", own, totals.masks_probed);
        page.add("ovs_dp_masks_total", "gauge", own, totals.masks);
        let ports = datapath.netdev.ports();
        page.add("ovs_dp_if_total", "gauge", own, ports.len() as u64);
        for port in ports {
            let labels: &[(&str, &str)] = &[("datapath", &name), ("name", &port.name)];
            let it = port.stats;
            page.add("ovs_interface_link_state", "gauge", labels, u64::from(port.up));
            page.add("ovs_interface_rx_packets", "counter", labels, it.rx_packets);
            page.add("ovs_interface_rx_bytes", "counter", labels, it.rx_bytes);
            page.add("ovs_interface_rx_dropped", "counter", labels, it.rx_dropped);
            page.add("ovs_interface_tx_packets", "counter", labels, it.tx_packets);
            page.add("ovs_interface_tx_bytes", "counter", labels, it.tx_bytes);
            page.add("ovs_interface_tx_dropped", "counter", labels, it.tx_dropped);
        }
    }
    for bridge in switch.bridges() {
        let labels: &[(&str, &str)] = &[("bridge", &bridge.name)];
        let rules = bridge.bridge.tables().snapshot().len();
        page.add("dp_bridge_rules", "gauge", labels, rules as u64);
        page.add("dp_bridge_macs", "gauge", labels, bridge.bridge.macs().len() as u64);
        let hits = bridge.bridge.limit_counters();
        let limits =
            [("depth", hits.depth()), ("resubmits", hits.resubmits()), ("stack", hits.stack())];
        for (limit, count) in limits {
            let labels = [("bridge", bridge.name.as_str()), ("limit", limit)];
            page.add("dp_bridge_limit_hits", "counter", &labels, count);
        }
    }
    for (event, total) in coverage::counters(switch) {
        page.add("ovs_coverage_total", "counter", &[("event", event)], total);
    }
    page.text()
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

#[cfg(test)]
mod tests {
    use super::Page;

    #[test]
    fn samples_stand_by_family_with_their_labels() {
        let mut page = Page::default();
        page.add("b", "gauge", &[("n", "a\"b")], 1);
        page.add("a", "counter", &[], 2);
        page.add("b", "gauge", &[("n", "c")], 3);
        assert_eq!(
            page.text(),
            "# TYPE a counter\na 2\n# TYPE b gauge\nb{n=\"a\\\"b\"} 1\nb{n=\"c\"} 3\n"
        );
    }
}
