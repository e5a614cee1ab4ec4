#!/usr/bin/python3
"""Judges what actions made of packets: builds the expected packet with scapy and compares the bytes.

Reads lines `CASE INPUT OUTPUT` (packets as hexadecimal octets) and prints a line for each that is
not as it should be. Lengths and checksums of the expected packet are scapy's own.
"""

import sys
from ipaddress import IPv6Address

from scapy.contrib.mpls import MPLS
from scapy.contrib.nsh import NSH
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6,
)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.layers.sctp import SCTP
from scapy.packet import Raw


def fresh(packet):
    """Lets scapy take all checksums anew, but for UDP's where there is none, and for what an ICMP
    message quotes."""
    layer = packet
    while layer and "error" not in type(layer).__name__:
        for name in ("chksum", "cksum"):
            if name in layer.fields and not (isinstance(layer, UDP) and layer.chksum == 0):
                layer.delfieldval(name)
        layer = layer.payload
    return bytes(packet)


def changed(layer, **fields):
    def make(octets):
        packet = Ether(octets)
        for name, value in fields.items():
            setattr(packet[layer], name, value)
        return fresh(packet)
    return make


def tagged(kind, vlan, prio):
    def make(octets):
        packet = Ether(octets)
        inner = packet.payload
        outer = Ether(src=packet.src, dst=packet.dst, type=0x8100 if kind is Dot1Q else 0x88A8)
        tag = kind(vlan=vlan, prio=prio, type=packet.type)
        return bytes(outer / tag) + bytes(inner) + padding(octets, packet)
    return make


def padding(octets, packet):
    built = len(bytes(packet))
    return octets[built:]


def untagged(octets):
    packet = Ether(octets)
    return bytes(Ether(src=packet.src, dst=packet.dst, type=packet[Dot1Q].type)) + octets[18:]


def labelled(octets):
    packet = Ether(octets)
    outer = Ether(src=packet.src, dst=packet.dst, type=0x8847)
    return bytes(outer / MPLS(label=77, cos=3, s=1, ttl=63)) + octets[14:]


def relabelled(octets):
    packet = Ether(octets)
    outer = Ether(src=packet.src, dst=packet.dst, type=0x8847)
    return bytes(outer / MPLS(label=78, cos=1, s=1, ttl=9)) + octets[14:]


def served(octets):
    header = NSH(oam=1, mdtype=1, nextproto=3, ttl=5, spi=0x4321, si=254,
                 context_header=bytes.fromhex("112233440000007700000000" + "0000bbaa"))
    return bytes(header) + octets


def prefixed(text):
    return str(IPv6Address(0x20010db8 << 96 | int(IPv6Address(text)) & (1 << 96) - 1))


def in_front(octets):
    return bytes(MPLS(label=77, cos=3, s=1, ttl=63)) + octets


def service(octets):
    header = NSH(mdtype=1, nextproto=3, ttl=63, spi=0x1234, si=255,
                 context_header=bytes.fromhex("112233440000000000000000000000aa"))
    return bytes(header) + octets


def solicited(octets):
    packet = Ether(octets)
    packet[ICMPv6ND_NS].tgt = "fd00::77"
    packet[ICMPv6NDOptSrcLLAddr].lladdr = "02:00:00:00:00:99"
    return fresh(packet)


def extended(octets):
    packet = Ether(octets)
    packet[ICMPv6ND_NS].res = 0x60000001
    packet[ICMPv6NDOptSrcLLAddr].type = 2
    return fresh(packet)


