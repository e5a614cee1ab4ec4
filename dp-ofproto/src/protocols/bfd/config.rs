//! What may be set of a session: the keys of `Interface bfd`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use dp_core::base::{Duration, MacAddr};

/// The source address unless another is chosen.
pub(super) const DEFAULT_SRC: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// The settings of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The shortest interval at which packets are taken.
    pub min_rx: Duration,
    /// The shortest interval at which packets are sent.
    pub min_tx: Duration,
    /// Takes the place of `min_rx` while the interface carries nothing; zero: never.
    pub decay_min_rx: Duration,
    /// Traffic that comes in counts as a sign of life.
    pub forwarding_if_rx: bool,
    /// Tells the peer not to forward hither, for a reason beyond this link.
    pub cpath_down: bool,
    /// Takes only packets with tunnel key 0.
    pub check_tnl_key: bool,
    /// Marks packets as OAM where the tunnel can.
    pub oam: bool,
    /// Packets that may be missed.
    pub mult: u8,
    /// Source of the frames; the interface's own if `None`.
    pub local_src_mac: Option<MacAddr>,
    /// Destination of the frames.
    pub local_dst_mac: MacAddr,
    /// What the destination of received frames must be.
    pub remote_dst_mac: Option<MacAddr>,
    /// Source of the packets.
    pub src_ip: Ipv4Addr,
    /// Destination of the packets.
    pub dst_ip: Ipv4Addr,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            min_rx: Duration::from_millis(1000),
            min_tx: Duration::from_millis(100),
            decay_min_rx: Duration::ZERO,
            forwarding_if_rx: false,
            cpath_down: false,
            check_tnl_key: false,
            oam: false,
            mult: 3,
            local_src_mac: None,
            local_dst_mac: MacAddr::new(0x00, 0x23, 0x20, 0x00, 0x00, 0x01),
            remote_dst_mac: None,
            src_ip: DEFAULT_SRC,
            dst_ip: Ipv4Addr::new(169, 254, 1, 0),
        }
    }
}

impl Config {
    /// Reads the keys of `Interface bfd`; `None` unless `enable` is `true`. A value that is no value
    /// counts as not given; `complaints` says so.
    #[must_use]
    pub fn from_keys(
        keys: &BTreeMap<String, String>,
        complaints: &mut Vec<String>,
    ) -> Option<Self> {
        let mut keys = Keys { keys, complaints };
        if !keys.flag("enable") {
            return None;
        }
        let default = Self::default();
        let min_rx = keys.millis("min_rx", default.min_rx).max(Duration::from_millis(1));
        let decay = keys.millis("decay_min_rx", Duration::ZERO);
        Some(Self {
            min_rx,
            min_tx: keys.millis("min_tx", default.min_tx).max(Duration::from_millis(1)),
            decay_min_rx: keys.decay(decay, min_rx),
            forwarding_if_rx: keys.flag("forwarding_if_rx"),
            cpath_down: keys.flag("cpath_down"),
            check_tnl_key: keys.flag("check_tnl_key"),
            oam: keys.flag("oam"),
            mult: keys.parse("mult").filter(|&mult| mult != 0).unwrap_or(default.mult),
            local_src_mac: keys.mac("bfd_local_src_mac"),
            local_dst_mac: keys.mac("bfd_local_dst_mac").unwrap_or(default.local_dst_mac),
            remote_dst_mac: keys.mac("bfd_remote_dst_mac"),
            src_ip: keys.parse("bfd_src_ip").unwrap_or(default.src_ip),
            dst_ip: keys.parse("bfd_dst_ip").unwrap_or(default.dst_ip),
        })
    }
}

struct Keys<'a> {
    keys: &'a BTreeMap<String, String>,
    complaints: &'a mut Vec<String>,
}

impl Keys<'_> {
    fn flag(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(|value| value == "true")
    }

    fn parse<T: std::str::FromStr>(&mut self, key: &str) -> Option<T> {
        let text = self.keys.get(key)?;
        let value = text.parse().ok();
        if value.is_none() {
            self.complaints.push(format!("{key}: {text} is not a value"));
        }
        value
    }

    fn mac(&mut self, key: &str) -> Option<MacAddr> {
        self.parse(key).filter(|mac: &MacAddr| !mac.is_zero())
    }

    fn millis(&mut self, key: &str, default: Duration) -> Duration {
        self.parse(key).map_or(default, Duration::from_millis)
    }

    fn decay(&mut self, decay: Duration, min_rx: Duration) -> Duration {
        if decay.is_zero() || decay >= min_rx {
            return decay;
        }
        self.complaints.push(format!(
            "decay_min_rx: {} is less than min_rx {}",
            decay.as_millis(),
            min_rx.as_millis()
        ));
        Duration::ZERO
    }
}
