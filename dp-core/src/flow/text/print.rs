//! Printing a key, alone or with its mask.

use core::fmt;

use super::parse::{ETH_TYPE_NONE, LABELS, TAGS, is_ct_ipv6};
use super::ports::DpPorts;
use super::table::{ATTRS, Attr, Attrs};
use super::{tunnel, value};
use crate::flow::key::{FlowKey, FlowMask};
use crate::flow::layout::{self, FRAG_LATER, Place};

/// A list in the making: writes the commas between its parts.
pub(crate) struct Commas<'w> {
    f: &'w mut dyn fmt::Write,
    some: bool,
}

impl<'w> Commas<'w> {
    /// A list that nothing is written before.
    pub(crate) fn new(f: &'w mut dyn fmt::Write) -> Self {
        Self { f, some: false }
    }

    /// A list behind `open`.
    pub(crate) fn open(f: &'w mut dyn fmt::Write, open: &str) -> Result<Self, fmt::Error> {
        f.write_str(open)?;
        Ok(Self::new(f))
    }

    /// Where the next part goes.
    pub(crate) fn next(&mut self) -> Result<&mut (dyn fmt::Write + 'w), fmt::Error> {
        if self.some {
            self.f.write_str(",")?;
        }
        self.some = true;
        Ok(&mut *self.f)
    }

    /// Where the part goes on that [`Self::next`] began.
    pub(crate) fn inner(&mut self) -> &mut (dyn fmt::Write + 'w) {
        &mut *self.f
    }

    /// Ends the list.
    pub(crate) fn close(self, close: &str) -> fmt::Result {
        self.f.write_str(close)
    }
}

/// A key as text, in the order and the spelling of `ovs-appctl dpctl/dump-flows`.
///
/// With a mask it is a megaflow: attributes that do not count are left out, unless it is
/// [`verbose`](Self::verbose).
#[derive(Clone, Copy)]
pub struct KeyText<'a> {
    key: &'a FlowKey,
    mask: Option<&'a FlowMask>,
    verbose: bool,
    ports: &'a dyn DpPorts,
}

impl<'a> KeyText<'a> {
    /// A key alone: every attribute that it has.
    #[must_use]
    pub fn new(key: &'a FlowKey, ports: &'a dyn DpPorts) -> Self {
        Self { key, mask: None, verbose: true, ports }
    }

    /// A megaflow.
    #[must_use]
    pub fn masked(key: &'a FlowKey, mask: &'a FlowMask, ports: &'a dyn DpPorts) -> Self {
        Self { key, mask: Some(mask), verbose: false, ports }
    }

    /// Where the attributes stand that the key has.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        let own = ATTRS.iter().filter(|attr| self.has(attr.id));
        own.flat_map(|attr| attr.parts.iter().map(|part| part.place))
    }

    /// With everything that the key has, also what does not count: what `-m` asks for.
    #[must_use]
    pub fn verbose(mut self) -> Self {
        self.verbose = true;
        self
    }
}

impl fmt::Display for KeyText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Commas::new(f);
        let metadata = Attrs::PACKET_TYPE.bits();
        for attr in ATTRS.iter().filter(|attr| attr.id.bits() <= metadata) {
            self.attribute(&mut out, attr)?;
            if attr.id == Attrs::SKB_PRIORITY && tunnel::is_there(self.key) {
                self.tunnel(&mut out)?;
            }
        }
        self.ethernet(&mut out)?;
        self.tags(&mut out, 0)
    }
}

