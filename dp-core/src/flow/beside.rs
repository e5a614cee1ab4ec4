//! Between a packet's side and a key's lanes: what connection tracking and tunnels add, the marks and
//! the hash.
//!
//! Lane 0 has a little of it, lane 2 and 3 more, lanes 4 to 8 are the tunnel's alone. Both directions
//! stand here, so that they cannot drift apart: a packet of a further pass becomes a key, and a
//! packet that the control side injects takes on what a key says.

use core::net::{Ipv4Addr, Ipv6Addr};

use super::burst_keys::BurstKeys;
use super::key::FlowKey;
use super::lane::{Lane, PACKET_LANES};
use super::layout::{self, Place};
use crate::base::RecircId;
use crate::packet::{CtAddrs, CtMeta, Known, Metadata, Packet, TunnelMeta};

/// Where lanes are written: those of a slot of a burst, or those of one key.
trait Lanes {
    fn lane(&mut self, lane: usize) -> &mut Lane;
}

struct OfSlot<'a>(&'a mut BurstKeys, usize);

impl Lanes for OfSlot<'_> {
    #[inline]
    fn lane(&mut self, lane: usize) -> &mut Lane {
        self.0.use_lane(self.1, lane)
    }
}

impl Lanes for FlowKey {
    fn lane(&mut self, lane: usize) -> &mut Lane {
        self.lane_mut(lane % PACKET_LANES)
    }
}

#[inline]
fn put<const N: usize>(lanes: &mut impl Lanes, place: Place, bytes: [u8; N]) {
    super::extract::write_place(lanes.lane(place.lane()), place, &bytes);
}

/// Lane 0 of a packet that has passed before, as far as it does not come from the frame.
#[inline]
pub(super) fn first_lane(meta: &Metadata, lane: &mut Lane) {
    use super::extract::write_place;
    write_place(lane, layout::IN_PORT, &meta.in_port.0.to_be_bytes());
    write_place(lane, layout::RECIRC_ID, &meta.recirc_id.0.to_be_bytes());
    write_place(lane, layout::DP_HASH, &meta.hash().to_be_bytes());
}

/// Turns lane 0 of a packet that has just been tracked, and not been changed, into that of its next
/// pass.
#[inline(always)]
pub(crate) fn tracked(ct: &CtMeta, id: RecircId, lane: &mut Lane) {
    use super::extract::write_place;
    write_place(lane, layout::RECIRC_ID, &id.0.to_be_bytes());
    write_place(lane, layout::CT_MARK, &ct.mark.to_be_bytes());
    write_place(lane, layout::CT_ZONE, &ct.zone.to_be_bytes());
    let proto = if matches!(ct.addrs, CtAddrs::None) { 0 } else { ct.proto };
    write_place(lane, layout::CT_STATE, &[ct.state]);
    write_place(lane, layout::CT_NW_PROTO, &[proto]);
}

/// What the packet in `slot` carries beside its frame, into the lanes of its key. The lanes that the
/// frame fills have been filled.
#[inline]
pub(crate) fn into_slot(packet: &Packet, keys: &mut BurstKeys, slot: usize) {
    let known = packet.meta().known;
    if known.intersects(Known::MARKS | Known::CT | Known::TUNNEL) {
        write(packet, &mut OfSlot(keys, slot));
    }
}

/// The same, into a key.
pub(super) fn into_key(packet: &Packet, key: &mut FlowKey) {
    write(packet, key);
}

fn write(packet: &Packet, lanes: &mut impl Lanes) {
    marks(packet.meta(), lanes);
    if let Some(ct) = packet.ct() {
        conntrack(ct, lanes);
    }
    if let Some(tunnel) = packet.tunnel() {
        write_tunnel(tunnel, lanes);
    }
}

/// Mark and priority, where there are any.
pub(super) fn marks_into_key(meta: &Metadata, key: &mut FlowKey) {
    marks(meta, key);
}

fn marks(meta: &Metadata, lanes: &mut impl Lanes) {
    let (mark, priority) = meta.marks();
    if mark != 0 || priority != 0 {
        put(lanes, layout::PKT_MARK, mark.to_be_bytes());
        put(lanes, layout::SKB_PRIORITY, priority.to_be_bytes());
    }
}

