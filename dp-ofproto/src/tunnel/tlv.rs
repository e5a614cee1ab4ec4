//! Geneve options as OpenFlow fields: which option each `tun_metadataN` stands for.
//!
//! A controller maps options (class, type, length) to the 64 fields. Translation then sees a
//! packet's options in the lanes of tunnel metadata, and what it sets there becomes options again.
//! Fields have room for 256 bytes together, in the order in which they were mapped.

use std::collections::BTreeMap;

use dp_core::flow::{FlowKey, FlowMask, layout};

/// An option and the field that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlvEntry {
    /// Class of the option.
    pub class: u16,
    /// Its type.
    pub kind: u8,
    /// Bytes of its data: a multiple of 4, up to 124.
    pub len: u8,
    /// The field: `tun_metadata0` is 0.
    pub index: u16,
}

/// Why a mapping cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlvError {
    /// The length is no multiple of 4 or too large.
    #[error("option length is not a multiple of 4 up to 124")]
    Length,
    /// There is no such field.
    #[error("no such tunnel metadata field")]
    Index,
    /// The field is mapped already.
    #[error("field is already mapped")]
    IndexTaken,
    /// The option is mapped already.
    #[error("option is already mapped")]
    OptionTaken,
    /// There is no room for the option.
    #[error("tunnel metadata is full")]
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    entry: TlvEntry,
    /// Bytes from the beginning of the tunnel metadata.
    at: usize,
}

/// Which option each field is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlvTable {
    places: BTreeMap<u16, Place>,
}

/// Fields that there are.
pub const FIELDS: u16 = 64;
/// Bytes that options take together.
pub const SPACE: usize = 256;
const MAX_LEN: u8 = 124;

impl TlvTable {
    /// Maps options to fields: all of them or none.
    ///
    /// # Errors
    ///
    /// [`TlvError`].
    pub fn add(&mut self, entries: &[TlvEntry]) -> Result<(), TlvError> {
        let mut next = self.clone();
        for entry in entries {
            next.add_one(*entry)?;
        }
        *self = next;
        Ok(())
    }

    fn add_one(&mut self, entry: TlvEntry) -> Result<(), TlvError> {
        if entry.len == 0 || !entry.len.is_multiple_of(4) || entry.len > MAX_LEN {
            return Err(TlvError::Length);
        }
        if entry.index >= FIELDS {
            return Err(TlvError::Index);
        }
        if self.places.contains_key(&entry.index) {
            return Err(TlvError::IndexTaken);
        }
        let same =
            |place: &Place| (place.entry.class, place.entry.kind) == (entry.class, entry.kind);
        if self.places.values().any(same) {
            return Err(TlvError::OptionTaken);
        }
        let at = self.room(usize::from(entry.len)).ok_or(TlvError::Full)?;
        self.places.insert(entry.index, Place { entry, at });
        Ok(())
    }

    /// The first gap of this size. Fields that stay do not move while others come and go.
    fn room(&self, len: usize) -> Option<usize> {
        let mut taken: Vec<(usize, usize)> =
            self.places.values().map(|place| (place.at, usize::from(place.entry.len))).collect();
        taken.sort_unstable();
        let mut at = 0;
        for (from, size) in taken {
            if from >= at + len {
                break;
            }
            at = from + size;
        }
        (at + len <= SPACE).then_some(at)
    }

    /// Takes mappings away; those that are not there are passed over.
    pub fn remove(&mut self, entries: &[TlvEntry]) {
        for entry in entries {
            self.places.retain(|_, place| {
                (place.entry.class, place.entry.kind) != (entry.class, entry.kind)
            });
        }
    }

    /// Takes all mappings away.
    pub fn clear(&mut self) {
        self.places.clear();
    }

    /// The mappings, by field.
    pub fn entries(&self) -> impl Iterator<Item = TlvEntry> {
        self.places.values().map(|place| place.entry)
    }

    /// Whether nothing is mapped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Where a field's value lies in the tunnel metadata, and how long it is.
    #[must_use]
    pub fn place(&self, index: u16) -> Option<(usize, usize)> {
        let place = self.places.get(&index)?;
        Some((place.at, usize::from(place.entry.len)))
    }

