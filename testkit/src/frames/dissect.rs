//! Naming the octets of a frame.

use std::{fmt, ops::Range};

use super::names;

/// A frame taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dissection {
    /// Headers from the outside in.
    pub headers: Vec<Header>,
    /// Fields in the order of their octets; together they cover the frame.
    pub fields: Vec<Field>,
}

/// A header of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub kind: Kind,
    /// Its own octets.
    pub range: Range<usize>,
    /// Where that which it carries ends, by its own length field if it has one.
    pub end: usize,
}

/// A field, or a run of octets that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// `header.field`, with `inner.` before it once per tunnel passed.
    pub name: String,
    /// Its octets.
    pub range: Range<usize>,
}

/// The kinds of header that are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the protocols' own names")]
pub enum Kind {
    Ethernet,
    Snap,
    Vlan,
    Mpls,
    Arp,
    Ipv4,
    Ipv6,
    /// An IPv6 extension header, by its protocol number.
    Extension(u8),
    Udp,
    Tcp,
    Sctp,
    Icmp,
    Icmpv6,
    Vxlan,
    Geneve,
    Gre,
}

/// Takes a frame apart as far as its own fields lead.
#[must_use]
pub fn dissect(frame: &[u8]) -> Dissection {
    let mut walk = Walk { frame, at: 0, end: frame.len(), tunnels: 0, out: Dissection::default() };
    let mut next = Next::Ethernet;
    while let Some(following) = walk.header(next) {
        next = following;
    }
    walk.rest();
    walk.out
}

impl Dissection {
    /// The first field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The field that the octet at `at` belongs to.
    #[must_use]
    pub fn field_at(&self, at: usize) -> Option<&Field> {
        self.fields.iter().find(|field| field.range.contains(&at))
    }

    /// The first header of that kind.
    #[must_use]
    pub fn header(&self, kind: Kind) -> Option<&Header> {
        self.headers.iter().find(|header| header.kind == kind)
    }
}

impl fmt::Display for Dissection {
    /// The headers' names, as `ethernet vlan ipv4 udp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, header) in self.headers.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}{}", names::header(header.kind))?;
        }
        Ok(())
    }
}

/// What the octets at the walk's position are announced to be.
#[derive(Clone, Copy)]
enum Next {
    Ethernet,
    /// By EtherType.
    Type(u16),
    /// By IP protocol number, in IPv4 or not.
    Protocol(u8, Family),
    Mpls,
    Vxlan,
    Geneve,
}

#[derive(Clone, Copy, PartialEq)]
enum Family {
    V4,
    V6,
}

struct Walk<'a> {
    frame: &'a [u8],
    at: usize,
    /// Where the innermost length field so far says that the packet ends.
    end: usize,
    tunnels: usize,
    out: Dissection,
}

