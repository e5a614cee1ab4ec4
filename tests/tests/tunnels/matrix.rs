//! Every kind of tunnel with every option that a tunnel has, over either family, beside the newest
//! reference: traces, the bytes that enter and leave tunnels, and statistics.
//!
//! All are configured at once, each towards an end of its own, so that the whole takes seconds.
//! bareudp is not among them: the reference makes ports of it in userspace, and no packets.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use anyhow::{Context, Result, ensure};
use testkit::frames::faults;
use testkit::packets::samples;
use testkit::reference::{BRIDGE, Reference, Setup};

use crate::beside::{turned_round, with_underlay, without_hash};

/// Options that all kinds share.
const SHARED: &[&str] = &[
    "",
    "key=5",
    "key=flow",
    "in_key=3 out_key=9",
    "key=6 tos=inherit",
    "key=6 tos=0x10",
    "key=6 ttl=inherit",
    "key=6 ttl=5",
    "key=6 df_default=false",
    "key=6 csum=true",
    "key=6 csum=false",
    "key=6 egress_pkt_mark=7",
    "key=6 local_ip=HERE",
    "key=flow tos=inherit ttl=inherit csum=true df_default=false",
];

/// A kind, and options that it alone has.
struct Kind {
    name: &'static str,
    /// Over IPv4, over IPv6.
    over: &'static [bool],
    own: &'static [&'static str],
}

const BOTH: &[bool] = &[false, true];

const KINDS: &[Kind] = &[
    Kind {
        name: "vxlan",
        over: BOTH,
        own: &[
            "key=6 exts=gbp",
            "key=6 exts=gpe packet_type=ptap",
            "key=6 exts=gpe packet_type=legacy_l3",
            "key=flow exts=gpe packet_type=legacy_l3 tos=inherit",
        ],
    },
    Kind { name: "geneve", over: BOTH, own: &["key=6 packet_type=legacy_l2"] },
    Kind {
        name: "gre",
        over: BOTH,
        own: &[
            "key=6 seq=true",
            "seq=true csum=true",
            "key=6 packet_type=ptap",
            "key=6 packet_type=legacy_l3",
            "packet_type=legacy_l3 csum=true seq=true",
        ],
    },
    Kind { name: "ip6gre", over: &[true], own: &["key=6 seq=true", "seq=true csum=true"] },
    Kind {
        name: "erspan",
        over: &[false],
        own: &[
            "key=6 erspan_ver=1 erspan_idx=3",
            "key=6 erspan_ver=1 erspan_idx=0xfffff tos=inherit",
            "key=6 erspan_ver=2 erspan_dir=1 erspan_hwid=4",
            "key=6 erspan_ver=2 erspan_dir=0 erspan_hwid=3f seq=true",
            "key=flow erspan_ver=flow erspan_idx=flow",
        ],
    },
    Kind {
        name: "ip6erspan",
        over: &[true],
        own: &[
            "key=6 erspan_ver=1 erspan_idx=3",
            "key=6 erspan_ver=2 erspan_dir=1 erspan_hwid=4 ttl=inherit",
        ],
    },
    Kind { name: "gtpu", over: BOTH, own: &["key=6 packet_type=legacy_l3"] },
    Kind {
        name: "srv6",
        over: &[true],
        own: &[
            "srv6_segs=REMOTE",
            "srv6_segs=REMOTE,2001:cafe::a srv6_flowlabel=copy",
            "srv6_segs=REMOTE,2001:cafe::a,2001:cafe::b srv6_flowlabel=zero tos=inherit",
            "srv6_segs=REMOTE,2001:cafe::a,2001:cafe::b,2001:cafe::c,2001:cafe::d,2001:cafe::e \
             srv6_flowlabel=compute",
            "srv6_flowlabel=compute packet_type=legacy_l3",
        ],
    },
];

/// One tunnel: what it is told, and the other end.
pub(crate) struct Case {
    pub(crate) words: String,
    pub(crate) remote: String,
}

fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for kind in KINDS {
        for &v6 in kind.over {
            for options in SHARED.iter().chain(kind.own) {
                // ERSPAN without its version is none.
                let erspan = kind.name.contains("erspan");
                let version = if erspan && !options.contains("erspan_ver") {
                    " erspan_ver=1 erspan_idx=1"
                } else {
                    ""
                };
                let last = 10 + all.len() % 70;
                let (remote, here) = match v6 {
                    true => (format!("2001:cafe::{last}"), "2001:cafe::88"),
                    false => (format!("1.1.2.{last}"), "1.1.2.88"),
                };
                // Ports of their own keep those apart that ask for different headers.
                let port = match kind.name {
                    "vxlan" | "geneve" | "gtpu" => format!(" dst_port={}", 5000 + all.len()),
                    _ => String::new(),
                };
                let options = format!("{options}{version}{port} remote_ip={remote}");
                let options = options.replace("HERE", here).replace("REMOTE", &remote);
                let words = options.split_whitespace().map(|it| format!(" options:{it}"));
                let words = format!("type={}{}", kind.name, words.collect::<String>());
                all.push(Case { words, remote });
            }
        }
    }
    all
}

/// Numbers of tunnels, from 100 on.
fn numbered(cases: &[Case]) -> impl Iterator<Item = (usize, &Case)> {
    (100..).zip(cases)
}

fn with_all(switch: Reference, cases: &[Case]) -> Result<Reference> {
    let switch = with_underlay(switch)?;
    for network in ["1.1.2.92/24", "2001:cafe::92/64"] {
        switch.appctl(&["ovs/route/add", network, "under", "pkt_mark=7"])?;
    }
    let mut words = Vec::new();
    let mut flows = String::new();
    for (number, case) in numbered(cases) {
        words.push(format!(
            "-- add-port {BRIDGE} t{number} -- set Interface t{number} ofport_request={number} {}",
            case.words
        ));
        let from = format!("in_port=1,dl_src=02:00:00:00:{:02x}:{:02x}", number >> 8, number & 255);
        flows += &format!("{from},actions=set_field:0x77->tun_id,output:{number}\n");
    }
    let words = words.join(" ");
    switch.vsctl(&words.split_whitespace().skip(1).collect::<Vec<_>>())?;
    switch.add_flows(BRIDGE, &flows)?;
    let mut remotes: Vec<&str> = cases.iter().map(|case| case.remote.as_str()).collect();
    remotes.sort_unstable();
    remotes.dedup();
    for remote in remotes {
        switch.appctl(&["tnl/neigh/set", "under", remote, "f8:bc:12:44:34:b6"])?;
    }
    Ok(switch)
}

/// Without the datapath's numbers of tunnels that have no port of UDP: they go by the order of rows,
/// which is nobody's choice.
pub(crate) fn unnumbered(line: &str) -> String {
    let Some((before, rest)) = line.split_once("tnl_port(") else { return line.to_owned() };
    let Some((number, after)) = rest.split_once(')') else { return line.to_owned() };
    let number = number.parse::<u32>().ok().filter(|number| *number >= 1000).unwrap_or(0);
    format!("{before}tnl_port({number}){after}")
}

/// Where GRE begins in a frame, if it has a checksum there, and its first byte.
fn gre(frame: &[u8]) -> Option<(usize, u8)> {
    let (at, protocol) = if frame.get(12) == Some(&0x86) { (54, 20) } else { (34, 23) };
    let flags = *frame.get(at)?;
    (frame.get(protocol) == Some(&47) && flags & 0x80 != 0).then_some((at, flags))
}

/// What the words of a GRE packet with a checksum add up to: all ones.
fn gre_sum(frame: &[u8]) -> Option<u32> {
    let (at, _) = gre(frame)?;
    let words = frame.get(at..)?.chunks(2).map(|word| {
        let low = word.get(1).copied().unwrap_or(0);
        u32::from(word.first().copied().unwrap_or(0)) << 8 | u32::from(low)
    });
    let mut sum: u32 = words.sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    Some(sum)
}

