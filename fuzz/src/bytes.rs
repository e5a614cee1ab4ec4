//! Decisions out of an input's bytes: what stands at the end of the input is zero.

/// Reads an input from the front.
pub(crate) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) const fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.number::<1>()[0]
    }

    pub(crate) fn short(&mut self) -> u16 {
        u16::from_be_bytes(self.number())
    }

    pub(crate) fn word(&mut self) -> u32 {
        u32::from_be_bytes(self.number())
    }

    pub(crate) fn number<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let len = self.0.len().min(N);
        let (front, rest) = self.0.split_at(len);
        out[..len].copy_from_slice(front);
        self.0 = rest;
        out
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u8) -> u8 {
        self.byte() % end.max(1)
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}
