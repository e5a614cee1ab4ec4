//! Two hosts in network namespaces, joined by a datapath with ports of the kernel's interfaces.

#![expect(clippy::unwrap_used, reason = "tests")]

use dp_core::action::Action;
use dp_core::base::{Instant, PortNo};
use dp_core::boundary::{Datapath, Upcall, UpcallError, UpcallSink, Verdict};
use dp_core::flow::{FlowMask, layout};
use dp_netdev::datapath::PortEventKind;
use dp_netdev::port::afpacket::{AfPacket, Options};
use dp_netdev::port::tap::{Role, Tap};
use dp_netdev::port::{Change, PortSpec, QueueCount};
use dp_netdev::{Config, Idle, Netdev};
use std::sync::Arc;
use std::time::Duration;
use testkit::netns::{Namespace, veth_pair};
use testkit::patience::eventually;

/// Joins ports 1 and 2.
struct Wire;

impl UpcallSink for Wire {
    fn upcall(&self, upcall: &Upcall<'_>, _now: Instant) -> Result<Verdict, UpcallError> {
        let mut mask = FlowMask::default();
        mask.unwildcard_place(layout::IN_PORT);
        let out = if upcall.key.in_port() == PortNo(1) { PortNo(2) } else { PortNo(1) };
        Ok(Verdict { actions: Arc::from([Action::Output(out)]), mask, install: true })
    }
}

struct Lab {
    switch: Namespace,
    hosts: [Namespace; 2],
}

impl Lab {
    fn new(hint: &str, mtu: &str) -> Self {
        let lab = Self {
            switch: Namespace::quiet(&format!("{hint}-sw")).unwrap(),
            hosts: [0, 1].map(|n| Namespace::new(&format!("{hint}-h{n}")).unwrap()),
        };
        for (n, (host, port)) in lab.hosts.iter().zip(["sw0", "sw1"]).enumerate() {
            veth_pair((&lab.switch, port), (host, "eth0")).unwrap();
            lab.switch.ip(&["link", "set", port, "mtu", mtu]).unwrap();
            host.ip(&["link", "set", "eth0", "mtu", mtu]).unwrap();
            host.address("eth0", &format!("10.7.0.{}/24", n + 1)).unwrap();
            host.address("eth0", &format!("fd07::{}/64", n + 1)).unwrap();
        }
        lab
    }

    fn netdev(&self) -> Arc<Netdev> {
        self.netdev_of("system")
    }

    fn netdev_of(&self, kind: &str) -> Arc<Netdev> {
        let netdev = Netdev::new(Arc::new(Wire), Config::default()).unwrap();
        for (number, name) in [(1, "sw0"), (2, "sw1")] {
            let add = || {
                let port = PortSpec::new(kind, name).open().unwrap();
                netdev.add_port(PortNo(number), port).unwrap();
            };
            self.switch.within(add).unwrap();
        }
        netdev
    }

    fn ping(&self, from: usize, to: &str, bytes: usize) -> Result<String, String> {
        let size = bytes.to_string();
        // For its last reply it waits one interval, or twice the longest round trip: time enough on
        // a busy machine.
        let words = ["ping", "-q", "-c", "3", "-i", "0.1", "-W", "5", "-s", &size, to];
        self.hosts[from].exec(&words).map_err(|error| error.to_string())
    }
}

#[test]
fn ping_of_all_sizes_passes_both_ways() {
    testkit::packages::ensure(&["iputils-ping"]).unwrap();
    for (mtu, offload) in [("1500", "off"), ("9000", "on")] {
        let lab = Lab::new("ping", mtu);
        for host in &lab.hosts {
            host.exec(&["ethtool", "--offload", "eth0", "tx", offload]).unwrap();
        }
        let netdev = lab.netdev();
        let running = netdev.start(&[], Idle::Sleep).unwrap();
        for bytes in [1, 8, 56, 64, 500, 1400, 1472, 1473, 3000, 8000] {
            for (from, addresses) in [(0, ["10.7.0.2", "fd07::2"]), (1, ["10.7.0.1", "fd07::1"])] {
                for address in addresses {
                    let report = lab.ping(from, address, bytes).unwrap();
                    assert!(report.contains(" 0% packet loss"), "{bytes} bytes: {report}");
                }
            }
        }
        // With nothing to do the thread sleeps.
        let turns = || netdev.thread_stats().iter().map(|thread| thread.turns).sum::<u64>();
        let before = turns();
        std::thread::sleep(Duration::from_millis(500));
        assert!(turns() - before < 500, "{} turns", turns() - before);
        running.stop();
        let ports = netdev.ports();
        assert_eq!(ports[0].stats.rx_packets, ports[1].stats.tx_packets);
        assert_eq!(ports[1].stats.rx_packets, ports[0].stats.tx_packets);
        assert_eq!(netdev.totals().dropped_in_all(), 0);
        assert_eq!(netdev.flow_count(), 2);
    }
}

