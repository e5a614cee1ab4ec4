//! The table of match fields against the reference's: every row as `ovs-fields(7)` documents it
//! (`fields.txt`), and every number on the wire as the installed `ovs-ofctl` reads and writes it, with
//! and without a mask, with and without its prerequisites.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use dp_core::base::{PortNo, RecircId};
use dp_core::flow::fields::{Maskable, Prereq};
use dp_core::flow::{Extractor, FIELDS, Field, FlowKey};
use dp_core::packet::{CtAddrs, CtMeta, Metadata, Packet, Pool, TunnelMeta};
use dp_ofproto::matching::Match;
use dp_ofproto::openflow::Version;
use dp_ofproto::openflow::matches::{decode, encode_fields, oxm};
use dp_ofproto::openflow::wire::Cursor;
use dp_tests::manual;
use testkit::folder::Folder;
use testkit::packages::Apart;

const DOCUMENTED: &str = include_str!("../fields.txt");

/// Families of which the first field alone is documented, and how many fields there are.
const FAMILIES: [(&str, usize); 4] = [("xxreg", 4), ("xreg", 8), ("reg", 16), ("tun_metadata", 64)];

/// The family of a field, and which one of it.
fn family(name: &str) -> Option<(&'static str, usize, u8)> {
    FAMILIES.iter().find_map(|&(family, count)| {
        let number = name.strip_prefix(family)?.parse().ok()?;
        Some((family, count, number))
    })
}

fn named(name: &str) -> Result<&'static Field> {
    FIELDS.iter().find(|field| field.name == name).with_context(|| format!("no field {name}"))
}

const fn prerequisite(prereq: Prereq) -> &'static str {
    match prereq {
        Prereq::None => "none",
        Prereq::Ethernet => "Ethernet",
        Prereq::VlanVid => "VLAN VID",
        Prereq::Arp => "ARP",
        Prereq::Ipv4 => "IPv4",
        Prereq::Ipv6 => "IPv6",
        Prereq::IpAny => "IPv4/IPv6",
        Prereq::Mpls => "MPLS",
        Prereq::Nsh => "NSH",
        Prereq::Tcp => "TCP",
        Prereq::Udp => "UDP",
        Prereq::Sctp => "SCTP",
        Prereq::Icmpv4 => "ICMPv4",
        Prereq::Icmpv6 => "ICMPv6",
        Prereq::Nd => "ND",
        Prereq::NdSolicit => "ND solicit",
        Prereq::NdAdvert => "ND advert",
        Prereq::Ct => "CT",
    }
}

/// Rows whose values are narrower here than documented: name, documented width, ours, and why.
const NARROWER: [(&str, &str, &str, &str); 5] = [
    ("in_port_oxm", "32", "32:16", "ports have numbers of 16 bits, as in the reference"),
    ("actset_output", "32", "32:16", "the same"),
    ("ct_state", "32", "32:8", "there are 8 states"),
    ("arp_op", "16", "16:8", "operations above 255 are not matched, as in the reference"),
    ("nsh_ttl", "8", "8:6", "RFC 8300: 6 bits"),
];

/// Fields that the reference has and does not document.
const UNDOCUMENTED: [&str; 6] =
    ["dp_hash", "recirc_id", "tun_ttl", "tun_tos", "dl_vlan", "dl_vlan_pcp"];

/// The row of a field as the documentation has it.
fn row(field: &Field, first: bool) -> String {
    let wire = u16::from(field.wire_len) * 8;
    let bits = field.bits;
    let width = if bits == wire { wire.to_string() } else { format!("{wire}:{bits}") };
    let masks = if field.maskable == Maskable::Bits { "bits" } else { "exact" };
    let access = if field.writable { "rw" } else { "r" };
    let alias = field.alias.unwrap_or("-");
    let base = family(field.name).map_or(0, |(_, _, number)| if first { 0 } else { number });
    let numbers: BTreeSet<_> =
        field.oxm.iter().map(|oxm| format!("{} {}", oxm.name, oxm.number - base)).collect();
    let numbers = numbers.into_iter().collect::<Vec<_>>().join("; ");
    format!(
        "{} | {alias} | {width} | {masks} | {} | {access} | {numbers}",
        field.name,
        prerequisite(field.prereq)
    )
}

