//! The log file: records that are appended and, once in a while, replaced as a whole.
//!
//! # Invariants
//! * A record counts when its length and checksum are right and it is a JSON object; the first one
//!   that is not ends the file. A write that was cut short by a power failure is such a record.
//! * Appending leaves a whole record or nothing: when the write fails, the file is cut back.
//! * Replacing writes a new file beside the old one, makes it durable, and renames it: at every
//!   moment the name leads to a whole file.
//!
//! # Cost
//! Reading is one pass. Appending is one `write`; [`Log::sync`] is what takes time, and one covers
//! all appends before it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha1::{Digest, Sha1};
use thiserror::Error;

use super::journal::{Step, note};
use crate::ovsdb::json;

/// A file that records are appended to.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    /// Where the next record goes.
    end: u64,
}

/// Records read one after the other.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    input: BufReader<File>,
    /// Where the next record begins.
    offset: u64,
    length: u64,
}

/// What the file ends with instead of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where it begins.
    pub offset: u64,
    /// How many bytes there are.
    pub bytes: u64,
    /// What is wrong with it.
    pub reason: String,
    /// Where the bytes were saved before they were cut off, if whole records may be among them.
    pub saved: Option<PathBuf>,
}

/// Why a log cannot be used.
#[derive(Debug, Error)]
pub enum LogError {
    /// The file system.
    #[error("{path}: {what} failed ({error})")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What came of it.
        error: io::Error,
    },
    /// The file is of another kind.
    #[error("{path}: unexpected file format {magic:?}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What its first record says it is.
        magic: String,
    },
}

/// A record, or the reason why there is none.
#[derive(Debug)]
pub(super) enum Record {
    Json(Value),
    Damaged(String),
    End,
}

impl Reader {
    /// Begins to read the file at `path`.
    pub(super) fn open(path: &Path) -> Result<Self, LogError> {
        let io = |what| move |error| LogError::Io { path: path.to_owned(), what, error };
        let file = File::open(path).map_err(io("open"))?;
        let length = file.metadata().map_err(io("stat"))?.len();
        let input = BufReader::with_capacity(1 << 16, file);
        Ok(Self { path: path.to_owned(), input, offset: 0, length })
    }

    /// The next record. After anything but a record, [`Reader::offset`] stays where it began.
    pub(super) fn next(&mut self) -> Result<Record, LogError> {
        let path = self.path.clone();
        let io = |error| LogError::Io { path: path.clone(), what: "read", error };
        let mut header = Vec::new();
        let mut limited = (&mut self.input).take(HEADER_LIMIT);
        limited.read_until(b'\n', &mut header).map_err(io)?;
        if header.is_empty() {
            return Ok(Record::End);
        }
        let at = self.offset;
        let Some(Header { magic, length, hash }) = Header::parse(&header) else {
            let text = String::from_utf8_lossy(&header);
            return Ok(Record::Damaged(format!(
                "parse error at offset {at} in header line {:?}",
                text.trim_end()
            )));
        };
        if magic != MAGIC {
            return Err(LogError::Format { path, magic: magic.to_owned() });
        }
        let body_at = at + header.len() as u64;
        if length > self.length.saturating_sub(body_at) {
            let why = format!("error reading {length} bytes starting at offset {body_at}");
            return Ok(Record::Damaged(why));
        }
        let mut body = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.input.read_exact(&mut body).map_err(io)?;
        let found = hex(&Sha1::digest(&body));
        if !found.eq_ignore_ascii_case(hash) {
            return Ok(Record::Damaged(format!(
                "{length} bytes starting at offset {body_at} have SHA-1 hash {found} but should \
                 have hash {hash}"
            )));
        }
        let json = match json::parse(&body) {
            Ok(json) if json.is_object() => json,
            Ok(_) => {
                let why =
                    format!("{length} bytes starting at offset {body_at} are not a JSON object");
                return Ok(Record::Damaged(why));
            }
            Err(error) => {
                return Ok(Record::Damaged(format!(
                    "{length} bytes starting at offset {body_at} are not valid JSON ({error})"
                )));
            }
        };
        self.offset = body_at + length;
        Ok(Record::Json(json))
    }

    /// Where the next record begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Cuts the file off at `offset`, where `reason` says what is wrong.
    ///
    /// A torn write is one unfinished record. If another header follows, the file was damaged
    /// otherwise, and what is cut off is saved beside it first; so it is when `whole`, that is, when
    /// the record was written as it is.
    pub(super) fn cut(self, offset: u64, reason: String, whole: bool) -> Result<Damage, LogError> {
        let path = self.path;
        let io = |what| {
            let path = path.clone();
            move |error| LogError::Io { path, what, error }
        };
        let mut file = OpenOptions::new().read(true).write(true).open(&path).map_err(io("open"))?;
        file.seek(SeekFrom::Start(offset)).map_err(io("seek"))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail).map_err(io("read"))?;
        let mut saved = None;
        if whole || tail.windows(NEXT_HEADER.len()).any(|window| window == NEXT_HEADER) {
            let beside = beside(&path, ".damaged");
            fs::write(&beside, &tail).map_err(io("save"))?;
            saved = Some(beside);
        }
        file.set_len(offset).map_err(io("truncate"))?;
        file.sync_all().map_err(io("fsync"))?;
        Ok(Damage { offset, bytes: tail.len() as u64, reason, saved })
    }
}

