"""A throw-away switch for the comparisons: a database and a daemon in a folder, with dummy ports.

Nothing is opened to the network, and everything ends with the block that it was started in.
"""
import contextlib, os, shutil, subprocess, tempfile, time

class Switch:
    """A running daemon: its tools, and what it costs."""

    def __init__(self, root, env):
        self.root, self.env, self.pid = root, env, None

    def run(self, *words):
        return subprocess.run(words, env=self.env, check=True, capture_output=True, text=True).stdout

    def vsctl(self, *words):
        return self.run("ovs-vsctl", f"--db=unix:{self.root}/db.sock", *words)

    def held(self):
        """Bytes in memory."""
        lines = dict(line.split(":", 1) for line in open(f"/proc/{self.pid}/status"))
        return int(lines["VmRSS"].split()[0]) * 1024

    def spent(self):
        """Seconds of processor time."""
        words = open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

@contextlib.contextmanager
def switch(daemon):
    """The daemon of this command line, with the empty bridge br0."""
    root = tempfile.mkdtemp(prefix="beside-")
    it = Switch(root, dict(os.environ, OVS_RUNDIR=root, OVS_LOGDIR=root, OVS_DBDIR=root))
    pids = []
    try:
        it.run("ovsdb-tool", "create", f"{root}/conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
        it.run("ovsdb-server", f"{root}/conf.db", f"--remote=punix:{root}/db.sock",
               f"--pidfile={root}/db.pid", "--detach", "--no-chdir", f"--log-file={root}/db.log")
        pids.append(int(open(f"{root}/db.pid").read()))
        it.vsctl("--no-wait", "init")
        it.run(*daemon.split(), f"unix:{root}/db.sock", f"--pidfile={root}/sw.pid",
               f"--log-file={root}/sw.log", "--detach", "--no-chdir", "-vconsole:off",
               "--enable-dummy", "--disable-system")
        it.pid = int(open(f"{root}/sw.pid").read())
        pids.append(it.pid)
        it.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy", "fail_mode=secure")
        yield it
    finally:
        for pid in reversed(pids):
            try: os.kill(pid, 15)
            except OSError: continue
            for _ in range(200):
                if not os.path.exists(f"/proc/{pid}"): break
                time.sleep(0.05)
        shutil.rmtree(root, ignore_errors=True)
