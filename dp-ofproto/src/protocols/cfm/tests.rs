use std::collections::BTreeMap;

use dp_core::base::{Duration, Instant, MacAddr};

use super::{Ccm, CcmError, Cfm, Config, Event, Faults, LEN};

fn config(mpid: u64, pairs: &[(&str, &str)]) -> Config {
    let keys: BTreeMap<String, String> =
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Config::from_keys(mpid, &keys)
}

/// Points on one wire, in a time of their own.
struct Lab {
    now: Instant,
    points: Vec<Cfm>,
    /// Whether messages of each arrive.
    heard: Vec<bool>,
    rx: u64,
}

impl Lab {
    fn new(configs: &[Config]) -> Self {
        let now = Instant::from_millis(1000);
        let mac = MacAddr::new(2, 0, 0, 0, 0, 1);
        let point = |config: &Config| Cfm::new("p", mac, config.clone(), config.mpid, now);
        let points: Vec<Cfm> = configs.iter().map(point).collect();
        Self { now, heard: vec![true; points.len()], points, rx: 0 }
    }

    fn pass(&mut self, millis: u64) {
        for _ in 0..millis / 10 {
            self.now = self.now.after(Duration::from_millis(10));
            for at in 0..self.points.len() {
                let Some(frame) = self.points[at].send(self.now) else { continue };
                let start = if frame[12..14] == [0x81, 0] { 16 } else { 12 };
                let dst = MacAddr(frame[..6].try_into().unwrap());
                let eth_type = u16::from_be_bytes([frame[start], frame[start + 1]]);
                for other in (0..self.points.len()).filter(|&o| o != at && self.heard[at]) {
                    if self.points[other].wants(dst, eth_type, 0) {
                        self.points[other].receive(&frame[start + 2..], self.now);
                    }
                }
            }
            let (rx, now) = (self.rx, self.now);
            self.points.iter_mut().for_each(|point| point.run(rx, now));
        }
    }
}

#[test]
fn two_points_hear_each_other() {
    let pairs = [("cfm_interval", "300"), ("cfm_extended", "true")];
    let mut lab = Lab::new(&[config(1, &pairs), config(2, &pairs)]);
    lab.pass(20_000);
    assert_eq!(lab.points[0].faults(), Faults::empty());
    assert_eq!(lab.points[0].health(), Some(100));
    assert_eq!(lab.points[0].remote_mpids(), [2]);
    let text = lab.points[0].show(lab.now);
    assert!(text.starts_with("MPID 1: extended\n  average health: 100\n  opstate: up\n"), "{text}");
    assert!(text.contains("Remote MPID 2\n  recv since check: "), "{text}");
}

#[test]
fn silence_is_a_fault_and_told_to_the_other() {
    let mut lab = Lab::new(&[config(1, &[]), config(2, &[])]);
    lab.pass(30_000);
    lab.points[0].events();
    lab.heard[1] = false;
    lab.pass(15_000);
    assert_eq!(lab.points[0].faults(), Faults::RECV);
    assert_eq!(lab.points[1].faults(), Faults::RDI, "the other can send but is not heard");
    let changed = Event::Faults { old: Faults::empty(), new: Faults::RECV };
    assert_eq!(lab.points[0].events(), [changed]);
    assert_eq!(lab.points[0].flaps(), 1);
    lab.heard[1] = true;
    lab.pass(15_000);
    assert_eq!(lab.points[0].faults(), Faults::empty());
    assert_eq!(lab.points[1].faults(), Faults::empty());
    assert_eq!(lab.points[0].flaps(), 2);
}

#[test]
fn the_standard_form_rounds_intervals_down() {
    for (wanted, kept) in [("1", 3), ("300", 100), ("1000", 1000), ("999999", 600_000)] {
        let (interval, code) = config(1, &[("cfm_interval", wanted)]).kept();
        assert_eq!(interval, Duration::from_millis(kept));
        assert!((1..=7).contains(&code));
    }
    let long = config(1, &[("cfm_interval", "70000"), ("cfm_extended", "true")]);
    assert_eq!(long.kept(), (Duration::from_millis(65_535), 0));
}

