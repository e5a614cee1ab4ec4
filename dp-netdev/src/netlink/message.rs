//! Routing messages and their attributes. Every length is checked against what there is; what is
//! not understood is passed over.

use std::net::IpAddr;

pub(super) const NEW_LINK: u16 = 16;
pub(super) const DEL_LINK: u16 = 17;
pub(super) const GET_LINK: u16 = 18;
pub(super) const NEW_ADDR: u16 = 20;
pub(super) const DEL_ADDR: u16 = 21;
pub(super) const GET_ADDR: u16 = 22;
pub(super) const NEW_ROUTE: u16 = 24;
pub(super) const DEL_ROUTE: u16 = 25;
pub(super) const GET_ROUTE: u16 = 26;
pub(super) const NEW_RULE: u16 = 32;
pub(super) const DEL_RULE: u16 = 33;
pub(super) const GET_RULE: u16 = 34;
const ERROR: u16 = 2;
const DONE: u16 = 3;

const HEADER: usize = 16;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// Of this type, with this content behind the header.
    Of(u16, &'a [u8]),
    /// A dump is through.
    Done,
    /// A request was refused with this error number.
    Refused(i32),
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

const fn aligned(len: usize) -> usize {
    len.saturating_add(3) & !3
}

/// The messages in a buffer; ends at the first that contradicts the buffer.
pub(super) fn messages(buffer: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = buffer;
    std::iter::from_fn(move || {
        let len = usize::try_from(word(rest, 0)?).ok().filter(|&len| len >= HEADER)?;
        let content = rest.get(HEADER..len)?;
        let kind = half(rest, 4)?;
        rest = rest.get(aligned(len)..).unwrap_or_default();
        Some(match kind {
            DONE => Message::Done,
            ERROR => Message::Refused(word(content, 0).map_or(0, |code| code as i32)),
            kind => Message::Of(kind, content),
        })
    })
}

/// The attributes behind a message's fixed part: type and value.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = usize::from(half(rest, 0)?);
        let kind = half(rest, 2)? & 0x3fff;
        let value = rest.get(4..len)?;
        rest = rest.get(aligned(len)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// An address of the family that its length tells.
pub(super) fn address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(IpAddr::from(*value.first_chunk::<4>()?)),
        16 => Some(IpAddr::from(*value.first_chunk::<16>()?)),
        _ => None,
    }
}

/// A request for everything of a kind; `fixed` is the length of the kind's fixed part.
pub(super) fn dump(kind: u16, fixed: usize, sequence: u32) -> Vec<u8> {
    let len = HEADER + fixed;
    let mut out = Vec::with_capacity(len);
    out.extend_from_slice(&u32::try_from(len).unwrap_or(0).to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    // A request, and all there is.
    out.extend_from_slice(&0x0301_u16.to_ne_bytes());
    out.extend_from_slice(&sequence.to_ne_bytes());
    out.resize(len, 0);
    out
}

#[cfg(test)]
mod tests {
    use super::{Message, attributes, dump, messages};

    #[test]
    fn messages_end_where_they_contradict_the_buffer() {
        let mut buffer = dump(18, 16, 1);
        buffer.extend_from_slice(&dump(22, 8, 2));
        let kinds: Vec<Message<'_>> = messages(&buffer).collect();
        assert_eq!(kinds, [Message::Of(18, &[0; 16]), Message::Of(22, &[0; 8])]);
        for len in 0..buffer.len() {
            assert!(messages(&buffer[..len]).count() <= 1, "{len}");
        }
        let mut lying = buffer.clone();
        lying[0] = 15;
        assert_eq!(messages(&lying).count(), 0);
        lying[..4].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(messages(&lying).count(), 0);
    }

    #[test]
    fn attributes_are_aligned_and_bounded() {
        let bytes = [5, 0, 1, 0, 9, 0, 0, 0, 8, 0, 2, 0, 1, 2, 3, 4, 3, 0, 9, 0];
        let found: Vec<(u16, &[u8])> = attributes(&bytes).collect();
        assert_eq!(found, [(1, &[9][..]), (2, &[1, 2, 3, 4][..])]);
        assert_eq!(attributes(&[200, 0, 1, 0, 1]).count(), 0);
    }
}
