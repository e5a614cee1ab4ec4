//! Row, version and transaction identifiers (RFC 4122).
//!
//! A [`Uuid`] is 16 bytes compared bytewise, which is also the order the database keeps rows and
//! sets in. Random ones come from a [`UuidSource`]: randomness is an argument, so that everything
//! above can be tested with a source that counts.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};

/// A 128-bit identifier.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// The all-zeros UUID: the default of a uuid column, never the name of a row.
    pub const ZERO: Self = Self([0; 16]);

    /// Reads the 36-character text form, in either case.
    ///
    /// `None` for anything else, including surrounding blanks.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != 36 {
            return None;
        }
        let mut out = [0; 16];
        let mut nibbles = 0_usize;
        for (at, &byte) in text.iter().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if byte != b'-' {
                    return None;
                }
                continue;
            }
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                b'A'..=b'F' => byte - b'A' + 10,
                _ => return None,
            };
            let cell = out.get_mut(nibbles / 2)?;
            *cell = *cell << 4 | digit;
            nibbles += 1;
        }
        Some(Self(out))
    }

    /// True for the all-zeros UUID.
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where fresh UUIDs come from.
pub struct UuidSource {
    kind: Kind,
}

enum Kind {
    /// The kernel's generator, read a pool at a time.
    Kernel { file: File, pool: Vec<u8> },
    /// A counter, for tests and for reproducing a run.
    Counting(u64),
}

impl UuidSource {
    /// A source of unpredictable version-4 UUIDs.
    ///
    /// # Errors
    /// When the kernel's random device cannot be opened.
    pub fn random() -> io::Result<Self> {
        let file = File::open("/dev/urandom")?;
        Ok(Self { kind: Kind::Kernel { file, pool: Vec::new() } })
    }

    /// A source that counts from `start`: the same run gives the same UUIDs.
    pub fn counting(start: u64) -> Self {
        Self { kind: Kind::Counting(start) }
    }

    /// The next UUID (version 4, variant 1; never the all-zeros UUID).
    pub fn fresh(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        match &mut self.kind {
            Kind::Counting(n) => {
                *n = n.wrapping_add(1);
                // Spread the counter so that neighbours do not sort next to each other.
                let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                bytes[..8].copy_from_slice(&mixed.to_be_bytes());
                bytes[8..].copy_from_slice(&n.to_be_bytes());
            }
            Kind::Kernel { file, pool } => {
                if pool.len() < 16 {
                    pool.resize(POOL, 0);
                    // The device never ends and a signal does not fail `read_exact`; were it to
                    // fail all the same, unique identifiers are no longer to be had, and handing
                    // out repeated ones would corrupt the database.
                    if let Err(error) = file.read_exact(pool) {
                        unreachable!("reading the random device: {error}");
                    }
                }
                let at = pool.len() - 16;
                bytes.copy_from_slice(&pool[at..]);
                pool.truncate(at);
            }
        }
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Uuid(bytes)
    }
}

impl fmt::Debug for UuidSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Kernel { .. } => "UuidSource::random",
            Kind::Counting(_) => "UuidSource::counting",
        })
    }
}

/// Bytes read from the random device at a time: 64 UUIDs.
const POOL: usize = 1024;

#[cfg(test)]
mod tests {
    use super::{Uuid, UuidSource};

    #[test]
    fn text_round_trips_in_either_case() {
        let text = "550e8400-e29b-41d4-a716-446655440000";
        assert_eq!(Uuid::parse(text).unwrap().to_string(), text);
        assert_eq!(Uuid::parse(&text.to_uppercase()), Uuid::parse(text));
    }

    #[test]
    fn malformed_text_is_refused() {
        for text in [
            "",
            "550e8400-e29b-41d4-a716-44665544000",
            "550e8400-e29b-41d4-a716-4466554400000",
            "550e8400-e29b-41d4-a716-44665544000g",
            "550e8400e29b-41d4-a716-4466-55440000",
            " 550e8400-e29b-41d4-a716-44665544000",
        ] {
            assert_eq!(Uuid::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn random_ones_differ_and_carry_their_version() {
        let mut source = UuidSource::random().unwrap();
        let all: std::collections::BTreeSet<_> = (0..1000).map(|_| source.fresh()).collect();
        assert_eq!(all.len(), 1000);
        for uuid in all {
            assert_eq!(uuid.to_string().as_bytes()[14], b'4');
        }
    }

    #[test]
    fn counting_ones_repeat_from_run_to_run() {
        let (mut a, mut b) = (UuidSource::counting(7), UuidSource::counting(7));
        assert_eq!(a.fresh(), b.fresh());
        assert_ne!(a.fresh(), a.fresh());
    }
}
