//! The vector kernels of the exact-match cache: the portable body, compiled for AVX2 and AVX-512.

#![expect(unsafe_code, reason = "calls functions compiled for more than the target's baseline")]

use super::{Emc, Hashes, probe as portable};
use crate::base::{Avx2, Avx512};
use crate::flow::BurstKeys;
use crate::lookup::flows::{BurstFlows, Flows};
use crate::packet::Slots;

/// As [`portable::probe`].
#[inline(always)]
pub(super) fn probe_avx2<T>(
    _proof: Avx2,
    emc: &Emc,
    keys: &BurstKeys,
    want: Slots,
    flows: &Flows<T>,
    hashes: &mut Hashes,
    found: &mut BurstFlows,
) -> Slots {
    // SAFETY: the proof is only had where the processor has these features.
    unsafe { entry_avx2(emc, keys, want, flows, hashes, found) }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn entry_avx2<T>(
    emc: &Emc,
    keys: &BurstKeys,
    want: Slots,
    flows: &Flows<T>,
    hashes: &mut Hashes,
    found: &mut BurstFlows,
) -> Slots {
    portable::probe(emc, keys, want, flows, hashes, found)
}

/// As [`portable::probe`].
#[inline(always)]
pub(super) fn probe_avx512<T>(
    _proof: Avx512,
    emc: &Emc,
    keys: &BurstKeys,
    want: Slots,
    flows: &Flows<T>,
    hashes: &mut Hashes,
    found: &mut BurstFlows,
) -> Slots {
    // SAFETY: the proof is only had where the processor has these features.
    unsafe { entry_avx512(emc, keys, want, flows, hashes, found) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,bmi1,bmi2,lzcnt,popcnt")]
fn entry_avx512<T>(
    emc: &Emc,
    keys: &BurstKeys,
    want: Slots,
    flows: &Flows<T>,
    hashes: &mut Hashes,
    found: &mut BurstFlows,
) -> Slots {
    portable::probe(emc, keys, want, flows, hashes, found)
}
