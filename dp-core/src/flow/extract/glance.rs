//! A glance at a frame: all that a packet needs whose flow looks at no more than the Ethertype.
//!
//! A glance is certain or says nothing. Where it sees something, extraction finds no fault with the
//! frame, no tag, no fragment, and the same TCP flags; anything else it leaves to extraction.

/// What a glance sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// IPv6; else IPv4.
    pub v6: bool,
    /// TCP flags; 0 with UDP.
    pub tcp_flags: u16,
}

const UDP: u8 = 17;
const TCP: u8 = 6;
/// Where the IP header of an untagged frame is.
const L3: usize = 14;

/// Glances at a frame.
#[inline(always)]
#[must_use]
pub fn glance(frame: &[u8]) -> Option<Glance> {
    let head: &[u8; 42] = frame.first_chunk()?;
    match [head[12], head[13], head[L3]] {
        [0x08, 0x00, 0x45] => {
            let total = usize::from(u16::from_be_bytes([head[16], head[17]]));
            let whole = u16::from_be_bytes([head[20], head[21]]) & 0x3fff == 0;
            if !whole || total < 28 || total > frame.len() - L3 {
                return None;
            }
            // UDP's length stands within the head.
            let flags = if head[23] == UDP {
                let said = usize::from(u16::from_be_bytes([head[38], head[39]]));
                (said >= 8 && said <= total - 20).then_some(0)?
            } else {
                transport(head[23], frame.get(34..)?, total - 20)?
            };
            Some(Glance { v6: false, tcp_flags: flags })
        }
        [0x86, 0xdd, first] if first >> 4 == 6 => {
            let payload = usize::from(u16::from_be_bytes([head[18], head[19]]));
            if payload < 8 || payload + 40 > frame.len() - L3 {
                return None;
            }
            let flags = transport(head[20], frame.get(54..)?, payload)?;
            Some(Glance { v6: true, tcp_flags: flags })
        }
        _ => None,
    }
}

/// The flags of a transport header that stands whole and true in `len` bytes of payload.
#[inline(always)]
fn transport(proto: u8, l4: &[u8], len: usize) -> Option<u16> {
    match (proto, l4) {
        (UDP, &[_, _, _, _, high, low, _, _, ..]) => {
            let said = usize::from(u16::from_be_bytes([high, low]));
            (said >= 8 && said <= len).then_some(0)
        }
        (TCP, &[_, _, _, _, _, _, _, _, _, _, _, _, offset, flags, ..]) if len >= 20 => {
            let said = usize::from(offset >> 4) * 4;
            (said >= 20 && said <= len).then(|| u16::from_be_bytes([offset & 0x0f, flags]))
        }
        _ => None,
    }
}
