//! Which packets of a burst match a megaflow, by one lane of their keys.

use crate::flow::Lane;
use crate::lookup::Kernel;
use crate::packet::{BURST, Slots};

/// The slots whose lane, masked, equals `masked`; slots without a packet may be among them.
#[inline(always)]
#[must_use]
pub(super) fn alike(kernel: Kernel, lanes: &[Lane; BURST], mask: &Lane, masked: &Lane) -> Slots {
    match kernel {
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2(proof) => super::alike_unsafe::alike_avx2(proof, lanes, mask, masked),
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx512(proof) => super::alike_unsafe::alike_avx512(proof, lanes, mask, masked),
        _ => portable(lanes, mask, masked),
    }
}

/// As [`fn@alike`], in plain Rust.
#[inline(always)]
fn portable(lanes: &[Lane; BURST], mask: &Lane, masked: &Lane) -> Slots {
    let mut same = Slots::NONE;
    for (slot, lane) in lanes.iter().enumerate() {
        if lane.and(mask) == *masked {
            same.insert(slot);
        }
    }
    same
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Random;

    #[test]
    fn every_kernel_finds_what_the_portable_one_finds() {
        let mut random = Random::new(7);
        let mut lane = |bits: u64| {
            let mut lane = Lane::ZERO;
            for word in &mut lane.0 {
                *word = random.next_u64() & bits;
            }
            lane
        };
        let (mut some, mut none) = (0, 0);
        for round in 0..2000_u64 {
            // Two bits of each word at most: masked keys meet often.
            let mask = lane(if round % 3 == 0 { 0b101 } else { 0 });
            let mut lanes = [Lane::ZERO; BURST];
            for place in &mut lanes {
                *place = lane(u64::MAX);
            }
            let masked = lanes[round as usize % BURST].and(&mask);
            let one = &mut lanes[(round as usize + 5) % BURST];
            *one = masked;
            one.0[round as usize % 8] ^= 1 << (round % 64);
            let expected = portable(&lanes, &mask, &masked);
            some += usize::from(!expected.is_empty());
            none += usize::from(expected != Slots(u32::MAX));
            for kernel in Kernel::available() {
                assert_eq!(alike(kernel, &lanes, &mask, &masked), expected, "{}", kernel.name());
            }
        }
        assert!(some == 2000 && none > 300, "{some} {none}");
    }
}
