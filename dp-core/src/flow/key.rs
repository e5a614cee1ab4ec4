//! A whole flow key, and the mask that says which of its bits count.
//!
//! Both are [`LANES`] lanes and the set of lanes that may hold something, and beside them the few
//! values that are wider than 128 bits ([`super::wide`]). The invariant that
//! everything rests on: **a lane that is not in the set is all zeros**, so that lanes may be
//! compared, hashed and masked without asking.
//!
//! These are the forms of the slow path (translation, dumps, text). The packet path keeps only the
//! lanes in use ([`super::BurstKeys`]).

use core::fmt;

use super::fields::FieldId;
use super::lane::{LANES, Lane, LaneSet};
use super::layout::{self, Place};
use super::wide::{Wide, WideWords};
use crate::base::{PortNo, RecircId, Ufid, hash_words};

macro_rules! lanes_type {
    ($(#[doc = $doc:literal])+ $name:ident) => {
        $(#[doc = $doc])+
        #[derive(Clone)]
        pub struct $name {
            lanes: [Lane; LANES],
            used: LaneSet,
            wide: WideWords,
        }

        impl Default for $name {
            fn default() -> Self {
                Self::EMPTY
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.wide == other.wide
                    && self.used.with(other.used).iter().all(|lane| self.lane(lane) == other.lane(lane))
            }
        }

        impl Eq for $name {}

        impl core::hash::Hash for $name {
            fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
                for lane in self.used.iter() {
                    if !self.lane(lane).is_zero() {
                        state.write_usize(lane);
                        core::hash::Hash::hash(self.lane(lane), state);
                    }
                }
                self.wide.hash(state);
            }
        }

        impl $name {
            /// All zeros.
            pub const EMPTY: Self =
                Self { lanes: [Lane::ZERO; LANES], used: LaneSet::EMPTY, wide: WideWords::EMPTY };

            /// The lanes that may hold anything but zeros.
            #[inline]
            #[must_use]
            pub const fn used(&self) -> LaneSet {
                self.used
            }

            /// One lane; lanes that do not exist are zero.
            #[inline]
            #[must_use]
            pub fn lane(&self, lane: usize) -> &Lane {
                self.lanes.get(lane).unwrap_or(&Lane::ZERO)
            }

            /// One lane, to be written; from now on it counts as used.
            ///
            /// # Panics
            ///
            /// Never for lanes of the layout; `lane` is a constant of the caller.
            #[inline]
            #[must_use]
            pub fn lane_mut(&mut self, lane: usize) -> &mut Lane {
                self.used = self.used.with(LaneSet::of(lane));
                &mut self.lanes[lane]
            }

            /// All bytes, in the order of the layout.
            #[must_use]
            pub fn bytes(&self) -> &[u8; LANES * 64] {
                zerocopy::transmute_ref!(&self.lanes)
            }

            fn bytes_mut(&mut self, lane: usize) -> &mut [u8; LANES * 64] {
                self.used = self.used.with(LaneSet::of(lane));
                zerocopy::transmute_mut!(&mut self.lanes)
            }

            /// The value at a place: the bytes as one big-endian number.
            #[must_use]
            pub fn load(&self, place: Place) -> u128 {
                let from = usize::from(place.offset);
                self.bytes()[from..from + usize::from(place.len)]
                    .iter()
                    .fold(0, |value, &byte| value << 8 | u128::from(byte))
            }

            /// Writes the value at a place; bits beyond its width are cut off.
            pub fn store(&mut self, place: Place, value: u128) {
                let from = usize::from(place.offset);
                let len = usize::from(place.len);
                let bytes = value.to_be_bytes();
                self.bytes_mut(from / 64)[from..from + len].copy_from_slice(&bytes[16 - len..]);
            }

            /// What lies beside the lanes.
            #[inline]
            #[must_use]
            pub const fn wide(&self) -> &WideWords {
                &self.wide
            }

            /// What lies beside the lanes, to be written.
            #[inline]
            #[must_use]
            pub const fn wide_mut(&mut self) -> &mut WideWords {
                &mut self.wide
            }

            /// The value of a field; of one that is wider than 128 bits the last of them.
            #[must_use]
            pub fn get(&self, id: FieldId) -> u128 {
                if id.tun_metadata_number().is_some() {
                    return self.get_wide(id).low();
                }
                let field = id.field();
                self.load(field.place) >> field.shift & field.ones()
            }

            /// Sets a field; bits beyond its width are cut off.
            pub fn set(&mut self, id: FieldId, value: u128) {
                self.set_bits(id, value, u128::MAX);
            }

            /// Sets those bits of a field that are set in `mask`. All ones are all bits of the field,
            /// also of one that is wider.
            pub fn set_bits(&mut self, id: FieldId, value: u128, mask: u128) {
                if id.tun_metadata_number().is_some() {
                    let all = mask == u128::MAX;
                    let mask = if all { Wide::ONES } else { Wide::from(mask) };
                    return self.set_wide(id, Wide::from(value), mask);
                }
                let field = id.field();
                let mask = (mask & field.ones()) << field.shift;
                let old = self.load(field.place);
                self.store(field.place, old & !mask | value << field.shift & mask);
            }

            /// The value of a field of any width.
            #[must_use]
            pub fn get_wide(&self, id: FieldId) -> Wide {
                match id.tun_metadata_number() {
                    Some(number) => self.wide.value(number),
                    None => Wide::from(self.get(id)),
                }
            }

            /// Sets those bits of a field of any width that are set in `mask`.
            pub fn set_wide(&mut self, id: FieldId, value: Wide, mask: Wide) {
                let Some(number) = id.tun_metadata_number() else {
                    return self.set_bits(id, value.low(), mask.low());
                };
                let old = self.wide.value(number);
                self.wide.set_value(number, old & !mask | value & mask);
                // Whoever writes one, or looks at one, has to do with its being there.
                let present = self.load(layout::TUN_METADATA_PRESENT) | 1 << number;
                self.store(layout::TUN_METADATA_PRESENT, present);
            }
        }
    };
}

lanes_type! {
    /// The values of all fields of one packet, or of one flow.
    FlowKey
}

lanes_type! {
    /// Which bits of a [`FlowKey`] count: set bits must match, clear bits are wildcards.
    FlowMask
}

impl FlowKey {
    /// The datapath port of entry.
    #[must_use]
    pub fn in_port(&self) -> PortNo {
        PortNo(self.u32_at(layout::IN_PORT))
    }

    /// The recirculation id.
    #[must_use]
    pub fn recirc_id(&self) -> RecircId {
        RecircId(self.u32_at(layout::RECIRC_ID))
    }

    /// The Ethertype behind the VLAN tags.
    #[must_use]
    pub fn eth_type(&self) -> u16 {
        self.u16_at(layout::ETH_TYPE)
    }

    /// The outer tag's TCI with the present bit; 0 without a tag.
    #[must_use]
    pub fn vlan_tci(&self) -> u16 {
        self.u16_at(layout::VLAN_TCI)
    }

    /// The IP protocol, or the ARP operation.
    #[must_use]
    pub fn nw_proto(&self) -> u8 {
        self.bytes()[usize::from(layout::NW_PROTO.offset)]
    }

    /// Fragment bits.
    #[must_use]
    pub fn nw_frag(&self) -> u8 {
        self.bytes()[usize::from(layout::NW_FRAG.offset)]
    }

    fn u32_at(&self, place: Place) -> u32 {
        u32::try_from(self.load(place)).unwrap_or(u32::MAX)
    }

    fn u16_at(&self, place: Place) -> u16 {
        u16::try_from(self.load(place)).unwrap_or(u16::MAX)
    }

    /// The key with every wildcarded bit cleared.
    #[must_use]
    pub fn masked(&self, mask: &FlowMask) -> Self {
        let mut out = Self::EMPTY;
        for lane in mask.used.iter() {
            if self.used.has(lane) {
                *out.lane_mut(lane) = self.lane(lane).and(mask.lane(lane));
            }
        }
        out.wide = self.wide.and(&mask.wide);
        out
    }

    /// Whether `self` and `other` agree in every bit that `mask` says counts.
    #[must_use]
    pub fn agrees(&self, other: &Self, mask: &FlowMask) -> bool {
        mask.used.iter().all(|lane| {
            self.lane(lane).and(mask.lane(lane)) == other.lane(lane).and(mask.lane(lane))
        }) && self.wide.and(&mask.wide) == other.wide.and(&mask.wide)
    }
}

impl FlowMask {
    /// Makes every bit of a field count.
    pub fn unwildcard(&mut self, id: FieldId) {
        self.unwildcard_bits(id, u128::MAX);
    }

    /// Makes those bits of a field count that are set in `bits` (as well).
    pub fn unwildcard_bits(&mut self, id: FieldId, bits: u128) {
        match id.tun_metadata_number() {
            Some(_) if bits == u128::MAX => self.unwildcard_wide(id, Wide::ONES),
            Some(_) => self.unwildcard_wide(id, bits.into()),
            None => self.set_bits(id, u128::MAX, bits),
        }
    }

    /// Makes those bits of a field of any width count that are set in `bits` (as well).
    pub fn unwildcard_wide(&mut self, id: FieldId, bits: Wide) {
        self.set_wide(id, bits, bits);
    }

    /// Makes those bits of a place count that are set in `bits` (as well).
    pub fn unwildcard_bits_at(&mut self, place: Place, bits: u128) {
        let old = self.load(place);
        if old | bits != old {
            self.store(place, old | bits);
        }
    }

    /// Makes every bit of a place count.
    pub fn unwildcard_place(&mut self, place: Place) {
        self.store(place, u128::MAX);
    }

    /// Makes every bit count that counts in `other`.
    pub fn or_assign(&mut self, other: &Self) {
        for lane in other.used.iter() {
            self.lane_mut(lane).or_assign(other.lane(lane));
        }
        self.wide.or_assign(&other.wide);
    }

    /// Whether every bit that counts in `other` counts here.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.used.iter().all(|lane| other.lane(lane).and(self.lane(lane)) == *other.lane(lane))
            && other.wide.and(&self.wide) == other.wide
    }

    /// The lanes with a bit that counts: exactly, where [`Self::used`] may say too much.
    #[must_use]
    pub fn live(&self) -> LaneSet {
        self.used
            .iter()
            .filter(|&lane| !self.lane(lane).is_zero())
            .fold(LaneSet::EMPTY, |set, lane| set.with(LaneSet::of(lane)))
    }
}

