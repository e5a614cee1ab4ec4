//! The pcap format: global header, record headers, and what can be wrong with them.
//!
//! Nothing in a file is trusted: every length is compared with what is left, and a record longer
//! than any tool writes is damage, not a packet.

#[cfg(test)]
mod tests;

use super::error::CaptureError;

/// Bytes of the file's header.
pub(super) const FILE_HEADER: usize = 24;
/// Bytes of a record's header.
pub(super) const RECORD_HEADER: usize = 16;
/// The largest record that tools write: `MAXIMUM_SNAPLEN` of libpcap.
pub(super) const MAX_RECORD: u32 = 262_144;
/// The link type of Ethernet.
const ETHERNET: u32 = 1;

const MICROS: u32 = 0xa1b2_c3d4;
const NANOS: u32 = 0xa1b2_3c4d;
/// First four bytes of a pcapng file: a section header block, in either byte order.
const PCAPNG: u32 = 0x0a0d_0d0a;

/// The resolution of a capture's times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolution {
    /// Microseconds: what most tools write.
    Micros,
    /// Nanoseconds.
    #[default]
    Nanos,
}

/// The file header that we write, in this machine's byte order.
pub(super) fn file_header(resolution: Resolution, snaplen: u32) -> [u8; FILE_HEADER] {
    let magic = match resolution {
        Resolution::Micros => MICROS,
        Resolution::Nanos => NANOS,
    };
    let mut header = [0; FILE_HEADER];
    let words = [magic, u32::from_ne_bytes(version()), 0, 0, snaplen, ETHERNET];
    for (to, word) in header.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    header
}

/// Version 2.4: two 16-bit numbers.
fn version() -> [u8; 4] {
    let ([a, b], [c, d]) = (2u16.to_ne_bytes(), 4u16.to_ne_bytes());
    [a, b, c, d]
}

/// The record header that we write. Seconds wrap in 2106.
pub(super) fn record_header(
    resolution: Resolution,
    nanos: u64,
    kept: u32,
    original: u32,
) -> [u8; RECORD_HEADER] {
    let second = 1_000_000_000;
    let fraction = match resolution {
        Resolution::Micros => nanos % second / 1000,
        Resolution::Nanos => nanos % second,
    };
    let mut header = [0; RECORD_HEADER];
    let low = |value: u64| u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0);
    let words = [low(nanos / second), low(fraction), kept, original];
    for (to, word) in header.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    header
}

/// What the file's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    /// Whether the numbers are in the other byte order.
    swapped: bool,
    pub(super) resolution: Resolution,
}

impl FileHeader {
    pub(super) fn parse(file: &[u8]) -> Result<Self, CaptureError> {
        let short = CaptureError::NoHeader { bytes: file.len() };
        let Some(header) = file.first_chunk::<FILE_HEADER>() else {
            // A longer beginning of something else is better called that.
            return match file.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes)) {
                Some(PCAPNG) => Err(CaptureError::Pcapng),
                _ => Err(short),
            };
        };
        let magic = word(header, 0, false);
        let (swapped, resolution) = match (magic, magic.swap_bytes()) {
            (MICROS, _) => (false, Resolution::Micros),
            (NANOS, _) => (false, Resolution::Nanos),
            (_, MICROS) => (true, Resolution::Micros),
            (_, NANOS) => (true, Resolution::Nanos),
            (PCAPNG, _) => return Err(CaptureError::Pcapng),
            _ => return Err(CaptureError::NotPcap { magic: magic.to_be() }),
        };
        let [a, b, c, d] = [header[4], header[5], header[6], header[7]];
        let half = |bytes| {
            let value = u16::from_ne_bytes(bytes);
            if swapped { value.swap_bytes() } else { value }
        };
        let (major, minor) = (half([a, b]), half([c, d]));
        if (major, minor) != (2, 4) {
            return Err(CaptureError::Version { major, minor });
        }
        // The upper bits hold the length of a frame check sequence.
        match word(header, 20, swapped) & 0x0fff_ffff {
            ETHERNET => Ok(Self { swapped, resolution }),
            link_type => Err(CaptureError::LinkType { link_type }),
        }
    }
}

/// The 32-bit number at an offset; 0 beyond the end.
fn word(bytes: &[u8], at: usize, swapped: bool) -> u32 {
    let value = bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk::<4>())
        .map_or(0, |bytes| u32::from_ne_bytes(*bytes));
    if swapped { value.swap_bytes() } else { value }
}

/// One record of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was captured, in nanoseconds since 1970.
    pub nanos: u64,
    /// The frame, as far as it was kept.
    pub frame: &'a [u8],
    /// How long the frame was on the wire; at least what was kept.
    pub original: u32,
}

/// A place in a capture: which record comes next. Works on any slice that holds the whole file, so
/// that it can be kept beside the owner of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Records {
    header: FileHeader,
    at: usize,
    count: u64,
}

impl Records {
    /// The beginning of a capture.
    ///
    /// # Errors
    ///
    /// When the file is no capture, or none that is understood.
    pub fn start(file: &[u8]) -> Result<Self, CaptureError> {
        Ok(Self { header: FileHeader::parse(file)?, at: FILE_HEADER, count: 0 })
    }

    /// How many records have been read.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Bytes up to the end of the last record read.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// Goes back to the first record.
    pub const fn rewind(&mut self) {
        self.at = FILE_HEADER;
        self.count = 0;
    }

    /// The next record of `file`; `None` at its end.
    ///
    /// # Errors
    ///
    /// When the next record is cut or damaged. Asking again gives the same error.
    #[inline]
    pub fn next<'a>(&mut self, file: &'a [u8]) -> Result<Option<Record<'a>>, CaptureError> {
        let rest = file.get(self.at..).unwrap_or(&[]);
        if rest.is_empty() {
            return Ok(None);
        }
        let record = self.count + 1;
        let Some((header, rest)) = rest.split_first_chunk::<RECORD_HEADER>() else {
            return Err(CaptureError::Truncated {
                record,
                missing: (RECORD_HEADER - rest.len()) as u64,
            });
        };
        let swapped = self.header.swapped;
        let kept = word(header, 8, swapped);
        if kept > MAX_RECORD {
            return Err(CaptureError::Length { record, offset: self.at as u64, len: kept });
        }
        let Some(frame) = rest.get(..kept as usize) else {
            let missing = u64::from(kept) - rest.len() as u64;
            return Err(CaptureError::Truncated { record, missing });
        };
        let unit = match self.header.resolution {
            Resolution::Micros => 1000,
            Resolution::Nanos => 1,
        };
        self.at += RECORD_HEADER + frame.len();
        self.count = record;
        Ok(Some(Record {
            nanos: u64::from(word(header, 0, swapped)) * 1_000_000_000
                + u64::from(word(header, 4, swapped)) * unit,
            frame,
            original: word(header, 12, swapped).max(kept),
        }))
    }
}
