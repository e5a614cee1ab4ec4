//! The AVX2 kernel: plain packets, see [`plain`].
//!
//! AVX2 permutes bytes only within 16, so a lane of a key is put together from four windows of 16
//! bytes, each spread over the lane by a shuffle of its own:
//!
//! ```text
//!   A  frame + 0        addresses, the tag's Ethertype and the tag
//!   B  IP header − 2    Ethertype, protocol, TTL, IPv4's tos
//!   C  where the ports end, IPv4's addresses in front of them
//!   D  made of scalars  TCP flags, IPv6's tos
//! ```
//!
//! Windows lie inside what [`plain::recognise`] has found to be there: no byte behind the frame is
//! read, without masked loads, which AVX2 has not for bytes.

#![expect(unsafe_code, reason = "vector loads and stores, and calls into target-feature code")]

use core::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm_set_epi32, _mm256_broadcastsi128_si256,
    _mm256_loadu_si256, _mm256_or_si256, _mm256_shuffle_epi8, _mm256_storeu_si256,
};

use super::plain::{self, Plain, Version};
use crate::base::Avx2;
use crate::flow::burst_keys::BurstKeys;
use crate::flow::lane::{Lane, LaneSet};
use crate::flow::layout::{self, Place};
use crate::packet::{Burst, Packet, Slots};

/// How lane 0 is made of the windows: for each, which of its bytes goes where; what is added.
#[repr(C, align(32))]
struct Shape {
    from: [[u8; 64]; 4],
    or: [u8; 64],
}

/// The windows, by their place in [`Shape::from`].
const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const D: usize = 3;

/// A shuffle's index that makes a byte zero.
const NONE: u8 = 0x80;

impl Shape {
    /// The bytes of `place` come from `window`, from its byte `first` onwards.
    const fn take(mut self, place: Place, window: usize, first: usize, len: usize) -> Self {
        let base = place.offset as usize % 64;
        let mut i = 0;
        while i < len {
            assert!(first + i < 16, "a window has 16 bytes");
            #[expect(clippy::cast_possible_truncation, reason = "below 16")]
            {
                self.from[window][base + i] = (first + i) as u8;
            }
            i += 1;
        }
        self
    }
}

const fn link(tagged: bool) -> Shape {
    let mut shape = Shape { from: [[NONE; 64]; 4], or: [0; 64] }
        .take(layout::ETH_DST, A, 0, 12)
        .take(layout::ETH_TYPE, B, 0, 2)
        .take(layout::TCP_FLAGS, D, 0, 2);
    if tagged {
        shape = shape.take(layout::VLAN_TPID, A, 12, 2).take(layout::VLAN_TCI, A, 14, 2);
        shape.or[layout::VLAN_TCI.offset as usize] = (layout::VLAN_PRESENT >> 8) as u8;
    }
    shape
}

/// Window B begins 2 bytes before the header, C at its byte 8.
const fn ipv4(tagged: bool) -> Shape {
    link(tagged)
        .take(layout::NW_TOS, B, 2 + 1, 1)
        .take(layout::NW_TTL, B, 2 + 8, 1)
        .take(layout::NW_PROTO, B, 2 + 9, 1)
        .take(layout::IPV4_SRC, C, 12 - 8, 8)
        .take(layout::TP_SRC, C, 20 - 8, 4)
}

/// Window C begins at the header's byte 32.
const fn ipv6(tagged: bool) -> Shape {
    link(tagged)
        .take(layout::NW_TOS, D, 2, 1)
        .take(layout::NW_PROTO, B, 2 + 6, 1)
        .take(layout::NW_TTL, B, 2 + 7, 1)
        .take(layout::TP_SRC, C, 40 - 32, 4)
}

static IPV4: [Shape; 2] = [ipv4(false), ipv4(true)];
static IPV6: [Shape; 2] = [ipv6(false), ipv6(true)];

