//! Which machine code does the look-ups.
//!
//! Each kernel has one body, written in plain Rust over arrays of eight words. The portable kernel
//! is that body as the target's baseline compiles it; the vector kernels are the same body compiled
//! for AVX2 and for AVX-512. The autovalidator runs all and compares.

use crate::base::{Avx2, Avx512, Vectors};
pub use crate::sync::disagreements;

/// A choice of kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// The baseline of the target.
    Portable,
    /// AVX2.
    Avx2(Avx2),
    /// AVX-512: F, BW, DQ, VL and VBMI.
    Avx512(Avx512),
    /// All that the processor runs, compared; the portable one's answer counts. Where they differ
    /// it is counted, and debug builds stop.
    Autovalidate(Vectors),
}

impl Kernel {
    /// The fastest kernel that this processor runs.
    #[must_use]
    pub fn best() -> Self {
        let Vectors { avx2, avx512 } = Vectors::detect();
        avx512.map(Self::Avx512).or(avx2.map(Self::Avx2)).unwrap_or(Self::Portable)
    }

    /// Every kernel that this processor runs.
    pub fn available() -> impl Iterator<Item = Self> {
        let vectors = Vectors::detect();
        [
            Some(Self::Portable),
            vectors.avx2.map(Self::Avx2),
            vectors.avx512.map(Self::Avx512),
            Some(Self::Autovalidate(vectors)),
        ]
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
            Self::Avx2(_) => "avx2",
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
