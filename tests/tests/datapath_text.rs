//! Text of datapath flows against the installed reference switch: random keys, masked and not, are
//! printed alike, become the same frames, and lists of actions are understood alike.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dp_core::action::text::{ActionsText, parse_actions};
use dp_core::flow::compose::compose;
use dp_core::flow::text::{KeyText, PortNumbers, parse_flow};
use testkit::patience::wait;
use testkit::reference::{BRIDGE, Reference};
use testkit::seed::{Rng, Seeded};

fn start() -> Result<Reference> {
    testkit::packages::ensure(&["openvswitch-switch", "openvswitch-common"])?;
    let reference = Reference::start()?;
    for n in 1..=2 {
        reference.add_dummy_port(&format!("p{n}"), n)?;
    }
    Ok(reference)
}

/// Random keys, in the spelling that the reference takes.
struct Keys<'r> {
    rng: &'r mut Rng,
    /// Whether values have masks, and parts may be left out.
    masked: bool,
}

impl Keys<'_> {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let at = usize::try_from(self.rng.below(from.len() as u64)).unwrap_or(0);
        from.get(at).copied().unwrap_or_default()
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.rng.below(n) == 0
    }

    /// `name=value`, or with a mask, or nothing.
    fn part(&mut self, out: &mut Vec<String>, name: &str, values: &[&str], masks: &[&str]) {
        if self.masked && self.one_in(3) {
            return;
        }
        let value = self.pick(values);
        match self.masked && !masks.is_empty() && self.one_in(2) {
            true => out.push(format!("{name}={value}/{}", self.pick(masks))),
            false => out.push(format!("{name}={value}")),
        }
    }

    fn ports(&mut self, name: &str) -> String {
        let mut parts = Vec::new();
        self.part(&mut parts, "src", &["1", "80", "65535"], &["0xff", "0xff00", "0x1"]);
        self.part(&mut parts, "dst", &["2", "443", "4096"], &["0xfff0", "0x8000"]);
        format!("{name}({})", parts.join(","))
    }

    fn ipv4(&mut self) -> String {
        let mut parts = Vec::new();
        let masks = ["255.0.0.0", "255.255.255.0", "0.0.0.255", "255.0.255.0"];
        self.part(&mut parts, "src", &["10.0.0.1", "192.168.1.2", "0.0.0.0"], &masks);
        self.part(&mut parts, "dst", &["10.0.0.2", "255.255.255.255"], &masks);
        let proto = self.pick(&["1", "2", "6", "17", "132", "47"]);
        parts.push(format!("proto={proto}"));
        self.part(&mut parts, "tos", &["0", "0x4", "0xff"], &["0x3", "0xfc"]);
        self.part(&mut parts, "ttl", &["0", "1", "64", "255"], &["0xf0", "0x1"]);
        let frag = self.pick(&["no", "no", "first", "later"]);
        parts.push(format!("frag={frag}"));
        let l4 = if frag == "later" { String::new() } else { self.transport(proto, false) };
        format!("eth_type(0x0800),ipv4({}){l4}", parts.join(","))
    }

    fn ipv6(&mut self) -> String {
        let mut parts = Vec::new();
        let masks = ["ffff::", "ffff:ffff:ffff:ffff::", "::ff", "::ffff:0:0"];
        self.part(&mut parts, "src", &["fe80::1", "::1", "2001:db8::5"], &masks);
        self.part(&mut parts, "dst", &["fe80::2", "ff02::1", "::10.0.0.1"], &masks);
        self.part(&mut parts, "label", &["0", "0x12345", "0xfffff"], &["0xff", "0xf0000"]);
        let proto = self.pick(&["58", "58", "6", "17", "132", "50"]);
        parts.push(format!("proto={proto}"));
        self.part(&mut parts, "tclass", &["0", "0x4", "0xff"], &["0x3", "0xfc"]);
        self.part(&mut parts, "hlimit", &["0", "1", "64", "255"], &["0xf0"]);
        parts.push("frag=no".to_owned());
        let l4 = self.transport(proto, true);
        format!("eth_type(0x86dd),ipv6({}){l4}", parts.join(","))
    }

    fn transport(&mut self, proto: &str, v6: bool) -> String {
        match proto {
            "6" => {
                let ports = self.ports("tcp");
                let flags = match self.masked {
                    true => self.pick(&["+syn-ack", "syn|ack", "0", "0x12/0x13", "-fin+rst"]),
                    false => self.pick(&["syn", "syn|ack", "0", "ack", "fin|ack", "psh|ack|ece"]),
                };
                format!(",{ports},tcp_flags({flags})")
            }
            "17" => format!(",{}", self.ports("udp")),
            "132" => format!(",{}", self.ports("sctp")),
            "1" if !v6 => {
                let mut parts = Vec::new();
                self.part(&mut parts, "type", &["0", "8", "3"], &["0xf8"]);
                self.part(&mut parts, "code", &["0", "1"], &["0x1"]);
                format!(",icmp({})", parts.join(","))
            }
            "58" if v6 => {
                if self.one_in(2) {
                    let mut parts = Vec::new();
                    self.part(&mut parts, "type", &["128", "129", "1"], &["0xf8"]);
                    self.part(&mut parts, "code", &["0", "1"], &["0x1"]);
                    return format!(",icmpv6({})", parts.join(","));
                }
                let kind = self.pick(&["135", "136"]);
                let mut parts = Vec::new();
                self.part(&mut parts, "target", &["fe80::1", "2001:db8::1"], &["ffff::"]);
                let macs = ["50:54:00:00:00:05", "00:00:00:00:00:00"];
                self.part(&mut parts, "sll", &macs, &["ff:ff:ff:00:00:00"]);
                self.part(&mut parts, "tll", &macs, &["00:00:00:ff:ff:ff"]);
                format!(",icmpv6(type={kind},code=0),nd({})", parts.join(","))
            }
            _ => String::new(),
        }
    }

    fn arp(&mut self) -> String {
        let mut parts = Vec::new();
        self.part(&mut parts, "sip", &["10.0.0.1", "0.0.0.0"], &["255.0.0.0"]);
        self.part(&mut parts, "tip", &["10.0.0.2"], &["255.255.0.0"]);
        parts.push(format!("op={}", self.pick(&["1", "2"])));
        self.part(&mut parts, "sha", &["50:54:00:00:00:05"], &["ff:00:00:00:00:00"]);
        self.part(&mut parts, "tha", &["00:00:00:00:00:00"], &["00:00:00:00:00:ff"]);
        format!("eth_type(0x0806),arp({})", parts.join(","))
    }

    fn network(&mut self) -> String {
        match self.rng.below(8) {
            0..=2 => self.ipv4(),
            3..=4 => self.ipv6(),
            5 => self.arp(),
            6 => {
                "eth_type(0x8847),mpls(label=5,tc=1,ttl=64,bos=0,label=6,tc=0,ttl=63,bos=1)".into()
            }
            _ => "eth_type(0x1234)".into(),
        }
    }

    fn tunnel(&mut self) -> String {
        let mut parts = vec![format!("tun_id={}", self.pick(&["0x1", "0x5/0xff", "0x123456789"]))];
        if self.one_in(2) {
            parts.push(format!("src={}", self.pick(&["1.1.1.1", "1.1.1.1/255.0.0.0"])));
            parts.push(format!("dst={}", self.pick(&["2.2.2.2", "2.2.2.2/255.255.0.0"])));
        } else {
            parts.push(format!("ipv6_src={}", self.pick(&["::1", "fe80::1/ffff::"])));
            parts.push(format!("ipv6_dst={}", self.pick(&["::2", "fe80::2/::ffff"])));
        }
        if self.one_in(2) {
            parts.push(format!("tos={}", self.pick(&["0x4", "0xff/0x3"])));
        }
        parts.push(format!("ttl={}", self.pick(&["64", "64/0xf0", "0"])));
        if self.one_in(3) {
            parts.push(format!("tp_src={}", self.pick(&["5", "5/0xff"])));
            parts.push("tp_dst=4789".to_owned());
        }
        match self.rng.below(4) {
            0 => parts.push("vxlan(gbp(id=5/0xff,flags=0x8))".to_owned()),
            1 => parts.push(
                "geneve({class=0x1,type=0x2,len=4,0x3/0xff}{class=0xffff,type=0x80,len=8,0xa0b0c})"
                    .to_owned(),
            ),
            _ => {}
        }
        parts.push(format!("flags({})", self.pick(&["df|key", "+df-csum+key", "-csum+key"])));
        format!("tunnel({}),", parts.join(","))
    }

    /// A whole key, without `recirc_id`.
    fn key(&mut self) -> String {
        let mut text = String::new();
        if self.masked {
            for attr in [
                "dp_hash(0x3/0xf),",
                "skb_priority(0x5),",
                "skb_mark(0x5/0xff),",
                "ct_zone(0x5),",
                "ct_mark(0x5/0x7),",
                "ct_label(0x100000000000000001/0xff00000000000000ff),",
                "ct_state(+new-est+trk),",
            ] {
                if self.one_in(4) {
                    text += attr;
                }
            }
            if self.one_in(4) {
                text += &self.tunnel();
            }
        }
        text += "in_port(1),";
        let mut parts = Vec::new();
        let masks = ["01:00:00:00:00:00", "ff:ff:ff:00:00:00"];
        self.part(&mut parts, "src", &["50:54:00:00:00:01", "02:00:00:00:00:07"], &masks);
        self.part(&mut parts, "dst", &["50:54:00:00:00:02", "ff:ff:ff:ff:ff:ff"], &masks);
        text += &format!("eth({}),", parts.join(","));
        let network = self.network();
        if self.one_in(4) {
            let mut parts = Vec::new();
            self.part(&mut parts, "vid", &["5", "4095", "0"], &["0xff", "0xf00"]);
            self.part(&mut parts, "pcp", &["0", "3", "7"], &["0x4"]);
            text += &format!("eth_type(0x8100),vlan({}),encap({network})", parts.join(","));
        } else {
            text += &network;
        }
        text
    }
}

