//! The stages of a pass compiled for AVX-512, so that they become one function with its kernels.

#![expect(unsafe_code, reason = "calls a function compiled for more than the target's baseline")]

use super::{Pipeline, Turn};
use crate::execute::TxBatches;
use crate::lookup::kernel::Avx512;
use crate::packet::Burst;

/// As [`Pipeline::stages`].
#[inline(always)]
pub(super) fn stages(
    _proof: Avx512,
    pipeline: &mut Pipeline,
    burst: &mut Burst,
    turn: &Turn<'_>,
    out: &mut TxBatches,
) {
    // SAFETY: the proof is only had where the processor has these features.
    unsafe { entry(pipeline, burst, turn, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,bmi1,bmi2,lzcnt,popcnt")]
fn entry(pipeline: &mut Pipeline, burst: &mut Burst, turn: &Turn<'_>, out: &mut TxBatches) {
    pipeline.stages(burst, turn, out);
}