#[test]
fn ping_tcp_and_udp_pass_between_xdp_sockets() {
    testkit::packages::ensure(&["iputils-ping", "iperf3"]).unwrap();
    let lab = Lab::new("xdp", "1500");
    for host in &lab.hosts {
        // What a sender leaves to the device is not told to XDP sockets.
        host.exec(&["ethtool", "--offload", "eth0", "tx", "off"]).unwrap();
    }
    let netdev = lab.netdev_of("afxdp");
    let running = netdev.start(&[], Idle::Sleep).unwrap();
    for bytes in [1, 56, 1472, 4000] {
        for (from, address) in [(0, "10.7.0.2"), (1, "fd07::1")] {
            let report = lab.ping(from, address, bytes).unwrap();
            assert!(report.contains(" 0% packet loss"), "{bytes} bytes: {report}");
        }
    }
    let _server = lab.hosts[1].spawn(&["iperf3", "--server"]).unwrap();
    let mut tcp = vec!["iperf3", "--client", "10.7.0.2", "--bytes", "10M"];
    let done = (0..100).any(|_| {
        // The server may not listen yet.
        std::thread::sleep(Duration::from_millis(50));
        lab.hosts[0].exec(&tcp).is_ok()
    });
    assert!(done, "{:?}", netdev.totals());
    tcp.truncate(3);
    let udp = ["--udp", "--bitrate", "5M", "--length", "1000", "--time", "1", "--json"];
    let report = lab.hosts[0].exec(&[&tcp[..], &udp].concat()).unwrap();
    let lost = report.split("\"lost_packets\":").nth(1).unwrap();
    let lost: u32 = lost.split(',').next().unwrap().trim().parse().unwrap();
    assert!(lost < 60, "{lost} of 625 datagrams: {:?}", netdev.totals());
    running.stop();
    let sent = netdev.ports()[1].stats;
    assert!(sent.tx_bytes > 5_000_000, "{sent:?}");
}

