//! Reading matches: fields by name or alias, and the short words for protocols.
//!
//! Some names depend on what else the line says: `tp_dst` is the port of whichever protocol is
//! matched, `icmp_type` is ICMPv6's with IPv6, `nw_src` is ARP's sender with ARP. So items are
//! gathered first and understood when the line is complete.

use dp_core::flow::{FieldId, Wide, layout};

use super::error::{Problem, TextError};
use super::match_print::PROTOCOLS;
use super::names::PortNames;
use super::piece::{Item, Piece};
use super::value::{full_mask, number, parse_value, parse_wide};
use crate::matching::{Match, MatchBuilder, prereq};

/// Reads a match alone: `tcp,nw_src=10.0.0.0/8`.
///
/// # Errors
///
/// What is wrong, and where.
pub fn parse_match(text: &str, names: &dyn PortNames) -> Result<Match, TextError> {
    let mut items = MatchItems::default();
    let mut rest = Piece::line(text);
    while let Some(item) = rest.next_item()? {
        items.add(item)?;
    }
    items.finish(names)
}

/// The items of a match, gathered while a line is read.
#[derive(Default)]
pub(super) struct MatchItems<'a> {
    items: Vec<(FieldId, Item<'a>)>,
    builder: MatchBuilder,
}

impl<'a> MatchItems<'a> {
    /// Takes an item that is no keyword of the line.
    pub(super) fn add(&mut self, item: Item<'a>) -> Result<(), TextError> {
        let name = item.key.text;
        if name == "eth" {
            item.expect_none()?;
            return self.require(item.key, FieldId::PacketType, 0, u128::MAX);
        }
        if let Some(&(eth_type, proto, _)) = PROTOCOLS.iter().find(|row| row.2 == name) {
            item.expect_none()?;
            self.require(item.key, FieldId::EthType, u128::from(eth_type), u128::MAX)?;
            return match proto {
                Some(p) => self.require(item.key, FieldId::NwProto, u128::from(p), u128::MAX),
                None => Ok(()),
            };
        }
        let field = match name {
            // As dumps spell them.
            "gtpu_flags" => Some(FieldId::TunGtpuFlags),
            "gtpu_msgtype" => Some(FieldId::TunGtpuMsgtype),
            _ => FieldId::by_name(name).or_else(|| FieldId::by_oxm_name(name)),
        };
        let field = field.ok_or_else(|| item.key.error(Problem::UnknownKey))?;
        self.items.push((field, item));
        Ok(())
    }

    /// Understands all items.
    pub(super) fn finish(mut self, names: &dyn PortNames) -> Result<Match, TextError> {
        let items = std::mem::take(&mut self.items);
        // What decides about other names comes first.
        let decides =
            |id: FieldId| matches!(id, FieldId::EthType | FieldId::NwProto | FieldId::PacketType);
        for (field, item) in items.iter().filter(|(field, _)| decides(*field)) {
            self.set(*field, item, names)?;
        }
        let mut named = Vec::with_capacity(items.len());
        for (field, item) in &items {
            let field = self.meant(*field, item.key.text);
            if !decides(field) {
                self.set(field, item, names)?;
            }
            named.push((field, item));
        }
        let MatchBuilder { key, mask } = &self.builder;
        for (field, item) in named {
            if mask.get(field) != 0 {
                prereq::check(field, key, mask).map_err(|error| item.key.error(error))?;
            }
        }
        Ok(self.builder.finish())
    }

    /// Which field a name means, now that the protocol is known.
    fn meant(&self, field: FieldId, name: &str) -> FieldId {
        let MatchBuilder { key, mask } = &self.builder;
        let has = |needs| prereq::met(needs, key, mask);
        use dp_core::flow::fields::Prereq;
        match name {
            "tp_src" if has(Prereq::Udp) => FieldId::UdpSrc,
            "tp_dst" if has(Prereq::Udp) => FieldId::UdpDst,
            "tp_src" if has(Prereq::Sctp) => FieldId::SctpSrc,
            "tp_dst" if has(Prereq::Sctp) => FieldId::SctpDst,
            "icmp_type" if has(Prereq::Icmpv6) => FieldId::Icmpv6Type,
            "icmp_code" if has(Prereq::Icmpv6) => FieldId::Icmpv6Code,
            "nw_src" if has(Prereq::Arp) => FieldId::ArpSpa,
            "nw_dst" if has(Prereq::Arp) => FieldId::ArpTpa,
            "nw_proto" if has(Prereq::Arp) => FieldId::ArpOp,
            _ => field,
        }
    }

