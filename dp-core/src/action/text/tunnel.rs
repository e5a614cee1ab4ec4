//! `tnl_push(…)`: the headers that a packet gets in front, field by field.
//!
//! What a header holds beyond the fields that text shows (lengths, checksums of IP, protocols that
//! follow from the kind) is made when it is pushed; reading leaves it zero, or fills in what the
//! kind says.

use core::fmt;

use super::print::port;
use crate::action::TunnelPush;
use crate::action::tunnel::{HEADER_MAX, Kind};
use crate::flow::text::scan::{Item, Piece, Value};
use crate::flow::text::value::Ip6Text;
use crate::flow::text::{Commas, DpPorts, Problem, TextError, bytes, print_bytes, value};

/// Kinds and their numbers in text.
const KINDS: [(Kind, u32); 11] = [
    (Kind::Gre, 3),
    (Kind::Vxlan, 4),
    (Kind::Geneve, 5),
    (Kind::Lisp, 105),
    (Kind::Stt, 106),
    (Kind::Erspan, 107),
    (Kind::Ip6Erspan, 108),
    (Kind::Ip6Gre, 109),
    (Kind::Gtpu, 110),
    (Kind::Bareudp, 111),
    (Kind::Srv6, 112),
];
const ETH: usize = 14;
const GRE_CSUM: u16 = 0x8000;
const GRE_KEY: u16 = 0x2000;
const GRE_SEQ: u16 = 0x1000;
const GENEVE_OAM: u8 = 0x80;
const GENEVE_CRITICAL: u8 = 0x40;

fn number_of(kind: Kind) -> u32 {
    KINDS.iter().find(|(known, _)| *known == kind).map_or(0, |(_, number)| *number)
}

/// The headers behind Ethernet's and IP's.
const fn behind_ip(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Gre | Kind::Ip6Gre => &["gre"],
        Kind::Erspan | Kind::Ip6Erspan => &["erspan"],
        Kind::Vxlan => &["udp", "vxlan"],
        Kind::Geneve => &["udp", "geneve"],
        Kind::Gtpu => &["udp", "gtpu"],
        Kind::Bareudp => &["udp"],
        Kind::Srv6 => &["srv6"],
        Kind::Lisp | Kind::Stt => &[],
    }
}

/// Big-endian numbers at places of a header; zero where it is too short.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
    }

    fn byte(&self, at: usize) -> u8 {
        self.array::<1>(at)[0]
    }

    fn short(&self, at: usize) -> u16 {
        u16::from_be_bytes(self.array(at))
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.array(at))
    }
}

/// Prints `tnl_push(…)`.
pub(super) fn print(f: &mut dyn fmt::Write, push: &TunnelPush, ports: &dyn DpPorts) -> fmt::Result {
    let header = Bytes(&push.header);
    f.write_str("tnl_push(tnl_port(")?;
    port(f, push.tunnel_port, ports)?;
    write!(f, "),header(size={},type={}", push.header.len(), number_of(push.kind))?;
    let mac = |at| crate::base::MacAddr(header.array(at));
    let eth_type = header.short(12);
    write!(f, ",eth(dst={},src={},dl_type={eth_type:#06x})", mac(0), mac(6))?;
    let l4 = if eth_type == 0x0800 {
        let ip = |at| core::net::Ipv4Addr::from(header.word(at));
        write!(
            f,
            ",ipv4(src={},dst={},proto={}",
            ip(ETH + 12),
            ip(ETH + 16),
            header.byte(ETH + 9)
        )?;
        write!(f, ",tos={}", hex(header.byte(ETH + 1).into()))?;
        write!(f, ",ttl={},frag={:#x}),", header.byte(ETH + 8), header.short(ETH + 6))?;
        ETH + 20
    } else {
        let ip = |at| Ip6Text(u128::from_be_bytes(header.array::<16>(at)));
        let first = header.word(ETH);
        write!(f, ",ipv6(src={},dst={}", ip(ETH + 8), ip(ETH + 24))?;
        write!(f, ",label={},proto={}", first & 0xf_ffff, header.byte(ETH + 6))?;
        write!(f, ",tclass={:#x},hlimit={}),", first >> 20 & 0xff, header.byte(ETH + 7))?;
        ETH + 40
    };
    match push.kind {
        Kind::Gre | Kind::Ip6Gre => print_gre(f, &header, l4)?,
        Kind::Erspan | Kind::Ip6Erspan => print_erspan(f, &header, l4 + 8)?,
        Kind::Srv6 => print_srv6(f, &header, l4)?,
        Kind::Vxlan | Kind::Geneve | Kind::Gtpu | Kind::Bareudp => {
            write!(f, "udp(src={},dst={}", header.short(l4), header.short(l4 + 2))?;
            write!(f, ",csum={:#x})", header.short(l4 + 6))?;
            print_in_udp(f, push.kind, &header, l4 + 8)?;
        }
        Kind::Lisp | Kind::Stt => {}
    }
    f.write_str("),out_port(")?;
    port(f, push.out_port, ports)?;
    f.write_str("))")
}