#[test]
fn the_xdp_program_of_a_killed_process_is_gone() {
    const NAME: &str = "the_xdp_program_of_a_killed_process_is_gone";
    if std::env::var("DP_XDP_HOLDER").is_ok() {
        let mut port = PortSpec::new("afxdp", "sw0").open().unwrap();
        let _queues = port.queues(QueueCount::ONE).unwrap();
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let lab = Lab::new("xdpkill", "1500");
    let attached = || lab.switch.exec(&["ip", "link", "show", "sw0"]).unwrap().contains("prog/xdp");
    let program = std::env::current_exe().unwrap();
    let program = program.to_str().unwrap();
    let holder = ["env", "DP_XDP_HOLDER=1", program, NAME, "--exact", "--test-threads=1"];
    let holder = lab.switch.spawn(&holder).unwrap();
    let soon = Duration::from_secs(20);
    eventually("its program is attached", soon, || attached().then_some(()));
    // Dropping it kills it.
    drop(holder);
    eventually("nothing is left behind", soon, || (!attached()).then_some(()));
}

/// Port 1 is an access port of VLAN 42, port 2 the trunk.
struct Access;

impl UpcallSink for Access {
    fn upcall(&self, upcall: &Upcall<'_>, _now: Instant) -> Result<Verdict, UpcallError> {
        let mut mask = FlowMask::default();
        mask.unwildcard_place(layout::IN_PORT);
        mask.unwildcard_place(layout::VLAN_TCI);
        let actions: Arc<[Action]> = match (upcall.key.in_port(), upcall.key.vlan_tci()) {
            (PortNo(1), 0) => Arc::from([
                Action::PushVlan { tpid: 0x8100, tci: layout::VLAN_PRESENT | 42 },
                Action::Output(PortNo(2)),
            ]),
            (PortNo(2), tci) if tci & 0xfff == 42 => {
                Arc::from([Action::PopVlan, Action::Output(PortNo(1))])
            }
            _ => Arc::from([]),
        };
        Ok(Verdict { actions, mask, install: true })
    }
}

#[test]
fn tcp_at_full_segment_size_passes_a_tagged_link() {
    testkit::packages::ensure(&["iperf3"]).unwrap();
    let lab = Lab::new("trunk", "1500");
    // Two switches in the same namespace, joined by a cable of their own.
    lab.switch.ip(&["link", "add", "trunk0", "type", "veth", "peer", "name", "trunk1"]).unwrap();
    let ends = ["trunk0", "trunk1"];
    for port in ends {
        lab.switch.ip(&["link", "set", port, "up"]).unwrap();
    }
    for port in ends {
        lab.switch.await_link(port).unwrap();
    }
    for host in &lab.hosts {
        host.exec(&["ethtool", "--offload", "eth0", "tx", "on"]).unwrap();
    }
    let switches = [["sw0", "trunk0"], ["sw1", "trunk1"]].map(|names| {
        let netdev = Netdev::new(Arc::new(Access), Config::default()).unwrap();
        for (number, name) in (1..).zip(names) {
            let open = || AfPacket::open(name, Options::default()).unwrap();
            let port = lab.switch.within(open).unwrap();
            netdev.add_port(PortNo(number), Box::new(port)).unwrap();
        }
        netdev
    });
    let running = switches.each_ref().map(|netdev| netdev.start(&[], Idle::Sleep).unwrap());
    let report = lab.ping(0, "10.7.0.2", 3000).unwrap();
    assert!(report.contains(" 0% packet loss"), "{report}");
    let _server = lab.hosts[1].spawn(&["iperf3", "--server"]).unwrap();
    let client = ["iperf3", "--client", "10.7.0.2", "--bytes", "40M"];
    let done = (0..100).any(|_| {
        // The server may not listen yet.
        std::thread::sleep(Duration::from_millis(50));
        lab.hosts[0].exec(&client).is_ok()
    });
    assert!(done, "{:?}", switches.each_ref().map(|netdev| netdev.totals()));
    running.into_iter().for_each(dp_netdev::Running::stop);
    for netdev in &switches {
        let trunk = netdev.ports()[1].stats;
        let (packets, bytes) =
            (trunk.rx_packets + trunk.tx_packets, trunk.rx_bytes + trunk.tx_bytes);
        assert!(bytes > 40_000_000 && bytes / packets > 3000, "{trunk:?}: frames travel uncut");
        assert_eq!(trunk.tx_dropped, 0);
    }
}

#[test]
fn a_port_that_vanishes_is_reported_once_and_the_others_go_on() {
    let lab = Lab::new("hot", "1500");
    let netdev = lab.netdev();
    // Port 3 is a tap of the switch's own namespace.
    let tap = || {
        let mut tap = Tap::open("int0", Role::Internal).unwrap();
        dp_netdev::port::Port::configure(&mut tap, Change::AdminUp(true)).unwrap();
        netdev.add_port(PortNo(3), Box::new(tap)).unwrap();
    };
    lab.switch.within(tap).unwrap();
    let running = netdev.start(&[], Idle::Sleep).unwrap();
    lab.ping(0, "10.7.0.2", 56).unwrap();
    let _ = netdev.events();
    let flood = lab.hosts[0].spawn(&["ping", "-q", "-f", "-i", "0.002", "10.7.0.2"]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    lab.switch.ip(&["link", "delete", "sw1"]).unwrap();
    let mut events = Vec::new();
    let mut look = || {
        events.extend(netdev.events().into_iter().filter(|event| event.port == PortNo(2)));
        events.iter().any(|event| event.kind != PortEventKind::Down).then_some(())
    };
    eventually("the news that it is gone", Duration::from_secs(20), &mut look);
    // And not told again.
    for _ in 0..20 {
        look();
        std::thread::sleep(Duration::from_millis(10));
    }
    let failed = PortEventKind::Failed("sw1: network interface removed".to_owned());
    // Its going down may be seen first.
    let told: Vec<_> = events.iter().filter(|e| e.kind != PortEventKind::Down).collect();
    assert_eq!(told.len(), 1, "{events:?}");
    assert_eq!(told[0].kind, failed);
    let port = &netdev.ports()[1];
    assert!(!port.up && port.stats.tx_dropped > 0, "{port:?}");
    drop(flood);

    // A new interface of the same name takes its place.
    netdev.remove_port(PortNo(2)).unwrap();
    veth_pair((&lab.switch, "sw1"), (&lab.hosts[1], "eth0")).unwrap();
    lab.hosts[1].address("eth0", "10.7.0.2/24").unwrap();
    let add = || AfPacket::open("sw1", Options::default()).unwrap();
    netdev.add_port(PortNo(2), Box::new(lab.switch.within(add).unwrap())).unwrap();
    lab.hosts[0].ip(&["neighbour", "flush", "all"]).unwrap();
    let report = lab.ping(0, "10.7.0.2", 56).unwrap();
    assert!(report.contains(" 0% packet loss"), "{report}");
    running.stop();
}

#[test]
fn tap_ports_come_and_go_without_a_trace() {
    let host = Namespace::quiet("taps").unwrap();
    let netdev = Netdev::new(Arc::new(Wire), Config::default()).unwrap();
    let running = netdev.start(&[], Idle::Sleep).unwrap();
    let count = |path| std::fs::read_dir(path).unwrap().count();
    let counts = || (count("/proc/self/task"), count("/proc/self/fd"));
    let work = || {
        let mut before = (0, 0);
        for round in 0..1000 {
            if round == 10 {
                before = counts();
            }
            let tap = Tap::open("tap0", Role::Tap).unwrap();
            netdev.add_port(PortNo(1), Box::new(tap)).unwrap();
            netdev.remove_port(PortNo(1)).unwrap();
        }
        (before, counts())
    };
    let (before, after) = host.within(work).unwrap();
    // Other tests come and go meanwhile.
    assert!(after.0 < before.0 + 20 && after.1 < before.1 + 100, "{before:?} {after:?}");
    running.stop();
}
