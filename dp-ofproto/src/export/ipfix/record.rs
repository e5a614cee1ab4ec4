//! Data records: what makes a flow one, and what it has carried.

use dp_core::base::Duration;
use dp_core::flow::{FlowKey, layout};

use super::template::{Kind, Link, Network, Transport};
use super::{Interface, Sample};
use crate::export::Tunnel;
use crate::export::bytes::{Put, low32};

/// Which flow: what its records begin with, as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FlowId {
    pub(super) domain: u32,
    pub(super) kind: u16,
    bytes: Box<[u8]>,
}

impl FlowId {
    /// The version of IP that its packets have.
    pub(super) const fn version(&self) -> Option<u8> {
        match (self.kind - 256) / 20 % 3 {
            1 => Some(4),
            2 => Some(6),
            _ => None,
        }
    }
}

/// What a sampled packet adds to its flow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Amount {
    pub(super) network: bool,
    pub(super) ipv6: bool,
    pub(super) tcp: bool,
    pub(super) egress: bool,
    pub(super) dropped: bool,
    pub(super) cast: Cast,
    pub(super) frame: u64,
    pub(super) ip: u64,
    /// ACK, FIN, PSH, RST, SYN, URG.
    pub(super) flags: [bool; 6],
}

/// Whom a frame is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Cast {
    #[default]
    One,
    Several,
    All,
}

/// What a flow has carried since it was told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deltas {
    pub(super) first: Duration,
    pub(super) last: Duration,
    packets: u64,
    dropped_packets: u64,
    multicast_packets: u64,
    frames: u64,
    bytes: u64,
    dropped_bytes: u64,
    multicast_bytes: u64,
    squares: u64,
    shortest: u64,
    longest: u64,
}

/// What all flows of an exporter have carried.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    packets: u64,
    dropped_packets: u64,
    multicast_packets: u64,
    /// In: unicast, multicast, broadcast; out: unicast, broadcast.
    casts: [u64; 5],
    frames: u64,
    bytes: u64,
    dropped_bytes: u64,
    multicast_bytes: u64,
    squares: u64,
    flags: [u64; 6],
}

impl Deltas {
    pub(super) fn add(&mut self, amount: &Amount, when: Duration) {
        if self.packets == 0 {
            (self.first, self.shortest) = (when, amount.ip);
        }
        self.last = self.last.max(when);
        self.packets += 1;
        self.frames += amount.frame;
        self.bytes += amount.ip;
        self.squares = self.squares.saturating_add(amount.ip.saturating_mul(amount.ip));
        self.shortest = self.shortest.min(amount.ip);
        self.longest = self.longest.max(amount.ip);
        if amount.dropped {
            self.dropped_packets += 1;
            self.dropped_bytes += amount.ip;
        }
        if amount.is_post_multicast() {
            self.multicast_packets += 1;
            self.multicast_bytes += amount.ip;
        }
    }

    pub(super) const fn packets(&self) -> u64 {
        self.packets
    }
}

impl Totals {
    pub(super) fn add(&mut self, amount: &Amount) {
        self.packets += 1;
        self.frames += amount.frame;
        self.bytes += amount.ip;
        self.squares = self.squares.saturating_add(amount.ip.saturating_mul(amount.ip));
        if amount.dropped {
            self.dropped_packets += 1;
            self.dropped_bytes += amount.ip;
        }
        if amount.is_post_multicast() {
            self.multicast_packets += 1;
            self.multicast_bytes += amount.ip;
        }
        let place = match (amount.egress, amount.cast) {
            (false, Cast::One) => Some(0),
            (false, Cast::Several) => Some(1),
            (false, Cast::All) => Some(2),
            (true, Cast::One) => Some(3),
            (true, Cast::All) => Some(4),
            (true, Cast::Several) => None,
        };
        if let Some(count) = place.and_then(|place| self.casts.get_mut(place)) {
            *count += 1;
        }
        for (count, set) in self.flags.iter_mut().zip(amount.flags) {
            *count += u64::from(set);
        }
    }
}

impl Amount {
    fn is_post_multicast(&self) -> bool {
        self.egress && self.cast == Cast::Several
    }
}

fn half(key: &FlowKey, place: layout::Place) -> u16 {
    u16::try_from(key.load(place)).unwrap_or(0)
}

fn byte(key: &FlowKey, place: layout::Place) -> u8 {
    u8::try_from(key.load(place)).unwrap_or(0)
}

