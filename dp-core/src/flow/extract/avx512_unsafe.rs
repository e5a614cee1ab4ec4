//! The AVX-512 kernel: plain packets, see [`plain`].
//!
//! A key's lane is a fixed permutation of a plain packet's first 64 bytes, so it takes one masked
//! load, one byte permute (VBMI), one and, one or and one store.
//!
//! Loads are masked to the length of the frame: no byte behind it is read.

#![expect(unsafe_code, reason = "vector loads and stores, and calls into target-feature code")]

use core::arch::x86_64::{
    __m512i, __mmask64, _mm512_and_si512, _mm512_loadu_si512, _mm512_mask_blend_epi8,
    _mm512_mask_blend_epi16, _mm512_maskz_loadu_epi8, _mm512_maskz_permutexvar_epi8,
    _mm512_or_si512, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_setzero_si512,
    _mm512_storeu_si512, _mm512_test_epi64_mask, _mm512_xor_si512,
};

use super::plain::{self, Plain, Version};
use crate::base::Avx512;
use crate::flow::burst_keys::BurstKeys;
use crate::flow::lane::{Lane, LaneSet};
use crate::flow::layout::{self, Place};
use crate::packet::{Burst, Known, Packet, Slots};

/// How one lane is made of 64 bytes: where each byte comes from, which are zero, which bits stay,
/// which bits are added.
#[repr(C, align(64))]
struct Shape {
    from: [u8; 64],
    and: [u8; 64],
    or: [u8; 64],
    keep: u64,
}

impl Shape {
    const EMPTY: Self = Self { from: [0; 64], and: [0xff; 64], or: [0; 64], keep: 0 };

    /// The bytes of `place` come from `raw` onwards.
    const fn take(mut self, place: Place, raw: usize, len: usize) -> Self {
        let base = place.offset as usize % 64;
        let mut i = 0;
        while i < len {
            #[expect(clippy::cast_possible_truncation, reason = "raw offsets are below 64")]
            {
                self.from[base + i] = (raw + i) as u8;
            }
            self.keep |= 1 << (base + i);
            i += 1;
        }
        self
    }

    const fn and_byte(mut self, at: usize, bits: u8) -> Self {
        self.and[at % 64] = bits;
        self
    }

    const fn or_byte(mut self, at: usize, bits: u8) -> Self {
        self.or[at % 64] = bits;
        self
    }
}

/// Ethernet at raw 0, a tag at raw 12 if `tag` is 4, Ethertype behind it.
const fn link(tag: usize) -> Shape {
    let shape = Shape::EMPTY.take(layout::ETH_DST, 0, 12).take(layout::ETH_TYPE, 12 + tag, 2);
    if tag == 0 {
        return shape;
    }
    shape
        .take(layout::VLAN_TCI, 14, 2)
        .take(layout::VLAN_TPID, 12, 2)
        .or_byte(layout::VLAN_TCI.offset as usize, (layout::VLAN_PRESENT >> 8) as u8)
}

const fn ipv4(tag: usize, tcp: bool) -> Shape {
    let ip = 14 + tag;
    let shape = link(tag)
        .take(layout::NW_PROTO, ip + 9, 1)
        .take(layout::NW_TOS, ip + 1, 1)
        .take(layout::NW_TTL, ip + 8, 1)
        .take(layout::IPV4_SRC, ip + 12, 8)
        .take(layout::TP_SRC, ip + 20, 4);
    if tcp {
        shape.take(layout::TCP_FLAGS, ip + 32, 2).and_byte(layout::TCP_FLAGS.offset as usize, 0x0f)
    } else {
        shape
    }
}

/// The tos byte and the TCP flags of IPv6 packets are put in apart.
const fn ipv6(tag: usize) -> Shape {
    let ip = 14 + tag;
    link(tag).take(layout::NW_PROTO, ip + 6, 1).take(layout::NW_TTL, ip + 7, 1).take(
        layout::TP_SRC,
        ip + 40,
        4,
    )
}

/// From the 64 bytes that begin with the IPv6 header.
const IPV6_LANE1: Shape = Shape::EMPTY
    .take(layout::IPV6_SRC, 8, 32)
    .take(layout::IPV6_LABEL, 0, 4)
    .and_byte(layout::IPV6_LABEL.offset as usize, 0)
    .and_byte(layout::IPV6_LABEL.offset as usize + 1, 0x0f);

static IPV4: [[Shape; 2]; 2] = [[ipv4(0, false), ipv4(0, true)], [ipv4(4, false), ipv4(4, true)]];
static IPV6: [Shape; 2] = [ipv6(0), ipv6(4)];
static LANE1: Shape = IPV6_LANE1;

const UDP: u8 = 17;
const TOS_BYTE: __mmask64 = 1 << layout::NW_TOS.offset;
const FLAGS_WORD: u32 = 1 << (layout::TCP_FLAGS.offset / 2);