fn hex(number: u32) -> String {
    if number == 0 { "0".to_owned() } else { format!("{number:#x}") }
}

fn print_in_udp(f: &mut dyn fmt::Write, kind: Kind, header: &Bytes<'_>, at: usize) -> fmt::Result {
    match kind {
        Kind::Vxlan => {
            let (flags, vni) = (header.word(at), header.word(at + 4) >> 8);
            write!(f, ",vxlan(flags={flags:#x},vni={vni:#x})")
        }
        Kind::Gtpu => {
            let (flags, kind, teid) = (header.byte(at), header.byte(at + 1), header.word(at + 4));
            write!(f, ",gtpu(flags={flags:#x},msgtype={kind},teid={teid:#x})")
        }
        Kind::Geneve => {
            let mut list = Commas::open(f, ",geneve(")?;
            let flags = header.byte(at + 1);
            if flags & GENEVE_OAM != 0 {
                list.next()?.write_str("oam")?;
            }
            if flags & GENEVE_CRITICAL != 0 {
                list.next()?.write_str("crit")?;
            }
            write!(list.next()?, "vni={:#x}", header.word(at + 4) >> 8)?;
            let len = usize::from(header.byte(at) & 0x3f) * 4;
            if len > 0 {
                let options = header.0.get(at + 8..).unwrap_or_default();
                print_options(list.next()?, options.get(..len).unwrap_or(options))?;
            }
            list.close(")")
        }
        _ => Ok(()),
    }
}

fn print_options(f: &mut dyn fmt::Write, mut options: &[u8]) -> fmt::Result {
    f.write_str("options(")?;
    while let Some((&[class0, class1, kind, size], rest)) = options.split_first_chunk::<4>() {
        let len = usize::from(size & 0x1f) * 4;
        let class = u32::from(u16::from_be_bytes([class0, class1]));
        write!(f, "{{class={},type={},len={len}", hex(class), hex(kind.into()))?;
        let (data, rest) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        if !data.is_empty() {
            f.write_str(",")?;
            print_bytes(f, data)?;
        }
        f.write_str("}")?;
        options = rest;
    }
    f.write_str(")")
}

fn print_gre(f: &mut dyn fmt::Write, header: &Bytes<'_>, l4: usize) -> fmt::Result {
    let flags = header.short(l4);
    write!(f, "gre((flags={flags:#x},proto={:#x})", header.short(l4 + 2))?;
    let mut at = l4 + 4;
    if flags & GRE_CSUM != 0 {
        write!(f, ",csum={:#x}", header.short(at))?;
        at += 4;
    }
    if flags & GRE_KEY != 0 {
        write!(f, ",key={:#x}", header.word(at))?;
        at += 4;
    }
    if flags & GRE_SEQ != 0 {
        write!(f, ",seq={:#x}", header.word(at))?;
    }
    f.write_str(")")
}

fn print_erspan(f: &mut dyn fmt::Write, header: &Bytes<'_>, at: usize) -> fmt::Result {
    let version = header.byte(at) >> 4;
    write!(f, "erspan(ver={version},sid={:#x}", header.short(at + 2) & 0x3ff)?;
    if version == 1 {
        write!(f, ",idx={:#x})", header.word(at + 4) & 0xf_ffff)
    } else {
        let word = header.short(at + 10);
        write!(f, ",dir={},hwid={:#x})", word >> 3 & 1, word >> 4 & 0x3f)
    }
}

fn print_srv6(f: &mut dyn fmt::Write, header: &Bytes<'_>, l4: usize) -> fmt::Result {
    write!(f, "srv6(segments_left={},segs(", header.byte(l4 + 3))?;
    let mut list = Commas::new(f);
    let segments = header.0.get(l4 + 8..).unwrap_or_default();
    // The header has the last stop first, the text the first.
    for segment in segments.chunks_exact(16).rev() {
        let octets: [u8; 16] = segment.try_into().unwrap_or_default();
        write!(list.next()?, "{}", Ip6Text(u128::from_be_bytes(octets)))?;
    }
    list.close("))")
}

