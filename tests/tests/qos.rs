//! Quality of service as users ask for it: with the tools of the reference, between real hosts.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::netns::{Namespace, veth_pair};
use testkit::packages;
use testkit::reference::{BRIDGE, Reference, Setup};

/// A switch with a host at the interface `sw0` and the host's own port `in0`.
struct Lab {
    host: Namespace,
    here: Namespace,
    switch: Reference,
}

impl Lab {
    fn new(hint: &str) -> Result<Self> {
        packages::ensure(&["iperf3", "iproute2", "iputils-ping"])?;
        let (host, here) = (
            Namespace::quiet(&format!("{hint}-host"))?,
            Namespace::quiet(&format!("{hint}-here"))?,
        );
        veth_pair((&here, "sw0"), (&host, "eth0"))?;
        let switch = Setup::within(&here).daemon(testkit::daemon::built()?).start()?;
        let lab = Self { host, here, switch };
        lab.vsctl("set Bridge br0 fail_mode=standalone -- add-port br0 sw0")?;
        lab.vsctl("add-port br0 in0 -- set Interface in0 type=internal")?;
        lab.switch.ofctl(&["add-flow", BRIDGE, "priority=1,actions=normal"])?;
        lab.here.ip(&["link", "set", "in0", "up"])?;
        lab.here.address("in0", "10.8.0.1/24")?;
        lab.host.address("eth0", "10.8.0.2/24")?;
        Ok(lab)
    }

    fn vsctl(&self, words: &str) -> Result<String> {
        Ok(self.switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?)
    }

    fn show(&self, interface: &str) -> Result<String> {
        Ok(self.switch.appctl(&["qos/show", interface])?)
    }
}

/// The number behind a key, in the part of a text that begins with `from`.
fn number(text: &str, from: &str, key: &str) -> Option<u64> {
    let part = text.get(text.find(from)?..)?;
    let line = part.lines().find_map(|line| line.trim().strip_prefix(key))?;
    line.trim_start_matches(':').trim().parse().ok()
}

#[test]
fn interfaces_of_the_system_are_given_the_kernels_disciplines() -> Result<()> {
    let lab = Lab::new("qosk")?;
    let qdisc = || lab.here.exec(&["tc", "qdisc", "show", "dev", "sw0"]);
    let words = "set Port sw0 qos=@q -- --id=@q create QoS type=linux-htb \
                 other_config:max-rate=10000000 queues:1=@a -- --id=@a create Queue \
                 other_config:min-rate=2000000 other_config:max-rate=5000000 \
                 other_config:burst=100000 other_config:priority=3";
    lab.vsctl(words)?;
    // What the reference shows of the same settings.
    let shown = "QoS: sw0 linux-htb\nmax-rate: 10000000\n\nDefault:\n";
    let text = lab.show("sw0")?;
    ensure!(text.starts_with(shown), "{text}");
    let queue = "Queue 1:\n  burst: 100000\n  priority: 3\n  min-rate: 2000000\n  max-rate: 5000000\n  \
                 tx_packets: 0\n  tx_bytes: 0\n  tx_errors: 0\n";
    ensure!(text.ends_with(queue), "{text}");
    let classes = lab.here.exec(&["tc", "class", "show", "dev", "sw0"])?;
    let class = "class htb 1:2 parent 1:fffe prio 3 rate 2Mbit ceil 5Mbit burst 12500b";
    ensure!(classes.contains(class), "{classes}");

    // What a flow puts into a queue is counted there, by the kernel.
    lab.switch.ofctl(&["add-flow", BRIDGE, "icmp,in_port=in0,actions=set_queue:1,normal"])?;
    lab.host.exec(&["ping", "-c", "3", "-i", "0.1", "-W", "2", "10.8.0.1"])?;
    let sent = number(&lab.show("sw0")?, "Queue 1:", "tx_packets").context("no count")?;
    ensure!(sent == 3, "{sent} packets");
    let stats = lab.switch.ofctl(&["queue-stats", BRIDGE, "sw0", "1"])?;
    ensure!(stats.contains("queue 1: bytes=294, pkts=3, errors=0"), "{stats}");

    // Changed in place, replaced, refused, cleared.
    let qos = lab.vsctl("get Port sw0 qos")?;
    lab.vsctl(&format!("set QoS {} other_config:max-rate=6000000", qos.trim()))?;
    let text = lab.show("sw0")?;
    ensure!(text.contains("\nmax-rate: 6000000\n"), "{text}");
    ensure!(number(&text, "Queue 1:", "tx_packets") == Some(3), "{text}");
    lab.vsctl("clear Port sw0 qos")?;
    ensure!(!qdisc()?.contains("htb"));
    assert_eq!(lab.show("sw0")?, "QoS not configured on sw0\n");
    lab.here.exec(&["tc", "qdisc", "add", "dev", "sw0", "root", "handle", "7:", "htb"])?;
    lab.vsctl("set Port sw0 qos=@q -- --id=@q create QoS type=linux-noop")?;
    ensure!(qdisc()?.contains("htb 7:"), "linux-noop leaves alone what others have set up");
    for (kind, why) in [
        ("nosuch", "sw0: QoS type nosuch is not supported on a port of type system"),
        ("egress-policer", "sw0: QoS type egress-policer needs other_config:cir"),
    ] {
        lab.vsctl(&format!("set Port sw0 qos=@q -- --id=@q create QoS type={kind}"))?;
        let error = lab.vsctl("get Interface sw0 error")?;
        ensure!(error.contains(why), "{error}");
        ensure!(lab.show("sw0").is_err());
    }
    lab.vsctl("set Port in0 qos=@q -- --id=@q create QoS type=linux-sfq")?;
    let error = lab.vsctl("get Interface in0 error")?;
    ensure!(error.contains("linux-sfq is not supported on a port of type tap"), "{error}");
    lab.vsctl("clear Port sw0 qos -- clear Port in0 qos")?;
    assert_eq!(lab.vsctl("get Interface sw0 error")?.trim(), "[]");
    lab.host.exec(&["ping", "-c", "1", "-W", "2", "10.8.0.1"])?;

    // The interface outlives the port, what was put there does not.
    lab.vsctl(words)?;
    ensure!(qdisc()?.contains("htb 1:"));
    lab.vsctl("del-port sw0")?;
    ensure!(!qdisc()?.contains("htb"));
    Ok(())
}

