//! TCP (RFC 9293) and its options (RFC 7323, RFC 2018).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------------------------------+-------------------------------+
//! |          Source Port          |       Destination Port        |
//! +-------------------------------+-------------------------------+
//! |                        Sequence Number                        |
//! |                    Acknowledgment Number                      |
//! +-------+-----------------------+-------------------------------+
//! | Offset|  reserved and Flags   |            Window             |
//! +-------+-----------------------+-------------------------------+
//! |           Checksum            |         Urgent Pointer        |
//! +-------------------------------+-------------------------------+
//! |                  Options, up to 40 bytes                      |
//! +---------------------------------------------------------------+
//! ```
//!
//! The view verifies the data offset; the lengths of options are judged by their iterator. TCP
//! has no length of its own: give the view exactly the payload of IP.

use super::checksum::{Pseudo, Sum};
use super::layout::{Small, fields, view};
use super::{Error, Protocol};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Bytes of the longest header.
pub const MAX_HEADER_LEN: usize = 60;
/// The greatest shift of the window (RFC 7323 section 2.3).
pub const MAX_WINDOW_SCALE: u8 = 14;
/// How many blocks a selective acknowledgment can hold (RFC 2018 section 3).
pub const MAX_SACK_BLOCKS: usize = 4;

const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

bitflags::bitflags! {
    /// The twelve bits between data offset and window, reserved ones included.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Flags: u16 {
        /// The sender has finished.
        const FIN = 0x001;
        /// Synchronise sequence numbers.
        const SYN = 0x002;
        /// Reset the connection.
        const RST = 0x004;
        /// Hand the data on without waiting.
        const PSH = 0x008;
        /// The acknowledgment number counts.
        const ACK = 0x010;
        /// The urgent pointer counts.
        const URG = 0x020;
        /// Congestion was seen (RFC 3168).
        const ECE = 0x040;
        /// The congestion window was reduced (RFC 3168).
        const CWR = 0x080;
        /// Nonce sum, now accurate ECN (RFC 3540, RFC 9768).
        const NS = 0x100;
        /// Reserved; kept as it comes.
        const RESERVED = 0xe00;
    }
}

impl Flags {
    /// Whether a TCP can have sent this combination: exactly one of SYN, FIN and RST at most, and
    /// an acknowledgment unless it opens or resets (RFC 9293 section 3.10.7).
    #[must_use]
    pub const fn is_legal(self) -> bool {
        let kind = self.intersection(Self::SYN.union(Self::FIN).union(Self::RST)).bits();
        let alone = kind.count_ones() <= 1;
        alone && self.intersects(Self::SYN.union(Self::RST).union(Self::ACK))
    }
}

impl Small for Flags {
    fn from_bits(bits: u32) -> Self {
        Self::from_bits_retain(bits as u16)
    }
    fn to_bits(self) -> u32 {
        self.bits().into()
    }
}

mod field {
    use super::Flags;
    use crate::wire::layout::{At, Bits};

    pub(super) const SRC_PORT: At<u16> = At::new(0);
    pub(super) const DST_PORT: At<u16> = At::new(2);
    pub(super) const SEQ: At<u32> = At::new(4);
    pub(super) const ACK_NUMBER: At<u32> = At::new(8);
    pub(super) const DATA_OFFSET: Bits<u8> = Bits::in_u8(12, 0xf0);
    pub(super) const FLAGS: Bits<Flags> = Bits::in_u16(12, 0x0fff);
    pub(super) const WINDOW: At<u16> = At::new(14);
    pub(super) const CHECKSUM: At<u16> = At::new(16);
    pub(super) const URGENT: At<u16> = At::new(18);
}

view! {
    /// A TCP segment.
    Packet, HEADER_LEN
}