/// A documented row with its numbers sorted.
fn sorted(line: &str) -> String {
    let Some((row, numbers)) = line.rsplit_once(" | ") else { return line.to_owned() };
    let numbers: BTreeSet<_> = numbers.split("; ").collect();
    format!("{row} | {}", numbers.into_iter().collect::<Vec<_>>().join("; "))
}

#[test]
fn every_row_is_as_documented() -> Result<()> {
    let mut wrong = String::new();
    let mut seen = BTreeSet::new();
    for line in DOCUMENTED.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(" | ").next().unwrap_or_default();
        let field = named(name)?;
        seen.insert(name.to_owned());
        let mut theirs = sorted(line);
        if let Some((_, from, to, _)) = NARROWER.iter().find(|(narrow, ..)| *narrow == name) {
            theirs = theirs.replacen(&format!(" | {from} | "), &format!(" | {to} | "), 1);
        }
        let ours = row(field, true);
        if theirs.trim() != ours.trim() {
            writeln!(wrong, "theirs {theirs}\nours   {ours}")?;
        }
        let Some((family, count, _)) = family(name) else { continue };
        for number in 1..count {
            let other = named(&format!("{family}{number}"))?;
            seen.insert(other.name.to_owned());
            let expected = row(field, true).replace(&format!("{family}0"), other.name);
            let (family, other_name) = (family.to_uppercase(), other.name.to_uppercase());
            let expected = expected
                .replace(&format!("_{family}0 "), &format!("_{other_name} "))
                .replace("_PKT_REG0 ", &format!("_PKT_REG{number} "));
            if row(other, false) != expected {
                writeln!(wrong, "expected {expected}\nours     {}", row(other, false))?;
            }
        }
    }
    let others: BTreeSet<_> =
        FIELDS.iter().map(|it| it.name).filter(|name| !seen.contains(*name)).collect();
    if others != BTreeSet::from(UNDOCUMENTED) {
        writeln!(wrong, "not documented: {others:?}")?;
    }
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(())
}

/// The list above is the manual's, of the newest version that is compared with: whatever field it adds
/// or changes fails here, and what it names that the table has not.
#[test]
fn the_rows_are_those_of_the_manual() -> Result<()> {
    let manual = Apart::trixie()?.file("usr/share/man/man7/ovs-fields.7.gz");
    let source = manual::source(&manual)?;
    let rows: BTreeSet<_> = manual::rows(&source)?.iter().map(|row| sorted(row)).collect();
    let listed = DOCUMENTED.lines().filter(|line| !line.starts_with('#'));
    let listed: BTreeSet<_> = listed.map(sorted).collect();
    let differences: Vec<_> = rows.symmetric_difference(&listed).collect();
    ensure!(differences.is_empty() && rows.len() > 80, "{} rows: {differences:#?}", rows.len());
    // Those of VLANs have no table of their own.
    let unnamed = UNDOCUMENTED.iter().filter(|name| !name.starts_with("dl_vlan"));
    let names = manual::names(&source);
    let names: BTreeSet<_> = names.iter().map(String::as_str).chain(unnamed.copied()).collect();
    let ours: BTreeSet<_> = FIELDS.iter().map(|field| field.name).collect();
    let differences: Vec<_> = names.symmetric_difference(&ours).collect();
    ensure!(differences.is_empty() && names.len() > 170, "{} names: {differences:?}", names.len());
    Ok(())
}