impl Log {
    /// Opens an existing file, all of whose records are good, to append to it.
    pub(super) fn open(path: &Path) -> Result<Self, LogError> {
        let io = |what| move |error| LogError::Io { path: path.to_owned(), what, error };
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(io("open"))?;
        let end = file.seek(SeekFrom::End(0)).map_err(io("seek"))?;
        Ok(Self { path: path.to_owned(), file, end })
    }

    /// Writes a file with `records`, durably, in place of what is at `path` if anything is.
    pub(super) fn replace(
        path: &Path,
        records: impl IntoIterator<Item = Value>,
    ) -> Result<Self, LogError> {
        // The file that a link leads to is replaced, not the link.
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let new = beside(&real, ".tmp");
        let io = |what| {
            let path = new.clone();
            move |error| LogError::Io { path, what, error }
        };
        // What an attempt before left behind is in the way.
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o640)
            .open(&new)
            .map_err(io("create"))?;
        note(Step::Create(&new));
        let written = records.into_iter().try_fold(0, |end, record| {
            let bytes = encode(&record);
            note(Step::Write(&new, &bytes));
            file.write_all(&bytes).map(|()| end + bytes.len() as u64)
        });
        let end = written.map_err(io("write")).inspect_err(|_| {
            let _ = fs::remove_file(&new);
        })?;
        if let Ok(old) = fs::metadata(&real) {
            let mode = old.permissions().mode() & 0o777;
            let _ = file.set_permissions(fs::Permissions::from_mode(mode));
            // The owner can be kept only by a privileged program, and need not be by another.
            let _ = std::os::unix::fs::fchown(&file, Some(owner(&old).0), Some(owner(&old).1));
        }
        file.sync_all().map_err(io("fsync"))?;
        note(Step::Sync(&new));
        fs::rename(&new, &real).map_err(io("rename"))?;
        note(Step::Rename(&new, &real));
        sync_folder(&real).map_err(io("fsync of the folder"))?;
        note(Step::SyncFolder);
        Ok(Self { path: path.to_owned(), file, end })
    }

    /// Appends a record. It is durable after [`Log::sync`].
    pub(super) fn append(&mut self, record: &Value) -> Result<(), LogError> {
        let bytes = encode(record);
        note(Step::Write(&self.path, &bytes));
        let written = self.file.write_all(&bytes);
        if let Err(error) = written {
            // Half a record would hide those that come after it.
            let cut = self.file.set_len(self.end);
            let sought = self.file.seek(SeekFrom::Start(self.end));
            let what = if cut.is_ok() && sought.is_ok() { "write" } else { "write and truncation" };
            return Err(LogError::Io { path: self.path.clone(), what, error });
        }
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Makes everything appended so far durable.
    pub(super) fn sync(&mut self) -> Result<(), LogError> {
        self.file.sync_data().map_err(|error| LogError::Io {
            path: self.path.clone(),
            what: "fsync",
            error,
        })?;
        note(Step::Sync(&self.path));
        Ok(())
    }

    /// How long the file is.
    pub(super) fn length(&self) -> u64 {
        self.end
    }
}

/// A record as it is in the file.
pub(super) fn encode(record: &Value) -> Vec<u8> {
    let mut body = record.to_string();
    body.push('\n');
    let hash = hex(&Sha1::digest(body.as_bytes()));
    let mut out = format!("OVSDB {MAGIC} {} {hash}\n", body.len()).into_bytes();
    out.extend_from_slice(body.as_bytes());
    out
}

struct Header<'a> {
    magic: &'a str,
    length: u64,
    hash: &'a str,
}

impl<'a> Header<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let line = str::from_utf8(line).ok()?.strip_suffix('\n')?;
        let mut words = line.split(' ');
        let (Some("OVSDB"), Some(magic), Some(length), Some(hash), None) =
            (words.next(), words.next(), words.next(), words.next(), words.next())
        else {
            return None;
        };
        let length = length.parse().ok().filter(|length| *length > 0)?;
        let is_hash = hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash.then_some(Self { magic, length, hash })
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a string does not fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    path.with_file_name(name)
}

fn owner(metadata: &fs::Metadata) -> (u32, u32) {
    use std::os::unix::fs::MetadataExt;
    (metadata.uid(), metadata.gid())
}

/// A rename is durable once the folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// What a standalone database's records say they are.
const MAGIC: &str = "JSON";
/// How a further record begins.
const NEXT_HEADER: &[u8] = b"\nOVSDB JSON ";
/// Longer than any header.
const HEADER_LIMIT: u64 = 256;
