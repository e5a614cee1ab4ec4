//! Spanning trees over ten wirings: our switch comes to the reference's topology, alone and together
//! with it.
//!
//! A wiring is bridges, links between their ports, and what happens to them: links that fail and come
//! back, other priorities, other costs. Three laboratories live through it by a clock that the test
//! moves: the reference alone, ours alone, and both, with every other bridge in the other's switch.
//! After each event roles, states and roots must be the same, as `stp/show` and `rstp/show` print them
//! and as the database has them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::netns::{Namespace, veth_pair};
use testkit::reference::{BRIDGE, Reference, Setup};

/// Which tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Stp,
    Rstp,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Stp => "stp",
            Self::Rstp => "rstp",
        }
    }

    /// How long a tree takes to come to rest, with times that are as short as may be.
    const fn rest(self) -> u64 {
        match self {
            Self::Stp => 26_000,
            Self::Rstp => 16_000,
        }
    }
}

/// What happens.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The link's first end goes down; the other end does not notice.
    Down(usize),
    /// It comes back.
    Up(usize),
    /// Both ends of a link go down. (Debian 12's reference does not look for another root port when
    /// the port of its root port is removed, so nothing is removed here.)
    Cut(usize),
    /// A bridge's priority.
    Priority(usize, u32),
    /// The cost of a link's first (`false`) or second end.
    Cost(usize, bool, u32),
    /// The priority of a link's end.
    PortPriority(usize, bool, u32),
}

/// A wiring.
struct Wiring {
    name: &'static str,
    bridges: usize,
    links: &'static [(usize, usize)],
    events: &'static [Event],
}

#[rustfmt::skip]
const WIRINGS: &[Wiring] = &[
    Wiring { name: "a pair", bridges: 2, links: &[(0, 1)],
        events: &[Event::Down(0), Event::Up(0), Event::Priority(1, 0)] },
    Wiring { name: "two links beside each other", bridges: 2, links: &[(0, 1), (1, 0)],
        events: &[Event::Down(0), Event::Up(0), Event::Cut(0)] },
    Wiring { name: "three links and port priorities", bridges: 2, links: &[(0, 1), (0, 1), (0, 1)],
        events: &[Event::PortPriority(2, false, 16), Event::Down(2), Event::PortPriority(1, false, 32)] },
    Wiring { name: "a triangle that breaks", bridges: 3, links: &[(0, 1), (1, 2), (2, 0)],
        events: &[Event::Down(0), Event::Up(0), Event::Down(2)] },
    Wiring { name: "a triangle whose costs change", bridges: 3, links: &[(0, 1), (1, 2), (2, 0)],
        events: &[Event::Cost(0, true, 60_000), Event::Cost(2, false, 65_000), Event::Priority(2, 4096)] },
    Wiring { name: "a square with a diagonal", bridges: 4,
        links: &[(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)],
        events: &[Event::Down(4), Event::Cost(3, false, 9), Event::Priority(3, 8192), Event::Cut(2)] },
    Wiring { name: "a ring of five whose root moves", bridges: 5,
        links: &[(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)],
        events: &[Event::Priority(3, 4096), Event::Down(2), Event::Up(2)] },
    Wiring { name: "a hub with three leaves, two links each", bridges: 4,
        links: &[(3, 0), (3, 0), (3, 1), (1, 3), (3, 2), (2, 3)],
        events: &[Event::Down(0), Event::Down(3), Event::Priority(3, 0)] },
    Wiring { name: "everybody with everybody, and the root fails", bridges: 4,
        links: &[(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)],
        events: &[Event::Cut(0), Event::Cut(1), Event::Cut(2)] },
    Wiring { name: "a loop with itself beside a neighbour", bridges: 2, links: &[(0, 0), (0, 1), (1, 1)],
        events: &[Event::Priority(1, 4096), Event::Down(0), Event::Cost(1, false, 100)] },
];

/// Bridges of a wiring, spread over switches.
struct Lab<'a> {
    kind: Kind,
    switches: &'a [&'a Reference],
    wiring: &'a Wiring,
}

