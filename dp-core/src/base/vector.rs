//! Proofs of what the processor can do beyond the target's baseline.
//!
//! A function compiled for more than the baseline may only be called where the processor has that;
//! whoever holds one of these values has asked. They cost nothing to carry.

/// Proof that the processor has AVX2, with the bit instructions that came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2 {
    _private: (),
}

impl Avx2 {
    /// Asks the processor.
    #[must_use]
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            let has = std::arch::is_x86_feature_detected!("avx2")
                && std::arch::is_x86_feature_detected!("bmi1")
                && std::arch::is_x86_feature_detected!("bmi2")
                && std::arch::is_x86_feature_detected!("lzcnt")
                && std::arch::is_x86_feature_detected!("popcnt");
            has.then_some(Self { _private: () })
        }
        #[cfg(not(target_arch = "x86_64"))]
        None
    }
}

/// Proof that the processor has AVX-512 (F, BW, DQ, VL, VBMI), and what [`Avx2`] proves besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512 {
    _private: (),
}

impl Avx512 {
    /// Asks the processor.
    #[must_use]
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            let has = std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512dq")
                && std::arch::is_x86_feature_detected!("avx512vl")
                && std::arch::is_x86_feature_detected!("avx512vbmi");
            (has && Avx2::detect().is_some()).then_some(Self { _private: () })
        }
        #[cfg(not(target_arch = "x86_64"))]
        None
    }
}

/// Every vector unit that the processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vectors {
    /// Set where there is AVX2.
    pub avx2: Option<Avx2>,
    /// Set where there is AVX-512.
    pub avx512: Option<Avx512>,
}

impl Vectors {
    /// Asks the processor.
    #[must_use]
    pub fn detect() -> Self {
        Self { avx2: Avx2::detect(), avx512: Avx512::detect() }
    }
}
