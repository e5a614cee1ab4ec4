//! Packets that pass again where they are, beside packets that wait on the list for it: random
//! traffic through both, flows and connections coming and going.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::{Slow, burst, ports, sent, verdict};
use crate::action::ct::{Nat, NatChoice, NatEnd, NatTarget};
use crate::action::{Action, Ct, Masked};
use crate::base::{DropReason, Duration, Instant, PortNo, Random, RecircId, Ufid, Zone};
use crate::boundary::{Upcall, UpcallError, Verdict};
use crate::conntrack::{Conntrack, CtState};
use crate::execute::TxBatches;
use crate::flow::FieldId as F;
use crate::packet::{Packet, Pool};
use crate::pipeline::{Pipeline, Settings};
use crate::wire::checksum::checksum;

fn ct(zone: u16) -> Ct {
    Ct { zone: Zone(zone), ..Ct::default() }
}

fn again(ct: Ct, id: u32) -> Vec<Action> {
    vec![Action::Ct(Box::new(ct)), Action::Recirc(RecircId(id))]
}

fn output(port: u128) -> Vec<Action> {
    vec![Action::Output(PortNo(u32::try_from(port).unwrap()))]
}

fn commit(zone: u16, port: u128, upcall: &Upcall<'_>) -> Vec<Action> {
    let mark = u32::try_from(upcall.key.get(F::UdpDst)).unwrap();
    let target = NatTarget {
        end: NatEnd::Src,
        addresses: Some(("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap())),
        ports: None,
        persistent: false,
        choice: NatChoice::Default,
    };
    let ct = Ct {
        commit: true,
        mark: Some(Masked { value: mark, mask: 0xff }),
        label: Some(Masked { value: u128::from(mark) << 64 | 3, mask: 7 | 0xff << 64 })
            .filter(|_| upcall.key.get(F::Ipv4Src) & 1 == 0),
        nat: (zone == 2).then_some(Nat { to: Some(target), also: None }),
        ..ct(zone)
    };
    vec![Action::Ct(Box::new(ct)), Action::Output(PortNo(u32::try_from(port).unwrap()))]
}

/// Tables in which most packets are tracked, some twice, and the second passes look at all that the
/// tracker finds.
fn decide(upcall: &Upcall<'_>) -> Result<Verdict, UpcallError> {
    let get = |field| upcall.key.get(field);
    let state = CtState::from_bits_retain(u8::try_from(get(F::CtState)).unwrap());
    let new = state.contains(CtState::NEW);
    let (actions, fields): (Vec<Action>, &[F]) = match upcall.key.recirc_id().0 {
        0 => match upcall.key.in_port().0 {
            1 => (again(ct(1), 1), &[]),
            2 => (again(Ct { nat: Some(Nat::default()), ..ct(2) }, 2), &[]),
            3 => ([output(9), again(ct(1), 1)].concat(), &[]),
            _ => (vec![Action::Output(PortNo(8)), Action::Recirc(RecircId(3))], &[]),
        },
        1 if state.contains(CtState::INV) => (output(18), &[F::CtState]),
        1 if new => (commit(1, 1, upcall), &[F::CtState, F::UdpDst, F::Ipv4Src]),
        1 => match get(F::UdpDst) & 3 {
            0 => (output(10 + (get(F::CtLabel) & 3)), &[F::CtState, F::UdpDst, F::CtLabel]),
            1 => (output(14 + (get(F::CtMark) & 1)), &[F::CtState, F::UdpDst, F::CtMark]),
            2 => (output(16 + (get(F::CtNwSrc) & 1)), &[F::CtState, F::UdpDst, F::CtNwSrc]),
            _ => (again(ct(3), 4), &[F::CtState, F::UdpDst]),
        },
        2 if new => (commit(2, 2, upcall), &[F::CtState, F::UdpDst, F::Ipv4Src]),
        2 => (output(20 + (get(F::Ipv4Src) & 1)), &[F::CtState, F::Ipv4Src]),
        3 => (again(ct(3), 4), &[]),
        _ if new => (commit(3, 3, upcall), &[F::CtState, F::UdpDst, F::Ipv4Src]),
        _ => (output(22 + (get(F::CtZone) & 1)), &[F::CtState, F::CtZone, F::CtTpDst]),
    };
    Ok(verdict(actions, fields, true))
}

/// A frame of one of few connections. Some are wrong.
fn frame(random: &mut Random) -> Packet {
    let pick = |random: &mut Random, most: u32| random.next_u32() % most;
    let (mut src, mut dst) = ([10, 0, 0, pick(random, 6) as u8], [10, 0, 1, pick(random, 3) as u8]);
    // Half of them go where labels are looked at, so that guesses about labels are made.
    let service = if pick(random, 2) == 0 { 0 } else { pick(random, 8) as u16 };
    let (mut sport, mut dport) = (1000 + pick(random, 4) as u16, 80 + service);
    if pick(random, 2) == 0 {
        (src, dst, sport, dport) = (dst, src, dport, sport);
        if pick(random, 4) == 0 {
            dst = [192, 0, 2, 1 + pick(random, 2) as u8];
        }
    }
    let tcp = pick(random, 3) == 0;
    let mut ip =
        [0x45, 0, 0, 46, 0, 0, 0, 0, 64, if tcp { 6 } else { 17 }, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    ip[12..16].copy_from_slice(&src);
    ip[16..20].copy_from_slice(&dst);
    let sum = checksum(&ip).wrapping_add(u16::from(pick(random, 40) == 0));
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut packet = Pool::standard().alloc().unwrap();
    let frame = packet.append(60).unwrap();
    frame.fill(0);
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
    frame[14..34].copy_from_slice(&ip);
    frame[34..36].copy_from_slice(&sport.to_be_bytes());
    frame[36..38].copy_from_slice(&dport.to_be_bytes());
    if tcp {
        let flags = [2, 0x12, 0x10, 0x11, 0x14][pick(random, 5) as usize];
        frame[46..50].copy_from_slice(&[0x50, flags, 0x10, 0]);
        packet.meta_mut().offloads = crate::packet::Offloads::RX_L4_CSUM_GOOD;
    } else {
        frame[38..40].copy_from_slice(&[0, 26]);
        packet.meta_mut().offloads = crate::packet::Offloads::empty();
    }
    packet
}

/// What one has seen of a pipeline.
#[derive(Debug, PartialEq)]
struct Account {
    flows: BTreeMap<Ufid, (u64, u64)>,
    connections: Vec<String>,
    recirculated: u64,
    drops: Vec<u64>,
}

struct Side {
    pipeline: Pipeline,
    tracker: Arc<Conntrack>,
    out: TxBatches,
}

impl Side {
    fn new(settings: Settings, queues: bool) -> Self {
        let mut pipeline = Pipeline::new(settings);
        pipeline.queues = queues;
        let tracker = Arc::new(Conntrack::new(7));
        pipeline.set_conntrack(Arc::clone(&tracker));
        Self { pipeline, tracker, out: ports(32) }
    }

    fn account(&self, now: Instant) -> Account {
        let counters = self.pipeline.counters();
        let mut connections = Vec::new();
        self.tracker.dump(None, now, |entry| connections.push(format!("{entry:?}")));
        connections.sort();
        let flows = self.pipeline.flows(0).map(|flow| {
            let stats = flow.stats.snapshot();
            (flow.ufid, (stats.packets, stats.bytes))
        });
        Account {
            flows: flows.collect(),
            connections,
            recirculated: counters.recirculated.get(),
            drops: DropReason::ALL.iter().map(|&reason| counters.drops.get(reason)).collect(),
        }
    }
}

#[test]
fn packets_that_stay_fare_as_packets_that_wait() {
    let slow = Slow(decide, Mutex::new(0));
    let base = Settings { recirc_limit: 4, ..Settings::default() };
    let mut here = Side::new(base.clone(), false);
    let mut there = Side::new(Settings { guesses: false, emc_insert_inv_prob: 1, ..base }, true);
    let mut random = Random::new(11);
    let mut now = Instant::from_millis(1000);
    let mut left = 0;
    for round in 0..6_000_u32 {
        let port = PortNo(1 + random.next_u32() % 4);
        let count = 1 + random.next_u32() % 32;
        let packets: Vec<Packet> = (0..count).map(|_| frame(&mut random)).collect();
        let copies: Vec<Packet> = packets.iter().map(|packet| packet.copy().unwrap()).collect();
        let mut all = Vec::new();
        for (side, packets) in [(&mut here, packets), (&mut there, copies)] {
            side.pipeline.process(port, &mut burst(packets), now, &slow, &mut side.out);
            let mut out = sent(&mut side.out);
            left += out.len();
            out.sort();
            all.push(out);
        }
        assert_eq!(all[0], all[1], "round {round}");
        let limited = round >= 3_000;
        for side in [&mut here, &mut there] {
            match round % 64 {
                7 => {
                    let mut ids: Vec<Ufid> = side.pipeline.flows(0).map(|flow| flow.ufid).collect();
                    ids.sort();
                    let victim = ids[round as usize / 64 % ids.len()];
                    assert!(side.pipeline.remove(victim));
                }
                21 => drop(side.tracker.flush(Some(Zone(1 + (round / 64 % 3) as u16)), now)),
                // Which connections that are over a short walk comes to depends on where they stand. That tells
                // only in what a limited zone has room for: then all are walked over.
                35 => drop(side.tracker.sweep(now, if limited { 100_000 } else { 50 })),
                49 if limited => side.tracker.set_zone_limit(Zone(1), Some(10 + round / 64 % 20)),
                55 => side.pipeline.tick(now),
                _ => {}
            }
        }
        now = now.after(Duration::from_millis(match random.next_u32() % 100 {
            0 => 61_000,
            1 => 31_000,
            _ => 3,
        }));
        if round % 16 == 0 {
            assert_eq!(here.account(now), there.account(now), "round {round}");
        }
    }
    assert!(left > 100_000 && here.tracker.begun() > 3_000, "{left} {}", here.tracker.begun());
    let counters = here.pipeline.counters();
    assert!(counters.recirculated.get() > 50_000 && counters.megaflow_hits.get() > 50_000);
}
