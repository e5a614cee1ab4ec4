//! Every action that changes bytes, judged by scapy: it builds the packet that should come out, with
//! lengths and checksums of its own.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use dp_core::action::text::parse_actions;
use dp_core::action::{Action, ActionList};
use dp_core::base::{Instant, PortNo};
use dp_core::boundary::{Datapath, Upcall, UpcallError, UpcallSink, Verdict};
use dp_core::flow::FlowKey;
use dp_core::flow::text::PortTable;
use dp_core::offload::{Layout, fill_ipv4_header, pseudo_sum, put16};
use dp_core::packet::{Offloads, Packet, Pool};
use dp_netdev::port::dummy::{Dummy, Hand};
use dp_netdev::{Config, Netdev};
use testkit::packets::samples;

const NOW: Instant = Instant::from_millis(1);

struct Nobody;

impl UpcallSink for Nobody {
    fn upcall(&self, _: &Upcall<'_>, _: Instant) -> Result<Verdict, UpcallError> {
        Err(UpcallError::NoRoom)
    }
}

/// Name in the judge, steps as text, and which frames it can be applied to.
type Case = (&'static str, &'static str, fn(&[u8]) -> bool);

const CASES: &[Case] = &[
    ("eth", "set(eth(src=aa:bb:cc:dd:ee:ff,dst=02:00:00:00:00:77))", any),
    ("ipv4", "set(ipv4(src=192.0.2.7,dst=198.51.100.9,tos=0x28,ttl=9))", |f| plain4(f, None)),
    (
        "ipv6",
        "set(ipv6(src=2001:db8::7,dst=2001:db8::9,label=0x12345,tclass=0x70,hlimit=3))",
        |f| plain6(f, 17) || plain6(f, 6) || plain6(f, 58),
    ),
    ("tcp", "set(tcp(src=4444,dst=5555))", |f| plain4(f, Some(6)) || plain6(f, 6)),
    ("udp", "set(udp(src=4444,dst=5555))", |f| plain4(f, Some(17)) || plain6(f, 17)),
    ("sctp", "set(sctp(src=4444,dst=5555))", |f| plain4(f, Some(132))),
    ("icmp", "set(icmp(type=8,code=1))", |f| plain4(f, Some(1)) && f.get(34) == Some(&8)),
    ("icmpv6", "set(icmpv6(type=128,code=1))", |f| plain6(f, 58) && f.get(54) == Some(&128)),
    ("arp", "set(arp(sip=10.9.9.9,tip=10.9.9.8,op=2,sha=02:00:00:00:00:77))", |f| {
        f.get(12..16) == Some(&[8, 6, 0, 1])
    }),
    ("nd", "set(nd(target=fd00::77,sll=02:00:00:00:00:99))", |f| {
        plain6(f, 58) && f.get(54) == Some(&135) && f.get(78) == Some(&1)
    }),
    ("nd_ext", "set(nd_ext(nd_reserved=0x60000001,nd_options_type=2))", |f| {
        plain6(f, 58) && f.get(54) == Some(&135) && f.get(78) == Some(&1)
    }),
    ("push_vlan", "push_vlan(vid=7,pcp=2)", |f| !tagged(f) && padded_nowhere(f)),
    ("push_svlan", "push_vlan(tpid=0x88a8,vid=9,pcp=0)", |f| !tagged(f) && padded_nowhere(f)),
    ("pop_vlan", "pop_vlan", tagged),
    ("push_mpls", "push_mpls(label=77,tc=3,ttl=63,bos=1,eth_type=0x8847)", |f| ip(f)),
    (
        "pop_mpls",
        "push_mpls(label=77,tc=3,ttl=63,bos=1,eth_type=0x8847),pop_mpls(eth_type=0x800)",
        |f| plain4(f, None),
    ),
    ("add_mpls", "add_mpls(label=77,tc=3,ttl=63,bos=1,eth_type=0x8847)", any),
    ("pop_eth", "pop_eth", ip),
    ("push_eth", "pop_eth,push_eth(src=02:00:00:00:00:05,dst=02:00:00:00:00:06)", ip),
    ("push_nsh", NSH, any),
    ("set_vlan", "set(vlan(vid=99,pcp=1))", tagged),
    (
        "set_mpls",
        "push_mpls(label=77,tc=3,ttl=63,bos=1,eth_type=0x8847),\
         set(mpls(label=78,tc=1,ttl=9,bos=1))",
        |f| ip(f),
    ),
    ("set_nsh", SET_NSH, any),
    ("eth_masked", "set(eth(src=aa:bb:cc:00:00:00/ff:ff:ff:00:00:00))", any),
    ("ipv4_masked", "set(ipv4(src=10.0.0.0/255.0.0.0,tos=0x8c/0xfc))", |f| plain4(f, None)),
    ("ipv6_masked", "set(ipv6(dst=2001:db8::/ffff:ffff::,label=0x300/0xf00))", |f| {
        plain6(f, 17) || plain6(f, 6) || plain6(f, 58)
    }),
    ("tcp_masked", "set(tcp(dst=80/0xff))", |f| plain4(f, Some(6)) || plain6(f, 6)),
    ("udp_masked", "set(udp(src=0x1200/0xff00))", |f| plain4(f, Some(17)) || plain6(f, 17)),
    ("trunc", "trunc(40)", any),
    ("clone", "clone(push_vlan(vid=7,pcp=2),set(eth(src=00:00:00:00:00:01)),2)", any),
];

