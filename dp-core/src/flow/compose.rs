//! Frames from keys: the other way round than extraction.
//!
//! Tools that are given a flow instead of a packet (`netdev-dummy/receive`, `ofproto/trace`,
//! `ovs-ofctl compose-packet`) work on the frame that is made here: the headers that the key
//! describes, checksums right, and a payload that is recognised in a dump. What the key does not say
//! (identification, sequence numbers, windows) is zero.
//!
//! Frames are byte for byte those of the reference. That goes for its peculiarities: a frame that
//! is brought to a length has a payload of zeros, which its UDP header counts twice; SCTP has no
//! checksum; IPv6 fragments have no fragment header.

use core::fmt;

use super::key::FlowKey;
use super::layout::{self, FRAG_ANY, FRAG_LATER, Place};
use crate::wire::checksum::{Sum, checksum};

/// Why no frame is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComposeError {
    /// The headers alone are longer than the frame is to be, or that is below 60 bytes.
    TooSmall,
    /// The frame is to be longer than an IP datagram can be.
    TooLarge,
}

impl fmt::Display for ComposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooSmall => "too small packet len",
            Self::TooLarge => "too large packet len",
        })
    }
}

impl core::error::Error for ComposeError {}

/// Payload of TCP without SYN, FIN or RST, of UDP and of echoes.
const PAYLOAD: u8 = 64;
/// The shortest length that may be asked for.
const SHORTEST: usize = 60;
/// The longest.
const LONGEST: usize = 65_535;
const ETH_TYPE_NONE: u16 = 0x05ff;

/// Makes the frame that a key describes; `len` brings it to that many bytes.
///
/// A packet without an Ethernet header gets one with zero addresses.
///
/// # Errors
///
/// If it cannot have that length.
pub fn compose(key: &FlowKey, len: Option<usize>) -> Result<Vec<u8>, ComposeError> {
    match len {
        Some(len) if len < SHORTEST => return Err(ComposeError::TooSmall),
        Some(len) if len > LONGEST => return Err(ComposeError::TooLarge),
        _ => {}
    }
    let mut frame = Frame { key, bytes: Vec::with_capacity(128), len };
    frame.link()?;
    Ok(frame.bytes)
}

struct Frame<'a> {
    key: &'a FlowKey,
    bytes: Vec<u8>,
    len: Option<usize>,
}

