//! Neighbour discovery (RFC 4861): solicitations and advertisements of neighbours and routers, and
//! their options.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------------------------------+
//! |     Type      |     Code      |           Checksum            |  as ICMPv6
//! +---------------+---------------+-------------------------------+
//! |R|S|O|                      reserved                           |  neighbour advertisement
//! |             Target Address, neighbours (16 bytes)             |
//! +---------------+---------------+-------------------------------+
//! | option type   | length * 8    |  option data ...              |
//! +---------------+---------------+-------------------------------+
//! ```
//!
//! The view begins at the ICMPv6 type. Judged here is what the message itself shows; that its hop
//! limit was 255 and that its checksum is right (RFC 4861 section 7.1) is for the caller to ask.
//! The checksum is handled by [`icmpv6::Packet`](super::icmpv6::Packet) over the same bytes.

use super::Error;
use super::icmpv6::MessageType;
use super::layout::{At, Small, Value, fields, view};
use crate::base::MacAddr;
use std::net::Ipv6Addr;

/// The hop limit that all these messages are sent with (RFC 4861 section 3.1).
pub const HOP_LIMIT: u8 = 255;
/// Bytes of the shortest message, a router solicitation.
pub const MIN_LEN: usize = 8;

/// Option type: the sender's link-layer address.
pub const OPTION_SOURCE: u8 = 1;
/// Option type: the target's link-layer address.
pub const OPTION_TARGET: u8 = 2;
/// Option type: a prefix of the link.
pub const OPTION_PREFIX: u8 = 3;
/// Option type: the packet that a redirect is about.
pub const OPTION_REDIRECTED: u8 = 4;
/// Option type: the MTU of the link.
pub const OPTION_MTU: u8 = 5;

/// Bytes of an option with an Ethernet address, and of one with the MTU.
const SMALL_OPTION_LEN: usize = 8;
const PREFIX_OPTION_LEN: usize = 32;

mod field {
    use super::Preference;
    use crate::wire::icmpv6::MessageType;
    use crate::wire::layout::{At, Bits};
    use std::net::Ipv6Addr;

    pub(super) const KIND: At<MessageType> = At::new(0);
    pub(super) const CODE: At<u8> = At::new(1);
    // Neighbour advertisement; the address also in a solicitation and a redirect.
    pub(super) const ROUTER: Bits<bool> = Bits::in_u8(4, 0x80);
    pub(super) const SOLICITED: Bits<bool> = Bits::in_u8(4, 0x40);
    pub(super) const OVERRIDE: Bits<bool> = Bits::in_u8(4, 0x20);
    pub(super) const TARGET: At<Ipv6Addr> = At::new(8);
    // Router advertisement.
    pub(super) const HOP_LIMIT: At<u8> = At::new(4);
    pub(super) const MANAGED: Bits<bool> = Bits::in_u8(5, 0x80);
    pub(super) const OTHER: Bits<bool> = Bits::in_u8(5, 0x40);
    pub(super) const PREFERENCE: Bits<Preference> = Bits::in_u8(5, 0x18);
    pub(super) const LIFETIME: At<u16> = At::new(6);
    pub(super) const REACHABLE: At<u32> = At::new(8);
    pub(super) const RETRANSMIT: At<u32> = At::new(12);
}

view! {
    /// A neighbour discovery message, from the ICMPv6 type on.
    Packet, MIN_LEN
}

fields! {
    Packet {
        /// What the message is.
        kind, set_kind: MessageType = field::KIND;
        /// The code, zero.
        code, set_code: u8 = field::CODE;
        /// Neighbour advertisement: the sender is a router.
        is_router, set_is_router: bool = field::ROUTER;
        /// Neighbour advertisement: it answers a solicitation.
        is_solicited, set_is_solicited: bool = field::SOLICITED;
        /// Neighbour advertisement: it replaces what was known.
        is_override, set_is_override: bool = field::OVERRIDE;
        /// Neighbour messages and redirect: the address in question.
        target, set_target: Ipv6Addr = field::TARGET;
        /// Router advertisement: the hop limit to send with, zero if unspecified.
        hop_limit, set_hop_limit: u8 = field::HOP_LIMIT;
        /// Router advertisement: addresses come by DHCPv6.
        is_managed, set_is_managed: bool = field::MANAGED;
        /// Router advertisement: other configuration comes by DHCPv6.
        is_other, set_is_other: bool = field::OTHER;
        /// Router advertisement: whether to choose this router before others.
        preference, set_preference: Preference = field::PREFERENCE;
        /// Router advertisement: for how many seconds the router is a default one.
        lifetime, set_lifetime: u16 = field::LIFETIME;
        /// Router advertisement: how many milliseconds a neighbour counts as reachable.
        reachable_time, set_reachable_time: u32 = field::REACHABLE;
        /// Router advertisement: milliseconds between solicitations.
        retransmit_time, set_retransmit_time: u32 = field::RETRANSMIT;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    fn check_len(&self) -> Result<(), Error> {
        let len = fixed_len(self.kind()).ok_or(Error::Field)?;
        if self.bytes().len() < len {
            return Err(Error::Truncated);
        }
        for option in self.options() {
            option?;
        }
        Ok(())
    }

    /// Bytes before the options; those of the shortest message if the type is none of these.
    #[must_use]
    pub fn header_len(&self) -> usize {
        fixed_len(self.kind()).unwrap_or(MIN_LEN)
    }

    /// The options, one after the other.
    pub fn options(&self) -> OptionIter<'_> {
        OptionIter { rest: self.payload() }
    }

    /// The options as bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.span(self.header_len(), usize::MAX)
    }
}