impl Walk<'_> {
    /// Names one header; gives what it announces, or nothing where the walk ends.
    fn header(&mut self, next: Next) -> Option<Next> {
        if self.tunnels > MAX_TUNNELS || self.out.headers.len() > MAX_HEADERS {
            return None;
        }
        match next {
            Next::Ethernet => self.ethernet(),
            Next::Type(0x8100 | 0x88a8 | 0x9100) => {
                self.whole(Kind::Vlan, &[("tci", 2), ("type", 2)])?;
                self.following_type()
            }
            Next::Type(0x8847 | 0x8848) | Next::Mpls => self.mpls(),
            Next::Type(0x0800) | Next::Protocol(4, _) => self.ipv4(),
            Next::Type(0x86dd) | Next::Protocol(41, _) => self.ipv6(),
            Next::Type(0x0806) => self.arp(),
            Next::Type(0x6558) | Next::Protocol(143, _) => self.ethernet(),
            Next::Type(_) => None,
            Next::Protocol(protocol, family) => self.transport(protocol, family),
            Next::Vxlan => {
                let fields = [("flags", 1), ("reserved", 3), ("vni", 3), ("last", 1)];
                self.whole(Kind::Vxlan, &fields)?;
                self.tunnels += 1;
                Some(Next::Ethernet)
            }
            Next::Geneve => self.geneve(),
        }
    }

    fn ethernet(&mut self) -> Option<Next> {
        self.whole(Kind::Ethernet, &[("dst", 6), ("src", 6), ("type", 2)])?;
        match self.u16_at(self.at - 2)? {
            length @ ..1536 => {
                self.end = self.end.min(self.at + usize::from(length));
                let fields = [("llc", 3), ("oui", 3), ("type", 2)];
                if self.peek(0, 3) != Some(&[0xaa, 0xaa, 0x03]) {
                    return None;
                }
                self.whole(Kind::Snap, &fields)?;
                self.following_type()
            }
            ethertype => Some(Next::Type(ethertype)),
        }
    }

    fn mpls(&mut self) -> Option<Next> {
        self.whole(Kind::Mpls, &[("label_tc_bottom", 3), ("ttl", 1)])?;
        if self.u8_at(self.at - 2)? & 1 == 0 {
            return Some(Next::Mpls);
        }
        // A label says nothing of what it carries; the version nibble is the usual guess.
        match self.u8_at(self.at)? >> 4 {
            4 => Some(Next::Type(0x0800)),
            6 => Some(Next::Type(0x86dd)),
            _ => None,
        }
    }

    fn arp(&mut self) -> Option<Next> {
        let (hlen, plen) = (self.u8_at(self.at + 4)?, self.u8_at(self.at + 5)?);
        let (hlen, plen) = (usize::from(hlen), usize::from(plen));
        let fields = [
            ("hardware", 2),
            ("protocol", 2),
            ("lengths", 2),
            ("operation", 2),
            ("sender_mac", hlen),
            ("sender", plen),
            ("target_mac", hlen),
            ("target", plen),
        ];
        self.whole(Kind::Arp, &fields)?;
        self.end = self.at;
        None
    }

    fn ipv4(&mut self) -> Option<Next> {
        self.enter_if_inner();
        let options = (4 * usize::from(self.u8_at(self.at)? & 0x0f)).checked_sub(20)?;
        let start = self.at;
        let fields = [
            ("version_ihl", 1),
            ("tos", 1),
            ("total_length", 2),
            ("id", 2),
            ("flags_offset", 2),
            ("ttl", 1),
            ("protocol", 1),
            ("checksum", 2),
            ("src", 4),
            ("dst", 4),
            ("options", options),
        ];
        self.whole(Kind::Ipv4, &fields)?;
        self.limit(start + usize::from(self.u16_at(start + 2)?));
        let later_fragment = self.u16_at(start + 6)? & 0x1fff != 0;
        let protocol = self.u8_at(start + 9)?;
        (!later_fragment).then_some(Next::Protocol(protocol, Family::V4))
    }

    fn ipv6(&mut self) -> Option<Next> {
        self.enter_if_inner();
        let start = self.at;
        let fields = [
            ("version_class_label", 4),
            ("payload_length", 2),
            ("next_header", 1),
            ("hop_limit", 1),
            ("src", 16),
            ("dst", 16),
        ];
        self.whole(Kind::Ipv6, &fields)?;
        self.limit(start + 40 + usize::from(self.u16_at(start + 4)?));
        Some(Next::Protocol(self.u8_at(start + 6)?, Family::V6))
    }

    fn transport(&mut self, protocol: u8, family: Family) -> Option<Next> {
        match protocol {
            0 | 43 | 51 | 60 if family == Family::V6 => {
                let words = usize::from(self.u8_at(self.at + 1)?);
                let len = if protocol == 51 { 4 * (words + 2) } else { 8 * (words + 1) };
                let next = self.u8_at(self.at)?;
                let fields = [("next_header", 1), ("length", 1), ("data", len - 2)];
                self.whole(Kind::Extension(protocol), &fields)?;
                Some(Next::Protocol(next, family))
            }
            44 if family == Family::V6 => {
                let fields =
                    [("next_header", 1), ("reserved", 1), ("offset_more", 2), ("fragment_id", 4)];
                self.whole(Kind::Extension(44), &fields)?;
                let later_fragment = self.u16_at(self.at - 6)? & 0xfff8 != 0;
                let next = self.u8_at(self.at - 8)?;
                (!later_fragment).then_some(Next::Protocol(next, family))
            }
            1 => self.whole(Kind::Icmp, &ICMP).and(None),
            58 => self.icmpv6(),
            6 => self.tcp(),
            17 => self.udp(),
            132 => {
                let fields = [("src", 2), ("dst", 2), ("tag", 4), ("checksum", 4)];
                self.whole(Kind::Sctp, &fields).and(None)
            }
            47 => self.gre(),
            137 => Some(Next::Mpls),
            _ => None,
        }
    }

    fn icmpv6(&mut self) -> Option<Next> {
        self.whole(Kind::Icmpv6, &ICMP)?;
        let kind = self.u8_at(self.at - 8)?;
        if matches!(kind, 135 | 136) {
            self.field("icmpv6.target", 16)?;
            while let Some(words) = self.u8_at(self.at + 1).filter(|words| *words > 0) {
                if self.at >= self.end
                    || self.field("icmpv6.option", 8 * usize::from(words)).is_none()
                {
                    break;
                }
            }
        }
        None
    }

    fn tcp(&mut self) -> Option<Next> {
        let options = (4 * usize::from(self.u8_at(self.at + 12)? >> 4)).checked_sub(20)?;
        let fields = [
            ("src", 2),
            ("dst", 2),
            ("sequence", 4),
            ("acknowledgment", 4),
            ("offset_flags", 2),
            ("window", 2),
            ("checksum", 2),
            ("urgent", 2),
            ("options", options),
        ];
        self.whole(Kind::Tcp, &fields).and(None)
    }

    fn udp(&mut self) -> Option<Next> {
        let start = self.at;
        self.whole(Kind::Udp, &[("src", 2), ("dst", 2), ("length", 2), ("checksum", 2)])?;
        self.limit(start + usize::from(self.u16_at(start + 4)?));
        match self.u16_at(start + 2)? {
            4789 => Some(Next::Vxlan),
            6081 => Some(Next::Geneve),
            _ => None,
        }
    }

    fn geneve(&mut self) -> Option<Next> {
        let options = 4 * usize::from(self.u8_at(self.at)? & 0x3f);
        let ethertype = self.u16_at(self.at + 2)?;
        let fields = [
            ("version_length", 1),
            ("flags", 1),
            ("type", 2),
            ("vni", 3),
            ("reserved", 1),
            ("options", options),
        ];
        self.whole(Kind::Geneve, &fields)?;
        self.tunnels += 1;
        Some(Next::Type(ethertype))
    }

    fn gre(&mut self) -> Option<Next> {
        let flags = self.u8_at(self.at)?;
        let ethertype = self.u16_at(self.at + 2)?;
        let word = |bit: u8| if flags & bit != 0 { 4 } else { 0 };
        let fields = [
            ("flags", 2),
            ("type", 2),
            ("checksum", word(0x80)),
            ("key", word(0x20)),
            ("sequence", word(0x10)),
        ];
        self.whole(Kind::Gre, &fields)?;
        self.tunnels += 1;
        Some(Next::Type(ethertype))
    }

    /// IP directly in IP is a tunnel too.
    fn enter_if_inner(&mut self) {
        let last = self.out.headers.last().map(|header| header.kind);
        if matches!(last, Some(Kind::Ipv4 | Kind::Ipv6 | Kind::Extension(_))) {
            self.tunnels += 1;
        }
    }

    /// Takes a header whose fields are all there, else nothing at all.
    fn whole(&mut self, kind: Kind, fields: &[(&str, usize)]) -> Option<()> {
        let len: usize = fields.iter().map(|(_, len)| len).sum();
        if len > self.end.saturating_sub(self.at) {
            return None;
        }
        let start = self.at;
        for (name, len) in fields {
            self.field(&format!("{}.{name}", names::header(kind)), *len)?;
        }
        self.out.headers.push(Header { kind, range: start..self.at, end: self.end });
        Some(())
    }

    fn field(&mut self, name: &str, len: usize) -> Option<()> {
        if len > self.end.saturating_sub(self.at) {
            return None;
        }
        if len > 0 {
            let name = format!("{}{name}", "inner.".repeat(self.tunnels));
            self.out.fields.push(Field { name, range: self.at..self.at + len });
            self.at += len;
        }
        Some(())
    }

    /// What no header claimed: payload, and behind the packet's own end, padding.
    fn rest(&mut self) {
        let end = self.end.max(self.at);
        for (name, end) in [("payload", end), ("padding", self.frame.len())] {
            if end > self.at {
                self.out.fields.push(Field { name: name.to_owned(), range: self.at..end });
                self.at = end;
            }
        }
    }

    /// Ends the packet at `end`, unless it ended before, and corrects the header just taken.
    fn limit(&mut self, end: usize) {
        self.end = self.end.min(end.max(self.at));
        if let Some(header) = self.out.headers.last_mut() {
            header.end = self.end;
        }
    }

    fn following_type(&self) -> Option<Next> {
        self.u16_at(self.at - 2).map(Next::Type)
    }

    fn peek(&self, skip: usize, len: usize) -> Option<&[u8]> {
        self.frame.get(self.at + skip..self.at + skip + len)
    }

    fn u8_at(&self, at: usize) -> Option<u8> {
        self.frame.get(at).copied()
    }

    fn u16_at(&self, at: usize) -> Option<u16> {
        match self.frame.get(at..at + 2) {
            Some(&[hi, lo]) => Some(u16::from_be_bytes([hi, lo])),
            _ => None,
        }
    }
}

const ICMP: [(&str, usize); 4] = [("type", 1), ("code", 1), ("checksum", 2), ("rest", 4)];

/// Bounds that no sane frame reaches, so that a hostile one ends the walk.
const MAX_TUNNELS: usize = 4;
const MAX_HEADERS: usize = 64;