impl Frame<'_> {
    /// Appends the bytes of a place.
    fn put(&mut self, place: Place) {
        let from = usize::from(place.offset);
        let bytes = self.key.bytes().get(from..from + usize::from(place.len));
        self.bytes.extend_from_slice(bytes.unwrap_or_default());
    }

    fn zeros(&mut self, count: usize) {
        self.bytes.resize(self.bytes.len() + count, 0);
    }

    fn byte(&self, place: Place) -> u8 {
        u8::try_from(self.key.load(place) & 0xff).unwrap_or(0)
    }

    fn short(&self, place: Place) -> u16 {
        u16::try_from(self.key.load(place) & 0xffff).unwrap_or(0)
    }

    fn write(&mut self, at: usize, bytes: [u8; 2]) {
        if let Some(to) = self.bytes.get_mut(at..at + 2) {
            to.copy_from_slice(&bytes);
        }
    }

    fn link(&mut self) -> Result<(), ComposeError> {
        self.put(layout::ETH_DST);
        self.put(layout::ETH_SRC);
        let eth_type = self.key.eth_type();
        if eth_type == ETH_TYPE_NONE || eth_type == 0 {
            // Frames without an Ethertype have their length there.
            self.zeros(2);
            self.fill(self.bytes.len())?;
            let len = u16::try_from(self.bytes.len()).unwrap_or(u16::MAX);
            self.write(12, len.to_be_bytes());
            return Ok(());
        }
        for (tci, tpid) in
            [(layout::VLAN_TCI, layout::VLAN_TPID), (layout::VLAN_TCI1, layout::VLAN_TPID1)]
        {
            let tag = self.short(tci);
            if tag & layout::VLAN_PRESENT == 0 {
                break;
            }
            self.put(tpid);
            self.bytes.extend((tag & !layout::VLAN_PRESENT).to_be_bytes());
        }
        self.put(layout::ETH_TYPE);
        match eth_type {
            0x0800 => self.ipv4(),
            0x86dd => self.ipv6(),
            0x0806 | 0x8035 => self.arp(),
            0x8847 | 0x8848 => self.mpls(),
            0x894f => self.nsh(),
            _ => self.fill(self.bytes.len()),
        }
    }

    /// Brings the frame to the length that was asked for: zeros from `from` on, in place of what
    /// stands there.
    fn fill(&mut self, from: usize) -> Result<(), ComposeError> {
        if let Some(len) = self.len {
            self.bytes.truncate(from);
            if len < from {
                return Err(ComposeError::TooSmall);
            }
            self.bytes.resize(len, 0);
        }
        Ok(())
    }

    fn ipv4(&mut self) -> Result<(), ComposeError> {
        let l3 = self.bytes.len();
        let frag: u16 = match self.key.nw_frag() {
            frag if frag & FRAG_LATER != 0 => 0x2064,
            frag if frag & FRAG_ANY != 0 => 0x2000,
            _ => 0,
        };
        self.bytes.push(0x45);
        self.put(layout::NW_TOS);
        self.zeros(4);
        self.bytes.extend(frag.to_be_bytes());
        self.put(layout::NW_TTL);
        self.put(layout::NW_PROTO);
        self.zeros(2);
        self.put(layout::IPV4_SRC);
        self.put(layout::IPV4_DST);
        self.transport(4)?;
        let total = u16::try_from(self.bytes.len() - l3).unwrap_or(u16::MAX);
        self.write(l3 + 2, total.to_be_bytes());
        let sum = checksum(self.bytes.get(l3..l3 + 20).unwrap_or_default());
        self.write(l3 + 10, sum.to_be_bytes());
        Ok(())
    }

    fn ipv6(&mut self) -> Result<(), ComposeError> {
        let l3 = self.bytes.len();
        let label = u32::try_from(self.key.load(layout::IPV6_LABEL) & 0xf_ffff).unwrap_or(0);
        let first = 6 << 28 | u32::from(self.byte(layout::NW_TOS)) << 20 | label;
        self.bytes.extend(first.to_be_bytes());
        self.zeros(2);
        self.put(layout::NW_PROTO);
        self.put(layout::NW_TTL);
        self.put(layout::IPV6_SRC);
        self.put(layout::IPV6_DST);
        self.transport(6)?;
        let len = u16::try_from(self.bytes.len() - l3 - 40).unwrap_or(u16::MAX);
        self.write(l3 + 4, len.to_be_bytes());
        Ok(())
    }

    /// What an IP header carries.
    fn transport(&mut self, version: u8) -> Result<(), ComposeError> {
        let l4 = self.bytes.len();
        if self.key.nw_frag() & FRAG_LATER != 0 {
            return self.fill(l4);
        }
        let proto = self.key.nw_proto();
        // Type and code belong to the protocol of this version alone.
        let own = matches!((version, proto), (4, 1) | (6, 58));
        let kind = if own { self.byte(layout::TP_SRC) } else { 0 };
        let payload;
        let sum_at = match proto {
            6 => {
                const ENDS: u16 = 0b111;
                self.ports();
                self.zeros(8);
                let flags = self.short(layout::TCP_FLAGS) & 0x0fff;
                self.bytes.extend((5 << 12 | flags).to_be_bytes());
                self.zeros(6);
                payload = if flags & ENDS == 0 { PAYLOAD } else { 0 };
                16
            }
            17 => {
                self.ports();
                self.zeros(4);
                payload = PAYLOAD;
                6
            }
            132 => {
                self.ports();
                self.zeros(8);
                return self.fill(self.bytes.len());
            }
            1 | 2 | 58 => {
                self.bytes.push(kind);
                let code = if own { self.byte(layout::TP_DST) } else { 0 };
                self.bytes.push(code);
                self.zeros(6);
                let echo = match proto {
                    1 => kind == 0 || kind == 8,
                    _ => own && (kind == 128 || kind == 129),
                };
                if own && proto == 58 && matches!(kind, 135 | 136) && code == 0 {
                    self.neighbour(l4);
                }
                payload = if echo && code == 0 { PAYLOAD } else { 0 };
                2
            }
            _ => return self.fill(l4),
        };
        let header = self.bytes.len();
        self.bytes.extend(0..payload);
        self.fill(header)?;
        if proto == 17 {
            let mut len = self.bytes.len() - l4;
            if self.len.is_some() {
                len += len - 8;
            }
            self.write(l4 + 4, u16::try_from(len & 0xffff).unwrap_or(0).to_be_bytes());
        }
        self.sum(version, proto, l4, l4 + sum_at);
        Ok(())
    }

    fn ports(&mut self) {
        self.put(layout::TP_SRC);
        self.put(layout::TP_DST);
    }

    /// Reserved word, target and options of a neighbour solicitation or advertisement.
    fn neighbour(&mut self, l4: usize) {
        let reserved = self.key.load(layout::ND_RESERVED).to_be_bytes();
        if let (Some(to), Some(from)) = (self.bytes.get_mut(l4 + 4..l4 + 8), reserved.get(12..)) {
            to.copy_from_slice(from);
        }
        self.put(layout::ND_TARGET);
        for (kind, place) in [(1, layout::ARP_SHA), (2, layout::ARP_THA)] {
            if self.key.load(place) != 0 {
                self.bytes.extend([kind, 1]);
                self.put(place);
            }
        }
    }

    /// Fills in the checksum at `at` over everything from `l4` on.
    fn sum(&mut self, version: u8, proto: u8, l4: usize, at: usize) {
        let body = self.bytes.get(l4..).unwrap_or_default();
        let sum = match (version, proto) {
            (_, 1 | 2) => Sum::new(),
            _ => {
                let ends = if version == 4 { 8 } else { 32 };
                let addresses = self.bytes.get(l4 - ends..l4).unwrap_or_default();
                let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
                Sum::new().with(addresses).with_u32(u32::from(proto)).with_u32(len)
            }
        };
        let sum = match (sum.with(body).finish(), proto) {
            (0, 17) => u16::MAX,
            (sum, _) => sum,
        };
        self.write(at, sum.to_be_bytes());
    }

    fn arp(&mut self) -> Result<(), ComposeError> {
        const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
        self.bytes.extend(ETHERNET_IPV4);
        let operation = self.key.nw_proto();
        self.bytes.extend([0, operation]);
        if operation == 1 || operation == 2 {
            self.put(layout::ARP_SHA);
            self.put(layout::IPV4_SRC);
            self.put(layout::ARP_THA);
            self.put(layout::IPV4_DST);
        } else {
            self.zeros(20);
        }
        self.fill(self.bytes.len())
    }

    /// The label stack, down to its bottom or as deep as a key knows it.
    fn mpls(&mut self) -> Result<(), ComposeError> {
        for place in [layout::MPLS0, layout::MPLS1, layout::MPLS2] {
            self.put(place);
            if self.key.load(place) >> 8 & 1 != 0 {
                break;
            }
        }
        self.fill(self.bytes.len())
    }

    fn nsh(&mut self) -> Result<(), ComposeError> {
        const MDTYPE1: u8 = 1;
        let (flags, ttl) = (self.byte(layout::NSH_FLAGS) & 3, self.byte(layout::NSH_TTL) & 0x3f);
        let mdtype = self.byte(layout::NSH_MDTYPE);
        let words = if mdtype == MDTYPE1 { 6 } else { 2 };
        // Version (2 bits), OAM (1), unused (1), TTL (6), length in words (6).
        let base = u16::from(flags) << 12 | u16::from(ttl) << 6 | words;
        self.bytes.extend(base.to_be_bytes());
        self.bytes.push(mdtype & 0x0f);
        self.put(layout::NSH_NP);
        self.put(layout::NSH_PATH);
        if mdtype == MDTYPE1 {
            for place in [layout::NSH_C1, layout::NSH_C2, layout::NSH_C3, layout::NSH_C4] {
                self.put(place);
            }
        }
        self.fill(self.bytes.len())
    }
}

#[cfg(test)]
mod tests;
