//! Error messages: what a refused request is answered with.
//!
//! OpenFlow 1.0 and 1.1 say a code of somebody else's as type 0xb0c2 with vendor, type and code
//! behind it; later versions as type 0xffff with the experimenter behind its type.

use super::error_table::{Numbers, ROWS};
use super::wire::{Cursor, Put};
use super::{Header, Version, message_type};

pub use super::error_table::Code;

impl Code {
    /// Its name in the specifications.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().map_or("", |row| row.1)
    }

    fn row(self) -> Option<&'static (Self, &'static str, &'static [Numbers])> {
        ROWS.get(self as usize)
    }

    fn numbers(self, version: Version) -> Option<&'static Numbers> {
        let minor = version.minor();
        self.row()?.2.iter().find(|row| row.from <= minor && minor <= row.to)
    }

    /// Whether a version has a number for it.
    #[must_use]
    pub fn exists_in(self, version: Version) -> bool {
        self.numbers(version).is_some()
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for Code {}

/// An error message as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorMessage {
    /// What it says; `None`: nothing that is known.
    pub code: Option<Code>,
    /// The beginning of the message at fault.
    pub data: Vec<u8>,
}

/// The error message that answers `request` (its bytes from the header on) with `code`.
#[must_use]
pub fn encode(version: Version, code: Code, request: &[u8]) -> Vec<u8> {
    let xid = Header::peek(request).map_or(0, |header| header.xid);
    let shown = request.get(..request.len().min(SHOWN)).unwrap_or(&[]);
    encode_data(version, code, xid, shown)
}

/// An error message with these bytes as its data.
#[must_use]
pub fn encode_data(version: Version, code: Code, xid: u32, data: &[u8]) -> Vec<u8> {
    let code = if code.exists_in(version) { code } else { Code::NxbrcUnencodableError };
    let mut out = Vec::with_capacity(92);
    Header::begin(&mut out, version, message_type::ERROR, xid);
    if let Some(row) = code.numbers(version) {
        match row.vendor {
            0 => {
                out.put16(row.ty);
                out.put16(row.code);
            }
            vendor if version <= Version::V11 => {
                out.put16(VENDOR_TYPE);
                out.put16(0);
                out.put32(vendor);
                out.put16(row.ty);
                out.put16(row.code);
            }
            vendor => {
                out.put16(EXPERIMENTER_TYPE);
                out.put16(row.ty);
                out.put32(vendor);
            }
        }
    }
    out.put(data);
    Header::end(&mut out, 0);
    out
}

/// Reads the body of an error message.
///
/// # Errors
///
/// If it is too short.
pub fn decode(version: Version, body: &[u8]) -> Result<ErrorMessage, Code> {
    let mut body = Cursor::new(body);
    let (mut ty, mut code) = (body.u16()?, body.u16()?);
    let mut vendor = 0;
    if version <= Version::V11 && ty == VENDOR_TYPE && code == 0 {
        (vendor, ty, code) = (body.u32()?, body.u16()?, body.u16()?);
    } else if version > Version::V11 && ty == EXPERIMENTER_TYPE {
        (vendor, ty, code) = (body.u32()?, code, 0);
    }
    let known = ROWS.iter().find(|(name, _, _)| {
        name.numbers(version)
            .is_some_and(|row| (row.vendor, row.ty, row.code) == (vendor, ty, code))
    });
    Ok(ErrorMessage { code: known.map(|row| row.0), data: body.rest().to_vec() })
}

/// How much of a message at fault an error shows: all of it, unless that is longer than a message.
const SHOWN: usize = 65_000;
const VENDOR_TYPE: u16 = 0xb0c2;
const EXPERIMENTER_TYPE: u16 = 0xffff;

#[cfg(test)]
mod tests {
    use super::{Code, ROWS, decode, encode};
    use crate::openflow::Version;

    #[test]
    fn every_code_that_a_version_has_is_read_back() {
        let request = [4, 14, 0, 12, 0, 0, 0, 7, 1, 2, 3, 4];
        for (at, row) in ROWS.iter().enumerate() {
            assert_eq!(row.0 as usize, at);
            for version in Version::ALL {
                let bytes = encode(version, row.0, &request);
                let back = decode(version, &bytes[8..]).unwrap();
                let expected =
                    if row.0.exists_in(version) { row.0 } else { Code::NxbrcUnencodableError };
                // Some versions say two things by one number.
                let known = back.code.unwrap();
                let same = known.numbers(version).unwrap();
                let asked = expected.numbers(version).unwrap();
                assert_eq!((same.vendor, same.ty, same.code), (asked.vendor, asked.ty, asked.code));
                assert_eq!(back.data, request);
            }
        }
    }
}
