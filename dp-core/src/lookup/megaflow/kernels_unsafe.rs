//! The vector kernels of a subtable: the portable body, compiled for AVX2 and for AVX-512.

#![expect(unsafe_code, reason = "calls functions compiled for more than the target's baseline")]

use super::kernels;
use super::subtable::Subtable;
use crate::base::{Avx2, Avx512};
use crate::flow::BurstKeys;
use crate::lookup::flows::{BurstFlows, Flows};
use crate::packet::Slots;

/// As [`kernels::probe`].
#[inline(always)]
pub(super) fn probe_avx2<T>(
    _proof: Avx2,
    table: &Subtable,
    keys: &BurstKeys,
    want: Slots,
    flows: &Flows<T>,
    found: &mut BurstFlows,
) -> Slots {
    // SAFETY: the proof is only had where the processor has these features.
    unsafe { entry_avx2(table, keys, want, flows, found) }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn entry_avx2<T>(
    table: &Subtable,
    keys: &BurstKeys,
    want: Slots,
    flows: &Flows<T>,
    found: &mut BurstFlows,
) -> Slots {
    kernels::probe(table, keys, want, flows, found)
}

/// As [`kernels::probe`].
#[inline(always)]
pub(super) fn probe_avx512<T>(
    _proof: Avx512,
    table: &Subtable,
    keys: &BurstKeys,
    want: Slots,
    flows: &Flows<T>,
    found: &mut BurstFlows,
) -> Slots {
    // SAFETY: the proof is only had where the processor has these features.
    unsafe { entry_avx512(table, keys, want, flows, found) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,bmi1,bmi2,lzcnt,popcnt")]
fn entry_avx512<T>(
    table: &Subtable,
    keys: &BurstKeys,
    want: Slots,
    flows: &Flows<T>,
    found: &mut BurstFlows,
) -> Slots {
    kernels::probe(table, keys, want, flows, found)
}
