//! Writing captures.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use super::{Format, MAX_CAPTURED, PcapError, Record};

/// Writes records to a stream, the header first.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    format: Format,
    written: usize,
}

impl<W: Write> Writer<W> {
    /// Writes the file header.
    ///
    /// # Errors
    ///
    /// The stream's own error.
    pub fn new(mut output: W, format: Format) -> Result<Self, PcapError> {
        let order = format.order;
        output.write_all(&order.u32_octets(format.resolution.magic()))?;
        output.write_all(&order.u16_octets(2))?;
        output.write_all(&order.u16_octets(4))?;
        for field in [0, 0, format.snap_len, format.link_type] {
            output.write_all(&order.u32_octets(field))?;
        }
        Ok(Self { output, format, written: 0 })
    }

    /// Appends one record.
    ///
    /// # Errors
    ///
    /// [`PcapError::Oversized`] and [`PcapError::Time`] for what the format cannot hold, or the
    /// stream's own error.
    pub fn write(&mut self, record: &Record) -> Result<(), PcapError> {
        let number = self.written;
        let captured = match u32::try_from(record.frame.len()) {
            Ok(captured) if captured <= MAX_CAPTURED => captured,
            _ => {
                let captured = record.frame.len() as u64;
                return Err(PcapError::Oversized { record: number, captured });
            }
        };
        let seconds = u32::try_from(record.at.as_secs())
            .map_err(|_| PcapError::Time { record: number, at: record.at })?;
        let fraction = record.at.subsec_nanos() / self.format.resolution.nanos_per_unit();
        for field in [seconds, fraction, captured, record.original_len] {
            self.output.write_all(&self.format.order.u32_octets(field))?;
        }
        self.output.write_all(&record.frame)?;
        self.written += 1;
        Ok(())
    }

    /// Flushes and gives the stream back.
    ///
    /// # Errors
    ///
    /// The stream's own error.
    pub fn finish(mut self) -> Result<W, PcapError> {
        self.output.flush()?;
        Ok(self.output)
    }
}

/// Writes a file of whole frames in the [`Format::default`], a microsecond apart from time 0 on.
///
/// # Errors
///
/// Any [`PcapError`] that concerns writing.
pub fn write<F: AsRef<[u8]>>(
    path: impl AsRef<Path>,
    frames: impl IntoIterator<Item = F>,
) -> Result<(), PcapError> {
    let path = path.as_ref();
    let file =
        fs::File::create(path).map_err(|source| PcapError::File { path: path.into(), source })?;
    let mut writer = Writer::new(io::BufWriter::new(file), Format::default())?;
    for (frame, micros) in frames.into_iter().zip(0..) {
        let at = std::time::Duration::from_micros(micros);
        writer.write(&Record::new(at, frame.as_ref().to_vec()))?;
    }
    writer.finish()?;
    Ok(())
}
