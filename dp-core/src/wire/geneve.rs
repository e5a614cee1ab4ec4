//! Geneve (RFC 8926) and its options.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---+-----------+-+-+-----------+-------------------------------+
//! |Ver|  Opt Len  |O|C|    Rsvd.  |          Protocol Type        |
//! +---+-----------+-+-+-----------+---------------+---------------+
//! |        Virtual Network Identifier (VNI)       |    Reserved   |
//! +-----------------------------------------------+---------------+
//! |           Options: class, type, length, data                  |
//! +---------------------------------------------------------------+
//! ```
//!
//! The view begins behind UDP. Whether an option without meaning to the receiver is critical is
//! told by its type; the header's flag only sums this up, and is written accordingly.

use super::layout::{Value, fields, view};
use super::{Error, EtherType};

/// Bytes before the options.
pub const FIXED_LEN: usize = 8;
/// Bytes of options that the longest header holds.
pub const MAX_OPTIONS_LEN: usize = 63 * 4;
/// Bytes before the data of an option.
pub const OPTION_HEADER_LEN: usize = 4;
/// Bytes of data that an option holds.
pub const MAX_OPTION_DATA_LEN: usize = 31 * 4;
/// The greatest virtual network identifier.
pub const MAX_VNI: u32 = 0xff_ffff;
/// The bit of an option's type that makes it critical.
pub const OPTION_CRITICAL: u8 = 0x80;

mod field {
    use crate::wire::EtherType;
    use crate::wire::layout::{At, Bits};

    pub(super) const FIRST_HALF: At<u16> = At::new(0);
    pub(super) const VERSION: Bits<u8> = Bits::in_u8(0, 0xc0);
    pub(super) const OPTIONS_WORDS: Bits<u8> = Bits::in_u8(0, 0x3f);
    pub(super) const OAM: Bits<bool> = Bits::in_u8(1, 0x80);
    pub(super) const CRITICAL: Bits<bool> = Bits::in_u8(1, 0x40);
    pub(super) const PROTOCOL: At<EtherType> = At::new(2);
    pub(super) const SECOND_WORD: At<u32> = At::new(4);
    pub(super) const VNI: Bits<u32> = Bits::in_u32(4, 0xffff_ff00);
}

view! {
    /// A Geneve header and what it carries.
    Packet, FIXED_LEN
}

fields! {
    Packet {
        /// The version, 0.
        version, set_version: u8 = field::VERSION;
        /// The options' length in words of four bytes.
        options_words, set_options_words: u8 = field::OPTIONS_WORDS;
        /// Whether this is a control packet.
        is_oam, set_is_oam: bool = field::OAM;
        /// Whether there are critical options.
        is_critical, set_is_critical: bool = field::CRITICAL;
        /// What the payload is; [`EtherType::TEB`] for an Ethernet frame.
        protocol, set_protocol: EtherType = field::PROTOCOL;
        /// The virtual network identifier, 24 bits.
        vni, set_vni: u32 = field::VNI;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    fn check_len(&self) -> Result<(), Error> {
        if self.version() != 0 {
            return Err(Error::Version);
        }
        if self.bytes().len() < self.header_len() { Err(Error::Truncated) } else { Ok(()) }
    }

    /// Bytes before the payload.
    #[must_use]
    pub fn header_len(&self) -> usize {
        FIXED_LEN + usize::from(self.options_words()) * 4
    }

    /// The options, one after the other.
    pub fn options(&self) -> OptionIter<'_> {
        OptionIter { rest: self.span(FIXED_LEN, self.header_len()) }
    }

    /// What follows the header.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.span(self.header_len(), usize::MAX)
    }
}

/// One option of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opt<'a> {
    /// Who defines the type.
    pub class: u16,
    /// The type, with [`OPTION_CRITICAL`].
    pub kind: u8,
    /// The data: a multiple of four bytes, at most [`MAX_OPTION_DATA_LEN`].
    pub data: &'a [u8],
}

