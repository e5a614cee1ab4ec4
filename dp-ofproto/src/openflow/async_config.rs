//! Which messages come unasked (OpenFlow 1.3 section A.3.10, 1.4 section 7.3.10).

use super::control::Role;
use super::wire::{Cursor, Put};
use super::{Code, Version};

/// Kinds of messages that come unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsyncKind {
    /// Packet-in, by reason.
    PacketIn = 0,
    /// Port status, by reason.
    PortStatus = 1,
    /// Flow removed, by reason.
    FlowRemoved = 2,
    /// Role status, by reason.
    RoleStatus = 3,
    /// Table status, by reason.
    TableStatus = 4,
    /// Forwarded requests, by reason.
    RequestForward = 5,
}

const KINDS: usize = 6;
/// The reason of packet-ins, in every version.
const INVALID_TTL: u8 = 2;

/// For each kind the reasons that a secondary, and a primary or equal controller is told: bit *n*
/// for reason *n*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsyncConfig {
    secondary: [u32; KINDS],
    primary: [u32; KINDS],
}

impl AsyncConfig {
    /// What a connection of this version is told unless it says otherwise.
    #[must_use]
    pub const fn default_of(version: Version) -> Self {
        // No-match and action, and what older versions take for one of them.
        let packet_in = 0x3b | MISSES;
        let flow_removed = if version as u8 >= Version::V14 as u8 { 0x3f } else { 0x0f };
        Self { secondary: [0, 7, 0, 0, 0, 0], primary: [packet_in, 7, flow_removed, 0, 0, 0] }
    }

    /// Nothing at all: service connections, until they ask.
    pub const NOTHING: Self = Self { secondary: [0; KINDS], primary: [0; KINDS] };

    /// Whether a controller of that role is told of that reason.
    #[must_use]
    pub fn wants(&self, role: Role, kind: AsyncKind, reason: u8) -> bool {
        let masks = if role == Role::Secondary { &self.secondary } else { &self.primary };
        masks.get(kind as usize).is_some_and(|mask| mask >> reason.min(31) & 1 != 0)
    }

    /// Says whether a primary or equal controller gets packets whose time to live is over: what the
    /// configuration of OpenFlow before 1.3 says. Whatever is said of reasons later replaces it.
    pub const fn set_invalid_ttl(&mut self, told: bool) {
        let bit = 1 << INVALID_TTL;
        let [packet_in, ..] = &mut self.primary;
        *packet_in = if told { *packet_in | bit } else { *packet_in & !bit };
    }

    /// Whether it does.
    #[must_use]
    pub fn invalid_ttl(&self) -> bool {
        self.wants(Role::Primary, AsyncKind::PacketIn, INVALID_TTL)
    }

    /// Reads OpenFlow 1.3's message, which says three kinds wholly, and the extension's.
    ///
    /// # Errors
    ///
    /// If it is too short.
    pub fn decode13(&self, body: &[u8]) -> Result<Self, Code> {
        let mut from = Cursor::new(body);
        let mut out = *self;
        for kind in 0..3 {
            for masks in [&mut out.primary, &mut out.secondary] {
                let mask = from.u32()?;
                if let Some(room) = masks.get_mut(kind) {
                    *room = mask;
                }
            }
        }
        // What is one reason to whoever does not know better is several here.
        for masks in [&mut out.primary, &mut out.secondary] {
            masks[0] = spread(masks[0] & 7);
        }
        Ok(out)
    }

    /// Reads OpenFlow 1.4's message: properties, each of which says one kind for one role.
    ///
    /// # Errors
    ///
    /// If it is too short, or has a property or a reason that there is not.
    pub fn decode14(&self, body: &[u8], version: Version) -> Result<Self, Code> {
        let mut from = Cursor::new(body);
        let mut out = *self;
        while let Some((ty, value)) = from.property()? {
            let mask = value.or(Code::BpcBadLen).u32()?;
            let kind = usize::from(ty / 2);
            let known: u32 = match ty / 2 {
                0 => 0x3f,
                1 => 7,
                2 => 0x3f,
                3 => 7,
                4 => 0x18,
                5 => 3,
                _ => {
                    return Err(if ty >= 0xfffe {
                        Code::BpcBadExperimenter
                    } else {
                        Code::BpcBadType
                    });
                }
            };
            if mask & !known != 0 && version >= Version::V14 {
                return Err(Code::AcfcInvalid);
            }
            let masks = if ty % 2 == 0 { &mut out.secondary } else { &mut out.primary };
            if let Some(room) = masks.get_mut(kind) {
                let misses = if kind == 0 && mask & 1 != 0 { MISSES } else { 0 };
                *room = mask & known | misses;
            }
        }
        Ok(out)
    }

    /// Writes the body of a reply.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        let known = [0x3f, 7, 0x3f, 7, 0x18, 3];
        if version < Version::V14 {
            for kind in 0..3 {
                let old = [7, 7, 0xf];
                for masks in [&self.primary, &self.secondary] {
                    out.put32(masks[kind] & old[kind]);
                }
            }
            return;
        }
        for ((kind, known), (secondary, primary)) in
            (0u16..).zip(known).zip(self.secondary.iter().zip(&self.primary))
        {
            for (ty, mask) in [(kind * 2, secondary), (kind * 2 + 1, primary)] {
                let at = out.begin_property(ty);
                out.put32(mask & known);
                out.end_property(at);
            }
        }
    }
}

/// The two kinds of misses that a no-match stands for.
const MISSES: u32 = 1 << 6 | 1 << 7;

/// Reasons of OpenFlow 1.3 with those that it takes for one of them.
const fn spread(mask: u32) -> u32 {
    let misses = if mask & 1 != 0 { MISSES } else { 0 };
    let actions = if mask & 2 != 0 { 0x38 } else { 0 };
    mask | misses | actions
}
