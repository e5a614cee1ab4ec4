#!/usr/bin/python3
"""Reads frames in hexadecimal octets and prints the Geneve options that scapy finds in each:
`class:type:octets`, separated by blanks, after the tunnel's number."""

import sys

from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether

for line in sys.stdin:
    frame = Ether(bytes.fromhex(line))
    header = GENEVE(bytes(frame[UDP].payload))
    octets = bytes(frame[UDP].payload)[8:8 + 4 * header.optionlen]
    found = []
    while octets:
        length = 4 * (octets[3] & 0x1F)
        found.append(f"{octets[0] << 8 | octets[1]:#x}:{octets[2]:#x}:{octets[4:4 + length].hex()}")
        octets = octets[4 + length:]
    print(header.vni, *found)
