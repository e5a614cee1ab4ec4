//! BFD control packets (RFC 5880, section 4.1) in UDP over IPv4 (RFC 5881).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Vers |  Diag   |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |
//! |                       My Discriminator                        |
//! |                      Your Discriminator                       |
//! |                    Desired Min TX Interval                    |
//! |                   Required Min RX Interval                    |
//! |                 Required Min Echo RX Interval                 |
//! ```

use std::fmt;
use std::net::Ipv4Addr;

use dp_core::base::MacAddr;
use dp_core::wire::checksum::checksum;

/// UDP port of single-hop control packets.
pub const UDP_PORT: u16 = 3784;
/// Bytes of a control packet without authentication.
pub const LEN: usize = 24;

bitflags::bitflags! {
    /// Flags of a control packet.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Flags: u8 {
        /// Reserved: must be zero.
        const MULTIPOINT = 0x01;
        /// The sender wants demand mode.
        const DEMAND = 0x02;
        /// There is an authentication section.
        const AUTH = 0x04;
        /// Control plane independent.
        const CPI = 0x08;
        /// Answers a poll.
        const FINAL = 0x10;
        /// Asks for an answer.
        const POLL = 0x20;
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::MULTIPOINT, "multipoint"),
            (Self::DEMAND, "demand"),
            (Self::AUTH, "auth"),
            (Self::CPI, "cpi"),
            (Self::FINAL, "final"),
            (Self::POLL, "poll"),
        ];
        if self.is_empty() {
            return f.write_str("none");
        }
        let set: Vec<&str> =
            names.into_iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, n)| n).collect();
        f.write_str(&set.join(" "))
    }
}

/// State of a session (RFC 5880, section 6.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Held down by its operator.
    AdminDown = 0,
    /// No connection, or just created.
    #[default]
    Down = 1,
    /// The peer is heard and not yet sure that we hear it.
    Init = 2,
    /// Both hear each other.
    Up = 3,
}

impl State {
    const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AdminDown => "admin_down",
            Self::Down => "down",
            Self::Init => "init",
            Self::Up => "up",
        })
    }
}

/// Why a session last changed its state, as the sender says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Diagnostic(pub u8);

impl Diagnostic {
    /// Nothing to report.
    pub const NONE: Self = Self(0);
    /// No packet came in time.
    pub const EXPIRED: Self = Self(1);
    /// The neighbour signalled down.
    pub const NEIGHBOUR_DOWN: Self = Self(3);
    /// The path beyond the local system is down.
    pub const CONCATENATED_PATH_DOWN: Self = Self(6);
    /// The path beyond the remote system is down.
    pub const REVERSE_PATH_DOWN: Self = Self(8);
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "No Diagnostic",
            1 => "Control Detection Time Expired",
            2 => "Echo Function Failed",
            3 => "Neighbor Signaled Session Down",
            4 => "Forwarding Plane Reset",
            5 => "Path Down",
            6 => "Concatenated Path Down",
            7 => "Administratively Down",
            8 => "Reverse Concatenated Path Down",
            _ => "Invalid Diagnostic",
        })
    }
}

/// A control packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Why the sender's session is as it is.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// Flags.
    pub flags: Flags,
    /// The sender's detection multiplier.
    pub mult: u8,
    /// The sender's name for the session.
    pub my_disc: u32,
    /// The receiver's name for it, 0 as long as the sender does not know.
    pub your_disc: u32,
    /// Microseconds.
    pub min_tx: u32,
    /// Microseconds.
    pub min_rx: u32,
    /// Microseconds; 0: no echo.
    pub min_rx_echo: u32,
}

/// Why a control packet is not one (RFC 5880, section 6.8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Shorter than a control packet, or than it says.
    #[error("is truncated")]
    Truncated,
    /// Of a version that nobody speaks.
    #[error("has version {0}, not 1")]
    Version(u8),
    /// Authentication, which is not spoken here.
    #[error("has an authentication section, which is not supported")]
    Authentication,
    /// A reserved flag.
    #[error("has the multipoint flag")]
    Multipoint,
    /// A field that may not be zero.
    #[error("has zero as its {0}")]
    Zero(&'static str),
}

