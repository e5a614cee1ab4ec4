//! Capture files in the classic pcap format.
//!
//! Tests exchange packets with other programs through these files: the reference switch writes what
//! its ports sent, tcpdump records namespaces, DPDK's pcap driver reads and writes them. Both byte
//! orders and both resolutions are read, since each of these writers chooses its own.
//!
//! ```text
//! file   = header record*
//! header = magic:u32 major:u16 minor:u16 thiszone:u32 sigfigs:u32 snaplen:u32 linktype:u32
//! record = seconds:u32 fraction:u32 captured:u32 original:u32 octet{captured}
//! ```
//!
//! Layout: <https://datatracker.ietf.org/doc/html/draft-ietf-opsawg-pcap>. All integers are in the
//! byte order that the magic shows.
//!
//! # Invariants
//!
//! A file may end anywhere, as the writer may still be at work or have been killed. [`Reader`] gives
//! every whole record before the tear and then one error that names the record that is torn.

mod reader;
mod writer;

#[cfg(test)]
mod tests;

use std::{io, path::PathBuf, time::Duration};

pub use reader::{Reader, parse, read};
pub use writer::{Writer, write};

/// Link type of Ethernet frames (`LINKTYPE_ETHERNET`).
pub const LINK_ETHERNET: u32 = 1;

/// The most octets one record may hold, the limit libpcap sets too (`MAXIMUM_SNAPLEN`).
pub const MAX_CAPTURED: u32 = 262_144;

/// One captured packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Time of capture since the Unix epoch.
    pub at: Duration,
    /// Length of the packet on the wire in octets; more than `frame.len()` where the capture was cut.
    pub original_len: u32,
    /// The octets captured.
    pub frame: Vec<u8>,
}

impl Record {
    /// A record of a whole frame.
    #[must_use]
    pub fn new(at: Duration, frame: Vec<u8>) -> Self {
        let original_len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        Self { at, original_len, frame }
    }
}

/// What the file's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Byte order of every integer in the file.
    pub order: ByteOrder,
    /// Unit of the time stamps' fraction.
    pub resolution: Resolution,
    /// Type of link, [`LINK_ETHERNET`] for frames.
    pub link_type: u32,
    /// The writer's limit on captured octets per record.
    pub snap_len: u32,
}

impl Default for Format {
    /// Little endian, microseconds, Ethernet, nothing cut: what every reader takes.
    fn default() -> Self {
        Self {
            order: ByteOrder::Little,
            resolution: Resolution::Micro,
            link_type: LINK_ETHERNET,
            snap_len: MAX_CAPTURED,
        }
    }
}

/// Byte order of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteOrder {
    /// Least significant octet first.
    Little,
    /// Most significant octet first.
    Big,
}

impl ByteOrder {
    fn u32(self, octets: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(octets),
            Self::Big => u32::from_be_bytes(octets),
        }
    }

    fn u32_octets(self, value: u32) -> [u8; 4] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    fn u16_octets(self, value: u16) -> [u8; 2] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }
}

/// Unit of the fraction in a time stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Microseconds, magic `a1b2c3d4`.
    Micro,
    /// Nanoseconds, magic `a1b23c4d`.
    Nano,
}

impl Resolution {
    const fn magic(self) -> u32 {
        match self {
            Self::Micro => 0xa1b2_c3d4,
            Self::Nano => 0xa1b2_3c4d,
        }
    }

    const fn nanos_per_unit(self) -> u32 {
        match self {
            Self::Micro => 1_000,
            Self::Nano => 1,
        }
    }
}

/// Why a capture could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PcapError {
    /// The file could not be opened, read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The stream could not be read or written.
    #[error("capture: {0}")]
    Io(#[from] io::Error),
    /// The stream ends inside the file header.
    #[error("capture ends after {octets} of the header's 24 octets")]
    TornHeader {
        /// Octets there were.
        octets: usize,
    },
    /// The first four octets are no magic we read.
    #[error("not a pcap file (magic {0:02x?}); `editcap -F pcap` converts other formats")]
    Magic([u8; 4]),
    /// The stream ends inside a record; the records before it were whole.
    #[error("capture is torn in record {record}: {octets} of {expected} octets are there")]
    TornRecord {
        /// Number of the torn record, counted from 0: as many whole records precede it.
        record: usize,
        /// Octets of it (header and data) that are there.
        octets: usize,
        /// Octets it ought to have; its header alone where that is torn already.
        expected: usize,
    },
    /// A record claims more octets than any writer captures, so the file is damaged.
    #[error("record {record} claims {captured} octets, more than {MAX_CAPTURED}")]
    Oversized {
        /// Number of the record, counted from 0.
        record: usize,
        /// Octets it claims.
        captured: u64,
    },
    /// A time stamp that the 32 bits of the format do not hold.
    #[error("record {record}: time {at:?} is beyond the format's 32-bit seconds")]
    Time {
        /// Number of the record, counted from 0.
        record: usize,
        /// The time.
        at: Duration,
    },
}
