//! Ports, and the packets that enter and leave by them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{BRIDGE, Reference, ReferenceError};
use crate::{patience, pcap};

impl Reference {
    /// Adds a dummy port with that OpenFlow number to [`BRIDGE`], which keeps what it receives and
    /// sends.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Port`] if the switch refuses it or gives it another number.
    pub fn add_dummy_port(&self, name: &str, ofport: u16) -> Result<(), ReferenceError> {
        let sent = format!("options:tx_pcap={}", self.capture(name, "tx").display());
        let received = format!("options:rxq_pcap={}", self.capture(name, "rx").display());
        self.add_port(BRIDGE, name, "dummy", ofport, &[&sent, &received])
    }

    /// Adds a port of any type, with settings of its `Interface` as `options:remote_ip=10.0.0.1`.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Port`] if the switch refuses it or gives it another number.
    pub fn add_port(
        &self,
        bridge: &str,
        name: &str,
        kind: &str,
        ofport: u16,
        settings: &[&str],
    ) -> Result<(), ReferenceError> {
        let kind = format!("type={kind}");
        let request = format!("ofport_request={ofport}");
        let mut words = vec!["add-port", bridge, name, "--", "set", "Interface", name];
        words.extend([kind.as_str(), request.as_str()]);
        words.extend_from_slice(settings);
        self.vsctl(&words)?;
        let state = self.vsctl(&["get", "Interface", name, "ofport", "error"])?;
        let mut lines = state.lines();
        if lines.next() == Some(&ofport.to_string()) && lines.next() == Some("[]") {
            return Ok(());
        }
        let why =
            format!("wanted number {ofport}, got (number, error) {}", state.replace('\n', " "));
        Err(ReferenceError::Port { port: name.to_owned(), why })
    }

    /// Gives a dummy port a packet, as hexadecimal octets or as a datapath flow
    /// (`in_port(1),eth(src=…)`).
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Process`] if the switch does not understand it.
    pub fn receive(&self, port: &str, packet: &str) -> Result<(), ReferenceError> {
        self.appctl(&["netdev-dummy/receive", port, packet]).map(drop)
    }

    /// Gives a dummy port these octets.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Process`]; the switch refuses less than an Ethernet header.
    pub fn receive_frame(&self, port: &str, frame: &[u8]) -> Result<(), ReferenceError> {
        self.receive(port, &hex(frame))
    }

    /// Gives a dummy port many frames, some with each command.
    ///
    /// # Errors
    ///
    /// As [`Reference::receive_frame`].
    pub fn receive_frames(&self, port: &str, frames: &[Vec<u8>]) -> Result<(), ReferenceError> {
        for some in frames.chunks(AT_ONCE) {
            let frames: Vec<String> = some.iter().map(|frame| hex(frame)).collect();
            let mut words = vec!["netdev-dummy/receive", port];
            words.extend(frames.iter().map(String::as_str));
            self.appctl(&words)?;
        }
        Ok(())
    }

    /// Every frame that a dummy port has sent, once the packets given so far are worked off.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Capture`] if the port keeps none.
    pub fn sent(&self, port: &str) -> Result<Vec<Vec<u8>>, ReferenceError> {
        self.settle()?;
        self.captured(&self.capture(port, "tx"))
    }

    /// Every frame that a dummy port has received.
    ///
    /// # Errors
    ///
    /// [`ReferenceError::Capture`] if the port keeps none.
    pub fn received(&self, port: &str) -> Result<Vec<Vec<u8>>, ReferenceError> {
        self.settle()?;
        self.captured(&self.capture(port, "rx"))
    }

    /// As [`Reference::sent`], once there are `count` frames at least or the limit has come: for
    /// what the switch sends by itself or from other threads.
    ///
    /// # Errors
    ///
    /// As [`Reference::sent`].
    pub fn sent_within(
        &self,
        port: &str,
        count: usize,
        limit: Duration,
    ) -> Result<Vec<Vec<u8>>, ReferenceError> {
        let enough = patience::wait(limit, || match self.sent(port) {
            Ok(frames) if frames.len() < count => None,
            answer => Some(answer),
        });
        enough.unwrap_or_else(|| self.sent(port))
    }

    fn capture(&self, port: &str, way: &str) -> PathBuf {
        self.folder.join(format!("{port}-{way}.pcap"))
    }

    fn captured(&self, path: &Path) -> Result<Vec<Vec<u8>>, ReferenceError> {
        let octets = fs::read(path)
            .map_err(|source| ReferenceError::File { path: path.to_owned(), source })?;
        match pcap::parse(&octets) {
            // The switch may be at work on the next record.
            (records, None | Some(pcap::PcapError::TornRecord { .. })) => {
                Ok(records.into_iter().map(|record| record.frame).collect())
            }
            (_, Some(pcap::PcapError::TornHeader { octets: 0 })) => Ok(Vec::new()),
            (_, Some(source)) => Err(ReferenceError::Capture { path: path.to_owned(), source }),
        }
    }
}

/// A dummy port's queue takes a hundred, and drops what is too much.
const AT_ONCE: usize = 25;

/// Octets as the tools take them.
pub(super) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
