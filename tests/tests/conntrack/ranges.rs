//! Translations to ranges of addresses and ports, and to one address that is too small: several hosts
//! want the same, and each gets what it gets in the newer reference.
//!
//! Where an action names a range, either switch begins at a place of its own; there the connections are
//! compared without that part. Everything else, the order in which ports of one address are given out
//! among it, is compared as it is. Where an action names a range of addresses and one of ports, the
//! reference sometimes gives up with places left, depending on a secret of its process; there ours must
//! hold every connection, and the reference's among them.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use testkit::reference::{BRIDGE, Reference};

/// A translation, a protocol, how many hosts use it from one and the same port or each from its own, and
/// the parts of the reply direction that are the switch's choice.
struct Case {
    nat: &'static str,
    proto: &'static str,
    hosts: u32,
    same_port: bool,
    chosen: &'static [&'static str],
}

const fn case(
    nat: &'static str,
    proto: &'static str,
    (hosts, same_port): (u32, bool),
    chosen: &'static [&'static str],
) -> Case {
    Case { nat, proto, hosts, same_port, chosen }
}

const CASES: &[Case] = &[
    // One address: the own port, then the next ones, by classes of ports.
    case("src=10.9.9.1", "udp", (6, true), &[]),
    case("src=10.9.9.1", "tcp", (6, true), &[]),
    case("src=10.9.9.1", "sctp", (4, true), &[]),
    case("src=10.9.9.1", "udp", (3, false), &[]),
    case("src=0.0.0.0", "udp", (3, true), &[]),
    case("src=[fc00::9]", "tcp6", (6, true), &[]),
    case("src=[fc00::9]", "udp6", (6, true), &[]),
    // One port: who comes first.
    case("src=10.9.9.1:5000", "udp", (3, true), &[]),
    case("src=[fc00::9]:5000", "udp6", (3, false), &[]),
    // Ranges that hold all, and ranges that do not.
    case("src=10.9.9.1:5000-5002", "udp", (3, true), &["dport"]),
    case("src=10.9.9.1:5000-5002", "udp", (5, false), &["dport"]),
    case("src=10.9.9.1:5000-5002", "tcp", (5, true), &["dport"]),
    case("src=10.9.9.1:700-701", "sctp", (4, false), &["dport"]),
    case("src=10.9.9.1:5000-5002,persistent", "tcp", (5, true), &["dport"]),
    case("src=10.9.9.1:5000-5002,hash", "tcp", (5, true), &["dport"]),
    case("src=10.9.9.1:5000-5002,random", "tcp", (5, true), &["dport"]),
    case("src=[fc00::9]:5000-5002", "udp6", (5, false), &["dport"]),
    case("src=10.9.9.1-10.9.9.4:6000-6001", "tcp", (4, true), &["dst", "dport"]),
    case("src=10.9.9.1-10.9.9.4", "udp", (4, false), &["dst"]),
    case("src=fc00::9-fc00::b", "udp6", (3, false), &["dst"]),
    case("dst=10.9.9.1:80", "tcp", (3, true), &[]),
    case("dst=10.9.9.1", "udp", (3, true), &[]),
    case("dst=10.9.9.1-10.9.9.3:80", "tcp", (4, true), &["src"]),
    case("dst=10.9.9.1:80-90", "tcp", (4, true), &["sport"]),
    case("dst=[fc00::50]:8080", "tcp6", (3, true), &[]),
    case("dst=fc00::50-fc00::52", "udp6", (4, true), &["src"]),
];

impl Case {
    fn packet(&self, host: u32) -> String {
        let port = if self.same_port { 1021 } else { 40_000 + host };
        let mut text = format!("in_port(1),eth(src=50:54:00:00:00:0{host},dst=50:54:00:00:00:77),");
        let (proto, number) = match self.proto.trim_end_matches('6') {
            "udp" => ("udp", 17),
            "sctp" => ("sctp", 132),
            _ => ("tcp", 6),
        };
        // Writing to a string cannot fail.
        let _ = if self.proto.ends_with('6') {
            write!(
                text,
                "eth_type(0x86dd),ipv6(src=fc00:1::{host},dst=fc00::100,label=0,proto={number},\
                 tclass=0,hlimit=64,frag=no),"
            )
        } else {
            write!(
                text,
                "eth_type(0x0800),ipv4(src=10.0.0.{host},dst=10.1.0.1,proto={number},tos=0,ttl=64,\
                 frag=no),"
            )
        };
        let _ = write!(text, "{proto}(src={port},dst=53)");
        if proto == "tcp" {
            text.push_str(",tcp_flags(syn)");
        }
        text
    }

    /// Whether the reference may refuse a connection that had a place.
    fn may_fall_short(&self) -> bool {
        self.chosen == ["dst", "dport"]
    }

    /// Whether the reference's connections and ours are what they should be.
    fn agrees(&self, theirs: &[String], own: &[String]) -> bool {
        if !self.may_fall_short() {
            return theirs == own;
        }
        own.len() == self.hosts as usize && theirs.iter().all(|line| own.contains(line))
    }

    /// What the connections are, in the order of their lines.
    fn made(&self, switch: &Reference) -> Result<Vec<String>> {
        let family = if self.proto.ends_with('6') { "ipv6" } else { "ip" };
        switch.ofctl(&["del-flows", BRIDGE])?;
        switch.appctl(&["dpctl/flush-conntrack"])?;
        switch.add_flows(
            BRIDGE,
            &format!(
                "{family},actions=ct(commit,zone=1,nat({}),table=1)\ntable=1,actions=2\n",
                self.nat
            ),
        )?;
        for host in 1..=self.hosts {
            switch.receive("p1", &self.packet(host))?;
        }
        let dump = switch.appctl(&["dpctl/dump-conntrack", "zone=1"])?;
        let mut lines: Vec<String> = dump.lines().map(|line| self.masked(line)).collect();
        lines.sort();
        Ok(lines)
    }

    /// A line without the parts that the switch has chosen.
    fn masked(&self, line: &str) -> String {
        let Some((before, reply)) = line.split_once("reply=(") else { return line.to_owned() };
        let mut reply = reply.to_owned();
        for key in self.chosen {
            let Some(from) = reply.find(&format!("{key}=")).map(|at| at + key.len() + 1) else {
                continue;
            };
            let len = reply[from..].find([',', ')']).unwrap_or(reply.len() - from);
            reply.replace_range(from..from + len, "*");
        }
        format!("{before}reply=({reply}")
    }
}

#[test]
fn hosts_that_share_addresses_and_ports_get_what_they_get_in_the_newer_reference() -> Result<()> {
    let (reference, ours) = (Reference::start_newer()?, Reference::start_ours()?);
    for switch in [&reference, &ours] {
        switch.add_dummy_port("p1", 1)?;
        switch.add_dummy_port("p2", 2)?;
    }
    let mut report = String::new();
    let mut connections = 0;
    for case in CASES {
        let (theirs, own) = (case.made(&reference)?, case.made(&ours)?);
        connections += own.len();
        if !case.agrees(&theirs, &own) {
            writeln!(report, "{} of {} by {}", case.nat, case.proto, case.hosts)?;
            writeln!(report, "  reference: {theirs:#?}\n  ours:      {own:#?}")?;
        }
    }
    ensure!(report.is_empty(), "{report}");
    ensure!(connections > 70, "{connections}");
    Ok(())
}
