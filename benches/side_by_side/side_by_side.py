#!/usr/bin/env python3
"""dp-vswitchd beside Debian's ovs-vswitchd-dpdk on the same work, in turns.

    cargo build --release -p dp-vswitchd --features dpdk
    benches/side_by_side/side_by_side.py

Both daemons are set up by the same ovs-vsctl and ovs-ofctl calls: a port that
replays a capture for ever (libdpdk's net_pcap, infinite_rx=1), one that swallows
everything (net_null), one packet thread on processor 1. What is read is the
transmit counter of the sink, over a window, A B A B …; the figure to quote is the
median of the ratios of pairs. The first packets of each case are also replayed
for a moment and the distinct frames that leave compared: a fast wrong answer does
not count. --ceiling adds what testpmd moves between the same two ports. --threads 2
gives each of two packet threads (processors 0 and 1) a source of its own with half
of the case's packets; they share tables, connections and the sink.

Needs root, 1,024 hugepages of 2 MiB (it reserves and mounts them), Debian's
openvswitch-switch-dpdk, openvswitch-common and, for --ceiling, dpdk-dev. It runs
in a network namespace of its own and sends nothing anywhere.
"""
import argparse, glob, os, random, shutil, statistics, struct, subprocess, sys, tempfile, time

PEER = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
CPUS = 0x2
OURS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../target/release/dp-vswitchd")

# ---------------------------------------------------------------- packets
def csum(b):
    if len(b) % 2: b += b"\0"
    s = sum(struct.unpack(f"!{len(b)//2}H", b))
    while s >> 16: s = (s >> 16) + (s & 0xffff)
    return ~s & 0xffff

MACS = bytes.fromhex("020000000002020000000001")

def udp4(src, dst, sp, dp, size=60):
    pl = size - 42
    l4 = struct.pack("!HHHH", sp, dp, 8 + pl, 0)
    ip = struct.pack("!BBHHHBBHII", 0x45, 0, 28 + pl, 1, 0, 64, 17, 0, src, dst)
    ip = ip[:10] + struct.pack("!H", csum(ip)) + ip[12:]
    return MACS + b"\x08\x00" + ip + l4 + b"\0" * pl

def udp6(i, sp, dp, size=78):
    src = bytes.fromhex("20010db8") + bytes(8) + struct.pack("!I", i)
    dst = bytes.fromhex("20010db80001") + bytes(6) + struct.pack("!I", i * 7)
    pl = size - 62
    return MACS + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, 8 + pl, 17, 64) + src + dst + \
        struct.pack("!HHHH", sp, dp, 8 + pl, 1) + b"\0" * pl

def pcap(path, pkts):
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for p in pkts:
            f.write(struct.pack("<IIII", 0, 0, len(p), len(p)) + p)

def plain(n, size=60):
    r = random.Random(7); idx = list(range(n)); r.shuffle(idx)
    return [udp4(0x0a000000 + i, 0x14000000 + (i * 7 & 0xffff), 1024 + i % 60000, 80 + i % 2, size) for i in idx]

def plain6(n):
    r = random.Random(7); idx = list(range(n)); r.shuffle(idx)
    return [udp6(i, 1024 + i % 60000, 80) for i in idx]

def masks(n, k=20):
    r = random.Random(7)
    out = [udp4(0x0a000000 + (i * 2654435761) % 0xffffff, 0x14000000 + i, 1024 + i % 60000, 1000 + i % k) for i in range(n)]
    r.shuffle(out); return out

def both_ways(n):
    out = []
    for i in range(n):
        a, b, sp = 0x0a000000 + i, 0x14000000 + i % 4096, 1024 + i % 60000
        out += [udp4(a, b, sp, 80), udp4(b, a, 80, sp)]
    return out

def snat_both_ways(n):
    out = []
    for i in range(n):
        a, b, sp = 0x0a000000 + i, 0x14000000 + i % 4096, 1024 + i
        out += [udp4(a, b, sp, 80), udp4(b, 0xc0000201, 80, sp)]
    return out