/// Bytes before the options of a message.
const fn fixed_len(kind: MessageType) -> Option<usize> {
    match kind {
        MessageType::ROUTER_SOLICIT => Some(8),
        MessageType::ROUTER_ADVERT => Some(16),
        MessageType::NEIGHBOUR_SOLICIT | MessageType::NEIGHBOUR_ADVERT => Some(24),
        MessageType::REDIRECT => Some(40),
        _ => None,
    }
}

/// One option of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opt<'a> {
    /// The sender's Ethernet address.
    Source(MacAddr),
    /// The target's Ethernet address.
    Target(MacAddr),
    /// A prefix of the link.
    Prefix(Prefix),
    /// The MTU of the link.
    Mtu(u32),
    /// Any other, also a link-layer address that is not Ethernet's.
    Other {
        /// The type.
        kind: u8,
        /// What follows type and length, padding included.
        data: &'a [u8],
    },
}

impl<'a> Opt<'a> {
    fn read(kind: u8, data: &'a [u8]) -> Result<Self, Error> {
        match (kind, data.len()) {
            (OPTION_SOURCE, 6) => Ok(Self::Source(MacAddr::read(data))),
            (OPTION_TARGET, 6) => Ok(Self::Target(MacAddr::read(data))),
            (OPTION_PREFIX, 30) => Prefix::read(data).map(Self::Prefix),
            (OPTION_MTU, 6) => Ok(Self::Mtu(At::new(2).get(data))),
            (OPTION_PREFIX | OPTION_MTU, _) => Err(Error::Length),
            _ => Ok(Self::Other { kind, data }),
        }
    }
}

/// The options of a message; ends after the first error. A length of zero is one (RFC 4861
/// section 4.6).
#[derive(Clone, Debug)]
pub struct OptionIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for OptionIter<'a> {
    type Item = Result<Opt<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        let [kind, units, ..] = *rest else {
            return if rest.is_empty() { None } else { Some(Err(Error::Truncated)) };
        };
        if units == 0 {
            return Some(Err(Error::Length));
        }
        let Some((option, rest)) = rest.split_at_checked(usize::from(units) * 8) else {
            return Some(Err(Error::Truncated));
        };
        let option = Opt::read(kind, option.get(2..).unwrap_or_default());
        if option.is_ok() {
            self.rest = rest;
        }
        Some(option)
    }
}

/// Whether to choose one router before others (RFC 4191 section 2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preference {
    /// After others.
    Low,
    /// As others; also the reserved value counts as this.
    #[default]
    Medium,
    /// Before others.
    High,
}

impl Small for Preference {
    fn from_bits(bits: u32) -> Self {
        match bits {
            1 => Self::High,
            3 => Self::Low,
            _ => Self::Medium,
        }
    }
    fn to_bits(self) -> u32 {
        match self {
            Self::High => 1,
            Self::Medium => 0,
            Self::Low => 3,
        }
    }
}

/// A prefix that a router advertises (RFC 4861 section 4.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The prefix; bits behind its length are to be ignored.
    pub address: Ipv6Addr,
    /// Bits of the prefix, at most 128.
    pub len: u8,
    /// Whether its addresses are on the link.
    pub on_link: bool,
    /// Whether hosts make themselves addresses from it.
    pub autonomous: bool,
    /// Seconds for which it is on the link; all ones is for ever.
    pub valid_lifetime: u32,
    /// Seconds for which addresses made from it are preferred; all ones is for ever.
    pub preferred_lifetime: u32,
}