impl Lab<'_> {
    fn switch(&self, bridge: usize) -> &Reference {
        self.switches[bridge % self.switches.len()]
    }

    /// Bridge, port and number of a link's end.
    fn end(&self, link: usize, second: bool) -> (usize, String, usize) {
        let (a, b) = self.wiring.links[link];
        let number = 2 * link + 1 + usize::from(second);
        (if second { b } else { a }, format!("p{number}"), number)
    }

    fn build(&self) -> Result<()> {
        for switch in self.switches {
            switch.time_stop()?;
        }
        for (place, switch) in self.switches.iter().enumerate() {
            let mine = |bridge: usize| bridge % self.switches.len() == place;
            let mut words: Vec<String> = Vec::new();
            for bridge in (0..self.wiring.bridges).filter(|it| mine(*it)) {
                words.extend(self.bridge_words(bridge));
            }
            for link in 0..self.wiring.links.len() {
                for second in [false, true] {
                    let mine = mine(self.end(link, second).0);
                    words.extend(if mine { self.port_words(link, second) } else { Vec::new() });
                }
            }
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            switch.vsctl(&words)?;
        }
        for link in 0..self.wiring.links.len() {
            let (bridge, port, _) = self.end(link, true);
            // Whoever found nobody listening tries again a while later, by the switch's clock.
            let connected = || {
                for switch in self.switches {
                    switch.time_warp(Duration::from_millis(500), None).ok()?;
                }
                let state = self.switch(bridge).appctl(&["netdev-dummy/conn-state", &port]);
                state.is_ok_and(|it| it.contains(" connected")).then_some(())
            };
            let limit = Duration::from_secs(20);
            testkit::patience::wait(limit, connected).context("ports are not connected")?;
        }
        Ok(())
    }

    fn bridge_words(&self, bridge: usize) -> Vec<String> {
        let word = self.kind.word();
        let name = format!("br{bridge}");
        let mut words = ["--", "--may-exist", "add-br", &name, "--", "set", "bridge", &name]
            .map(str::to_owned)
            .to_vec();
        words.push("datapath_type=dummy".to_owned());
        words.push(format!("other_config:hwaddr=aa:66:aa:66:00:0{bridge}"));
        words.push(format!("other_config:{word}-max-age=6"));
        words.push(format!("other_config:{word}-forward-delay=4"));
        words.push(format!("{word}_enable=true"));
        words
    }

    fn port_words(&self, link: usize, second: bool) -> Vec<String> {
        let word = self.kind.word();
        let (first, socket, _) = self.end(link, false);
        let socket = self.switch(first).folder().join(format!("{socket}.sock"));
        let (bridge, port, number) = self.end(link, second);
        let bridge = format!("br{bridge}");
        let option = if second { "stream=unix" } else { "pstream=punix" };
        let mut words = ["--", "add-port", &bridge, &port, "--", "set", "interface", &port]
            .map(str::to_owned)
            .to_vec();
        words.push("type=dummy".to_owned());
        words.push(format!("ofport_request={number}"));
        words.push(format!("options:{option}:{}", socket.display()));
        words.extend(["--", "set", "port", &port].map(str::to_owned));
        words.push(format!("other_config:{word}-port-num={number}"));
        words
    }

    fn happen(&self, event: Event) -> Result<()> {
        let word = self.kind.word();
        let set = |bridge: usize, table: &str, row: &str, key: &str, value: &str| -> Result<()> {
            let setting = format!("other_config:{word}-{key}={value}");
            self.switch(bridge).vsctl(&["set", table, row, &setting])?;
            Ok(())
        };
        match event {
            Event::Down(link) | Event::Up(link) => {
                let (bridge, port, _) = self.end(link, false);
                let state = if matches!(event, Event::Down(_)) { "down" } else { "up" };
                self.switch(bridge).appctl(&["netdev-dummy/set-admin-state", &port, state])?;
            }
            Event::Cut(link) => {
                for second in [false, true] {
                    let (bridge, port, _) = self.end(link, second);
                    let words = ["netdev-dummy/set-admin-state", &port, "down"];
                    self.switch(bridge).appctl(&words)?;
                }
            }
            Event::Priority(bridge, value) => {
                set(bridge, "bridge", &format!("br{bridge}"), "priority", &value.to_string())?;
            }
            Event::Cost(link, second, value) => {
                let (bridge, port, _) = self.end(link, second);
                set(bridge, "port", &port, "path-cost", &value.to_string())?;
            }
            Event::PortPriority(link, second, value) => {
                let (bridge, port, _) = self.end(link, second);
                set(bridge, "port", &port, "port-priority", &value.to_string())?;
            }
        }
        Ok(())
    }

    /// Lets the tree come to rest.
    fn rest(&self) -> Result<()> {
        match self.switches {
            [one] => {
                let (all, step) =
                    (Duration::from_millis(self.kind.rest()), Duration::from_millis(500));
                one.time_warp(all, Some(step))?;
            }
            several => {
                let (turn, step) = (Duration::from_secs(1), Duration::from_millis(250));
                for _ in 0..self.kind.rest() / 1000 {
                    for switch in several {
                        switch.time_warp(turn, Some(step))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// What is there to be seen: tables of ports, roots, and the database's columns.
    fn seen(&self) -> Result<BTreeMap<String, String>> {
        let mut seen = BTreeMap::new();
        for bridge in 0..self.wiring.bridges {
            let name = format!("br{bridge}");
            let text =
                self.switch(bridge).appctl(&[&format!("{}/show", self.kind.word()), &name])?;
            let mut ports: Vec<&str> = Vec::new();
            for line in text.lines().map(str::trim) {
                let words: Vec<&str> = line.split_whitespace().collect();
                let is_port = words.len() == 5 && words[0].starts_with('p');
                if is_port {
                    ports.push(line);
                } else if line.starts_with("root-") || line.starts_with("This bridge") {
                    ports.insert(0, line);
                }
            }
            ports.sort_unstable();
            let spaced = |line: &&str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            let ports: Vec<String> = ports.iter().map(spaced).collect();
            seen.insert(name, ports.join("; "));
        }
        for switch in self.switches {
            for table in ["bridge", "port"] {
                let columns = "--columns=name,status,rstp_status";
                let text =
                    switch.vsctl(&["--format=csv", "--no-headings", columns, "list", table])?;
                for line in text.lines() {
                    let (name, rest) = line.split_once(',').unwrap_or((line, ""));
                    let rest: Vec<&str> =
                        rest.split(", ").filter(|it| !it.contains("sec_in_state")).collect();
                    let ours = name.starts_with("br") && table == "bridge" || name.starts_with('p');
                    let here = |bridge: &str| {
                        let number: usize =
                            bridge.get(2..).and_then(|it| it.parse().ok()).unwrap_or(0);
                        number < self.wiring.bridges && std::ptr::eq(self.switch(number), *switch)
                    };
                    if ours && (table == "port" || here(name)) {
                        seen.insert(format!("{table} {name}"), rest.join(", "));
                    }
                }
            }
        }
        Ok(seen)
    }

    /// As [`Self::seen`], asked until it is what is wanted: columns are written a moment later.
    fn seen_as(&self, wanted: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
        let mut last = self.seen()?;
        for _ in 0..4 {
            if last == *wanted {
                break;
            }
            for switch in self.switches {
                switch.time_warp(Duration::from_millis(2000), Some(Duration::from_millis(250)))?;
            }
            last = self.seen()?;
        }
        Ok(last)
    }

    fn tear_down(&self) -> Result<()> {
        for (place, switch) in self.switches.iter().enumerate() {
            let mine = (0..self.wiring.bridges).filter(|it| it % self.switches.len() == place);
            let names: Vec<String> = mine.map(|it| format!("br{it}")).collect();
            let words = names.iter().flat_map(|name| ["--", "--if-exists", "del-br", name]);
            switch.vsctl(&words.collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

/// What differs, if anything does.
fn difference(wanted: &BTreeMap<String, String>, found: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, wanted) in wanted {
        let found = found.get(key).map_or("-", String::as_str);
        if wanted != found {
            // Writing to a string does not fail.
            let _ = write!(text, "    {key}\n      reference {wanted}\n      here      {found}\n");
        }
    }
    text
}

/// Lets each wiring live in all laboratories.
fn compare(kind: Kind, wirings: &[Wiring]) -> Result<()> {
    let (alone, ours) = (Reference::start()?, Reference::start_ours()?);
    let (mixed, mixed_ours) = (Reference::start()?, Reference::start_ours()?);
    let mut report = String::new();
    for wiring in wirings {
        let all: [&[&Reference]; 3] = [&[&alone], &[&ours], &[&mixed_ours, &mixed]];
        let labs = all.map(|switches| Lab { kind, switches, wiring });
        for lab in &labs {
            lab.build()?;
        }
        let events = std::iter::once(None).chain(wiring.events.iter().map(|it| Some(*it)));
        for event in events {
            let [reference, others @ ..] = &labs;
            for lab in &labs {
                event.map_or(Ok(()), |event| lab.happen(event))?;
                lab.rest()?;
            }
            let wanted = reference.seen()?;
            for (lab, who) in others.iter().zip(["ours", "both"]) {
                let found = lab.seen_as(&wanted)?;
                let text = difference(&wanted, &found);
                if !text.is_empty() {
                    writeln!(report, "{kind:?}, {}, after {event:?}, {who}:\n{text}", wiring.name)?;
                }
            }
        }
        for lab in &labs {
            lab.tear_down()?;
        }
    }
    ensure!(report.is_empty(), "{report}");
    Ok(())
}

#[test]
fn stp_comes_to_the_references_topology_in_five_wirings() -> Result<()> {
    compare(Kind::Stp, &WIRINGS[..5])
}

#[test]
fn stp_comes_to_the_references_topology_in_five_more() -> Result<()> {
    compare(Kind::Stp, &WIRINGS[5..])
}

#[test]
fn rstp_comes_to_the_references_topology_in_five_wirings() -> Result<()> {
    compare(Kind::Rstp, &WIRINGS[..5])
}

#[test]
fn rstp_comes_to_the_references_topology_in_five_more() -> Result<()> {
    compare(Kind::Rstp, &WIRINGS[5..])
}

/// Three switches in a ring of real links, in namespaces of their own; `ours` says which are ours.
struct Ring {
    spaces: Vec<Namespace>,
    switches: Vec<Reference>,
}

/// The ports of switch `number`, to the one before it and to the next.
fn ring_ports(number: usize) -> [String; 2] {
    [format!("t{number}a"), format!("t{number}b")]
}

impl Ring {
    fn new(ours: [bool; 3]) -> Result<Self> {
        let daemon = testkit::daemon::built()?;
        let spaces = (0..3)
            .map(|number| Namespace::quiet(&format!("ring{number}")))
            .collect::<Result<Vec<_>, _>>()?;
        for number in 0..3 {
            let next = (number + 1) % 3;
            let [_, out] = ring_ports(number);
            let [back, _] = ring_ports(next);
            veth_pair((&spaces[number], &out), (&spaces[next], &back))?;
        }
        let mut switches = Vec::new();
        for (number, (space, ours)) in spaces.iter().zip(ours).enumerate() {
            let setup = Setup::within(space);
            let switch = if ours { setup.daemon(&daemon) } else { setup }.start()?;
            let [a, b] = ring_ports(number);
            // The first has the best priority.
            let words = format!(
                "set bridge {BRIDGE} fail_mode=standalone rstp_enable=true \
                 other_config:rstp-priority={} other_config:hwaddr=aa:66:aa:66:00:0{number} \
                 -- add-port {BRIDGE} {a} -- add-port {BRIDGE} {b}",
                4096 * (number + 1)
            );
            switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
            switch.add_flow(BRIDGE, "actions=normal")?;
            switches.push(switch);
        }
        Ok(Self { spaces, switches })
    }

    /// Role and state of each port, in the ring's order.
    fn roles(&self) -> Option<Vec<String>> {
        let mut roles = Vec::new();
        for (number, switch) in self.switches.iter().enumerate() {
            for port in ring_ports(number) {
                let get = |key: &str| {
                    let key = format!("rstp_status:{key}");
                    let text = switch.vsctl(&["--if-exists", "get", "port", &port, &key]).ok()?;
                    Some(text.trim().trim_matches('"').to_owned())
                };
                roles.push(format!("{} {}", get("rstp_port_role")?, get("rstp_port_state")?));
            }
        }
        Some(roles)
    }

    fn come_to(&self, what: &str, wanted: &[&str; 6]) -> Result<()> {
        let limit = Duration::from_secs(40);
        let mut last = None;
        let there = testkit::patience::wait(limit, || {
            last = self.roles();
            last.as_deref().is_some_and(|it| it == wanted).then_some(())
        });
        there.with_context(|| format!("{what}: {last:?}"))
    }
}

#[test]
fn rings_of_real_links_are_cut_open_and_closed_again() -> Result<()> {
    let (root, fine) = ("Root Forwarding", "Designated Forwarding");
    for ours in [[true, true, true], [true, false, true], [false, true, false]] {
        let ring = Ring::new(ours)?;
        let whole = [fine, fine, root, fine, "Alternate Discarding", root];
        ring.come_to("the ring", &whole).with_context(|| format!("ours: {ours:?}"))?;
        // The root's link to the last one goes: that one is reached the other way round.
        ring.spaces[0].ip(&["link", "set", "t0a", "down"])?;
        let limit = Duration::from_secs(40);
        let reached = || {
            let roles = ring.roles()?;
            (roles[4] == root && roles[3] == fine).then_some(())
        };
        testkit::patience::wait(limit, reached)
            .with_context(|| format!("ours: {ours:?}: {:?}", ring.roles()))?;
        ring.spaces[0].ip(&["link", "set", "t0a", "up"])?;
        ring.come_to("the ring again", &whole).with_context(|| format!("ours: {ours:?}"))?;
    }
    Ok(())
}
