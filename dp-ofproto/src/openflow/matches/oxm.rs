//! Fields on the wire: the header that names a field, and its value.
//!
//! NXM and OXM are one format: class, number, a bit for a mask, length of what follows. A class of
//! 0xffff has an experimenter's number behind it, which counts in the length.

use std::collections::HashMap;
use std::sync::LazyLock;

use ahash::RandomState;
use dp_core::base::OfPort;
use dp_core::flow::fields::{Format, Maskable, Oxm, OxmClass};
use dp_core::flow::wide::{WIDE_BYTES, Wide};
use dp_core::flow::{FIELDS, FieldId};

use crate::openflow::wire::{Cursor, Put};
use crate::openflow::{Code, Version};

/// What stands before a value: which field, whether a mask follows, how long both are together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OxmHeader {
    /// Class.
    pub class: u16,
    /// Number in the class.
    pub number: u8,
    /// Whether a mask follows the value.
    pub masked: bool,
    /// Bytes of the value and the mask.
    pub len: u8,
    /// Whose class it is, for class 0xffff.
    pub experimenter: Option<u32>,
}

impl OxmHeader {
    /// Reads a header.
    ///
    /// # Errors
    ///
    /// If bytes are missing.
    pub fn decode(from: &mut Cursor<'_>) -> Result<Self, Code> {
        let (class, number, len) = (from.u16()?, from.u8()?, from.u8()?);
        let (experimenter, len) = match class {
            0xffff => (Some(from.u32()?), len.checked_sub(4).ok_or(Code::BmcBadLen)?),
            _ => (None, len),
        };
        Ok(Self { class, number: number >> 1, masked: number & 1 != 0, len, experimenter })
    }

    /// Writes it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put16(self.class);
        out.put8(self.number << 1 | u8::from(self.masked));
        out.put8(self.len.saturating_add(if self.experimenter.is_some() { 4 } else { 0 }));
        if let Some(experimenter) = self.experimenter {
            out.put32(experimenter);
        }
    }

    /// The field it names.
    #[must_use]
    pub fn field(&self) -> Option<FieldId> {
        NUMBERS.get(&(self.class, self.experimenter.unwrap_or(0), self.number)).copied()
    }

    /// The header of a field in a version; `None` for a field without a number.
    #[must_use]
    pub fn of(field: FieldId, version: Version, masked: bool) -> Option<Self> {
        Self::with_len(field, version, masked, field.field().wire_len)
    }

    /// The same for a value of this length.
    #[must_use]
    pub fn with_len(field: FieldId, version: Version, masked: bool, len: u8) -> Option<Self> {
        let oxm = number(field, version)?;
        let (class, experimenter) = oxm.class.wire();
        let len = if masked { len.saturating_mul(2) } else { len };
        Some(Self { class, number: oxm.number, masked, len, experimenter })
    }
}

/// Reads the header of a field that an action is about. The length in it is that of the field.
///
/// # Errors
///
/// If it names no field, or has a mask, or a length that is not the field's.
pub fn decode_field(from: &mut Cursor<'_>, unknown: Code) -> Result<FieldId, Code> {
    let header = OxmHeader::decode(from)?;
    let field = header.field().ok_or(unknown)?;
    let right = header.len == 0
        || header.len == field.field().wire_len
        || field.tun_metadata_number().is_some();
    if header.masked || !right { Err(unknown) } else { Ok(field) }
}

/// Reads the header of a field in a room of 32 bits, as most extensions' actions have it; one of an
/// experimenter's is eight bytes long and would not fit.
///
/// # Errors
///
/// As [`decode_field`].
pub fn decode_field32(from: &mut Cursor<'_>, unknown: Code) -> Result<FieldId, Code> {
    let mut word = Cursor::new(from.bytes(4)?).or(unknown);
    decode_field(&mut word, unknown)
}

/// Writes the header of a field that an action is about; nothing for one without a number.
pub fn encode_field(out: &mut Vec<u8>, field: FieldId, version: Version) {
    if let Some(header) = OxmHeader::of(field, version, false) {
        header.encode(out);
    }
}