/// Where there is a sequence number too, the reference's checksum holds for the first packet alone: it
/// is computed before the number is written.
pub(crate) fn without_sum(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if let Some((at, flags)) = gre(&frame)
        && flags & 0x10 != 0
        && let Some(sum) = frame.get_mut(at + 4..at + 6)
    {
        sum.fill(0);
    }
    frame
}

/// Packets and bytes that left by each tunnel, by its number.
fn carried(switch: &Reference) -> Result<Vec<String>> {
    let text = switch.ofctl(&["dump-ports", BRIDGE])?;
    let mut all = Vec::new();
    let mut port = None;
    for line in text.lines() {
        if let Some((name, _)) = line.trim().strip_prefix("port").and_then(|it| it.split_once(':'))
        {
            port = name.trim().parse::<usize>().ok().filter(|number| *number >= 100);
        } else if let Some(number) = port {
            all.push(format!("{number}: {}", line.trim()));
        }
    }
    all.sort_unstable();
    ensure!(all.len() > 100 && all.iter().any(|line| !line.contains("pkts=0,")), "{text}");
    Ok(all)
}

/// What a trace says of headers, but for what differs on purpose: the reference leaves the checksum out
/// of GTP-U over IPv6, where UDP must have one (RFC 8200, section 8.1).
pub(crate) fn told(trace: &str) -> Vec<String> {
    let lines = trace
        .lines()
        .filter(|line| line.starts_with("Datapath actions") || line.starts_with("Megaflow"));
    lines.map(|line| unnumbered(line).replace("csum=0xffff),gtpu", "csum=0x0),gtpu")).collect()
}

/// A packet of a tunnel's own: its number stands in the source address.
fn sample(name: &str, number: usize) -> Result<Vec<u8>> {
    let mut frame = samples::named(name).context("a sample")?;
    let [high, low] = u16::try_from(number)?.to_be_bytes();
    frame.splice(6..12, [2, 0, 0, 0, high, low]);
    Ok(frame)
}

/// Whether no headers can be made: ERSPAN whose version no flow has set.
fn invalid(case: &Case) -> bool {
    case.words.contains("erspan_ver=flow")
}

/// Whether something of what is inside matters outside.
fn inherits(case: &Case) -> bool {
    case.words.contains("inherit") || case.words.contains("srv6")
}

#[test]
fn each_kind_with_each_option_is_what_it_is_at_the_reference() -> Result<()> {
    let cases = cases();
    let ours = Setup::newer()?.daemon(testkit::daemon::built()?).start()?;
    let switches = [with_all(Reference::start_newer()?, &cases)?, with_all(ours, &cases)?];
    traces_are_alike(&switches, &cases)?;
    let pushed = packets_that_enter_are_alike(&switches, &cases)?;
    packets_that_leave_are_alike(&switches, &cases, &pushed)
}

fn traces_are_alike(switches: &[Reference; 2], cases: &[Case]) -> Result<()> {
    let inner: Ipv6Addr = "2001:db8::1".parse()?;
    let mut wrong = Vec::new();
    for (number, case) in numbered(cases) {
        let from = format!("in_port=1,dl_src=02:00:00:00:{:02x}:{:02x}", number >> 8, number & 255);
        let four =
            "icmp,nw_src=192.168.0.1,nw_dst=192.168.0.2,nw_tos=0x28,nw_ecn=1,nw_ttl=61".to_owned();
        let six = format!(
            "udp6,ipv6_src={inner},ipv6_dst=2001:db8::2,ipv6_label=0x12345,nw_tos=0x40,nw_ecn=3,\
             nw_ttl=9"
        );
        for inside in [four].into_iter().chain(inherits(case).then_some(six)) {
            let of = |switch: &Reference| -> Result<Vec<String>> {
                Ok(told(&switch.trace(BRIDGE, &format!("{from},{inside}"))?))
            };
            let (theirs, ours) = (of(&switches[0])?, of(&switches[1])?);
            if theirs != ours {
                wrong.push(format!("{}\n  {theirs:?}\n  {ours:?}", case.words));
            }
        }
    }
    ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    Ok(())
}

