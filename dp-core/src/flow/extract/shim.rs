//! What stands between Ethernet and the network layer: MPLS label stacks (RFC 3032), NSH (RFC 8300).
//!
//! What they carry is not looked at: who wants it matched takes them off and lets the packet pass
//! again.

use super::malformed::Malformed;
use super::write_place;
use crate::flow::lane::Lane;
use crate::flow::layout;

const LABEL: usize = 4;
const BOTTOM: u8 = 1;
const LABELS: [layout::Place; 3] = [layout::MPLS0, layout::MPLS1, layout::MPLS2];

/// Parses up to three labels into lane 2. However deep the stack is, no more is read.
pub(super) fn mpls(frame: &[u8], l3: usize, lane: &mut Lane) -> Option<Malformed> {
    let mut rest = frame.get(l3..).unwrap_or_default();
    for place in LABELS {
        let Some((label, behind)) = rest.split_first_chunk::<LABEL>() else {
            return Some(Malformed::Mpls);
        };
        write_place(lane, place, label);
        if label[2] & BOTTOM != 0 {
            return None;
        }
        rest = behind;
    }
    None
}

const BASE: usize = 8;
const MD1: u8 = 1;
const MD2: u8 = 2;
const MD1_LEN: usize = 24;

/// Parses the network service header into lane 3. A header that cannot be leaves it empty.
pub(super) fn nsh(frame: &[u8], l3: usize, lane: &mut Lane) -> Option<Malformed> {
    let rest = frame.get(l3..).unwrap_or_default();
    let Some((base, behind)) = rest.split_first_chunk::<BASE>() else {
        return Some(Malformed::Nsh);
    };
    let &[high, low, mdtype, np, p0, p1, p2, p3] = base;
    let len = usize::from(low & 0x3f) * 4;
    let context = match (mdtype & 0x0f, len) {
        (MD1, MD1_LEN) => behind.first_chunk::<16>(),
        (MD2, BASE..) if len <= rest.len() => Some(&[0; 16]),
        _ => None,
    };
    let Some(context) = context.filter(|_| high >> 6 == 0) else {
        return Some(Malformed::Nsh);
    };
    let flags = high >> 4 & 0x03;
    let ttl = (high & 0x0f) << 2 | low >> 6;
    write_place(lane, layout::NSH_FLAGS, &[flags, ttl, mdtype & 0x0f, np]);
    write_place(lane, layout::NSH_PATH, &[p0, p1, p2, p3]);
    write_place(lane, layout::NSH_C1, context);
    None
}
