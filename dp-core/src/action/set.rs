//! Masked writes, one struct a header.
//!
//! Each holds a value and a mask of the same shape; bits that are clear in the mask stay as they
//! are. Values are as on the wire, addresses and numbers in their natural types. Executing one
//! keeps every checksum right that covers what it changes.

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::base::MacAddr;
use crate::packet::TunnelMeta;

/// A value and which of its bits to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Masked<T> {
    /// The bits to write; zero where the mask is.
    pub value: T,
    /// Which bits to write.
    pub mask: T,
}

/// Ethernet addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ethernet {
    /// Source.
    pub src: MacAddr,
    /// Destination.
    pub dst: MacAddr,
}

/// IPv4 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ipv4 {
    /// Source.
    pub src: Ipv4Addr,
    /// Destination.
    pub dst: Ipv4Addr,
    /// DSCP and ECN.
    pub tos: u8,
    /// Time to live.
    pub ttl: u8,
}

/// IPv6 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ipv6 {
    /// Source.
    pub src: Ipv6Addr,
    /// Destination.
    pub dst: Ipv6Addr,
    /// Flow label, 20 bits.
    pub label: u32,
    /// Traffic class.
    pub tclass: u8,
    /// Hop limit.
    pub hlimit: u8,
}

/// Ports of TCP, UDP or SCTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ports {
    /// Source.
    pub src: u16,
    /// Destination.
    pub dst: u16,
}

/// ICMP or ICMPv6 type and code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Icmp {
    /// Type.
    pub icmp_type: u8,
    /// Code.
    pub code: u8,
}

/// ARP over Ethernet and IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Arp {
    /// Operation.
    pub op: u16,
    /// Sender's protocol address.
    pub spa: Ipv4Addr,
    /// Target's protocol address.
    pub tpa: Ipv4Addr,
    /// Sender's hardware address.
    pub sha: MacAddr,
    /// Target's hardware address.
    pub tha: MacAddr,
}

/// Neighbour solicitation or advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nd {
    /// Target address.
    pub target: Ipv6Addr,
    /// Address in a source link-layer option, where there is one.
    pub sll: MacAddr,
    /// Address in a target link-layer option, where there is one.
    pub tll: MacAddr,
}

/// What else a neighbour solicitation or advertisement has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NdExt {
    /// The word behind the checksum: flags and reserved bits.
    pub reserved: u32,
    /// Type of the first option, where there is one.
    pub options_type: u8,
}

/// A masked write of one header, or of metadata.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Set {
    /// Ethernet addresses.
    Ethernet(Masked<Ethernet>),
    /// IPv4 header.
    Ipv4(Masked<Ipv4>),
    /// IPv6 header.
    Ipv6(Box<Masked<Ipv6>>),
    /// TCP ports.
    Tcp(Masked<Ports>),
    /// UDP ports.
    Udp(Masked<Ports>),
    /// SCTP ports.
    Sctp(Masked<Ports>),
    /// ICMP type and code.
    Icmp(Masked<Icmp>),
    /// ICMPv6 type and code.
    Icmpv6(Masked<Icmp>),
    /// ARP.
    Arp(Box<Masked<Arp>>),
    /// Neighbour discovery.
    Nd(Box<Masked<Nd>>),
    /// The reserved word of neighbour discovery, and the type of its first option.
    NdExt(Masked<NdExt>),
    /// The outer tag's TCI, present bit aside.
    Vlan(Masked<u16>),
    /// The outermost MPLS label stack entry.
    Mpls(Masked<u32>),
    /// Network service header.
    Nsh(Box<Masked<super::nsh::Key>>),
    /// What a tunnel that the packet is put into says of it; whole.
    Tunnel(Box<TunnelMeta>),
    /// Packet mark.
    PktMark(Masked<u32>),
    /// Queueing priority.
    SkbPriority(Masked<u32>),
}
