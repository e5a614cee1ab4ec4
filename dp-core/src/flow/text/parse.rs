//! Reading a key: attribute by attribute, in any order.

use core::net::Ipv6Addr;

use super::error::{Problem, TextError};
use super::ports::DpPorts;
use super::scan::{Item, Piece};
use super::table::{self, Attr, Attrs, Format, Part};
use super::{tunnel, value};
use crate::base::Ufid;
use crate::flow::key::{FlowKey, FlowMask};
use crate::flow::layout::{self, Place};

/// Ethertype in keys of frames that have none.
pub(crate) const ETH_TYPE_NONE: u128 = 0x05ff;
/// Places of the two tags: TCI and TPID.
pub(crate) const TAGS: [(Place, Place, Attrs); 2] = [
    (layout::VLAN_TCI, layout::VLAN_TPID, Attrs::VLAN),
    (layout::VLAN_TCI1, layout::VLAN_TPID1, Attrs::VLAN1),
];
/// Places of the label stack.
pub(crate) const LABELS: [Place; 3] = [layout::MPLS0, layout::MPLS1, layout::MPLS2];

/// What a text says of a flow.
#[derive(Clone, Debug)]
pub struct ParsedFlow {
    /// The id that stands before the key, if one does.
    pub ufid: Option<Ufid>,
    /// The values; also the bits that the mask says do not count. What is not named is zero, but
    /// the port of entry is none.
    pub key: FlowKey,
    /// Which bits count. A value without a mask counts whole; what is not named does not count,
    /// but `recirc_id` does, and without tags the packet must have none.
    pub mask: FlowMask,
    /// Which attributes are named.
    pub attrs: Attrs,
}

/// Reads a key with or without masks, as `ovs-appctl dpctl/dump-flows` prints it:
/// `recirc_id(0),in_port(1),eth(src=…,dst=…),eth_type(0x0800),ipv4(…),udp(…)`.
///
/// What fits together is not asked here: see [`ParsedFlow::fits`].
///
/// # Errors
///
/// The first token that is wrong.
pub fn parse_flow<'a>(text: &'a str, ports: &dyn DpPorts) -> Result<ParsedFlow, TextError<'a>> {
    let mut piece = Piece::whole(text);
    let mut flow = ParsedFlow::empty();
    piece.more();
    if piece.take("ufid:") {
        let end = piece.text.find([',', ' ']).unwrap_or(piece.text.len());
        flow.ufid = Some(parse_ufid(piece.slice(0, end))?);
        piece = piece.tail(end);
    }
    flow.key.store(layout::IN_PORT, u128::from(u32::MAX));
    flow.mask.unwildcard_place(layout::RECIRC_ID);
    Reader { flow: &mut flow, ports }.level(piece, 0)?;
    Ok(flow)
}

/// Reads one attribute, as a `set` action has it. Values without a mask are written whole.
pub(crate) fn parse_attribute<'a>(
    piece: Piece<'a>,
    ports: &dyn DpPorts,
) -> Result<ParsedFlow, TextError<'a>> {
    let mut flow = ParsedFlow::empty();
    let mut rest = piece;
    let mut reader = Reader { flow: &mut flow, ports };
    let Some(item) = rest.next_item()? else {
        return Err(piece.error(Problem::Expected("an attribute of a flow key")));
    };
    reader.item(&item, 0)?;
    match rest.next_item()? {
        Some(more) => Err(more.name.error(Problem::Expected("one attribute"))),
        None => Ok(flow),
    }
}

/// Reads the id of a flow: 32 hexadecimal digits, with dashes where a UUID has them.
///
/// # Errors
///
/// If it is none.
pub fn parse_ufid(piece: Piece<'_>) -> Result<Ufid, TextError<'_>> {
    let digits: String = piece.text.chars().filter(|&c| c != '-').collect();
    let whole = digits.len() == 32 && digits.chars().all(|c| c.is_ascii_hexdigit());
    match u128::from_str_radix(&digits, 16) {
        Ok(id) if whole => Ok(Ufid(id)),
        _ => Err(piece.error(Problem::Expected("the id of a flow: 32 hexadecimal digits"))),
    }
}

impl ParsedFlow {
    fn empty() -> Self {
        Self { ufid: None, key: FlowKey::EMPTY, mask: FlowMask::EMPTY, attrs: Attrs::empty() }
    }

    /// Sets bits of a place; the mask says which of the value's bits count.
    pub(crate) fn put(&mut self, place: Place, shift: u8, ones: u128, value: u128, mask: u128) {
        let clear = !(ones << shift);
        let key = self.key.load(place) & clear | (value & ones) << shift;
        let mask = self.mask.load(place) & clear | (mask & ones) << shift;
        self.key.store(place, key);
        self.mask.store(place, mask);
    }
}

struct Reader<'r> {
    flow: &'r mut ParsedFlow,
    ports: &'r dyn DpPorts,
}

