//! What a glance sees is what extraction finds.

use super::extract;
use super::frames::{eth, ipv4, ipv6, tagged, tcp, udp};
use crate::base::Random;
use crate::flow::FieldId as F;
use crate::flow::extract::glance;

#[test]
fn a_glance_agrees_with_extraction_or_says_nothing() {
    let mut random = Random::new(5);
    let frames = [
        eth(0x0800, &ipv4(17, &udp(1, 2, b"hello"))),
        eth(0x0800, &ipv4(6, &tcp(1, 2, 0x12, b"hello"))),
        eth(0x86dd, &ipv6(17, &udp(1, 2, b"hello"))),
        eth(0x86dd, &ipv6(6, &tcp(1, 2, 0x12, b"hello"))),
        tagged(0x8100, 5, 0x0800, &ipv4(17, &udp(1, 2, b"hello"))),
    ];
    let mut seen = [0u32; 2];
    for _ in 0..40_000 {
        let mut frame = frames[random.next_u32() as usize % frames.len()].clone();
        for _ in 0..random.next_u32() % 3 {
            let at = random.next_u32() as usize % frame.len();
            frame[at] ^= 1 << (random.next_u32() % 8);
        }
        if random.next_u32().is_multiple_of(4) {
            frame.truncate(random.next_u32() as usize % (frame.len() + 1));
        } else {
            frame.resize(frame.len() + random.next_u32() as usize % 20, 0);
        }
        let Some(glanced) = glance(&frame) else { continue };
        seen[usize::from(glanced.v6)] += 1;
        let (key, why) = extract(&frame);
        assert_eq!(why, None, "{frame:02x?}");
        let found = [F::EthType, F::VlanTci, F::IpFrag].map(|field| key.get(field));
        let eth_type = if glanced.v6 { 0x86dd } else { 0x0800 };
        assert_eq!(found, [eth_type, 0, 0], "{frame:02x?}");
        assert_eq!(key.get(F::TcpFlags), glanced.tcp_flags.into(), "{frame:02x?}");
    }
    assert!(seen.iter().all(|&count| count > 2_000), "{seen:?}");
}
