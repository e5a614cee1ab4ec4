//! Which machine code parses frames.

use crate::base::{Avx2, Avx512, Vectors};

/// A choice of machine code for extraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parser {
    /// The portable parser alone.
    Scalar,
    /// Plain packets by AVX2.
    Avx2(Avx2),
    /// Plain packets by AVX-512.
    Avx512(Avx512),
    /// All that the processor runs, compared; the portable parser's answer counts. Where they
    /// differ it is counted, and debug builds stop.
    Autovalidate(Vectors),
}

impl Parser {
    /// The fastest parser that this processor runs.
    #[must_use]
    pub fn best() -> Self {
        let Vectors { avx2, avx512 } = Vectors::detect();
        avx512.map(Self::Avx512).or(avx2.map(Self::Avx2)).unwrap_or(Self::Scalar)
    }

    /// Every parser that this processor runs.
    pub fn available() -> impl Iterator<Item = Self> {
        let vectors = Vectors::detect();
        [
            Some(Self::Autovalidate(vectors)),
            Some(Self::Scalar),
            vectors.avx2.map(Self::Avx2),
            vectors.avx512.map(Self::Avx512),
        ]
        .into_iter()
        .flatten()
    }

    /// The names of all there are, and the parser where this processor runs it.
    pub fn all() -> impl Iterator<Item = (&'static str, Option<Self>)> {
        ["autovalidator", "scalar", "avx2", "avx512_vbmi"]
            .into_iter()
            .map(|name| (name, Self::available().find(|parser| parser.name() == name)))
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2(_) => "avx2",
            Self::Avx512(_) => "avx512_vbmi",
            Self::Autovalidate(_) => "autovalidator",
        }
    }
}

impl Default for Parser {
    fn default() -> Self {
        Self::best()
    }
}