const NSH: &str = "push_nsh(flags=0,ttl=63,mdtype=1,np=3,spi=0x1234,si=255,\
                   c1=0x11223344,c2=0x0,c3=0x0,c4=0xaa)";

const SET_NSH: &str = "push_nsh(flags=0,ttl=63,mdtype=1,np=3,spi=0x1234,si=255,\
                       c1=0x11223344,c2=0x0,c3=0x0,c4=0xaa),\
                       set(nsh(flags=2,ttl=5,spi=0x4321,si=254,c2=0x77,c4=0xbb00/0xff00))";

/// A frame with an Ethertype.
fn any(frame: &[u8]) -> bool {
    frame.get(12).is_some_and(|&byte| byte >= 6) && frame.len() > 14
}

fn ip(frame: &[u8]) -> bool {
    matches!(frame.get(12..14), Some([0x08, 0x00] | [0x86, 0xdd]))
}

fn tagged(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[0x81, 0x00])
}

/// Whether scapy takes the frame apart and puts it together again without a rest.
fn padded_nowhere(frame: &[u8]) -> bool {
    ip(frame)
}

/// IPv4 without options, not a fragment.
fn plain4(frame: &[u8], proto: Option<u8>) -> bool {
    frame.get(12..15) == Some(&[8, 0, 0x45])
        && matches!(frame.get(20..22), Some([0 | 0x40, 0]))
        && match proto {
            Some(proto) => frame.get(23) == Some(&proto),
            // What scapy would take apart further (a tunnel, say) has sums of its own.
            None => matches!(frame.get(23), Some(1 | 6 | 17)),
        }
        && !tunnel(frame, 34)
}

fn plain6(frame: &[u8], proto: u8) -> bool {
    frame.get(12..14) == Some(&[0x86, 0xdd])
        && frame.get(20) == Some(&proto)
        && !(proto == 17 && tunnel(frame, 54))
}