fields! {
    Packet {
        /// The source port.
        src_port, set_src_port: u16 = field::SRC_PORT;
        /// The destination port.
        dst_port, set_dst_port: u16 = field::DST_PORT;
        /// The number of the first byte of data, or of SYN.
        seq, set_seq: u32 = field::SEQ;
        /// The number of the byte expected next, if ACK is set.
        ack_number, set_ack_number: u32 = field::ACK_NUMBER;
        /// The header's length in words of four bytes.
        data_offset, set_data_offset: u8 = field::DATA_OFFSET;
        /// The flags, 12 bits.
        flags, set_flags: Flags = field::FLAGS;
        /// The window, before scaling.
        window, set_window: u16 = field::WINDOW;
        /// The checksum over pseudo header and segment.
        checksum, set_checksum: u16 = field::CHECKSUM;
        /// Where urgent data ends, if URG is set.
        urgent, set_urgent: u16 = field::URGENT;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    fn check_len(&self) -> Result<(), Error> {
        if self.header_len() < HEADER_LEN {
            return Err(Error::Length);
        }
        if self.header_len() > self.bytes().len() {
            return Err(Error::Truncated);
        }
        Ok(())
    }

    /// Bytes before the data.
    #[must_use]
    pub fn header_len(&self) -> usize {
        usize::from(self.data_offset()) * 4
    }

    /// Whether the checksum is right, between the addresses given.
    #[must_use]
    pub fn verify_checksum(&self, ends: Pseudo) -> bool {
        self.sum(ends).is_valid()
    }

    /// The options, one after the other.
    pub fn options(&self) -> OptionIter<'_> {
        OptionIter { rest: self.span(HEADER_LEN, self.header_len()) }
    }

    /// The data.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.span(self.header_len(), usize::MAX)
    }

    fn sum(&self, ends: Pseudo) -> Sum {
        ends.sum(Protocol::TCP, self.bytes().len()).with(self.bytes())
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Computes and writes the checksum, once the data is in place.
    pub fn fill_checksum(&mut self, ends: Pseudo) {
        self.set_checksum(0);
        let checksum = self.sum(ends).finish();
        self.set_checksum(checksum);
    }

    /// As [`Self::payload`], to write.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let start = self.header_len();
        self.span_mut(start, usize::MAX)
    }
}

/// One option of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opt<'a> {
    /// Padding between options.
    Nop,
    /// The greatest segment the sender takes.
    Mss(u16),
    /// How many bits the window is shifted by.
    WindowScale(u8),
    /// Selective acknowledgments may be sent.
    SackPermitted,
    /// A selective acknowledgment.
    Sack(SackBlocks),
    /// Timestamps of the sender and, echoed, of the receiver.
    Timestamps {
        /// The sender's clock.
        value: u32,
        /// The last value seen from the peer.
        echo: u32,
    },
    /// Any other.
    Other {
        /// The kind.
        kind: u8,
        /// What follows kind and length.
        data: &'a [u8],
    },
}

impl<'a> Opt<'a> {
    fn read(kind: u8, data: &'a [u8]) -> Result<Self, Error> {
        match (kind, data) {
            (MSS, &[a, b]) => Ok(Self::Mss(u16::from_be_bytes([a, b]))),
            (WINDOW_SCALE, &[shift]) => Ok(Self::WindowScale(shift)),
            (SACK_PERMITTED, []) => Ok(Self::SackPermitted),
            (SACK, data) => SackBlocks::read(data).map(Self::Sack),
            (TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => Ok(Self::Timestamps {
                value: u32::from_be_bytes([a, b, c, d]),
                echo: u32::from_be_bytes([e, f, g, h]),
            }),
            (MSS | WINDOW_SCALE | SACK_PERMITTED | TIMESTAMPS, _) => Err(Error::Length),
            _ => Ok(Self::Other { kind, data }),
        }
    }
}

/// The options of a segment; ends at the end-of-options mark and after the first error.
#[derive(Clone, Debug)]
pub struct OptionIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for OptionIter<'a> {
    type Item = Result<Opt<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let (option, rest) = match *self.rest {
            [] | [END_OF_OPTIONS, ..] => return None,
            [NO_OPERATION, ref rest @ ..] => (Ok(Opt::Nop), rest),
            [_] => (Err(Error::Truncated), &[][..]),
            [_, 0 | 1, ..] => (Err(Error::Length), &[][..]),
            [kind, len, ref rest @ ..] => match rest.split_at_checked(usize::from(len) - 2) {
                Some((data, rest)) => (Opt::read(kind, data), rest),
                None => (Err(Error::Truncated), &[][..]),
            },
        };
        self.rest = if option.is_err() { &[] } else { rest };
        Some(option)
    }
}