impl KeyText<'_> {
    /// Prints one attribute whether the rest of the key calls for it or not: what a `set` action
    /// writes.
    pub(crate) fn one(&self, f: &mut dyn fmt::Write, attr: Attrs) -> fmt::Result {
        match attr {
            Attrs::TUNNEL => tunnel::print(f, self.key, self.mask, self.verbose),
            Attrs::VLAN => self.vlan(f, layout::VLAN_TCI),
            Attrs::MPLS => self.labels(f, &[layout::MPLS0]),
            _ => match ATTRS.iter().find(|row| row.id == attr) {
                Some(row) => self.write_attribute(f, row),
                None => Ok(()),
            },
        }
    }

    fn tunnel(&self, out: &mut Commas<'_>) -> fmt::Result {
        let wild = self.mask.is_some_and(|mask| {
            [layout::TUN_ID.lane(), layout::TUN_TP_SRC.lane()].iter().all(|&lane| {
                let ends = [layout::TUN_TP_SRC, layout::TUN_TP_DST, layout::TUN_OPT_LEN];
                match lane == layout::TUN_ID.lane() {
                    true => mask.lane(lane).is_zero(),
                    false => ends.iter().all(|&place| mask.load(place) == 0),
                }
            })
        });
        match wild && !self.verbose {
            true => Ok(()),
            false => tunnel::print(out.next()?, self.key, self.mask, self.verbose),
        }
    }

    /// What the mask says of a place; `None` without a mask.
    fn mask(&self, place: Place) -> Option<u128> {
        self.mask.map(|mask| mask.load(place))
    }

    /// Whether the key has an attribute.
    fn has(&self, attr: Attrs) -> bool {
        let key = self.key;
        let eth_type = key.eth_type();
        let (proto, whole) = (key.nw_proto(), key.nw_frag() & FRAG_LATER == 0);
        let (v4, v6) = (eth_type == 0x0800, eth_type == 0x86dd);
        let ip = |number: u8| (v4 || v6) && whole && proto == number;
        let nd = || {
            let kind = key.load(layout::TP_SRC);
            v6 && whole
                && proto == 58
                && (kind == 135 || kind == 136)
                && key.load(layout::TP_DST) == 0
        };
        match attr {
            Attrs::IN_PORT => key.load(layout::IN_PORT) != u128::from(u32::MAX),
            Attrs::CT_TUPLE4 => self.has_tuple() && !is_ct_ipv6(key),
            Attrs::CT_TUPLE6 => self.has_tuple() && is_ct_ipv6(key),
            Attrs::IPV4 => v4,
            Attrs::IPV6 => v6,
            Attrs::ARP => eth_type == 0x0806 || eth_type == 0x8035,
            Attrs::NSH => eth_type == 0x894f,
            Attrs::TCP | Attrs::TCP_FLAGS => ip(6),
            Attrs::UDP => ip(17),
            Attrs::SCTP => ip(132),
            Attrs::ICMP => v4 && whole && proto == 1,
            Attrs::ICMPV6 => v6 && whole && proto == 58,
            Attrs::ND => nd(),
            Attrs::ND_EXT => {
                let words = [layout::ND_RESERVED, layout::ND_OPTIONS_TYPE];
                let counts = |place| match self.mask {
                    Some(mask) => mask.load(place) != 0,
                    None => key.load(place) != 0,
                };
                nd() && words.into_iter().any(counts)
            }
            _ => true,
        }
    }

    fn has_tuple(&self) -> bool {
        let places = [layout::CT_NW_SRC, layout::CT_NW_DST, layout::CT_TP_SRC, layout::CT_TP_DST];
        self.key.load(layout::CT_NW_PROTO) != 0
            || places.iter().any(|&place| self.key.load(place) != 0)
            || self.key.load(layout::CT_IPV6_SRC) | self.key.load(layout::CT_IPV6_DST) != 0
    }

    /// An attribute that is a row of the table.
    fn attribute(&self, out: &mut Commas<'_>, attr: &Attr) -> fmt::Result {
        if !self.has(attr.id) {
            return Ok(());
        }
        let mask_of = |part: &super::table::Part| {
            self.mask(part.place).map(|m| m >> part.shift & part.ones())
        };
        let wild = self.mask.is_some() && attr.parts.iter().all(|part| mask_of(part) == Some(0));
        let always = attr.id == Attrs::RECIRC_ID;
        if wild && !always && !self.verbose || wild && attr.id == Attrs::NSH {
            return Ok(());
        }
        self.write_attribute(out.next()?, attr)
    }

    fn write_attribute(&self, f: &mut dyn fmt::Write, attr: &Attr) -> fmt::Result {
        write!(f, "{}(", attr.name)?;
        let mut list = Commas::new(f);
        for part in attr.parts {
            let mask = match attr.id {
                Attrs::RECIRC_ID => None,
                _ => self.mask(part.place).map(|m| m >> part.shift & part.ones()),
            };
            let hidden = part.name == "frag" || attr.id == Attrs::NSH || !self.verbose;
            if mask == Some(0) && hidden {
                continue;
            }
            let value = self.key.load(part.place) >> part.shift & part.ones();
            let f = list.next()?;
            if !part.name.is_empty() {
                write!(f, "{}=", part.name)?;
            }
            value::print_part(f, part, value, mask, self.verbose, self.ports)?;
        }
        list.close(")")
    }

    fn ethernet(&self, out: &mut Commas<'_>) -> fmt::Result {
        if self.key.load(layout::PACKET_TYPE) != 0 {
            return Ok(());
        }
        let wild = [layout::ETH_SRC, layout::ETH_DST].iter().all(|&p| self.mask(p) == Some(0));
        if wild && !self.verbose {
            // Where the packet type does not say so, this does: it is Ethernet.
            return match self.mask(layout::PACKET_TYPE) {
                Some(0) => out.next()?.write_str("eth()"),
                _ => Ok(()),
            };
        }
        match ATTRS.iter().find(|attr| attr.id == Attrs::ETH) {
            Some(attr) => self.attribute(out, attr),
            None => Ok(()),
        }
    }

    /// The tags from number `depth` on, and what is behind them.
    fn tags(&self, out: &mut Commas<'_>, depth: usize) -> fmt::Result {
        let present = u128::from(layout::VLAN_PRESENT);
        let Some((tci, tpid)) = TAGS
            .get(depth)
            .map(|(tci, tpid, _)| (*tci, *tpid))
            .filter(|(tci, _)| self.key.load(*tci) & present != 0)
        else {
            return self.payload(out);
        };
        write!(out.next()?, "eth_type({:#06x})", self.key.load(tpid))?;
        if self.mask(tci) != Some(0) || self.verbose {
            self.vlan(out.next()?, tci)?;
        }
        let mut inside = Commas::open(out.next()?, "encap(")?;
        self.tags(&mut inside, depth + 1)?;
        inside.close(")")
    }

    fn vlan(&self, f: &mut dyn fmt::Write, tci: Place) -> fmt::Result {
        let value = self.key.load(tci);
        let mask = self.mask(tci);
        let mut list = Commas::open(f, "vlan(")?;
        for (name, shift, ones) in [("vid", 0, 0xfffu128), ("pcp", 13, 7)] {
            let mask = mask.map(|mask| mask >> shift & ones);
            let value = value >> shift & ones;
            if mask == Some(0) && value == 0 && !self.verbose {
                continue;
            }
            let f = list.next()?;
            write!(f, "{name}={value}")?;
            if let Some(mask) = mask.filter(|&mask| mask != ones) {
                write!(f, "/{mask:#x}")?;
            }
        }
        list.close(")")
    }

    /// What is behind Ethernet header and tags.
    fn payload(&self, out: &mut Commas<'_>) -> fmt::Result {
        let value = self.key.load(layout::ETH_TYPE);
        let mask = self.mask(layout::ETH_TYPE);
        match (value, mask) {
            (ETH_TYPE_NONE, None | Some(0)) => {}
            (ETH_TYPE_NONE, Some(mask)) => write!(out.next()?, "eth_type(0/{mask:#06x})")?,
            (_, Some(0)) if !self.verbose => {}
            (_, None | Some(0xffff)) => write!(out.next()?, "eth_type({value:#06x})")?,
            (_, Some(mask)) => write!(out.next()?, "eth_type({value:#06x}/{mask:#06x})")?,
        }
        if matches!(self.key.eth_type(), 0x8847 | 0x8848) {
            self.mpls(out)?;
        }
        let behind = Attrs::IPV4.bits();
        for attr in ATTRS.iter().filter(|attr| attr.id.bits() >= behind) {
            self.attribute(out, attr)?;
        }
        Ok(())
    }

    /// The label stack, as far as it goes or is known.
    fn mpls(&self, out: &mut Commas<'_>) -> fmt::Result {
        let mut entries = 0;
        for place in LABELS {
            let lse = self.key.load(place);
            if entries > 0 && lse == 0 && self.mask(place).is_none_or(|mask| mask == 0) {
                break;
            }
            entries += 1;
            if lse >> 8 & 1 != 0 {
                break;
            }
        }
        let shown = LABELS.get(..entries).unwrap_or(&LABELS);
        if !self.verbose && shown.iter().all(|&place| self.mask(place) == Some(0)) {
            return Ok(());
        }
        self.labels(out.next()?, shown)
    }

    fn labels(&self, f: &mut dyn fmt::Write, shown: &[Place]) -> fmt::Result {
        let mut list = Commas::open(f, "mpls(")?;
        // All with their masks, or none.
        let exact =
            shown.iter().all(|&place| self.mask(place).is_none_or(|m| m == u128::from(u32::MAX)));
        for &place in shown {
            let lse = self.key.load(place);
            let f = list.next()?;
            let (label, tc, ttl, bos) = (lse >> 12, lse >> 9 & 7, lse & 0xff, lse >> 8 & 1);
            match self.mask(place).filter(|_| !exact) {
                None => write!(f, "label={label},tc={tc},ttl={ttl},bos={bos}")?,
                Some(m) => write!(
                    f,
                    "label={label}/{:#x},tc={tc}/{:x},ttl={ttl}/{:#x},bos={bos}/{:x}",
                    m >> 12,
                    m >> 9 & 7,
                    m & 0xff,
                    m >> 8 & 1
                )?,
            }
        }
        list.close(")")
    }
}