def gateway(n):
    """Half pod-to-service (DNAT to one of 4 backends chosen by the low bits), half replies."""
    out = []
    for i in range(n):
        a, sp, be = 0x0a000000 + i, 1024 + i % 60000, 0x0a800000 + i % 4
        out += [udp4(a, 0x0a600001, sp, 53), udp4(be, a, 5353, sp)]
    return out

# ---------------------------------------------------------------- flow tables
FWD = "in_port=1,actions=output:2\n"
# One megaflow, but one that has to look at addresses: the exact-match cache and the classifier are really used.
L3 = "udp,nw_src=10.0.0.0/8,actions=output:2\nudp6,ipv6_src=2001:db8::/32,actions=output:2\n"
CT = """table=0,ip,ct_state=-trk,actions=ct(table=1)
table=1,ct_state=+trk+new,ip,actions=ct(commit),output:2
table=1,ct_state=+trk+est,ip,actions=output:2
"""
SNAT = """table=0,ip,nw_src=10.0.0.0/8,ct_state=-trk,actions=ct(table=1,zone=5,nat)
table=0,ip,nw_dst=192.0.2.1,ct_state=-trk,actions=ct(table=1,zone=5,nat)
table=1,priority=40000,ct_state=+trk+new,ip,nw_dst=192.0.2.1,actions=drop
table=1,ct_state=+trk+new,ip,actions=ct(commit,zone=5,nat(src=192.0.2.1)),output:2
table=1,ct_state=+trk+est,ip,actions=output:2
"""
def mask_flows(k=20):
    s = ""
    for i in range(k):
        s += f"table=0,priority=10,udp,tp_dst={1000+i},actions=resubmit(,{i+1})\n"
        s += f"table={i+1},priority=10,ip,nw_src=10.0.0.0/{8+i},actions=output:2\n"
        s += f"table={i+1},priority=1,actions=output:2\n"
    return s
def exact_flows(n):
    return "".join(f"table=0,priority={i%100+1},ip,nw_src=10.{i>>16&255}.{i>>8&255}.{i&255},actions=output:2\n" for i in range(n))
def acl_gateway():
    """A gateway pipeline: port security, ACL by prefix and port, conntrack, DNAT to backends, L3 rewrite."""
    s = "table=0,priority=100,ip,in_port=1,dl_src=02:00:00:00:00:01,actions=resubmit(,1)\ntable=0,priority=0,actions=drop\n"
    for i in range(200):
        s += f"table=1,priority={1000+i},udp,nw_src=172.{16+i%16}.{i}.0/24,tp_dst={2000+i},actions=drop\n"
    s += "table=1,priority=1,actions=resubmit(,2)\n"
    s += "table=2,ip,ct_state=-trk,actions=ct(table=3,zone=7,nat)\n"
    for b in range(4):
        s += f"table=3,priority=20,ct_state=+trk+new,udp,nw_src=0.0.0.{b}/0.0.0.3,nw_dst=10.96.0.1,tp_dst=53,actions=ct(commit,zone=7,nat(dst=10.128.0.{b}:5353),table=4)\n"
    s += "table=3,priority=15,ct_state=+trk+new,ip,nw_src=10.128.0.0/16,actions=drop\n"
    s += "table=3,priority=10,ct_state=+trk+new,ip,actions=ct(commit,zone=7,table=4)\n"
    s += "table=3,priority=5,ct_state=+trk+est,ip,actions=resubmit(,4)\n"
    s += "table=4,ip,actions=dec_ttl,mod_dl_src:02:00:00:00:00:aa,mod_dl_dst:02:00:00:00:00:bb,output:2\n"
    return s