/// Reads what stands in `tnl_push(…)`.
pub(super) fn parse<'a>(
    piece: Piece<'a>,
    ports: &dyn DpPorts,
) -> Result<TunnelPush, TextError<'a>> {
    let mut rest = piece;
    let (mut tunnel_port, mut out_port, mut header) = (None, None, None);
    while let Some(item) = rest.next_item()? {
        match item.name.text {
            "tnl_port" => tunnel_port = Some(value::port(item.inside()?, ports)?),
            "out_port" => out_port = Some(value::port(item.inside()?, ports)?),
            "header" => header = Some(Header::parse(item.inside()?)?),
            _ => return Err(item.name.error(Problem::UnknownPart)),
        }
    }
    match (tunnel_port, out_port, header) {
        (Some(tunnel_port), Some(out_port), Some((kind, header))) => {
            Ok(TunnelPush { tunnel_port, out_port, kind, header: header.into_boxed_slice() })
        }
        _ => Err(piece.error(Problem::Missing("tnl_port(…), header(…) or out_port(…)"))),
    }
}

/// A header in the making.
#[derive(Default)]
struct Header {
    bytes: Vec<u8>,
}

/// The values of `name=value` parts, by name.
struct Parts<'a> {
    parts: Vec<Item<'a>>,
    whole: Piece<'a>,
}

impl<'a> Parts<'a> {
    fn read(piece: Piece<'a>) -> Result<Self, TextError<'a>> {
        let mut parts = Vec::new();
        let mut rest = piece;
        while let Some(item) = rest.next_item()? {
            parts.push(item);
        }
        Ok(Self { parts, whole: piece })
    }

    /// Takes a part out; what is left at the end is unknown.
    fn take(&mut self, name: &str) -> Option<Item<'a>> {
        let at = self.parts.iter().position(|item| item.name.text == name)?;
        Some(self.parts.remove(at))
    }

    fn value(&mut self, name: &'static str) -> Result<Piece<'a>, TextError<'a>> {
        let whole = self.whole;
        self.take(name).ok_or_else(|| whole.error(Problem::Missing(name)))?.equals()
    }

    fn number(&mut self, name: &'static str, bits: u8) -> Result<u32, TextError<'a>> {
        let piece = self.value(name)?;
        let number = value::number(piece, bits)?;
        u32::try_from(number).map_err(|_| piece.error(Problem::TooWide(bits)))
    }

    fn flag(&mut self, name: &str) -> Result<bool, TextError<'a>> {
        self.take(name).map_or(Ok(false), |item| item.alone().map(|()| true))
    }

    fn end(self) -> Result<(), TextError<'a>> {
        match self.parts.first() {
            Some(item) => Err(item.name.error(Problem::UnknownPart)),
            None => Ok(()),
        }
    }
}

impl Header {
    fn short(&mut self, number: u32) {
        let [_, _, high, low] = number.to_be_bytes();
        self.bytes.extend([high, low]);
    }

    fn word(&mut self, number: u32) {
        self.bytes.extend(number.to_be_bytes());
    }

    fn byte(&mut self, number: u32) {
        self.bytes.push(u8::try_from(number & 0xff).unwrap_or(0));
    }

    fn zeros(&mut self, count: usize) {
        self.bytes.resize(self.bytes.len() + count, 0);
    }

