//! `encap` and `decap`.

use super::{begin_nicira, end};
use crate::action::{Action, Encap, EncapProperty, PacketType};
use crate::openflow::Code;
use crate::openflow::wire::{Cursor, Put};

pub(super) const ENCAP: u16 = 46;
pub(super) const DECAP: u16 = 47;

/// Class of properties of NSH headers.
const CLASS_NSH: u16 = 4;
const NSH_MDTYPE: u8 = 1;
const NSH_TLV: u8 = 2;

pub(super) fn decode_encap(from: &mut Cursor<'_>) -> Result<Action, Code> {
    from.skip(2)?;
    let packet_type = PacketType(from.u32()?);
    let known =
        [PacketType::ETHERNET, PacketType::NSH, PacketType::MPLS, PacketType::MPLS_MULTICAST];
    if !known.contains(&packet_type) {
        return Err(Code::NxbacBadHeaderType);
    }
    let mut properties = Vec::new();
    while !from.is_empty() {
        let mut head = *from;
        let (class, ty, len) = (head.u16()?, head.u8()?, usize::from(head.u8()?));
        let mut value = head.sub(len.checked_sub(4).ok_or(Code::NxbacBadEdProp)?)?;
        from.skip(len.next_multiple_of(8).min(from.len()))?;
        properties.push(match (class, ty) {
            (CLASS_NSH, NSH_MDTYPE) => match value.u8()? {
                md_type @ (1 | 2) => EncapProperty::NshMdType(md_type),
                _ => return Err(Code::NxbacBadEdProp),
            },
            (CLASS_NSH, NSH_TLV) => {
                let (class, kind) = (value.u16()?, value.u8()?);
                let len = usize::from(value.u8()?);
                EncapProperty::NshTlv { class, kind, value: value.bytes(len)?.into() }
            }
            _ => return Err(Code::NxbacUnknownEdProp),
        });
    }
    let encap = Encap { packet_type, properties: properties.into() };
    Ok(Action::Encap(Box::new(encap)))
}

pub(super) fn encode_encap(out: &mut Vec<u8>, encap: &Encap) {
    let start = begin_nicira(out, ENCAP);
    out.put16(0);
    out.put32(encap.packet_type.0);
    for property in &encap.properties {
        let at = out.len();
        out.put16(CLASS_NSH);
        match property {
            EncapProperty::NshMdType(md_type) => {
                out.put8(NSH_MDTYPE);
                out.put8(8);
                out.put8(*md_type);
            }
            EncapProperty::NshTlv { class, kind, value } => {
                out.put8(NSH_TLV);
                // What is put behind it to fill up counts.
                out.put8(u8::try_from((value.len() + 8).next_multiple_of(8)).unwrap_or(u8::MAX));
                out.put16(*class);
                out.put8(*kind);
                out.put8(u8::try_from(value.len()).unwrap_or(u8::MAX));
                out.put(value);
            }
        }
        out.pad8(at);
    }
    end(out, start);
}

pub(super) fn decode_decap(from: &mut Cursor<'_>) -> Result<Action, Code> {
    from.skip(2)?;
    let next = PacketType(from.u32()?);
    Ok(Action::Decap((next != PacketType::USE_NEXT_PROTO).then_some(next)))
}

pub(super) fn encode_decap(out: &mut Vec<u8>, next: Option<PacketType>) {
    let start = begin_nicira(out, DECAP);
    out.zeros(2);
    out.put32(next.unwrap_or(PacketType::USE_NEXT_PROTO).0);
    end(out, start);
}
