//! Reading and writing the primitives of messages: big-endian numbers, padding, lists.
//!
//! A [`Cursor`] never reads beyond its bytes: what is missing is an error that the caller names,
//! so no message, however short, can make a decoder panic.

use super::{Code, Version};

/// The unread rest of some bytes.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
    short: Code,
}

impl<'a> Cursor<'a> {
    /// All of `bytes`; running out of them is a message of a bad length.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, short: Code::BrcBadLen }
    }

    /// The same, with another name for running out of bytes.
    #[must_use]
    pub const fn or(self, short: Code) -> Self {
        Self { short, ..self }
    }

    /// Unread bytes.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes are unread.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether everything has been read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    ///
    /// If there are fewer.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], Code> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(self.short)?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `len` bytes as a cursor of their own.
    ///
    /// # Errors
    ///
    /// If there are fewer.
    pub fn sub(&mut self, len: usize) -> Result<Self, Code> {
        Ok(Self { rest: self.bytes(len)?, short: self.short })
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    ///
    /// If there are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Code> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(self.short)?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn u8(&mut self) -> Result<u8, Code> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A number of 16 bits.
    ///
    /// # Errors
    ///
    /// If there are not enough bytes.
    pub fn u16(&mut self) -> Result<u16, Code> {
        self.array().map(u16::from_be_bytes)
    }

    /// A number of 32 bits.
    ///
    /// # Errors
    ///
    /// If there are not enough bytes.
    pub fn u32(&mut self) -> Result<u32, Code> {
        self.array().map(u32::from_be_bytes)
    }

    /// A number of 64 bits.
    ///
    /// # Errors
    ///
    /// If there are not enough bytes.
    pub fn u64(&mut self) -> Result<u64, Code> {
        self.array().map(u64::from_be_bytes)
    }

    /// A number of 128 bits.
    ///
    /// # Errors
    ///
    /// If there are not enough bytes.
    pub fn u128(&mut self) -> Result<u128, Code> {
        self.array().map(u128::from_be_bytes)
    }

    /// A number of `len` bytes, at most 16.
    ///
    /// # Errors
    ///
    /// If there are not enough bytes.
    pub fn number(&mut self, len: usize) -> Result<u128, Code> {
        let bytes = self.bytes(len)?;
        Ok(bytes.iter().fold(0u128, |value, &byte| value << 8 | u128::from(byte)))
    }

    /// Passes over bytes whatever they are.
    ///
    /// # Errors
    ///
    /// If there are fewer.
    pub fn skip(&mut self, len: usize) -> Result<(), Code> {
        self.bytes(len).map(|_| ())
    }

    /// Passes over bytes that must be zero.
    ///
    /// # Errors
    ///
    /// If there are fewer, or `error` if one is not zero.
    pub fn zeros(&mut self, len: usize, error: Code) -> Result<(), Code> {
        match self.bytes(len)?.iter().all(|&byte| byte == 0) {
            true => Ok(()),
            false => Err(error),
        }
    }

    /// Text in a room of fixed length, ended by its first zero.
    ///
    /// # Errors
    ///
    /// If there are fewer bytes.
    pub fn text(&mut self, len: usize) -> Result<String, Code> {
        let bytes = self.bytes(len)?;
        let text = bytes.split(|&byte| byte == 0).next().unwrap_or(bytes);
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// A port in the width of the version.
    ///
    /// # Errors
    ///
    /// If there are not enough bytes, or `bad` for a number that no port has.
    pub fn port(&mut self, version: Version, bad: Code) -> Result<dp_core::base::OfPort, Code> {
        match version {
            Version::V10 => self.u16().map(dp_core::base::OfPort),
            _ => dp_core::base::OfPort::from_wire32(self.u32()?).ok_or(bad),
        }
    }

    /// The next property of a list (type, length, value, padding to eight bytes): its type and
    /// value; `None` at the end.
    ///
    /// # Errors
    ///
    /// When the length does not fit.
    pub fn property(&mut self) -> Result<Option<(u16, Self)>, Code> {
        if self.is_empty() {
            return Ok(None);
        }
        let mut head = Cursor::new(self.rest).or(Code::BpcBadLen);
        let (ty, len) = (head.u16()?, usize::from(head.u16()?));
        if len < 4 {
            return Err(Code::BpcBadLen);
        }
        let value = head.sub(len - 4)?;
        let padded = len.next_multiple_of(8).min(self.len());
        self.skip(padded)?;
        Ok(Some((ty, value)))
    }
}

/// Writing primitives to the end of a message.
pub trait Put {
    /// One byte.
    fn put8(&mut self, value: u8);
    /// 16 bits.
    fn put16(&mut self, value: u16);
    /// 32 bits.
    fn put32(&mut self, value: u32);
    /// 64 bits.
    fn put64(&mut self, value: u64);
    /// 128 bits.
    fn put128(&mut self, value: u128);
    /// The lower `len` bytes of a number.
    fn put_number(&mut self, value: u128, len: usize);
    /// Bytes as they are.
    fn put(&mut self, bytes: &[u8]);
    /// Zeros.
    fn zeros(&mut self, count: usize);
    /// Text in a room of fixed length: cut off so that a zero ends it, filled with zeros.
    fn put_text(&mut self, text: &str, len: usize);
    /// A port in the width of the version.
    fn put_port(&mut self, version: Version, port: dp_core::base::OfPort);
    /// Zeros until what began at `start` is a multiple of eight bytes long.
    fn pad8(&mut self, start: usize);
    /// Overwrites 16 bits at a place; nothing happens beyond the end.
    fn set16(&mut self, at: usize, value: u16);
    /// Begins a property; returns what [`Self::end_property`] needs.
    fn begin_property(&mut self, ty: u16) -> usize;
    /// Ends a property: its length, and padding that does not count in it.
    fn end_property(&mut self, start: usize);
    /// Writes the length of what began at `start` at an offset in it.
    fn put_len(&mut self, start: usize, offset: usize);
}

impl Put for Vec<u8> {
    fn put8(&mut self, value: u8) {
        self.push(value);
    }

    fn put16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put128(&mut self, value: u128) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_number(&mut self, value: u128, len: usize) {
        let bytes = value.to_be_bytes();
        self.zeros(len.saturating_sub(16));
        self.extend_from_slice(bytes.get(16_usize.saturating_sub(len)..).unwrap_or(&[]));
    }

    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn zeros(&mut self, count: usize) {
        self.resize(self.len() + count, 0);
    }

    fn put_text(&mut self, text: &str, len: usize) {
        let bytes = text.as_bytes();
        let kept = bytes.get(..bytes.len().min(len.saturating_sub(1))).unwrap_or(&[]);
        self.extend_from_slice(kept);
        self.zeros(len.saturating_sub(kept.len()));
    }

    fn put_port(&mut self, version: Version, port: dp_core::base::OfPort) {
        match version {
            Version::V10 => self.put16(port.0),
            _ => self.put32(port.to_wire32()),
        }
    }

    fn pad8(&mut self, start: usize) {
        let len = self.len().saturating_sub(start);
        self.zeros(len.next_multiple_of(8) - len);
    }

    fn set16(&mut self, at: usize, value: u16) {
        if let Some(room) = self.get_mut(at..at + 2) {
            room.copy_from_slice(&value.to_be_bytes());
        }
    }

    fn begin_property(&mut self, ty: u16) -> usize {
        let start = self.len();
        self.put16(ty);
        self.put16(0);
        start
    }

    fn end_property(&mut self, start: usize) {
        self.put_len(start, 2);
        self.pad8(start);
    }

    fn put_len(&mut self, start: usize, offset: usize) {
        let len = u16::try_from(self.len().saturating_sub(start)).unwrap_or(u16::MAX);
        self.set16(start + offset, len);
    }
}
