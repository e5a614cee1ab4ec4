//! The IPv6 headers that hold options: hop-by-hop and destination (RFC 8200 sections 4.2, 4.3 and
//! 4.6).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------------------------------+
//! |  Next Header  |  Hdr Ext Len  |  Options: type, length, data  |
//! +---------------+---------------+-------------------------------+
//! ```
//!
//! The header's length counts units of eight bytes behind the first eight; that of an option
//! leaves out its own two bytes.

use super::layout::{fields, view};
use super::{Error, Protocol};

/// Bytes of the shortest header.
pub const MIN_LEN: usize = 8;
/// Bytes of options that the longest header holds.
pub const MAX_OPTIONS_LEN: usize = 256 * 8 - 2;
/// Option type: router alert (RFC 2711).
pub const OPTION_ROUTER_ALERT: u8 = 5;
/// Option type: jumbo payload (RFC 2675).
pub const OPTION_JUMBO: u8 = 0xc2;

/// Where the options begin.
const OPTIONS: usize = 2;
const PAD_1: u8 = 0;
const PAD_N: u8 = 1;

mod field {
    use crate::wire::Protocol;
    use crate::wire::layout::At;

    pub(super) const NEXT_HEADER: At<Protocol> = At::new(0);
    pub(super) const EXT_LEN: At<u8> = At::new(1);
}

view! {
    /// A hop-by-hop or destination options header and what follows.
    Packet, MIN_LEN
}

fields! {
    Packet {
        /// What follows this header.
        next_header, set_next_header: Protocol = field::NEXT_HEADER;
        /// The header's length in units of eight bytes, the first not counted.
        ext_len, set_ext_len: u8 = field::EXT_LEN;
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    fn check_len(&self) -> Result<(), Error> {
        if self.bytes().len() < self.header_len() { Err(Error::Truncated) } else { Ok(()) }
    }

    /// Bytes of the whole header.
    #[must_use]
    pub fn header_len(&self) -> usize {
        (usize::from(self.ext_len()) + 1) * 8
    }

    /// The options, padding left out.
    pub fn options(&self) -> OptionIter<'_> {
        OptionIter { rest: self.span(OPTIONS, self.header_len()) }
    }

    /// What follows the header.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.span(self.header_len(), usize::MAX)
    }
}

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opt<'a> {
    /// The type; its upper two bits say what to do with an unknown one, the third whether it may
    /// change on the way.
    pub kind: u8,
    /// What follows type and length.
    pub data: &'a [u8],
}

/// The options of a header without padding; ends after the first error.
#[derive(Clone, Debug)]
pub struct OptionIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for OptionIter<'a> {
    type Item = Result<Opt<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (kind, data, rest) = match *self.rest {
                [] => return None,
                [PAD_1, ref rest @ ..] => {
                    self.rest = rest;
                    continue;
                }
                [kind, len, ref rest @ ..] if usize::from(len) <= rest.len() => {
                    let (data, rest) = rest.split_at(len.into());
                    (kind, data, rest)
                }
                _ => {
                    self.rest = &[];
                    return Some(Err(Error::Truncated));
                }
            };
            self.rest = rest;
            if kind != PAD_N {
                return Some(Ok(Opt { kind, data }));
            }
        }
    }
}

/// A hop-by-hop or destination options header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr<'a> {
    /// What follows this header.
    pub next_header: Protocol,
    /// The options as they stand on the wire, at most [`MAX_OPTIONS_LEN`]; padding to the unit of
    /// eight bytes may be left out.
    pub options: &'a [u8],
}

impl<'a> Repr<'a> {
    /// Reads a header.
    ///
    /// # Errors
    /// Those of [`Packet::new_checked`]; [`Error::Truncated`] if the last option is not complete.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(packet: &Packet<&'a T>) -> Result<Self, Error> {
        packet.check_len()?;
        let options = packet.buffer.as_ref().get(OPTIONS..packet.header_len());
        let options = options.ok_or(Error::Truncated)?;
        for option in (OptionIter { rest: options }) {
            option?;
        }
        Ok(Self { next_header: packet.next_header(), options })
    }

    /// Bytes that [`Self::emit`] writes.
    #[must_use]
    pub const fn buffer_len(&self) -> usize {
        (OPTIONS + self.options.len()).next_multiple_of(8)
    }

    /// Writes the header.
    ///
    /// # Errors
    /// [`Error::Truncated`] without room, or if the last option is not complete;
    /// [`Error::Length`] for more options than fit.
    pub fn emit<T: AsRef<[u8]> + AsMut<[u8]>>(&self, packet: &mut Packet<T>) -> Result<(), Error> {
        for option in (OptionIter { rest: self.options }) {
            option?;
        }
        let ext_len = u8::try_from(self.buffer_len() / 8 - 1).map_err(|_| Error::Length)?;
        let room = packet.room(self.buffer_len())?.get_mut(OPTIONS..).unwrap_or_default();
        let (options, padding) =
            room.split_at_mut_checked(self.options.len()).ok_or(Error::Truncated)?;
        options.copy_from_slice(self.options);
        padding.fill(0);
        if let [kind, len, rest @ ..] = padding {
            *kind = PAD_N;
            *len = rest.len() as u8;
        }
        packet.set_next_header(self.next_header);
        packet.set_ext_len(ext_len);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
