//! Which Geneve options the tunnel metadata fields are (`add-tlv-map`).
//!
//! A packet carries options as they are on the wire, in any order; flow tables see those that the
//! bridge has given a number, each as a field. The datapath matches options where they stand: a
//! decision that looked at a field makes all headers of options count, so that every packet of the
//! megaflow has the same options in the same places, and of the values those bits that the decision
//! looked at.
//!
//! *Bounds*: all options together have at most 256 bytes, as in `ovs-fields(7)`.

use dp_core::flow::wide::WIDE_BYTES;
use dp_core::flow::{FieldId, FlowKey, FlowMask, Wide, layout};
use thiserror::Error;

/// Bytes of the values of all options that are mapped.
pub const SPACE: u16 = 256;
/// First byte of the raw options in a key, and how many there may be.
const OPTIONS: usize = layout::TUN_OPTIONS_LANE * 64;
const OPTIONS_MAX: usize = 252;
/// Bits of an option's fourth byte that are its length, in words.
const LEN_BITS: u8 = 0x1f;

/// A Geneve option, by what its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tlv {
    /// Option class.
    pub class: u16,
    /// Type, with the critical bit.
    pub kind: u8,
    /// Bytes of its value.
    pub len: u8,
}

/// Why a mapping is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TlvError {
    /// Not a length that an option can have.
    #[error("an option's length is a multiple of 4 from 4 to 124")]
    BadLength,
    /// No such field.
    #[error("tunnel metadata fields are numbered from 0 to 63")]
    BadIndex,
    /// The field is mapped already.
    #[error("the field is mapped already")]
    AlreadyMapped,
    /// The option is mapped already.
    #[error("the option is mapped already")]
    Duplicate,
    /// There is no room for it.
    #[error("no room: all options together have at most 256 bytes")]
    Full,
}

/// The mappings of a bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlvTable {
    entries: std::collections::BTreeMap<u8, Tlv>,
}

impl TlvTable {
    /// Maps an option to a field.
    ///
    /// # Errors
    ///
    /// Why not; nothing has changed then.
    pub fn add(&mut self, index: u16, tlv: Tlv) -> Result<(), TlvError> {
        let index = u8::try_from(index).ok().filter(|&index| index < FieldId::TUN_METADATA);
        let index = index.ok_or(TlvError::BadIndex)?;
        if !tlv.len.is_multiple_of(4) || !(4..=124).contains(&tlv.len) {
            return Err(TlvError::BadLength);
        }
        if self.entries.contains_key(&index) {
            return Err(TlvError::AlreadyMapped);
        }
        if self.entries.values().any(|known| (known.class, known.kind) == (tlv.class, tlv.kind)) {
            return Err(TlvError::Duplicate);
        }
        let taken: u16 = self.entries.values().map(|known| u16::from(known.len)).sum();
        if taken + u16::from(tlv.len) > SPACE {
            return Err(TlvError::Full);
        }
        self.entries.insert(index, tlv);
        Ok(())
    }

    /// Takes a mapping away, if it is there.
    pub fn remove(&mut self, index: u16, tlv: Tlv) {
        if let Ok(index) = u8::try_from(index)
            && self.entries.get(&index) == Some(&tlv)
        {
            self.entries.remove(&index);
        }
    }

    /// Takes all mappings away.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The mappings, ascending by field.
    pub fn iter(&self) -> impl Iterator<Item = (u8, Tlv)> {
        self.entries.iter().map(|(index, tlv)| (*index, *tlv))
    }

    /// The option that a field is.
    #[must_use]
    pub fn get(&self, field: FieldId) -> Option<Tlv> {
        self.entries.get(&field.tun_metadata_number()?).copied()
    }

    /// How many bits a field has; `None` if no option is mapped to it.
    #[must_use]
    pub fn bits(&self, field: FieldId) -> Option<u16> {
        self.get(field).map(|tlv| u16::from(tlv.len) * 8)
    }

    /// What is said of a field, as an option of this length can have it: of a value that is too long
    /// the leading bytes count; a mask that has all its bits has all.
    #[must_use]
    pub fn fitted(bits: u16, value: Wide, mask: Wide) -> (Wide, Wide) {
        let said = if mask == Wide::ONES { value } else { mask };
        let beyond = u32::from(said.width().next_multiple_of(8).saturating_sub(bits));
        let whole = Wide::ones(bits);
        if mask == Wide::ONES {
            return (value >> beyond & whole, mask);
        }
        let (value, mask) = (value >> beyond & whole, mask >> beyond & whole);
        (value, if mask == whole { Wide::ONES } else { mask })
    }

    fn field_of(&self, class: u16, kind: u8, len: usize) -> Option<FieldId> {
        let found = self
            .entries
            .iter()
            .find(|(_, tlv)| (tlv.class, tlv.kind) == (class, kind) && usize::from(tlv.len) == len);
        FieldId::tun_metadata(*found?.0)
    }