/// The blocks of a selective acknowledgment, at most [`MAX_SACK_BLOCKS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlocks {
    /// Those from `len` on stay zero.
    blocks: [(u32, u32); MAX_SACK_BLOCKS],
    len: u8,
}

impl SackBlocks {
    /// No block, which is to say: no such option.
    pub const NONE: Self = Self { blocks: [(0, 0); MAX_SACK_BLOCKS], len: 0 };

    /// Blocks of first number and the number behind the last.
    ///
    /// # Errors
    /// [`Error::TooMany`] for more than [`MAX_SACK_BLOCKS`].
    pub fn new(blocks: &[(u32, u32)]) -> Result<Self, Error> {
        let mut sack = Self { len: blocks.len() as u8, ..Self::NONE };
        let slots = sack.blocks.get_mut(..blocks.len()).ok_or(Error::TooMany)?;
        slots.copy_from_slice(blocks);
        Ok(sack)
    }

    /// The blocks.
    #[must_use]
    pub fn as_slice(&self) -> &[(u32, u32)] {
        self.blocks.get(..self.len.into()).unwrap_or_default()
    }

    fn read(data: &[u8]) -> Result<Self, Error> {
        let (pairs, rest) = data.as_chunks::<8>();
        if pairs.is_empty() || pairs.len() > MAX_SACK_BLOCKS || !rest.is_empty() {
            return Err(Error::Length);
        }
        let mut sack = Self { len: pairs.len() as u8, ..Self::NONE };
        for (block, &[a, b, c, d, e, f, g, h]) in sack.blocks.iter_mut().zip(pairs) {
            *block = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        }
        Ok(sack)
    }
}

/// A TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// The source port.
    pub src_port: u16,
    /// The destination port.
    pub dst_port: u16,
    /// The number of the first byte of data, or of SYN.
    pub seq: u32,
    /// The number of the byte expected next, if ACK is set.
    pub ack_number: u32,
    /// The flags, a legal combination.
    pub flags: Flags,
    /// The window, before scaling.
    pub window: u16,
    /// Where urgent data ends, if URG is set.
    pub urgent: u16,
    /// The greatest segment the sender takes.
    pub mss: Option<u16>,
    /// How many bits the window is shifted by, at most [`MAX_WINDOW_SCALE`].
    pub window_scale: Option<u8>,
    /// Whether selective acknowledgments may be sent.
    pub sack_permitted: bool,
    /// A selective acknowledgment.
    pub sack: SackBlocks,
    /// Timestamps: the sender's, and the receiver's echoed.
    pub timestamps: Option<(u32, u32)>,
}

impl Repr {
    /// A header without options.
    #[must_use]
    pub const fn new(src_port: u16, dst_port: u16, flags: Flags) -> Self {
        Self {
            src_port,
            dst_port,
            seq: 0,
            ack_number: 0,
            flags,
            window: 0,
            urgent: 0,
            mss: None,
            window_scale: None,
            sack_permitted: false,
            sack: SackBlocks::NONE,
            timestamps: None,
        }
    }