    fn parse<'a>(piece: Piece<'a>) -> Result<(Kind, Vec<u8>), TextError<'a>> {
        let mut rest = piece;
        let mut out = Self::default();
        let (mut size, mut kind) = (None, None);
        let mut headers = Vec::new();
        while let Some(item) = rest.next_item()? {
            if !matches!(item.name.text, "size" | "type") {
                headers.push(item.name.text);
            }
            match item.name.text {
                "size" => size = Some(value::number(item.equals()?, 16)?),
                "type" => kind = Some(Self::kind(item.equals()?)?),
                "eth" => out.ethernet(item.inside()?)?,
                "ipv4" => {
                    out.is_for(&item, 0x0800)?;
                    out.ipv4(item.inside()?)?;
                }
                "ipv6" => {
                    out.is_for(&item, 0x86dd)?;
                    out.ipv6(item.inside()?)?;
                }
                "udp" => out.udp(item.inside()?)?,
                "gre" => out.gre(item.inside()?)?,
                "erspan" => out.erspan(item.inside()?)?,
                "vxlan" => {
                    let mut parts = Parts::read(item.inside()?)?;
                    out.word(parts.number("flags", 32)?);
                    out.word(parts.number("vni", 24)? << 8);
                    parts.end()?;
                }
                "geneve" => out.geneve(item.inside()?)?,
                "gtpu" => {
                    let mut parts = Parts::read(item.inside()?)?;
                    out.byte(parts.number("flags", 8)?);
                    out.byte(parts.number("msgtype", 8)?);
                    out.zeros(2);
                    out.word(parts.number("teid", 32)?);
                    parts.end()?;
                }
                "srv6" => out.srv6(item.inside()?)?,
                _ => return Err(item.name.error(Problem::UnknownPart)),
            }
            if out.bytes.len() > HEADER_MAX {
                return Err(item.name.error(Problem::TooMany));
            }
        }
        let kind = kind.ok_or_else(|| piece.error(Problem::Missing("type=…")))?;
        if headers.get(2..) != Some(behind_ip(kind)) {
            let what = "eth(…), ipv4(…) or ipv6(…), and the headers of this type";
            return Err(piece.error(Problem::Expected(what)));
        }
        match size {
            Some(size) if size == out.bytes.len() as u128 => Ok((kind, out.bytes)),
            _ => Err(piece.error(Problem::Expected("size=… to be that of the headers"))),
        }
    }

    /// Checks that the Ethernet header before it announces this one.
    fn is_for<'a>(&self, item: &Item<'a>, eth_type: u16) -> Result<(), TextError<'a>> {
        match self.bytes.len() == ETH && Bytes(&self.bytes).short(12) == eth_type {
            true => Ok(()),
            false => Err(item.name.error(Problem::Expected("the header that dl_type says"))),
        }
    }

    fn kind<'a>(piece: Piece<'a>) -> Result<Kind, TextError<'a>> {
        let number = value::word(piece)?;
        let kind = KINDS.iter().find(|(_, known)| *known == number).map(|(kind, _)| *kind);
        kind.ok_or_else(|| piece.error(Problem::Expected("the number of a kind of tunnel")))
    }

    fn ethernet<'a>(&mut self, piece: Piece<'a>) -> Result<(), TextError<'a>> {
        let mut parts = Parts::read(piece)?;
        self.bytes.extend(value::mac(parts.value("dst")?)?.0);
        self.bytes.extend(value::mac(parts.value("src")?)?.0);
        let eth_type = parts.number("dl_type", 16)?;
        self.short(eth_type);
        parts.end()
    }

    fn ipv4<'a>(&mut self, piece: Piece<'a>) -> Result<(), TextError<'a>> {
        let mut parts = Parts::read(piece)?;
        self.byte(0x45);
        self.byte(parts.number("tos", 8)?);
        self.zeros(4);
        self.short(parts.number("frag", 16)?);
        self.byte(parts.number("ttl", 8)?);
        self.byte(parts.number("proto", 8)?);
        self.zeros(2);
        self.bytes.extend(value::ip4(parts.value("src")?)?.octets());
        self.bytes.extend(value::ip4(parts.value("dst")?)?.octets());
        parts.end()
    }

    fn ipv6<'a>(&mut self, piece: Piece<'a>) -> Result<(), TextError<'a>> {
        let mut parts = Parts::read(piece)?;
        let (label, tclass) = (parts.number("label", 20)?, parts.number("tclass", 8)?);
        self.word(6 << 28 | tclass << 20 | label);
        self.zeros(2);
        self.byte(parts.number("proto", 8)?);
        self.byte(parts.number("hlimit", 8)?);
        self.bytes.extend(value::ip6(parts.value("src")?)?.octets());
        self.bytes.extend(value::ip6(parts.value("dst")?)?.octets());
        parts.end()
    }

    fn udp<'a>(&mut self, piece: Piece<'a>) -> Result<(), TextError<'a>> {
        let mut parts = Parts::read(piece)?;
        self.short(parts.number("src", 16)?);
        self.short(parts.number("dst", 16)?);
        self.zeros(2);
        self.short(parts.number("csum", 16)?);
        parts.end()
    }

    /// `(flags=0x2000,proto=0x6558),csum=…,key=…,seq=…`
    fn gre<'a>(&mut self, piece: Piece<'a>) -> Result<(), TextError<'a>> {
        if !piece.text.starts_with('(') {
            return Err(piece.error(Problem::Expected("(flags=…,proto=…)")));
        }
        let (first, rest) = piece.group('(', ')')?;
        let mut parts = Parts::read(first)?;
        let (flags, proto) = (parts.number("flags", 16)?, parts.number("proto", 16)?);
        parts.end()?;
        self.short(flags);
        self.short(proto);
        let mut parts = Parts::read(rest)?;
        if flags & u32::from(GRE_CSUM) != 0 {
            self.short(parts.number("csum", 16)?);
            self.zeros(2);
        }
        if flags & u32::from(GRE_KEY) != 0 {
            self.word(parts.number("key", 32)?);
        }
        if flags & u32::from(GRE_SEQ) != 0 {
            self.word(parts.number("seq", 32)?);
        }
        parts.end()
    }

    /// With the GRE header before it.
    fn erspan<'a>(&mut self, piece: Piece<'a>) -> Result<(), TextError<'a>> {
        let mut parts = Parts::read(piece)?;
        let (version, session) = (parts.number("ver", 4)?, parts.number("sid", 10)?);
        self.short(GRE_SEQ.into());
        self.short(if version == 1 { 0x88be } else { 0x22eb });
        self.zeros(4);
        self.short(version << 12);
        self.short(session);
        if version == 1 {
            self.word(parts.number("idx", 20)?);
        } else {
            self.zeros(6);
            let (dir, hwid) = (parts.number("dir", 1)?, parts.number("hwid", 6)?);
            self.short(hwid << 4 | dir << 3);
        }
        parts.end()
    }

    fn geneve<'a>(&mut self, piece: Piece<'a>) -> Result<(), TextError<'a>> {
        let mut parts = Parts::read(piece)?;
        let (oam, critical) = (parts.flag("oam")?, parts.flag("crit")?);
        let vni = parts.number("vni", 24)?;
        let options = match parts.take("options") {
            Some(options) => geneve_options(options.inside()?)?,
            None => Vec::new(),
        };
        parts.end()?;
        self.byte(u32::try_from(options.len() / 4).unwrap_or(0));
        let flag = |set: bool, bit: u8| if set { u32::from(bit) } else { 0 };
        self.byte(flag(oam, GENEVE_OAM) | flag(critical, GENEVE_CRITICAL));
        self.short(0x6558);
        self.word(vni << 8);
        self.bytes.extend(options);
        Ok(())
    }

    /// The routing header; what it carries is known when a packet is pushed.
    fn srv6<'a>(&mut self, piece: Piece<'a>) -> Result<(), TextError<'a>> {
        let mut parts = Parts::read(piece)?;
        let left = parts.number("segments_left", 8)?;
        let whole = piece;
        let segments = parts.take("segs");
        let segments =
            segments.ok_or_else(|| whole.error(Problem::Missing("segs(…)")))?.inside()?;
        parts.end()?;
        let list: Vec<&str> = segments.text.split(',').collect();
        let count = u32::try_from(list.len()).unwrap_or(0);
        self.zeros(1);
        self.byte(count * 2);
        self.byte(4);
        self.byte(left);
        self.byte(count.saturating_sub(1));
        self.zeros(3);
        let mut stops = Vec::with_capacity(list.len());
        let mut rest = segments;
        while !rest.is_empty() {
            let (one, tail) = rest.split_once(',').unwrap_or((rest, rest.tail(rest.text.len())));
            stops.push(value::ip6(one.trim())?.octets());
            rest = tail;
        }
        stops.reverse();
        self.bytes.extend(stops.concat());
        Ok(())
    }
}

