//! Typed views of protocol headers: one file for a protocol, all of the same shape.
//!
//! This is the layer of the slow path, of tunnel templates and of tests. Packets of the fast path
//! are taken apart elsewhere, straight on their bytes; here clearness and safety come first.
//!
//! # The contract
//!
//! Each file has the same parts in the same order: the constants of the RFC, the private table
//! `field`, the view `Packet` over any bytes, and `Repr`, the header as a value.
//!
//! * **Received bytes** are viewed with `Packet::new_checked`. It verifies once all that the
//!   header says about lengths; afterwards each accessor means what it says. Checksums are not
//!   lengths: they are asked for with `verify_checksum`, since an offload may have judged them.
//! * **Bytes about to be written** are viewed with `Packet::new_output`, which asks only for the
//!   room of the fixed header and looks at nothing in it. `Repr::emit` then writes every bit of
//!   the header's `Repr::buffer_len()` bytes, whatever was there before, and fills in a checksum
//!   that covers the header alone. Where a checksum covers the payload too, `emit` leaves it zero
//!   and `fill_checksum` is called once the payload is in place.
//!
//! Types cannot tell the two apart. `new_checked` on a buffer to be written judges what happens to
//! lie in it: *the symptom is an error that comes and goes with the buffer's former contents.*
//! `new_output` on received bytes believes every length: *the symptom is payloads and options that
//! are silently short or empty.* Neither panics, nor does anything else here, on any bytes: reads
//! past the end give zero and nothing is written there.
//!
//! `Repr::parse` accepts what the protocol allows and refuses the rest, so that a `Repr` from
//! `parse` holds legal values only; `emit` refuses a hand-made one that does not. Reserved bits
//! and unknown options that a receiver must ignore do not survive `parse` and `emit`.
//!
//! # The files
//!
//! | file | holds | where |
//! |---|---|---|
//! | [`ethernet`] | Ethernet II, 802.3 with LLC and SNAP, [`EtherType`] | IEEE 802.3, 802 |
//! | [`vlan`] | a VLAN tag | IEEE 802.1Q |
//! | [`mpls`] | a label stack entry, a label stack | RFC 3032 |
//! | [`arp`] | ARP and RARP | RFC 826 |
//! | [`ip`] | [`Protocol`] numbers | IANA |
//! | [`checksum`] | Internet checksum, pseudo headers, CRC32c | RFC 1071, 1624, 9260 |
//! | [`mod@ipv4`] | IPv4 and its options | RFC 791 |
//! | [`mod@ipv6`] | IPv6 | RFC 8200 |
//! | [`ipv6_ext`] | the walk over IPv6 extension headers | RFC 8200 |
//! | [`ipv6_options`] | hop-by-hop and destination options | RFC 8200 |
//! | [`ipv6_routing`] | routing headers, segment routing | RFC 8200, 8754 |
//! | [`ipv6_fragment`] | the fragment header | RFC 8200 |
//! | [`ah`] | the authentication header | RFC 4302 |
//! | [`tcp`] | TCP and its options | RFC 9293 |
//! | [`udp`] | UDP | RFC 768 |
//! | [`sctp`] | SCTP and its chunks | RFC 9260 |
//! | [`icmpv4`] | ICMP: echo, errors and what they quote | RFC 792 |
//! | [`icmpv6`] | ICMPv6: echo, errors and what they quote | RFC 4443 |
//! | [`ndp`] | neighbour discovery and its options | RFC 4861 |
//! | [`nsh`] | the network service header | RFC 8300 |
//! | [`geneve`] | Geneve and its options | RFC 8926 |
//! | [`vxlan`] | VXLAN, group policy, GPE | RFC 7348 |
//! | [`gre`] | GRE with checksum, key, sequence | RFC 2784, 2890 |
//! | [`erspan`] | ERSPAN version 1 (type II) and 2 (type III) | draft-foschiano-erspan |
//! | [`gtpu`] | GTP-U and its extension headers | 3GPP TS 29.281 |
//!
//! The tunnel headers know nothing of the UDP, GRE or IP header below them: what carries a header
//! is the business of the room that stacks them.

pub mod ah;
pub mod arp;
pub mod checksum;
pub mod erspan;
pub mod ethernet;
pub mod geneve;
pub mod gre;
pub mod gtpu;
pub mod icmpv4;
pub mod icmpv6;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
pub mod ipv6_ext;
pub mod ipv6_fragment;
pub mod ipv6_options;
pub mod ipv6_routing;
mod layout;
pub mod mpls;
pub mod ndp;
pub mod nsh;
pub mod sctp;
#[cfg(test)]
mod specimens;
pub mod tcp;
pub mod udp;
pub mod vlan;
pub mod vxlan;

pub use ethernet::EtherType;
pub use ip::Protocol;

use std::fmt;

/// Why bytes are not the header they were taken for, or why a header cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    /// The buffer ends before the header does, or before the end that a length field names.
    Truncated,
    /// A length field contradicts the header itself: it is below the minimum, no multiple of its
    /// unit, or not the sum of its parts.
    Length,
    /// The version, or what stands for one, is not that of the protocol.
    Version,
    /// A field has a value that the protocol forbids here, or that its bits cannot hold.
    Field,
    /// More headers or options follow one another than are walked.
    TooMany,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the buffer ends before the header does",
            Self::Length => "a length field contradicts the header",
            Self::Version => "the version is not the protocol's",
            Self::Field => "a field has a value that is not allowed",
            Self::TooMany => "too many headers or options follow one another",
        })
    }
}

impl std::error::Error for Error {}
