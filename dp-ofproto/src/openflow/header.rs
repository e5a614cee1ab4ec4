//! The header of every message, and cutting a stream of bytes into messages.

use super::wire::{Cursor, Put};
use super::{Code, Version};

/// Type numbers that all versions share.
pub mod message_type {
    /// Version negotiation.
    pub const HELLO: u8 = 0;
    /// A refusal.
    pub const ERROR: u8 = 1;
    /// Are you there?
    pub const ECHO_REQUEST: u8 = 2;
    /// Yes.
    pub const ECHO_REPLY: u8 = 3;
    /// A message of somebody's own.
    pub const EXPERIMENTER: u8 = 4;
    /// What can you do?
    pub const FEATURES_REQUEST: u8 = 5;
    /// That.
    pub const FEATURES_REPLY: u8 = 6;
    /// What are your settings?
    pub const GET_CONFIG_REQUEST: u8 = 7;
    /// These.
    pub const GET_CONFIG_REPLY: u8 = 8;
    /// Let these be your settings.
    pub const SET_CONFIG: u8 = 9;
    /// A packet for the controller.
    pub const PACKET_IN: u8 = 10;
    /// A flow went.
    pub const FLOW_REMOVED: u8 = 11;
    /// A port came, went or changed.
    pub const PORT_STATUS: u8 = 12;
    /// A packet from the controller.
    pub const PACKET_OUT: u8 = 13;
    /// Change flows.
    pub const FLOW_MOD: u8 = 14;
    /// A table fills up or empties (since OpenFlow 1.4).
    pub const TABLE_STATUS: u8 = 31;
}

/// The header of a message (OpenFlow 1.3, section A.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The version as it is on the wire.
    pub version: u8,
    /// The type, whose meaning depends on the version.
    pub ty: u8,
    /// Bytes of the message, the header included.
    pub length: u16,
    /// What a reply repeats of its request.
    pub xid: u32,
}

impl Header {
    /// Bytes of a header.
    pub const LEN: usize = 8;

    /// The header at the beginning of some bytes, if there are enough.
    #[must_use]
    pub fn peek(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Cursor::new(bytes);
        let mut read = || -> Result<Self, Code> {
            Ok(Self {
                version: bytes.u8()?,
                ty: bytes.u8()?,
                length: bytes.u16()?,
                xid: bytes.u32()?,
            })
        };
        read().ok()
    }

    /// Writes a header whose length [`Self::end`] fills in.
    pub fn begin(out: &mut Vec<u8>, version: Version, ty: u8, xid: u32) {
        out.put8(version as u8);
        out.put8(ty);
        out.put16(0);
        out.put32(xid);
    }

    /// Fills in the length of the message that began at `start`.
    pub fn end(out: &mut Vec<u8>, start: usize) {
        out.put_len(start, 2);
    }
}

/// Cuts what a peer sends into messages. Holds at most one message that is not complete and what
/// was received with it: a length is 16 bits wide, so no peer can make it hold more.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: Vec<u8>,
    start: usize,
}

/// A stream whose next message says it is shorter than its own header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("received too-short ofp_header ({0} bytes)")]
pub struct TooShort(pub u16);

impl Splitter {
    /// Takes what was received.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len().saturating_sub(self.start)
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next whole message; `None`: more has to be received first.
    ///
    /// # Errors
    ///
    /// The stream makes no sense; the connection has to end.
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, TooShort> {
        let held = self.buffer.get(self.start..).unwrap_or(&[]);
        let Some(header) = Header::peek(held) else { return Ok(None) };
        let length = usize::from(header.length);
        if length < Header::LEN {
            return Err(TooShort(header.length));
        }
        if held.len() < length {
            return Ok(None);
        }
        let from = self.start;
        self.start += length;
        Ok(self.buffer.get(from..from + length))
    }
}

#[cfg(test)]
mod tests {
    use super::{Header, Splitter, TooShort};

    #[test]
    fn streams_are_cut_where_messages_end() {
        let mut splitter = Splitter::default();
        let stream = [1, 0, 0, 8, 0, 0, 0, 1, 1, 2, 0, 10, 0, 0, 0, 2, 7, 7, 1];
        for byte in stream.iter().take(7) {
            splitter.feed(&[*byte]);
            assert_eq!(splitter.next_message(), Ok(None));
        }
        splitter.feed(&stream[7..]);
        assert_eq!(splitter.next_message().unwrap().unwrap(), &stream[..8]);
        assert_eq!(splitter.next_message().unwrap().unwrap(), &stream[8..18]);
        assert_eq!(splitter.next_message(), Ok(None));
        assert_eq!(splitter.len(), 1);
        splitter.feed(&[0, 0, 7, 0, 0, 0, 0]);
        assert_eq!(splitter.next_message(), Err(TooShort(7)));
    }

    #[test]
    fn headers_need_eight_bytes() {
        assert_eq!(Header::peek(&[1, 2, 0, 8, 0, 0, 0]), None);
        let header = Header { version: 1, ty: 2, length: 8, xid: 9 };
        assert_eq!(Header::peek(&[1, 2, 0, 8, 0, 0, 0, 9]), Some(header));
    }
}