/// `{class=0xffff,type=0x80,len=4,0xa}` after one another, as on the wire.
fn geneve_options<'a>(mut piece: Piece<'a>) -> Result<Vec<u8>, TextError<'a>> {
    const MOST: usize = 252;
    let mut out = Vec::new();
    while piece.more() {
        if !piece.text.starts_with('{') {
            return Err(piece.error(Problem::Expected("{class=…,type=…,len=…,0x…}")));
        }
        let (mut inside, rest) = piece.group('{', '}')?;
        let (mut class, mut kind, mut len, mut data) = (0, 0, None, None);
        while let Some(item) = inside.next_item()? {
            match item.name.text {
                "class" => class = value::short(item.equals()?)?,
                "type" => kind = value::byte(item.equals()?)?,
                "len" => len = Some((item.equals()?, value::byte(item.equals()?)?)),
                _ if matches!(item.value, Value::None) => data = Some(item.name),
                _ => return Err(item.name.error(Problem::UnknownPart)),
            }
        }
        let (at, len) = len.ok_or_else(|| piece.error(Problem::Missing("len=…")))?;
        if len % 4 != 0 || len > 124 {
            return Err(at.error(Problem::Expected("a multiple of 4 up to 124")));
        }
        out.extend(class.to_be_bytes());
        out.extend([kind, len / 4]);
        out.extend(match data {
            Some(data) => bytes(data, len)?,
            None => vec![0; usize::from(len)],
        });
        if out.len() > MOST {
            return Err(piece.error(Problem::TooMany));
        }
        piece = rest;
    }
    Ok(out)
}
