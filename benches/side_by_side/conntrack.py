#!/usr/bin/env python3
"""Connection tracking of dp-vswitchd beside that of Debian's ovs-vswitchd-dpdk, in turns.

    cargo build --release -p dp-vswitchd --features dpdk
    benches/side_by_side/conntrack.py [--threads 1,2] [--rounds 3]

Shapes, each through both switches, A B A B ...; the figure to quote is the median of the ratios:

look-up   captures of 10,000 and 100,000 established connections, replayed for ever;
set-up    each packet makes a connection: packets of both directions take turns, and
          ct(commit,force) ends the connection that the other direction has begun. What is
          counted are packets with +new, so one that did not begin a connection is none. A removal
          is part of each;
skip      of dp alone: packets that a policy lets by, in turns with the same packets through flows
          without ct; A is the policy, B no tracking;
flush     the time of dpctl/flush-conntrack zone=N by the control socket, for a zone of 25,000 among
          200,000 connections, without that of an empty zone.

With two threads, each packet thread has half of the capture from a source of its own; they share
the tracker.

Needs what side_by_side.py needs.
"""
import argparse, json, os, shutil, socket, statistics, subprocess, sys, tempfile, time
import side_by_side as sbs

NEW = """table=0,ip,actions=ct(commit,force,zone=1,table=1)
table=1,ct_state=+trk+new,ip,actions=output:2
"""
# The connections of a capture go to eight zones, by the last bits of the client's address.
ZONES = "".join(f"table=0,ip,nw_src=0.0.0.{z}/0.0.0.7,actions=ct(commit,zone={z + 1}),output:2\n" for z in range(8))
HELD = 200_000
# Tracked, were it not for the policy; and the same table for packets that no ct is there for.
SKIPPED = """table=0,priority=2,ip,ct_state=-trk,actions=ct(table=1)
table=1,ip,actions=output:2
"""
UNTRACKED = "table=0,priority=2,ip,ct_state=-trk,actions=resubmit(,1)\ntable=1,ip,actions=output:2\n"
POLICY = {"skip_conntrack_dst_cidrs": '"10.0.0.0/8"'}

sbs.CASES.update({
    "set-up-1k":  (lambda: sbs.both_ways(1000),   NEW, {}),
    "set-up-10k": (lambda: sbs.both_ways(10_000), NEW, {}),
    "skip":       (lambda: sbs.plain(10_000), SKIPPED, POLICY),
    "untracked":  (lambda: sbs.plain(10_000), UNTRACKED, {}),
    "flush":      (lambda: [sbs.udp4(0x0a000000 + i, 0x14000001, 1024 + i % 60000, 80) for i in range(HELD)], ZONES, {}),
})

def command(switch, *words):
    """Asks by the control socket; the answer and the seconds until it came."""
    pid = open(f"{switch.dir}/vswitchd.pid").read().strip()
    [path] = [f"{switch.dir}/{name}" for name in os.listdir(switch.dir) if name.endswith(f".{pid}.ctl")]
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(60); s.connect(path)
        start = time.perf_counter()
        s.sendall(json.dumps({"id": 0, "method": words[0], "params": list(words[1:])}).encode())
        text = b""
        while True:
            text += s.recv(65536)
            try: answer = json.loads(text)
            except ValueError: continue
            took = time.perf_counter() - start
            if answer.get("error"): raise RuntimeError(answer["error"])
            return answer["result"], took

def flush(daemon, caps):
    """Milliseconds that a zone's flush takes: the median of eight."""
    root = tempfile.mkdtemp(prefix="sbs-"); sw = sbs.Switch(daemon, root, {})
    try:
        sw.start()
        sources = [f"net_pcap{n},rx_pcap={cap},infinite_rx=1" for n, cap in enumerate(caps)]
        sw.load(ZONES, {}, "net_null1,no-rx=1", *sources)
        held = lambda: int(command(sw, "dpctl/ct-get-nconns")[0])
        for _ in range(300):
            if held() >= HELD: break
            time.sleep(0.1)
        else: raise RuntimeError(f"{held()} connections")
        for n in range(len(caps)): sw.vsctl("del-port", "br0", f"s{n}")
        empty = statistics.median(command(sw, "dpctl/flush-conntrack", f"zone={z}")[1] for z in range(1000, 1009))
        full = []
        for zone in range(1, 9):
            before = held()
            full.append(command(sw, "dpctl/flush-conntrack", f"zone={zone}")[1])
            if before - held() != HELD // 8: raise RuntimeError(f"zone {zone}: {before} to {held()}")
        return (statistics.median(full) - empty) * 1e3
    except Exception as e:
        print(f"  flush: {daemon.split()[0]}: {e}", file=sys.stderr); return None
    finally:
        sw.stop(); shutil.rmtree(root, ignore_errors=True)

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--a", default=sbs.OURS); ap.add_argument("--b", default=sbs.PEER)
    ap.add_argument("--cases", default="ct-10k,ct-100k,set-up-1k,set-up-10k,flush,skip"); ap.add_argument("--threads", default="1,2")
    ap.add_argument("--rounds", type=int, default=3); ap.add_argument("--seconds", type=float, default=4)
    ap.add_argument("--warm", type=float, default=5)
    o = ap.parse_args()
    if os.environ.get("SBS_NS") != "1":
        os.environ["SBS_NS"] = "1"
        os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv])
    sbs.hugepages()
    print(f"{'case':<22} {'threads':>7} {'A':>8} {'B':>8} {'ratio':>6}   A is dp, B the reference; the ratio is how much better A is", flush=True)
    bad = 0
    for case in filter(None, o.cases.split(",")):
        packets = sbs.CASES[case][0]()
        for threads in map(int, o.threads.split(",")):
            sbs.CPUS = 0x3 if threads == 2 else 0x2
            folder = tempfile.mkdtemp(prefix="sbs-caps-"); caps = []
            for n in range(threads):
                caps.append(f"{folder}/{n}.pcap")
                sbs.pcap(caps[n], packets[n * len(packets) // threads:(n + 1) * len(packets) // threads])
            a, b, ratios = [], [], []
            for _ in range(o.rounds):
                if case == "flush":
                    one, other = flush(o.a, caps), flush(o.b, caps)
                    better = lambda x, y: y / x
                else:
                    sides = [(o.a, "skip"), (o.a, "untracked")] if case == "skip" else [(o.a, case), (o.b, case)]
                    one, other = (sbs.measure(d, it, {it: caps}, o.warm, o.seconds)[0] for d, it in sides)
                    better = lambda x, y: x / y
                if one and other: a.append(one); b.append(other); ratios.append(better(one, other))
            shutil.rmtree(folder, ignore_errors=True)
            bad += not ratios
            med = lambda x: statistics.median(x) if x else float("nan")
            unit = "ms a zone of 25,000" if case == "flush" else "million packets a second"
            print(f"{case:<22} {threads:>7} {med(a):8.2f} {med(b):8.2f} {med(ratios):6.2f}   {unit}", flush=True)
    return 1 if bad else 0

if __name__ == "__main__":
    sys.exit(main())