/// The word of a case that names its UDP port.
fn port(case: &Case) -> String {
    let word = case.words.split("options:").find(|word| word.starts_with("dst_port="));
    word.unwrap_or_default().trim().to_owned()
}

/// What leaves, and what is counted, for a packet by translation and here and there, for sequence
/// numbers above all, one by the megaflow. Gives our frames.
fn packets_that_enter_are_alike(switches: &[Reference; 2], cases: &[Case]) -> Result<Vec<Vec<u8>>> {
    let mut entering = Vec::new();
    for (number, case) in numbered(cases) {
        entering.push(sample("ipv4-udp", number)?);
        if inherits(case) {
            entering.push(sample("ipv6-label-tcp", number)?);
        }
    }
    for (number, case) in numbered(cases) {
        if number % 5 == 0 || case.words.contains("seq") {
            entering.push(sample("ipv4-udp", number)?);
        }
    }
    for switch in switches {
        switch.receive_frames("v2", &entering)?;
        switch.appctl(&["revalidator/wait"])?;
    }
    // Labels that are computed are either switch's own.
    let computed: Vec<Ipv6Addr> = cases
        .iter()
        .filter(|case| case.words.contains("compute"))
        .filter_map(|case| case.remote.parse().ok())
        .collect();
    let without_label = |mut frame: Vec<u8>| {
        let to = frame.get(38..54).and_then(|it| it.try_into().ok()).map(<[u8; 16]>::into);
        let srv6 = frame.get(12) == Some(&0x86) && matches!(frame.get(20), Some(4 | 41 | 43));
        if let (true, Some(to), Some(label)) = (srv6, to, frame.get_mut(15..18))
            && computed.contains(&to)
        {
            label[0] &= 0xf0;
            label[1..].fill(0);
        }
        frame
    };
    let plain = |frames: &[Vec<u8>]| -> Vec<Vec<u8>> {
        frames.iter().map(|frame| without_label(without_hash(&without_sum(frame)))).collect()
    };
    let (theirs, ours) = (switches[0].sent("p1")?, switches[1].sent("p1")?);
    let sums = ours.iter().filter_map(|frame| gre_sum(frame)).collect::<Vec<_>>();
    ensure!(sums.len() > 10 && sums.iter().all(|sum| *sum == 0xffff), "{sums:x?}");
    // Right in themselves, but for the checksum that a port over IPv6 was told to leave out.
    let silent = |case: &&Case| {
        let udp = ["type=vxlan", "type=geneve"].iter().any(|kind| case.words.starts_with(kind));
        udp && case.words.contains("csum=false") && case.remote.contains(':')
    };
    let silent: Vec<String> = cases.iter().filter(silent).map(port).collect();
    assert_eq!(silent.len(), 2);
    for frame in &ours {
        let wrong = faults(frame);
        let udp = frame.get(56..58).and_then(|it| it.try_into().ok()).map(u16::from_be_bytes);
        let told = frame.get(20) == Some(&17)
            && udp.is_some_and(|udp| silent.contains(&format!("dst_port={udp}")));
        let expected: &[&str] = if told { &["udp.checksum is absent over IPv6"] } else { &[] };
        assert_eq!(wrong, expected, "{frame:02x?}");
    }
    assert_eq!(ours.len(), theirs.len());
    for (place, (own, reference)) in plain(&ours).iter().zip(&plain(&theirs)).enumerate() {
        assert_eq!(own, reference, "frame {place}");
    }
    assert_eq!(carried(&switches[1])?, carried(&switches[0])?);
    Ok(ours)
}