impl Reader<'_> {
    /// Reads the attributes of one level: the whole key, or what a tag encapsulates.
    fn level<'a>(&mut self, mut piece: Piece<'a>, depth: usize) -> Result<(), TextError<'a>> {
        let mut eth_type = None;
        let mut tagged = false;
        let mut behind = None;
        let start = piece;
        while let Some(item) = piece.next_item()? {
            let name = item.name.text;
            let row = table::by_name(name);
            if name == "mpls" || row.is_some_and(|row| row.id.bits() >= Attrs::IPV4.bits()) {
                behind = behind.or(Some(item.name));
            } else if depth > 0 && (name == "tunnel" || row.is_some()) {
                return Err(item.name.error(Problem::Expected("headers that a tag stands before")));
            }
            match name {
                "eth_type" if eth_type.is_some() => return Err(item.name.error(Problem::Twice)),
                "eth_type" => eth_type = Some(self.eth_type(&item)?),
                "vlan" => {
                    tagged = true;
                    self.item(&item, depth)?;
                }
                "encap" => {
                    tagged = true;
                    if depth >= TAGS.len() {
                        return Err(item.name.error(Problem::TooMany));
                    }
                    self.flow.attrs |= Attrs::ENCAP;
                    self.level(item.inside()?, depth + 1)?;
                }
                _ => self.item(&item, depth)?,
            }
        }
        if let Some(behind) = behind.filter(|_| tagged) {
            return Err(behind.error(Problem::Needs("encap(…) around it: it is behind the tag")));
        }
        self.end_of_level(start, depth, tagged, eth_type)
    }

    fn item<'a>(&mut self, item: &Item<'a>, depth: usize) -> Result<(), TextError<'a>> {
        match item.name.text {
            "vlan" => {
                self.flow.attrs |= TAGS.get(depth).map_or(Attrs::empty(), |(_, _, attr)| *attr);
                self.vlan(item, depth)
            }
            "tunnel" => {
                self.once(item, Attrs::TUNNEL)?;
                tunnel::parse(item.inside()?, self.flow)
            }
            "mpls" => {
                self.once(item, Attrs::MPLS)?;
                self.mpls(item.inside()?)
            }
            name => match table::by_name(name) {
                Some(attr) => self.attribute(item, attr),
                None => Err(item.name.error(Problem::UnknownAttribute)),
            },
        }
    }

    fn end_of_level<'a>(
        &mut self,
        start: Piece<'a>,
        depth: usize,
        tagged: bool,
        eth_type: Option<(u128, u128)>,
    ) -> Result<(), TextError<'a>> {
        let ones = u128::from(u16::MAX);
        if !tagged {
            // No tag here: that there is none counts.
            if let Some((tci, _, _)) = TAGS.get(depth) {
                self.flow.put(*tci, 0, ones, 0, ones);
            }
            let packet_type = self.flow.key.load(layout::PACKET_TYPE);
            let types = self.flow.mask.load(layout::PACKET_TYPE);
            let (value, mask) = match eth_type {
                Some((0, mask)) => (ETH_TYPE_NONE, mask),
                Some(given) => given,
                // Without an Ethernet header, the packet's type is what it would say.
                None if packet_type >> 16 == 1 => (packet_type & ones, types & ones),
                None => (ETH_TYPE_NONE, 0),
            };
            if eth_type.is_some() {
                self.flow.attrs |= Attrs::ETH_TYPE;
            }
            self.flow.put(layout::ETH_TYPE, 0, ones, value, mask);
            return Ok(());
        }
        let Some((_, tpid, attr)) = TAGS.get(depth) else {
            return Err(start.error(Problem::TooMany));
        };
        let (value, mask) = eth_type.ok_or_else(|| start.error(Problem::Missing("eth_type")))?;
        self.flow.attrs |= *attr;
        self.flow.put(*tpid, 0, ones, value, mask);
        Ok(())
    }

    fn once<'a>(&mut self, item: &Item<'a>, attr: Attrs) -> Result<(), TextError<'a>> {
        if self.flow.attrs.contains(attr) {
            return Err(item.name.error(Problem::Twice));
        }
        self.flow.attrs |= attr;
        Ok(())
    }

    fn eth_type<'a>(&self, item: &Item<'a>) -> Result<(u128, u128), TextError<'a>> {
        value::masked(item.inside()?, u128::from(u16::MAX), |piece| value::number(piece, 16))
    }

    /// An attribute that is a row of the table.
    fn attribute<'a>(&mut self, item: &Item<'a>, attr: &Attr) -> Result<(), TextError<'a>> {
        self.once(item, attr.id)?;
        let inside = item.inside()?;
        if let [part] = attr.parts
            && part.name.is_empty()
        {
            let (value, mask) = value::part(inside, part, self.ports)?;
            if attr.id == Attrs::RECIRC_ID && mask != part.ones() {
                return Err(inside.error(Problem::NotMaskable));
            }
            self.flow.put(part.place, part.shift, part.ones(), value, mask);
            return Ok(());
        }
        parts(inside, attr.parts, self.ports, &mut |part, value, mask| {
            self.flow.put(part.place, part.shift, part.ones(), value, mask);
        })
    }

    fn vlan<'a>(&mut self, item: &Item<'a>, depth: usize) -> Result<(), TextError<'a>> {
        let Some((tci, _, _)) = TAGS.get(depth) else {
            return Err(item.name.error(Problem::TooMany));
        };
        let bits = |name, shift, bits| Part {
            name,
            alias: "",
            place: *tci,
            shift,
            bits,
            format: Format::Dec,
        };
        let rows = [bits("vid", 0, 12), bits("pcp", 13, 3), bits("cfi", 12, 1)];
        let present = u128::from(layout::VLAN_PRESENT);
        self.flow.put(*tci, 0, u128::from(u16::MAX), present, present);
        parts(item.inside()?, &rows, self.ports, &mut |part, value, mask| {
            self.flow.put(part.place, part.shift, part.ones(), value, mask);
        })
    }

    /// Up to three entries; each `label` begins one.
    fn mpls<'a>(&mut self, mut piece: Piece<'a>) -> Result<(), TextError<'a>> {
        let mut at: Option<usize> = None;
        let mut seen = 0u32;
        while let Some(item) = piece.next_item()? {
            let (shift, bits, flag) = match item.name.text {
                "label" => (12, 20, 1),
                "tc" => (9, 3, 2),
                "bos" => (8, 1, 4),
                "ttl" => (0, 8, 8),
                _ => return Err(item.name.error(Problem::UnknownPart)),
            };
            if at.is_none() || (flag == 1 && seen & flag != 0) {
                at = Some(at.map_or(0, |at| at + 1));
                seen = 0;
            }
            if seen & flag != 0 {
                return Err(item.name.error(Problem::Twice));
            }
            seen |= flag;
            let ones = (1u128 << bits) - 1;
            let place = at.and_then(|at| LABELS.get(at));
            let place = place.ok_or_else(|| item.name.error(Problem::TooMany))?;
            let (value, mask) =
                value::masked(item.equals()?, ones, |piece| value::number(piece, bits))?;
            self.flow.put(*place, shift, ones, value, mask);
        }
        Ok(())
    }
}

