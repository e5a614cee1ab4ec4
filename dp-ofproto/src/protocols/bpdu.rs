//! Bridge protocol data units: the frames of STP and RSTP (IEEE 802.1D-2004, section 9.3).
//!
//! ```text
//!   0  protocol 0 │ version │ type: 0 configuration, 0x80 topology change, 2 rapid
//!   4  flags │ root (8) │ root path cost (4) │ bridge (8) │ port (2)
//!  27  message age │ max age │ hello time │ forward delay, each in 1/256 s
//!  35  length of version 1 information: 0, rapid only
//! ```

use std::fmt;

use dp_core::base::{Duration, MacAddr};

/// Where the frames go.
pub const DST: MacAddr = MacAddr::new(0x01, 0x80, 0xc2, 0x00, 0x00, 0x00);
/// The LLC header: both service access points are the spanning tree's, unnumbered information.
const LLC: [u8; 3] = [0x42, 0x42, 0x03];

/// A bridge: priority, then address. The lower the better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BridgeId(pub u64);

impl BridgeId {
    /// The bridge with this priority and address.
    #[must_use]
    pub fn new(priority: u16, mac: MacAddr) -> Self {
        Self(u64::from(priority) << 48 | mac.to_u64())
    }

    /// Its priority.
    #[must_use]
    pub const fn priority(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// Its address.
    #[must_use]
    pub const fn mac(self) -> MacAddr {
        MacAddr::from_u64(self.0 & 0xffff_ffff_ffff)
    }
}

impl fmt::Display for BridgeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}.{:012x}", self.priority(), self.0 & 0xffff_ffff_ffff)
    }
}

bitflags::bitflags! {
    /// Flags of a data unit; STP knows the first and the last.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Flags: u8 {
        /// The topology is changing.
        const TOPOLOGY_CHANGE = 0x01;
        /// A designated port asks to forward at once.
        const PROPOSAL = 0x02;
        /// Role, 2 bits: 1 alternate or backup, 2 root, 3 designated.
        const ROLE = 0x0c;
        /// The port learns.
        const LEARNING = 0x10;
        /// The port forwards.
        const FORWARDING = 0x20;
        /// The other end may forward at once.
        const AGREEMENT = 0x40;
        /// The notice of a change was heard.
        const TOPOLOGY_CHANGE_ACK = 0x80;
    }
}

/// A configuration, plain or rapid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Flags.
    pub flags: Flags,
    /// The root as the sender knows it.
    pub root: BridgeId,
    /// The sender's cost to it.
    pub cost: u32,
    /// The sender.
    pub bridge: BridgeId,
    /// The sender's port.
    pub port: u16,
    /// How old the information is.
    pub message_age: Duration,
    /// When it is too old.
    pub max_age: Duration,
    /// How often it is repeated.
    pub hello: Duration,
    /// How long ports wait before they learn, and again before they forward.
    pub forward_delay: Duration,
}

/// A data unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bpdu {
    /// STP's configuration.
    Config(Config),
    /// STP's notice of a topology change.
    TopologyChange,
    /// RSTP's.
    Rapid(Config),
}

/// Why a frame holds no data unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BpduError {
    /// Too short for what it says it is.
    #[error("is truncated")]
    Truncated,
    /// Another protocol.
    #[error("is of protocol {0:#06x}")]
    Protocol(u16),
    /// An unknown type.
    #[error("is of unknown type {0:#04x}")]
    Type(u8),
}

impl Bpdu {
    /// Reads a data unit from a frame's LLC header on.
    ///
    /// # Errors
    ///
    /// [`BpduError`].
    pub fn parse(llc: &[u8]) -> Result<Self, BpduError> {
        let bytes = llc.strip_prefix(&LLC).ok_or(BpduError::Truncated)?;
        let &[p0, p1, version, kind] = bytes.first_chunk().ok_or(BpduError::Truncated)?;
        let protocol = u16::from_be_bytes([p0, p1]);
        if protocol != 0 {
            return Err(BpduError::Protocol(protocol));
        }
        match kind {
            0x80 => Ok(Self::TopologyChange),
            0x00 => Config::parse(bytes).map(Self::Config),
            // Later versions are read as the one that is known (9.3.4).
            0x02 if version >= 2 => Config::parse(bytes).map(Self::Rapid),
            _ => Err(BpduError::Type(kind)),
        }
    }