    /// Reads a header, the checksum apart. Options not listed here are passed over; too great a
    /// window scale is taken for the greatest (RFC 7323 section 2.3).
    ///
    /// # Errors
    /// Those of [`Packet::new_checked`] and of the options; [`Error::Field`] for flags that no TCP
    /// sends.
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, Error> {
        packet.check_len()?;
        if !packet.flags().is_legal() {
            return Err(Error::Field);
        }
        let mut repr = Self {
            seq: packet.seq(),
            ack_number: packet.ack_number(),
            window: packet.window(),
            urgent: packet.urgent(),
            ..Self::new(packet.src_port(), packet.dst_port(), packet.flags())
        };
        for option in packet.options() {
            match option? {
                Opt::Mss(mss) => repr.mss = Some(mss),
                Opt::WindowScale(shift) => repr.window_scale = Some(shift.min(MAX_WINDOW_SCALE)),
                Opt::SackPermitted => repr.sack_permitted = true,
                Opt::Sack(sack) => repr.sack = sack,
                Opt::Timestamps { value, echo } => repr.timestamps = Some((value, echo)),
                Opt::Nop | Opt::Other { .. } => {}
            }
        }
        Ok(repr)
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        let mss = if self.mss.is_some() { 4 } else { 0 };
        let sack_permitted = if self.sack_permitted { 2 } else { 0 };
        let timestamps = if self.timestamps.is_some() { 10 } else { 0 };
        let window_scale = if self.window_scale.is_some() { 3 } else { 0 };
        let sack = if self.sack.len == 0 { 0 } else { 2 + 8 * self.sack.len as usize };
        let options = mss + sack_permitted + timestamps + window_scale + sack;
        HEADER_LEN + usize::next_multiple_of(options, 4)
    }

    /// Writes the header, without checksum: see [`Packet::fill_checksum`].
    ///
    /// # Errors
    /// [`Error::Truncated`] without room; [`Error::Length`] if the options are more than a header
    /// can have; [`Error::Field`] for flags or a window scale that are not allowed.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        if !self.flags.is_legal() || self.window_scale.is_some_and(|it| it > MAX_WINDOW_SCALE) {
            return Err(Error::Field);
        }
        let header_len = self.buffer_len();
        if header_len > MAX_HEADER_LEN {
            return Err(Error::Length);
        }
        self.emit_options(packet.room(header_len)?.get_mut(HEADER_LEN..).unwrap_or_default());
        packet.set_src_port(self.src_port);
        packet.set_dst_port(self.dst_port);
        packet.set_seq(self.seq);
        packet.set_ack_number(self.ack_number);
        packet.set_data_offset((header_len / 4) as u8);
        packet.set_flags(self.flags);
        packet.set_window(self.window);
        packet.set_checksum(0);
        packet.set_urgent(self.urgent);
        Ok(())
    }

    /// Writes the options into exactly their room, which ends with padding.
    fn emit_options(&self, room: &mut [u8]) {
        room.fill(END_OF_OPTIONS);
        let mut slots = room.iter_mut();
        let mut write = |bytes: &[u8]| {
            // The bytes first: a zip takes one too many of its left side.
            for (byte, slot) in bytes.iter().zip(slots.by_ref()) {
                *slot = *byte;
            }
        };
        if let Some(mss) = self.mss {
            write(&[MSS, 4]);
            write(&mss.to_be_bytes());
        }
        if self.sack_permitted {
            write(&[SACK_PERMITTED, 2]);
        }
        if let Some((value, echo)) = self.timestamps {
            write(&[TIMESTAMPS, 10]);
            write(&value.to_be_bytes());
            write(&echo.to_be_bytes());
        }
        if let Some(shift) = self.window_scale {
            write(&[WINDOW_SCALE, 3, shift]);
        }
        if self.sack.len != 0 {
            write(&[SACK, 2 + 8 * self.sack.len]);
        }
        for (first, behind) in self.sack.as_slice() {
            write(&first.to_be_bytes());
            write(&behind.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