/// What must stand before a field, as `ovs-ofctl parse-oxm` reads it.
const fn before(prereq: Prereq) -> &'static str {
    match prereq {
        Prereq::None | Prereq::Ethernet => "",
        Prereq::VlanVid => "OXM_OF_VLAN_VID(1005), ",
        Prereq::Arp => "OXM_OF_ETH_TYPE(0806), ",
        Prereq::Ipv4 | Prereq::IpAny => "OXM_OF_ETH_TYPE(0800), ",
        Prereq::Ipv6 => "OXM_OF_ETH_TYPE(86dd), ",
        Prereq::Mpls => "OXM_OF_ETH_TYPE(8847), ",
        Prereq::Nsh => "OXM_OF_ETH_TYPE(894f), ",
        Prereq::Tcp => "OXM_OF_ETH_TYPE(0800), OXM_OF_IP_PROTO(06), ",
        Prereq::Udp => "OXM_OF_ETH_TYPE(0800), OXM_OF_IP_PROTO(11), ",
        Prereq::Sctp => "OXM_OF_ETH_TYPE(0800), OXM_OF_IP_PROTO(84), ",
        Prereq::Icmpv4 => "OXM_OF_ETH_TYPE(0800), OXM_OF_IP_PROTO(01), ",
        Prereq::Icmpv6 => "OXM_OF_ETH_TYPE(86dd), OXM_OF_IP_PROTO(3a), ",
        Prereq::Nd | Prereq::NdSolicit => {
            "OXM_OF_ETH_TYPE(86dd), OXM_OF_IP_PROTO(3a), OXM_OF_ICMPV6_TYPE(87), "
        }
        Prereq::NdAdvert => "OXM_OF_ETH_TYPE(86dd), OXM_OF_IP_PROTO(3a), OXM_OF_ICMPV6_TYPE(88), ",
        Prereq::Ct => "OXM_OF_ETH_TYPE(0800), NXM_NX_CT_STATE_W(00000020/00000020), ",
    }
}

/// `NAME(value)` or `NAME_W(value/mask)`, as it is read and printed.
fn piece(name: &str, len: usize, value: u128, mask: Option<u128>) -> String {
    let hex = |number: u128| format!("{number:0width$x}", width = len * 2);
    match mask {
        None => format!("{name}({})", hex(value)),
        Some(mask) => format!("{name}_W({}/{})", hex(value), hex(mask)),
    }
}

/// The bytes of a line.
fn bytes(line: &str) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for piece in line.split(", ") {
        let (name, rest) = piece.split_once('(').context("NAME(")?;
        let values = rest.trim_end_matches(')');
        let (bare, masked) = match name.strip_suffix("_W") {
            Some(bare) => (bare, true),
            None => (name, false),
        };
        let numbers = FIELDS.iter().flat_map(|field| field.oxm.iter().map(move |oxm| (field, oxm)));
        let (field, number) =
            numbers.clone().find(|(_, oxm)| oxm.name == bare).with_context(|| bare.to_owned())?;
        let (class, experimenter) = number.class.wire();
        let len = field.wire_len * if masked { 2 } else { 1 };
        oxm::OxmHeader { class, number: number.number, masked, len, experimenter }.encode(&mut out);
        for value in values.split('/') {
            let value = u128::from_str_radix(value, 16).with_context(|| value.to_owned())?;
            let all = value.to_be_bytes();
            out.extend(&all[all.len() - usize::from(field.wire_len)..]);
        }
    }
    Ok(out)
}

/// What ours reads in a line; `None` if it refuses.
fn matching(line: &str) -> Result<Option<Match>> {
    let fields = bytes(line)?;
    let mut message = vec![0, 1];
    message.extend(u16::try_from(fields.len() + 4)?.to_be_bytes());
    message.extend(&fields);
    message.resize(message.len().next_multiple_of(8), 0);
    Ok(decode(&mut Cursor::new(&message)).ok())
}

