//! What a tunnel port is told to be: the options of its interface, read once.
//!
//! Options that make no sense are errors or warnings as the reference has them: a tunnel without a
//! remote end cannot be, an option that nobody knows is ignored with a warning.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use dp_core::action::tunnel::Kind;
use dp_core::tunnel::{Flavour, FlowLabel};

use crate::bridge::PacketTypes;

/// A value that is fixed, or taken from each packet's flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting<T> {
    /// Always this.
    Fixed(T),
    /// The flow says (`flow`).
    Flow,
}

impl<T> Setting<T> {
    /// The fixed value.
    pub const fn fixed(&self) -> Option<&T> {
        match self {
            Self::Fixed(value) => Some(value),
            Self::Flow => None,
        }
    }

    /// Whether the flow says.
    pub const fn is_flow(&self) -> bool {
        matches!(self, Self::Flow)
    }
}

/// ERSPAN's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erspan {
    /// Version, 1 or 2.
    pub version: Setting<u8>,
    /// Version 1: the index.
    pub index: Setting<u32>,
    /// Version 2: the direction.
    pub direction: Setting<u8>,
    /// Version 2: the hardware id.
    pub hardware: Setting<u8>,
}

/// A tunnel port's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelConfig {
    /// The interface type: `vxlan`, `ip6gre` …
    pub kind_name: &'static str,
    /// The kind of its tunnels.
    pub kind: Kind,
    /// The other end.
    pub remote: Setting<IpAddr>,
    /// This end; `None`: what the route says.
    pub local: Option<Setting<IpAddr>>,
    /// The key of packets received; `None`: those without one, or with 0.
    pub in_key: Option<Setting<u64>>,
    /// The key of packets sent.
    pub out_key: Option<Setting<u64>>,
    /// UDP destination port; 0 for kinds without.
    pub dst_port: u16,
    /// Outer tos; `None` inherits.
    pub tos: Option<u8>,
    /// Outer TTL; `None` inherits.
    pub ttl: Option<u8>,
    /// Whether packets must not be fragmented on the way.
    pub dont_fragment: bool,
    /// Whether outer checksums are computed; `None`: where UDP goes over IPv6.
    pub checksum: Option<bool>,
    /// GRE: whether packets are numbered.
    pub sequence: bool,
    /// The mark that outer packets are routed with.
    pub egress_mark: Option<u32>,
    /// How reserved bits are read.
    pub flavour: Flavour,
    /// Which packets go through.
    pub packet_types: PacketTypes,
    /// ERSPAN.
    pub erspan: Erspan,
    /// SRv6: the way, the first stop first; empty goes straight.
    pub segments: Vec<Ipv6Addr>,
    /// SRv6: the outer flow label.
    pub flow_label: FlowLabel,
    /// What `dpif/show` prints of it.
    shown: BTreeMap<&'static str, String>,
}

/// A kind of interface that is a tunnel.
struct KindInfo {
    name: &'static str,
    kind: Kind,
    /// How the datapath's port is called; a UDP port may follow.
    system: &'static str,
    udp: Option<u16>,
    l3: PacketTypes,
    may_be_l2: bool,
    may_be_l3: bool,
}

impl KindInfo {
    /// Whether the port says if the outer header has a checksum.
    const fn has_checksum(&self) -> bool {
        self.is_plain_gre() || matches!(self.kind, Kind::Geneve | Kind::Vxlan | Kind::Stt)
    }

    const fn is_plain_gre(&self) -> bool {
        matches!(self.kind, Kind::Gre | Kind::Ip6Gre)
    }
}

const L2: PacketTypes = PacketTypes::LegacyL2;
const L3: PacketTypes = PacketTypes::LegacyL3;