/// UDP to a port behind which scapy looks for another packet, or ICMP that quotes one.
fn tunnel(frame: &[u8], l4: usize) -> bool {
    let port = |at| frame.get(at..at + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
    let udp = frame.get(if l4 == 34 { 23 } else { 20 }) == Some(&17);
    let quotes = frame.get(23) == Some(&1) && l4 == 34 && !matches!(frame.get(34), Some(0 | 8));
    quotes || udp && (port(l4 + 2) != 53 && [4789, 6081, 2152, 6635, 53].contains(&port(l4 + 2)))
}

#[test]
fn scapy_agrees_with_every_action() -> Result<()> {
    testkit::packages::ensure(&["python3-scapy"])?;
    let netdev = Netdev::new(Arc::new(Nobody), Config::default())?;
    let mut hands = Vec::new();
    for n in 1..=2 {
        let port = Dummy::new(&format!("p{n}"));
        hands.push(port.hand());
        netdev.add_port(PortNo(n), Box::new(port))?;
    }
    let [out, _] = hands.as_slice() else { return Err(anyhow!("two ports")) };
    let names: PortTable = [(PortNo(1), "p1"), (PortNo(2), "p2")].into_iter().collect();
    let run = |frame: &[u8], actions: ActionList| -> Result<Vec<u8>> {
        let mut packet = Pool::for_len(frame.len()).and_then(Pool::alloc).context("a buffer")?;
        packet.append(frame.len()).context("room")?.copy_from_slice(frame);
        netdev.execute(packet, &FlowKey::EMPTY, actions)?;
        netdev.turn(NOW);
        let mut sent = out.take_sent();
        ensure!(sent.len() == 1, "{} packets left", sent.len());
        Ok(sent.remove(0))
    };
    let mut lines = String::new();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let samples = samples::all();
    for &(name, text, fits) in CASES {
        let actions =
            parse_actions(&format!("{text},1"), &names).map_err(|e| anyhow!("{text}: {e}"))?;
        let actions: ActionList = actions.into();
        let mut judged = 0;
        for sample in samples.iter().filter(|sample| fits(&sample.frame)) {
            let after = run(&sample.frame, Arc::clone(&actions))?;
            lines.push_str(&format!("{name} {} {}\n", hex(&sample.frame), hex(&after)));
            judged += 1;
        }
        ensure!(judged > 0, "no sample fits {name}");
    }
    // What text has no words for, or takes two steps.
    let plain = samples.iter().find(|s| s.name == "ipv4-udp").context("the sample ipv4-udp")?;
    let ttl =
        run(&plain.frame, Arc::from([Action::DecTtl(Arc::from([])), Action::Output(PortNo(1))]))?;
    lines.push_str(&format!("dec_ttl {} {}\n", hex(&plain.frame), hex(&ttl)));
    for (name, more) in [
        ("nsh_in_eth", ",push_eth(src=02:00:00:00:00:05,dst=02:00:00:00:00:06)"),
        ("pop_nsh", ",pop_nsh()"),
    ] {
        let text = format!("{NSH}{more},1");
        let actions = parse_actions(&text, &names).map_err(|e| anyhow!("{text}: {e}"))?;
        let after = run(&plain.frame, actions.into())?;
        lines.push_str(&format!("{name} {} {}\n", hex(&plain.frame), hex(&after)));
    }
    judge(&lines)
}

/// A switch with a port that is watched.
fn switch() -> Result<(Arc<Netdev>, Hand)> {
    let netdev = Netdev::new(Arc::new(Nobody), Config::default())?;
    let port = Dummy::new("p1");
    let hand = port.hand();
    netdev.add_port(PortNo(1), Box::new(port))?;
    Ok((netdev, hand))
}

#[test]
fn scapy_agrees_with_what_is_finished_under_pushed_headers() -> Result<()> {
    testkit::packages::ensure(&["python3-scapy"])?;
    let (netdev, out) = switch()?;
    let names: PortTable = [(PortNo(1), "p1")].into_iter().collect();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let samples = samples::all();
    let mut lines = String::new();
    let unfinished = |frame: &[u8], offloads: Offloads, list: &str| -> Result<Vec<Vec<u8>>> {
        let text = if list.is_empty() { "1".to_owned() } else { format!("{list},1") };
        let actions = parse_actions(&text, &names).map_err(|e| anyhow!("{text}: {e}"))?;
        let mut packet = Pool::for_len(frame.len()).and_then(Pool::alloc).context("a buffer")?;
        packet.append(frame.len()).context("room")?.copy_from_slice(frame);
        partial(&mut packet).context("no transport header")?;
        packet.meta_mut().offloads |= offloads;
        packet.meta_mut().segment = SEGMENT;
        netdev.execute(packet, &FlowKey::EMPTY, actions.into())?;
        netdev.turn(NOW);
        Ok(out.take_sent())
    };
    for (name, list) in PUSHED {
        let fits = |frame: &[u8]| {
            plain4(frame, Some(6))
                || plain4(frame, Some(17))
                || plain6(frame, 6)
                || plain6(frame, 17)
        };
        // A sum of zero says that there is none.
        let summed = |frame: &[u8]| {
            let found = Layout::of(frame).and_then(|it| Some(it.l4 + it.checksum_offset()?));
            found.is_some_and(|at| frame.get(at..at + 2) != Some(&[0, 0]))
        };
        let chosen = samples.iter().filter(|it| fits(&it.frame) && summed(&it.frame));
        let mut judged = 0;
        for sample in chosen {
            let sent = unfinished(&sample.frame, Offloads::L4_CSUM_PARTIAL, list)?;
            let [after] = sent.as_slice() else { return Err(anyhow!("{} packets", sent.len())) };
            lines.push_str(&format!("{name} {} {}\n", hex(&sample.frame), hex(after)));
            judged += 1;
        }
        ensure!(judged > 1, "no sample fits {name}");
        for frame in [large(false), large(true)] {
            let both = Offloads::L4_CSUM_PARTIAL | Offloads::TSO;
            let sent = unfinished(&frame, both, list)?;
            ensure!(sent.len() == 4, "{name}: {} segments", sent.len());
            for (number, after) in sent.iter().enumerate() {
                lines.push_str(&format!("{name}/{number} {} {}\n", hex(&frame), hex(after)));
            }
        }
    }
    judge(&lines)
}

/// Headers that packets get which are still to be finished; each is a case of the judge.
const PUSHED: [(&str, &str); 8] = [
    ("nothing", ""),
    ("push_vlan", "push_vlan(vid=7,pcp=2)"),
    ("push_svlan", "push_vlan(tpid=0x88a8,vid=9,pcp=0)"),
    ("push_mpls", "push_mpls(label=77,tc=3,ttl=63,bos=1,eth_type=0x8847)"),
    ("add_mpls", "add_mpls(label=77,tc=3,ttl=63,bos=1,eth_type=0x8847)"),
    ("pop_eth", "pop_eth"),
    ("push_eth", "pop_eth,push_eth(src=02:00:00:00:00:05,dst=02:00:00:00:00:06)"),
    ("push_nsh", NSH),
];

/// Payload bytes of a segment, and of a frame to be cut.
const SEGMENT: u16 = 100;
const PAYLOAD: u16 = 350;

/// Makes the transport checksum the sum of the pseudo header alone, as a kernel leaves it.
fn partial(packet: &mut Packet) -> Option<()> {
    let layout = Layout::of(packet.data())?;
    let len = layout.end - layout.l4;
    let sum = !pseudo_sum(packet.data(), &layout, len).finish();
    put16(packet.data_mut(), layout.l4 + layout.checksum_offset()?, sum);
    Some(())
}

/// A frame of TCP with more payload than a segment has.
fn large(v6: bool) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 7, 2, 0, 0, 0, 0, 8];
    let tcp = 20 + PAYLOAD;
    if v6 {
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend(tcp.to_be_bytes());
        frame.extend([6, 64]);
        frame.extend([0xfd; 16]);
        frame.extend([0xfe; 16]);
    } else {
        frame.extend([8, 0, 0x45, 0]);
        frame.extend((20 + tcp).to_be_bytes());
        frame.extend([0, 9, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        fill_ipv4_header(&mut frame, 14, 34);
    }
    frame.extend([0x13, 0x88, 0, 80, 0, 0, 1, 0, 0, 0, 0, 1, 0x50, 0x99, 0x20, 0, 0, 0, 0, 0]);
    frame.extend((0..PAYLOAD).map(|n| n.to_be_bytes()[1]));
    frame
}

/// Gives scapy the lines; what it finds wrong is the error.
fn judge(lines: &str) -> Result<()> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scapy/judge.py");
    let mut child = Command::new("/usr/bin/python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("python3")?;
    child.stdin.take().context("its input")?.write_all(lines.as_bytes())?;
    let answer = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&answer.stdout);
    ensure!(answer.status.success(), "{text}");
    ensure!(text.contains(" judged, 0 wrong"), "{text}");
    println!("{text}");
    Ok(())
}

