#!/usr/bin/env python3
"""Joins a host's interface to a trunk: untagged on one side, VLAN-tagged on the other.

    tagger.py HOST_INTERFACE TRUNK_INTERFACE TPID:VID:PCP[,TPID:VID:PCP]

It is a VLAN device made of two raw sockets, for kernels without 802.1Q: what the host sends goes to
the trunk with the tags (outermost first), what the trunk brings with exactly these tags goes to the
host without them. It prints `ready` once it forwards.
"""

import select
import socket
import struct
import sys

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_AUXDATA = 8
PACKET_IGNORE_OUTGOING = 23
VLAN_VALID = 1 << 4
TPID_VALID = 1 << 6
TPIDS = (b"\x81\x00", b"\x88\xa8")


def raw_socket(interface):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    sock.bind((interface, ETH_P_ALL))
    # Promiscuous: the host's addresses are not the interface's own.
    index = socket.if_nametoindex(interface)
    sock.setsockopt(SOL_PACKET, 1, struct.pack("iHH8s", index, 1, 0, b""))
    return sock


def receive(sock):
    """One frame, with the tag that the kernel has taken out put back."""
    frame, ancillary, _, _ = sock.recvmsg(65536, socket.CMSG_SPACE(20))
    for level, kind, data in ancillary:
        if (level, kind) != (SOL_PACKET, PACKET_AUXDATA) or len(data) < 20:
            continue
        status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", data[:20])
        if status & VLAN_VALID:
            tpid = tpid if status & TPID_VALID else 0x8100
            frame = frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
    return frame


def main():
    host_name, trunk_name, text = sys.argv[1:]
    tags = b""
    for tag in text.split(","):
        tpid, vid, pcp = (int(number, 0) for number in tag.split(":"))
        tags += struct.pack("!HH", tpid, pcp << 13 | vid)
    host, trunk = raw_socket(host_name), raw_socket(trunk_name)
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select([host, trunk], [], [])
        if host in readable:
            frame = receive(host)
            trunk.send(frame[:12] + tags + frame[12:])
        if trunk in readable:
            frame = receive(trunk)
            rest = frame[12 + len(tags):]
            if frame[12:12 + len(tags)] == tags and rest[:2] not in TPIDS:
                host.send(frame[:12] + rest)


if __name__ == "__main__":
    main()