fn word(key: &FlowKey, place: layout::Place) -> u32 {
    u32::try_from(key.load(place)).unwrap_or(0)
}

fn kind_of(sample: &Sample<'_>) -> Kind {
    let key = sample.key;
    let network = match key.eth_type() {
        0x0800 => Network::Ipv4,
        0x86dd => Network::Ipv6,
        _ => Network::Unknown,
    };
    let transport = match (network, key.nw_proto()) {
        (Network::Unknown, _) => Transport::Unknown,
        (_, 6) => Transport::Tcp,
        (_, 17) => Transport::Udp,
        (_, 132) => Transport::Sctp,
        (Network::Ipv4, 1) | (Network::Ipv6, 58) => Transport::Icmp,
        _ => Transport::Unknown,
    };
    let link = if key.vlan_tci() & layout::VLAN_PRESENT != 0 { Link::Vlan } else { Link::Ethernet };
    let (tunnel, egress) = (sample.tunnel.is_some(), sample.output.is_some());
    Kind { link, network, transport, tunnel, egress }
}

/// The bytes of Ethernet header and tags.
fn link_len(key: &FlowKey) -> u8 {
    let tags = [layout::VLAN_TCI, layout::VLAN_TCI1];
    let there = tags.iter().filter(|&&tci| half(key, tci) & layout::VLAN_PRESENT != 0).count();
    14 + 4 * u8::try_from(there).unwrap_or(0)
}

/// A string whose length stands in front.
fn text(out: &mut Vec<u8>, text: &[u8]) {
    let len = u8::try_from(text.len().min(254)).unwrap_or(0);
    out.u8(len);
    out.bytes(text.get(..usize::from(len)).unwrap_or(text));
}

fn interface(out: &mut Vec<u8>, interface: &Interface<'_>) {
    out.u32(interface.ifindex);
    // Of which type an interface is, and what its owner says of it, is not known.
    out.u32(0);
    text(out, interface.name.as_bytes());
    text(out, b"");
}

/// The flow of a sampled packet.
pub(super) fn flow_id(sample: &Sample<'_>, virtual_point: Option<&str>) -> FlowId {
    let (key, kind) = (sample.key, kind_of(sample));
    let mut out = Vec::with_capacity(128);
    out.u32(sample.point);
    out.u8(u8::from(sample.output.is_some()));
    for place in [layout::ETH_SRC, layout::ETH_DST] {
        let mac = key.load(place).to_be_bytes();
        out.bytes(mac.last_chunk::<6>().map_or(&[0; 6], |mac| mac));
    }
    out.u16(key.eth_type());
    out.u8(link_len(key));
    interface(&mut out, &sample.input);
    if let Some(output) = &sample.output {
        interface(&mut out, output);
    }
    if kind.link == Link::Vlan {
        let tci = key.vlan_tci();
        out.u16(tci & 0xfff);
        out.u16(tci & 0xfff);
        out.u8(u8::try_from(tci >> 13).unwrap_or(0));
    }
    network(&mut out, key, kind);
    match kind.transport {
        Transport::Unknown => {}
        Transport::Icmp => {
            out.u8(u8::try_from(half(key, layout::TP_SRC) & 0xff).unwrap_or(0));
            out.u8(u8::try_from(half(key, layout::TP_DST) & 0xff).unwrap_or(0));
        }
        _ => {
            out.u16(half(key, layout::TP_SRC));
            out.u16(half(key, layout::TP_DST));
        }
    }
    if let Some(kind) = sample.tunnel {
        tunnel(&mut out, key, kind);
    }
    if let Some(point) = virtual_point {
        text(&mut out, point.as_bytes());
    }
    FlowId { domain: sample.domain, kind: kind.number(), bytes: out.into() }
}

fn network(out: &mut Vec<u8>, key: &FlowKey, kind: Kind) {
    let version = match kind.network {
        Network::Unknown => return,
        Network::Ipv4 => 4,
        Network::Ipv6 => 6,
    };
    let tos = byte(key, layout::NW_TOS);
    let ttl = byte(key, layout::NW_TTL);
    out.bytes(&[version, ttl, key.nw_proto(), tos >> 2, tos >> 5, tos]);
    if version == 4 {
        out.u32(word(key, layout::IPV4_SRC));
        out.u32(word(key, layout::IPV4_DST));
    } else {
        out.bytes(&key.load(layout::IPV6_SRC).to_be_bytes());
        out.bytes(&key.load(layout::IPV6_DST).to_be_bytes());
        out.u32(word(key, layout::IPV6_LABEL));
    }
}

