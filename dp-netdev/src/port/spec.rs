//! Ports by name, kind and options, as text gives them.
//!
//! Two forms lead here: a configuration's (name, type, a map of options) and the short one of a
//! command line:
//!
//! ```text
//!   veth0                              an interface: afpacket
//!   pcap:in.pcap                       KIND:ARGUMENT, the argument being a file or a name
//!   pcap:in.pcap,tx=out.pcap,pace=own  … with options
//! ```
//!
//! An option that the kind does not have is an error, never ignored.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::afpacket::{self, AfPacket};
use super::afxdp::{self, AfXdp};
use super::dpdk;
use super::dummy::Dummy;
use super::pcap::{Pace, Pcap, Repeat};
use super::tap::{Role, Tap};
use super::{OpenError, Port};
use crate::pcapfile::{Resolution, WriterOptions};

/// The kinds that text can name.
const KINDS: &str = "afpacket (or system), afxdp, afxdp-nonpmd, dpdk, dpdkvhostuser, \
                     dpdkvhostuserclient, dummy, internal, pcap, tap";

/// What to open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortSpec {
    /// The port's name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Its options.
    pub options: BTreeMap<String, String>,
}

impl PortSpec {
    /// A port without options.
    #[must_use]
    pub fn new(kind: &str, name: &str) -> Self {
        Self { name: name.to_owned(), kind: kind.to_owned(), options: BTreeMap::new() }
    }

    /// Adds an option.
    #[must_use]
    pub fn with(mut self, option: &str, value: &str) -> Self {
        self.options.insert(option.to_owned(), value.to_owned());
        self
    }

    /// Reads the short form. Without an option `name`, a capture's port is called as its file is,
    /// without folder and extension.
    ///
    /// # Errors
    ///
    /// [`OpenError::Spec`] if a part is not `option=value`, or nothing is named.
    pub fn parse(text: &str) -> Result<Self, OpenError> {
        let wrong = |expected| OpenError::Spec { text: text.to_owned(), expected };
        let mut parts = text.split(',');
        let first = parts.next().unwrap_or_default();
        let (kind, argument) = first.split_once(':').unwrap_or(("afpacket", first));
        let mut spec = Self::new(kind, argument);
        for part in parts {
            let (option, value) =
                part.split_once('=').ok_or_else(|| wrong("option=value after each comma"))?;
            if spec.options.insert(option.to_owned(), value.to_owned()).is_some() {
                return Err(wrong("each option once"));
            }
        }
        if spec.kind == "pcap" {
            if !argument.is_empty() && spec.options.insert("rx".into(), argument.into()).is_some() {
                return Err(wrong("one capture to replay"));
            }
            let files = ["rx", "tx"].iter().find_map(|option| spec.options.get(*option));
            let stem = files.and_then(|file| Path::new(file).file_stem());
            spec.name = stem.map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        }
        if let Some(name) = spec.options.remove("name") {
            spec.name = name;
        }
        if spec.name.is_empty() {
            return Err(wrong("an interface, or KIND:ARGUMENT"));
        }
        Ok(spec)
    }

    /// Opens the port.
    ///
    /// # Errors
    ///
    /// [`OpenError::UnknownKind`], [`OpenError::UnknownOption`], [`OpenError::BadOption`], and
    /// whatever the kind may answer.
    pub fn open(&self) -> Result<Box<dyn Port>, OpenError> {
        let port: Box<dyn Port> = match self.kind.as_str() {
            "afpacket" | "system" => Box::new(self.afpacket()?),
            "afxdp" => Box::new(self.afxdp("afxdp", true)?),
            "afxdp-nonpmd" => Box::new(self.afxdp("afxdp-nonpmd", false)?),
            "dpdk" => self.dpdk()?,
            "dpdkvhostuser" => self.vhost("dpdkvhostuser", false)?,
            "dpdkvhostuserclient" => self.vhost("dpdkvhostuserclient", true)?,
            "dummy" => Box::new(self.dummy()?),
            "internal" => Box::new(self.tap("internal", Role::Internal)?),
            "pcap" => Box::new(self.pcap()?),
            "tap" => Box::new(self.tap("tap", Role::Tap)?),
            kind => return Err(OpenError::UnknownKind { kind: kind.to_owned(), known: KINDS }),
        };
        Ok(port)
    }