impl Opt<'_> {
    /// Whether a receiver that does not know the option must drop the packet.
    #[must_use]
    pub const fn is_critical(&self) -> bool {
        self.kind & OPTION_CRITICAL != 0
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        OPTION_HEADER_LEN + self.data.len()
    }

    /// Writes the option to the start of `bytes`.
    ///
    /// # Errors
    /// [`Error::Truncated`] without room; [`Error::Length`] for data that are too long or no
    /// multiple of four bytes.
    pub fn emit(&self, bytes: &mut [u8]) -> Result<(), Error> {
        if !self.data.len().is_multiple_of(4) || self.data.len() > MAX_OPTION_DATA_LEN {
            return Err(Error::Length);
        }
        let room = bytes.get_mut(..self.buffer_len()).ok_or(Error::Truncated)?;
        let [high, low] = self.class.to_be_bytes();
        [high, low, self.kind, (self.data.len() / 4) as u8].write(room);
        room.get_mut(OPTION_HEADER_LEN..).unwrap_or_default().copy_from_slice(self.data);
        Ok(())
    }
}

/// The options of a header; ends after the first error.
#[derive(Clone, Debug)]
pub struct OptionIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for OptionIter<'a> {
    type Item = Result<Opt<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = std::mem::take(&mut self.rest);
        let [high, low, kind, words, ref rest @ ..] = *rest else {
            return if rest.is_empty() { None } else { Some(Err(Error::Truncated)) };
        };
        let Some((data, rest)) = rest.split_at_checked(usize::from(words & 0x1f) * 4) else {
            return Some(Err(Error::Truncated));
        };
        self.rest = rest;
        Some(Ok(Opt { class: u16::from_be_bytes([high, low]), kind, data }))
    }
}

/// The options of a header, known to be well formed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options<'a>(&'a [u8]);

impl<'a> Options<'a> {
    /// No options.
    pub const NONE: Self = Self(&[]);

    /// Takes options as they stand on the wire.
    ///
    /// # Errors
    /// [`Error::Length`] for more than [`MAX_OPTIONS_LEN`] bytes; [`Error::Truncated`] if the last
    /// option is not complete.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_OPTIONS_LEN {
            return Err(Error::Length);
        }
        for option in (OptionIter { rest: bytes }) {
            option?;
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The options, one after the other; no error comes.
    #[must_use]
    pub const fn iter(&self) -> OptionIter<'a> {
        OptionIter { rest: self.0 }
    }

    /// Whether one of them is critical.
    #[must_use]
    pub fn any_critical(&self) -> bool {
        self.iter().flatten().any(|option| option.is_critical())
    }
}

impl<'a> IntoIterator for &Options<'a> {
    type Item = Result<Opt<'a>, Error>;
    type IntoIter = OptionIter<'a>;

    fn into_iter(self) -> OptionIter<'a> {
        self.iter()
    }
}

/// A Geneve header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr<'a> {
    /// Whether this is a control packet.
    pub oam: bool,
    /// What the payload is.
    pub protocol: EtherType,
    /// The virtual network identifier, at most [`MAX_VNI`].
    pub vni: u32,
    /// The options.
    pub options: Options<'a>,
}

impl<'a> Repr<'a> {
    /// Reads a header. The critical flag is passed over: the options tell.
    ///
    /// # Errors
    /// Those of [`Packet::new_checked`] and of the options.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(packet: &Packet<&'a T>) -> Result<Self, Error> {
        packet.check_len()?;
        let options = packet.buffer.as_ref().get(FIXED_LEN..packet.header_len());
        Ok(Self {
            oam: packet.is_oam(),
            protocol: packet.protocol(),
            vni: packet.vni(),
            options: Options::new(options.unwrap_or_default())?,
        })
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        FIXED_LEN + self.options.0.len()
    }

    /// Writes the header.
    ///
    /// # Errors
    /// [`Error::Truncated`] without room; [`Error::Field`] for an identifier out of range.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        if self.vni > MAX_VNI {
            return Err(Error::Field);
        }
        let room = packet.room(self.buffer_len())?;
        field::FIRST_HALF.set(room, 0);
        field::SECOND_WORD.set(room, 0);
        room.get_mut(FIXED_LEN..).unwrap_or_default().copy_from_slice(self.options.0);
        packet.set_options_words((self.options.0.len() / 4) as u8);
        packet.set_is_oam(self.oam);
        packet.set_is_critical(self.options.any_critical());
        packet.set_protocol(self.protocol);
        packet.set_vni(self.vni);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