impl Control {
    /// Reads a control packet from the UDP payload.
    ///
    /// # Errors
    ///
    /// [`ControlError`], as RFC 5880 section 6.8.6 demands.
    pub fn parse(payload: &[u8]) -> Result<Self, ControlError> {
        let Some(fixed) = payload.first_chunk::<LEN>() else { return Err(ControlError::Truncated) };
        let word = |at: usize| {
            let bytes = fixed.get(at..at + 4).and_then(|bytes| bytes.first_chunk::<4>());
            bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
        };
        let [first, second, mult, length, ..] = *fixed;
        let control = Self {
            diagnostic: Diagnostic(first & 0x1f),
            state: State::from_bits(second >> 6),
            flags: Flags::from_bits_truncate(second & 0x3f),
            mult,
            my_disc: word(4),
            your_disc: word(8),
            min_tx: word(12),
            min_rx: word(16),
            min_rx_echo: word(20),
        };
        if first >> 5 != 1 {
            return Err(ControlError::Version(first >> 5));
        }
        if usize::from(length) < LEN || usize::from(length) > payload.len() {
            return Err(ControlError::Truncated);
        }
        if control.flags.contains(Flags::AUTH) {
            return Err(ControlError::Authentication);
        }
        if control.flags.contains(Flags::MULTIPOINT) {
            return Err(ControlError::Multipoint);
        }
        if mult == 0 {
            return Err(ControlError::Zero("detection multiplier"));
        }
        if control.my_disc == 0 {
            return Err(ControlError::Zero("discriminator"));
        }
        if control.your_disc == 0 && matches!(control.state, State::Init | State::Up) {
            return Err(ControlError::Zero("idea of our discriminator"));
        }
        Ok(control)
    }

    /// The bytes of the packet.
    #[must_use]
    pub fn emit(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[0] = 1 << 5 | self.diagnostic.0 & 0x1f;
        bytes[1] = (self.state as u8) << 6 | self.flags.bits();
        bytes[2] = self.mult;
        bytes[3] = LEN as u8;
        let words = [self.my_disc, self.your_disc, self.min_tx, self.min_rx, self.min_rx_echo];
        for (place, word) in bytes[4..].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }
}

/// Where a session's frames come from and go to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope {
    pub(super) eth_src: MacAddr,
    pub(super) eth_dst: MacAddr,
    pub(super) src: Ipv4Addr,
    pub(super) dst: Ipv4Addr,
    pub(super) udp_src: u16,
}

/// Internetwork control, as routing protocols use it.
const TOS: u8 = 0xc0;

/// An Ethernet frame with a control packet inside.
pub(super) fn frame(envelope: &Envelope, control: &Control) -> Vec<u8> {
    let mut frame = Vec::with_capacity(14 + 20 + 8 + LEN);
    frame.extend_from_slice(&envelope.eth_dst.0);
    frame.extend_from_slice(&envelope.eth_src.0);
    frame.extend_from_slice(&[0x08, 0x00]);
    let total = (20 + 8 + LEN) as u16;
    let [high, low] = total.to_be_bytes();
    let mut ip = [0x45, TOS, high, low, 0, 0, 0, 0, 255, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    ip[12..16].copy_from_slice(&envelope.src.octets());
    ip[16..20].copy_from_slice(&envelope.dst.octets());
    let sum = checksum(&ip).to_be_bytes();
    ip[10..12].copy_from_slice(&sum);
    frame.extend_from_slice(&ip);
    frame.extend_from_slice(&envelope.udp_src.to_be_bytes());
    frame.extend_from_slice(&UDP_PORT.to_be_bytes());
    frame.extend_from_slice(&((8 + LEN) as u16).to_be_bytes());
    // Over IPv4 the checksum may be left out (RFC 768), and the packet is small.
    frame.extend_from_slice(&[0, 0]);
    frame.extend_from_slice(&control.emit());
    frame
}