/// The one flow of a dump, up to the statistics.
fn only(dump: &str) -> Option<&str> {
    dump.get(dump.find("recirc_id(")?..)?.split(", packets:").next()
}

/// A flow without the attributes that Debian 12's version leaves out of a dump.
fn without_metadata(flow: &str) -> String {
    const LEFT_OUT: [&str; 6] =
        ["skb_priority(", "skb_mark(", "ct_state(", "ct_zone(", "ct_mark(", "ct_label("];
    let mut text = flow.to_owned();
    if let (Some(from), Some(to)) = (text.find("tunnel("), text.find("in_port(")) {
        text.replace_range(from..to, "");
    }
    for name in LEFT_OUT {
        if let Some(from) = text.find(name)
            && let Some(len) = text.get(from..).and_then(|rest| rest.find(')'))
        {
            text.replace_range(from..from + len + 2, "");
        }
    }
    text
}

/// What the reference shows of a flow that it is given. Its revalidators remove flows that no rule
/// stands behind, sometimes before they can be shown: then it is given again.
fn shown_by(reference: &Reference, flow: &str, words: &[&str]) -> Result<String> {
    for _ in 0..50 {
        reference.appctl(&["dpctl/del-flows"])?;
        let added = reference.appctl(&["dpctl/add-flow", flow, "2"]);
        added.with_context(|| flow.to_owned())?;
        if let Some(shown) = only(&reference.appctl(words)?) {
            // Ports have names in a verbose dump.
            return Ok(shown.replace("in_port(p1)", "in_port(1)"));
        }
    }
    anyhow::bail!("never shown: {flow}")
}