/// Extracts what it recognises of the packets in `which`; returns the slots that it left alone.
#[inline]
pub(super) fn burst(
    _proof: Avx2,
    burst: &mut Burst,
    which: Slots,
    template: &Lane,
    keys: &mut BurstKeys,
) -> Slots {
    // SAFETY: the proof is only had where the processor has these features.
    unsafe { burst_avx2(burst, which, template, keys) }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn burst_avx2(burst: &mut Burst, which: Slots, template: &Lane, keys: &mut BurstKeys) -> Slots {
    let template = halves(template.bytes());
    let mut left = which;
    for slot in which.iter() {
        if let Some(ahead) = burst.get(slot + 4) {
            ahead.prefetch();
        }
        let Some(packet) = burst.get_mut(slot) else { continue };
        if one(packet, slot, template, keys) {
            left.remove(slot);
        }
    }
    left
}

/// Extracts one packet; `false` if it is not of a shape that is known here.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn one(packet: &mut Packet, slot: usize, template: [__m256i; 2], keys: &mut BurstKeys) -> bool {
    let frame = packet.data();
    let Some(plain) = plain::recognise(frame) else { return false };
    let done = match plain.version {
        Version::V4 => ipv4_packet(frame, plain, slot, template, keys),
        Version::V6 => ipv6_packet(frame, plain, slot, template, keys),
    };
    if done.is_some() {
        plain.note(packet.meta_mut());
    }
    done.is_some()
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn ipv4_packet(
    frame: &[u8],
    plain: Plain,
    slot: usize,
    template: [__m256i; 2],
    keys: &mut BurstKeys,
) -> Option<()> {
    let l3 = plain.l3();
    let windows = [
        window(frame, 0)?,
        window(frame, l3 - 2)?,
        window(frame, l3 + 8)?,
        scalars(tcp_flags(frame, plain), 0),
    ];
    put_together(&IPV4[plain.tagged & 1], windows, template, &mut keys.lane_mut(0)[slot & 31]);
    keys.set_used(slot, LaneSet::of(0));
    Some(())
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn ipv6_packet(
    frame: &[u8],
    plain: Plain,
    slot: usize,
    template: [__m256i; 2],
    keys: &mut BurstKeys,
) -> Option<()> {
    let l3 = plain.l3();
    let ip = frame.get(l3..)?.first_chunk::<40>()?;
    let tos = ip[0] << 4 | ip[1] >> 4;
    let windows = [
        window(frame, 0)?,
        window(frame, l3 - 2)?,
        window(frame, l3 + 32)?,
        scalars(tcp_flags(frame, plain), tos),
    ];
    put_together(&IPV6[plain.tagged & 1], windows, template, &mut keys.lane_mut(0)[slot & 31]);
    let addresses = ip.last_chunk::<32>()?;
    let label = [0, ip[1] & 0x0f, ip[2], ip[3]];
    store(&mut keys.lane_mut(1)[slot & 31], [half(addresses), second_of_ipv6(label)]);
    keys.set_used(slot, LaneSet(0b11));
    Some(())
}

/// The second half of lane 1: nothing but the label.
#[inline]
#[target_feature(enable = "avx2")]
fn second_of_ipv6(label: [u8; 4]) -> __m256i {
    use core::arch::x86_64::_mm256_set_epi32;
    const AT: usize = layout::IPV6_LABEL.offset as usize % 64;
    const { assert!(AT == 48 && layout::IPV6_SRC.offset == 64 && layout::IPV6_DST.offset == 80) };
    _mm256_set_epi32(0, 0, 0, i32::from_le_bytes(label), 0, 0, 0, 0)
}

#[inline(always)]
fn tcp_flags(frame: &[u8], plain: Plain) -> [u8; 2] {
    match frame.get(plain.l4() + 12..plain.l4() + 14) {
        Some(&[offset, flags]) if plain.tcp == 1 => [offset & 0x0f, flags],
        _ => [0; 2],
    }
}

/// 16 bytes of the frame.
#[inline]
#[target_feature(enable = "avx2")]
fn window(frame: &[u8], at: usize) -> Option<__m128i> {
    let bytes = frame.get(at..)?.first_chunk::<16>()?;
    // SAFETY: 16 readable bytes; the load needs no alignment.
    Some(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

/// Window D: TCP flags and tos.
#[inline]
#[target_feature(enable = "avx2")]
fn scalars(flags: [u8; 2], tos: u8) -> __m128i {
    _mm_set_epi32(0, 0, 0, i32::from_le_bytes([flags[0], flags[1], tos, 0]))
}

#[inline]
#[target_feature(enable = "avx2")]
fn put_together(shape: &Shape, windows: [__m128i; 4], template: [__m256i; 2], lane: &mut Lane) {
    let or = halves(&shape.or);
    let mut out = [_mm256_or_si256(template[0], or[0]), _mm256_or_si256(template[1], or[1])];
    for (window, from) in windows.into_iter().zip(&shape.from) {
        let (window, from) = (_mm256_broadcastsi128_si256(window), halves(from));
        out[0] = _mm256_or_si256(out[0], _mm256_shuffle_epi8(window, from[0]));
        out[1] = _mm256_or_si256(out[1], _mm256_shuffle_epi8(window, from[1]));
    }
    store(lane, out);
}

#[inline]
#[target_feature(enable = "avx2")]
fn halves(bytes: &[u8; 64]) -> [__m256i; 2] {
    let (first, second) = bytes.split_at(32);
    match (first.first_chunk(), second.first_chunk()) {
        (Some(first), Some(second)) => [half(first), half(second)],
        _ => unreachable!("64 bytes are twice 32"),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn half(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 readable bytes; the load needs no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(lane: &mut Lane, [first, second]: [__m256i; 2]) {
    let bytes = lane.bytes_mut();
    // SAFETY: a lane is 64 writable bytes: 32 from its beginning; the store needs no alignment.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), first) }
    let (_, upper) = bytes.split_at_mut(32);
    // SAFETY: the 32 writable bytes behind those.
    unsafe { _mm256_storeu_si256(upper.as_mut_ptr().cast(), second) }
}
