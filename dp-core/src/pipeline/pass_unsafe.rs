//! The stages of a pass compiled for AVX2 and for AVX-512, so that they become one function with
//! their kernels.

#![expect(unsafe_code, reason = "calls functions compiled for more than the target's baseline")]

use super::{Pipeline, Turn};
use crate::base::{Avx2, Avx512};
use crate::execute::TxBatches;
use crate::packet::Burst;

/// As [`Pipeline::stages`].
#[inline(always)]
pub(super) fn stages_avx2(
    _proof: Avx2,
    pipeline: &mut Pipeline,
    burst: &mut Burst,
    turn: &Turn<'_>,
    out: &mut TxBatches,
) {
    // SAFETY: the proof is only had where the processor has these features.
    unsafe { entry_avx2(pipeline, burst, turn, out) }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn entry_avx2(pipeline: &mut Pipeline, burst: &mut Burst, turn: &Turn<'_>, out: &mut TxBatches) {
    pipeline.stages(burst, turn, out);
}

/// As [`Pipeline::stages`].
#[inline(always)]
pub(super) fn stages_avx512(
    _proof: Avx512,
    pipeline: &mut Pipeline,
    burst: &mut Burst,
    turn: &Turn<'_>,
    out: &mut TxBatches,
) {
    // SAFETY: the proof is only had where the processor has these features.
    unsafe { entry_avx512(pipeline, burst, turn, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,bmi1,bmi2,lzcnt,popcnt")]
fn entry_avx512(pipeline: &mut Pipeline, burst: &mut Burst, turn: &Turn<'_>, out: &mut TxBatches) {
    pipeline.stages(burst, turn, out);
}
