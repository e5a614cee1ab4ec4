//! The AVX-512 kernel of a subtable: the portable body, compiled for it.

#![expect(unsafe_code, reason = "calls a function compiled for more than the target's baseline")]

use super::kernels;
use super::subtable::Subtable;
use crate::flow::BurstKeys;
use crate::lookup::flows::{BurstFlows, Flows};
use crate::lookup::kernel::Avx512;
use crate::packet::Slots;

/// As [`kernels::probe`].
#[inline(always)]
pub(super) fn probe<T>(
    _proof: Avx512,
    table: &Subtable,
    keys: &BurstKeys,
    want: Slots,
    flows: &Flows<T>,
    found: &mut BurstFlows,
) -> Slots {
    // SAFETY: the proof is only had where the processor has these features.
    unsafe { entry(table, keys, want, flows, found) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,bmi1,bmi2,lzcnt,popcnt")]
fn entry<T>(
    table: &Subtable,
    keys: &BurstKeys,
    want: Slots,
    flows: &Flows<T>,
    found: &mut BurstFlows,
) -> Slots {
    kernels::probe(table, keys, want, flows, found)
}
