//! Writing big-endian numbers.

/// A buffer that datagrams are written to.
pub(super) trait Put {
    /// Appends bytes.
    fn bytes(&mut self, bytes: &[u8]);
    /// Overwrites a word that was written before; nothing where none was.
    fn patch32(&mut self, at: usize, value: u32);
    /// Overwrites half a word that was written before.
    fn patch16(&mut self, at: usize, value: u16);

    /// Appends a byte.
    fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    /// Appends two bytes.
    fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    /// Appends four bytes.
    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    /// Appends eight bytes.
    fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }
}

impl Put for Vec<u8> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn patch32(&mut self, at: usize, value: u32) {
        if let Some(place) = self.get_mut(at..at + 4) {
            place.copy_from_slice(&value.to_be_bytes());
        }
    }

    fn patch16(&mut self, at: usize, value: u16) {
        if let Some(place) = self.get_mut(at..at + 2) {
            place.copy_from_slice(&value.to_be_bytes());
        }
    }
}

/// The low 32 bits, as counters on the wire wrap.
pub(super) const fn low32(value: u64) -> u32 {
    let [_, _, _, _, a, b, c, d] = value.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}