IPV4 = dict(src="192.0.2.7", dst="198.51.100.9", tos=0x28, ttl=9)
CASES = {
    "eth": lambda octets: bytes(Ether(src="aa:bb:cc:dd:ee:ff", dst="02:00:00:00:00:77",
                                      type=int.from_bytes(octets[12:14], "big"))) + octets[14:],
    "ipv4": changed(IP, **IPV4),
    "ipv6": changed(IPv6, src="2001:db8::7", dst="2001:db8::9", tc=0x70, hlim=3, fl=0x12345),
    "tcp": changed(TCP, sport=4444, dport=5555),
    "udp": changed(UDP, sport=4444, dport=5555),
    "sctp": changed(SCTP, sport=4444, dport=5555),
    "icmp": changed(ICMP, type=8, code=1),
    "icmpv6": changed(ICMPv6EchoRequest, code=1),
    "arp": changed(ARP, psrc="10.9.9.9", pdst="10.9.9.8", hwsrc="02:00:00:00:00:77", op=2),
    "nd": solicited,
    "nd_ext": extended,
    "push_vlan": tagged(Dot1Q, 7, 2),
    "push_svlan": tagged(Dot1AD, 9, 0),
    "pop_vlan": untagged,
    "push_mpls": labelled,
    "pop_mpls": lambda octets: octets,
    "add_mpls": in_front,
    "set_vlan": lambda octets: bytes(
        Ether(src=Ether(octets).src, dst=Ether(octets).dst, type=0x8100)
        / Dot1Q(vlan=99, prio=1, id=octets[14] >> 4 & 1, type=int.from_bytes(octets[16:18], "big"))
    ) + octets[18:],
    "set_mpls": lambda octets: relabelled(octets),
    "set_nsh": lambda octets: served(octets),
    "eth_masked": lambda octets: bytes(Ether(
        src="aa:bb:cc" + Ether(octets).src[8:], dst=Ether(octets).dst,
        type=int.from_bytes(octets[12:14], "big"))) + octets[14:],
    "ipv4_masked": lambda octets: changed(
        IP, src="10." + Ether(octets)[IP].src.split(".", 1)[1],
        tos=0x8c | Ether(octets)[IP].tos & 3)(octets),
    "ipv6_masked": lambda octets: changed(
        IPv6, dst=prefixed(Ether(octets)[IPv6].dst),
        fl=0x300 | Ether(octets)[IPv6].fl & 0xff0ff)(octets),
    "tcp_masked": lambda octets: changed(
        TCP, dport=80 | Ether(octets)[TCP].dport & 0xff00)(octets),
    "udp_masked": lambda octets: changed(
        UDP, sport=0x1200 | Ether(octets)[UDP].sport & 0xff)(octets),
    "nothing": lambda octets: octets,
    "pop_eth": lambda octets: octets[14:],
    "push_eth": lambda octets: bytes(Ether(src="02:00:00:00:00:05", dst="02:00:00:00:00:06",
                                           type=Ether(octets).type)) + octets[14:],
    "push_nsh": service,
    "nsh_in_eth": lambda octets: bytes(Ether(src="02:00:00:00:00:05", dst="02:00:00:00:00:06",
                                             type=0x894F)) + service(octets),
    "pop_nsh": lambda octets: octets,
    "trunc": lambda octets: octets[:40],
    "dec_ttl": lambda octets: changed(IP, ttl=Ether(octets)[IP].ttl - 1)(octets),
    "clone": lambda octets: octets,
}



SEGMENT = 100


def segment(octets, number):
    """The segment of this number of what its sender left to be cut."""
    packet = Ether(octets)
    last = (number + 1) * SEGMENT >= len(bytes(packet[TCP].payload))
    part = bytes(packet[TCP].payload)[number * SEGMENT:(number + 1) * SEGMENT]
    packet[TCP].remove_payload()
    packet[TCP].add_payload(Raw(part))
    packet[TCP].seq = packet[TCP].seq + number * SEGMENT
    if not last:
        packet[TCP].flags = packet[TCP].flags & ~0x09
    if number:
        packet[TCP].flags = packet[TCP].flags & ~0x80
    if IP in packet:
        packet[IP].id = packet[IP].id + number
        packet[IP].delfieldval("len")
    else:
        packet[IPv6].delfieldval("plen")
    return fresh(packet)


def expectation(case, octets):
    """`CASE`, or `CASE/NUMBER` for one segment of a packet."""
    name, _, number = case.partition("/")
    return CASES[name](segment(octets, int(number)) if number else octets)


def main():
    judged = wrong = 0
    for line in sys.stdin:
        case, before, after = line.split()
        before, after = bytes.fromhex(before), bytes.fromhex(after)
        try:
            expected = expectation(case, before)
        except (IndexError, AttributeError) as error:
            expected = repr(error).encode()
        judged += 1
        if expected != after:
            wrong += 1
            print(f"{case}: {before.hex()}\n expected {expected.hex()}\n got      {after.hex()}")
    print(f"{judged} judged, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
