//! What IPv4 and IPv6 share: the protocol numbers.

use super::layout::codes;

codes! {
    /// A number of the IANA registry "Assigned Internet Protocol Numbers": the `protocol` of an
    /// IPv4 header, the `next header` of an IPv6 or extension header.
    Protocol(u8) {
        /// IPv6 hop-by-hop options (RFC 8200 section 4.3).
        HOP_BY_HOP = 0;
        /// ICMP (RFC 792).
        ICMP = 1;
        /// IGMP (RFC 3376).
        IGMP = 2;
        /// IPv4 in IP (RFC 2003).
        IPIP = 4;
        /// TCP (RFC 9293).
        TCP = 6;
        /// UDP (RFC 768).
        UDP = 17;
        /// IPv6 in IP (RFC 2473).
        IPV6 = 41;
        /// IPv6 routing header (RFC 8200 section 4.4).
        IPV6_ROUTING = 43;
        /// IPv6 fragment header (RFC 8200 section 4.5).
        IPV6_FRAGMENT = 44;
        /// GRE (RFC 2784).
        GRE = 47;
        /// Encapsulating security payload (RFC 4303).
        ESP = 50;
        /// Authentication header (RFC 4302).
        AH = 51;
        /// ICMPv6 (RFC 4443).
        ICMPV6 = 58;
        /// Nothing follows (RFC 8200 section 4.7).
        NO_NEXT_HEADER = 59;
        /// IPv6 destination options (RFC 8200 section 4.6).
        IPV6_DESTINATION = 60;
        /// SCTP (RFC 9260).
        SCTP = 132;
        /// IPv6 mobility header (RFC 6275).
        MOBILITY = 135;
        /// UDP-Lite (RFC 3828).
        UDP_LITE = 136;
        /// MPLS in IP (RFC 4023).
        MPLS = 137;
        /// Ethernet in SRv6 (RFC 8986).
        ETHERNET = 143;
    }
}
