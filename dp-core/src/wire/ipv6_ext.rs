//! The walk over IPv6 extension headers, from the payload of [`ipv6`](super::ipv6) to the
//! transport header.
//!
//! Steps over hop-by-hop options, routing, fragment, destination options and authentication
//! headers (RFC 8200 section 4, RFC 4302); anything else ends the walk as the payload, ESP and
//! "no next header" included. A header whose length is a lie ends it with an error.
//!
//! # Invariants
//! At most [`MAX_HEADERS`] headers are stepped over, each at least eight bytes long and wholly
//! inside the payload. Hop-by-hop options stand first or nowhere (section 4.1), and there is at
//! most one fragment header. Behind a fragment header with an offset nothing is interpreted:
//! those bytes are the middle of something.
//!
//! # Cost
//! Linear in the number of headers; nothing is copied.

use super::{Error, Protocol, ah, ipv6_fragment, ipv6_options, ipv6_routing};

/// How many extension headers are stepped over. RFC 8200 section 4.1 has a use for seven.
pub const MAX_HEADERS: usize = 16;

/// One extension header on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Which header this is.
    pub kind: Protocol,
    /// Where it begins in the payload of IPv6.
    pub offset: usize,
    /// Its bytes, for the view of its kind.
    pub bytes: &'a [u8],
}

/// Where the extension headers lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// What follows the last extension header; under a fragment, what the whole begins with.
    pub protocol: Protocol,
    /// Where that begins in the payload of IPv6.
    pub offset: usize,
    /// The fragment header, if there is one.
    pub fragment: Option<ipv6_fragment::Repr>,
    /// How many extension headers were stepped over.
    pub headers: usize,
}

impl Chain {
    /// Whether the transport header is at [`Self::offset`]: not so in a later fragment, and there
    /// is none behind "no next header".
    #[must_use]
    pub fn has_transport(&self) -> bool {
        self.protocol != Protocol::NO_NEXT_HEADER
            && self.fragment.is_none_or(|fragment| fragment.units == 0)
    }
}

/// Walks from the next header field and the payload of IPv6 to the transport header.
///
/// # Errors
/// [`Error::Truncated`] or [`Error::Length`] for a header that lies about its length;
/// [`Error::TooMany`] behind [`MAX_HEADERS`]; [`Error::Field`] for hop-by-hop options that are not
/// first, or a second fragment header.
pub fn walk(first: Protocol, payload: &[u8]) -> Result<Chain, Error> {
    let mut walk = Walk::new(first, payload);
    for header in walk.by_ref() {
        header?;
    }
    Ok(walk.chain)
}

/// The extension headers one after the other; ends at the payload and after the first error.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    payload: &'a [u8],
    chain: Chain,
    done: bool,
}

impl<'a> Walk<'a> {
    /// A walk that begins with the next header field and the payload of IPv6.
    #[must_use]
    pub const fn new(first: Protocol, payload: &'a [u8]) -> Self {
        let chain = Chain { protocol: first, offset: 0, fragment: None, headers: 0 };
        Self { payload, chain, done: false }
    }

    /// Where the headers taken so far lead.
    #[must_use]
    pub const fn reached(&self) -> Chain {
        self.chain
    }

    fn step(&mut self) -> Result<Option<Header<'a>>, Error> {
        let Chain { protocol: kind, offset, fragment, headers } = self.chain;
        if fragment.is_some_and(|fragment| fragment.units != 0) {
            return Ok(None);
        }
        let rest = self.payload.get(offset..).unwrap_or_default();
        let (protocol, len) = match kind {
            Protocol::HOP_BY_HOP if headers != 0 => return Err(Error::Field),
            Protocol::HOP_BY_HOP | Protocol::IPV6_DESTINATION => {
                let options = ipv6_options::Packet::new_checked(rest)?;
                (options.next_header(), options.header_len())
            }
            Protocol::IPV6_ROUTING => {
                let routing = ipv6_routing::Packet::new_checked(rest)?;
                (routing.next_header(), routing.header_len())
            }
            Protocol::AH => {
                let auth = ah::Packet::new_checked(rest)?;
                (auth.next_header(), auth.header_len())
            }
            Protocol::IPV6_FRAGMENT if fragment.is_some() => return Err(Error::Field),
            Protocol::IPV6_FRAGMENT => {
                let packet = ipv6_fragment::Packet::new_checked(rest)?;
                let repr = ipv6_fragment::Repr::parse(&packet)?;
                self.chain.fragment = Some(repr);
                (repr.next_header, repr.buffer_len())
            }
            _ => return Ok(None),
        };
        if headers == MAX_HEADERS {
            return Err(Error::TooMany);
        }
        self.chain.protocol = protocol;
        self.chain.offset = offset + len;
        self.chain.headers = headers + 1;
        Ok(Some(Header { kind, offset, bytes: rest.get(..len).ok_or(Error::Truncated)? }))
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Result<Header<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.step().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

#[cfg(test)]
mod tests;
