//! Where each value lives in the lanes. Offsets are bytes from the start of the key.
//!
//! ```text
//!  lane 0   what every packet has: ports, Ethernet, VLAN, IPv4, L4 ports, the small metadata
//!  lane 1   IPv6 addresses, label, ND / the hardware addresses of ARP and ND
//!  lane 2   ct_label, original tuple over IPv4, skb metadata, MPLS
//!  lane 3   original tuple over IPv6, NSH, tunnel ports
//!  lane 4   tunnel: ends, id, flags
//!  lane 5-8 tunnel options as they are on the wire (Geneve)          ── packets use none beyond ──
//!  lane 9   reg0 … reg15
//!  lane 10  metadata, conj_id, actset_output, which tunnel metadata fields are present
//!  lane 11  reg16 … reg31 (prepared)
//!  beside   tunnel metadata as OpenFlow sees it (tun_metadata0 … 63): `flow::wide`
//! ```
//!
//! All values are big-endian, so a field is a run of bytes (or of bits in one) wherever it came
//! from, and printing, parsing, matching and setting need one piece of code.
//!
//! # Conventions
//!
//! * `VLAN_TCI`: bit 0x1000 is set when the tag is there; the drop-eligible bit is not kept.
//! * `IPV4_SRC/DST` hold ARP's protocol addresses too, `NW_PROTO` its low 8 bits of the operation;
//!   `TP_SRC/TP_DST` hold ICMP's type and code (each in the low byte).
//! * `NW_FRAG`: 1 = any fragment, 3 = a fragment that is not the first.
//! * `PACKET_TYPE`: 0 is Ethernet.

/// A place: byte offset and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes from the start of the key.
    pub offset: u16,
    /// Length in bytes, 1 to 16.
    pub len: u8,
}

impl Place {
    /// The lane it lies in.
    #[must_use]
    pub const fn lane(self) -> usize {
        self.offset as usize / 64
    }
}

const fn at(lane: u16, offset: u16, len: u8) -> Place {
    assert!(offset + len as u16 <= 64 && len >= 1 && len <= 16);
    Place { offset: lane * 64 + offset, len }
}

