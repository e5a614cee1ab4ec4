//! LACP data units (IEEE 802.1AX, section 6.4.2).
//!
//! ```text
//!   0  subtype 1 │ version 1
//!   2  actor:     type 1 │ length 20 │ priority, system, key, port priority, port, state │ 3 reserved
//!  22  partner:   type 2 │ length 20 │ the same
//!  42  collector: type 3 │ length 16 │ longest delay │ 12 reserved
//!  58  terminator and padding to 110
//! ```

use std::fmt;

use dp_core::base::MacAddr;

/// Ethertype of slow protocols.
pub const ETH_TYPE: u16 = 0x8809;
/// Where slow protocols' frames go.
pub const DST: MacAddr = MacAddr::new(0x01, 0x80, 0xc2, 0x00, 0x00, 0x02);
/// Bytes of a data unit.
pub const LEN: usize = 110;

const SUBTYPE_LACP: u8 = 1;
const SUBTYPE_MARKER: u8 = 2;

bitflags::bitflags! {
    /// State of one end of a link.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct State: u8 {
        /// Sends without being asked.
        const ACTIVITY = 1 << 0;
        /// Wants the other end's data units every second.
        const TIMEOUT = 1 << 1;
        /// May be aggregated.
        const AGGREGATION = 1 << 2;
        /// In the right aggregate.
        const SYNC = 1 << 3;
        /// Takes frames.
        const COLLECTING = 1 << 4;
        /// Sends frames.
        const DISTRIBUTING = 1 << 5;
        /// Uses a partner that it made up.
        const DEFAULTED = 1 << 6;
        /// Has not heard the partner in time.
        const EXPIRED = 1 << 7;
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::ACTIVITY, "activity"),
            (Self::TIMEOUT, "timeout"),
            (Self::AGGREGATION, "aggregation"),
            (Self::SYNC, "synchronized"),
            (Self::COLLECTING, "collecting"),
            (Self::DISTRIBUTING, "distributing"),
            (Self::DEFAULTED, "defaulted"),
            (Self::EXPIRED, "expired"),
        ];
        let set: Vec<&str> =
            names.into_iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, n)| n).collect();
        f.write_str(&set.join(" "))
    }
}

/// What a data unit says of one end of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Priority of the system; lower is better.
    pub sys_priority: u16,
    /// The system.
    pub sys_id: MacAddr,
    /// Ports with the same key may be aggregated.
    pub key: u16,
    /// Priority of the port; lower is better.
    pub port_priority: u16,
    /// The port.
    pub port_id: u16,
    /// State.
    pub state: State,
}

impl Info {
    const LEN: usize = 15;

    fn parse(bytes: &[u8; Self::LEN]) -> Self {
        let [p0, p1, a, b, c, d, e, f, k0, k1, q0, q1, n0, n1, state] = *bytes;
        Self {
            sys_priority: u16::from_be_bytes([p0, p1]),
            sys_id: MacAddr([a, b, c, d, e, f]),
            key: u16::from_be_bytes([k0, k1]),
            port_priority: u16::from_be_bytes([q0, q1]),
            port_id: u16::from_be_bytes([n0, n1]),
            state: State::from_bits_retain(state),
        }
    }

    fn emit(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..2].copy_from_slice(&self.sys_priority.to_be_bytes());
        bytes[2..8].copy_from_slice(&self.sys_id.0);
        bytes[8..10].copy_from_slice(&self.key.to_be_bytes());
        bytes[10..12].copy_from_slice(&self.port_priority.to_be_bytes());
        bytes[12..14].copy_from_slice(&self.port_id.to_be_bytes());
        bytes[14] = self.state.bits();
        bytes
    }
}

/// A data unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pdu {
    /// The sender.
    pub actor: Info,
    /// What the sender thinks of the receiver.
    pub partner: Info,
}

/// What a slow protocol frame turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    /// A data unit.
    Lacp(Pdu),
    /// A request of the marker protocol, which nobody has to answer who does not distribute.
    Marker,
    /// Nothing known, or damaged.
    Bad,
}

impl Pdu {
    /// Reads what follows the Ethertype of a slow protocol frame.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Slow {
        match payload {
            [SUBTYPE_MARKER, ..] => Slow::Marker,
            [SUBTYPE_LACP, _, 1, 20, rest @ ..] => Self::parse_ends(payload, rest),
            _ => Slow::Bad,
        }
    }

    fn parse_ends(payload: &[u8], rest: &[u8]) -> Slow {
        if payload.len() < LEN || payload.get(22..24) != Some(&[2, 20]) {
            return Slow::Bad;
        }
        let actor = rest.first_chunk();
        let partner = payload.get(24..).and_then(<[u8]>::first_chunk);
        match (actor, partner) {
            (Some(actor), Some(partner)) => {
                Slow::Lacp(Self { actor: Info::parse(actor), partner: Info::parse(partner) })
            }
            _ => Slow::Bad,
        }
    }

    /// The bytes of the data unit.
    #[must_use]
    pub fn emit(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..4].copy_from_slice(&[SUBTYPE_LACP, 1, 1, 20]);
        bytes[4..19].copy_from_slice(&self.actor.emit());
        bytes[22..24].copy_from_slice(&[2, 20]);
        bytes[24..39].copy_from_slice(&self.partner.emit());
        bytes[42..44].copy_from_slice(&[3, 16]);
        bytes
    }

    /// The frame that carries the data unit.
    #[must_use]
    pub fn frame(&self, src: MacAddr) -> Vec<u8> {
        let mut frame = Vec::with_capacity(14 + LEN);
        frame.extend_from_slice(&DST.0);
        frame.extend_from_slice(&src.0);
        frame.extend_from_slice(&ETH_TYPE.to_be_bytes());
        frame.extend_from_slice(&self.emit());
        frame
    }
}