/// Extracts what it recognises of the packets in `which`; returns the slots that it left alone.
#[inline]
pub(super) fn burst(
    _proof: Avx512,
    burst: &mut Burst,
    which: Slots,
    template: &Lane,
    keys: &mut BurstKeys,
) -> Slots {
    // SAFETY: the proof is only had where the processor has these features.
    unsafe { burst_avx512(burst, which, template, keys) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn burst_avx512(burst: &mut Burst, which: Slots, template: &Lane, keys: &mut BurstKeys) -> Slots {
    let template = load(template.bytes());
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

/// What the bytes of an untagged IPv4 packet without options and fragments are, as far as they are
/// the same in all.
static PLAIN: Pattern = Pattern::EMPTY
    .is(12, 0x08, 0xff)
    .is(13, 0x00, 0xff)
    .is(14, 0x45, 0xff)
    .is(20, 0, 0x3f)
    .is(21, 0, 0xff);

/// Bytes to be compared, and which bits of them.
#[repr(C, align(64))]
struct Pattern {
    bytes: [u8; 64],
    mask: [u8; 64],
}

impl Pattern {
    const EMPTY: Self = Self { bytes: [0; 64], mask: [0; 64] };

    const fn is(mut self, at: usize, byte: u8, mask: u8) -> Self {
        (self.bytes[at], self.mask[at]) = (byte, mask);
        self
    }
}

/// Extracts one packet; `false` if it is not of a shape that is known here.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn one(packet: &mut Packet, slot: usize, template: __m512i, keys: &mut BurstKeys) -> bool {
    if plain_udp(packet.data(), slot, template, keys) {
        let meta = packet.meta_mut();
        (meta.l3, meta.l4) = (14, 34);
        meta.known = Known::empty();
        return true;
    }
    other(packet, slot, template, keys)
}

/// The shortest way, for most packets: UDP over plain IPv4. `false`, and no change: look closer.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn plain_udp(frame: &[u8], slot: usize, template: __m512i, keys: &mut BurstKeys) -> bool {
    let Some(head) = frame.first_chunk::<42>() else { return false };
    let total = usize::from(u16::from_be_bytes([head[16], head[17]]));
    let said = usize::from(u16::from_be_bytes([head[38], head[39]]));
    let raw = load_masked(frame);
    let differ = _mm512_and_si512(_mm512_xor_si512(raw, load(&PLAIN.bytes)), load(&PLAIN.mask));
    if _mm512_test_epi64_mask(differ, differ) != 0
        || head[23] != UDP
        || total > frame.len() - 14
        || said < 8
        || said + 20 > total
    {
        return false;
    }
    store(&mut keys.lane_mut(0)[slot & 31], permute(&IPV4[0][0], raw, template));
    keys.set_used(slot, LaneSet::of(0));
    true
}

/// The other shapes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn other(packet: &mut Packet, slot: usize, template: __m512i, keys: &mut BurstKeys) -> bool {
    let frame = packet.data();
    let Some(plain) = plain::recognise(frame) else { return false };
    match plain.version {
        Version::V4 => {
            let shape = &IPV4[plain.tagged & 1][plain.tcp & 1];
            let lane = permute(shape, load_masked(frame), template);
            store(&mut keys.lane_mut(0)[slot & 31], lane);
            keys.set_used(slot, LaneSet::of(0));
        }
        Version::V6 => ipv6_packet(frame, plain, slot, template, keys),
    }
    plain.note(packet.meta_mut());
    true
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn ipv6_packet(frame: &[u8], plain: Plain, slot: usize, template: __m512i, keys: &mut BurstKeys) {
    let rest = frame.get(plain.l3()..).unwrap_or_default();
    let mut lane = permute(&IPV6[plain.tagged & 1], load_masked(frame), template);
    if let Some(ip) = rest.first_chunk::<2>() {
        let tos = ip[0] << 4 | ip[1] >> 4;
        lane = _mm512_mask_blend_epi8(TOS_BYTE, lane, _mm512_set1_epi8(tos.cast_signed()));
    }
    if let (1, Some(&[offset, flags])) = (plain.tcp, rest.get(52..54)) {
        let flags = u16::from_le_bytes([offset & 0x0f, flags]);
        lane = _mm512_mask_blend_epi16(FLAGS_WORD, lane, _mm512_set1_epi16(flags.cast_signed()));
    }
    let lane1 = permute(&LANE1, load_masked(rest), _mm512_setzero_si512());
    store(&mut keys.lane_mut(0)[slot & 31], lane);
    store(&mut keys.lane_mut(1)[slot & 31], lane1);
    keys.set_used(slot, LaneSet(0b11));
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn permute(shape: &Shape, raw: __m512i, add: __m512i) -> __m512i {
    let taken = _mm512_maskz_permutexvar_epi8(shape.keep, load(&shape.from), raw);
    let kept = _mm512_and_si512(taken, load(&shape.and));
    _mm512_or_si512(_mm512_or_si512(kept, load(&shape.or)), add)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: 64 readable bytes; the load needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// The first 64 bytes of a frame, zeros behind its end.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,bmi2")]
fn load_masked(frame: &[u8]) -> __m512i {
    let there = match frame.len() {
        0 => 0,
        len => u64::MAX >> (64 - len.min(64)),
    };
    // SAFETY: bytes beyond the frame are masked off, and masked-off bytes are not accessed.
    unsafe { _mm512_maskz_loadu_epi8(there, frame.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(lane: &mut Lane, value: __m512i) {
    // SAFETY: a lane is 64 writable bytes; the store needs no alignment.
    unsafe { _mm512_storeu_si512(lane.bytes_mut().as_mut_ptr().cast(), value) }
}
