//! The messages against recorded ones.

use std::collections::BTreeMap;

use super::{Class, Discipline, Request, class_stats};

/// What `ovs-vswitchd` 3.1 (and `tc` 6.1 for the class of HFSC) sent to the kernel for the same
/// settings: kind and options, as hexadecimal digits, behind the fixed part.
const RECORDED: &[(&str, &str)] = &[
    ("htb", "08000100687462001c00020018000200030000000a000000010000000000000000000000"),
    ("hfsc", "0900010068667363000000000600020001000000"),
    ("sfq", "080001007366710018000200b80b000007000000000000000000000000000000"),
    ("codel", "0a000100636f64656c0000001c000200080001007017000008000200f401000008000300905f0100"),
    (
        "fq_codel",
        "0d00010066715f636f64656c000000002c000200080001007017000008000200f40100000800030090\
         5f010008000500000200000800060040060000",
    ),
    ("netem", "0a0001006e6574656d0000001c000200093d0000c800000099999919000000000000000000000000"),
];

fn disciplines() -> Vec<Discipline> {
    let classes = || BTreeMap::from([(1, CLASS)]);
    vec![
        Discipline::Htb { max_rate: 10_000_000, classes: classes() },
        Discipline::Hfsc { max_rate: 10_000_000, classes: classes() },
        Discipline::Sfq { perturb: 7, quantum: 3000 },
        Discipline::Codel { target: 6000, limit: 500, interval: 90_000 },
        Discipline::FqCodel {
            target: 6000,
            limit: 500,
            interval: 90_000,
            flows: 512,
            quantum: 1600,
        },
        Discipline::Netem { latency: 1000, limit: 200, loss: 10, jitter: 0 },
    ]
}

const CLASS: Class =
    Class { min_rate: 2_000_000, max_rate: 5_000_000, burst: 100_000, priority: 3 };

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A message behind its header: interface, handle, parent, and what follows.
fn parts(request: &Request) -> (u32, u32, u32, String) {
    let bytes = request.clone().finished();
    let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(word(0) as usize, bytes.len());
    (word(20), word(24), word(28), hex(&bytes[36..]))
}

#[test]
fn disciplines_are_asked_for_as_recorded() {
    for (discipline, (kind, recorded)) in disciplines().iter().zip(RECORDED) {
        assert_eq!(discipline.kind(), *kind);
        let requests = discipline.requests(3, 1500);
        let (ifindex, handle, parent, rest) = parts(&requests[0]);
        assert_eq!((ifindex, handle, parent), (3, 0x1_0000, u32::MAX), "{kind}");
        assert_eq!(rest, *recorded, "{kind}");
        let classes = if matches!(*kind, "htb" | "hfsc") { 4 } else { 1 };
        assert_eq!(requests.len(), classes, "{kind}");
    }
}

#[test]
fn classes_are_asked_for_as_recorded() {
    let all = disciplines();
    let requests = all[0].requests(3, 1500);
    // The root's class as the reference sends it, without the tables behind the parameters.
    let (_, handle, parent, rest) = parts(&requests[1]);
    assert_eq!((handle, parent), (0x1_fffe, 0x1_0000));
    let rate = "0001000000003c00d0121300";
    assert!(rest.contains(&format!("30000100{rate}{rate}")), "{rest}");
    assert!(rest.starts_with("080001006874620034000200"), "{rest}");
    let (_, handle, parent, rest) = parts(&requests[3]);
    assert_eq!((handle, parent), (0x1_0002, 0x1_fffe));
    // 250,000 and 625,000 bytes a second; 12,500 bytes are 50 and 20 ms; priority 3.
    let time = |millis: u32| hex(&(millis * 1_000_000 / 64).to_ne_bytes());
    let tail = format!("{}{}a86100000000000003000000", time(50), time(20));
    assert!(rest.ends_with(&tail), "{rest}");
    // An HFSC class: three curves of one slope.
    let (_, handle, _, rest) = parts(&all[1].requests(3, 1500)[3]);
    assert_eq!(handle, 0x1_0002);
    assert_eq!(rest, HFSC_CLASS);
}

/// `tc class add dev v0 parent 1:fffe classid 1:2 hfsc sc m1 0 d 0 m2 2mbit ul m1 0 d 0 m2 5mbit`.
const HFSC_CLASS: &str = "09000100686673630000000034000200\
     10000100000000000000000090d00300\
     10000200000000000000000090d00300\
     10000300000000000000000068890900";

#[test]
fn what_is_not_said_of_a_class_is_filled_in() {
    let resolved = Class::default().resolve(10_000_000, 1500);
    assert_eq!((resolved.min_rate, resolved.max_rate), (1500, 1_250_000));
    assert!(resolved.burst >= 1500);
    let upside_down = Class { min_rate: 8_000_000, max_rate: 800, ..Class::default() };
    assert_eq!(upside_down.resolve(10_000_000, 1500).max_rate, 1_000_000);
    let only = Discipline::Htb { max_rate: 1, classes: BTreeMap::from([(70_000, CLASS)]) };
    assert_eq!(only.classes(1500).into_keys().collect::<Vec<_>>(), [0]);
}

#[test]
fn class_statistics_are_read_with_care() {
    // A class 1:3 of interface 5 with 7 packets, 700 bytes, 2 drops.
    let mut content = Vec::new();
    for value in [0_u32, 5, 0x1_0003, 0x1_fffe, 0] {
        content.extend_from_slice(&value.to_ne_bytes());
    }
    let mut stats = Vec::new();
    let mut basic = 700_u64.to_ne_bytes().to_vec();
    basic.extend_from_slice(&7_u32.to_ne_bytes());
    basic.extend_from_slice(&[0; 4]);
    super::attribute(&mut stats, 1, &basic);
    super::attribute(&mut stats, 3, &super::words(&[0, 0, 2, 0, 0]));
    super::attribute(&mut content, 7, &stats);
    let (queue, found) = class_stats(&content, 5).unwrap();
    assert_eq!((queue, found.packets, found.bytes, found.drops), (2, 7, 700, 2));
    assert!(class_stats(&content, 6).is_none());
    for len in 0..content.len() {
        let _ = class_stats(&content[..len], 5);
    }
}