/// How a value of a field is on the wire.
#[must_use]
pub fn to_wire(field: FieldId, value: u128) -> u128 {
    match field.field().format {
        Format::OfPort32 => {
            u128::from(OfPort(u16::try_from(value).unwrap_or(u16::MAX)).to_wire32())
        }
        _ => value,
    }
}

/// The value of a field that is on the wire as `wire`; `None` for one that the field never has.
#[must_use]
pub fn from_wire(field: FieldId, wire: u128) -> Option<u128> {
    let row = field.field();
    match row.format {
        Format::OfPort32 => {
            OfPort::from_wire32(u32::try_from(wire).ok()?).map(|port| u128::from(port.0))
        }
        Format::Tos if wire & 3 != 0 => None,
        _ if field == FieldId::VlanVid => (wire <= 0x1fff).then_some(wire),
        _ => (wire & !row.ones() == 0).then_some(wire),
    }
}

/// All ones in the width of a field's value on the wire.
#[must_use]
pub fn wire_ones(field: FieldId) -> u128 {
    u128::MAX >> (128 - 8 * u32::from(field.field().wire_len).clamp(1, 16))
}

/// Whether a field has as many bits as its octets on the wire.
#[must_use]
pub fn fills_octets(field: FieldId) -> bool {
    wire_ones(field) == field.field().ones()
}

/// The bits of a field that a match without a mask looks at.
#[must_use]
pub fn exact_mask(field: FieldId) -> u128 {
    match field {
        FieldId::VlanVid => 0x1fff,
        _ if field.field().format == Format::Tos => 0xfc,
        _ => field.field().ones(),
    }
}

/// [`decode_value`] for a field of any width.
///
/// # Errors
///
/// The same.
pub fn decode_wide(
    header: &OxmHeader,
    field: FieldId,
    from: &mut Cursor<'_>,
) -> Result<(Wide, Wide), Code> {
    if field.tun_metadata_number().is_some() {
        return decode_tunnel(header, from);
    }
    decode_value(header, field, from).map(|(value, mask)| (value.into(), mask.into()))
}

/// Reads the value, and the mask if there is one, behind a header; not for tunnel metadata. The mask that is returned has
/// only bits of the field.
///
/// # Errors
///
/// A length or a mask that the field does not have, bits outside the mask, values it never has.
pub fn decode_value(
    header: &OxmHeader,
    field: FieldId,
    from: &mut Cursor<'_>,
) -> Result<(u128, u128), Code> {
    let len = field.field().wire_len;
    let expected = if header.masked { u16::from(len) * 2 } else { u16::from(len) };
    if u16::from(header.len) != expected {
        return Err(Code::BmcBadLen);
    }
    let value = from.number(usize::from(len))?;
    if !header.masked {
        let value = from_wire(field, value).ok_or(Code::BmcBadValue)?;
        return Ok((value, exact_mask(field)));
    }
    let mask = from.number(usize::from(len))?;
    if value & !mask != 0 {
        return Err(Code::BmcBadWildcards);
    }
    let whole = mask & exact_mask(field) == exact_mask(field);
    if field.field().maskable == Maskable::Exact && mask != 0 && !whole {
        return Err(Code::BmcBadMask);
    }
    let value = match field.field().format {
        Format::OfPort32 if mask == 0 => 0,
        _ => from_wire(field, value).ok_or(Code::BmcBadValue)?,
    };
    Ok((value, mask & exact_mask(field)))
}

