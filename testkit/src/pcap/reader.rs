//! Reading captures, one record at a time or whole files.
//!
//! A tear is not a reason to lose what came before it, so the reader is an iterator whose last item
//! may be an error, and [`parse`] keeps both halves of the answer.

use std::{
    fs,
    io::{self, Read},
    path::Path,
    time::Duration,
};

use super::{ByteOrder, Format, MAX_CAPTURED, PcapError, Record, Resolution};

const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// Records of a stream, in order. After an error it ends.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    format: Format,
    /// Records given so far.
    given: usize,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the file header.
    ///
    /// # Errors
    ///
    /// [`PcapError::TornHeader`], [`PcapError::Magic`], or the stream's own error.
    pub fn new(mut input: R) -> Result<Self, PcapError> {
        let mut header = [0; FILE_HEADER];
        let octets = fill(&mut input, &mut header)?;
        if octets < FILE_HEADER {
            return Err(PcapError::TornHeader { octets });
        }
        let magic = word(&header, 0);
        let (order, resolution) = kind(magic).ok_or(PcapError::Magic(magic))?;
        let format = Format {
            order,
            resolution,
            // The upper bits of the field hold the length of a frame check sequence.
            link_type: order.u32(word(&header, 20)) & 0xffff,
            snap_len: order.u32(word(&header, 16)),
        };
        Ok(Self { input, format, given: 0, ended: false })
    }

    /// What the header says.
    pub fn format(&self) -> Format {
        self.format
    }

    fn next_record(&mut self) -> Result<Option<Record>, PcapError> {
        let record = self.given;
        let mut header = [0; RECORD_HEADER];
        let octets = fill(&mut self.input, &mut header)?;
        if octets == 0 {
            return Ok(None);
        }
        if octets < RECORD_HEADER {
            return Err(PcapError::TornRecord { record, octets, expected: RECORD_HEADER });
        }
        let field = |at| self.format.order.u32(word(&header, at));
        let (seconds, fraction, captured, original_len) = (field(0), field(4), field(8), field(12));
        if captured > MAX_CAPTURED {
            return Err(PcapError::Oversized { record, captured: u64::from(captured) });
        }
        let mut frame = vec![0; captured as usize];
        let there = fill(&mut self.input, &mut frame)?;
        if there < frame.len() {
            return Err(PcapError::TornRecord {
                record,
                octets: RECORD_HEADER + there,
                expected: RECORD_HEADER + frame.len(),
            });
        }
        let nanos = u64::from(fraction) * u64::from(self.format.resolution.nanos_per_unit());
        let at = Duration::from_secs(u64::from(seconds)) + Duration::from_nanos(nanos);
        self.given += 1;
        Ok(Some(Record { at, original_len, frame }))
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Record, PcapError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = self.next_record().transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        item
    }
}

/// All records of a whole file.
///
/// # Errors
///
/// Any [`PcapError`], also a tear; [`parse`] is for files that may be torn.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<Record>, PcapError> {
    let path = path.as_ref();
    let file =
        fs::File::open(path).map_err(|source| PcapError::File { path: path.into(), source })?;
    Reader::new(io::BufReader::new(file))?.collect()
}

/// The whole records at the start of `octets`, and what stopped the reading before their end.
#[must_use]
pub fn parse(octets: &[u8]) -> (Vec<Record>, Option<PcapError>) {
    let reader = match Reader::new(octets) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut records = Vec::new();
    for item in reader {
        match item {
            Ok(record) => records.push(record),
            Err(error) => return (records, Some(error)),
        }
    }
    (records, None)
}

fn kind(magic: [u8; 4]) -> Option<(ByteOrder, Resolution)> {
    for order in [ByteOrder::Little, ByteOrder::Big] {
        for resolution in [Resolution::Micro, Resolution::Nano] {
            if order.u32(magic) == resolution.magic() {
                return Some((order, resolution));
            }
        }
    }
    None
}

/// The four octets at `at`, an offset the caller knows to be within the header.
fn word<const N: usize>(header: &[u8; N], at: usize) -> [u8; 4] {
    let mut octets = [0; 4];
    for (to, from) in octets.iter_mut().zip(header.iter().skip(at)) {
        *to = *from;
    }
    octets
}

/// Fills `buffer` as far as the stream goes; returns how many octets there were.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(octets) => filled += octets,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
