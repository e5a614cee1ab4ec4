#!/usr/bin/env python3
"""Records the bundled capture of mixed traffic, `examples/gateway/scenario/mixed.pcap`.

    record.py [FILE]          records and prints the census
    record.py --census FILE   prints the census of a capture

Every packet is sent by the kernel's own stack in a network namespace; nothing of the switch takes
part. Hosts hang on a Linux bridge, and what crosses it is captured whole on the bridge itself:

    a 10.0.0.1 fd00::1 ─┐
    b 10.0.0.2 fd00::2 ─┤
    c 10.0.0.3 fd00::3 ─┤ br0 ├─ tagger ─ d 10.10.0.1 fd10::1   VLAN 10, priority 3
    (router: 10.8, 10.9 │     ├─ tagger ─ e 10.10.0.2 fd10::2
     beyond)            │     ├─ tagger ─ f 10.20.0.1 fd20::1   VLAN 30 inside service VLAN 200
                        └─────┴─ tagger ─ g 10.20.0.2 fd20::2

Needs root, iproute2, ethtool, tcpdump, tshark, iputils-ping, iperf3 and bridge support in the kernel
(not 802.1Q). Takes about a minute.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
DEFAULT = HERE.parent.parent / "examples/gateway/scenario/mixed.pcap"
PACKETS = (2000, 5000)
MAX_SIZE = 1536 * 1024

# What the capture must hold: name and tshark display filter.
CENSUS = [
    ("ARP request", "arp.opcode == 1"),
    ("ARP reply", "arp.opcode == 2"),
    ("IPv4", "ip"),
    ("IPv6", "ipv6"),
    ("IPv4 fragment", "ip.flags.mf == 1 || ip.frag_offset > 0"),
    ("IPv6 fragment", "ipv6.fraghdr"),
    ("ICMP echo", "icmp.type == 8 || icmp.type == 0"),
    ("ICMP unreachable", "icmp.type == 3"),
    ("ICMP time exceeded", "icmp.type == 11"),
    ("ICMPv6 echo", "icmpv6.type == 128 || icmpv6.type == 129"),
    ("ICMPv6 unreachable", "icmpv6.type == 1"),
    ("ICMPv6 time exceeded", "icmpv6.type == 3"),
    ("neighbor solicitation", "icmpv6.type == 135"),
    ("neighbor advertisement", "icmpv6.type == 136"),
    ("router solicitation", "icmpv6.type == 133"),
    ("MLDv2 report", "icmpv6.type == 143"),
    ("IGMPv3 report", "igmp.type == 0x22"),
    ("IPv4 multicast data", "udp && ip.dst == 239.1.1.1"),
    ("IPv6 multicast data", "udp && ipv6.dst == ff12::101"),
    ("TCP", "tcp"),
    ("TCP connections opened", "tcp.flags.syn == 1 && tcp.flags.ack == 0"),
    ("TCP resets", "tcp.flags.reset == 1"),
    ("TCP over IPv6", "tcp && ipv6"),
    ("HTTP", "http"),
    ("iperf3 (TCP and UDP port 5201)", "tcp.port == 5201 || udp.port == 5201"),
    ("UDP", "udp && !icmp && !icmpv6"),
    ("DNS over IPv4", "dns && ip && !icmp"),
    ("DNS over IPv6", "dns && ipv6 && !icmpv6"),
    ("VLAN 10 (802.1Q, priority 3)", "vlan.id == 10 && vlan.priority == 3"),
    ("VLAN 200 outside VLAN 30 (802.1ad)", "ieee8021ad.id == 200 && vlan.id == 30"),
    ("tagged ARP", "(vlan || ieee8021ad) && arp"),
    ("tagged ICMP", "(vlan || ieee8021ad) && icmp"),
    ("tagged ICMPv6", "(vlan || ieee8021ad) && icmpv6"),
    ("tagged TCP", "(vlan || ieee8021ad) && tcp"),
    ("tagged UDP", "(vlan || ieee8021ad) && udp && !icmp && !icmpv6"),
]

HOSTS = {
    "a": ("10.0.0.1/24", "fd00::1/64", None),
    "b": ("10.0.0.2/24", "fd00::2/64", None),
    "c": ("10.0.0.3/24", "fd00::3/64", None),
    "d": ("10.10.0.1/24", "fd10::1/64", "0x8100:10:3"),
    "e": ("10.10.0.2/24", "fd10::2/64", "0x8100:10:3"),
    "f": ("10.20.0.1/24", "fd20::1/64", "0x88a8:200:0,0x8100:30:5"),
    "g": ("10.20.0.2/24", "fd20::2/64", "0x88a8:200:0,0x8100:30:5"),
}


class Laboratory:
    """Namespaces and processes, all ended on leaving."""

    def __init__(self):
        self.prefix = f"dpcap{os.getpid()}"
        self.namespaces = []
        self.children = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            child.kill()
            child.wait()
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "delete", name], check=False)

    def add(self, name):
        name = self.name(name)
        run("ip", "netns", "add", name)
        self.namespaces.append(name)

    def name(self, name):
        return f"{self.prefix}{name}"

    def ip(self, name, *words):
        run("ip", "-n", self.name(name), *words)

    def exec(self, name, *words):
        return run("ip", "netns", "exec", self.name(name), *words)

    def start(self, name, *words, ready=True):
        command = ["ip", "netns", "exec", self.name(name), *words]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.children.append(child)
        if ready and child.stdout.readline() != "ready\n":
            raise SystemExit(f"{' '.join(words)}: did not start")
        return child

    def talk(self, name, *words):
        return self.exec(name, sys.executable, str(HERE / "talk.py"), *map(str, words))

    def serve(self, name, *words):
        return self.start(name, sys.executable, str(HERE / "talk.py"), *map(str, words))


def run(*words, check=True):
    result = subprocess.run(words, capture_output=True, text=True)
    if check and result.returncode:
        raise SystemExit(f"{' '.join(words)}: {result.stderr or result.stdout}")
    return result.stdout


def build(lab):
    """Hosts and bridge, all down still, so that the capture sees them come up."""
    lab.add("br")
    lab.ip("br", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
    # The bridge itself is nobody: it has no addresses and says nothing.
    lab.exec("br", "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    lab.exec("br", "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    for number, (host, (v4, v6, tags)) in enumerate(HOSTS.items(), 1):
        lab.add(host)
        lab.ip(host, "link", "add", "eth0", "type", "veth", "peer", "name", f"host-{host}", "netns", lab.name("br"))
        lab.ip(host, "link", "set", "eth0", "address", f"02:00:0a:00:00:{number:02x}")
        lab.ip(host, "link", "set", "lo", "up")
        port = f"host-{host}"
        if tags:
            # Room for two tags beyond what the hosts send.
            port = f"trunk-{host}"
            lab.ip("br", "link", "add", port, "mtu", "1600", "type", "veth", "peer", "name", f"tag-{host}", "mtu", "1600")
            lab.ip("br", "link", "set", f"tag-{host}", "up")
        lab.ip("br", "link", "set", port, "master", "br0")
        lab.ip("br", "link", "set", port, "up")
        lab.ip("br", "link", "set", f"host-{host}", "up")
        # Frames as a wire carries them: whole checksums, no segments larger than the MTU.
        for offload in ["tx", "tso", "gso", "gro"]:
            lab.exec(host, "ethtool", "-K", "eth0", offload, "off")
        if tags:
            lab.start("br", sys.executable, str(HERE / "tagger.py"), f"host-{host}", f"tag-{host}", tags)
    lab.ip("br", "link", "set", "br0", "up", "promisc", "on")
    lab.exec("c", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")


def come_up(lab):
    """Links up, addresses, routes: duplicate address detection, router solicitation, MLD."""
    for host, (v4, v6, _) in HOSTS.items():
        lab.ip(host, "link", "set", "eth0", "up")
        lab.ip(host, "address", "add", v4, "dev", "eth0")
        lab.ip(host, "address", "add", v6, "dev", "eth0")
    time.sleep(4)
    # Beyond the router: a network that it knows to be unreachable, and one that is a hop too far.
    for family, router, next_hop, unreachable, far in [
        ("-4", "10.0.0.3", "10.0.0.2", "10.9.0.0/24", "10.8.0.0/24"),
        ("-6", "fd00::3", "fd00::2", "fd09::/64", "fd08::/64"),
    ]:
        lab.ip("c", family, "route", "add", "unreachable", unreachable)
        lab.ip("c", family, "route", "add", far, "via", next_hop)
        for beyond in [unreachable, far]:
            lab.ip("a", family, "route", "add", beyond, "via", router)


def ping(lab, host, address, *words):
    lab.exec(host, "ping", "-n", "-i", "0.05", "-W", "5", *words, address)


def pings(lab):
    for host, address in [("a", "10.0.0.2"), ("a", "10.0.0.3"), ("b", "10.0.0.3"), ("d", "10.10.0.2"),
                          ("f", "10.20.0.2"), ("a", "fd00::2"), ("b", "fd00::3"), ("e", "fd10::1"), ("g", "fd20::1")]:
        ping(lab, host, address, "-c", "10")
    # Larger than the MTU: fragments in both families, tagged too.
    for host, address in [("a", "10.0.0.2"), ("c", "fd00::1"), ("d", "10.10.0.2"), ("d", "fd10::2"), ("f", "10.20.0.2")]:
        ping(lab, host, address, "-c", "5", "-s", "4000")
    # Just the MTU, not to be fragmented; and with a DSCP.
    ping(lab, "a", "10.0.0.2", "-c", "3", "-s", "1472", "-M", "do")
    ping(lab, "b", "fd00::1", "-c", "3", "-Q", "0xb8")
    # Refused by the router (these fail, which is what they are for).
    for address, hops in [("10.9.0.7", 64), ("fd09::7", 64), ("10.8.0.7", 1), ("fd08::7", 1)]:
        words = ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", "-t", str(hops), address]
        run("ip", "netns", "exec", lab.name("a"), *words, check=False)


def conversations(lab):
    lab.serve("b", "web_server", 80)
    lab.serve("e", "web_server", 80)
    lab.serve("g", "web_server", 80)
    lab.serve("c", "dns_server", 53)
    lab.serve("e", "dns_server", 53)
    lab.serve("c", "echo_server", 7)
    lab.serve("e", "echo_server", 7)
    # A background that runs through all that follows.
    background = [
        lab.start(host, "ping", "-n", "-q", "-i", "0.1", "-c", "60", address, ready=False)
        for host, address in [("c", "10.0.0.1"), ("c", "fd00::2"), ("e", "10.10.0.1")]
    ]
    lab.talk("a", "dns_client", "10.0.0.3", 53, 60)
    lab.talk("b", "dns_client", "fd00::3", 53, 60)
    lab.talk("d", "dns_client", "10.10.0.2", 53, 20)
    lab.talk("a", "web_client", "10.0.0.2", 80, 100, 1500, 60000)
    lab.talk("c", "web_client", "fd00::2", 80, 1, 40000)
    lab.talk("d", "web_client", "10.10.0.2", 80, 10, 20000)
    lab.talk("d", "web_client", "fd10::2", 80, 5000)
    lab.talk("f", "web_client", "10.20.0.2", 80, 10, 20000)
    lab.talk("a", "echo_clients", "10.0.0.3", 7, 50)
    lab.talk("b", "echo_clients", "fd00::3", 7, 40)
    lab.talk("d", "echo_clients", "10.10.0.2", 7, 10)
    for host, address in [("a", "10.0.0.2"), ("b", "fd00::1"), ("e", "10.10.0.1")]:
        lab.talk(host, "knock", address, 9)
    for group in ["239.1.1.1", "ff12::101"]:
        listener = lab.serve("b", "group_listener", group, 5000, "eth0", 5)
        # Reports are sent after a random delay, and repeated.
        time.sleep(1)
        lab.talk("a", "group_sender", group, 5000, "eth0", 5)
        if listener.wait(timeout=30):
            raise SystemExit(f"{group}: not all heard")
    for child in background:
        child.wait(timeout=60)


def iperf(lab):
    for client, server, words in [
        ("a", "10.0.0.2", ["-n", "250K"]),
        ("c", "fd00::2", ["-n", "100K", "-R"]),
        ("a", "10.0.0.2", ["-u", "-b", "2M", "-n", "60K", "-l", "600"]),
    ]:
        child = lab.start("b", "iperf3", "-s", "-1", "--forceflush", ready=False)
        while "listening" not in child.stdout.readline():
            pass
        lab.exec(client, "iperf3", "-c", server, *words)
        child.wait(timeout=30)


def record(path):
    if os.geteuid():
        raise SystemExit("network namespaces need root")
    with Laboratory() as lab:
        build(lab)
        capture = ["tcpdump", "-i", "br0", "-s", "0", "-B", "16384", "-Z", "root", "-w", str(path)]
        tcpdump = subprocess.Popen(["ip", "netns", "exec", lab.name("br"), *capture], stderr=subprocess.PIPE, text=True)
        lab.children.append(tcpdump)
        while "listening" not in (line := tcpdump.stderr.readline()):
            if not line:
                raise SystemExit("tcpdump did not start")
        come_up(lab)
        pings(lab)
        conversations(lab)
        iperf(lab)
        time.sleep(1.5)
        tcpdump.send_signal(signal.SIGINT)
        _, said = tcpdump.communicate(timeout=30)
        if "\n0 packets dropped by kernel" not in said:
            raise SystemExit(f"tcpdump lost packets: {said}")


def count(path, display_filter):
    text = run("tshark", "-n", "-r", str(path), "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE",
               "-Y", display_filter, "-T", "fields", "-e", "frame.number")
    return len(text.split())


def census(path):
    """Prints what the capture holds; fails if anything is missing or out of bounds."""
    size, total = path.stat().st_size, count(path, "frame")
    wrong = []
    print(f"| packets | {total} |\n|---|---|")
    for name, display_filter in CENSUS:
        number = count(path, display_filter)
        print(f"| {name} | {number} |")
        if not number:
            wrong.append(f"no {name}")
    lengths = run("tshark", "-n", "-r", str(path), "-T", "fields", "-e", "frame.len", "-e", "frame.cap_len")
    lengths = [tuple(map(int, line.split())) for line in lengths.splitlines()]
    print(f"| shortest and longest, octets | {min(lengths)[0]}, {max(lengths)[0]} |")
    print(f"| size of the file, octets | {size} |")
    if any(length != captured for length, captured in lengths):
        wrong.append("packets are cut")
    if not PACKETS[0] <= total <= PACKETS[1]:
        wrong.append(f"{total} packets, not {PACKETS[0]} to {PACKETS[1]}")
    if size > MAX_SIZE:
        wrong.append(f"{size} octets, more than {MAX_SIZE}")
    addresses = run("tshark", "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=a", "-e", "ip.addr", "-e", "ipv6.addr")
    known = re.compile(r"10\.|0\.0\.0\.0$|224\.|239\.|fd|fe80::|ff|::$")
    strange = {address for address in re.split(r"[\s,]+", addresses) if address and not known.match(address)}
    if strange:
        wrong.append(f"strange addresses: {', '.join(sorted(strange))}")
    if wrong:
        raise SystemExit("; ".join(wrong))


def main():
    words = sys.argv[1:]
    if words[:1] == ["--census"]:
        census(pathlib.Path(words[1]))
        return
    path = pathlib.Path(words[0]) if words else DEFAULT
    record(path)
    census(path)


if __name__ == "__main__":
    main()