/// What ours makes of a line: decoded and written again, as text.
fn ours(line: &str) -> Result<String> {
    let Some(matching) = matching(line)? else { return Ok("refused".to_owned()) };
    let mut out = Vec::new();
    encode_fields(&mut out, &matching, Version::V15);
    let len = usize::from(u16::from_be_bytes([out[2], out[3]]));
    let fields = out.get(4..len).context("a length")?;
    let (mut at, mut text) = (Cursor::new(fields), Vec::new());
    while !at.is_empty() {
        let header = oxm::OxmHeader::decode(&mut at).map_err(|code| anyhow::anyhow!("{code:?}"))?;
        let field = header.field().context("a field")?.field();
        let wire = header.experimenter;
        let number = field
            .oxm
            .iter()
            .find(|it| it.class.wire() == (header.class, wire) && it.number == header.number);
        let name = number.context("a number")?.name;
        let len = usize::from(header.len) / if header.masked { 2 } else { 1 };
        let mut next = || at.number(len).map_err(|code| anyhow::anyhow!("{code:?}"));
        let value = next()?;
        let mask = if header.masked { Some(next()?) } else { None };
        text.push(piece(name, len, value, mask));
    }
    Ok(text.join(", "))
}

/// Lines of which the reference makes another match than it was given: it takes the value for the mask
/// where none is given, and a TCI without the bit of presence for a VLAN that no packet has.
const CHANGED: [&str; 5] = [
    "NXOXM_ET_ERSPAN_VER(01)",
    "NXOXM_ET_ERSPAN_HWID(01)",
    "NXOXM_ET_GTPU_FLAGS(01)",
    "NXOXM_ET_GTPU_MSGTYPE(01)",
    "NXM_OF_VLAN_TCI(0001)",
];

#[test]
fn every_number_is_read_and_written_as_the_reference_does() -> Result<()> {
    testkit::packages::ensure(&["openvswitch-common"])?;
    let mut lines = Vec::new();
    for field in FIELDS.iter().filter(|field| !field.name.starts_with("tun_metadata")) {
        let ones = oxm::wire_ones(field.id);
        let lowest = ones & ones.wrapping_neg();
        // A tag is said to be there by a bit of its own.
        let value = match field.name {
            "vlan_vid" => 0x1000 | lowest,
            "eth_type" => 0x88cc,
            _ => lowest,
        };
        let len = usize::from(field.wire_len);
        for number in field.oxm {
            let mut pieces = vec![piece(number.name, len, value, None)];
            let masked = piece(number.name, len, value, Some(value));
            if field.maskable == Maskable::Bits {
                pieces.push(masked);
            } else if field.bits > 1 {
                // The reference's names have no such; a mask of some bits is refused on the wire.
                let line = format!("{}{masked}", before(field.prereq));
                assert_eq!(ours(&line)?, "refused", "{line}");
            }
            for piece in pieces {
                lines.push(format!("{}{piece}", before(field.prereq)));
                if !before(field.prereq).is_empty() {
                    lines.push(piece);
                }
            }
        }
    }
    let theirs = reference(&lines)?;
    let ours = lines.iter().map(|line| ours(line).with_context(|| line.clone()));
    let ours = ours.collect::<Result<Vec<_>>>()?;
    // What ours has written, read by the reference.
    let written: Vec<_> = ours.iter().filter(|line| *line != "refused").cloned().collect();
    let mut again = reference(&written)?.into_iter();
    let mut wrong = String::new();
    for ((line, theirs), ours) in lines.iter().zip(&theirs).zip(&ours) {
        if [theirs, ours].iter().any(|it| *it == "refused") {
            if theirs != ours {
                writeln!(wrong, "given  {line}\ntheirs {theirs}\nours   {ours}")?;
            }
            continue;
        }
        // Either may write a match in several ways; each reads the other's as its own.
        let again = again.next().context("an answer")?;
        let same = matching(theirs)? == matching(line)? || CHANGED.contains(&line.as_str());
        if again != *theirs || !same {
            writeln!(wrong, "given  {line}\ntheirs {theirs}\nours   {ours}\nread   {again}")?;
        }
    }
    ensure!(wrong.is_empty(), "{wrong}");
    ensure!(written.len() > 200, "only {} lines", written.len());
    Ok(())
}

/// What the reference makes of lines: read and written again.
fn reference(lines: &[String]) -> Result<Vec<String>> {
    let folder = Folder::new("fields")?;
    let path = folder.join("lines");
    std::fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>())?;
    let mut command = Command::new("ovs-ofctl");
    command.args(["--strict", "parse-oxm", "OpenFlow15"]).stdin(std::fs::File::open(&path)?);
    let output = command.output()?;
    let text = String::from_utf8(output.stdout)?;
    let refused = |line: &str| line.contains("returned error");
    let answers: Vec<_> = text
        .lines()
        .map(|line| if refused(line) { "refused".to_owned() } else { line.to_owned() })
        .collect();
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(answers.len() == lines.len(), "{} answers: {said}", answers.len());
    Ok(answers)
}