impl Prefix {
    const LEN: At<u8> = At::new(0);
    const FLAGS: At<u8> = At::new(1);
    const VALID: At<u32> = At::new(2);
    const PREFERRED: At<u32> = At::new(6);
    const ADDRESS: At<Ipv6Addr> = At::new(14);

    fn read(data: &[u8]) -> Result<Self, Error> {
        let flags = Self::FLAGS.get(data);
        let prefix = Self {
            address: Self::ADDRESS.get(data),
            len: Self::LEN.get(data),
            on_link: flags & 0x80 != 0,
            autonomous: flags & 0x40 != 0,
            valid_lifetime: Self::VALID.get(data),
            preferred_lifetime: Self::PREFERRED.get(data),
        };
        if prefix.len > 128 { Err(Error::Field) } else { Ok(prefix) }
    }

    fn write(&self, data: &mut [u8]) {
        Self::LEN.set(data, self.len);
        Self::FLAGS.set(data, u8::from(self.on_link) << 7 | u8::from(self.autonomous) << 6);
        Self::VALID.set(data, self.valid_lifetime);
        Self::PREFERRED.set(data, self.preferred_lifetime);
        Self::ADDRESS.set(data, self.address);
    }
}

/// A neighbour discovery message. Redirects are viewed, not represented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repr {
    /// Which routers are there?
    RouterSolicit {
        /// The sender's Ethernet address.
        source: Option<MacAddr>,
    },
    /// I am one.
    RouterAdvert {
        /// The hop limit to send with, zero if unspecified.
        hop_limit: u8,
        /// Addresses come by DHCPv6.
        managed: bool,
        /// Other configuration comes by DHCPv6.
        other: bool,
        /// Whether to choose this router before others.
        preference: Preference,
        /// For how many seconds the router is a default one; zero if it is none.
        lifetime: u16,
        /// How many milliseconds a neighbour counts as reachable, zero if unspecified.
        reachable_time: u32,
        /// Milliseconds between solicitations, zero if unspecified.
        retransmit_time: u32,
        /// The sender's Ethernet address.
        source: Option<MacAddr>,
        /// The MTU of the link.
        mtu: Option<u32>,
        /// The first prefix of the message; the options of the view give all.
        prefix: Option<Prefix>,
    },
    /// Who has this address?
    NeighbourSolicit {
        /// The address, no multicast.
        target: Ipv6Addr,
        /// The sender's Ethernet address.
        source: Option<MacAddr>,
    },
    /// I have.
    NeighbourAdvert {
        /// The sender is a router.
        router: bool,
        /// This answers a solicitation.
        solicited: bool,
        /// This replaces what was known.
        overrides: bool,
        /// The address, no multicast.
        target: Ipv6Addr,
        /// The Ethernet address that has it.
        lladdr: Option<MacAddr>,
    },
}

