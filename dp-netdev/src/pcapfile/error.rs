//! What can be wrong with a capture file.

use std::io;
use std::path::PathBuf;

use super::format::{FILE_HEADER, MAX_RECORD};

/// What is wrong with a capture. Records are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// The file ends inside its header, or is empty.
    #[error("not a capture: {bytes} bytes are fewer than the {FILE_HEADER} of a pcap header")]
    NoHeader {
        /// How many bytes the file has.
        bytes: usize,
    },
    /// The file is something else.
    #[error("not a pcap capture: it begins with {magic:#010x}")]
    NotPcap {
        /// The first four bytes.
        magic: u32,
    },
    /// The file has the newer format.
    #[error("a pcapng capture, expected pcap (convert it with: editcap -F pcap IN OUT)")]
    Pcapng,
    /// The file has a version of the format that nobody knows.
    #[error("pcap version {major}.{minor}, expected 2.4")]
    Version {
        /// Major number.
        major: u16,
        /// Minor number.
        minor: u16,
    },
    /// The frames are not Ethernet frames.
    #[error("link type {link_type}, expected 1 (Ethernet)")]
    LinkType {
        /// The link type's number.
        link_type: u32,
    },
    /// The file ends inside a record.
    #[error("truncated in record {record}: {missing} bytes missing at the end of the file")]
    Truncated {
        /// Which record.
        record: u64,
        /// How many bytes the record lacks.
        missing: u64,
    },
    /// A record says that it is longer than any record is.
    #[error(
        "damaged at record {record} (offset {offset}): a length of {len} bytes, at most {MAX_RECORD} expected"
    )]
    Length {
        /// Which record.
        record: u64,
        /// Where its header begins.
        offset: u64,
        /// The length it says.
        len: u32,
    },
}

/// Why a capture file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened, made, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It is no capture that is understood.
    #[error("{}: {source}", path.display())]
    Capture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: CaptureError,
    },
}