/// Each action, and each header that is written: the case of the judge, or the test of the core that
/// shows what it does where it changes no bytes.
const SHOWN: [(&str, &str); 40] = [
    ("Output", "each_output_sends_the_packet_as_it_is_then"),
    ("LbOutput", "a_bond_sends_a_flow_by_one_member_and_flows_by_several"),
    ("Drop", "an_empty_list_drops_and_so_does_one_without_an_exit"),
    ("Userspace", "the_slow_path_gets_frame_and_key_as_they_are_at_that_step"),
    ("Psample", "samples_go_to_their_group_with_their_cookie"),
    ("PushVlan", "push_vlan"),
    ("PopVlan", "pop_vlan"),
    ("PushMpls", "push_mpls"),
    ("AddMpls", "add_mpls"),
    ("PopMpls", "pop_mpls"),
    ("PushEthernet", "push_eth"),
    ("PopEthernet", "pop_eth"),
    ("PushNsh", "push_nsh"),
    ("PopNsh", "pop_nsh"),
    ("Set", "eth"),
    ("DecTtl", "dec_ttl"),
    ("Trunc", "trunc"),
    ("Meter", "a_meter_drops_what_exceeds_it_and_one_that_is_not_there_nothing"),
    ("Hash", "hashes_are_stable_and_symmetric_where_they_are_to_be"),
    ("Sample", "a_sample_takes_its_share"),
    ("Clone", "clone"),
    ("CheckPktLen", "the_length_decides_between_two_lists"),
    ("Ct", "tracked_packets_carry_their_state_to_the_next_pass"),
    ("CtClear", "ct_clear_forgets_what_was_tracked"),
    ("TunnelPush", "what_goes_into_a_tunnel_comes_out_as_it_was"),
    ("TunnelPop", "what_goes_into_a_tunnel_comes_out_as_it_was"),
    ("Recirc", "a_packet_passes_again_as_often_as_it_may"),
    ("Ethernet", "eth_masked"),
    ("Ipv4", "ipv4_masked"),
    ("Ipv6", "ipv6_masked"),
    ("Tcp", "tcp_masked"),
    ("Udp", "udp_masked"),
    ("Sctp", "sctp"),
    ("Icmp", "icmp"),
    ("Icmpv6", "icmpv6"),
    ("Arp", "arp"),
    ("Nd", "nd"),
    ("NdExt", "nd_ext"),
    ("Vlan", "set_vlan"),
    ("Mpls", "set_mpls"),
];