fn conntrack(ct: &CtMeta, lanes: &mut impl Lanes) {
    put(lanes, layout::CT_MARK, ct.mark.to_be_bytes());
    put(lanes, layout::CT_ZONE, ct.zone.to_be_bytes());
    put(lanes, layout::CT_STATE, [ct.state]);
    if ct.label != 0 {
        put(lanes, layout::CT_LABEL, ct.label.to_be_bytes());
    }
    match ct.addrs {
        CtAddrs::None => return,
        CtAddrs::V4(src, dst) => {
            put(lanes, layout::CT_NW_SRC, src.octets());
            put(lanes, layout::CT_NW_DST, dst.octets());
        }
        CtAddrs::V6(src, dst) => {
            put(lanes, layout::CT_IPV6_SRC, src.octets());
            put(lanes, layout::CT_IPV6_DST, dst.octets());
        }
    }
    put(lanes, layout::CT_NW_PROTO, [ct.proto]);
    put(lanes, layout::CT_TP_SRC, ct.tp_src.to_be_bytes());
    put(lanes, layout::CT_TP_DST, ct.tp_dst.to_be_bytes());
}

/// Writes a tunnel into a key.
pub fn put_tunnel(key: &mut FlowKey, tunnel: &TunnelMeta) {
    write_tunnel(tunnel, key);
}

fn write_tunnel(tunnel: &TunnelMeta, lanes: &mut impl Lanes) {
    put(lanes, layout::TUN_ID, tunnel.id.to_be_bytes());
    put(lanes, layout::TUN_SRC, tunnel.src.octets());
    put(lanes, layout::TUN_DST, tunnel.dst.octets());
    put(lanes, layout::TUN_IPV6_SRC, tunnel.ipv6_src.octets());
    put(lanes, layout::TUN_IPV6_DST, tunnel.ipv6_dst.octets());
    put(lanes, layout::TUN_TOS, [tunnel.tos]);
    put(lanes, layout::TUN_TTL, [tunnel.ttl]);
    put(lanes, layout::TUN_FLAGS, tunnel.flags.to_be_bytes());
    put(lanes, layout::TUN_GBP_ID, tunnel.gbp_id.to_be_bytes());
    put(lanes, layout::TUN_GBP_FLAGS, [tunnel.gbp_flags]);
    put(lanes, layout::TUN_ERSPAN_VER, [tunnel.erspan_ver]);
    put(lanes, layout::TUN_ERSPAN_IDX, tunnel.erspan_idx.to_be_bytes());
    put(lanes, layout::TUN_ERSPAN_DIR, [tunnel.erspan_dir]);
    put(lanes, layout::TUN_ERSPAN_HWID, [tunnel.erspan_hwid]);
    put(lanes, layout::TUN_GTPU_FLAGS, [tunnel.gtpu_flags]);
    put(lanes, layout::TUN_GTPU_MSGTYPE, [tunnel.gtpu_msgtype]);
    if tunnel.tp_src != 0 || tunnel.tp_dst != 0 {
        put(lanes, layout::TUN_TP_SRC, tunnel.tp_src.to_be_bytes());
        put(lanes, layout::TUN_TP_DST, tunnel.tp_dst.to_be_bytes());
    }
    if tunnel.options_len != 0 {
        put(lanes, layout::TUN_OPT_LEN, [tunnel.options_len]);
        for (number, chunk) in tunnel.options().chunks(64).enumerate() {
            let lane = lanes.lane(layout::TUN_OPTIONS_LANE + number);
            for (to, from) in lane.bytes_mut().iter_mut().zip(chunk) {
                *to = *from;
            }
        }
    }
}

/// Gives a packet what a key says about it beside its frame: marks, hash, packet type, port of
/// entry, connection tracking, tunnel.
pub fn take_on(key: &FlowKey, packet: &mut Packet) {
    let number = |place| u32::try_from(key.load(place)).unwrap_or(0);
    let meta = packet.meta_mut();
    meta.known = Known::empty();
    (meta.in_port, meta.recirc_id, meta.passes) = (key.in_port(), key.recirc_id(), 0);
    let (mark, priority) = (number(layout::PKT_MARK), number(layout::SKB_PRIORITY));
    if mark != 0 || priority != 0 {
        meta.set_marks(mark, priority);
    }
    if number(layout::DP_HASH) != 0 {
        meta.set_hash(number(layout::DP_HASH));
    }
    meta.set_outermost(number(layout::PACKET_TYPE));
    if let Some(ct) = ct_of(key) {
        packet.set_ct(ct);
    }
    if let Some(tunnel) = tunnel_of(key) {
        packet.set_tunnel(&tunnel);
    }
}