#        name         packets                      flows             other_config
CASES = {
 "one-flow":    (lambda: plain(1),                 L3,               {}),
 "simple-10k":  (lambda: plain(10000),             FWD,              {}),
 "emc-1k":      (lambda: plain(1000),              L3,               {}),
 "flows-10k":   (lambda: plain(10000),             L3,               {}),
 "flows-100k":  (lambda: plain(100000),            L3,               {}),
 "emcoff-10k":  (lambda: plain(10000),             L3,               {"emc-insert-inv-prob": "0"}),
 "smc-100k":    (lambda: plain(100000),            L3,               {"emc-insert-inv-prob": "0", "smc-enable": "true"}),
 "imix-1k":     (lambda: plain(600) + plain(300, 590) + plain(100, 1514), L3, {}),
 "ipv6-1k":     (lambda: plain6(1000),             L3,               {}),
 "masks20-10k": (lambda: masks(10000),             mask_flows(),     {}),
 "masks20-off": (lambda: masks(10000),             mask_flows(),     {"emc-insert-inv-prob": "0"}),
 "exact-100k":  (lambda: plain(100000),            exact_flows(100000), {}),
 "normal-1k":   (lambda: plain(1000),              "actions=NORMAL\n", {}),
 "ct-1k":       (lambda: both_ways(1000),          CT,               {}),
 "ct-10k":      (lambda: both_ways(10000),         CT,               {}),
 "ct-100k":     (lambda: both_ways(100000),        CT,               {}),
 "snat-10k":    (lambda: snat_both_ways(10000),    SNAT,             {}),
 "gateway-10k": (lambda: gateway(10000),           acl_gateway(),    {}),
}

# ---------------------------------------------------------------- a daemon under test
class Switch:
    def __init__(self, daemon, root, extra):
        self.daemon, self.dir, self.extra = daemon, root, extra
        self.env = dict(os.environ, OVS_RUNDIR=root, OVS_LOGDIR=root, OVS_DBDIR=root, OVS_SYSCONFDIR=root)
        self.db = f"unix:{root}/db.sock"
    def sh(self, *cmd, check=True, input=None, timeout=240):
        r = subprocess.run(cmd, env=self.env, text=True, input=input, capture_output=True, timeout=timeout)
        if check and r.returncode: raise RuntimeError(f"{' '.join(cmd)}: {r.stderr.strip()[:400]}")
        return r.stdout
    def vsctl(self, *a): return self.sh("ovs-vsctl", f"--db={self.db}", "--timeout=60", *a)
    def start(self):
        d = self.dir
        self.sh("ovsdb-tool", "create", f"{d}/conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
        self.sh("ovsdb-server", f"{d}/conf.db", f"--remote=punix:{d}/db.sock", f"--pidfile={d}/ovsdb-server.pid",
                f"--log-file={d}/ovsdb.log", "--detach", "--no-chdir")
        self.sh("ovs-vsctl", f"--db={self.db}", "--no-wait", "init")
        self.sh("ovs-vsctl", f"--db={self.db}", "--no-wait", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true",
                "other_config:dpdk-lcore-mask=0x1", f"other_config:pmd-cpu-mask={hex(CPUS)}", "other_config:dpdk-socket-mem=700",
                f"other_config:dpdk-extra=--no-pci --file-prefix=sbs{os.getpid()}", "other_config:flow-limit=400000")
        self.sh(*self.daemon.split(), self.db, f"--pidfile={d}/vswitchd.pid", f"--log-file={d}/vswitchd.log", "--detach", "--no-chdir")
    def stop(self):
        for n in ("vswitchd.pid", "ovsdb-server.pid"):
            try: pid = int(open(f"{self.dir}/{n}").read())
            except (OSError, ValueError): continue
            try: os.kill(pid, 15)
            except OSError: continue
            for _ in range(100):
                if not os.path.exists(f"/proc/{pid}"): break
                time.sleep(0.1)
            else: os.kill(pid, 9)
    def rss_kb(self):
        pid = open(f"{self.dir}/vswitchd.pid").read().strip()
        for l in open(f"/proc/{pid}/status"):
            if l.startswith("VmRSS"): return int(l.split()[1])
    def port(self, name, number, devargs):
        self.vsctl("add-port", "br0", name, "--", "set", "Interface", name, "type=dpdk", f"ofport_request={number}",
                   f"options:dpdk-devargs={devargs}")
    def load(self, flows, oc, sink, *sources):
        """Flows and sink first: a source starts sending as soon as it is there."""
        self.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "fail_mode=secure")
        for k, v in oc.items(): self.vsctl("set", "Open_vSwitch", ".", f"other_config:{k}={v}")
        for n in range(1, len(sources)):
            flows += "".join(l + "\n" for l in flows.replace("in_port=1,", f"in_port={2 + n},").splitlines() if f"in_port={2 + n}," in l)
        self.sh("ovs-ofctl", "--bundle", "add-flows", "br0", "-", input=flows)
        self.port("p1", 2, sink)
        if len(sources) > 1: self.vsctl("set", "Interface", "p1", "other_config:pmd-rxq-affinity=0:0")
        for n, source in enumerate(sources):
            self.port(f"s{n}", 2 + n if n else 1, source)
            # Otherwise both may be dealt to one thread: neither has a load yet.
            if len(sources) > 1: self.vsctl("set", "Interface", f"s{n}", f"other_config:pmd-rxq-affinity=0:{n}")
    def sent(self):
        for l in self.sh("ovs-ofctl", "dump-ports", "br0", "2").splitlines():
            if "tx pkts=" in l: return int(l.split("tx pkts=")[1].split(",")[0]), time.monotonic()
        raise RuntimeError("no transmit counter")