#[test]
fn faults_name_what_is_wrong() {
    let mut lab = Lab::new(&[config(5, &[]), config(5, &[])]);
    lab.pass(8000);
    assert_eq!(lab.points[0].faults(), Faults::LOOPBACK);
    let extended =
        |mpid, interval| config(mpid, &[("cfm_interval", interval), ("cfm_extended", "true")]);
    let mut lab = Lab::new(&[extended(1, "1000"), extended(2, "400")]);
    lab.pass(8000);
    assert_eq!(lab.points[0].faults(), Faults::empty(), "another interval is no fault");
    let told = lab.points[0].events().into_iter().filter(|it| *it == Event::Interval(2)).count();
    assert_eq!(told, 1, "it is told, and once");
    lab.points[0].set_fault(Some(true));
    assert_eq!(lab.points[0].faults().to_string(), "override");
    assert!(
        lab.points[0]
            .show(lab.now)
            .starts_with("MPID 1: extended fault_override\n  fault: override\n")
    );
    lab.points[0].set_fault(Some(false));
    assert_eq!(lab.points[0].faults(), Faults::empty());
}

#[test]
fn a_point_that_is_down_is_told_without_a_fault() {
    let mut lab = Lab::new(&[
        config(1, &[("cfm_extended", "true")]),
        config(2, &[("cfm_extended", "true"), ("cfm_opstate", "down")]),
    ]);
    lab.pass(8000);
    assert!(!lab.points[0].remote_opup());
    assert!(lab.points[1].remote_opup());
    assert_eq!(lab.points[0].faults(), Faults::empty());
}

#[test]
fn traffic_stands_for_messages_in_demand_mode() {
    let pairs = [("cfm_extended", "true"), ("cfm_demand", "true"), ("cfm_interval", "100")];
    let mut lab = Lab::new(&[config(1, &pairs), config(2, &pairs)]);
    lab.pass(8000);
    lab.heard[1] = false;
    for _ in 0..800 {
        lab.rx += 1;
        lab.pass(10);
    }
    assert_eq!(lab.points[0].faults(), Faults::empty());
    for _ in 0..1000 {
        lab.rx += 1;
        lab.pass(10);
    }
    assert_eq!(lab.points[0].faults(), Faults::RECV, "a message must come now and then");
}

#[test]
fn more_points_than_are_kept_overflow() {
    let all: Vec<Config> = (1..=260).map(|mpid| config(mpid, &[])).collect();
    let mut lab = Lab::new(&all);
    lab.pass(8000);
    assert!(lab.points[0].faults().contains(Faults::OVERFLOW));
    assert!(lab.points[0].remote_mpids().len() <= 256);
    assert_eq!(lab.points[0].health(), None);
}

#[test]
fn frames_are_tagged_as_asked() {
    let now = Instant::from_millis(1);
    let later = now.after(Duration::from_secs(2));
    let tci = |pairs: &[(&str, &str)]| {
        let mut cfm = Cfm::new("p", MacAddr::ZERO, config(7, pairs), 3, now);
        let frame = cfm.send(later).unwrap();
        (frame[12..14] == [0x81, 0]).then(|| u16::from_be_bytes([frame[14], frame[15]]))
    };
    assert_eq!(tci(&[]), None);
    assert_eq!(tci(&[("cfm_ccm_vlan", "100"), ("cfm_ccm_pcp", "3")]), Some(3 << 13 | 100));
    assert_eq!(tci(&[("cfm_ccm_pcp", "5")]), Some(5 << 13));
    assert!(matches!(tci(&[("cfm_ccm_vlan", "random")]), Some(1..=4094)));
}

#[test]
fn messages_are_read_as_they_are_written_and_nothing_else_is() {
    let ccm = Ccm { seq: 9, mpid: 7, rdi: true, interval_code: 3, extended: None };
    let bytes = ccm.emit();
    assert_eq!(bytes[..10], [0, 1, 0x83, 70, 0, 0, 0, 9, 0, 7]);
    assert_eq!(Ccm::parse(&bytes, false), Ok(ccm));
    for len in 0..LEN {
        assert_eq!(Ccm::parse(&bytes[..len], false), Err(CcmError::Truncated));
    }
    let mut other = bytes;
    other[12] = b'x';
    assert_eq!(Ccm::parse(&other, false), Err(CcmError::Association));
    other[1] = 3;
    assert_eq!(Ccm::parse(&other, false), Err(CcmError::Opcode(3)));
}
