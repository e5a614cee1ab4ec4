//! Quality of service set, replaced and cleared many times: nothing is left behind.
//!
//! `DP_CYCLES=100000 cargo test --release -p dp-netdev --test qos` is the long run.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use dp_core::action::ActionList;
use dp_core::base::{Instant, PortNo};
use dp_core::boundary::{Upcall, UpcallError, UpcallSink, Verdict};
use dp_core::flow::FlowMask;
use dp_netdev::netlink::tc::{self, Class, Discipline, Exchange};
use dp_netdev::port::dummy::Dummy;
use dp_netdev::qos::EgressConfig;
use dp_netdev::qos::police::{PolicerConfig, TrtcmConfig, TwoRates};
use dp_netdev::qos::shaper::{QueueConfig, ShaperConfig};
use dp_netdev::system::Netif;
use dp_netdev::{Config, Netdev};
use testkit::netns::{Namespace, veth_pair};

fn cycles(default: u64) -> u64 {
    std::env::var("DP_CYCLES").ok().and_then(|it| it.parse().ok()).unwrap_or(default)
}

/// Resident memory in kilobytes, and open descriptors.
fn footprint() -> (u64, usize) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:")).unwrap();
    let resident = line.split_whitespace().next().unwrap().parse().unwrap();
    (resident, fs::read_dir("/proc/self/fd").unwrap().count())
}

/// One test at a time: what a process holds cannot be told apart.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `cycle` so often, and looks that the second half leaves nothing behind.
fn repeat(count: u64, mut cycle: impl FnMut(u64)) {
    (0..count / 2).for_each(&mut cycle);
    let (before, descriptors) = footprint();
    (count / 2..count).for_each(&mut cycle);
    let (after, now) = footprint();
    println!("{count} cycles: {before} kB, then {after} kB; descriptors {descriptors}, then {now}");
    // A leak of 32 bytes a cycle of the long run is seen.
    assert!(after <= before + 1024 + count / 64, "{before} kB became {after} kB");
    assert!(now <= descriptors + 4, "{descriptors} descriptors became {now}");
}

fn class(min_rate: u64) -> Class {
    Class { min_rate, max_rate: 0, burst: 0, priority: 1 }
}

#[test]
fn disciplines_of_the_kernel_are_replaced_without_a_trace() {
    let _alone = alone();
    let here = Namespace::quiet("qos").unwrap();
    veth_pair((&here, "a0"), (&here, "b0")).unwrap();
    let count = cycles(400);
    let run = || {
        let index = Netif::open("a0").unwrap().index();
        let htb = |max_rate, queues: u32| Discipline::Htb {
            max_rate,
            classes: (1..=queues).map(|queue| (queue, class(1_000_000))).collect(),
        };
        repeat(count, |turn| {
            let (old, new) = (htb(10_000_000, 2), htb(20_000_000 + turn, 1));
            tc::put(index, 1500, &old).unwrap();
            tc::change(index, 1500, &old, &new).unwrap();
            let found = tc::statistics(index).unwrap();
            assert_eq!(found.into_keys().collect::<Vec<_>>(), [0, 1]);
            tc::put(index, 1500, &htb(5_000_000, 0)).unwrap();
            if turn % 2 == 0 {
                tc::clear(index).unwrap();
                assert!(tc::statistics(index).unwrap().is_empty());
            }
        });
        // One that this kernel may lack leaves nothing half done.
        let netem = Discipline::Netem { latency: 1, limit: 10, loss: 0, jitter: 0 };
        let _ = tc::put(index, 1500, &netem);
        tc::clear(index).unwrap();
        tc::clear(index).unwrap();
    };
    here.within(run).unwrap();
    let left = here.exec(&["tc", "qdisc", "show", "dev", "a0"]).unwrap();
    assert!(!left.contains("htb"), "{left}");
}

/// A kernel that has every discipline: it holds what it is sent against what was recorded, and answers
/// in the form of the kernel's acknowledgements.
struct Recording {
    /// The name of the discipline and its options, as `ovs-vswitchd` 3.1 sent them for the same settings.
    expected: Vec<u8>,
    /// Whether a discipline is in place.
    there: bool,
    classes: BTreeSet<u32>,
    answers: VecDeque<Vec<u8>>,
}

