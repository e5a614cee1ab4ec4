#!/usr/bin/env python3
"""Loading flows: dp-vswitchd beside Debian's ovs-vswitchd, in turns.

    cargo build --release -p dp-vswitchd
    benches/side_by_side/flows.py

One `ovs-ofctl --bundle add-flows` of many flows (addresses by prefix, half of them with
a port, over 20 masks) into a bridge of each daemon: how long the command takes, how much
processor time the daemon, and how much memory it holds more for each flow. The figures
are medians over the rounds. Needs Debian's openvswitch-switch and openvswitch-common; it
opens no port and sends nothing.
"""
import argparse, os, random, statistics, sys, tempfile, time

from lab import switch

HERE = os.path.dirname(os.path.abspath(__file__))

def flows(count):
    r = random.Random(5)
    for i in range(count):
        plen = 8 + i % 20
        nw = (10 << 24 | i * 2654435761 & 0xffffff) & ~((1 << 32 - plen) - 1)
        src = ".".join(str(nw >> s & 255) for s in (24, 16, 8, 0))
        port = f",tp_dst={r.randrange(65536)}" if i % 2 else ""
        yield f"priority={1 + i % 65000},udp,nw_src={src}/{plen},nw_dst=20.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}{port},actions=output:{1 + i % 8}\n"

def measure(daemon, path, count):
    with switch(daemon) as it:
        memory, cpu, begin = it.held(), it.spent(), time.monotonic()
        it.run("ovs-ofctl", "--bundle", "add-flows", "br0", path)
        took, cpu = time.monotonic() - begin, it.spent() - cpu
        there = it.run("ovs-ofctl", "dump-aggregate", "br0")
        assert f"flow_count={count}" in there, there
        return took, cpu, (it.held() - memory) / count

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--a", default=f"{HERE}/../../target/release/dp-vswitchd"); ap.add_argument("--b", default="ovs-vswitchd")
    ap.add_argument("--flows", type=int, default=100_000); ap.add_argument("--rounds", type=int, default=3)
    o = ap.parse_args()
    with tempfile.NamedTemporaryFile("w", suffix=".flows") as f:
        f.writelines(flows(o.flows)); f.flush()
        found = {name: [] for name in "ab"}
        for _ in range(o.rounds):
            for name, daemon in (("a", o.a), ("b", o.b)): found[name].append(measure(daemon, f.name, o.flows))
    print(f"{o.flows} flows    command s   daemon's processor s   bytes a flow")
    for name, daemon in (("a", o.a), ("b", o.b)):
        took, cpu, memory = (statistics.median(column) for column in zip(*found[name]))
        print(f"{os.path.basename(daemon.split()[0]):<12} {took:12.2f} {cpu:22.2f} {memory:14.0f}")
    return 0

if __name__ == "__main__":
    sys.exit(main())