impl Repr {
    /// Reads a message, the checksum apart. Of an option that comes twice the first one counts.
    ///
    /// # Errors
    /// Those of [`Packet::new_checked`] and of the options; [`Error::Field`] for a redirect, a
    /// code other than zero, or a multicast target.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, Error> {
        packet.check_len()?;
        let (mut source, mut lladdr, mut mtu, mut prefix) = (None, None, None, None);
        for option in packet.options() {
            match option? {
                Opt::Source(mac) => source = source.or(Some(mac)),
                Opt::Target(mac) => lladdr = lladdr.or(Some(mac)),
                Opt::Mtu(value) => mtu = mtu.or(Some(value)),
                Opt::Prefix(value) => prefix = prefix.or(Some(value)),
                Opt::Other { .. } => {}
            }
        }
        let target = packet.target();
        let repr = match packet.kind() {
            MessageType::ROUTER_SOLICIT => Self::RouterSolicit { source },
            MessageType::ROUTER_ADVERT => Self::RouterAdvert {
                hop_limit: packet.hop_limit(),
                managed: packet.is_managed(),
                other: packet.is_other(),
                preference: packet.preference(),
                lifetime: packet.lifetime(),
                reachable_time: packet.reachable_time(),
                retransmit_time: packet.retransmit_time(),
                source,
                mtu,
                prefix,
            },
            MessageType::NEIGHBOUR_SOLICIT => Self::NeighbourSolicit { target, source },
            MessageType::NEIGHBOUR_ADVERT => Self::NeighbourAdvert {
                router: packet.is_router(),
                solicited: packet.is_solicited(),
                overrides: packet.is_override(),
                target,
                lladdr,
            },
            _ => return Err(Error::Field),
        };
        if packet.code() != 0 {
            return Err(Error::Field);
        }
        repr.check()
    }

    fn check(self) -> Result<Self, Error> {
        let legal = match self {
            Self::NeighbourSolicit { target, .. } | Self::NeighbourAdvert { target, .. } => {
                !target.is_multicast()
            }
            Self::RouterAdvert { prefix: Some(prefix), .. } => prefix.len <= 128,
            Self::RouterSolicit { .. } | Self::RouterAdvert { .. } => true,
        };
        if legal { Ok(self) } else { Err(Error::Field) }
    }

    const fn kind(&self) -> MessageType {
        match self {
            Self::RouterSolicit { .. } => MessageType::ROUTER_SOLICIT,
            Self::RouterAdvert { .. } => MessageType::ROUTER_ADVERT,
            Self::NeighbourSolicit { .. } => MessageType::NEIGHBOUR_SOLICIT,
            Self::NeighbourAdvert { .. } => MessageType::NEIGHBOUR_ADVERT,
        }
    }

    /// The options in the order in which they are written: link-layer address, MTU, prefix.
    const fn options(&self) -> (Option<(u8, MacAddr)>, Option<u32>, Option<Prefix>) {
        match *self {
            Self::RouterSolicit { source: Some(mac) }
            | Self::NeighbourSolicit { source: Some(mac), .. } => {
                (Some((OPTION_SOURCE, mac)), None, None)
            }
            Self::RouterAdvert { source: Some(mac), mtu, prefix, .. } => {
                (Some((OPTION_SOURCE, mac)), mtu, prefix)
            }
            Self::RouterAdvert { mtu, prefix, .. } => (None, mtu, prefix),
            Self::NeighbourAdvert { lladdr: Some(mac), .. } => {
                (Some((OPTION_TARGET, mac)), None, None)
            }
            _ => (None, None, None),
        }
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        let fixed = match fixed_len(self.kind()) {
            Some(len) => len,
            None => MIN_LEN,
        };
        let (mac, mtu, prefix) = self.options();
        let small = mac.is_some() as usize + mtu.is_some() as usize;
        fixed + small * SMALL_OPTION_LEN + prefix.is_some() as usize * PREFIX_OPTION_LEN
    }

    /// Writes the message, without checksum: see
    /// [`icmpv6::Packet::fill_checksum`](super::icmpv6::Packet::fill_checksum).
    ///
    /// # Errors
    /// [`Error::Truncated`] without room; [`Error::Field`] for a multicast target or too long a
    /// prefix.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        self.check()?;
        packet.room(self.buffer_len())?.fill(0);
        packet.set_kind(self.kind());
        match *self {
            Self::RouterSolicit { .. } => {}
            Self::RouterAdvert {
                hop_limit,
                managed,
                other,
                preference,
                lifetime,
                reachable_time,
                retransmit_time,
                ..
            } => {
                packet.set_hop_limit(hop_limit);
                packet.set_is_managed(managed);
                packet.set_is_other(other);
                packet.set_preference(preference);
                packet.set_lifetime(lifetime);
                packet.set_reachable_time(reachable_time);
                packet.set_retransmit_time(retransmit_time);
            }
            Self::NeighbourSolicit { target, .. } => packet.set_target(target),
            Self::NeighbourAdvert { router, solicited, overrides, target, .. } => {
                packet.set_is_router(router);
                packet.set_is_solicited(solicited);
                packet.set_is_override(overrides);
                packet.set_target(target);
            }
        }
        let start = packet.header_len();
        let room = packet.room(self.buffer_len())?.get_mut(start..).unwrap_or_default();
        self.emit_options(room)
    }

    fn emit_options(&self, mut room: &mut [u8]) -> Result<(), Error> {
        let (mac, mtu, prefix) = self.options();
        if let Some((kind, mac)) = mac {
            mac.write(option(&mut room, kind, SMALL_OPTION_LEN)?);
        }
        if let Some(mtu) = mtu {
            At::new(2).set(option(&mut room, OPTION_MTU, SMALL_OPTION_LEN)?, mtu);
        }
        if let Some(prefix) = prefix {
            prefix.write(option(&mut room, OPTION_PREFIX, PREFIX_OPTION_LEN)?);
        }
        Ok(())
    }
}

/// Takes an option of `len` bytes off the front of `room`, writes its head, gives its data.
fn option<'a>(room: &mut &'a mut [u8], kind: u8, len: usize) -> Result<&'a mut [u8], Error> {
    let (option, rest) = std::mem::take(room).split_at_mut_checked(len).ok_or(Error::Truncated)?;
    *room = rest;
    let (head, data) = option.split_first_chunk_mut().ok_or(Error::Truncated)?;
    *head = [kind, (len / 8) as u8];
    Ok(data)
}

#[cfg(test)]
mod tests;