impl Exchange for Recording {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let word = |at: usize| u32::from_ne_bytes(message[at..at + 4].try_into().unwrap());
        assert_eq!(word(0) as usize, message.len());
        let (kind, flags, handle) = (word(4) & 0xffff, word(4) >> 16, word(24));
        let exclusive = flags & 0x200 != 0;
        let code = match kind {
            36 if self.there && exclusive => -libc::EEXIST,
            36 => {
                assert_eq!(message[36..], self.expected);
                self.there = true;
                0
            }
            37 if !self.there => -libc::ENOENT,
            37 => {
                self.there = false;
                self.classes.clear();
                0
            }
            40 if !self.there => -libc::ENOENT,
            40 => {
                self.classes.insert(handle);
                0
            }
            kind => {
                assert_eq!(kind, 41, "a message of another kind");
                if self.classes.remove(&handle) { 0 } else { -libc::ENOENT }
            }
        };
        // NLMSG_ERROR with the header that it answers.
        let mut answer = Vec::new();
        for value in [36, 2, 0, 0, code.cast_unsigned()] {
            answer.extend_from_slice(&value.to_ne_bytes());
        }
        answer.extend_from_slice(&message[..16]);
        self.answers.push_back(answer);
        Ok(())
    }

    fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.answers.pop_front())
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().map(|it| (it as char).to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The disciplines, and what `ovs-vswitchd` 3.1 sent for them (`dp-netdev/src/netlink/tc/tests.rs`).
fn recorded() -> Vec<(Discipline, Discipline, &'static str)> {
    let hfsc = |max_rate, queues: u32| Discipline::Hfsc {
        max_rate,
        classes: (1..=queues).map(|queue| (queue, class(1_000_000))).collect(),
    };
    let htb = |max_rate, queues: u32| Discipline::Htb {
        max_rate,
        classes: (1..=queues).map(|queue| (queue, class(1_000_000))).collect(),
    };
    let sfq = Discipline::Sfq { perturb: 7, quantum: 3000 };
    let codel = Discipline::Codel { target: 6000, limit: 500, interval: 90_000 };
    let fair = Discipline::FqCodel {
        target: 6000,
        limit: 500,
        interval: 90_000,
        flows: 512,
        quantum: 1600,
    };
    let netem = Discipline::Netem { latency: 1000, limit: 200, loss: 10, jitter: 0 };
    vec![
        (
            htb(10_000_000, 2),
            htb(20_000_000, 1),
            "08000100687462001c00020018000200030000000a000000010000000000000000000000",
        ),
        (hfsc(10_000_000, 2), hfsc(20_000_000, 1), "0900010068667363000000000600020001000000"),
        (sfq.clone(), sfq, "080001007366710018000200b80b000007000000000000000000000000000000"),
        (
            codel.clone(),
            codel,
            "0a000100636f64656c0000001c000200080001007017000008000200f401000008000300905f0100",
        ),
        (
            fair.clone(),
            fair,
            "0d00010066715f636f64656c000000002c000200080001007017000008000200f401000008000300\
             905f010008000500000200000800060040060000",
        ),
        (
            netem.clone(),
            netem,
            "0a0001006e6574656d0000001c000200093d0000c800000099999919000000000000000000000000",
        ),
    ]
}

#[test]
fn every_discipline_is_replaced_in_a_recorded_exchange_without_a_trace() {
    let _alone = alone();
    let all = recorded();
    let mut kernel = Recording {
        expected: Vec::new(),
        there: false,
        classes: BTreeSet::new(),
        answers: VecDeque::new(),
    };
    repeat(cycles(5_000), |turn| {
        let (first, second, message) = &all[turn as usize % all.len()];
        kernel.expected = bytes(message);
        tc::put_over(&mut kernel, 3, 1500, first).unwrap();
        let classes = first.classes(1500).len();
        // The root's class comes on top.
        assert_eq!(kernel.classes.len(), if classes == 0 { 0 } else { classes + 1 });
        tc::change_over(&mut kernel, 3, 1500, first, second).unwrap();
        let classes = second.classes(1500).len();
        assert_eq!(kernel.classes.len(), if classes == 0 { 0 } else { classes + 1 });
        assert!(kernel.there);
        if turn % 2 == 0 {
            tc::clear_over(&mut kernel, 3).unwrap();
            tc::clear_over(&mut kernel, 3).unwrap();
            assert!(!kernel.there);
        }
        assert!(kernel.answers.is_empty());
    });
}

struct Nothing;

impl UpcallSink for Nothing {
    fn upcall(&self, _: &Upcall<'_>, _: Instant) -> Result<Verdict, UpcallError> {
        let actions: ActionList = Arc::from([]);
        Ok(Verdict { actions, mask: FlowMask::default(), install: true })
    }
}

#[test]
fn shapers_and_policers_are_replaced_without_a_trace() {
    let _alone = alone();
    let netdev = Netdev::new(Arc::new(Nothing), Config::default()).unwrap();
    netdev.add_port(PortNo(1), Box::new(Dummy::new("p1"))).unwrap();
    let rates = TwoRates { cir: 1000, cbs: 1500, eir: 1000, ebs: 1500 };
    repeat(cycles(20_000), |turn| {
        let now = Instant::from_millis(turn);
        let ingress = PolicerConfig { bits: turn + 1, bits_burst: 1, packets: 1, packets_burst: 1 };
        let queues: BTreeMap<u32, QueueConfig> =
            (1..4).map(|queue| (queue, QueueConfig::default())).collect();
        let shape = |max_rate| ShaperConfig { max_rate, queues: queues.clone() };
        for egress in [
            EgressConfig::Shape(shape(1000 + turn)),
            EgressConfig::Shape(shape(2000 + turn)),
            EgressConfig::Police(TrtcmConfig { port: rates, queues: vec![(1, rates)] }),
            EgressConfig::Open,
        ] {
            assert!(netdev.set_port_qos(PortNo(1), ingress, egress, now));
        }
        netdev.turn(now);
    });
    assert!(netdev.port_qos(PortNo(1)).unwrap().queues.is_empty());
}
