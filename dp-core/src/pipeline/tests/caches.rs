//! Every combination of caches beside the tables alone: the same packets leave by the same ports, and the
//! same flows have counted the same, whatever answers.

use std::sync::Mutex;

use super::glances::frame;
use super::{Slow, burst, ports, sent, verdict};
use crate::action::{Action, ActionList};
use crate::base::{Instant, PortNo, Random, Ufid};
use crate::boundary::{FlowStatsSnapshot, Upcall, Verdict};
use crate::flow::{FieldId as F, FlowKey};
use crate::lookup::Kernel;
use crate::packet::Packet;
use crate::pipeline::{Parser, Pipeline, Settings};

/// A rule: values of fields, each with the bits that count, and the port that it sends to.
struct Rule(Vec<(F, u128, u128)>, u32);

/// Rules on few bits of few fields, so that packets hit all of them.
fn rules(random: &mut Random) -> Vec<Rule> {
    (0..random.next_u32() % 6)
        .map(|_| {
            let mut parts = Vec::new();
            for (field, value, mask) in [
                (F::Ipv4Src, random.next_u32() & 0xff, 7 << (random.next_u32() % 6)),
                (F::UdpSrc, 1000 + random.next_u32() % 1000, 3 << (random.next_u32() % 8)),
                (F::EthType, 0x0800 + (random.next_u32() & 1) * 0x7edd, 0xffff),
            ] {
                if random.next_u32() & 1 == 0 {
                    parts.push((field, u128::from(value & mask), u128::from(mask)));
                }
            }
            Rule(parts, random.next_u32() % 2)
        })
        .collect()
}

/// What the rules say, and a mask of all that was looked at to know it.
fn decide(rules: &[Rule], key: &FlowKey) -> Verdict {
    let mut out = verdict(vec![Action::Output(PortNo(1))], &[], true);
    for Rule(parts, port) in rules {
        for (field, _, mask) in parts {
            out.mask.unwildcard_bits(*field, *mask);
        }
        if parts.iter().all(|(field, value, mask)| key.get(*field) & mask == *value) {
            out.actions = ActionList::from([Action::Output(PortNo(*port))]);
            break;
        }
    }
    out
}

/// The tables alone, and then everything that may stand before them.
fn sides() -> Vec<Pipeline> {
    let (kernel, parser) = (Kernel::Portable, Parser::Scalar);
    let bare =
        Settings { emc_insert_inv_prob: 0, guesses: false, kernel, parser, ..Settings::default() };
    let mut sides = vec![Pipeline::new(bare.clone())];
    for guesses in [false, true] {
        for emc_insert_inv_prob in [0, 1, 3] {
            for smc in [false, true] {
                let caches = Settings { guesses, emc_insert_inv_prob, smc, ..bare.clone() };
                sides.push(Pipeline::new(Settings {
                    kernel: Kernel::best(),
                    parser: Parser::best(),
                    ..caches.clone()
                }));
                // Few entries, so that they displace each other.
                sides.push(Pipeline::new(Settings { emc_entries: 8, ..caches }));
            }
        }
    }
    sides
}

fn flows(pipeline: &Pipeline) -> Vec<(Ufid, ActionList, FlowStatsSnapshot)> {
    let mut flows: Vec<_> =
        pipeline.flows(0).map(|flow| (flow.ufid, flow.actions, flow.stats.snapshot())).collect();
    flows.sort_by_key(|(ufid, ..)| *ufid);
    flows
}

#[test]
fn no_cache_changes_a_verdict_or_a_count() {
    let mut random = Random::new(11);
    let mut hits = [0; 3];
    for _ in 0..4 {
        let rules = rules(&mut random);
        let slow = Slow(|upcall: &Upcall<'_>| Ok(decide(&rules, upcall.key)), Mutex::new(0));
        let mut sides: Vec<_> = sides().into_iter().map(|side| (side, ports(2))).collect();
        for round in 0..80_u32 {
            let now = Instant::from_millis(u64::from(round) * 20);
            let count = 1 + random.next_u32() % 32;
            let odd = round % 3 == 0;
            let packets: Vec<Packet> =
                (0..count).map(|at| frame(&mut random, odd && at == 5)).collect();
            let mut first: Option<Vec<(u32, Vec<u8>)>> = None;
            for (number, (pipeline, ports)) in sides.iter_mut().enumerate() {
                let copies = packets.iter().map(|packet| packet.copy().unwrap());
                pipeline.process(PortNo(1), &mut burst(copies), now, &slow, ports);
                pipeline.tick(now);
                let mut left = sent(ports);
                // Each port's in their order.
                left.sort_by_key(|(port, _)| *port);
                match &first {
                    None => first = Some(left),
                    Some(first) => assert!(*first == left, "round {round}, side {number}"),
                }
            }
            if round % 10 != 9 {
                continue;
            }
            let known = flows(&sides[0].0);
            for (number, (pipeline, _)) in sides.iter().enumerate() {
                assert!(flows(pipeline) == known, "round {round}, side {number}");
            }
            // One goes, another does something else: what caches remember of them is not believed.
            let pick = |random: &mut Random| {
                known.get(random.next_u32() as usize % known.len()).map(|it| it.0).unwrap()
            };
            let (gone, other) = (pick(&mut random), pick(&mut random));
            for (pipeline, _) in &mut sides {
                assert!(pipeline.remove(gone));
                let action = ActionList::from([Action::Output(PortNo(round / 10 % 2))]);
                assert_eq!(pipeline.replace_actions(other, action), gone != other);
            }
        }
        for (pipeline, _) in &sides {
            let counters = pipeline.counters();
            let now = [&counters.emc_hits, &counters.smc_hits, &counters.simple_hits];
            hits.iter_mut().zip(now).for_each(|(hits, more)| *hits += more.get());
        }
    }
    assert!(hits.iter().all(|&hits| hits > 500), "{hits:?}");
}
