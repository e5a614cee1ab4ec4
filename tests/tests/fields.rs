//! The table of match fields against the reference's: every row as `ovs-fields(7)` documents it
//! (`fields.txt`), and every number on the wire as the installed `ovs-ofctl` reads and writes it, with
//! and without a mask, with and without its prerequisites.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use dp_core::flow::fields::{Maskable, Prereq};
use dp_core::flow::{FIELDS, Field};
use dp_ofproto::matching::Match;
use dp_ofproto::openflow::Version;
use dp_ofproto::openflow::matches::{decode, encode_fields, oxm};
use dp_ofproto::openflow::wire::Cursor;
use testkit::folder::Folder;

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
const NARROWER: [(&str, &str, &str, &str); 6] = [
    ("in_port_oxm", "32", "32:16", "ports have numbers of 16 bits, as in the reference"),
    ("actset_output", "32", "32:16", "the same"),
    ("ct_state", "32", "32:8", "there are 8 states"),
    ("arp_op", "16", "16:8", "operations above 255 are not matched, as in the reference"),
    ("nsh_ttl", "8", "8:6", "RFC 8300: 6 bits"),
    ("tun_metadata0", "992", "128", "options of up to 16 bytes"),
];

/// Fields that the reference has and does not document.
const UNDOCUMENTED: [&str; 6] =
    ["dp_hash", "recirc_id", "tun_ttl", "tun_tos", "dl_vlan", "dl_vlan_pcp"];

/// The row of a field as the documentation has it.
fn row(field: &Field, first: bool) -> String {
    let wire = u16::from(field.wire_len) * 8;
    let bits = u16::from(field.bits);
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
