//! Ports that are added, changed, removed and added again while traffic flows: whatever they held
//! goes with them.
//!
//! Alone in its program, so that nobody else's memory, descriptors and threads are counted. The
//! rounds for each kind of port are few here; for the thousand of a long run:
//!
//! ```sh
//! DP_CHURN_ROUNDS=1000 cargo test -p dp-netdev --test churn
//! ```

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, Instant as Wall};

use dp_core::action::Action;
use dp_core::base::{Instant, PortNo};
use dp_core::boundary::{Datapath, Upcall, UpcallError, UpcallSink, Verdict};
use dp_core::flow::{FlowMask, layout};
use dp_netdev::port::{Change, PortSpec};
use dp_netdev::{Config, Idle, Netdev};
use testkit::netns::{Namespace, veth_pair};

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

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    kibibytes: u64,
    descriptors: usize,
    threads: usize,
}

impl Held {
    fn now() -> Self {
        let count = |path| std::fs::read_dir(path).unwrap().count();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        Self {
            kibibytes: line.trim().trim_end_matches(" kB").parse().unwrap(),
            descriptors: count("/proc/self/fd"),
            threads: count("/proc/self/task"),
        }
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Wall::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}: not in time");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn ports_under_traffic_leave_nothing_behind() {
    testkit::packages::ensure(&["iputils-ping", "ethtool"]).unwrap();
    let rounds = std::env::var("DP_CHURN_ROUNDS").map_or(30, |rounds| rounds.parse().unwrap());
    let switch = Namespace::quiet("churn-sw").unwrap();
    let hosts = [0, 1].map(|n| Namespace::new(&format!("churn-h{n}")).unwrap());
    for (n, (host, port)) in hosts.iter().zip(["sw0", "sw1"]).enumerate() {
        veth_pair((&switch, port), (host, "eth0")).unwrap();
        host.address("eth0", &format!("10.7.0.{}/24", n + 1)).unwrap();
        host.exec(&["ethtool", "--offload", "eth0", "tx", "off"]).unwrap();
    }
    let netdev = Netdev::new(Arc::new(Wire), Config::default()).unwrap();
    let add = |number, kind: &str, name: &str| {
        let open = || {
            let port = PortSpec::new(kind, name).open().unwrap();
            netdev.add_port(PortNo(number), port).unwrap();
        };
        switch.within(open).unwrap();
    };
    add(2, "system", "sw1");
    let running = netdev.start(&[], Idle::Sleep).unwrap();
    // Broadcasts, so that there is traffic whether or not anybody answers.
    let floods = hosts
        .each_ref()
        .map(|host| host.spawn(&["ping", "-q", "-b", "-f", "-i", "0.002", "10.7.0.255"]).unwrap());
    let received = |number| {
        let ports = netdev.ports();
        ports.iter().find(|port| port.port == PortNo(number)).unwrap().stats.rx_packets
    };
    for kind in ["system", "afxdp", "afxdp-nonpmd", "tap"] {
        let name = if kind == "tap" { "tap0" } else { "sw0" };
        let mut before = None;
        for round in 0..rounds {
            if round == rounds / 3 {
                before = Some(Held::now());
            }
            add(1, kind, name);
            switch
                .within(|| netdev.configure_port(PortNo(1), Change::Mtu(1400)))
                .unwrap()
                .unwrap()
                .unwrap();
            if kind == "tap" {
                until("traffic", || received(2) > 0);
            } else {
                until("traffic", || received(1) > 0);
            }
            switch
                .within(|| netdev.configure_port(PortNo(1), Change::Mtu(1500)))
                .unwrap()
                .unwrap()
                .unwrap();
            netdev.remove_port(PortNo(1)).unwrap();
        }
        let (before, after) = (before.unwrap(), Held::now());
        assert!(after.descriptors <= before.descriptors, "{kind}: {before:?}, then {after:?}");
        assert!(after.threads <= before.threads, "{kind}: {before:?}, then {after:?}");
        assert!(after.kibibytes < before.kibibytes + 4096, "{kind}: {before:?}, then {after:?}");
        let links = switch.exec(&["ip", "link", "show"]).unwrap();
        assert!(!links.contains("prog/xdp") && !links.contains("tap0"), "{kind}: {links}");
    }
    drop(floods);
    running.stop();
}