/// The value and mask of a tunnel option: as long as the option is. Without a mask all bits count,
/// however long the option is: beyond what is said there are zeros.
fn decode_tunnel(header: &OxmHeader, from: &mut Cursor<'_>) -> Result<(Wide, Wide), Code> {
    if header.masked && !header.len.is_multiple_of(2) {
        return Err(Code::BmcBadLen);
    }
    let len = usize::from(if header.masked { header.len / 2 } else { header.len });
    if len == 0 {
        // With a mask it says that the option is there, without one that it is zero.
        return Ok((Wide::ZERO, if header.masked { Wide::ZERO } else { Wide::ONES }));
    }
    if len > WIDE_BYTES {
        return Err(Code::BmcBadLen);
    }
    let value = Wide::from_bytes(from.bytes(len)?);
    if !header.masked {
        return Ok((value, Wide::ONES));
    }
    let mask = Wide::from_bytes(from.bytes(len)?);
    match (value & !mask).is_zero() {
        true => Ok((value, mask)),
        false => Err(Code::BmcBadWildcards),
    }
}

/// Writes tunnel metadata, as long as what is said of it, in words.
pub fn encode_tunnel(out: &mut Vec<u8>, field: FieldId, value: Wide, mask: Wide, version: Version) {
    let masked = mask != Wide::ONES;
    let said = if masked { mask } else { value };
    let bytes = usize::from(said.width().div_ceil(32).max(1) * 4);
    let len = u8::try_from(bytes).unwrap_or(0);
    let Some(header) = OxmHeader::with_len(field, version, masked, len) else { return };
    header.encode(out);
    let tail = WIDE_BYTES - bytes;
    out.put(&(value & mask).bytes()[tail..]);
    if masked {
        out.put(&mask.bytes()[tail..]);
    }
}

/// Writes a field with its value, and its mask if not all bits count; not tunnel metadata.
pub fn encode_value(out: &mut Vec<u8>, field: FieldId, value: u128, mask: u128, version: Version) {
    if mask != exact_mask(field) {
        return encode_masked(out, field, value, mask, version);
    }
    let Some(header) = OxmHeader::of(field, version, false) else { return };
    header.encode(out);
    out.put_number(to_wire(field, value & mask), usize::from(field.field().wire_len));
}

/// Writes a field with a mask, whichever bits that has.
pub fn encode_masked(out: &mut Vec<u8>, field: FieldId, value: u128, mask: u128, version: Version) {
    let Some(header) = OxmHeader::of(field, version, true) else { return };
    header.encode(out);
    let len = usize::from(field.field().wire_len);
    out.put_number(to_wire(field, value & mask), len);
    out.put_number(mask, len);
}

/// The number that a version gives a field: the specification's where it has one by then, else the
/// extensions'; OpenFlow 1.0 and 1.1 know the extensions only.
#[must_use]
pub fn number(field: FieldId, version: Version) -> Option<Oxm> {
    let numbers = field.field().oxm;
    let extension = numbers.iter().find(|oxm| matches!(oxm.class, OxmClass::Nxm0 | OxmClass::Nxm1));
    let standard = numbers
        .iter()
        .filter(|oxm| !matches!(oxm.class, OxmClass::Nxm0 | OxmClass::Nxm1))
        .find(|oxm| since(field, oxm.class) <= version);
    match version {
        Version::V10 | Version::V11 => extension.or(standard).or(numbers.first()),
        _ => standard.or(extension).or(numbers.first()),
    }
    .copied()
}

/// The version that gave a field its number of a class.
fn since(field: FieldId, class: OxmClass) -> Version {
    match (class, field) {
        (OxmClass::Oxm, FieldId::TcpFlags | FieldId::ActsetOutput | FieldId::PacketType) => {
            Version::V15
        }
        (OxmClass::Oxm, FieldId::TunId | FieldId::MplsBos)
        | (OxmClass::PacketRegs | OxmClass::Onf, _) => Version::V13,
        (OxmClass::Oxm, _) => Version::V12,
        _ => Version::V10,
    }
}

/// Fields by class, experimenter and number.
static NUMBERS: LazyLock<HashMap<(u16, u32, u8), FieldId, RandomState>> = LazyLock::new(|| {
    FIELDS
        .iter()
        .flat_map(|field| field.oxm.iter().map(move |oxm| (oxm, field.id)))
        .map(|(oxm, id)| {
            let (class, experimenter) = oxm.class.wire();
            ((class, experimenter.unwrap_or(0), oxm.number), id)
        })
        .collect()
});
