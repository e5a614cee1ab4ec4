//! An MPLS label stack entry (RFC 3032 section 2.1), and the stack of them.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------------------------------+-----+-+---------------+
//! |                 Label                 | TC  |S|      TTL      |
//! +---------------------------------------+-----+-+---------------+
//! ```
//!
//! Nothing in an entry says what lies below the bottom of the stack: one has to know by the label,
//! or guess by the first nibble (RFC 4928).

use super::Error;
use super::layout::{fields, view};

/// Bytes of one entry.
pub const HEADER_LEN: usize = 4;
/// The greatest label.
pub const MAX_LABEL: u32 = 0xf_ffff;
/// Pop, the payload is IPv4 (RFC 3032 section 2.1).
pub const LABEL_IPV4_EXPLICIT_NULL: u32 = 0;
/// Pop and hand to the router's software (RFC 3032 section 2.1).
pub const LABEL_ROUTER_ALERT: u32 = 1;
/// Pop, the payload is IPv6 (RFC 3032 section 2.1).
pub const LABEL_IPV6_EXPLICIT_NULL: u32 = 2;
/// Asks the neighbour to pop; never on the wire (RFC 3032 section 2.1).
pub const LABEL_IMPLICIT_NULL: u32 = 3;

mod field {
    use crate::wire::layout::{At, Bits};

    pub(super) const ENTRY: At<u32> = At::new(0);
    pub(super) const LABEL: Bits<u32> = Bits::in_u32(0, 0xffff_f000);
    pub(super) const TC: Bits<u8> = Bits::in_u32(0, 0x0000_0e00);
    pub(super) const BOTTOM: Bits<bool> = Bits::in_u32(0, 0x0000_0100);
    pub(super) const TTL: At<u8> = At::new(3);
}

view! {
    /// The topmost entry of a label stack, and what lies below.
    Packet, HEADER_LEN
}

fields! {
    Packet {
        /// The whole entry as one number, as flows match it.
        entry, set_entry: u32 = field::ENTRY;
        /// The label, 20 bits.
        label, set_label: u32 = field::LABEL;
        /// The traffic class, 3 bits (RFC 5462).
        tc, set_tc: u8 = field::TC;
        /// Whether this is the last entry of the stack.
        bottom, set_bottom: bool = field::BOTTOM;
        /// The time to live.
        ttl, set_ttl: u8 = field::TTL;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// An entry has no lengths in it.
    fn check_len(&self) -> Result<(), Error> {
        Ok(())
    }

    /// What lies below this entry: another one unless this is the bottom.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.span(HEADER_LEN, usize::MAX)
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// As [`Self::payload`], to write.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        self.span_mut(HEADER_LEN, usize::MAX)
    }
}

/// The entries of a label stack from the top to the bottom; an error if the bytes end before the
/// bottom, and nothing after it.
#[derive(Clone, Debug)]
pub struct Stack<'a> {
    rest: &'a [u8],
    done: bool,
}

impl<'a> Stack<'a> {
    /// The stack that `bytes` begin with.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, done: false }
    }

    /// What follows the entries taken so far: the payload once the iterator is exhausted.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl Iterator for Stack<'_> {
    type Item = Result<Repr, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let Some((entry, rest)) = self.rest.split_first_chunk::<HEADER_LEN>() else {
            self.done = true;
            return Some(Err(Error::Truncated));
        };
        let entry = Packet::new_checked(entry).and_then(|entry| Repr::parse(&entry));
        self.rest = rest;
        self.done = entry.is_ok_and(|entry| entry.bottom);
        Some(entry)
    }
}

/// A label stack entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// The label, at most [`MAX_LABEL`].
    pub label: u32,
    /// The traffic class, at most 7.
    pub tc: u8,
    /// Whether this is the last entry of the stack.
    pub bottom: bool,
    /// The time to live.
    pub ttl: u8,
}

impl Repr {
    /// Reads an entry; every value of its bits is one.
    ///
    /// # Errors
    /// None as yet.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, Error> {
        packet.check_len()?;
        Ok(Self {
            label: packet.label(),
            tc: packet.tc(),
            bottom: packet.bottom(),
            ttl: packet.ttl(),
        })
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        HEADER_LEN
    }

    /// Writes the entry.
    ///
    /// # Errors
    /// [`Error::Field`] for a label or traffic class out of range.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        if self.label > MAX_LABEL || self.tc > 7 {
            return Err(Error::Field);
        }
        packet.set_label(self.label);
        packet.set_tc(self.tc);
        packet.set_bottom(self.bottom);
        packet.set_ttl(self.ttl);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
