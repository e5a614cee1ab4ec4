//! What travels with a packet beside its bytes.

use crate::base::{PortNo, RecircId};

bitflags::bitflags! {
    /// What hardware has found out about a packet, or is still to do for it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Offloads: u32 {
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

/// What travels with a packet between its passes through the datapath. The first 24 bytes share a
/// cache line with the frame's place, so that the first pass touches no other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Metadata {
    /// Offset of the network header from the start of the frame; meaningful after extraction.
    pub l3: u16,
    /// Offset of the transport header; 0 if there is none.
    pub l4: u16,
    /// Offload state.
    pub offloads: Offloads,
    /// Hash of the flow by the receiving device, with [`Offloads::RSS_VALID`].
    pub rss_hash: u32,
    /// Port of entry.
    pub in_port: PortNo,
    /// Which continuation resumes; zero on the first pass.
    pub recirc_id: RecircId,
    /// Hash computed by an earlier pass; zero if none was.
    pub dp_hash: u32,
    /// Packet mark.
    pub pkt_mark: u32,
    /// Queueing priority.
    pub skb_priority: u32,
    /// Payload bytes of a segment, with [`Offloads::TSO`].
    pub segment: u16,
    /// How often the packet has entered the pipeline again.
    pub passes: u8,
}