    /// Fills the fields of a key from the options that it has as they are on the wire.
    pub fn fill(&self, key: &mut FlowKey) {
        if self.entries.is_empty() || key.load(layout::TUN_OPT_LEN) == 0 {
            return;
        }
        let mut found = Vec::new();
        each_option(key, |_, class, kind, value| {
            if let Some(field) = self.field_of(class, kind, value.len()) {
                found.push((field, Wide::from_bytes(value)));
            }
        });
        for (field, number) in found {
            key.set_wide(field, number, Wide::ONES);
        }
    }

    /// Makes those bits of the options on the wire count in `mask` that decide about the fields
    /// which count in `wc`.
    pub fn unwildcard(&self, key: &FlowKey, wc: &FlowMask, mask: &mut FlowMask) {
        if wc.load(layout::TUN_METADATA_PRESENT) == 0 {
            return;
        }
        mask.unwildcard_place(layout::TUN_OPT_LEN);
        let mut bytes = Vec::new();
        each_option(key, |at, class, kind, value| {
            bytes.extend([(at, 0xff), (at + 1, 0xff), (at + 2, 0xff), (at + 3, LEN_BITS)]);
            let field = self.field_of(class, kind, value.len());
            let wanted = field.map_or(Wide::ZERO, |field| wc.get_wide(field)).bytes();
            let low = wanted.get(wanted.len().saturating_sub(value.len())..).unwrap_or(&wanted);
            bytes.extend(low.iter().enumerate().map(|(n, byte)| (at + 4 + n, *byte)));
        });
        for (at, bits) in bytes {
            let place = layout::Place { offset: u16::try_from(at).unwrap_or(0), len: 1 };
            let counts = mask.load(place) | u128::from(bits);
            mask.store(place, counts);
        }
    }

    /// Writes the options that a packet with this flow carries into a tunnel where a key has them
    /// as they are on the wire.
    pub fn put_options(&self, flow: &mut FlowKey) {
        if self.entries.is_empty() {
            return;
        }
        let options = self.options(flow);
        for (at, byte) in options.iter().enumerate() {
            let offset = u16::try_from(OPTIONS + at).unwrap_or(0);
            flow.store(layout::Place { offset, len: 1 }, u128::from(*byte));
        }
        flow.store(layout::TUN_OPT_LEN, u128::try_from(options.len()).unwrap_or(0));
    }

    /// The options that a packet with this flow carries into a tunnel, as they are on the wire:
    /// those of the fields that are there, ascending.
    #[must_use]
    pub fn options(&self, flow: &FlowKey) -> Vec<u8> {
        let present = flow.load(layout::TUN_METADATA_PRESENT);
        let mut out = Vec::new();
        for (index, tlv) in self.iter().filter(|(index, _)| present >> index & 1 != 0) {
            let Some(field) = FieldId::tun_metadata(index) else { continue };
            let len = usize::from(tlv.len);
            if out.len() + 4 + len > OPTIONS_MAX {
                break;
            }
            out.extend(tlv.class.to_be_bytes());
            out.extend([tlv.kind, tlv.len / 4]);
            let value = flow.get_wide(field).bytes();
            out.extend(value.get(WIDE_BYTES.saturating_sub(len)..).unwrap_or_default());
        }
        out
    }
}

/// Calls `each` with the place in the key, class, type and value of every option.
fn each_option(key: &FlowKey, mut each: impl FnMut(usize, u16, u8, &[u8])) {
    let len = usize::try_from(key.load(layout::TUN_OPT_LEN)).unwrap_or(0).min(OPTIONS_MAX);
    let options = key.bytes().get(OPTIONS..OPTIONS + len).unwrap_or_default();
    let mut at = 0;
    while let Some(&[c0, c1, kind, size]) = options.get(at..).and_then(<[u8]>::first_chunk::<4>) {
        let bytes = usize::from(size & LEN_BITS) * 4;
        let value = options.get(at + 4..).unwrap_or_default();
        let value = value.get(..bytes).unwrap_or(value);
        each(OPTIONS + at, u16::from_be_bytes([c0, c1]), kind, value);
        at += 4 + bytes;
    }
}

#[cfg(test)]
mod tests {
    use dp_core::flow::text::{PortNumbers, parse_flow};
    use dp_core::flow::{FieldId, FlowKey, FlowMask, Wide, layout};

    use super::{Tlv, TlvError, TlvTable};

    const A: Tlv = Tlv { class: 0xffff, kind: 0x80, len: 4 };
    const B: Tlv = Tlv { class: 0x102, kind: 0, len: 8 };

    fn table() -> TlvTable {
        let mut table = TlvTable::default();
        table.add(0, A).unwrap();
        table.add(3, B).unwrap();
        table
    }