const KINDS: &[KindInfo] = &[
    kind("bareudp", Kind::Bareudp, "bareudp_sys", Some(0), L3, false, true),
    kind("erspan", Kind::Erspan, "erspan_sys", None, L2, true, false),
    kind("geneve", Kind::Geneve, "genev_sys", Some(6081), L2, true, false),
    kind("gre", Kind::Gre, "gre_sys", None, L2, true, true),
    kind("gtpu", Kind::Gtpu, "gtpu_sys", Some(2152), L3, false, true),
    kind("ip6erspan", Kind::Ip6Erspan, "ip6erspan_sys", None, L2, true, false),
    kind("ip6gre", Kind::Ip6Gre, "ip6gre_sys", None, L2, true, false),
    kind("lisp", Kind::Lisp, "lisp_sys", Some(4341), L3, false, true),
    kind("srv6", Kind::Srv6, "srv6_sys", None, L3, false, true),
    kind("stt", Kind::Stt, "stt_sys", Some(7471), L2, true, false),
    kind("vxlan", Kind::Vxlan, "vxlan_sys", Some(4789), L2, true, true),
];

const fn kind(
    name: &'static str,
    kind: Kind,
    system: &'static str,
    udp: Option<u16>,
    l3: PacketTypes,
    may_be_l2: bool,
    may_be_l3: bool,
) -> KindInfo {
    KindInfo { name, kind, system, udp, l3, may_be_l2, may_be_l3 }
}

/// Whether interfaces of this type are tunnels.
#[must_use]
pub fn is_tunnel(kind: &str) -> bool {
    KINDS.iter().any(|info| info.name == kind)
}

/// The interface types that are tunnels.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|info| info.name)
}

/// What came of reading options.
#[derive(Debug)]
pub struct Read {
    /// The configuration, or why there is none.
    pub result: Result<TunnelConfig, String>,
    /// Lines for the log.
    pub warnings: Vec<String>,
}

/// Reads the options of an interface of a tunnel type.
#[must_use]
pub fn read(name: &str, kind: &str, options: &BTreeMap<String, String>) -> Read {
    let Some(info) = KINDS.iter().find(|info| info.name == kind) else {
        let result = Err(format!("{name}: {kind} is no type of tunnel"));
        return Read { result, warnings: Vec::new() };
    };
    let mut reader = Reader { name, info, warnings: Vec::new(), errors: Vec::new() };
    let config = reader.read(options);
    let result = match config {
        Some(config) if reader.errors.is_empty() => Ok(config),
        _ => Err(reader.errors.join("\n")),
    };
    let mut warnings = reader.warnings;
    warnings.extend(reader.errors);
    Read { result, warnings }
}

struct Reader<'a> {
    name: &'a str,
    info: &'static KindInfo,
    warnings: Vec<String>,
    errors: Vec<String>,
}

/// A number as the tools write them: decimal, `0x…` or octal after `0`; 0 where there is none.
fn number(text: &str) -> u64 {
    let text = text.trim();
    // As the tools read them, what is below zero comes round from above.
    if let Some(positive) = text.strip_prefix('-') {
        return number(positive).wrapping_neg();
    }
    let digits = |text: &str, radix: u32| {
        let end = text.find(|c: char| !c.is_digit(radix)).unwrap_or(text.len());
        u64::from_str_radix(text.get(..end).unwrap_or_default(), radix).unwrap_or(0)
    };
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        digits(hex, 16)
    } else if let Some(octal) = text.strip_prefix('0').filter(|rest| !rest.is_empty()) {
        digits(octal, 8)
    } else {
        digits(text, 10)
    }
}

/// Whether the whole of a text is a number as [`number`] reads it; nothing is one.
fn is_number(text: &str) -> bool {
    let text = text.trim_start();
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_hexdigit()),
        None => text.bytes().all(|it| it.is_ascii_digit()),
    }
}

/// A hexadecimal number; 0 for what is none, and nothing for what is too large.
fn hexadecimal(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|it| it.is_ascii_hexdigit()) {
        return Some(0);
    }
    u32::from_str_radix(text, 16).ok()
}