    /// Shows the options of a packet as fields.
    pub fn show(&self, flow: &mut FlowKey) {
        if self.is_empty() {
            return;
        }
        let options = super::send::options(flow);
        let mut present = 0_u64;
        let mut rest = &options[..];
        while let Some(&[c0, c1, kind, len]) = rest.first_chunk() {
            let size = usize::from(len & 0x1f) * 4;
            let Some(data) = rest.get(4..4 + size) else { break };
            let class = u16::from_be_bytes([c0, c1]);
            let found = self.places.values().find(|place| {
                (place.entry.class, place.entry.kind, usize::from(place.entry.len))
                    == (class, kind, size)
            });
            if let Some(place) = found {
                put(flow, place.at, data);
                present |= 1 << place.entry.index;
            }
            rest = rest.get(4 + size..).unwrap_or_default();
        }
        if present != 0 {
            flow.store(layout::TUN_METADATA_PRESENT, u128::from(present));
        }
    }

    /// Makes options of the fields of a flow, in the order of the fields.
    pub fn hide(&self, flow: &mut FlowKey) {
        let present = flow.load(layout::TUN_METADATA_PRESENT);
        let mut bytes: Vec<u8> = Vec::new();
        for (index, place) in &self.places {
            if present >> index & 1 == 0 {
                continue;
            }
            let TlvEntry { class, kind, len, .. } = place.entry;
            bytes.extend_from_slice(&class.to_be_bytes());
            bytes.extend_from_slice(&[kind, len / 4]);
            bytes.extend((place.at..place.at + usize::from(len)).filter_map(|at| {
                flow.lane(layout::TUN_METADATA_LANE + at / 64).bytes().get(at % 64).copied()
            }));
        }
        bytes.truncate(252);
        for (at, byte) in bytes.iter().enumerate() {
            let lane = flow.lane_mut(layout::TUN_OPTIONS_LANE + at / 64);
            if let Some(place) = lane.bytes_mut().get_mut(at % 64) {
                *place = *byte;
            }
        }
        flow.store(layout::TUN_OPT_LEN, bytes.len() as u128);
    }

    /// Makes the bits of options count that are the fields which count in a mask. `flow` is the
    /// packet as it came in.
    pub fn count(&self, flow: &FlowKey, fields: &FlowMask, wc: &mut FlowMask) {
        let options = super::send::options(flow);
        if self.is_empty() {
            return;
        }
        let present = fields.load(layout::TUN_METADATA_PRESENT) != 0;
        let looked_at = self.places.values().any(|place| {
            (place.at..place.at + usize::from(place.entry.len)).any(|at| {
                let lane = fields.lane(layout::TUN_METADATA_LANE + at / 64);
                lane.bytes().get(at % 64).is_some_and(|&byte| byte != 0)
            })
        });
        if !present && !looked_at {
            return;
        }
        // Where an option stands depends on all before it: headers count whole.
        wc.unwildcard_place(layout::TUN_OPT_LEN);
        let mut at = 0;
        while let Some(&[c0, c1, kind, len]) = options.get(at..).and_then(<[u8]>::first_chunk) {
            for byte in at..at + 4 {
                count_byte(wc, byte, 0xff);
            }
            let size = usize::from(len & 0x1f) * 4;
            let class = u16::from_be_bytes([c0, c1]);
            let found = self.places.values().find(|place| {
                (place.entry.class, place.entry.kind, usize::from(place.entry.len))
                    == (class, kind, size)
            });
            if let Some(place) = found {
                for byte in 0..size {
                    let from = place.at + byte;
                    let lane = fields.lane(layout::TUN_METADATA_LANE + from / 64);
                    let bits = lane.bytes().get(from % 64).copied().unwrap_or(0);
                    count_byte(wc, at + 4 + byte, bits);
                }
            }
            at += 4 + size;
        }
    }
}

fn put(flow: &mut FlowKey, at: usize, data: &[u8]) {
    for (offset, byte) in data.iter().enumerate() {
        let at = at + offset;
        let lane = flow.lane_mut(layout::TUN_METADATA_LANE + at / 64);
        if let Some(place) = lane.bytes_mut().get_mut(at % 64) {
            *place = *byte;
        }
    }
}

