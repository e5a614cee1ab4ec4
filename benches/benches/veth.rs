//! Forwarding between two veth interfaces through `afpacket` ports: 60-byte frames, one packet
//! thread.
//!
//! ```text
//!   namespace host-0          switch                     host-1
//!   generator ── eth0 ═══ sw0 ── datapath ── sw1 ═══ eth0   (its stack drops the frames)
//!   processor 1               processor 0
//! ```
//!
//! Needs root. Prints one line a round, in million packets a second: what was offered and what was
//! forwarded while the generator sent, and how fast a full ring was forwarded. `cargo bench -p dp-benches --bench veth`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dp_core::action::Action;
use dp_core::base::{self, PortNo};
use dp_core::boundary::{Datapath, PortStats, Upcall, UpcallError, UpcallSink, Verdict};
use dp_core::flow::{FlowMask, layout};
use dp_core::packet::{Burst, Pool};
use dp_netdev::port::afpacket::{AfPacket, Options};
use dp_netdev::port::{Port, QueueCount, Queues, TxQueue};
use dp_netdev::system::pin_to_cpu;
use dp_netdev::{Config, Idle, Netdev};
use testkit::netns::{Namespace, veth_pair};

/// Everything leaves by port 2.
struct ToPort2;

impl UpcallSink for ToPort2 {
    fn upcall(&self, _: &Upcall<'_>, _: base::Instant) -> Result<Verdict, UpcallError> {
        let mut mask = FlowMask::default();
        mask.unwildcard_place(layout::IN_PORT);
        Ok(Verdict { actions: Arc::from([Action::Output(PortNo(2))]), mask, install: true })
    }
}

/// Sends as fast as it can; returns how many packets that were.
fn generate(queue: &mut dyn TxQueue, stop: &AtomicBool) -> u64 {
    let mut sent = 0;
    let mut burst = Burst::default();
    while !stop.load(Ordering::Relaxed) {
        Pool::standard().fill(&mut burst, 32);
        for slot in burst.live().iter() {
            let Some(room) = burst.get_mut(slot).and_then(|packet| packet.append(60)) else {
                continue;
            };
            room.fill(0);
            if let Some(header) = room.first_chunk_mut::<14>() {
                *header = [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x88, 0xb5];
            }
        }
        sent += u64::from(queue.transmit(&mut burst, base::Instant(0)).packets);
    }
    sent
}

/// A ring that holds some hundred thousand frames.
const OPTIONS: Options = Options { promiscuous: true, ring_bytes: 64 << 20 };

type Error = Box<dyn std::error::Error + Send + Sync>;

fn open(namespace: &Namespace, name: &str) -> Result<AfPacket, Error> {
    Ok(namespace.within(|| AfPacket::open(name, OPTIONS))??)
}

fn main() -> Result<(), Error> {
    let switch = Namespace::quiet("veth-sw")?;
    let hosts = [Namespace::quiet("veth-h0")?, Namespace::quiet("veth-h1")?];
    for (host, port) in hosts.iter().zip(["sw0", "sw1"]) {
        veth_pair((&switch, port), (host, "eth0"))?;
    }
    let netdev = Netdev::new(Arc::new(ToPort2), Config::default())?;
    for (number, name) in [(1, "sw0"), (2, "sw1")] {
        netdev.add_port(PortNo(number), Box::new(open(&switch, name)?))?;
    }
    let mut generator = open(&hosts[0], "eth0")?.queues(QueueCount::ONE)?;
    for round in 0..5 {
        let live = live(&netdev, &mut generator)?;
        let drain = drain(&netdev, &mut generator)?;
        println!("round {round}: {live}; from a full ring {drain:.3} Mpps");
    }
    Ok(())
}

/// Counters of both ports.
fn counts(netdev: &Netdev) -> [PortStats; 2] {
    let ports = netdev.ports();
    [0, 1].map(|index: usize| ports.get(index).map(|port| port.stats).unwrap_or_default())
}

/// Forwards for two seconds while the generator sends: limited by the slower of the two.
fn live(netdev: &Arc<Netdev>, generator: &mut Queues) -> Result<String, Error> {
    let stop = AtomicBool::new(false);
    let running = netdev.start(&[0], Idle::Sleep)?;
    let queue = generator.tx.first_mut().ok_or("no queue to send by")?;
    let report = std::thread::scope(|scope| -> Result<String, Error> {
        let sender = scope.spawn(|| pin_to_cpu(1).map(|()| generate(&mut **queue, &stop)));
        std::thread::sleep(Duration::from_millis(300));
        let (before, start) = (counts(netdev), Instant::now());
        std::thread::sleep(Duration::from_secs(2));
        let (after, seconds) = (counts(netdev), start.elapsed().as_secs_f64());
        stop.store(true, Ordering::Relaxed);
        sender.join().map_err(|_| "the generator panicked")??;
        let rate = |port: usize, get: fn(&PortStats) -> u64| {
            (get(&after[port]) - get(&before[port])) as f64 / seconds / 1e6
        };
        let received = rate(0, |port| port.rx_packets);
        let offered = received + rate(0, |port| port.rx_dropped);
        let forwarded = rate(1, |port| port.tx_packets);
        Ok(format!("offered {offered:.3}, forwarded {forwarded:.3} Mpps"))
    })?;
    running.stop();
    Ok(report)
}

/// Forwards what waits in a full ring, with nobody sending meanwhile: what one processor can do.
fn drain(netdev: &Arc<Netdev>, generator: &mut Queues) -> Result<f64, Error> {
    let stop = AtomicBool::new(false);
    let queue = generator.tx.first_mut().ok_or("no queue to send by")?;
    std::thread::scope(|scope| -> Result<(), Error> {
        let sender = scope.spawn(|| pin_to_cpu(1).map(|()| generate(&mut **queue, &stop)));
        std::thread::sleep(Duration::from_millis(1500));
        stop.store(true, Ordering::Relaxed);
        sender.join().map_err(|_| "the generator panicked")??;
        Ok(())
    })?;
    let before = counts(netdev);
    let start = Instant::now();
    let running = netdev.start(&[0], Idle::Spin)?;
    let (mut last, mut end) = (before[1].tx_packets, start);
    while end.elapsed() < Duration::from_millis(200) {
        let now = counts(netdev)[1].tx_packets;
        if now != last {
            (last, end) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    running.stop();
    let seconds = end.duration_since(start).as_secs_f64();
    Ok((last - before[1].tx_packets) as f64 / seconds / 1e6)
}