fn tunnel(out: &mut Vec<u8>, key: &FlowKey, kind: Tunnel) {
    let id = key.load(layout::TUN_ID).to_be_bytes();
    let (code, bytes) = match kind {
        Tunnel::Vxlan => (1, 3),
        Tunnel::Gre => (2, 4),
        Tunnel::Geneve => (7, 3),
        Tunnel::Other => (0, 8),
    };
    out.u32(word(key, layout::TUN_SRC));
    out.u32(word(key, layout::TUN_DST));
    out.u8(kind.protocol().unwrap_or(0));
    out.u16(half(key, layout::TUN_TP_SRC));
    out.u16(half(key, layout::TUN_TP_DST));
    out.u8(code);
    text(out, id.get(16 - bytes..).unwrap_or(&[]));
}

/// What a sampled packet adds.
pub(super) fn amount(sample: &Sample<'_>) -> Amount {
    let (key, kind) = (sample.key, kind_of(sample));
    let mac = key.load(layout::ETH_DST);
    let cast = match mac {
        0xffff_ffff_ffff => Cast::All,
        _ if mac >> 40 & 1 != 0 => Cast::Several,
        _ => Cast::One,
    };
    let at = usize::from(link_len(key));
    let behind = sample.frame.len().saturating_sub(at);
    let ip = match kind.network {
        Network::Unknown => 0,
        Network::Ipv4 => {
            let said = sample.frame.get(at + 2..).and_then(<[u8]>::first_chunk);
            said.map_or(behind, |said| usize::from(u16::from_be_bytes(*said)).min(behind))
        }
        Network::Ipv6 => {
            let said = sample.frame.get(at + 4..).and_then(<[u8]>::first_chunk);
            said.map_or(behind, |said| (usize::from(u16::from_be_bytes(*said)) + 40).min(behind))
        }
    };
    let tcp = kind.transport == Transport::Tcp;
    let flags = half(key, layout::TCP_FLAGS);
    Amount {
        network: kind.network != Network::Unknown,
        ipv6: kind.network == Network::Ipv6,
        tcp,
        egress: sample.output.is_some(),
        dropped: sample.dropped,
        cast,
        frame: u64::try_from(sample.frame.len()).unwrap_or(0),
        ip: u64::try_from(ip).unwrap_or(0),
        flags: [0x10, 0x01, 0x08, 0x04, 0x02, 0x20].map(|bit| tcp && flags & bit != 0),
    }
}

/// A flow that is to be told.
#[derive(Clone, Debug)]
pub(super) struct Finished {
    pub(super) id: FlowId,
    pub(super) deltas: Deltas,
    pub(super) totals: Totals,
    /// Why it ended (RFC 5102 section 5.11.3).
    pub(super) reason: u8,
    pub(super) network: bool,
    pub(super) tcp: bool,
}

impl Finished {
    /// Writes the record; times are told as how long before `export`.
    pub(super) fn put(&self, out: &mut Vec<u8>, export: Duration) {
        let (deltas, totals) = (&self.deltas, &self.totals);
        let before = |at: Duration| {
            low32(u64::try_from(export.saturating_sub(at).as_micros()).unwrap_or(u64::MAX))
        };
        out.bytes(&self.id.bytes);
        out.u32(before(deltas.first));
        out.u32(before(deltas.last));
        for number in
            [deltas.dropped_packets, totals.dropped_packets, deltas.packets, totals.packets]
        {
            out.u64(number);
        }
        totals.casts.iter().for_each(|count| out.u64(*count));
        for number in
            [deltas.multicast_packets, totals.multicast_packets, deltas.frames, totals.frames]
        {
            out.u64(number);
        }
        out.u8(self.reason);
        if self.network {
            for number in [
                deltas.dropped_bytes,
                totals.dropped_bytes,
                deltas.bytes,
                totals.bytes,
                deltas.squares,
                totals.squares,
                deltas.shortest,
                deltas.longest,
                deltas.multicast_bytes,
                totals.multicast_bytes,
            ] {
                out.u64(number);
            }
        }
        if self.tcp {
            totals.flags.iter().for_each(|count| out.u64(*count));
        }
    }
}
