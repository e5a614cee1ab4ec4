//! Threads and queues that follow a schedule, by hand and with real threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dp_core::action::Action;
use dp_core::base::{Instant, PortNo};
use dp_core::boundary::{Datapath, Upcall, UpcallError, UpcallSink, Verdict};
use dp_core::flow::{FlowMask, layout};
use dp_core::packet::{Packet, Pool};

use super::{AutoBalance, Schedule};
use crate::datapath::{Config, Histories, Netdev, Place};
use crate::pmd::Idle;
use crate::pmd::assign::Algorithm;
use crate::port::dummy::{Dummy, Hand};
use crate::port::ring::Ring;
use crate::port::{OpenError, Port, QueueCount, Queues};
use crate::system::Topology;

/// Everything goes to port 9.
struct ToNine;

impl UpcallSink for ToNine {
    fn upcall(&self, _: &Upcall<'_>, _: Instant) -> Result<Verdict, UpcallError> {
        let mut mask = FlowMask::default();
        mask.unwildcard_place(layout::IN_PORT);
        Ok(Verdict { actions: Arc::from([Action::Output(PortNo(9))]), mask, install: true })
    }
}

fn packet() -> Packet {
    let mut packet = Pool::standard().alloc().unwrap();
    packet.append(60).unwrap().fill(0);
    packet
}

fn netdev() -> Arc<Netdev> {
    Netdev::new(Arc::new(ToNine), Config::default()).unwrap()
}

fn polled(netdev: &Netdev, number: u32, queues: usize, numa: u32) -> Hand {
    let port = Dummy::with_queues(&format!("p{number}"), queues).polled(numa, 1);
    let hand = port.hand();
    netdev.add_port(PortNo(number), Box::new(port)).unwrap();
    hand
}

fn sink(netdev: &Netdev) -> Hand {
    let port = Dummy::new("out");
    let hand = port.hand();
    netdev.add_port(PortNo(9), Box::new(port)).unwrap();
    hand
}

fn eight() -> Schedule {
    Schedule::new(Topology::invented("0,0,0,0,1,1,1,1").unwrap())
}

fn all_eight() -> Schedule {
    Schedule { cores: Some((0..8).collect()), ..eight() }
}