/// What a key says about connection tracking; `None` if nothing.
#[must_use]
pub fn ct_of(key: &FlowKey) -> Option<CtMeta> {
    let v4 = |place| Ipv4Addr::from_bits(u32::try_from(key.load(place)).unwrap_or(0));
    let v6 = |place| Ipv6Addr::from_bits(key.load(place));
    let port = |place| u16::try_from(key.load(place)).unwrap_or(0);
    let byte = |place| u8::try_from(key.load(place)).unwrap_or(0);
    let (v4_src, v4_dst) = (v4(layout::CT_NW_SRC), v4(layout::CT_NW_DST));
    let (v6_src, v6_dst) = (v6(layout::CT_IPV6_SRC), v6(layout::CT_IPV6_DST));
    let addrs = if !v6_src.is_unspecified() || !v6_dst.is_unspecified() {
        CtAddrs::V6(v6_src, v6_dst)
    } else if !v4_src.is_unspecified() || !v4_dst.is_unspecified() {
        CtAddrs::V4(v4_src, v4_dst)
    } else {
        CtAddrs::None
    };
    let ct = CtMeta {
        label: key.load(layout::CT_LABEL),
        mark: u32::try_from(key.load(layout::CT_MARK)).unwrap_or(0),
        zone: port(layout::CT_ZONE),
        state: byte(layout::CT_STATE),
        proto: byte(layout::CT_NW_PROTO),
        tp_src: port(layout::CT_TP_SRC),
        tp_dst: port(layout::CT_TP_DST),
        addrs,
    };
    (ct != CtMeta::default()).then_some(ct)
}

/// The tunnel in a key; `None` if it has no outer destination.
#[must_use]
pub fn tunnel_of(key: &FlowKey) -> Option<TunnelMeta> {
    let tunnel = tunnel_in(key);
    let nowhere = tunnel.dst.is_unspecified() && tunnel.ipv6_dst.is_unspecified();
    (!nowhere).then_some(tunnel)
}

/// What a key says of a tunnel, wherever it leads.
#[must_use]
pub fn tunnel_in(key: &FlowKey) -> TunnelMeta {
    let v4 = |place| Ipv4Addr::from_bits(u32::try_from(key.load(place)).unwrap_or(0));
    let half = |place| u16::try_from(key.load(place)).unwrap_or(0);
    let byte = |place| u8::try_from(key.load(place)).unwrap_or(0);
    let mut out = TunnelMeta {
        id: u64::try_from(key.load(layout::TUN_ID)).unwrap_or(0),
        src: v4(layout::TUN_SRC),
        dst: v4(layout::TUN_DST),
        ipv6_src: Ipv6Addr::from_bits(key.load(layout::TUN_IPV6_SRC)),
        ipv6_dst: Ipv6Addr::from_bits(key.load(layout::TUN_IPV6_DST)),
        flags: half(layout::TUN_FLAGS),
        tos: byte(layout::TUN_TOS),
        ttl: byte(layout::TUN_TTL),
        tp_src: half(layout::TUN_TP_SRC),
        tp_dst: half(layout::TUN_TP_DST),
        gbp_id: half(layout::TUN_GBP_ID),
        gbp_flags: byte(layout::TUN_GBP_FLAGS),
        erspan_ver: byte(layout::TUN_ERSPAN_VER),
        erspan_idx: u32::try_from(key.load(layout::TUN_ERSPAN_IDX)).unwrap_or(0),
        erspan_dir: byte(layout::TUN_ERSPAN_DIR),
        erspan_hwid: byte(layout::TUN_ERSPAN_HWID),
        gtpu_flags: byte(layout::TUN_GTPU_FLAGS),
        gtpu_msgtype: byte(layout::TUN_GTPU_MSGTYPE),
        options_len: byte(layout::TUN_OPT_LEN),
        ..TunnelMeta::NONE
    };
    let lanes = layout::TUN_OPTIONS_LANE..PACKET_LANES;
    for (chunk, lane) in out.options.chunks_mut(64).zip(lanes) {
        for (to, from) in chunk.iter_mut().zip(key.lane(lane).bytes()) {
            *to = *from;
        }
    }
    out
}
