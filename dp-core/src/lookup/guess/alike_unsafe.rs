//! The vector kernels of [`mod@super::alike`]: a load, a masked comparison and a bit for each packet.

#![expect(unsafe_code, reason = "calls functions compiled for more than the target's baseline")]

use core::arch::x86_64::{
    __m256i, __m512i, _mm256_and_si256, _mm256_load_si256, _mm256_or_si256, _mm256_testz_si256,
    _mm256_xor_si256, _mm512_and_si512, _mm512_cmpeq_epi64_mask, _mm512_load_si512,
};

use crate::base::{Avx2, Avx512};
use crate::flow::Lane;
use crate::packet::{BURST, Slots};

/// As [`super::alike::alike`].
#[inline(always)]
pub(super) fn alike_avx2(_proof: Avx2, lanes: &[Lane; BURST], mask: &Lane, masked: &Lane) -> Slots {
    // SAFETY: the proof is only had where the processor has these features.
    unsafe { entry_avx2(lanes, mask, masked) }
}

/// As [`super::alike::alike`].
#[inline(always)]
pub(super) fn alike_avx512(
    _proof: Avx512,
    lanes: &[Lane; BURST],
    mask: &Lane,
    masked: &Lane,
) -> Slots {
    // SAFETY: the proof is only had where the processor has these features.
    unsafe { entry_avx512(lanes, mask, masked) }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn entry_avx2(lanes: &[Lane; BURST], mask: &Lane, masked: &Lane) -> Slots {
    let halves = |lane: &Lane| -> [__m256i; 2] {
        let (low, high) = lane.0.split_at(4);
        // SAFETY: the first 32 bytes of a lane, which begins at a multiple of 64.
        let low = unsafe { _mm256_load_si256(low.as_ptr().cast()) };
        // SAFETY: the other 32.
        [low, unsafe { _mm256_load_si256(high.as_ptr().cast()) }]
    };
    let [mask, masked] = [halves(mask), halves(masked)];
    let mut same = 0;
    for (slot, lane) in lanes.iter().enumerate() {
        let lane = halves(lane);
        let low = _mm256_xor_si256(_mm256_and_si256(lane[0], mask[0]), masked[0]);
        let high = _mm256_xor_si256(_mm256_and_si256(lane[1], mask[1]), masked[1]);
        let differences = _mm256_or_si256(low, high);
        same |= u32::from(_mm256_testz_si256(differences, differences) != 0) << slot;
    }
    Slots(same)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,bmi1,bmi2,lzcnt,popcnt")]
#[inline]
fn entry_avx512(lanes: &[Lane; BURST], mask: &Lane, masked: &Lane) -> Slots {
    // SAFETY: a lane has 64 bytes and begins at a multiple of 64.
    let whole = |lane: &Lane| -> __m512i { unsafe { _mm512_load_si512(lane.0.as_ptr().cast()) } };
    let [mask, masked] = [whole(mask), whole(masked)];
    let mut same = 0;
    for (slot, lane) in lanes.iter().enumerate() {
        let words = _mm512_cmpeq_epi64_mask(_mm512_and_si512(whole(lane), mask), masked);
        same |= u32::from(words == u8::MAX) << slot;
    }
    Slots(same)
}