fn count_byte(wc: &mut FlowMask, at: usize, bits: u8) {
    if bits != 0 {
        let lane = wc.lane_mut(layout::TUN_OPTIONS_LANE + at / 64);
        if let Some(place) = lane.bytes_mut().get_mut(at % 64) {
            *place |= bits;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FlowKey, FlowMask, TlvEntry, TlvError, TlvTable, layout};

    const fn entry(class: u16, kind: u8, len: u8, index: u16) -> TlvEntry {
        TlvEntry { class, kind, len, index }
    }

    fn with_options(options: &[u8]) -> FlowKey {
        let mut flow = FlowKey::EMPTY;
        for (at, byte) in options.iter().enumerate() {
            flow.lane_mut(layout::TUN_OPTIONS_LANE + at / 64).bytes_mut()[at % 64] = *byte;
        }
        flow.store(layout::TUN_OPT_LEN, options.len() as u128);
        flow
    }

    #[test]
    fn options_become_fields_and_options_again() {
        let mut table = TlvTable::default();
        table.add(&[entry(0x102, 0x80, 4, 0), entry(0xffff, 1, 8, 5)]).expect("there is room");
        let options =
            [0xff, 0xff, 1, 2, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 0x80, 1, 0xde, 0xad, 0xbe, 0xef];
        let mut flow = with_options(&options);
        table.show(&mut flow);
        assert_eq!(flow.load(layout::TUN_METADATA_PRESENT), 0b10_0001);
        assert_eq!(flow.lane(layout::TUN_METADATA_LANE).bytes()[..4], [0xde, 0xad, 0xbe, 0xef]);
        flow.lane_mut(layout::TUN_METADATA_LANE).bytes_mut()[3] = 0xee;
        table.hide(&mut flow);
        let again = super::super::send::options(&flow);
        assert_eq!(again[..8], [1, 2, 0x80, 1, 0xde, 0xad, 0xbe, 0xee]);
        assert_eq!(again[8..], options[..12]);
    }

    #[test]
    fn what_counts_of_fields_counts_of_options() {
        let mut table = TlvTable::default();
        table.add(&[entry(0x102, 0x80, 4, 3)]).expect("there is room");
        let flow = with_options(&[9, 9, 9, 0, 1, 2, 0x80, 1, 1, 2, 3, 4]);
        let mut wc = FlowMask::EMPTY;
        table.count(&flow, &FlowMask::EMPTY, &mut wc);
        assert_eq!(wc, FlowMask::EMPTY);
        let mut fields = FlowMask::EMPTY;
        fields.lane_mut(layout::TUN_METADATA_LANE).bytes_mut()[1] = 0xf0;
        table.count(&flow, &fields, &mut wc);
        let bytes = wc.lane(layout::TUN_OPTIONS_LANE).bytes();
        assert_eq!(bytes[..13], [255, 255, 255, 255, 255, 255, 255, 255, 0, 0xf0, 0, 0, 0]);
        assert_ne!(wc.load(layout::TUN_OPT_LEN), 0);
    }

    #[test]
    fn mappings_that_cannot_be_are_refused_and_change_nothing() {
        let mut table = TlvTable::default();
        let refused = |table: &mut TlvTable, entry| table.add(&[entry]).err();
        assert_eq!(refused(&mut table, entry(1, 1, 3, 0)), Some(TlvError::Length));
        assert_eq!(refused(&mut table, entry(1, 1, 128, 0)), Some(TlvError::Length));
        assert_eq!(refused(&mut table, entry(1, 1, 4, 64)), Some(TlvError::Index));
        table.add(&[entry(1, 1, 4, 0)]).expect("there is room");
        assert_eq!(refused(&mut table, entry(1, 2, 4, 0)), Some(TlvError::IndexTaken));
        let both = table.add(&[entry(2, 2, 4, 2), entry(1, 1, 4, 1)]);
        assert_eq!(both, Err(TlvError::OptionTaken));
        assert_eq!(table.entries().count(), 1);
        table.add(&[entry(1, 3, 124, 1)]).expect("there is room");
        table.add(&[entry(1, 4, 124, 2)]).expect("there is room");
        assert_eq!(refused(&mut table, entry(1, 5, 8, 3)), Some(TlvError::Full));
        table.remove(&[entry(1, 3, 0, 0)]);
        assert_eq!(refused(&mut table, entry(1, 5, 124, 3)), None);
        table.clear();
        assert!(table.is_empty());
    }
}
