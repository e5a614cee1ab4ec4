//! In which ways a frame can contradict itself.

use crate::base::DropReason;

/// Why a frame could not be parsed to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Malformed {
    /// Shorter than an Ethernet header: there is no key.
    TooShort,
    /// The frame ends inside a VLAN tag.
    VlanTag,
    /// The IPv4 header is cut off, not of version 4, or says that it is shorter than 20 bytes or
    /// longer than the datagram.
    Ipv4Header,
    /// The IPv4 total length is larger than the frame.
    Ipv4Length,
    /// The IPv6 header is cut off or not of version 6.
    Ipv6Header,
    /// The IPv6 payload length is larger than the frame.
    Ipv6Length,
    /// An IPv6 extension header reaches beyond the packet, or there are too many.
    Ipv6Extension,
    /// The datagram ends inside its transport header.
    L4Header,
    /// The TCP data offset is below 5 or points beyond the segment.
    TcpOffset,
    /// The UDP length is below 8 or larger than the datagram.
    UdpLength,
    /// The frame ends inside the ARP packet.
    Arp,
    /// A neighbour discovery option is of length 0, reaches beyond the packet, or is repeated.
    NdOption,
    /// The frame ends before the bottom of its MPLS label stack.
    Mpls,
    /// The NSH is cut off, of another version, or lies about its length.
    Nsh,
}

impl Malformed {
    /// Every kind.
    pub const ALL: &[Self] = &[
        Self::TooShort,
        Self::VlanTag,
        Self::Ipv4Header,
        Self::Ipv4Length,
        Self::Ipv6Header,
        Self::Ipv6Length,
        Self::Ipv6Extension,
        Self::L4Header,
        Self::TcpOffset,
        Self::UdpLength,
        Self::Arp,
        Self::NdOption,
        Self::Mpls,
        Self::Nsh,
    ];

    /// The reason under which such a packet is dropped, where it is.
    #[must_use]
    pub const fn drop_reason(self) -> DropReason {
        match self {
            Self::TooShort => DropReason::RxTooShort,
            Self::VlanTag => DropReason::RxVlanTag,
            Self::Ipv4Header => DropReason::RxIpv4Header,
            Self::Ipv4Length => DropReason::RxIpv4Length,
            Self::Ipv6Header => DropReason::RxIpv6Header,
            Self::Ipv6Length => DropReason::RxIpv6Length,
            Self::Ipv6Extension => DropReason::RxIpv6Extension,
            Self::L4Header => DropReason::RxL4Header,
            Self::TcpOffset => DropReason::RxTcpOffset,
            Self::UdpLength => DropReason::RxUdpLength,
            Self::Arp => DropReason::RxArp,
            Self::NdOption => DropReason::RxNdOption,
            Self::Mpls => DropReason::RxMpls,
            Self::Nsh => DropReason::RxNsh,
        }
    }
}