/// Reads `name=value[/mask]` by `name=value[/mask]`.
pub(crate) fn parts<'a>(
    mut piece: Piece<'a>,
    rows: &[Part],
    ports: &dyn DpPorts,
    put: &mut dyn FnMut(&Part, u128, u128),
) -> Result<(), TextError<'a>> {
    let mut seen = 0u32;
    while let Some(item) = piece.next_item()? {
        let name = item.name.text;
        let row = rows
            .iter()
            .position(|row| row.name == name || !row.alias.is_empty() && row.alias == name);
        let at = row.ok_or_else(|| item.name.error(Problem::UnknownPart))?;
        if seen >> at & 1 != 0 {
            return Err(item.name.error(Problem::Twice));
        }
        seen |= 1 << at;
        if let Some(row) = rows.get(at) {
            let (value, mask) = value::part(item.equals()?, row, ports)?;
            put(row, value, mask);
        }
    }
    Ok(())
}

/// Whether the original tuple of a connection is one over IPv6.
pub(crate) fn is_ct_ipv6(key: &FlowKey) -> bool {
    let addresses = key.load(layout::CT_IPV6_SRC) | key.load(layout::CT_IPV6_DST);
    Ipv6Addr::from(addresses) != Ipv6Addr::UNSPECIFIED || key.eth_type() == 0x86dd
}
