//! A capture file in memory: mapped, so that a replay at full speed costs one copy a frame and the
//! size of a capture does not matter.
#![expect(unsafe_code, reason = "mapping a file is unsafe: somebody else may change it")]

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::{Advice, Mmap};

/// A file's bytes. A writer of ours does not begin the file anew while this lives.
#[derive(Debug)]
pub struct Mapped {
    map: Option<Mmap>,
    /// Holds the lock that says so.
    _file: File,
}

impl Mapped {
    /// Maps a file.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, is no regular file, or cannot be mapped. Another process must not
    /// shorten the file meanwhile: the kernel would end this one.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        // Where files cannot be locked we do without.
        let _ = file.try_lock_shared();
        if metadata.len() == 0 {
            // The kernel maps nothing of no length.
            return Ok(Self { map: None, _file: file });
        }
        // SAFETY: the mapping is private and read-only and outlives the descriptor. Its bytes are
        // read as plain bytes, each frame copied out within the mapping's length before anything
        // is decided on it, so another process writing to the file can garble frames but no
        // memory of ours. One that shortens the file makes the kernel end us with SIGBUS, as with
        // every mapped file; that our own writers do not is what the lock is for.
        let map = unsafe { Mmap::map(&file) }?;
        // Only advice: without it the replay is slower, not wrong.
        let _ = map.advise(Advice::Sequential);
        Ok(Self { map: Some(map), _file: file })
    }

    /// The bytes of the file.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }
}