macro_rules! places {
    ($($(#[doc = $doc:literal])* $name:ident = $lane:literal + $offset:literal, $len:literal;)*) => {
        $($(#[doc = $doc])* pub const $name: Place = at($lane, $offset, $len);)*
        /// Every place with its name, in the order of the lanes.
        pub const ALL: &[(&str, Place)] = &[$((stringify!($name), $name),)*];
    };
}

places! {
    /// Datapath port (in datapath keys) or OpenFlow port (in OpenFlow's) of entry.
    IN_PORT = 0 + 0, 4;
    /// Recirculation id.
    RECIRC_ID = 0 + 4, 4;
    /// Destination MAC.
    ETH_DST = 0 + 8, 6;
    /// Source MAC.
    ETH_SRC = 0 + 14, 6;
    /// Ethertype of the payload, behind the VLAN tags.
    ETH_TYPE = 0 + 20, 2;
    /// Outer tag: priority, 0x1000 when present, VID.
    VLAN_TCI = 0 + 22, 2;
    /// Outer tag's Ethertype.
    VLAN_TPID = 0 + 24, 2;
    /// Inner tag.
    VLAN_TCI1 = 0 + 26, 2;
    /// Inner tag's Ethertype.
    VLAN_TPID1 = 0 + 28, 2;
    /// IP protocol, or ARP operation.
    NW_PROTO = 0 + 30, 1;
    /// DSCP and ECN.
    NW_TOS = 0 + 31, 1;
    /// TTL or hop limit.
    NW_TTL = 0 + 32, 1;
    /// Fragment bits.
    NW_FRAG = 0 + 33, 1;
    /// TCP flags, 12 bits.
    TCP_FLAGS = 0 + 34, 2;
    /// IPv4 source, or ARP sender.
    IPV4_SRC = 0 + 36, 4;
    /// IPv4 destination, or ARP target.
    IPV4_DST = 0 + 40, 4;
    /// L4 source port, or ICMP type.
    TP_SRC = 0 + 44, 2;
    /// L4 destination port, or ICMP code.
    TP_DST = 0 + 46, 2;
    /// Name space and type of the packet's outermost header.
    PACKET_TYPE = 0 + 48, 4;
    /// Hash that an earlier pass computed.
    DP_HASH = 0 + 52, 4;
    /// Conntrack mark.
    CT_MARK = 0 + 56, 4;
    /// Conntrack zone.
    CT_ZONE = 0 + 60, 2;
    /// Conntrack state bits.
    CT_STATE = 0 + 62, 1;
    /// Protocol of the connection's original direction.
    CT_NW_PROTO = 0 + 63, 1;

    /// IPv6 source.
    IPV6_SRC = 1 + 0, 16;
    /// IPv6 destination.
    IPV6_DST = 1 + 16, 16;
    /// ND target.
    ND_TARGET = 1 + 32, 16;
    /// Flow label, 20 bits.
    IPV6_LABEL = 1 + 48, 4;
    /// ARP sender's hardware address, or ND source link-layer address.
    ARP_SHA = 1 + 52, 6;
    /// ARP target's hardware address, or ND target link-layer address.
    ARP_THA = 1 + 58, 6;

    /// Conntrack label.
    CT_LABEL = 2 + 0, 16;
    /// Original direction, IPv4 source.
    CT_NW_SRC = 2 + 16, 4;
    /// Original direction, IPv4 destination.
    CT_NW_DST = 2 + 20, 4;
    /// Original direction, L4 source.
    CT_TP_SRC = 2 + 24, 2;
    /// Original direction, L4 destination.
    CT_TP_DST = 2 + 26, 2;
    /// Queueing priority.
    SKB_PRIORITY = 2 + 28, 4;
    /// Packet mark.
    PKT_MARK = 2 + 32, 4;
    /// MPLS label stack, outermost.
    MPLS0 = 2 + 36, 4;
    /// MPLS label stack, second.
    MPLS1 = 2 + 40, 4;
    /// MPLS label stack, third.
    MPLS2 = 2 + 44, 4;
    /// ND reserved word.
    ND_RESERVED = 2 + 48, 4;
    /// ND option type.
    ND_OPTIONS_TYPE = 2 + 52, 1;

    /// Original direction, IPv6 source.
    CT_IPV6_SRC = 3 + 0, 16;
    /// Original direction, IPv6 destination.
    CT_IPV6_DST = 3 + 16, 16;
    /// NSH flags.
    NSH_FLAGS = 3 + 32, 1;
    /// NSH TTL.
    NSH_TTL = 3 + 33, 1;
    /// NSH metadata type.
    NSH_MDTYPE = 3 + 34, 1;
    /// NSH next protocol.
    NSH_NP = 3 + 35, 1;
    /// NSH service path (24 bits) and index (8 bits).
    NSH_PATH = 3 + 36, 4;
    /// NSH context 1.
    NSH_C1 = 3 + 40, 4;
    /// NSH context 2.
    NSH_C2 = 3 + 44, 4;
    /// NSH context 3.
    NSH_C3 = 3 + 48, 4;
    /// NSH context 4.
    NSH_C4 = 3 + 52, 4;
    /// Outer L4 source port of the tunnel.
    TUN_TP_SRC = 3 + 56, 2;
    /// Outer L4 destination port of the tunnel.
    TUN_TP_DST = 3 + 58, 2;
    /// Length of the raw tunnel options in lanes 5 to 8, bytes.
    TUN_OPT_LEN = 3 + 60, 1;

    /// Tunnel key.
    TUN_ID = 4 + 0, 8;
    /// Outer IPv4 source.
    TUN_SRC = 4 + 8, 4;
    /// Outer IPv4 destination.
    TUN_DST = 4 + 12, 4;
    /// Outer IPv6 source.
    TUN_IPV6_SRC = 4 + 16, 16;
    /// Outer IPv6 destination.
    TUN_IPV6_DST = 4 + 32, 16;
    /// Outer tos.
    TUN_TOS = 4 + 48, 1;
    /// Outer TTL.
    TUN_TTL = 4 + 49, 1;
    /// Tunnel flags: 1 DF, 2 checksum, 4 key, 8 OAM; others are internal.
    TUN_FLAGS = 4 + 50, 2;
    /// VXLAN group policy id.
    TUN_GBP_ID = 4 + 52, 2;
    /// VXLAN group policy flags.
    TUN_GBP_FLAGS = 4 + 54, 1;
    /// ERSPAN version.
    TUN_ERSPAN_VER = 4 + 55, 1;
    /// ERSPAN index.
    TUN_ERSPAN_IDX = 4 + 56, 4;
    /// ERSPAN direction.
    TUN_ERSPAN_DIR = 4 + 60, 1;
    /// ERSPAN hardware id.
    TUN_ERSPAN_HWID = 4 + 61, 1;
    /// GTP-U flags.
    TUN_GTPU_FLAGS = 4 + 62, 1;
    /// GTP-U message type.
    TUN_GTPU_MSGTYPE = 4 + 63, 1;

    /// The first register; register `n` follows `4 n` bytes on.
    REG0 = 9 + 0, 4;
    /// OpenFlow metadata.
    METADATA = 10 + 0, 8;
    /// Conjunction id.
    CONJ_ID = 10 + 8, 4;
    /// Output port of the action set.
    ACTSET_OUTPUT = 10 + 12, 4;
    /// Which tunnel metadata fields are present: bit `n` for `tun_metadataN`.
    TUN_METADATA_PRESENT = 10 + 16, 8;
}

/// First of the lanes with raw tunnel options.
pub const TUN_OPTIONS_LANE: usize = 5;
/// Bit of a TCI in a key that says the tag is there.
pub const VLAN_PRESENT: u16 = 0x1000;
/// `TUN_FLAGS`: the tunnel is Geneve, with or without options. No mask has this bit.
pub const TUN_FLAG_GENEVE: u16 = 0x10;
/// `NW_FRAG`: the packet is a fragment.
pub const FRAG_ANY: u8 = 1;
/// `NW_FRAG`: the packet is a fragment, and not the first.
pub const FRAG_LATER: u8 = 2;

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn no_two_values_share_a_byte() {
        let mut owner = std::collections::HashMap::new();
        for (name, place) in ALL {
            for byte in place.offset..place.offset + u16::from(place.len) {
                if let Some(other) = owner.insert(byte, name) {
                    panic!("{name} and {other} share byte {byte}");
                }
            }
        }
    }
}
