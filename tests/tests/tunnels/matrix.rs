//! Every kind of tunnel with every option that a tunnel has, over either family, beside the
//! reference: traces, bytes and statistics.
//!
//! All are configured at once, each towards an end of its own, so that the whole takes seconds.

use std::net::Ipv6Addr;

use anyhow::{Context, Result};
use testkit::packets::samples;
use testkit::reference::{BRIDGE, Reference};

use crate::beside::{with_underlay, without_hash};

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
            "key=6 erspan_ver=2 erspan_dir=0 erspan_hwid=63 seq=true",
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
];

/// One tunnel: what it is told, and the other end.
struct Case {
    words: String,
    remote: String,
}

fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for kind in KINDS {
        for &v6 in kind.over {
            for options in SHARED.iter().chain(kind.own) {
                // Before 3.5 an IPv4 network of a dummy is no route, and an address in none no source.
                if !v6 && options.contains("HERE") {
                    continue;
                }
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
                let options = options.replace("HERE", here);
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
fn unnumbered(line: &str) -> String {
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
fn without_sum(frame: &[u8]) -> Vec<u8> {
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
    Ok(all)
}

#[test]
fn each_kind_with_each_option_is_what_it_is_at_the_reference() -> Result<()> {
    let cases = cases();
    let switches =
        [with_all(Reference::start()?, &cases)?, with_all(Reference::start_ours()?, &cases)?];
    let inner: Ipv6Addr = "2001:db8::1".parse()?;
    let mut wrong = Vec::new();
    for (number, case) in numbered(&cases) {
        let from = format!("in_port=1,dl_src=02:00:00:00:{:02x}:{:02x}", number >> 8, number & 255);
        let four =
            "icmp,nw_src=192.168.0.1,nw_dst=192.168.0.2,nw_tos=0x28,nw_ecn=1,nw_ttl=61".to_owned();
        let six =
            format!("udp6,ipv6_src={inner},ipv6_dst=2001:db8::2,nw_tos=0x40,nw_ecn=3,nw_ttl=9");
        // What is inside matters most where something of it is inherited.
        let both = case.words.contains("inherit");
        for inside in [four].into_iter().chain(both.then_some(six)) {
            let of = |switch: &Reference| -> Result<Vec<String>> {
                let trace = switch.trace(BRIDGE, &format!("{from},{inside}"))?;
                let told = |line: &&str| {
                    line.starts_with("Datapath actions") || line.starts_with("Megaflow")
                };
                Ok(trace.lines().filter(told).map(unnumbered).collect())
            };
            let (theirs, ours) = (of(&switches[0])?, of(&switches[1])?);
            if theirs != ours {
                wrong.push(format!("{}\n  {theirs:?}\n  {ours:?}", case.words));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));

    // What leaves, and what is counted, for a packet by translation and here and there, for sequence
    // numbers above all, one by the megaflow.
    let frame = samples::named("ipv4-udp").context("a sample")?;
    for switch in &switches {
        let again = numbered(&cases).filter(|(n, case)| n % 5 == 0 || case.words.contains("seq"));
        for (number, _) in numbered(&cases).chain(again) {
            let mut frame = frame.clone();
            let [high, low] = u16::try_from(number)?.to_be_bytes();
            frame.splice(6..12, [2, 0, 0, 0, high, low]);
            switch.receive_frame("v2", &frame)?;
        }
        switch.appctl(&["revalidator/wait"])?;
    }
    let left = |switch: &Reference| -> Result<Vec<Vec<u8>>> {
        Ok(switch.sent("p1")?.iter().map(|frame| without_hash(&without_sum(frame))).collect())
    };
    let sums =
        switches[1].sent("p1")?.iter().filter_map(|frame| gre_sum(frame)).collect::<Vec<_>>();
    assert!(sums.len() > 10 && sums.iter().all(|sum| *sum == 0xffff), "{sums:x?}");
    let (theirs, ours) = (left(&switches[0])?, left(&switches[1])?);
    assert_eq!(ours.len(), theirs.len());
    for (place, (own, reference)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(own, reference, "frame {place}");
    }
    assert_eq!(carried(&switches[1])?, carried(&switches[0])?);
    Ok(())
}