def measure(daemon, case, caps, warm, seconds):
    pk, flows, oc = CASES[case]
    root = tempfile.mkdtemp(prefix="sbs-")
    sw = Switch(daemon, root, oc)
    try:
        sources = [f"net_pcap{n},rx_pcap={cap},infinite_rx=1" for n, cap in enumerate(caps[case])]
        sw.start(); sw.load(flows, oc, "net_null1,no-rx=1", *sources); time.sleep(warm)
        n0, t0 = sw.sent(); time.sleep(seconds); n1, t1 = sw.sent()
        return (n1 - n0) / (t1 - t0) / 1e6, sw.rss_kb()
    except Exception as e:
        log = f"{root}/vswitchd.log"
        tail = "".join(open(log, errors="replace").readlines()[-5:]) if os.path.exists(log) else ""
        print(f"  {case}: {daemon.split()[0]}: {e}\n{tail}", file=sys.stderr); return None, None
    finally:
        sw.stop(); shutil.rmtree(root, ignore_errors=True)

def frames(daemon, case, first=300):
    """The set of distinct frames that leave while the first packets of the case are replayed for a moment; None if the daemon fails."""
    pk, flows, oc = CASES[case]
    root = tempfile.mkdtemp(prefix="sbs-"); sw = Switch(daemon, root, oc)
    try:
        pcap(f"{root}/in.pcap", pk()[:first])
        sw.start(); sw.load(flows, oc, f"net_pcap1,tx_pcap={root}/out.pcap", f"net_pcap0,rx_pcap={root}/in.pcap,infinite_rx=1")
        time.sleep(0.5); sw.vsctl("del-port", "br0", "s0"); sw.stop()
        out = set()
        with open(f"{root}/out.pcap", "rb") as f:
            f.read(24)
            while len(h := f.read(16)) == 16: out.add(f.read(struct.unpack("<I", h[8:12])[0]))
        return out
    except Exception as e:
        print(f"  {case}: {daemon.split()[0]}: {e}", file=sys.stderr); return None
    finally:
        sw.stop(); shutil.rmtree(root, ignore_errors=True)