impl Reader<'_> {
    fn warn(&mut self, what: &str) {
        self.warnings.push(format!("{}: {what}", self.name));
    }

    fn fail(&mut self, what: &str) {
        self.errors.push(format!("{}: {what}", self.name));
    }

    fn read(&mut self, options: &BTreeMap<String, String>) -> Option<TunnelConfig> {
        let kind = self.info.name;
        let get = |key: &str| options.get(key).map(String::as_str);
        let remote = self.end(get("remote_ip"), "remote_ip");
        let local = self.end(get("local_ip"), "local_ip");
        let key = |specific: &str| {
            get(specific).or_else(|| get("key")).map(|text| match text {
                "flow" => Setting::Flow,
                text => Setting::Fixed(number(text)),
            })
        };
        if matches!(self.info.kind, Kind::Lisp | Kind::Stt) {
            self.warn(&format!("'{kind}' port type is deprecated."));
            self.warn(&format!(
                "{kind} has no headers in this datapath, packets for it are dropped"
            ));
        }
        let mut config = TunnelConfig {
            kind_name: kind,
            kind: self.info.kind,
            remote: remote.unwrap_or(Setting::Flow),
            local,
            in_key: key("in_key"),
            out_key: key("out_key"),
            dst_port: self.info.udp.unwrap_or(0),
            tos: Some(0),
            ttl: Some(64),
            dont_fragment: get("df_default") != Some("false"),
            checksum: get("csum")
                .filter(|_| self.info.has_checksum())
                .and_then(|text| text.parse().ok()),
            sequence: self.info.is_plain_gre() && get("seq") == Some("true"),
            egress_mark: get("egress_pkt_mark")
                .map(|text| u32::try_from(number(text) & 0xffff_ffff).unwrap_or(0)),
            flavour: Flavour::Plain,
            packet_types: self.info.l3,
            erspan: Erspan {
                version: Setting::Fixed(0),
                index: Setting::Fixed(0),
                direction: Setting::Fixed(0),
                hardware: Setting::Fixed(0),
            },
            segments: Vec::new(),
            flow_label: FlowLabel::Copy,
            shown: BTreeMap::new(),
        };
        for (option, value) in options {
            self.option(&mut config, option, value);
        }
        self.check(&mut config, remote);
        config.shown = shown(&config, options, self.info);
        Some(config)
    }

    fn end(&mut self, text: Option<&str>, option: &str) -> Option<Setting<IpAddr>> {
        match text {
            None => None,
            Some("flow") => Some(Setting::Flow),
            Some(text) => match text.parse::<IpAddr>() {
                Ok(address) if option == "remote_ip" && address.is_multicast() => {
                    self.fail(&format!("multicast remote_ip={text} not allowed"));
                    Some(Setting::Fixed(address))
                }
                Ok(address) => Some(Setting::Fixed(address)),
                Err(_) => {
                    let what = format!("bad {} '{option}'", self.info.name);
                    // Without a remote end there is no tunnel; without a local one the route has it.
                    if option == "remote_ip" {
                        self.fail(&what)
                    } else {
                        self.warn(&what)
                    }
                    None
                }
            },
        }
    }

    fn option(&mut self, config: &mut TunnelConfig, option: &str, value: &str) {
        match option {
            "remote_ip" | "local_ip" | "key" | "in_key" | "out_key" | "df_default"
            | "egress_pkt_mark" => {}
            "csum" if self.info.has_checksum() => {}
            "seq" if self.info.is_plain_gre() => {}
            "tos" => config.tos = self.tos(value),
            "ttl" => config.ttl = ttl(value),
            "dst_port" if self.info.udp.is_some() => {
                // Nothing, or no number, is the usual port.
                match u16::try_from(number(value) & 0xffff).unwrap_or(0) {
                    0 => {}
                    port => config.dst_port = port,
                }
            }
            "exts" if self.info.name == "vxlan" => self.extensions(config, value),
            "packet_type" => self.packet_type(config, value),
            "erspan_ver" | "erspan_idx" | "erspan_dir" | "erspan_hwid" => {
                self.erspan(&mut config.erspan, option, value);
                if !self.info.name.ends_with("erspan") {
                    self.unknown(option);
                }
            }
            "payload_type" => self.payload_type(config, value),
            "srv6_segs" if self.info.name == "srv6" => self.segments(config, value),
            "srv6_flowlabel" if self.info.name == "srv6" => {
                config.flow_label = match value {
                    "copy" => FlowLabel::Copy,
                    "zero" => FlowLabel::Zero,
                    "compute" => FlowLabel::Compute,
                    _ => {
                        self.warn(&format!("bad srv6 flowlabel '{value}'"));
                        FlowLabel::Copy
                    }
                };
            }
            other => self.unknown(other),
        }
    }

    fn unknown(&mut self, option: &str) {
        let kind = self.info.name;
        self.warn(&format!("unknown {kind} argument '{option}'"));
    }

    fn payload_type(&mut self, config: &mut TunnelConfig, value: &str) {
        let ethertype = match value {
            "mpls" => 0x8847,
            "ip" => 0x0800,
            text => u16::try_from(number(text)).unwrap_or(0),
        };
        if ethertype == 0 {
            self.fail("could not set configuration (Invalid argument)");
        }
        if self.info.kind == Kind::Bareudp {
            config.flavour = Flavour::Payload(ethertype);
        } else {
            self.unknown("payload_type");
        }
    }

    fn tos(&mut self, value: &str) -> Option<u8> {
        if value == "inherit" {
            return None;
        }
        match u8::try_from(number(value)) {
            Ok(tos) if tos & 3 == 0 && is_number(value) => Some(tos),
            _ => {
                self.warn(&format!("invalid TOS {value}"));
                Some(0)
            }
        }
    }

    fn extensions(&mut self, config: &mut TunnelConfig, value: &str) {
        for extension in value.split(',').map(str::trim) {
            match extension {
                "gbp" => config.flavour = Flavour::GroupPolicy,
                "gpe" => config.flavour = Flavour::Gpe,
                other => self.warn(&format!("unknown extension '{other}'")),
            }
        }
    }

    fn packet_type(&mut self, config: &mut TunnelConfig, value: &str) {
        let kind = self.info.name;
        match value {
            "legacy_l2" if !self.info.may_be_l2 => {
                self.fail(&format!(
                    "legacy_l2 configured on {kind} tunnel that cannot carry L2 traffic"
                ));
            }
            "legacy_l3" if !self.info.may_be_l3 => {
                self.fail(&format!(
                    "legacy_l3 configured on {kind} tunnel that cannot carry L3 traffic"
                ));
            }
            "legacy_l2" => config.packet_types = PacketTypes::LegacyL2,
            "legacy_l3" => config.packet_types = PacketTypes::LegacyL3,
            "ptap" => config.packet_types = PacketTypes::Aware,
            other => self.fail(&format!("unknown packet_type '{other}'")),
        }
    }

    fn erspan(&mut self, erspan: &mut Erspan, option: &str, value: &str) {
        let flow = value == "flow";
        let n = number(value);
        let small = u8::try_from(n).unwrap_or(u8::MAX);
        match option {
            "erspan_ver" if flow => *erspan = ERSPAN_BY_FLOW,
            "erspan_ver" if matches!(n, 1 | 2) => erspan.version = Setting::Fixed(small),
            "erspan_ver" => self.fail(&format!("invalid erspan version: {value}")),
            "erspan_idx" if flow => erspan.index = Setting::Flow,
            // The tools read the index as hexadecimal.
            "erspan_idx" => {
                let hex = value.strip_prefix("0x").unwrap_or(value);
                match hexadecimal(hex) {
                    Some(index) if index <= 0xf_ffff => erspan.index = Setting::Fixed(index),
                    _ => self.fail(&format!("invalid erspan index: {value}")),
                }
            }
            "erspan_dir" if flow => erspan.direction = Setting::Flow,
            "erspan_dir" if n <= 1 => erspan.direction = Setting::Fixed(small),
            "erspan_dir" => self.fail(&format!("invalid erspan direction: {value}")),
            _ if flow => erspan.hardware = Setting::Flow,
            _ => {
                let hex = value.strip_prefix("0x").unwrap_or(value);
                match hexadecimal(hex).map(u8::try_from) {
                    Some(Ok(hardware)) if hardware <= 0x3f => {
                        erspan.hardware = Setting::Fixed(hardware);
                    }
                    _ => self.fail(&format!("invalid erspan hardware ID: {value}")),
                }
            }
        }
    }

    fn segments(&mut self, config: &mut TunnelConfig, value: &str) {
        let parsed: Result<Vec<Ipv6Addr>, _> =
            value.split(',').map(|segment| segment.trim().parse()).collect();
        match parsed {
            Ok(segments) if segments.len() <= MAX_SEGMENTS => config.segments = segments,
            _ => self.warn(&format!("bad {value} 'srv6_segs'")),
        }
    }

    fn check(&mut self, config: &mut TunnelConfig, remote: Option<Setting<IpAddr>>) {
        let kind = self.info.name;
        if remote.is_none() {
            self.fail(&format!("{kind} type requires valid 'remote_ip' argument"));
        }
        if let (Some(Setting::Flow), Setting::Fixed(_)) = (config.local, config.remote) {
            self.fail(&format!("{kind} type requires 'remote_ip=flow' with 'local_ip=flow'"));
        }
        if let (Some(Setting::Fixed(local)), Setting::Fixed(remote)) = (config.local, config.remote)
            && local.is_ipv4() != remote.is_ipv4()
        {
            self.fail("'remote_ip' and 'local_ip' has to be of the same address family");
        }
        let plain = self.info.kind == Kind::Vxlan && config.flavour != Flavour::Gpe;
        if plain && config.packet_types == PacketTypes::LegacyL3 {
            let what = "VXLAN (without GPE)";
            self.fail(&format!(
                "legacy_l3 configured on {what} tunnel that cannot carry L3 traffic"
            ));
        }
        if kind == "bareudp" && config.flavour == Flavour::Plain {
            config.flavour = Flavour::Payload(0x0800);
        }
    }
}