    fn afpacket(&self) -> Result<AfPacket, OpenError> {
        self.only("afpacket", &["promisc", "ring-mib"], "promisc, ring-mib")?;
        let mut options = afpacket::Options::default();
        if let Some(on) = self.choice("promisc", "on or off", on_or_off)? {
            options.promiscuous = on;
        }
        let mib = |text: &str| text.parse().ok().filter(|mib| (1..=1024).contains(mib));
        if let Some(mib) = self.choice("ring-mib", "a number from 1 to 1024", mib)? {
            let mib: usize = mib;
            options.ring_bytes = mib << 20;
        }
        AfPacket::open(&self.name, options)
    }

    fn dummy(&self) -> Result<Dummy, OpenError> {
        self.only("dummy", &["pcap", "rxq_pcap", "tx_pcap"], "pcap, rxq_pcap, tx_pcap")?;
        let mut port = Dummy::new(&self.name);
        if let Some(path) = self.file("pcap") {
            // It stands for both directions, whatever else is said.
            return port.capturing(&path);
        }
        if let Some(path) = self.file("rxq_pcap") {
            port = port.capturing_rx(&path)?;
        }
        if let Some(path) = self.file("tx_pcap") {
            port = port.capturing_tx(&path)?;
        }
        Ok(port)
    }

    fn afxdp(&self, kind: &'static str, polled: bool) -> Result<AfXdp, OpenError> {
        self.only(kind, &["n_rxq", "xdp-mode"], "n_rxq, xdp-mode")?;
        let mut options = afxdp::Options { polled, ..afxdp::Options::default() };
        let number = |text: &str| text.parse().ok().filter(|&number| number > 0_u32);
        if let Some(queues) = self.choice("n_rxq", "a number of queues", number)? {
            options.queues = queues;
        }
        let expected = "best-effort, native-with-zerocopy, native or generic";
        if let Some(mode) = self.choice("xdp-mode", expected, afxdp::Mode::named)? {
            options.mode = mode;
        }
        AfXdp::open(&self.name, options)
    }

    fn dpdk(&self) -> Result<Box<dyn Port>, OpenError> {
        let known = [
            "dpdk-devargs",
            "n_rxq",
            "n_rxq_desc",
            "n_txq_desc",
            "mtu_request",
            "rx-steering",
            "rx-flow-ctrl",
            "tx-flow-ctrl",
            "flow-ctrl-autoneg",
            "dpdk-lsc-interrupt",
        ];
        let names = "dpdk-devargs, n_rxq, n_rxq_desc, n_txq_desc, mtu_request, rx-steering, \
                     rx-flow-ctrl, tx-flow-ctrl, flow-ctrl-autoneg, dpdk-lsc-interrupt";
        self.only("dpdk", &known, names)?;
        let devargs = self.options.get("dpdk-devargs").map(String::as_str).unwrap_or_default();
        let mut options = dpdk::Options::new(devargs);
        let number = |text: &str| text.parse().ok().filter(|&number| number > 0_u16);
        if let Some(queues) = self.choice("n_rxq", "a number of queues", number)? {
            options.rx_queues = queues;
        }
        let ring =
            |text: &str| number(text).filter(|number| number.is_power_of_two() && *number <= 4096);
        let expected = "a power of two up to 4096";
        if let Some(count) = self.choice("n_rxq_desc", expected, ring)? {
            options.rx_descriptors = count;
        }
        if let Some(count) = self.choice("n_txq_desc", expected, ring)? {
            options.tx_descriptors = count;
        }
        options.mtu = self.choice("mtu_request", "a number of bytes", number)?;
        let expected = "rss, with +lacp and +bfd behind it as wanted";
        if let Some(steering) = self.choice("rx-steering", expected, dpdk::Steering::named)? {
            options.steering = steering;
        }
        options.pauses = self.pauses()?;
        if let Some(on) = self.choice("dpdk-lsc-interrupt", "true or false", on_or_off)? {
            options.link_interrupt = on;
        }
        dpdk::open(&self.name, &options)
    }

    fn pauses(&self) -> Result<Option<dpdk::Pauses>, OpenError> {
        let flag = |option| self.choice(option, "true or false", on_or_off);
        let [rx, tx, negotiated] =
            [flag("rx-flow-ctrl")?, flag("tx-flow-ctrl")?, flag("flow-ctrl-autoneg")?];
        let pauses = dpdk::Pauses {
            rx: rx.unwrap_or(false),
            tx: tx.unwrap_or(false),
            negotiated: negotiated.unwrap_or(false),
        };
        let asked = rx.or(tx).or(negotiated).is_some();
        Ok(asked.then_some(pauses))
    }