/// The id of the megaflow with this key and mask: the same for equal masks and equal masked keys,
/// and different otherwise but for a collision of 128 bits.
#[must_use]
pub fn ufid(key: &FlowKey, mask: &FlowMask) -> Ufid {
    let (mut high, mut low) = (0x5eed_0001_u64, 0x5eed_0002_u64);
    for lane in mask.live().iter() {
        let mask = mask.lane(lane);
        let key = key.lane(lane).and(mask);
        high = hash_words(&key.0, high ^ lane as u64);
        high = hash_words(&mask.0, high);
        low = hash_words(&mask.0, low ^ lane as u64);
        low = hash_words(&key.0, low);
    }
    for (index, mask) in mask.wide().iter() {
        let word = key.wide().word(index) & mask;
        high = hash_words(&[u64::from(index), word, mask], high);
        low = hash_words(&[u64::from(index), mask, word], low);
    }
    Ufid(u128::from(high) << 64 | u128::from(low))
}

fn debug_fields(
    name: &str,
    get: impl Fn(FieldId) -> Wide,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let mut out = f.debug_struct(name);
    for field in super::FIELDS {
        let value = get(field.id);
        if !value.is_zero() {
            out.field(field.name, &value);
        }
    }
    out.finish()
}

impl fmt::Debug for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_fields("FlowKey", |id| self.get_wide(id), f)
    }
}

impl fmt::Debug for FlowMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_fields("FlowMask", |id| self.get_wide(id), f)
    }
}

#[cfg(test)]
mod tests;
