//! What travels with a packet beside its bytes.

use crate::base::{PortNo, RecircId};

bitflags::bitflags! {
    /// What hardware has found out about a packet, or is still to do for it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Offloads: u8 {
        /// The IPv4 header checksum was verified on receipt.
        const RX_IP_CSUM_GOOD = 1 << 0;
        /// The L4 checksum was verified on receipt.
        const RX_L4_CSUM_GOOD = 1 << 1;
        /// The L4 checksum holds the pseudo header's sum only and must be completed before the
        /// frame leaves.
        const L4_CSUM_PARTIAL = 1 << 2;
        /// The frame is larger than the MTU and must leave as segments of `segment` bytes.
        const TSO = 1 << 3;
        /// `rss_hash` holds a hash of the flow that the device computed.
        const RSS_VALID = 1 << 4;
    }
}

bitflags::bitflags! {
    /// Which of the things that a packet can carry from pass to pass are there. Cleared when a
    /// packet is first parsed, so that nothing of a buffer's earlier life is taken for the packet's.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Known: u8 {
        /// [`Metadata::pkt_mark`] and [`Metadata::skb_priority`].
        const MARKS = 1 << 0;
        /// [`Metadata::dp_hash`].
        const DP_HASH = 1 << 1;
        /// [`Metadata::packet_type`]: the frame begins with another header than Ethernet's.
        const PACKET_TYPE = 1 << 2;
        /// What connection tracking has found ([`super::CtMeta`]).
        const CT = 1 << 3;
        /// The tunnel that the packet came through, or is to leave by ([`super::TunnelMeta`]).
        const TUNNEL = 1 << 4;
    }
}

/// What travels with a packet between its passes through the datapath. The first 24 bytes share a
/// cache line with the frame's place, so that the first pass touches no other. What stands behind
/// them counts as far as [`Metadata::known`] says so, [`Metadata::recirc_id`] and
/// [`Metadata::passes`] on further passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Metadata {
    /// Offset of the network header from the start of the frame; meaningful after extraction.
    pub l3: u16,
    /// Offset of the transport header; 0 if there is none.
    pub l4: u16,
    /// Offload state.
    pub offloads: Offloads,
    /// What is known beside the frame.
    pub known: Known,
    /// How often the packet has entered the pipeline again.
    pub passes: u8,
    /// Hash of the flow by the receiving device, with [`Offloads::RSS_VALID`].
    pub rss_hash: u32,
    /// Port of entry.
    pub in_port: PortNo,
    /// Which continuation resumes; zero on the first pass.
    pub recirc_id: RecircId,
    /// Hash computed by an earlier pass, with [`Known::DP_HASH`].
    pub dp_hash: u32,
    /// Packet mark, with [`Known::MARKS`].
    pub pkt_mark: u32,
    /// Queueing priority, with [`Known::MARKS`].
    pub skb_priority: u32,
    /// Name space (upper half) and type of the outermost header, with [`Known::PACKET_TYPE`].
    pub packet_type: u32,
    /// Payload bytes of a segment, with [`Offloads::TSO`].
    pub segment: u16,
    /// Bytes at the frame's end that are not sent, while a list of actions cuts packets down.
    pub cut: u16,
}

impl Metadata {
    /// The packet mark and the queueing priority; zeros where nobody has set any.
    #[inline]
    #[must_use]
    pub const fn marks(&self) -> (u32, u32) {
        if self.known.contains(Known::MARKS) { (self.pkt_mark, self.skb_priority) } else { (0, 0) }
    }

    /// Sets the packet mark and the queueing priority.
    #[inline]
    pub fn set_marks(&mut self, pkt_mark: u32, skb_priority: u32) {
        (self.pkt_mark, self.skb_priority) = (pkt_mark, skb_priority);
        self.known |= Known::MARKS;
    }

    /// The hash that an earlier pass has computed; zero if none has.
    #[inline]
    #[must_use]
    pub const fn hash(&self) -> u32 {
        if self.known.contains(Known::DP_HASH) { self.dp_hash } else { 0 }
    }

    /// Sets the hash that later passes match.
    #[inline]
    pub fn set_hash(&mut self, hash: u32) {
        self.dp_hash = hash;
        self.known |= Known::DP_HASH;
    }

    /// Name space and type of the outermost header; 0 is Ethernet.
    #[inline]
    #[must_use]
    pub const fn outermost(&self) -> u32 {
        if self.known.contains(Known::PACKET_TYPE) { self.packet_type } else { 0 }
    }

    /// Says which header is the outermost: 0 for Ethernet.
    #[inline]
    pub fn set_outermost(&mut self, packet_type: u32) {
        self.packet_type = packet_type;
        self.known.set(Known::PACKET_TYPE, packet_type != 0);
    }
}