/// A frame as the last stop before this switch passes it on: no segment is left.
pub(crate) fn arriving(frame: &[u8]) -> Vec<u8> {
    let mut frame = turned_round(frame);
    if frame.get(12) == Some(&0x86) && frame.get(20) == Some(&43) {
        frame[57] = 0;
    }
    frame
}

/// The frames that came out, by the number of the tunnel that stands in the source address.
fn by_tunnel(frames: Vec<Vec<u8>>) -> Result<BTreeMap<usize, Vec<Vec<u8>>>> {
    let mut all = BTreeMap::<usize, Vec<Vec<u8>>>::new();
    for frame in frames {
        let number = frame.get(10..12).context("it is whole")?.try_into()?;
        all.entry(u16::from_be_bytes(number).into()).or_default().push(frame);
    }
    Ok(all)
}

/// Our frames, as the other ends would send them, come out of both switches alike.
///
/// The reference gives all that goes by the IP protocol of GRE to the kind that it had first, and tells
/// what is inside GTP-U by its ninth octet. There ours gives what went in.
fn packets_that_leave_are_alike(
    switches: &[Reference; 2],
    cases: &[Case],
    frames: &[Vec<u8>],
) -> Result<()> {
    let back = |(number, _)| {
        let (high, low) = (number >> 8, number & 255);
        format!("in_port={number},actions=mod_dl_src:02:00:00:00:{high:02x}:{low:02x},output:1\n")
    };
    let back: String = numbered(cases).map(back).collect();
    let mut came = Vec::new();
    let arriving: Vec<Vec<u8>> = frames.iter().map(|frame| arriving(frame)).collect();
    for switch in switches {
        switch.add_flows(BRIDGE, &back)?;
        let before = switch.sent("v2")?.len();
        switch.receive_frames("p1", &arriving)?;
        came.push(by_tunnel(switch.sent("v2")?.split_off(before))?);
        switch.appctl(&["revalidator/wait"])?;
    }
    let [reference, own] = [&came[0], &came[1]];
    let (mut compared, mut apart) = (0, Vec::new());
    for (number, case) in numbered(cases) {
        let kind = case.words.split_whitespace().next().unwrap_or_default();
        let (theirs, ours) = (reference.get(&number), own.get(&number));
        if theirs == ours {
            compared += usize::from(ours.is_some());
            // A key that the other end does not send, or that the kind does not have.
            let keyless = kind == "type=srv6" && case.words.contains("key=");
            ensure!(
                ours.is_some() || case.words.contains("in_key=3") || keyless || invalid(case),
                "{}: nothing came",
                case.words
            );
            continue;
        }
        let known = match kind {
            "type=ip6gre" | "type=erspan" | "type=ip6erspan" => theirs.is_none(),
            "type=gtpu" => theirs.map_or(0, Vec::len) < ours.map_or(0, Vec::len),
            _ => false,
        };
        ensure!(known, "{}: {theirs:02x?}\n{ours:02x?}", case.words);
        apart.push(number);
        for frame in ours.into_iter().flatten() {
            let name = if frame.get(12) == Some(&8) { "ipv4-udp" } else { "ipv6-label-tcp" };
            let mut whole = sample(name, number)?;
            if kind == "type=gtpu" {
                // Its Ethernet header stayed at the other end.
                whole.splice(..6, [0; 6]);
            }
            assert_eq!(*frame, whole, "{}", case.words);
        }
    }
    ensure!(compared > 100, "{compared}");
    let shown = |switch: &Reference| -> Result<Vec<String>> {
        let apart: Vec<String> = apart.iter().map(|number| format!("{number}: ")).collect();
        let mut lines = carried(switch)?;
        lines.retain(|line| !apart.iter().any(|number| line.starts_with(number)));
        Ok(lines)
    };
    assert_eq!(shown(&switches[1])?, shown(&switches[0])?);
    Ok(())
}