    /// The frame that carries the data unit.
    #[must_use]
    pub fn frame(&self, src: MacAddr) -> Vec<u8> {
        let mut body = Vec::with_capacity(36);
        match self {
            Self::TopologyChange => body.extend([0, 0, 0, 0x80]),
            Self::Config(config) => {
                body.extend([0, 0, 0, 0]);
                config.emit(&mut body);
            }
            Self::Rapid(config) => {
                body.extend([0, 0, 2, 2]);
                config.emit(&mut body);
                body.push(0);
            }
        }
        let mut frame = Vec::with_capacity(60);
        frame.extend_from_slice(&DST.0);
        frame.extend_from_slice(&src.0);
        frame.extend_from_slice(&((LLC.len() + body.len()) as u16).to_be_bytes());
        frame.extend_from_slice(&LLC);
        frame.extend_from_slice(&body);
        frame
    }
}

impl Config {
    fn parse(bytes: &[u8]) -> Result<Self, BpduError> {
        let bytes = bytes.first_chunk::<35>().ok_or(BpduError::Truncated)?;
        let long = |at: usize| {
            let eight = bytes.get(at..at + 8).and_then(<[u8]>::first_chunk::<8>);
            eight.map_or(0, |eight| u64::from_be_bytes(*eight))
        };
        let short = |at: usize| (long(at.min(27)) >> (48 - 8 * (at - at.min(27)))) as u16;
        let time = |at: usize| from_wire(short(at));
        Ok(Self {
            flags: Flags::from_bits_retain(bytes[4]),
            root: BridgeId(long(5)),
            cost: (long(13) >> 32) as u32,
            bridge: BridgeId(long(17)),
            port: short(25),
            message_age: time(27),
            max_age: time(29),
            hello: time(31),
            forward_delay: time(33),
        })
    }

    fn emit(&self, body: &mut Vec<u8>) {
        body.push(self.flags.bits());
        body.extend_from_slice(&self.root.0.to_be_bytes());
        body.extend_from_slice(&self.cost.to_be_bytes());
        body.extend_from_slice(&self.bridge.0.to_be_bytes());
        body.extend_from_slice(&self.port.to_be_bytes());
        for time in [self.message_age, self.max_age, self.hello, self.forward_delay] {
            body.extend_from_slice(&to_wire(time).to_be_bytes());
        }
    }
}

fn from_wire(time: u16) -> Duration {
    Duration::from_nanos(u64::from(time) * 1_000_000_000 / 256)
}

fn to_wire(time: Duration) -> u16 {
    // Exact: whatever was heard is told on as it was.
    u16::try_from(time.as_nanos() * 256 / 1_000_000_000).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Bpdu, BpduError, BridgeId, Config, Flags};
    use dp_core::base::{Duration, MacAddr};

    fn config() -> Config {
        Config {
            flags: Flags::TOPOLOGY_CHANGE | Flags::AGREEMENT,
            root: BridgeId(0x8000_0102_0304_0506),
            cost: 0x0a0b_0c0d,
            bridge: BridgeId(0x9000_1112_1314_1516),
            port: 0x8003,
            message_age: Duration::from_secs(1),
            max_age: Duration::from_secs(20),
            hello: Duration::from_secs(2),
            forward_delay: Duration::from_secs(15),
        }
    }

    #[test]
    fn data_units_are_read_as_they_are_written() {
        let src = MacAddr::new(2, 0, 0, 0, 0, 1);
        for bpdu in [Bpdu::Config(config()), Bpdu::Rapid(config()), Bpdu::TopologyChange] {
            let frame = bpdu.frame(src);
            assert_eq!(usize::from(frame[13]) + 14, frame.len());
            assert_eq!(Bpdu::parse(&frame[14..]), Ok(bpdu));
        }
        assert_eq!(Bpdu::Config(config()).frame(src).len(), 14 + 38);
    }

    #[test]
    fn what_is_no_data_unit_is_refused() {
        let frame = Bpdu::Rapid(config()).frame(MacAddr::ZERO);
        for len in 0..3 + 35 {
            assert!(Bpdu::parse(&frame[14..14 + len]).is_err(), "{len} bytes");
        }
        let with = |at: usize, byte: u8| {
            let mut bad = frame[14..].to_vec();
            bad[at] = byte;
            Bpdu::parse(&bad)
        };
        assert_eq!(with(0, 0), Err(BpduError::Truncated));
        assert_eq!(with(3, 1), Err(BpduError::Protocol(0x100)));
        assert_eq!(with(6, 7), Err(BpduError::Type(7)));
        assert_eq!(with(5, 0), Err(BpduError::Type(2)), "rapid, of version 0");
    }

    #[test]
    fn bridges_are_written_as_priority_and_address() {
        assert_eq!(BridgeId(0x8000_aa66_aa66_0001).to_string(), "8000.aa66aa660001");
    }
}
