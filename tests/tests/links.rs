//! Two switches back to back over dummy wires, by a clock that the test moves: LACP, BFD and CFM.
//!
//! ```text
//!   left          right
//!   br0 ─ p1 ═══ p3 ─ br1        reference ─ reference   the measure
//!   br0 ─ p2 ═══ p4 ─ br1        ours ─ ours, ours ─ reference, reference ─ ours
//! ```
//!
//! Every pair lives through the same stages; after each, the columns of the database that tell of
//! sessions must be those of the pair of references.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::reference::Reference;

/// Two switches, or one that is both.
struct Pair<'a> {
    left: &'a Reference,
    right: &'a Reference,
}

/// The ports of the left end and of the right.
const LEFT: [&str; 2] = ["p1", "p2"];
const RIGHT: [&str; 2] = ["p3", "p4"];

impl Pair<'_> {
    fn each(&self) -> [&Reference; 2] {
        [self.left, self.right]
    }

    /// Wires the bridges together: as single ports, or as bonds with these settings.
    fn build(&self, bonds: Option<[&str; 2]>) -> Result<()> {
        let mut sides = Vec::new();
        for (at, switch) in self.each().into_iter().enumerate() {
            switch.time_stop()?;
            let (bridge, ports) = (["br0", "br1"][at], [LEFT, RIGHT][at]);
            // Single wires beside each other would be a loop.
            let fail = if bonds.is_some() { "standalone" } else { "secure" };
            let mac = format!("other_config:hwaddr=aa:66:aa:66:00:0{at}");
            let mut words = format!(
                "--may-exist add-br {bridge} -- set bridge {bridge} datapath_type=dummy \
                 fail_mode={fail} {mac}"
            );
            match bonds {
                Some(settings) => {
                    let bond = ["bond0", "bond1"][at];
                    write!(words, " -- add-bond {bridge} {bond} {} {}", ports[0], ports[1])?;
                    write!(words, " -- set port {bond} {}", settings[at])?;
                }
                None => {
                    for port in ports {
                        write!(words, " -- add-port {bridge} {port}")?;
                    }
                }
            }
            for (wire, port) in ports.into_iter().enumerate() {
                let socket = self.left.folder().join(format!("{}.sock", LEFT[wire]));
                let option = if at == 0 { "pstream=punix" } else { "stream=unix" };
                let number = &port[1..];
                write!(words, " -- set interface {port} type=dummy ofport_request={number}")?;
                write!(words, " options:{option}:{}", socket.display())?;
            }
            sides.push(words);
        }
        for (switch, words) in self.each().into_iter().zip(&sides) {
            switch.vsctl(&words.split(' ').collect::<Vec<_>>())?;
        }
        for port in RIGHT {
            let connected = || {
                self.pass(500).ok()?;
                let state = self.right.appctl(&["netdev-dummy/conn-state", port]).ok()?;
                state.contains(" connected").then_some(())
            };
            let limit = Duration::from_secs(20);
            testkit::patience::wait(limit, connected).context("ports are not connected")?;
        }
        Ok(())
    }

    /// Lets time pass on both sides, in turns.
    fn pass(&self, millis: u64) -> Result<()> {
        let step = Duration::from_millis(100);
        if std::ptr::eq(self.left, self.right) {
            return Ok(self.left.time_warp(Duration::from_millis(millis), Some(step))?);
        }
        for _ in 0..millis.div_ceil(500) {
            for switch in self.each() {
                switch.time_warp(Duration::from_millis(500), Some(step))?;
            }
        }
        Ok(())
    }

    /// One step of a stage: `left` or `right` and words of `ovs-vsctl`, `appctl` in front of those of
    /// `ovs-appctl`, or `pass` and milliseconds.
    fn step(&self, step: &str) -> Result<()> {
        let (who, rest) = step.split_once(' ').context("a step has words")?;
        if who == "pass" {
            return self.pass(rest.parse()?);
        }
        let switch = if who == "left" { self.left } else { self.right };
        match rest.strip_prefix("appctl ") {
            Some(rest) => switch.appctl(&rest.split(' ').collect::<Vec<_>>())?,
            None => switch.vsctl(&rest.split(' ').collect::<Vec<_>>())?,
        };
        Ok(())
    }

    /// The columns of all interfaces, by name.
    fn seen(&self, columns: &str) -> Result<BTreeMap<String, String>> {
        let mut seen = BTreeMap::new();
        let names: Vec<&str> = columns.split(',').collect();
        for (switch, ports) in [(self.left, LEFT), (self.right, RIGHT)] {
            for port in ports {
                let words = [&["get", "interface", port][..], &names].concat();
                let text = switch.vsctl(&words)?;
                for (name, value) in names.iter().zip(text.lines()) {
                    seen.insert(format!("{port} {name}"), (*value).to_owned());
                }
            }
        }
        Ok(seen)
    }

    /// What is seen when nothing moves any more: three times the same, a second apart.
    fn rested(
        &self,
        columns: &str,
        first: BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>> {
        let (mut last, mut same) = (first, 0);
        for _ in 0..20 {
            self.pass(1000)?;
            let now = self.seen(columns)?;
            same = if now == last { same + 1 } else { 0 };
            last = now;
            if same == 3 {
                break;
            }
        }
        Ok(last)
    }

    fn tear_down(&self) -> Result<()> {
        for (switch, bridge) in self.each().into_iter().zip(["br0", "br1"]) {
            switch.vsctl(&["--if-exists", "del-br", bridge])?;
        }
        Ok(())
    }
}