/// Stops of an SRv6 way that fit in front of a packet.
const MAX_SEGMENTS: usize = 6;

const ERSPAN_BY_FLOW: Erspan = Erspan {
    version: Setting::Flow,
    index: Setting::Flow,
    direction: Setting::Flow,
    hardware: Setting::Flow,
};

fn ttl(value: &str) -> Option<u8> {
    if value == "inherit" {
        return None;
    }
    // Decimal, whatever it begins with.
    let text = value.trim_start();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let low = digits
        .bytes()
        .map_while(|it| it.is_ascii_digit().then(|| it - b'0'))
        .fold(0_u8, |low, digit| low.wrapping_mul(10).wrapping_add(digit));
    Some(if negative { low.wrapping_neg() } else { low })
}

/// What listings print of a configuration: what differs from what would be there anyway.
fn shown(
    config: &TunnelConfig,
    options: &BTreeMap<String, String>,
    info: &KindInfo,
) -> BTreeMap<&'static str, String> {
    let mut out = BTreeMap::new();
    let address = |setting: &Setting<IpAddr>| match setting {
        Setting::Fixed(address) => address.to_string(),
        Setting::Flow => "flow".into(),
    };
    if options.contains_key("remote_ip") {
        out.insert("remote_ip", address(&config.remote));
    }
    if let Some(local) = &config.local {
        out.insert("local_ip", address(local));
    }
    let key = |setting: &Option<Setting<u64>>| match setting {
        None => None,
        Some(Setting::Fixed(key)) => Some(key.to_string()),
        Some(Setting::Flow) => Some("flow".to_string()),
    };
    match (key(&config.in_key), key(&config.out_key)) {
        (Some(a), Some(b)) if a == b => {
            out.insert("key", a);
        }
        (a, b) => {
            out.extend(a.map(|key| ("in_key", key)));
            out.extend(b.map(|key| ("out_key", key)));
        }
    }
    match config.ttl {
        None => {
            out.insert("ttl", "inherit".into());
        }
        Some(0 | 64) => {}
        Some(ttl) => {
            out.insert("ttl", ttl.to_string());
        }
    }
    match config.tos {
        None => {
            out.insert("tos", "inherit".into());
        }
        Some(0) => {}
        Some(tos) => {
            out.insert("tos", format!("{tos:#x}"));
        }
    }
    if info.udp.is_some_and(|port| port != config.dst_port) {
        out.insert("dst_port", config.dst_port.to_string());
    }
    if let Some(checksum) = config.checksum {
        out.insert("csum", checksum.to_string());
    }
    if config.sequence {
        out.insert("seq", "true".into());
    }
    if config.packet_types != info.l3 {
        out.insert("packet_type", config.packet_types.name().into());
    }
    if !config.dont_fragment {
        out.insert("df_default", "false".into());
    }
    if let Some(mark) = config.egress_mark {
        out.insert("egress_pkt_mark", mark.to_string());
    }
    if info.name.ends_with("erspan") {
        erspan_shown(&config.erspan, &mut out);
    }
    out
}

