#!/usr/bin/env python3
"""Thousands of ports: dp-vswitchd beside Debian's ovs-vswitchd, in turns.

    cargo build --release -p dp-vswitchd
    benches/side_by_side/ports.py

Dummy ports are added a thousand a transaction of `ovs-vsctl`, which waits until they are
in force. For each thousand: the processor time that the daemon takes, what a second
without anything to do costs it then, and how long a change of one column of one row takes.
(Most of the time of the command itself is `ovs-vsctl`'s own.) Needs Debian's
openvswitch-switch and openvswitch-common; it opens no port and sends nothing.
"""
import argparse, os, sys, time

from lab import switch

HERE = os.path.dirname(os.path.abspath(__file__))

def measure(daemon, thousands):
    with switch(daemon) as it:
        for thousand in range(thousands):
            words = []
            for at in range(1000):
                name = f"p{thousand}-{at}"
                words += ["--", "add-port", "br0", name, "--", "set", "Interface", name, "type=dummy"]
            before = it.spent()
            it.vsctl(*words)
            added = it.spent() - before
            before = it.spent()
            time.sleep(2)
            idle = (it.spent() - before) / 2
            begin = time.monotonic()
            it.vsctl("set", "Interface", f"p{thousand}-0", f"external_ids:a={thousand}")
            yield added, idle, time.monotonic() - begin

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--a", default=f"{HERE}/../../target/release/dp-vswitchd"); ap.add_argument("--b", default="ovs-vswitchd")
    ap.add_argument("--thousands", type=int, default=5)
    o = ap.parse_args()
    print("ports          added, processor s   idle, processor s a second   one change, s")
    for daemon in (o.a, o.b):
        for at, row in enumerate(measure(daemon, o.thousands)):
            name = os.path.basename(daemon.split()[0]) if at == 0 else ""
            print(f"{name:<12} {(at + 1) * 1000:6} {row[0]:12.2f} {row[1]:20.2f} {row[2]:16.2f}", flush=True)
    return 0

if __name__ == "__main__":
    sys.exit(main())