def ceiling(path, seconds):
    """Million packets a second that testpmd moves from the capture to the sink; the best of its reports."""
    cmd = ["dpdk-testpmd", "-l", "0,1", "--no-pci", "--in-memory", "--no-telemetry",
           f"--vdev=net_pcap0,rx_pcap={path},infinite_rx=1", "--vdev=net_null1,no-rx=1", "--",
           "--forward-mode=io", "--auto-start", "--stats-period", "1", "--total-num-mbufs=262144"]
    p = subprocess.Popen(["stdbuf", "-oL", *cmd], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    rates, end = [], time.monotonic() + 60
    for l in p.stdout:
        if "Tx-pps:" in l: rates.append(int(l.split("Tx-pps:")[1].split()[0]))
        # Two ports report each second; the first reports cover the start.
        if len(rates) >= 2 * seconds + 6 or time.monotonic() > end: break
    p.terminate(); p.communicate(timeout=20)
    return max(rates, default=0) / 1e6

def hugepages():
    """Reserves and mounts what libdpdk needs."""
    with open("/proc/sys/vm/nr_hugepages", "r+") as f:
        if int(f.read() or 0) < 1024: f.seek(0); f.write("1024")
    os.makedirs("/dev/hugepages", exist_ok=True)
    if "hugetlbfs" not in open("/proc/mounts").read(): subprocess.run(["mount", "-t", "hugetlbfs", "none", "/dev/hugepages"], check=True)

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--a", default=OURS, help="daemon under test, with any leading options"); ap.add_argument("--b", default=PEER)
    ap.add_argument("--cases", default=",".join(CASES)); ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--seconds", type=float, default=4); ap.add_argument("--warm", type=float, default=5)
    ap.add_argument("--list", action="store_true"); ap.add_argument("--no-check", action="store_true", help="do not compare the frames that leave")
    ap.add_argument("--threads", type=int, choices=(1, 2), default=1, help="packet threads")
    ap.add_argument("--ceiling", action="store_true", help="also run testpmd between the same ports")
    o = ap.parse_args()
    global CPUS
    CPUS = 0x3 if o.threads == 2 else 0x2
    if o.list: print("\n".join(CASES)); return 0
    if os.environ.get("SBS_NS") != "1":
        os.environ["SBS_NS"] = "1"
        os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv])
    hugepages()
    capdir = tempfile.mkdtemp(prefix="sbs-caps-"); caps = {}; bad = 0
    try:
        print(f"{'case':<13} {'A Mpps':>8} {'B Mpps':>8} {'A/B':>6}   A RSS MB  B RSS MB  frames" + ("    ceiling" if o.ceiling else ""), flush=True)
        for c in o.cases.split(","):
            packets, caps[c] = CASES[c][0](), []
            for n in range(o.threads):
                part = packets[n * len(packets) // o.threads:(n + 1) * len(packets) // o.threads] or packets
                caps[c].append(f"{capdir}/{c}.{n}.pcap"); pcap(caps[c][n], part)
            ra, rb, rr, ma, mb = [], [], [], 0, 0
            for _ in range(o.rounds):
                a, m = measure(o.a, c, caps, o.warm, o.seconds); ma = m or ma
                b, m = measure(o.b, c, caps, o.warm, o.seconds); mb = m or mb
                if a is not None: ra.append(a)
                if b is not None: rb.append(b)
                if a is not None and b: rr.append(a / b)
            med = lambda x: statistics.median(x) if x else float("nan")
            same = "unchecked"
            if not o.no_check:
                fa, fb = frames(o.a, c), frames(o.b, c)
                same = "same" if fa and fa == fb else f"DIFFER ({len(fa or [])} against {len(fb or [])})"
            bad += not rr or same.startswith("DIFFER")
            print(f"{c:<13} {med(ra):8.2f} {med(rb):8.2f} {med(rr):6.2f}   {ma/1024:8.0f}  {mb/1024:8.0f}  {same}" +
                  (f"      {ceiling(caps[c][0], o.seconds):6.1f}" if o.ceiling else ""), flush=True)
            for cap in caps[c]: os.unlink(cap)
    finally:
        shutil.rmtree(capdir, ignore_errors=True)
    return 1 if bad else 0

if __name__ == "__main__":
    sys.exit(main())