fn erspan_shown(erspan: &Erspan, out: &mut BTreeMap<&'static str, String>) {
    let version = erspan.version.fixed().map_or("flow".into(), u8::to_string);
    out.insert("erspan_ver", version);
    let version = erspan.version.fixed().copied();
    if matches!(version, None | Some(1)) {
        let index = erspan.index.fixed().map_or("flow".into(), |index| format!("{index:#x}"));
        out.insert("erspan_idx", index);
    }
    if matches!(version, None | Some(2)) {
        let direction = erspan.direction.fixed().map_or("flow".into(), u8::to_string);
        out.insert("erspan_dir", direction);
        let hardware = erspan.hardware.fixed().map_or("flow".into(), |id| format!("{id:#x}"));
        out.insert("erspan_hwid", hardware);
    }
}

impl TunnelConfig {
    /// The name of the datapath's port for this kind of tunnel: shared by all that are alike.
    #[must_use]
    pub fn system_name(&self) -> String {
        let info = KINDS.iter().find(|info| info.name == self.kind_name);
        let system = info.map_or("", |info| info.system);
        if info.is_some_and(|info| info.udp.is_some()) {
            format!("{system}_{}", self.dst_port)
        } else {
            system.to_string()
        }
    }

    /// `key=value` pairs as `dpif/show` prints them.
    pub fn shown(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.shown.iter().map(|(key, value)| (*key, value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::{BTreeMap, FlowLabel, PacketTypes, Setting, read};

    fn options(text: &str) -> BTreeMap<String, String> {
        text.split_whitespace()
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.into(), value.into()))
            .collect()
    }

    fn shown(kind: &str, text: &str) -> String {
        let config = read("t", kind, &options(text)).result.expect("it can be");
        let pairs: Vec<String> =
            config.shown().map(|(key, value)| format!("{key}={value}")).collect();
        pairs.join(", ")
    }

    #[test]
    fn listings_show_what_the_reference_shows() {
        for (kind, given, expected) in [
            ("vxlan", "remote_ip=1.1.2.92 key=0x7b", "key=123, remote_ip=1.1.2.92"),
            (
                "gre",
                "remote_ip=1.1.2.92 local_ip=1.1.2.88 in_key=1 out_key=2 csum=true egress_pkt_mark=1234",
                "csum=true, egress_pkt_mark=1234, in_key=1, local_ip=1.1.2.88, out_key=2, remote_ip=1.1.2.92",
            ),
            (
                "geneve",
                "remote_ip=2001:cafe::92 key=flow tos=inherit ttl=inherit dst_port=6082",
                "dst_port=6082, key=flow, remote_ip=2001:cafe::92, tos=inherit, ttl=inherit",
            ),
            (
                "vxlan",
                "remote_ip=1.1.2.92 exts=gpe key=7 dst_port=4791 packet_type=ptap",
                "dst_port=4791, key=7, packet_type=ptap, remote_ip=1.1.2.92",
            ),
            (
                "erspan",
                "remote_ip=1.1.2.92 key=1 erspan_ver=1 erspan_idx=5",
                "erspan_idx=0x5, erspan_ver=1, key=1, remote_ip=1.1.2.92",
            ),
            (
                "ip6erspan",
                "remote_ip=2001:cafe::92 key=1 erspan_ver=2 erspan_dir=1 erspan_hwid=7",
                "erspan_dir=1, erspan_hwid=0x7, erspan_ver=2, key=1, remote_ip=2001:cafe::92",
            ),
            ("gtpu", "remote_ip=1.1.2.92 key=1 packet_type=legacy_l3", "key=1, remote_ip=1.1.2.92"),
            ("ip6gre", "remote_ip=::1 tos=0x20 ttl=50", "remote_ip=::1, tos=0x20, ttl=50"),
            ("vxlan", "remote_ip=1.1.1.1 df_default=false", "df_default=false, remote_ip=1.1.1.1"),
        ] {
            assert_eq!(shown(kind, given), expected, "{kind} {given}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_in_the_references_words() {
        for (kind, given, expected) in [
            ("vxlan", "", "t: vxlan type requires valid 'remote_ip' argument"),
            (
                "vxlan",
                "remote_ip=foo",
                "t: bad vxlan 'remote_ip'\nt: vxlan type requires valid 'remote_ip' argument",
            ),
            ("vxlan", "remote_ip=224.0.0.1", "t: multicast remote_ip=224.0.0.1 not allowed"),
            (
                "vxlan",
                "remote_ip=1.1.2.92 local_ip=flow",
                "t: vxlan type requires 'remote_ip=flow' with 'local_ip=flow'",
            ),
            (
                "gre",
                "remote_ip=1.1.2.92 local_ip=2001::1",
                "t: 'remote_ip' and 'local_ip' has to be of the same address family",
            ),
            ("erspan", "remote_ip=1.1.2.92 erspan_ver=3", "t: invalid erspan version: 3"),
            (
                "erspan",
                "remote_ip=1.1.2.92 erspan_ver=1 erspan_idx=0xfffffff",
                "t: invalid erspan index: 0xfffffff",
            ),
            ("gre", "remote_ip=1.1.2.92 packet_type=foo", "t: unknown packet_type 'foo'"),
            (
                "gtpu",
                "remote_ip=1.1.2.92 packet_type=legacy_l2",
                "t: legacy_l2 configured on gtpu tunnel that cannot carry L2 traffic",
            ),
        ] {
            let read = read("t", kind, &options(given));
            assert_eq!(read.result.err().as_deref(), Some(expected), "{kind} {given}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_warned_of_and_ignored() {
        for (kind, given, expected) in [
            ("vxlan", "remote_ip=1.1.2.92 foo=bar", "t: unknown vxlan argument 'foo'"),
            ("gre", "remote_ip=1.1.2.92 dst_port=7", "t: unknown gre argument 'dst_port'"),
            ("vxlan", "remote_ip=1.1.2.92 tos=0x3", "t: invalid TOS 0x3"),
            ("vxlan", "remote_ip=1.1.2.92 exts=foo", "t: unknown extension 'foo'"),
            ("srv6", "remote_ip=2001::1 srv6_segs=foo", "t: bad foo 'srv6_segs'"),
        ] {
            let read = read("t", kind, &options(given));
            assert!(read.result.is_ok());
            assert_eq!(read.warnings, [expected], "{kind} {given}");
        }
    }

    #[test]
    fn ports_of_the_datapath_are_shared_by_kind_and_udp_port() {
        let name = |kind: &str, given: &str| {
            read("t", kind, &options(given)).result.expect("it can be").system_name()
        };
        assert_eq!(name("vxlan", "remote_ip=flow"), "vxlan_sys_4789");
        assert_eq!(name("geneve", "remote_ip=flow dst_port=7"), "genev_sys_7");
        assert_eq!(name("ip6gre", "remote_ip=flow"), "ip6gre_sys");
        assert_eq!(name("gtpu", "remote_ip=flow"), "gtpu_sys_2152");
    }

    #[test]
    fn flow_may_say_what_is_not_fixed() {
        let given = "remote_ip=flow local_ip=flow key=flow erspan_ver=flow";
        let config = read("t", "erspan", &options(given)).result.expect("it can be");
        assert!(config.remote.is_flow() && config.local == Some(Setting::Flow));
        assert!(config.in_key.is_some_and(|key| key.is_flow()));
        assert!(config.erspan.hardware.is_flow());
        let given = "remote_ip=::1 srv6_segs=::1,::2 srv6_flowlabel=compute";
        let config = read("t", "srv6", &options(given)).result.expect("it can be");
        assert_eq!((config.segments.len(), config.flow_label), (2, FlowLabel::Compute));
        assert_eq!(config.packet_types, PacketTypes::LegacyL3);
    }
}
