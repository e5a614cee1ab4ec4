//! Masked set of transport headers: the ports of TCP, UDP and SCTP, type and code of ICMP.

use super::bytes::{read, splice, write};
use super::transport::{ICMP, ICMPV6, SCTP, TCP, Transport, UDP, transport};
use crate::action::set::{Icmp, Masked, Ports};
use crate::packet::Packet;
use crate::wire::checksum::crc32c;

/// Writes the ports of TCP. `None`: no TCP header, or one whose length cannot be.
pub(super) fn set_tcp(packet: &mut Packet, set: &Masked<Ports>) -> Option<()> {
    const OFFSET: usize = 12;
    let tcp = transport_of(packet, TCP)?;
    let [offset]: [u8; 1] = read(packet.data(), tcp.l4 + OFFSET)?;
    let header = usize::from(offset >> 4) * 4;
    if header < 20 || tcp.l4 + header > end_of_datagram(packet, tcp)? {
        return None;
    }
    ports(packet, tcp, tcp.l4 + 16, set)
}

/// Writes the ports of UDP; a checksum of zero stays. `None`: no UDP header.
pub(super) fn set_udp(packet: &mut Packet, set: &Masked<Ports>) -> Option<()> {
    let udp = transport_of(packet, UDP)?;
    ports(packet, udp, udp.l4 + 6, set)
}

/// Writes the ports of SCTP (RFC 9260). A wrong checksum stays as wrong as it was. `None`: no SCTP
/// header, or no whole datagram.
pub(super) fn set_sctp(packet: &mut Packet, set: &Masked<Ports>) -> Option<()> {
    const CHECKSUM: usize = 8;
    let sctp = transport_of(packet, SCTP)?;
    let end = end_of_datagram(packet, sctp)?;
    let segment = packet.data_mut().get_mut(sctp.l4..end)?;
    let stored: [u8; 4] = read(segment, CHECKSUM)?;
    write(segment, CHECKSUM, [0; 4])?;
    let before = crc32c(segment).to_le_bytes();
    splice(segment, 0, bytes(set.value), bytes(set.mask))?;
    let after = crc32c(segment).to_le_bytes();
    let mut sum = stored;
    for ((byte, before), after) in sum.iter_mut().zip(before).zip(after) {
        *byte ^= before ^ after;
    }
    write(segment, CHECKSUM, sum)
}

/// Writes type and code of ICMP. `None`: no ICMP header.
pub(super) fn set_icmp(packet: &mut Packet, set: &Masked<Icmp>) -> Option<()> {
    let icmp = transport_of(packet, ICMP)?;
    type_and_code(packet, icmp, set)
}

/// Writes type and code of ICMPv6. `None`: no ICMPv6 header.
pub(super) fn set_icmpv6(packet: &mut Packet, set: &Masked<Icmp>) -> Option<()> {
    let icmp = transport_of(packet, ICMPV6)?;
    type_and_code(packet, icmp, set)
}

fn transport_of(packet: &Packet, proto: u8) -> Option<Transport> {
    transport(packet).filter(|found| found.proto == proto)
}

fn ports(
    packet: &mut Packet,
    header: Transport,
    checksum_at: usize,
    set: &Masked<Ports>,
) -> Option<()> {
    packet.data().get(checksum_at..checksum_at + 2)?;
    let change = splice(packet.data_mut(), header.l4, bytes(set.value), bytes(set.mask))?;
    header.changed(packet, checksum_at, &change)
}

fn type_and_code(packet: &mut Packet, header: Transport, set: &Masked<Icmp>) -> Option<()> {
    packet.data().get(header.l4..header.l4 + 4)?;
    let value = [set.value.icmp_type, set.value.code];
    let mask = [set.mask.icmp_type, set.mask.code];
    let change = splice(packet.data_mut(), header.l4, value, mask)?;
    header.changed(packet, header.l4 + 2, &change)
}

fn bytes(ports: Ports) -> [u8; 4] {
    let ([a, b], [c, d]) = (ports.src.to_be_bytes(), ports.dst.to_be_bytes());
    [a, b, c, d]
}

/// Where the IP datagram ends, padding aside.
fn end_of_datagram(packet: &Packet, header: Transport) -> Option<usize> {
    let frame = packet.data();
    let length = |at: usize| Some(usize::from(u16::from_be_bytes(read(frame, at)?)));
    let end = match frame.get(header.l3)? >> 4 {
        4 => header.l3 + length(header.l3 + 2)?,
        _ => header.l3 + 40 + length(header.l3 + 4)?,
    };
    (end <= frame.len()).then_some(end)
}
