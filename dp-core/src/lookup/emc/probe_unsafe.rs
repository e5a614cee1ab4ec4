//! The AVX-512 kernel of the exact-match cache: the portable body, compiled for it.

#![expect(unsafe_code, reason = "calls a function compiled for more than the target's baseline")]

use super::{Emc, Hashes, probe as portable};
use crate::flow::BurstKeys;
use crate::lookup::flows::{BurstFlows, Flows};
use crate::lookup::kernel::Avx512;
use crate::packet::Slots;

/// As [`portable::probe`].
#[inline(always)]
pub(super) fn probe<T>(
    _proof: Avx512,
    emc: &Emc,
    keys: &BurstKeys,
    want: Slots,
    flows: &Flows<T>,
    hashes: &mut Hashes,
    found: &mut BurstFlows,
) -> Slots {
    // SAFETY: the proof is only had where the processor has these features.
    unsafe { entry(emc, keys, want, flows, hashes, found) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,bmi1,bmi2,lzcnt,popcnt")]
fn entry<T>(
    emc: &Emc,
    keys: &BurstKeys,
    want: Slots,
    flows: &Flows<T>,
    hashes: &mut Hashes,
    found: &mut BurstFlows,
) -> Slots {
    portable::probe(emc, keys, want, flows, hashes, found)
}