    fn key(options: &str) -> FlowKey {
        let text = format!("tunnel(dst=1.1.1.1,ttl=64,geneve({options})),in_port(1),eth()");
        parse_flow(&text, &PortNumbers).unwrap().key
    }

    #[test]
    fn options_become_fields_and_fields_options() {
        let mut flow =
            key("{class=0x102,type=0,len=8,0x1122334455667788}{class=0x1,type=0x1,len=4,0x9}\
             {class=0xffff,type=0x80,len=4,0xa}");
        table().fill(&mut flow);
        assert_eq!(flow.get(FieldId::TunMetadata0), 0xa);
        assert_eq!(flow.get(FieldId::TunMetadata3), 0x1122_3344_5566_7788);
        assert_eq!(flow.load(layout::TUN_METADATA_PRESENT), 0b1001);
        let wire = [
            0xff, 0xff, 0x80, 1, 0, 0, 0, 0xa, 1, 2, 0, 2, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66,
            0x77, 0x88,
        ];
        assert_eq!(table().options(&flow), wire);
        let mut sent = FlowKey::EMPTY;
        sent.set(FieldId::TunMetadata0, 0xa);
        table().put_options(&mut sent);
        assert_eq!(sent.load(layout::TUN_OPT_LEN), 8);
        assert_eq!(sent.lane(layout::TUN_OPTIONS_LANE).bytes()[..8], wire[..8]);
        let mut other = key("{class=0xffff,type=0x80,len=8,0xa}");
        table().fill(&mut other);
        assert_eq!(other.load(layout::TUN_METADATA_PRESENT), 0, "another length, another option");
    }

    #[test]
    fn whoever_looks_at_a_field_makes_all_headers_count() {
        let options = "{class=0x1,type=0x1,len=4,0x9}{class=0xffff,type=0x80,len=4,0xa0b}";
        let key = key(options);
        let mut wc = FlowMask::EMPTY;
        let mut mask = FlowMask::EMPTY;
        table().unwildcard(&key, &wc, &mut mask);
        assert_eq!(mask, FlowMask::EMPTY);
        wc.unwildcard_bits(FieldId::TunMetadata0, 0xff);
        table().unwildcard(&key, &wc, &mut mask);
        let lane = mask.lane(layout::TUN_OPTIONS_LANE).bytes();
        let expect = [0xff, 0xff, 0xff, 0x1f, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x1f, 0, 0, 0, 0xff];
        assert_eq!(lane[..16], expect);
        assert_eq!(mask.load(layout::TUN_OPT_LEN), 0xff);
    }

    #[test]
    fn what_is_too_long_for_an_option_keeps_its_leading_bytes() {
        let wide = |number: u128| Wide::from(number);
        let fitted = |value, mask| TlvTable::fitted(32, value, mask);
        assert_eq!(fitted(wide(0x12_3456_7890), Wide::ONES), (wide(0x1234_5678), Wide::ONES));
        assert_eq!(fitted(wide(0x1_2345_6789), Wide::ONES), (wide(0x0123_4567), Wide::ONES));
        assert_eq!(fitted(wide(5), Wide::ONES), (wide(5), Wide::ONES));
        assert_eq!(fitted(wide(5), wide(0xffff_ffff)), (wide(5), Wide::ONES));
        assert_eq!(fitted(wide(5), wide(0xff)), (wide(5), wide(0xff)));
    }

    #[test]
    fn mappings_that_cannot_be_are_refused() {
        let mut table = table();
        let c = Tlv { class: 5, kind: 5, len: 4 };
        assert_eq!(table.add(64, c), Err(TlvError::BadIndex));
        assert_eq!(table.add(1, Tlv { len: 5, ..c }), Err(TlvError::BadLength));
        assert_eq!(table.add(1, Tlv { len: 0, ..c }), Err(TlvError::BadLength));
        assert_eq!(table.add(0, c), Err(TlvError::AlreadyMapped));
        assert_eq!(table.add(1, A), Err(TlvError::Duplicate));
        let long = Tlv { len: 124, ..c };
        assert_eq!(table.add(16, long), Ok(()));
        assert_eq!(table.add(1, Tlv { kind: 6, ..long }), Err(TlvError::Full));
        assert_eq!(table.add(1, Tlv { kind: 6, len: 120, ..c }), Ok(()));
        assert_eq!(table.add(63, Tlv { kind: 7, ..c }), Err(TlvError::Full), "256 bytes");
        table.remove(16, A);
        assert_eq!(table.iter().count(), 4);
        table.remove(16, long);
        assert_eq!(table.add(63, Tlv { kind: 7, ..c }), Ok(()));
        table.clear();
        assert_eq!(table, TlvTable::default());
    }
}
