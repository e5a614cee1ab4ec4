//! Which machine code does the look-ups.
//!
//! Each kernel has one body, written in plain Rust over arrays of eight words. The portable kernel
//! is that body as the target's baseline compiles it; the vector kernel is the same body compiled
//! for AVX-512, with the few steps that a compiler does not find written by hand. The
//! autovalidator runs both and compares.

pub use crate::sync::disagreements;

/// A choice of kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// The baseline of the target.
    Portable,
    /// AVX-512: F, BW, DQ, VL and VBMI.
    Avx512(Avx512),
    /// Both, compared; the portable one's answer counts. Where they differ it is counted, and debug
    /// builds stop.
    Autovalidate(Avx512),
}

/// Proof that the processor has AVX-512 with the extensions that the kernels use.
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
                && std::arch::is_x86_feature_detected!("avx512vbmi")
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

impl Kernel {
    /// The fastest kernel that this processor runs.
    #[must_use]
    pub fn best() -> Self {
        Avx512::detect().map_or(Self::Portable, Self::Avx512)
    }

    /// Every kernel that this processor runs.
    pub fn available() -> impl Iterator<Item = Self> {
        let vector = Avx512::detect();
        [Some(Self::Portable), vector.map(Self::Avx512), vector.map(Self::Autovalidate)]
            .into_iter()
            .flatten()
    }

    /// The kernel with this name, if this processor runs it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::available().find(|kernel| kernel.name() == name)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "generic",
            Self::Avx512(_) => "avx512",
            Self::Autovalidate(_) => "autovalidator",
        }
    }
}

impl Default for Kernel {
    fn default() -> Self {
        Self::best()
    }
}