#[test]
fn random_megaflows_are_printed_as_the_reference_prints_them() -> Result<()> {
    let reference = start()?;
    reference.time_stop()?;
    let mut seeded = Seeded::new(0x5eed_7e17);
    let mut wrong = Vec::new();
    for n in 1..=120 {
        let key = Keys { rng: &mut seeded, masked: true }.key();
        let text = format!("recirc_id({n:#x}),{key}");
        let flow = parse_flow(&text, &PortNumbers).map_err(|error| anyhow::anyhow!("{error}"))?;
        let ours = KeyText::masked(&flow.key, &flow.mask, &PortNumbers);
        for (ours, words) in [
            (ours.to_string(), &["dpctl/dump-flows"][..]),
            (ours.verbose().to_string(), &["dpctl/dump-flows", "-m"]),
        ] {
            let theirs = shown_by(&reference, &text, words)?;
            let whole = theirs.contains("skb_mark(0/0)") || theirs.contains("tunnel(");
            let ours = if whole { ours } else { without_metadata(&ours) };
            if ours != theirs {
                wrong.push(format!("given  {text}\n  ours   {ours}\n  theirs {theirs}"));
            }
        }
    }
    let shown = wrong.iter().take(8).cloned().collect::<Vec<_>>().join("\n");
    ensure!(wrong.is_empty(), "seed {:#x}, {} differences:\n{shown}", seeded.seed(), wrong.len());
    Ok(())
}

#[test]
fn random_keys_become_the_frames_that_the_reference_makes_of_them() -> Result<()> {
    let reference = start()?;
    reference.add_flow(BRIDGE, "in_port=1,actions=output:2")?;
    let mut seeded = Seeded::new(0x5eed_f4a3);
    let mut expected = Vec::new();
    for n in 0..150 {
        let key = Keys { rng: &mut seeded, masked: false }.key();
        let len = if n % 3 == 0 { Some(200 + n) } else { None };
        let flow = parse_flow(&key, &PortNumbers).map_err(|error| anyhow::anyhow!("{error}"))?;
        expected.push((key.clone(), compose(&flow.key, len)?));
        let len = len.map(|len| len.to_string());
        let mut words = vec!["netdev-dummy/receive", "p1", key.as_str()];
        if let Some(len) = &len {
            words.extend(["--len", len]);
        }
        reference.appctl(&words).with_context(|| key.clone())?;
    }
    let all = || reference.sent("p2").ok().filter(|sent| sent.len() >= expected.len());
    let sent = wait(Duration::from_secs(10), all).context("not all frames were sent")?;
    for (theirs, (key, ours)) in sent.iter().zip(&expected) {
        ensure!(theirs == ours, "{key}\n  ours   {ours:02x?}\n  theirs {theirs:02x?}");
    }
    Ok(())
}

