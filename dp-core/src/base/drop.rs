//! Why packets are dropped: one enum, one counter per reason and thread.
//!
//! A packet never vanishes without one of these. Names follow the field's (`datapath_drop_*`,
//! `drop_action_*`) where it has one.

use core::fmt;

use crate::sync::Counter;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a packet was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl DropReason {
            /// Every reason, in the order of their counters.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name of its counter.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it means, for a person.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    /// The frame is shorter than an Ethernet header.
    RxTooShort = "datapath_drop_rx_invalid_packet",
    /// The frame ends inside a VLAN tag.
    RxVlanTag = "datapath_drop_rx_vlan_tag",
    /// The IPv4 header is cut off, of another version, or lies about its own length.
    RxIpv4Header = "datapath_drop_rx_ipv4_header",
    /// The IPv4 total length is larger than the frame.
    RxIpv4Length = "datapath_drop_rx_ipv4_length",
    /// The IPv6 header is cut off or of another version.
    RxIpv6Header = "datapath_drop_rx_ipv6_header",
    /// The IPv6 payload length is larger than the frame.
    RxIpv6Length = "datapath_drop_rx_ipv6_length",
    /// An IPv6 extension header reaches beyond the packet, or there are too many.
    RxIpv6Extension = "datapath_drop_rx_ipv6_extension",
    /// The datagram ends inside its transport header.
    RxL4Header = "datapath_drop_rx_l4_header",
    /// The TCP data offset is below 5 or points beyond the segment.
    RxTcpOffset = "datapath_drop_rx_tcp_offset",
    /// The UDP length is below 8 or larger than the datagram.
    RxUdpLength = "datapath_drop_rx_udp_length",
    /// The frame ends inside the ARP packet.
    RxArp = "datapath_drop_rx_arp",
    /// A neighbour discovery option is of length 0, too long or repeated.
    RxNdOption = "datapath_drop_rx_nd_option",
    /// The frame ends before the bottom of its MPLS label stack.
    RxMpls = "datapath_drop_rx_mpls",
    /// The NSH is cut off, of another version, or lies about its length.
    RxNsh = "datapath_drop_rx_nsh",
    /// The frame is larger than the buffers of the port it entered by.
    RxOversize = "datapath_drop_rx_oversize",
    /// More came in by the port than its policing allows.
    RxPoliced = "datapath_drop_rx_policed",
    /// No megaflow matched and there is no slow path, or it had no room or no answer.
    UpcallError = "datapath_drop_upcall_error",
    /// No megaflow matched, and translating more of the port's packets would starve established flows.
    UpcallOverload = "datapath_drop_upcall_overload",
    /// What came to the end of a tunnel is no packet of that tunnel.
    TunnelPopError = "datapath_drop_tunnel_pop_error",
    /// A packet in a tunnel ends inside the tunnel's headers, or they claim more than there is.
    TunnelPopTruncated = "datapath_drop_tunnel_pop_truncated",
    /// The outer checksum of a packet in a tunnel is wrong.
    TunnelPopChecksum = "datapath_drop_tunnel_pop_checksum",
    /// The options or extension headers of a tunnel header do not fill their room.
    TunnelPopOptions = "datapath_drop_tunnel_pop_options",
    /// A packet could not be put into a tunnel: no headroom, too large, or still to be segmented.
    TunnelPushError = "datapath_drop_tunnel_push_error",
    /// The tunnel port does not exist in the datapath.
    InvalidTunnelPort = "datapath_drop_invalid_tnl_port",
    /// The packet met congestion in a tunnel and is not of those that can tell of it.
    Congestion = "drop_action_congestion",
    /// No tunnel port takes the packet that came out of a tunnel.
    InvalidTunnelMetadata = "drop_action_invalid_tunnel_metadata",
    /// There is no route to the other end of the tunnel.
    TunnelRoutingFailed = "drop_action_tunnel_routing_failed",
    /// The neighbour towards the other end of the tunnel is not known yet.
    TunnelNeighbourMiss = "drop_action_tunnel_neigh_cache_miss",
    /// The packet waited for the neighbour towards the other end of the tunnel, which did not answer.
    TunnelNeighbourSilent = "drop_action_tunnel_neigh_silent",
    /// As many packets as may wait for neighbours of tunnels are waiting already.
    TunnelNeighbourQueueFull = "drop_action_tunnel_neigh_queue_full",
    /// The tunnel's headers cannot be made for this packet.
    TunnelHeaderBuildFailed = "drop_action_tunnel_header_build_failed",
    /// The packet was to be routed, and its time to live is over.
    RoutedTtlExpired = "drop_action_routed_ttl_expired",
    /// The packet was to be routed, and is not of IP.
    RoutedNotIp = "drop_action_routed_not_ip",
    /// The packet asks from outside for a router's address that is not to be asked for there.
    RouterAsked = "drop_action_router_asked",
    /// The flow's action list is empty: the flow tables said drop.
    Explicit = "drop_action_of_pipeline",
    /// Translation gave up: resubmits nested too deeply.
    RecursionTooDeep = "drop_action_recursion_too_deep",
    /// Translation gave up: too many resubmits in all.
    TooManyResubmits = "drop_action_too_many_resubmit",
    /// Translation gave up: too much was pushed onto the stack.
    StackTooDeep = "drop_action_stack_too_deep",
    /// Translation gave up: the packet would have more MPLS labels than a key has room for.
    TooManyMplsLabels = "drop_action_too_many_mpls_labels",
    /// Translation gave up: a header cannot be put on such a packet.
    UnsupportedPacketType = "drop_action_unsupported_packet_type",
    /// The packet's in_port belongs to no bridge.
    BridgeNotFound = "drop_action_bridge_not_found",
    /// The packet would have recirculated more often than the limit.
    RecircLimit = "datapath_drop_recirc_error",
    /// A recirculation id that nobody holds any more.
    NoRecircContext = "drop_action_no_recirculation_context",
    /// The output port does not exist.
    InvalidPort = "datapath_drop_invalid_port",
    /// The output port is down, gone or refused the frame.
    TxFailure = "datapath_drop_tx_failure",
    /// The output port's transmit queue is full.
    TxQueueFull = "datapath_drop_tx_queue_full",
    /// The frame is larger than the output port's MTU allows.
    TxOversize = "datapath_drop_tx_oversize",
    /// More would leave by the port than its policer allows.
    TxPoliced = "datapath_drop_tx_policed",
    /// The queue of the port's shaper is full.
    TxShaperFull = "datapath_drop_tx_shaper_full",
    /// No buffer could be had to copy the packet for a further output.
    NoBuffer = "datapath_drop_no_buffer",
    /// An action needs a header that the packet does not have, or room that it lacks.
    ActionError = "datapath_drop_action_error",
    /// Lists of actions inside lists of actions, nested more deeply than allowed.
    NestedTooDeep = "datapath_drop_nested_action",
    /// A meter says that there are too many.
    Meter = "datapath_drop_meter",
    /// A bond that does not exist, or has no member for the packet's hash.
    InvalidBond = "datapath_drop_invalid_bond",
    /// What a network service header carries cannot be told, or there is no such header.
    NshDecap = "datapath_drop_nsh_decap_error",
    /// No address and port was free to translate the packet's new connection to.
    NatExhausted = "drop_action_nat_exhausted",
    /// The packet's new connection was not entered: there are too many, and such packets are to be dropped.
    ConntrackFull = "drop_action_conntrack_full",
    /// The same, since the connection's zone has too many.
    ConntrackZoneFull = "drop_action_conntrack_zone_full",
    /// Fragments that waited too long for the rest of their datagram.
    FragmentExpired = "drop_action_fragment_expired",
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One counter per [`DropReason`]; written by one thread, read by any.
#[derive(Debug)]
pub struct DropCounters([Counter; DropReason::ALL.len()]);

impl Default for DropCounters {
    fn default() -> Self {
        Self([const { Counter::new(0) }; DropReason::ALL.len()])
    }
}

impl DropCounters {
    /// Counts `packets` drops; for the owning thread.
    #[inline]
    pub fn add(&self, reason: DropReason, packets: u64) {
        if let Some(counter) = self.0.get(reason as usize) {
            counter.add(packets);
        }
    }

    /// How many packets were dropped for this reason.
    #[must_use]
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0.get(reason as usize).map_or(0, Counter::get)
    }

    /// All reasons with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|&reason| (reason, self.get(reason)))
    }

    /// Drops in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{DropCounters, DropReason};

    #[test]
    fn each_reason_has_its_own_name_and_counter() {
        let counters = DropCounters::default();
        for (index, &reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(reason as usize, index);
            assert!(!reason.meaning().is_empty());
            counters.add(reason, index as u64 + 1);
        }
        for (index, &reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(counters.get(reason), index as u64 + 1);
            let same = DropReason::ALL.iter().filter(|other| other.name() == reason.name());
            assert_eq!(same.count(), 1, "{reason}");
        }
    }
}
