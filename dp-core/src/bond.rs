//! Bonds whose member a packet thread chooses: 256 buckets of hashes, each assigned to a port.
//!
//! Control assigns the buckets and reads what each has carried, to move buckets from full members to
//! idle ones. A thread has counters of its own, so that threads share no line they write.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{BondId, PortNo};
use crate::sync::Counter;

/// Buckets of a bond: a packet's hash modulo this chooses one.
pub const BUCKETS: usize = 256;

/// Which port each bucket is assigned to.
pub type Assignment = [PortNo; BUCKETS];

/// Bytes that each bucket has carried; written by one thread, read by any.
#[derive(Debug)]
pub struct BondBytes([Counter; BUCKETS]);

impl Default for BondBytes {
    fn default() -> Self {
        Self([const { Counter::new(0) }; BUCKETS])
    }
}

impl BondBytes {
    /// Bytes of all buckets.
    #[must_use]
    pub fn snapshot(&self) -> [u64; BUCKETS] {
        let mut out = [0; BUCKETS];
        for (out, counter) in out.iter_mut().zip(&self.0) {
            *out = counter.get();
        }
        out
    }
}

#[derive(Debug)]
struct Bond {
    ports: Box<Assignment>,
    bytes: Arc<BondBytes>,
}

/// The bonds that one packet thread knows.
#[derive(Debug, Default)]
pub struct Bonds(BTreeMap<BondId, Bond>);

impl Bonds {
    /// Assigns the buckets of a bond, which is new or known. What a known one has counted goes on,
    /// where `bytes` are the same.
    pub fn set(&mut self, id: BondId, ports: Box<Assignment>, bytes: Arc<BondBytes>) {
        self.0.insert(id, Bond { ports, bytes });
    }

    /// Forgets a bond. `false`: there is none.
    pub fn remove(&mut self, id: BondId) -> bool {
        self.0.remove(&id).is_some()
    }

    /// The port that a packet with this hash leaves by; `len` bytes are counted for its bucket.
    #[inline]
    #[must_use]
    pub fn member(&self, id: BondId, hash: u32, len: usize) -> Option<PortNo> {
        let bond = self.0.get(&id)?;
        let bucket = hash as usize % BUCKETS;
        bond.bytes.0.get(bucket)?.add(len as u64);
        bond.ports.get(bucket).copied().filter(|&port| port != PortNo::NONE)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{BUCKETS, BondBytes, Bonds};
    use crate::base::{BondId, PortNo};

    #[test]
    fn hashes_choose_buckets_and_buckets_count() {
        let (mut bonds, bytes) = (Bonds::default(), Arc::new(BondBytes::default()));
        let mut ports = Box::new([PortNo(1); BUCKETS]);
        (ports[5], ports[6]) = (PortNo(2), PortNo::NONE);
        bonds.set(BondId(9), ports, Arc::clone(&bytes));
        assert_eq!(bonds.member(BondId(9), 0x1205, 100), Some(PortNo(2)));
        assert_eq!(bonds.member(BondId(9), 0x05, 20), Some(PortNo(2)));
        assert_eq!(bonds.member(BondId(9), 4, 7), Some(PortNo(1)));
        assert_eq!(bonds.member(BondId(9), 6, 7), None);
        assert_eq!(bonds.member(BondId(8), 4, 7), None);
        assert_eq!(bytes.snapshot()[4..7], [7, 120, 7]);
        assert!(bonds.remove(BondId(9)) && !bonds.remove(BondId(9)));
    }
}