/// Checks that a match on a field finds a key: whole, and each of its bits alone; and that it does not
/// find one that differs there.
fn matches(field: &Field, key: &FlowKey, value: u128) -> Result<()> {
    let name = field.name;
    // All bits but two of the type of service, which are the field of another name.
    let bits = field.ones() & oxm::exact_mask(field.id);
    let found = key.get(field.id) & bits;
    ensure!(found == value, "{name} is {found:#x}, not {value:#x}");
    let exact = |value| Match::build().masked(field.id, value, bits).finish();
    ensure!(exact(value).matches(key), "{name}={value:#x} does not match");
    for bit in (0..field.bits.min(128)).map(|at| 1u128 << at).filter(|bit| bits & bit != 0) {
        ensure!(!exact(value ^ bit).matches(key), "{name}={:#x} matches {value:#x}", value ^ bit);
        let masked = |value| Match::build().masked(field.id, value, bit).finish();
        ensure!(masked(value).matches(key), "{name}={value:#x}/{bit:#x} does not match");
        // All other bits are wrong.
        ensure!(masked(!value ^ bit).matches(key), "{name} looks at more than {bit:#x}");
        ensure!(!masked(!value).matches(key), "{name} does not look at {bit:#x}");
    }
    Ok(())
}

/// A packet with everything that a packet can carry beside its frame; connections and tunnels of either
/// family.
fn carrying(v6: bool) -> Result<Packet> {
    let mut packet = Pool::standard().alloc().context("a buffer")?;
    packet.append(60).context("room")?[12..14].copy_from_slice(&[0x88, 0xcc]);
    let meta = packet.meta_mut();
    (meta.in_port, meta.recirc_id) = (PortNo(77), RecircId(0x1234_5678));
    meta.set_marks(0x8765_4321, 0x1357_2468);
    meta.set_hash(0xfeed_beef);
    let addrs = if v6 {
        CtAddrs::V6(six(0x77).into(), six(0x88).into())
    } else {
        CtAddrs::V4(0xc000_024d.into(), 0xc633_6458.into())
    };
    let (mark, zone) = (0xcafe_1234, 0xbeef);
    let (tp_src, tp_dst) = (0x1122, 0x3344);
    let label = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210;
    packet.set_ct(CtMeta { label, mark, zone, state: 0x2a, proto: 17, tp_src, tp_dst, addrs });
    let mut tunnel = TunnelMeta {
        id: 0x1122_3344_5566_7788,
        flags: 0x0f,
        tos: 0xb8,
        ttl: 61,
        gbp_id: 0x4321,
        gbp_flags: 0x48,
        erspan_ver: 2,
        erspan_idx: 0x9_8765,
        erspan_dir: 1,
        erspan_hwid: 0x2a,
        gtpu_flags: 0x34,
        gtpu_msgtype: 0xff,
        ..TunnelMeta::NONE
    };
    if v6 {
        (tunnel.ipv6_src, tunnel.ipv6_dst) = (six(0x99).into(), six(0xaa).into());
    } else {
        (tunnel.src, tunnel.dst) = (0xcb00_7105.into(), 0xcb00_7106.into());
    }
    packet.set_tunnel(&tunnel);
    Ok(packet)
}

const fn six(last: u128) -> u128 {
    0x2001_0db8 << 96 | last
}