    fn set(
        &mut self,
        field: FieldId,
        item: &Item<'_>,
        names: &dyn PortNames,
    ) -> Result<(), TextError> {
        const PRESENT: u128 = layout::VLAN_PRESENT as u128;
        if field.tun_metadata_number().is_some() && item.value.is_none() {
            // The option has to be there, with whatever value.
            self.builder.set(field, 0, 0);
            return Ok(());
        }
        let piece = item.expect("`field=value` or `field=value/mask`")?;
        if field.tun_metadata_number().is_some() {
            return self.require_option(item.key, field, parse_wide(field.field(), piece, names)?);
        }
        match field {
            FieldId::DlVlan => match number(piece, "dl_vlan", 16)? {
                0xffff => self.require(item.key, FieldId::VlanTci, 0, 0xffff),
                vid if vid > 0xfff => {
                    Err(piece.error(Problem::TooWide { what: "dl_vlan", bits: 12 }))
                }
                vid => self.require(item.key, FieldId::VlanTci, vid | PRESENT, 0xfff | PRESENT),
            },
            FieldId::VlanVid => {
                let (vid, mask) = vlan_vid(piece)?;
                self.require(item.key, FieldId::VlanTci, vid, mask)
            }
            FieldId::DlVlanPcp | FieldId::VlanPcp => {
                let (pcp, mask) = parse_value(field.field(), piece, names)?;
                if mask == 0 {
                    return Ok(());
                }
                self.require(item.key, FieldId::VlanTci, pcp << 13 | PRESENT, 0xe000 | PRESENT)
            }
            _ => {
                let said = parse_value(field.field(), piece, names)?;
                self.require_of(item.key, field, said, full_mask(field.field()))
            }
        }
    }

    /// Adds tunnel metadata to the match, unless the match says otherwise already.
    fn require_option(
        &mut self,
        at: Piece<'_>,
        field: FieldId,
        (value, mask): (Wide, Wide),
    ) -> Result<(), TextError> {
        let already = self.builder.mask.get_wide(field);
        let differs = (self.builder.key.get_wide(field) ^ value) & already & mask;
        if !(differs | already & !mask).is_zero() {
            return Err(at.error(Problem::Contradiction));
        }
        self.builder.set_wide(field, value, mask);
        Ok(())
    }

    /// Adds to the match what an item says of a part of a field, unless the match says otherwise
    /// already.
    fn require(
        &mut self,
        at: Piece<'_>,
        field: FieldId,
        value: u128,
        mask: u128,
    ) -> Result<(), TextError> {
        self.require_of(at, field, (value, mask), mask)
    }

    /// The same for an item that says all there is to say of the bits `whole` of the field: what
    /// the match says of them already must not be more.
    fn require_of(
        &mut self,
        at: Piece<'_>,
        field: FieldId,
        (value, mask): (u128, u128),
        whole: u128,
    ) -> Result<(), TextError> {
        let already = self.builder.mask.get(field);
        let differs = (self.builder.key.get(field) ^ value) & already & mask;
        if differs | (already & whole & !mask) != 0 {
            return Err(at.error(Problem::Contradiction));
        }
        self.builder.set(field, value, mask);
        Ok(())
    }
}

/// The VID as OpenFlow 1.2 and later match it: 13 bits, of which 0x1000 says that the tag is there.
fn vlan_vid(piece: Piece<'_>) -> Result<(u128, u128), TextError> {
    const PRESENT: u128 = layout::VLAN_PRESENT as u128;
    let (value, mask) = match piece.split_once("/") {
        Some((value, mask)) => (number(value, "vlan_vid", 13)?, number(mask, "vlan_vid", 13)?),
        None => (number(piece, "vlan_vid", 13)?, 0x1fff),
    };
    let value = value & mask;
    if mask & PRESENT != 0 && value & PRESENT == 0 && value != 0 {
        return Err(piece.error(Problem::Expected(
            "a VID with the present bit (vlan_vid=0x1005; dl_vlan=5 is the same), or 0 for no tag",
        )));
    }
    Ok((value, mask))
}
