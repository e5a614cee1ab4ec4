//! A packet cut into fragments as a host or router would.

/// Why a frame cannot be fragmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// Neither IPv4 nor IPv6 follows the Ethernet header and its tags, or the header is cut.
    #[error("the frame holds no whole IP header")]
    NotIp,
    /// The limit leaves no room for eight octets beside the headers.
    #[error("an MTU of {mtu} leaves no room for data beside {headers} octets of headers")]
    Mtu {
        /// The limit asked for.
        mtu: usize,
        /// Octets that every fragment repeats.
        headers: usize,
    },
}

/// Cuts the IP packet in `frame` into fragments of at most `mtu` octets (IP header included), each
/// with the frame's own Ethernet header and tags. A packet that fits is returned as it is.
///
/// For IPv4 the identification stays the packet's own (RFC 791 §3.2), and every fragment repeats all
/// options, also those that need not be; for IPv6 the identification is `id`, and the headers up to
/// the last hop-by-hop or routing header are repeated (RFC 8200 §4.5). Data behind the packet's own
/// length is left out.
///
/// # Errors
///
/// See [`FragmentError`].
pub fn fragment(frame: &[u8], mtu: usize, id: u32) -> Result<Vec<Vec<u8>>, FragmentError> {
    let start = network_offset(frame).ok_or(FragmentError::NotIp)?;
    let (link, packet) = frame.split_at_checked(start).ok_or(FragmentError::NotIp)?;
    match packet.first().map(|first| first >> 4) {
        Some(4) => fragment4(link, packet, mtu),
        Some(6) => fragment6(link, packet, mtu, id),
        _ => Err(FragmentError::NotIp),
    }
}

fn fragment4(link: &[u8], packet: &[u8], mtu: usize) -> Result<Vec<Vec<u8>>, FragmentError> {
    let headers = 4 * usize::from(octet(packet, 0)? & 0x0f);
    let total = usize::from(word(packet, 2)?);
    let header = packet.get(..headers).filter(|_| headers >= 20).ok_or(FragmentError::NotIp)?;
    let data = packet.get(headers..total).ok_or(FragmentError::NotIp)?;
    if total <= mtu {
        return Ok(vec![[link, header, data].concat()]);
    }
    let room = room(mtu, headers)?;
    let flags = word(packet, 6)?;
    let pieces = data.chunks(room).zip((0u16..).step_by(room / 8));
    let frames = pieces.map(|(piece, offset)| {
        let at = usize::from(offset) * 8;
        let more = at + piece.len() < data.len() || flags & 0x2000 != 0;
        let mut header = header.to_vec();
        put(&mut header, 2, (headers + piece.len()) as u16);
        let offset = (flags & 0x1fff).wrapping_add(offset) & 0x1fff;
        put(&mut header, 6, flags & 0xc000 | u16::from(more) << 13 | offset);
        put(&mut header, 10, 0);
        let sum = super::checksum::finish(super::internet_sum(0, &header));
        put(&mut header, 10, sum);
        [link, &header, piece].concat()
    });
    Ok(frames.collect())
}

fn fragment6(
    link: &[u8],
    packet: &[u8],
    mtu: usize,
    id: u32,
) -> Result<Vec<Vec<u8>>, FragmentError> {
    let total = 40 + usize::from(word(packet, 4)?);
    // Where the field that announces the next header stands, and where that header starts.
    let (mut announcer, mut end) = (6, 40);
    loop {
        let next = octet(packet, announcer)?;
        if next != 0 && next != 43 {
            break;
        }
        announcer = end;
        end += 8 * (1 + usize::from(octet(packet, end + 1)?));
    }
    let header = packet.get(..end).ok_or(FragmentError::NotIp)?;
    let data = packet.get(end..total).ok_or(FragmentError::NotIp)?;
    if total <= mtu {
        return Ok(vec![[link, header, data].concat()]);
    }
    let room = room(mtu, end + 8)?;
    let next = octet(packet, announcer)?;
    let pieces = data.chunks(room).zip((0u16..).step_by(room));
    let frames = pieces.map(|(piece, at)| {
        let more = usize::from(at) + piece.len() < data.len();
        let mut octets = [link, header].concat();
        put(&mut octets, link.len() + 4, (end - 40 + 8 + piece.len()) as u16);
        if let Some(field) = octets.get_mut(link.len() + announcer) {
            *field = 44;
        }
        octets.extend([next, 0]);
        octets.extend((at | u16::from(more)).to_be_bytes());
        octets.extend(id.to_be_bytes());
        octets.extend(piece);
        octets
    });
    Ok(frames.collect())
}

/// Offset of the IP header behind Ethernet and its tags.
pub(super) fn network_offset(frame: &[u8]) -> Option<usize> {
    let mut at = 12;
    loop {
        match word(frame, at).ok()? {
            0x8100 | 0x88a8 => at += 4,
            0x0800 | 0x86dd => return Some(at + 2),
            _ => return None,
        }
    }
}

/// Octets of data in each fragment but the last: a multiple of eight.
fn room(mtu: usize, headers: usize) -> Result<usize, FragmentError> {
    match mtu.saturating_sub(headers) & !7 {
        0 => Err(FragmentError::Mtu { mtu, headers }),
        room => Ok(room),
    }
}

fn octet(octets: &[u8], at: usize) -> Result<u8, FragmentError> {
    octets.get(at).copied().ok_or(FragmentError::NotIp)
}

fn word(octets: &[u8], at: usize) -> Result<u16, FragmentError> {
    match octets.get(at..at + 2) {
        Some(&[hi, lo]) => Ok(u16::from_be_bytes([hi, lo])),
        _ => Err(FragmentError::NotIp),
    }
}

fn put(octets: &mut [u8], at: usize, value: u16) {
    if let Some(field) = octets.get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}