/// A story: how the ends are set up, what happens, and which columns tell of it. Columns are written
/// a while later, so that each stage ends with some.
struct Story {
    name: &'static str,
    bonds: Option<[&'static str; 2]>,
    columns: &'static str,
    stages: &'static [&'static [&'static str]],
}

/// Lets all pairs live through the stories; what differs from the references, if anything does.
fn compare(stories: &[Story]) -> Result<()> {
    let (a, b) = (Reference::start()?, Reference::start()?);
    let (c, d) = (Reference::start_ours()?, Reference::start_ours()?);
    let pairs = [
        ("the references", Pair { left: &a, right: &a }),
        ("ours alone", Pair { left: &c, right: &c }),
        ("ours and the reference", Pair { left: &d, right: &b }),
        ("the reference and ours", Pair { left: &b, right: &d }),
    ];
    let mut report = String::new();
    for story in stories {
        let mut wanted: Vec<BTreeMap<String, String>> = Vec::new();
        for (who, pair) in &pairs {
            pair.build(story.bonds)?;
            for (number, stage) in story.stages.iter().enumerate() {
                stage.iter().try_for_each(|step| pair.step(step))?;
                let mut seen = pair.seen(story.columns)?;
                match wanted.get(number) {
                    None => wanted.push(pair.rested(story.columns, seen)?),
                    Some(wanted) => {
                        for _ in 0..15 {
                            if seen == *wanted {
                                break;
                            }
                            pair.pass(1000)?;
                            seen = pair.seen(story.columns)?;
                        }
                        let other =
                            wanted.iter().filter(|(key, value)| seen.get(*key) != Some(value));
                        for (key, value) in other {
                            let found = seen.get(key).map_or("-", String::as_str);
                            writeln!(report, "{}, stage {number}, {who}: {key}", story.name)?;
                            writeln!(report, "  reference {value}\n  here      {found}")?;
                        }
                    }
                }
            }
            pair.tear_down()?;
        }
    }
    ensure!(report.is_empty(), "{report}");
    Ok(())
}

#[test]
fn lacp_negotiates_as_the_reference_does() -> Result<()> {
    const COLUMNS: &str = "lacp_current,link_state";
    compare(&[
        Story {
            name: "active and active, fast",
            bonds: Some([
                "bond_mode=balance-tcp lacp=active other_config:lacp-time=fast",
                "bond_mode=balance-tcp lacp=active other_config:lacp-time=fast",
            ]),
            columns: COLUMNS,
            stages: &[
                &["pass 6000"],
                &["left appctl netdev-dummy/set-admin-state p1 down", "pass 8000"],
                &["left appctl netdev-dummy/set-admin-state p1 up", "pass 8000"],
                &["right set port bond1 lacp=off", "pass 10000"],
            ],
        },
        Story {
            name: "active and passive, slow",
            bonds: Some([
                "bond_mode=balance-tcp lacp=active",
                "bond_mode=balance-slb lacp=passive",
            ]),
            columns: COLUMNS,
            stages: &[&["pass 6000"], &["left set port bond0 lacp=off", "pass 100000"]],
        },
        Story {
            name: "passive and passive",
            bonds: Some([
                "bond_mode=balance-tcp lacp=passive",
                "bond_mode=balance-tcp lacp=passive",
            ]),
            columns: COLUMNS,
            stages: &[&["pass 10000"]],
        },
        Story {
            name: "nobody there, and falling back",
            bonds: Some([
                "bond_mode=balance-tcp lacp=active other_config:lacp-fallback-ab=true",
                "bond_mode=active-backup lacp=off",
            ]),
            columns: COLUMNS,
            stages: &[&["pass 6000"], &["right set port bond1 lacp=active", "pass 6000"]],
        },
    ])
}

#[test]
fn bfd_sessions_come_up_flap_and_recover_as_the_references_do() -> Result<()> {
    compare(&[Story {
        name: "bfd",
        bonds: None,
        columns: "bfd_status",
        stages: &[
            &[
                "left set interface p1 bfd:enable=true",
                "right set interface p3 bfd:enable=true",
                "left set interface p2 bfd:enable=true bfd:min_tx=300 bfd:min_rx=1500 bfd:mult=5",
                "pass 6000",
            ],
            &["right set interface p4 bfd:enable=true bfd:min_rx=1700 bfd:mult=5", "pass 6000"],
            &["left set interface p1 bfd:cpath_down=true", "pass 4000"],
            &["left set interface p1 bfd:cpath_down=false", "pass 4000"],
            &["right set interface p3 bfd:enable=false", "pass 9000"],
            &["right set interface p3 bfd:enable=true", "pass 6000"],
            &["left appctl bfd/set-forwarding p2 false", "pass 4000"],
            &["left appctl bfd/set-forwarding p2 normal", "pass 4000"],
            &["left set interface p1 bfd:bfd_remote_dst_mac=02:00:00:00:00:01", "pass 9000"],
            &["right set interface p3 bfd:bfd_local_dst_mac=02:00:00:00:00:01", "pass 9000"],
        ],
    }])
}

#[test]
fn cfm_points_find_each_other_and_their_faults_as_the_references_do() -> Result<()> {
    compare(&[Story {
        name: "cfm",
        bonds: None,
        columns: "cfm_fault,cfm_fault_status,cfm_remote_mpids,cfm_remote_opstate",
        stages: &[
            &[
                "left set interface p1 cfm_mpid=1 other_config:cfm_interval=1000",
                "right set interface p3 cfm_mpid=2 other_config:cfm_interval=1000",
                "left set interface p2 cfm_mpid=3 other_config:cfm_interval=700 \
               other_config:cfm_extended=true",
                "right set interface p4 cfm_mpid=4 other_config:cfm_interval=700 \
               other_config:cfm_extended=true other_config:cfm_opstate=down",
                "pass 20000",
            ],
            &["right set interface p4 other_config:cfm_opstate=up", "pass 8000"],
            &["right clear interface p3 cfm_mpid", "pass 12000"],
            &["right set interface p3 cfm_mpid=5", "pass 12000"],
            &["left appctl cfm/set-fault p2 true", "pass 6000"],
            &["left appctl cfm/set-fault p2 normal", "pass 6000"],
            &["right set interface p4 other_config:cfm_interval=900", "pass 20000"],
        ],
    }])
}