#[test]
fn the_text_is_that_of_the_reference_switch() {
    let netdev = netdev();
    netdev.set_schedule(eight());
    assert_eq!(netdev.show_rx_queues(60, None), "Displaying last 60 seconds pmd usage %\n");
    polled(&netdev, 1, 1, 0);
    polled(&netdev, 2, 4, 1);
    let expected = "\
Displaying last 60 seconds pmd usage %
pmd thread numa_id 0 core_id 0:
  isolated : false
  port: p1                queue-id:  0 (enabled)   pmd usage: NOT AVAIL
  overhead: NOT AVAIL
pmd thread numa_id 1 core_id 4:
  isolated : false
  port: p2                queue-id:  0 (enabled)   pmd usage: NOT AVAIL
  port: p2                queue-id:  1 (enabled)   pmd usage: NOT AVAIL
  port: p2                queue-id:  2 (enabled)   pmd usage: NOT AVAIL
  port: p2                queue-id:  3 (enabled)   pmd usage: NOT AVAIL
  overhead: NOT AVAIL
";
    assert_eq!(netdev.show_rx_queues(60, None), expected);
    netdev.set_schedule(Schedule { algorithm: Algorithm::Group, ..all_eight() });
    netdev.set_affinity(PortNo(2), &BTreeMap::from([(0, 1), (1, 4)]));
    let expected = "\
Displaying last 10 seconds pmd usage %
pmd thread numa_id 1 core_id 4:
  isolated : true
  port: p2                queue-id:  1 (enabled)   pmd usage: NOT AVAIL
  overhead: NOT AVAIL
";
    assert_eq!(netdev.show_rx_queues(6, Some(4)), expected);
    assert_eq!(
        netdev.show_sleeps().lines().take(3).collect::<Vec<_>>(),
        ["Default max sleep:    0 us", "pmd thread numa_id 0 core_id 0:", "  max sleep:    0 us"]
    );
    assert_eq!(netdev.cores(), [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn threads_come_and_go_with_ports_and_masks() {
    let netdev = netdev();
    netdev.set_schedule(all_eight());
    assert!(netdev.cores().is_empty(), "no port needs them yet");
    polled(&netdev, 1, 1, 0);
    assert_eq!(netdev.cores().len(), 8);
    netdev.set_schedule(Schedule { cores: Some([2, 77].into()), ..eight() });
    assert_eq!(netdev.cores(), [2], "there is no processor 77");
    let notes: Vec<_> = netdev.take_notes().into_iter().map(|note| note.text).collect();
    assert!(notes.contains(&"PMD thread on numa_id: 0, core id:  2 created.".to_owned()));
    assert!(notes.contains(&"There are 4 pmd threads on numa node 1".to_owned()));
    assert!(notes.contains(&"PMD thread on numa_id: 1, core id:  7 destroyed.".to_owned()));
    netdev.remove_port(PortNo(1)).unwrap();
    assert!(netdev.cores().is_empty());
    assert!(netdev.take_notes().iter().any(|note| note.text.ends_with("core id:  2 destroyed.")));
}

#[test]
fn queues_go_on_wherever_they_are_moved() {
    let netdev = netdev();
    let out = sink(&netdev);
    let hand = polled(&netdev, 1, 3, 0);
    let mut sent = 0;
    let mut check = |what: &str| {
        for queue in 0..3 {
            assert!(hand.inject_into(queue, packet()));
        }
        netdev.turn(Instant::from_millis(1));
        sent += out.take_sent().len();
        assert_eq!(sent % 3, 0, "{what}");
        assert_eq!(hand.waiting(), 0, "{what}");
        sent
    };
    assert_eq!(check("without a schedule the main thread serves it"), 3);
    netdev.set_schedule(eight());
    assert_eq!(check("one thread a node"), 6);
    netdev.set_schedule(all_eight());
    assert_eq!(check("eight"), 9);
    netdev.set_affinity(PortNo(1), &BTreeMap::from([(0, 7), (2, 3)]));
    assert_eq!(check("pinned"), 12);
    netdev.set_schedule(Schedule { cores: Some([5].into()), ..eight() });
    assert_eq!(check("one on another node"), 15);
    assert_eq!(netdev.totals().received, 15, "what threads counted that are gone counts on");
    let thread = netdev.thread_stats().last().unwrap().thread;
    assert_eq!(netdev.place_of(thread), Some(Place::Core { core: 5, numa: 1, pinned: false }));
}

#[test]
fn without_processors_queues_wait() {
    let netdev = netdev();
    let out = sink(&netdev);
    let hand = polled(&netdev, 1, 1, 0);
    netdev.set_schedule(Schedule { cores: Some([44].into()), ..eight() });
    assert!(hand.inject_into(0, packet()));
    netdev.turn(Instant::from_millis(1));
    assert_eq!((hand.waiting(), out.take_sent().len()), (1, 0));
    assert!(netdev.take_notes().iter().any(|note| note.warning
        && note.text.starts_with("No non-isolated pmd on any numa available for port 'p1'")));
    netdev.set_schedule(eight());
    netdev.turn(Instant::from_millis(2));
    assert_eq!((hand.waiting(), out.take_sent().len()), (0, 1));
}

#[test]
fn queues_that_nobody_may_serve_are_served_again_later() {
    let netdev = netdev();
    let out = sink(&netdev);
    let hand = polled(&netdev, 1, 3, 0);
    netdev.set_schedule(Schedule { cores: Some([0].into()), ..eight() });
    let check = |now| {
        for queue in 0..3 {
            assert!(hand.inject_into(queue, packet()));
        }
        netdev.turn(Instant::from_millis(now));
        (hand.waiting(), out.take_sent().len())
    };
    assert_eq!(check(1), (0, 3));
    // The only thread is for the queue that is pinned to it.
    netdev.set_affinity(PortNo(1), &BTreeMap::from([(0, 0)]));
    assert_eq!(check(2), (2, 1));
    netdev.set_affinity(PortNo(1), &BTreeMap::new());
    assert_eq!(check(3), (0, 5));
}

/// A port with one transmit queue, whoever asks.
struct Narrow(Ring);

impl Port for Narrow {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn kind(&self) -> &'static str {
        "narrow"
    }

    fn queues(&mut self, want: QueueCount) -> Result<Queues, OpenError> {
        self.0.queues(want)
    }
}

#[test]
fn threads_share_a_transmit_queue_where_there_are_too_few() {
    let netdev = netdev();
    let (port, end) = Ring::pair("out", "end");
    let (mut receivers, _senders) = end.into_ends().unwrap();
    netdev.add_port(PortNo(9), Box::new(Narrow(port))).unwrap();
    let hand = polled(&netdev, 1, 4, 0);
    netdev.set_schedule(Schedule { cores: Some((0..4).collect()), ..eight() });
    for queue in 0..4 {
        assert!(hand.inject_into(queue, packet()));
    }
    netdev.turn(Instant::from_millis(1));
    let mut burst = dp_core::packet::Burst::default();
    use crate::port::RxQueue;
    receivers[0].receive(&mut burst, Instant::default()).unwrap();
    assert_eq!(burst.len(), 4, "four threads, one queue");
    // Fewer threads, and more again.
    for count in [1, 3, 2] {
        netdev.set_schedule(Schedule { cores: Some((0..count).collect()), ..eight() });
        for queue in 0..4 {
            assert!(hand.inject_into(queue, packet()));
        }
        netdev.turn(Instant::from_millis(2));
        burst.clear();
        receivers[0].receive(&mut burst, Instant::default()).unwrap();
        assert_eq!(burst.len(), 4, "{count} threads");
    }
    assert_eq!(netdev.ports()[1].stats.tx_packets, 16);
}

#[test]
fn load_is_measured_and_dealt_anew() {
    let netdev = netdev();
    let out = sink(&netdev);
    let hand = polled(&netdev, 1, 4, 0);
    let two = Schedule { cores: Some([0, 1].into()), ..eight() };
    netdev.set_schedule(Schedule { algorithm: Algorithm::RoundRobin, ..two.clone() });
    // Queues 0 and 2 share a thread, and only they are busy.
    let mut now = Instant::from_millis(1);
    for _ in 0..60 {
        for _ in 0..20 {
            for _ in 0..40 {
                hand.inject_into(0, packet());
                hand.inject_into(2, packet());
            }
            netdev.turn(now);
            netdev.turn(now);
        }
        now = now.after(Duration::from_secs(1));
        drop(out.take_sent());
    }
    let text = netdev.show_rx_queues(60, Some(0));
    assert!(!text.contains("NOT AVAIL"), "{text}");
    let idle = netdev.show_rx_queues(60, Some(1));
    assert!(idle.contains("queue-id:  1 (enabled)   pmd usage:  0 %"), "{idle}");
    netdev.set_schedule(Schedule {
        auto: Some(AutoBalance { every: Duration::from_secs(60), load: 0, improvement: 25 }),
        ..Schedule { algorithm: Algorithm::RoundRobin, ..two.clone() }
    });
    netdev.balance(now);
    netdev.balance(now.after(Duration::from_secs(61)));
    let told = |netdev: &Netdev| {
        netdev.take_notes().iter().any(|note| note.text.contains("detected unbalanced load"))
    };
    assert!(!told(&netdev), "dealing in turn again would change nothing");
    netdev.set_schedule(two);
    let served = |core| {
        let text = netdev.show_rx_queues(60, Some(core));
        [0, 2].map(|queue| text.contains(&format!("queue-id:  {queue} ")))
    };
    assert_ne!(served(0), [true, true], "the busy ones are apart now");
    assert_ne!(served(1), [true, true]);
}

#[test]
fn statistics_can_be_cleared() {
    let netdev = netdev();
    sink(&netdev);
    let hand = polled(&netdev, 1, 1, 0);
    netdev.set_schedule(Schedule { cores: Some([3].into()), ..eight() });
    for _ in 0..6 {
        hand.inject_into(0, packet());
        netdev.turn(Instant::from_millis(1));
    }
    let text = netdev.show_stats(None);
    assert!(text.starts_with("pmd thread numa_id 0 core_id 3:\n  packets received: 6\n"), "{text}");
    assert!(text.contains("  miss with success upcall: 1\n"), "{text}");
    assert!(text.contains("  avg. packets per output batch: 1.00\n  idle cycles: "), "{text}");
    assert!(text.contains("/6)\nmain thread:\n  packets received: 0\n"), "{text}");
    let show = |histories| netdev.show_performance(Some(3), "12:00:00.000", histories);
    let performance = show(Histories::default());
    assert!(
        performance.starts_with("\nTime: 12:00:00.000\nMeasurement duration: "),
        "{performance}"
    );
    assert!(performance.contains("\n  Rx packets:                    6  ("), "{performance}");
    assert!(
        performance.contains("\n  - Upcalls:                     1  ( 16.7 %, "),
        "{performance}"
    );
    netdev.clear_stats(Some(3));
    let text = netdev.show_stats(Some(3));
    assert!(text.contains("packets received: 0\n"), "{text}");
    assert!(!text.contains("avg cycles per packet"), "{text}");
}

#[test]
fn single_turns_are_shown_while_they_are_noted() {
    let netdev = netdev();
    sink(&netdev);
    let hand = polled(&netdev, 1, 1, 0);
    let one = Schedule { cores: Some([3].into()), ..eight() };
    netdev.set_schedule(one.clone());
    let all = Histories { distributions: true, turns: 3, millis: 2 };
    let show = |histories| netdev.show_performance(Some(3), "12:00:00.000", histories);
    assert!(!show(all).contains("Histograms"));
    netdev.set_schedule(Schedule { perf: true, ..one.clone() });
    for turn in 0..4 {
        for _ in 0..turn {
            hand.inject_into(0, packet());
        }
        netdev.turn(Instant::from_millis(7 + turn / 2));
    }
    let text = show(all);
    let (_, text) = text.split_once("\nHistograms\n").unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let head = "   cycles/it              packets/it             cycles/pkt             ";
    assert!(lines[0].starts_with(head), "{text}");
    // One turn without packets, and with one, two and three.
    for (line, wall) in [(1, "0"), (2, "1"), (3, "2"), (4, "3")] {
        let start = format!("{wall:<9} 1          ");
        assert!(lines[line].get(26..).unwrap().starts_with(&start), "{}", lines[line]);
    }
    assert_eq!(lines[33], "-".repeat(154));
    let means: Vec<&str> = lines[35].split_whitespace().collect();
    assert_eq!((means[1], means[3], means[5]), ("1.50000", "2.00000", "0.25000"));
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    // The last three turns, latest first: number, cycles, packets.
    assert_eq!(words(lines[37])[..3], ["iter", "cycles", "packets"]);
    let turns = [38, 39, 40].map(|line| words(lines[line]));
    assert_eq!(turns.each_ref().map(|it| [&*it[0], &*it[2]]), [["4", "3"], ["3", "2"], ["2", "1"]]);
    assert_eq!(words(lines[42])[..3], ["ms", "iterations", "cycles/it"]);
    let millis = [43, 44].map(|line| words(lines[line]));
    assert_eq!(
        millis.each_ref().map(|it| [&*it[0], &*it[1], &*it[3]]),
        [["8", "2", "5"], ["7", "2", "1"]]
    );
    assert_eq!(lines.len(), 45);
    netdev.clear_stats(None);
    assert!(show(all).contains("   0                      0.00000 "));
    netdev.set_schedule(one);
    assert!(!show(all).contains("Histograms"));
}

#[test]
fn nothing_is_lost_while_threads_are_dealt_anew() {
    let netdev = netdev();
    let (port, end) = Ring::pair("out", "end");
    let (mut receivers, _senders) = end.into_ends().unwrap();
    netdev.add_port(PortNo(9), Box::new(port)).unwrap();
    let hand = polled(&netdev, 1, 2, 0);
    let real = Topology::discover();
    let cpus: Vec<u32> = real.cpus().collect();
    netdev.set_schedule(Schedule::new(real.clone()));
    let running = netdev.start(&[], Idle::Sleep).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let feeder = {
        let (hand, stop) = (hand.clone(), Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut fed = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                for queue in 0..2 {
                    fed += u64::from(hand.waiting() < 500 && hand.inject_into(queue, packet()));
                }
            }
            fed
        })
    };
    let mut received = 0;
    let mut receive = |received: &mut u64| {
        use crate::port::RxQueue;
        let mut burst = dp_core::packet::Burst::default();
        receivers[0].receive(&mut burst, Instant::default()).unwrap();
        *received += burst.len() as u64;
        burst.len()
    };
    for round in 0..60 {
        let cores = match (round % 3, &cpus[..]) {
            (0, _) => None,
            (1, [.., last]) => Some([*last].into()),
            (_, cpus) => Some(cpus.iter().copied().collect()),
        };
        let max_sleep = if round % 2 == 0 { 0 } else { 50 };
        netdev.set_schedule(Schedule { cores, max_sleep, ..Schedule::new(real.clone()) });
        let until = received + 200;
        let start = std::time::Instant::now();
        while received < until {
            receive(&mut received);
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "round {round}: packets stand still"
            );
        }
    }
    stop.store(true, Ordering::Relaxed);
    let fed = feeder.join().unwrap();
    let start = std::time::Instant::now();
    while received + netdev.totals().dropped_in_all() < fed {
        receive(&mut received);
        assert!(start.elapsed() < Duration::from_secs(20), "{received} of {fed}");
    }
    running.stop();
    let drops = netdev.totals();
    // What was lost was lost to the ring at the end being full, and to nothing else.
    assert_eq!(received + drops.dropped(dp_core::base::DropReason::TxQueueFull), fed, "{drops:?}");
}

#[test]
fn packets_wait_to_leave_together_as_long_as_they_may() {
    let netdev = netdev();
    let out = sink(&netdev);
    let hand = polled(&netdev, 1, 1, 0);
    let schedule = Schedule { cores: Some([0].into()), ..eight() };
    netdev.set_schedule(Schedule { tx_flush_interval: 100, ..schedule.clone() });
    let at = |micros: u64| Instant(1_000_000_000 + micros * 1000);
    hand.inject_into(0, packet());
    netdev.turn(at(0));
    netdev.turn(at(99));
    assert_eq!((hand.waiting(), out.take_sent().len()), (0, 0), "it waits for more");
    netdev.turn(at(100));
    assert_eq!(out.take_sent().len(), 1);
    for _ in 0..32 {
        hand.inject_into(0, packet());
    }
    netdev.turn(at(101));
    assert_eq!(out.take_sent().len(), 32, "a burst has come together");
    hand.inject_into(0, packet());
    netdev.turn(at(102));
    netdev.set_schedule(schedule);
    netdev.turn(at(103));
    assert_eq!(out.take_sent().len(), 1);
}
