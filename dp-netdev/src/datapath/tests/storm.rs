//! Storms of new flows beside established ones, on one thread.

use super::super::stats::ThreadStats;
use super::*;
use dp_core::flow::FieldId;
use std::time::Instant as Wall;

/// How long an upcall takes.
const UPCALL: Duration = Duration::from_micros(100);
/// How long is measured.
const MEASURED: Duration = Duration::from_millis(400);

const ESTABLISHED: u64 = 1;
/// LACP's group, as a frame's destination.
const LACP: [u8; 6] = [0x01, 0x80, 0xc2, 0, 0, 2];

/// A slow path that is slow, and tells flows apart by their source address.
#[derive(Default)]
struct Slow {
    upcalls: AtomicUsize,
    control: AtomicUsize,
}

impl UpcallSink for Slow {
    fn upcall(&self, upcall: &Upcall<'_>, _now: Instant) -> Result<Verdict, UpcallError> {
        self.upcalls.fetch_add(1, Ordering::Relaxed);
        let control = upcall.frame.starts_with(&LACP);
        self.control.fetch_add(usize::from(control), Ordering::Relaxed);
        let start = Wall::now();
        while start.elapsed() < UPCALL {
            std::hint::spin_loop();
        }
        let mut mask = FlowMask::default();
        mask.unwildcard_place(layout::IN_PORT);
        mask.unwildcard(FieldId::EthSrc);
        Ok(Verdict { actions: Arc::from([]), mask, install: !control })
    }
}

/// A port whose ring is always full: of `fresh` packets of 32 no flow is known; the others belong to
/// one. One in a thousand of the fresh is LACP's.
struct Endless {
    fresh: u64,
    next: u64,
}

impl Port for Endless {
    fn name(&self) -> &str {
        if self.fresh == 0 { "calm" } else { "storm" }
    }

    fn kind(&self) -> &'static str {
        "endless"
    }

    fn queues(&mut self, _want: QueueCount) -> Result<Queues, crate::port::OpenError> {
        let queue = Self { fresh: self.fresh, next: ESTABLISHED };
        Ok(Queues { rx: vec![Box::new(queue)], tx: Vec::new() })
    }
}

impl RxQueue for Endless {
    fn receive(&mut self, burst: &mut Burst, _now: Instant) -> Result<crate::port::Lost, RxEnd> {
        for place in 0..32 {
            let mut frame = frame(0);
            let mut source = ESTABLISHED;
            if place < self.fresh {
                self.next += 1;
                source = self.next;
                if self.next.is_multiple_of(1000) {
                    frame[..6].copy_from_slice(&LACP);
                }
            }
            frame[6..12].copy_from_slice(&source.to_be_bytes()[2..]);
            let mut packet = Pool::standard().alloc().unwrap();
            packet.append(60).unwrap().copy_from_slice(&frame);
            drop(burst.push(packet));
        }
        Ok(crate::port::Lost::NONE)
    }
}

/// What came of ports that bring so many fresh packets of 32.
struct Measured {
    /// Packets of each port.
    received: Vec<u64>,
    /// Packets that had a flow.
    hits: u64,
    /// Packets that were refused an upcall.
    refused: u64,
    /// Which part of the time upcalls took.
    upcalls: f64,
}

fn measure(slow: &Arc<Slow>, fresh: &[u64]) -> Measured {
    let netdev = Netdev::new(Arc::clone(slow) as Arc<dyn UpcallSink>, Config::default()).unwrap();
    for (number, &fresh) in (1..).zip(fresh) {
        netdev.add_port(PortNo(number), Box::new(Endless { fresh, next: 0 })).unwrap();
    }
    let start = Wall::now();
    while start.elapsed() < MEASURED {
        netdev.turn(netdev.clock().now());
    }
    let received = netdev.ports().iter().map(|port| port.stats.rx_packets).collect();
    let totals = netdev.totals();
    let threads = netdev.thread_stats();
    let sum = |of: fn(&ThreadStats) -> u64| threads.iter().map(of).sum::<u64>() as f64;
    Measured {
        received,
        hits: totals.hits(),
        refused: totals.dropped(DropReason::UpcallOverload),
        upcalls: sum(|it| it.upcall_cycles) / sum(|it| it.busy_cycles),
    }
}

#[test]
fn a_storm_on_one_port_leaves_the_others_their_share() {
    let slow = Arc::default();
    let found = measure(&slow, &[32, 0]);
    assert_eq!(found.refused, 0, "nobody competes for the storm's own time");
    // A half of the time at most: upcalls are not all that the storm costs. Burst for burst served,
    // nine tenths.
    assert!((0.05..0.55).contains(&found.upcalls), "{}", found.upcalls);
    let [storm, calm] = found.received[..] else { panic!("two ports") };
    assert!(storm > 0 && calm > 10 * storm, "{storm} of the storm, {calm} of the other");
}

#[test]
fn a_storm_leaves_established_flows_of_its_own_port_half_of_the_time() {
    let slow: Arc<Slow> = Arc::default();
    let found = measure(&slow, &[16]);
    let asked = slow.upcalls.load(Ordering::Relaxed) as u64;
    // Half, and the 50 ms that were saved; it would be 99 of 100 cycles without a budget.
    assert!((0.3..0.7).contains(&found.upcalls), "{}", found.upcalls);
    assert!(found.refused > found.hits / 2, "{} refused", found.refused);
    let all = found.hits + asked + found.refused;
    assert_eq!(all, found.received[0], "each packet is accounted for");
}

#[test]
fn what_keeps_links_alive_is_answered_in_a_storm() {
    let slow: Arc<Slow> = Arc::default();
    let found = measure(&slow, &[16]);
    assert!(found.refused > 0);
    let sent = found.received[0] / 2 / 1000;
    assert!(slow.control.load(Ordering::Relaxed) as u64 >= sent && sent > 0);
}
