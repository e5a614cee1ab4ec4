//! Capture files in the classic pcap format: read, written.
//!
//! Both byte orders, both time resolutions (microseconds, nanoseconds), Ethernet only. A reader
//! yields every whole record before it reports damage, and says which record is damaged; a writer
//! leaves whole records behind whatever happens to it. The format is that of
//! draft-ietf-opsawg-pcap.
//!
//! | room | what |
//! |---|---|
//! | [`Records`] | the records of a capture in memory, one after the other |
//! | [`Mapped`] | a capture file, mapped |
//! | [`Writer`] | a capture file being written |
//! | [`Epoch`] | the time of day of a clock's origin |

mod epoch;
mod error;
mod format;
mod mapped_unsafe;
mod writer;

pub use epoch::Epoch;
pub use error::{CaptureError, FileError};
pub use format::{Record, Records, Resolution};
pub use mapped_unsafe::Mapped;
pub use writer::{Writer, WriterOptions};