/// The same of headers and metadata that share their names with others.
const SHOWN_TOO: [(&str, &str); 4] = [
    ("Nsh", "set_nsh"),
    ("Tunnel", "tunnel_metadata_is_noted_for_whoever_encapsulates"),
    ("PktMark", "mark_and_priority_travel_with_the_packet"),
    ("SkbPriority", "mark_and_priority_travel_with_the_packet"),
];

/// The variants of an enum in a source.
fn variants<'a>(source: &'a str, name: &str) -> Vec<&'a str> {
    let body = source.split_once(&format!("pub enum {name} {{\n")).map_or("", |(_, rest)| rest);
    let body = body.split_once("\n}").map_or("", |(body, _)| body);
    let lines = body.lines().filter_map(|line| line.strip_prefix("    "));
    lines
        .filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()))
        .map(|line| line.trim_end_matches(|last: char| last != ')' && !last.is_alphanumeric()))
        .map(|line| line.split(['(', ' ', ',']).next().unwrap_or(line))
        .collect()
}

#[test]
fn every_action_has_a_case_or_a_test() -> Result<()> {
    let tests = [
        include_str!("../../dp-core/src/execute/tests.rs"),
        include_str!("../../dp-core/src/execute/tests/encapsulation.rs"),
        include_str!("../../dp-core/src/execute/tests/lists.rs"),
        include_str!("../../dp-core/src/execute/tests/tracking.rs"),
        include_str!("../../dp-core/src/execute/tests/tunnels.rs"),
    ];
    let judge = include_str!("../scapy/judge.py");
    let shown: Vec<_> = SHOWN.iter().chain(&SHOWN_TOO).collect();
    let actions = variants(include_str!("../../dp-core/src/action/mod.rs"), "Action");
    let sets = variants(include_str!("../../dp-core/src/action/set.rs"), "Set");
    ensure!(actions.len() + sets.len() == shown.len(), "{actions:?} {sets:?}");
    for name in actions.iter().chain(&sets) {
        let (_, by) = shown.iter().find(|(it, _)| it == name).with_context(|| name.to_string())?;
        let is_test = tests.iter().any(|source| source.contains(&format!("fn {by}()")));
        let is_case = judge.contains(&format!("    \"{by}\": "));
        ensure!(is_test || is_case, "{name}: there is no {by}");
    }
    Ok(())
}
