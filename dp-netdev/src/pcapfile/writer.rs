//! A capture file being written.
//!
//! Records are gathered and written together; only whole records ever reach the file. Where the
//! system takes a part of what it is given (a full disk), the file is cut back to the last whole
//! record, so a capture is readable at any moment: after `close`, after an error, when the writer
//! is dropped.

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::format::{FILE_HEADER, FileHeader, Resolution, file_header, record_header};
use super::{CaptureError, FileError, Mapped, Records};

/// Bytes gathered before they are written.
const GATHER: usize = 256 * 1024;
/// The largest frame that is kept whole.
const SNAPLEN: u32 = 262_144;

/// How to write a capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriterOptions {
    /// Resolution of the times.
    pub resolution: Resolution,
    /// Adds to a capture that is there, instead of replacing it; its resolution stays.
    pub append: bool,
    /// Writes every record at once: for tests that read along.
    pub unbuffered: bool,
}

/// Writes a capture.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    options: WriterOptions,
    /// Bytes of the file that are whole records.
    whole: u64,
    gathered: Vec<u8>,
    /// After an error nothing is written any more; its number, where it has one.
    broken: Option<Option<i32>>,
}

impl Writer {
    /// Makes a capture file.
    ///
    /// # Errors
    ///
    /// When the file cannot be made or its header written, or is being replayed; when appending, also if what is there
    /// is no whole capture.
    pub fn create(path: &Path, options: WriterOptions) -> Result<Self, FileError> {
        let at = |source| FileError::Io { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(at)?;
        let mut options = options;
        // Pipes and devices have no length.
        let there = file.metadata().map_err(at)?.len();
        let whole = if options.append && there > 0 {
            let damage = |source| FileError::Capture { path: path.to_owned(), source };
            let mut head = [0; FILE_HEADER];
            file.read_exact(&mut head).map_err(at)?;
            options.resolution = FileHeader::parse(&head).map_err(damage)?.resolution;
            if !same_byte_order(&head, options.resolution) {
                let magic = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
                return Err(damage(CaptureError::NotPcap { magic }));
            }
            let mapped = Mapped::open(path).map_err(at)?;
            let mut records = Records::start(mapped.bytes()).map_err(damage)?;
            while records.next(mapped.bytes()).map_err(damage)?.is_some() {}
            file.seek(SeekFrom::End(0)).map_err(at)?
        } else {
            empty(&file).map_err(at)?;
            file.write_all(&file_header(options.resolution, SNAPLEN)).map_err(at)?;
            FILE_HEADER as u64
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            options,
            whole,
            gathered: Vec::with_capacity(if options.unbuffered { 0 } else { GATHER }),
            broken: None,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a record captured at `nanos` since 1970.
    ///
    /// # Errors
    ///
    /// When the records gathered so far cannot be written; the file ends with the last whole
    /// record then, and every later call answers with an error too.
    pub fn record(&mut self, nanos: u64, frame: &[u8]) -> io::Result<()> {
        let original = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let kept = original.min(SNAPLEN);
        if self.gathered.len() + frame.len() > GATHER {
            self.flush()?;
        }
        let header = record_header(self.options.resolution, nanos, kept, original);
        self.gathered.extend_from_slice(&header);
        self.gathered.extend_from_slice(frame.get(..kept as usize).unwrap_or(frame));
        if self.options.unbuffered { self.flush() } else { Ok(()) }
    }

    /// Writes what is gathered.
    ///
    /// # Errors
    ///
    /// As [`Self::record`].
    pub fn flush(&mut self) -> io::Result<()> {
        if let Some(errno) = self.broken {
            self.gathered.clear();
            let other = || io::Error::other("an earlier write failed");
            return Err(errno.map_or_else(other, io::Error::from_raw_os_error));
        }
        if self.gathered.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.gathered);
        match &written {
            Ok(()) => self.whole += self.gathered.len() as u64,
            Err(error) => {
                self.broken = Some(error.raw_os_error());
                // A pipe cannot be cut back; the reader sees its end.
                let _ = self.file.set_len(self.whole);
            }
        }
        self.gathered.clear();
        written
    }

    /// Writes what is gathered and ends the file.
    ///
    /// # Errors
    ///
    /// As [`Self::record`].
    pub fn close(mut self) -> io::Result<()> {
        self.flush()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Whoever wants to know calls `close`.
        let _ = self.flush();
    }
}

/// Empties a file to begin it anew, unless somebody is reading it as a mapping.
fn empty(file: &File) -> io::Result<()> {
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, "the capture is being replayed"));
    }
    // Pipes and devices have no length to be set.
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    // Where files cannot be locked there is nothing to be unlocked either.
    let _ = file.unlock();
    Ok(())
}

/// Whether a capture is in this machine's byte order, so that our records fit in.
fn same_byte_order(head: &[u8; FILE_HEADER], resolution: Resolution) -> bool {
    head[..4] == file_header(resolution, 0)[..4]
}