#[test]
fn lists_of_actions_are_understood_as_the_reference_understands_them() -> Result<()> {
    const LISTS: &str = include_str!("../../dp-core/src/action/text/same.txt");
    let reference = start()?;
    let mut accepted = 0;
    for list in LISTS.lines() {
        // What this version of the reference does not know yet is not compared.
        let Ok(theirs) = reference.appctl(&["dpctl/parse-actions", list]) else { continue };
        let ours = parse_actions(list, &PortNumbers).map_err(|error| anyhow::anyhow!("{error}"))?;
        let ours = ActionsText::new(&ours, &PortNumbers).to_string();
        ensure!(ours == theirs.trim_end(), "{list}\n  ours   {ours}\n  theirs {theirs}");
        accepted += 1;
    }
    ensure!(accepted > 90, "the reference took {accepted} lists");
    Ok(())
}

/// What is wrong with a flow and its actions, as an operator reads it behind the reference's words.
const BAD: &[(&str, &str, &str)] = &[
    (
        "in_port(1),eth(src=00:00:00:00:00:0g)",
        "2",
        "`00:00:00:00:00:0g` at byte 19: expected an Ethernet address",
    ),
    ("in_port(1),eth(),eth_type(0x800),ipv4(src=1.2", "2", "`(src=1.2` at byte 37: is not closed"),
    ("in_port(1),foo(1),eth()", "2", "`foo` at byte 11: no attribute of a flow key has this name"),
    ("in_port(nosuch),eth()", "2", "`nosuch` at byte 8: no port has this name"),
    (
        "in_port(1),ct_state(+bar),eth()",
        "2",
        "`bar` at byte 21: expected names of flags: +set-clear",
    ),
    ("in_port(1),in_port(1),eth()", "2", "`in_port` at byte 11: is there a second time"),
    ("in_port(1),eth(),eth_type(0x800),tcp(src=80)", "2", "ipv4 is missing: eth_type(0x0800)"),
    (
        "in_port(1),eth(),eth_type(0x800),ipv4(),tcp(src=80/0xffff)",
        "2",
        "tcp means nothing without proto=6, and not frag=later",
    ),
    (
        "in_port(1),eth(),eth_type(0x86dd),ipv4(src=1.2.3.4)",
        "2",
        "ipv4 means nothing without eth_type(0x0800)",
    ),
    ("in_port(1)", "2", "eth(…) is missing: the packet is Ethernet"),
    ("eth(),eth_type(0x1234)", "2", "in_port(…) is missing or has a mask: a flow is one port's"),
    (GOOD, "2,3,bar", "`bar` at byte 4: no action has this name"),
    (GOOD, "push_vlan(vid=5000,pcp=0)", "`5000` at byte 14: too large; there are 12 bits"),
    (GOOD, "set(tcp(src=70000))", "`70000` at byte 12: too large; there are 16 bits"),
    (GOOD, "clone(2,set(eth(src=zz)))", "`zz` at byte 20: expected an Ethernet address"),
    (GOOD, "ct(zone=70000)", "`70000` at byte 8: too large; there are 16 bits"),
    (GOOD, "check_pkt_len(size=200,gt(2),le(zz))", "`zz` at byte 32: no action has this name"),
    (GOOD, "sample(sample=50.0%,actions(2)", "`(sample=50.0%,actions(2)` at byte 6: is not closed"),
    (GOOD, "userspace(pid=x)", "`x` at byte 14: expected a number"),
];
const GOOD: &str = "in_port(1),eth(),eth_type(0x800),ipv4(proto=6),tcp()";

#[test]
fn what_is_wrong_with_a_flow_is_told_with_the_token_and_its_place() -> Result<()> {
    let ours = Reference::start_ours()?;
    for n in 1..=3 {
        ours.add_dummy_port(&format!("p{n}"), n)?;
    }
    let deep = format!("{}2{}", "clone(".repeat(200), ")".repeat(200));
    let bad = BAD.iter().copied().chain([(GOOD, &*deep, "lists are nested deeper than")]);
    for (flow, actions, why) in bad {
        let Err(error) = ours.appctl(&["dpctl/add-flow", flow, actions]) else {
            anyhow::bail!("taken: {flow} {actions}");
        };
        let text = error.to_string();
        ensure!(text.contains("(Invalid argument)"), "{flow} {actions}: {text}");
        ensure!(text.contains(why), "{flow} {actions}: {text}\n  and not: {why}");
    }
    ensure!(ours.appctl(&["dpctl/dump-flows"])?.trim().is_empty(), "a flow was added");
    ours.appctl(&["dpctl/add-flow", GOOD, "2"])?;
    Ok(())
}