/// Shapes what leaves by a port towards `to`, at two rates: 40 Mbit/s are sent in each queue.
fn shaped(lab: &Lab, port: &str, [from, to]: [&Namespace; 2], address: &str) -> Result<()> {
    lab.vsctl(&format!(
        "set Port {port} qos=@q -- --id=@q create QoS type=linux-htb \
         other_config:max-rate=20000000 queues:5=@a -- --id=@a create Queue \
         other_config:max-rate=8000000"
    ))?;
    lab.switch.ofctl(&[
        "add-flow",
        BRIDGE,
        "priority=9,udp,tp_dst=5302,actions=set_queue:5,normal",
    ])?;
    for (number, queue, rate) in [("5301", "Default:", 20_000_000), ("5302", "Queue 5:", 8_000_000)]
    {
        let _server = to.spawn(&["iperf3", "-s", "-p", number, "-B", address])?;
        std::thread::sleep(Duration::from_millis(300));
        let words = ["iperf3", "-c", address, "-p", number, "-u", "-b", "40M", "-t", "4"];
        let _client = from.spawn(&words)?;
        std::thread::sleep(Duration::from_millis(800));
        let count = || -> Result<(Instant, u64)> {
            let bytes = self::number(&lab.show(port)?, queue, "tx_bytes").context("no count")?;
            Ok((Instant::now(), bytes))
        };
        let (began, before) = count()?;
        std::thread::sleep(Duration::from_secs(2));
        let (ended, after) = count()?;
        let found = (after - before) as f64 * 8.0 / (ended - began).as_secs_f64();
        let part = found / f64::from(rate);
        println!("{port} {queue} {found:.0} bit/s of {rate}: {part:.3}");
        ensure!((0.95..=1.05).contains(&part), "{found} bit/s, not {rate}");
    }
    let drops = lab.switch.appctl(&["coverage/read-counter", "datapath_drop_tx_shaper_full"])?;
    ensure!(drops.trim().parse::<u64>()? > 0, "twice the rate was sent");
    Ok(())
}

#[test]
fn ports_without_a_kernel_behind_them_are_shaped_at_their_rate() -> Result<()> {
    let lab = Lab::new("qoss")?;
    shaped(&lab, "in0", [&lab.host, &lab.here], "10.8.0.1")
}

/// A port that a thread polls: its interface is the kernel's, what leaves by it is not.
#[test]
fn polled_ports_are_shaped_at_their_rate() -> Result<()> {
    let lab = Lab::new("qosx")?;
    lab.vsctl("set Interface sw0 type=afxdp")?;
    let error = lab.vsctl("get Interface sw0 error")?;
    ensure!(error.trim() == "[]", "{error}");
    lab.host.exec(&["ping", "-c", "1", "-W", "2", "10.8.0.1"])?;
    shaped(&lab, "sw0", [&lab.here, &lab.host], "10.8.0.2")?;
    // The kernel has no part in it.
    let shown = lab.here.exec(&["tc", "qdisc", "show", "dev", "sw0"])?;
    ensure!(!shown.contains("htb"), "{shown}");
    Ok(())
}

#[test]
fn policing_holds_what_comes_in_to_its_rate() -> Result<()> {
    let lab = Lab::new("qosp")?;
    let _server = lab.here.spawn(&["iperf3", "-s", "-p", "5303", "-B", "10.8.0.1"])?;
    lab.vsctl("set Interface sw0 ingress_policing_rate=10000 ingress_policing_burst=500")?;
    std::thread::sleep(Duration::from_millis(300));
    let words = ["iperf3", "-c", "10.8.0.1", "-p", "5303", "-u", "-b", "30M", "-t", "4"];
    let _client = lab.host.spawn(&words)?;
    std::thread::sleep(Duration::from_millis(800));
    // What comes in and is let in leaves by the other port.
    let count = || -> Result<(Instant, u64)> {
        let text = lab.switch.ofctl(&["dump-ports", BRIDGE, "in0"])?;
        let bytes = text.split("bytes=").nth(2).and_then(|it| it.split(',').next());
        Ok((Instant::now(), bytes.context("no count")?.parse()?))
    };
    let (began, before) = count()?;
    std::thread::sleep(Duration::from_secs(2));
    let (ended, after) = count()?;
    let found = (after - before) as f64 * 8.0 / (ended - began).as_secs_f64();
    let part = found / 10_000_000.0;
    println!("policed: {found:.0} bit/s of 10000000: {part:.3}");
    // Frames of 1490 bytes: their Ethernet headers come on top of the rate.
    ensure!((0.95..=1.06).contains(&part), "{found} bit/s");
    let drops = lab.switch.appctl(&["coverage/read-counter", "datapath_drop_rx_policed"])?;
    ensure!(drops.trim().parse::<u64>()? > 0, "three times the rate was sent");
    Ok(())
}
