#!/usr/bin/python3
"""Packets of scapy's making, each with a field of a known value: prints `FIELD VALUE PACKET`, the value
and the packet in hexadecimal, a line for each field of packet headers that a switch matches on."""

from scapy.contrib.mpls import MPLS
from scapy.contrib.nsh import NSH
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.sctp import SCTP
from scapy.packet import Raw

SRC, DST = "02:12:34:56:78:9a", "02:fe:dc:ba:98:76"
LINK = Ether(src=SRC, dst=DST)
V4 = LINK / IP(src="192.0.2.77", dst="198.51.100.88", tos=0xb9, ttl=77, id=3)
V6 = LINK / IPv6(src="2001:db8::77:1", dst="2001:db8::88:2", tc=0xb9, hlim=78, fl=0xabcde)
TCP4 = V4 / TCP(sport=4660, dport=22136, flags=0x152)
UDP6 = V6 / UDP(sport=4661, dport=22137)
SCTP4 = V4 / SCTP(sport=4662, dport=22138, tag=1)
SOLICIT = V6 / ICMPv6ND_NS(tgt="fe80::12:34", res=0x1234567) / ICMPv6NDOptSrcLLAddr(lladdr=SRC)
ADVERT = V6 / ICMPv6ND_NA(tgt="fe80::12:35", R=1, S=0, O=1, res=0x1) / ICMPv6NDOptDstLLAddr(lladdr=DST)
TAGGED = LINK / Dot1Q(vlan=0x5a5, prio=5) / IP()
LABEL = Ether(src=SRC, dst=DST, type=0x8847) / MPLS(label=0x9abcd, cos=5, s=1, ttl=99) / Raw(b"x" * 40)
SERVICE = Ether(src=SRC, dst=DST, type=0x894F) / NSH(
    oam=1, mdtype=1, nextproto=3, ttl=45, spi=0x9abcde, si=0xfe,
    context_header=bytes.fromhex("112233445566778899aabbccddeeff01")) / LINK / IP()
QUESTION = LINK / ARP(op=1, psrc="192.0.2.99", pdst="198.51.100.66", hwsrc=SRC, hwdst=DST)


def address(text):
    if ":" not in text:
        return int.from_bytes(bytes(int(part) for part in text.split(".")), "big")
    if len(text) == 17:
        return int(text.replace(":", ""), 16)
    head, _, tail = text.partition("::")
    words = [int(word, 16) for word in head.split(":")]
    last = [int(word, 16) for word in tail.split(":")]
    words += [0] * (8 - len(words) - len(last)) + last
    return int("".join(f"{word:04x}" for word in words), 16)


ROWS = [
    ("eth_src", address(SRC), LINK / IP()),
    ("eth_dst", address(DST), LINK / IP()),
    ("eth_type", 0x88cc, Ether(src=SRC, dst=DST, type=0x88cc) / Raw(b"x" * 46)),
    ("vlan_tci", 0xb5a5, TAGGED),
    ("dl_vlan", 0x5a5, TAGGED),
    ("vlan_vid", 0x5a5, TAGGED),
    ("dl_vlan_pcp", 5, TAGGED),
    ("vlan_pcp", 5, TAGGED),
    ("mpls_label", 0x9abcd, LABEL),
    ("mpls_tc", 5, LABEL),
    ("mpls_bos", 1, LABEL),
    ("mpls_ttl", 99, LABEL),
    ("ip_src", address("192.0.2.77"), TCP4),
    ("ip_dst", address("198.51.100.88"), TCP4),
    ("ipv6_src", address("2001:db8::77:1"), UDP6),
    ("ipv6_dst", address("2001:db8::88:2"), UDP6),
    ("ipv6_label", 0xabcde, UDP6),
    ("nw_proto", 6, TCP4),
    ("nw_tos", 0xb8, TCP4),
    ("ip_dscp", 0x2e, UDP6),
    ("nw_ecn", 1, UDP6),
    ("nw_ttl", 78, UDP6),
    ("ip_frag", 3, LINK / IP(frag=9, proto=17) / Raw(b"x" * 40)),
    ("arp_op", 1, QUESTION),
    ("arp_spa", address("192.0.2.99"), QUESTION),
    ("arp_tpa", address("198.51.100.66"), QUESTION),
    ("arp_sha", address(SRC), QUESTION),
    ("arp_tha", address(DST), QUESTION),
    ("tcp_src", 4660, TCP4),
    ("tcp_dst", 22136, TCP4),
    ("tcp_flags", 0x152, TCP4),
    ("udp_src", 4661, UDP6),
    ("udp_dst", 22137, UDP6),
    ("sctp_src", 4662, SCTP4),
    ("sctp_dst", 22138, SCTP4),
    ("icmp_type", 8, V4 / ICMP(type=8, code=3)),
    ("icmp_code", 3, V4 / ICMP(type=8, code=3)),
    ("icmpv6_type", 128, V6 / ICMPv6EchoRequest(code=7)),
    ("icmpv6_code", 7, V6 / ICMPv6EchoRequest(code=7)),
    ("nd_target", address("fe80::12:34"), SOLICIT),
    ("nd_sll", address(SRC), SOLICIT),
    ("nd_tll", address(DST), ADVERT),
    ("nd_reserved", 0x1234567, SOLICIT),
    ("nd_reserved", 0xa0000001, ADVERT),
    ("nd_options_type", 1, SOLICIT),
    ("nd_options_type", 2, ADVERT),
    ("nsh_flags", 2, SERVICE),
    ("nsh_ttl", 45, SERVICE),
    ("nsh_mdtype", 1, SERVICE),
    ("nsh_np", 3, SERVICE),
    ("nsh_spi", 0x9abcde, SERVICE),
    ("nsh_si", 0xfe, SERVICE),
    ("nsh_c1", 0x11223344, SERVICE),
    ("nsh_c2", 0x55667788, SERVICE),
    ("nsh_c3", 0x99aabbcc, SERVICE),
    ("nsh_c4", 0xddeeff01, SERVICE),
]

for name, value, packet in ROWS:
    print(f"{name} {value:x} {bytes(packet).hex()}")