    fn vhost(&self, kind: &'static str, client: bool) -> Result<Box<dyn Port>, OpenError> {
        let known = [
            "vhost-server-path",
            "n_rxq",
            "mtu_request",
            "tx-retries-max",
            "vhost-iommu-support",
            "vhost-postcopy-support",
        ];
        let names = "vhost-server-path, n_rxq, mtu_request, tx-retries-max, vhost-iommu-support, \
                     vhost-postcopy-support";
        self.only(kind, &known, names)?;
        let socket = self.options.get("vhost-server-path").map(String::as_str);
        let mut options = dpdk::VhostOptions::new(socket, client);
        let number = |text: &str| text.parse().ok().filter(|&number| number > 0_u16);
        if let Some(queues) = self.choice("n_rxq", "a number of queues", number)? {
            options.rx_queues = queues;
        }
        options.mtu = self.choice("mtu_request", "a number of bytes", number)?;
        let most = dpdk::VhostOptions::MOST_RETRIES;
        let tries = |text: &str| text.parse().ok().filter(|tries| *tries <= most);
        if let Some(retries) = self.choice("tx-retries-max", "a number from 0 to 32", tries)? {
            options.retries = retries;
        }
        if let Some(on) = self.choice("vhost-iommu-support", "true or false", on_or_off)? {
            options.iommu = on;
        }
        if let Some(on) = self.choice("vhost-postcopy-support", "true or false", on_or_off)? {
            options.postcopy = on;
        }
        dpdk::open_vhost(&self.name, &options)
    }

    fn tap(&self, kind: &'static str, role: Role) -> Result<Tap, OpenError> {
        self.only(kind, &[], "none")?;
        Tap::open(&self.name, role)
    }

    fn pcap(&self) -> Result<Pcap, OpenError> {
        let known = ["rx", "tx", "pace", "repeat", "resolution"];
        self.only("pcap", &known, "rx, tx, pace, repeat, resolution")?;
        let pace = |text: &str| match text {
            "full" => Some(Pace::Full),
            "own" => Some(Pace::Own),
            _ => None,
        };
        let pace = self.choice("pace", "full or own", pace)?.unwrap_or_default();
        let repeat = |text: &str| match text {
            "once" => Some(Repeat::Once),
            "forever" => Some(Repeat::Forever),
            times => times.parse().ok().filter(|&times| times > 0).map(Repeat::Times),
        };
        let expected = "once, forever or a number above 0";
        let repeat = self.choice("repeat", expected, repeat)?.unwrap_or_default();
        let resolution = |text: &str| match text {
            "micro" => Some(Resolution::Micros),
            "nano" => Some(Resolution::Nanos),
            _ => None,
        };
        let resolution =
            self.choice("resolution", "micro or nano", resolution)?.unwrap_or_default();
        let mut port = Pcap::new(&self.name);
        if let Some(path) = self.file("rx") {
            port = port.replaying(&path, pace, repeat)?;
        }
        if let Some(path) = self.file("tx") {
            port = port.writing(&path, WriterOptions { resolution, ..WriterOptions::default() })?;
        }
        Ok(port)
    }

    fn file(&self, option: &str) -> Option<PathBuf> {
        self.options.get(option).map(PathBuf::from)
    }

    /// An option's value, read by `read`; `None` if it is not given.
    fn choice<T>(
        &self,
        option: &'static str,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, OpenError> {
        let Some(value) = self.options.get(option) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| OpenError::BadOption {
            port: self.name.clone(),
            option,
            value: value.clone(),
            expected,
        })
    }

    /// Refuses options that the kind does not have.
    fn only(
        &self,
        kind: &'static str,
        options: &[&str],
        known: &'static str,
    ) -> Result<(), OpenError> {
        match self.options.keys().find(|option| !options.contains(&option.as_str())) {
            None => Ok(()),
            Some(option) => Err(OpenError::UnknownOption {
                port: self.name.clone(),
                kind,
                option: option.clone(),
                known,
            }),
        }
    }
}

fn on_or_off(text: &str) -> Option<bool> {
    match text {
        "on" | "true" => Some(true),
        "off" | "false" => Some(false),
        _ => None,
    }
}
