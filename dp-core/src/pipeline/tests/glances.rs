//! Bursts that a glance sends on, beside the same bursts with their keys.

use std::sync::Mutex;

use super::{Slow, burst, ports, sent, udp, verdict};
use crate::action::Action;
use crate::base::{DropReason, Instant, PortNo, Random, Vectors};
use crate::boundary::Upcall;
use crate::flow::FieldId as F;
use crate::packet::{Packet, Pool};
use crate::pipeline::{Parser, Pipeline, Settings};

/// UDP or TCP over IPv4 or IPv6; a few with a tag, a few that lie about their length.
pub(super) fn frame(random: &mut Random, odd: bool) -> Packet {
    let pick = |random: &mut Random, most: u32| random.next_u32() % most;
    let mut packet = udp(pick(random, 200) as u8, 1000 + pick(random, 1000) as u16);
    if pick(random, 3) == 0 {
        packet.data_mut()[23] = 6;
        packet.data_mut()[46..48].copy_from_slice(&[0x50, 1 << pick(random, 6)]);
    }
    if pick(random, 4) == 0 {
        let bytes = 74 + pick(random, 20) as usize;
        packet = Pool::standard().alloc().unwrap();
        let frame = packet.append(bytes).unwrap();
        frame.fill(0);
        frame[12..21].copy_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 17]);
        frame[54..60].copy_from_slice(&[0, 9, 0, 53, 0, 20]);
    }
    if odd {
        match pick(random, 3) {
            0 => packet.data_mut()[12..16].copy_from_slice(&[0x81, 0, 0, 7]),
            1 => packet.data_mut()[16] = 0xff,
            _ => packet.truncate(40),
        }
    }
    packet
}

#[test]
fn a_glance_sends_what_keys_send() {
    for wide in [false, true] {
        let slow = Slow(
            |upcall: &Upcall<'_>| {
                let port = match upcall.key.eth_type() {
                    0x86dd if !wide => 1,
                    _ => 0,
                };
                let mut verdict = verdict(vec![Action::Output(PortNo(port))], &[], true);
                if wide {
                    verdict.mask = crate::flow::FlowMask::EMPTY;
                    verdict.mask.unwildcard(F::RecircId);
                    verdict.mask.unwildcard_place(crate::flow::layout::IN_PORT);
                }
                Ok(verdict)
            },
            Mutex::new(0),
        );
        let mut random = Random::new(3);
        let kinds = [Parser::best(), Parser::Autovalidate(Vectors::detect())];
        let mut sides = kinds
            .map(|parser| (Pipeline::new(Settings { parser, ..Settings::default() }), ports(2)));
        for round in 0..400_u32 {
            let now = Instant::from_millis(u64::from(round));
            let count = 1 + random.next_u32() % 32;
            let odd = round % 3 == 0;
            let packets = (0..count).map(|at| frame(&mut random, odd && at == 5));
            let packets: Vec<Packet> = packets.collect();
            let copies: Vec<Packet> = packets.iter().map(|packet| packet.copy().unwrap()).collect();
            let mut out = Vec::new();
            for ((pipeline, ports), packets) in sides.iter_mut().zip([packets, copies]) {
                let sum: usize = packets.iter().map(Packet::len).sum();
                let bytes = pipeline.process(PortNo(1), &mut burst(packets), now, &slow, ports);
                assert_eq!(bytes, sum as u64);
                let mut left = sent(ports);
                // Each port's in their order.
                left.sort_by_key(|(port, _)| *port);
                out.push(left);
            }
            assert!(out[0] == out[1], "round {round}");
        }
        let [glancing, keyed] = sides.map(|(pipeline, _)| {
            let mut flows: Vec<_> =
                pipeline.flows(0).map(|flow| (flow.ufid, flow.stats.snapshot())).collect();
            flows.sort_by_key(|(ufid, _)| *ufid);
            let drops: Vec<u64> = DropReason::ALL
                .iter()
                .map(|&reason| pipeline.counters().drops.get(reason))
                .collect();
            (flows, drops, pipeline.counters().simple_hits.get())
        });
        assert_eq!(glancing, keyed);
        assert!(glancing.2 > 5_000);
    }
}