/// What packets carry: field, value, whether the packet of IPv6 carries it.
const CARRIED: [(&str, u128, bool); 33] = [
    ("in_port", 77, false),
    ("in_port_oxm", 77, false),
    ("recirc_id", 0x1234_5678, false),
    ("dp_hash", 0xfeed_beef, false),
    ("pkt_mark", 0x8765_4321, false),
    ("skb_priority", 0x1357_2468, false),
    ("ct_state", 0x2a, false),
    ("ct_zone", 0xbeef, false),
    ("ct_mark", 0xcafe_1234, false),
    ("ct_label", 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210, false),
    ("ct_nw_proto", 17, false),
    ("ct_nw_src", 0xc000_024d, false),
    ("ct_nw_dst", 0xc633_6458, false),
    ("ct_ipv6_src", six(0x77), true),
    ("ct_ipv6_dst", six(0x88), true),
    ("ct_tp_src", 0x1122, false),
    ("ct_tp_dst", 0x3344, false),
    ("tun_id", 0x1122_3344_5566_7788, false),
    ("tun_src", 0xcb00_7105, false),
    ("tun_dst", 0xcb00_7106, false),
    ("tun_ipv6_src", six(0x99), true),
    ("tun_ipv6_dst", six(0xaa), true),
    ("tun_flags", 1, false),
    ("tun_tos", 0xb8, false),
    ("tun_ttl", 61, false),
    ("tun_gbp_id", 0x4321, false),
    ("tun_gbp_flags", 0x48, false),
    ("tun_erspan_ver", 2, false),
    ("tun_erspan_idx", 0x9_8765, false),
    ("tun_erspan_dir", 1, false),
    ("tun_erspan_hwid", 0x2a, false),
    ("tun_gtpu_flags", 0x34, false),
    ("tun_gtpu_msgtype", 0xff, false),
];

/// Whether a field is the flow tables' own: no packet comes with it.
fn is_of_tables(name: &str) -> bool {
    ["metadata", "conj_id", "actset_output"].contains(&name) || family(name).is_some()
}

#[test]
fn every_field_is_extracted_and_matched_with_and_without_a_mask() -> Result<()> {
    testkit::packages::ensure(&["python3-scapy"])?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scapy/fields.py");
    let output = Command::new("/usr/bin/python3").arg(script).output().context("python3")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let extractor = Extractor::default();
    let mut seen = BTreeSet::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let mut words = line.split(' ');
        let mut next = || words.next().context("three words");
        let (field, value, frame) = (named(next()?)?, next()?, next()?);
        let value = u128::from_str_radix(value, 16)?;
        let pairs = frame.as_bytes().chunks(2).map(std::str::from_utf8);
        let frame =
            pairs.map(|pair| Ok(u8::from_str_radix(pair?, 16)?)).collect::<Result<Vec<_>>>()?;
        let (key, malformed) = extractor.frame(&frame, &Metadata::default());
        ensure!(malformed.is_none(), "{}: {malformed:?}", field.name);
        matches(field, &key, value)?;
        seen.insert(field.name);
    }
    let packets = [carrying(false)?, carrying(true)?];
    for (name, value, v6) in CARRIED {
        let field = named(name)?;
        let (key, malformed) = extractor.packet(&packets[usize::from(v6)]);
        ensure!(malformed.is_none(), "{name}: {malformed:?}");
        matches(field, &key, value).with_context(|| name.to_owned())?;
        seen.insert(field.name);
    }
    // A packet that begins with its IPv4 header says so.
    let mut bare = Metadata::default();
    bare.set_outermost(0x0001_0800);
    let (key, _) = extractor.frame(&[0x45, 0, 0, 20, 0, 0, 0, 0, 64, 59], &bare);
    matches(named("packet_type")?, &key, 0x0001_0800)?;
    seen.insert("packet_type");
    for field in FIELDS.iter().filter(|field| is_of_tables(field.name)) {
        let value = 0x0123_4567_89ab_cdef_0246_8ace_1357_9bdf & field.ones();
        let mut key = FlowKey::EMPTY;
        key.set(field.id, value);
        matches(field, &key, value)?;
        ensure!(seen.insert(field.name), "{} is of packets too", field.name);
    }
    let missing: Vec<_> =
        FIELDS.iter().map(|field| field.name).filter(|name| !seen.contains(name)).collect();
    ensure!(missing.is_empty(), "no packet has {missing:?}");
    Ok(())
}
