//! Text of datapath flows against the installed reference switch: random keys, masked and not, are
//! printed alike, become the same frames, random lists of actions are understood alike, and what is
//! spoilt is refused by both.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use dp_core::action::text::{ActionsText, parse_actions};
use dp_core::flow::compose::compose;
use dp_core::flow::text::{KeyText, PortNumbers, parse_flow};
use dp_tests::keys::Keys;
use dp_tests::lists::{Lists, OTHERWISE};
use testkit::patience::wait;
use testkit::reference::{BRIDGE, Reference};
use testkit::seed::{Rng, Seeded};

fn start() -> Result<Reference> {
    testkit::packages::ensure(&["openvswitch-switch", "openvswitch-common"])?;
    let reference = Reference::start()?;
    for n in 1..=2 {
        reference.add_dummy_port(&format!("p{n}"), n)?;
    }
    // It would remove flows that no rule stands behind.
    reference.appctl(&["revalidator/pause"])?;
    Ok(reference)
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

/// What a switch shows of flows that it is given at once: key and actions, by the id of the pass, which
/// each has its own.
fn shown(
    switch: &Reference,
    flows: &[(String, String)],
    words: &[&str],
) -> Result<BTreeMap<String, (String, String)>> {
    switch.appctl(&["dpctl/del-flows"])?;
    let path = switch.folder().join("flows");
    let lines = flows.iter().map(|(flow, actions)| format!("{flow} {actions}\n"));
    std::fs::write(&path, lines.collect::<String>())?;
    let said = switch.appctl(&["dpctl/add-flows", &path.to_string_lossy()])?;
    if !said.is_empty() {
        let refused =
            |it: &&(String, String)| switch.appctl(&["dpctl/parse-actions", &it.1]).is_err();
        let (key, actions) = flows.iter().find(refused).with_context(|| said.clone())?;
        bail!("{said}\n{key} {actions}");
    }
    let dump = switch.appctl(&[&["dpctl/dump-flows"], words].concat())?;
    let mut out = BTreeMap::new();
    for line in dump.lines() {
        let Some(flow) = line.find("recirc_id(").and_then(|at| line.get(at..)) else { continue };
        let (key, rest) = flow.split_once(", packets:").context("statistics")?;
        let (_, actions) = rest.split_once("actions:").context("actions")?;
        let id = key.split(')').next().unwrap_or_default();
        // Ports have names in a verbose dump.
        let key = key.replace("in_port(p1)", "in_port(1)");
        out.insert(id.to_owned(), (key, actions.to_owned()));
    }
    ensure!(out.len() == flows.len(), "{} of {} flows are shown", out.len(), flows.len());
    Ok(out)
}

/// The differences that were found, the first of them in full.
fn none_of(wrong: &[String], seed: u64) -> Result<()> {
    let shown = wrong.iter().take(8).cloned().collect::<Vec<_>>().join("\n");
    ensure!(wrong.is_empty(), "seed {seed:#x}, {} differences:\n{shown}", wrong.len());
    Ok(())
}

/// Seeds of a run: one that stays, and a fresh one.
fn seeds(fixed: u64) -> Result<[u64; 2]> {
    let fresh = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_nanos();
    let fresh = u64::try_from(fresh & u128::from(u64::MAX))?;
    println!("seed {fresh:#x}");
    Ok([fixed, fresh])
}

#[test]
fn random_megaflows_are_printed_as_the_reference_prints_them() -> Result<()> {
    let reference = start()?;
    for seed in seeds(0x5eed_7e17)? {
        let mut rng = Seeded::new(seed);
        let mut wrong = Vec::new();
        let flows: Vec<_> = (1..=400)
            .map(|n| {
                let key = Keys { rng: &mut rng, masked: true }.key();
                (format!("recirc_id({n:#x}),{key}"), "2".to_owned())
            })
            .collect();
        for words in [&[][..], &["-m"]] {
            let shown = shown(&reference, &flows, words)?;
            for (n, (text, _)) in (1..).zip(&flows) {
                let flow =
                    parse_flow(text, &PortNumbers).map_err(|error| anyhow!("{text}: {error}"))?;
                ensure!(flow.fits().is_ok(), "{text}: {:?}", flow.fits());
                let ours = KeyText::masked(&flow.key, &flow.mask, &PortNumbers);
                let ours = match words {
                    [] => ours.to_string(),
                    _ => ours.verbose().to_string(),
                };
                let (theirs, _) = shown.get(&format!("recirc_id({n:#x}")).context("shown")?;
                let whole = theirs.contains("skb_mark(0/0)") || theirs.contains("tunnel(");
                let ours = if whole { ours } else { without_metadata(&ours) };
                if ours != *theirs {
                    wrong.push(format!("given  {text}\n  ours   {ours}\n  theirs {theirs}"));
                }
            }
        }
        none_of(&wrong, seed)?;
    }
    Ok(())
}

#[test]
fn random_lists_of_actions_are_installed_and_shown_alike() -> Result<()> {
    let reference = start()?;
    let ours = Reference::start_ours()?;
    for n in 1..=2 {
        ours.add_dummy_port(&format!("p{n}"), n)?;
    }
    ours.appctl(&["revalidator/pause"])?;
    for seed in seeds(0x5eed_ac75)? {
        let mut rng = Seeded::new(seed);
        let flows: Vec<_> = (1..=500)
            .map(|n| {
                let key = format!("recirc_id({n:#x}),in_port(1),eth(),eth_type(0x1234)");
                (key, Lists { rng: &mut rng }.list(3))
            })
            .collect();
        let (theirs, mine) = (shown(&reference, &flows, &[])?, shown(&ours, &flows, &[])?);
        let mut wrong = Vec::new();
        for (n, (_, text)) in (1..).zip(&flows) {
            let id = format!("recirc_id({n:#x}");
            let (theirs, mine) =
                (theirs.get(&id).context("shown")?, mine.get(&id).context("shown")?);
            if theirs != mine {
                wrong.push(format!("given  {text}\n  ours   {}\n  theirs {}", mine.1, theirs.1));
            }
        }
        none_of(&wrong, seed)?;
    }
    Ok(())
}

#[test]
fn lists_that_are_spelt_otherwise_are_printed_as_the_reference_prints_them() -> Result<()> {
    let reference = start()?;
    for (given, printed) in OTHERWISE {
        let theirs = reference.appctl(&["dpctl/parse-actions", given])?;
        let ours =
            parse_actions(given, &PortNumbers).map_err(|error| anyhow!("{given}: {error}"))?;
        let ours = ActionsText::new(&ours, &PortNumbers).to_string();
        ensure!(theirs.trim_end() == printed, "{given}: the reference prints {theirs}");
        ensure!(ours == printed, "{given}: {ours}");
    }
    Ok(())
}

/// Keys that are spelt in many ways, right and wrong ones: both refuse them, or both print the same.
#[test]
fn keys_are_taken_printed_and_refused_as_the_newer_reference_does() -> Result<()> {
    const KEYS: &str = include_str!("datapath_keys.txt");
    let reference = Reference::start_newer()?;
    for n in 1..=2 {
        reference.add_dummy_port(&format!("p{n}"), n)?;
    }
    reference.appctl(&["revalidator/pause"])?;
    let read = |text: &str| parse_flow(text, &PortNumbers).ok().filter(|flow| flow.fits().is_ok());
    let (mut taken, mut refused) = (Vec::new(), 0);
    for (n, key) in (1..).zip(KEYS.lines()) {
        let text = format!("recirc_id({n:#x}),{key}");
        match read(&text) {
            Some(flow) => taken.push((n, text, flow)),
            None => {
                let theirs = reference.appctl(&["dpctl/add-flow", &text, "2"]);
                ensure!(theirs.is_err(), "taken by the reference: {key}");
                refused += 1;
            }
        }
    }
    ensure!(taken.len() > 90 && refused > 90, "{} taken, {refused} refused", taken.len());
    let flows: Vec<_> = taken.iter().map(|(_, text, _)| (text.clone(), "2".to_owned())).collect();
    for words in [&[][..], &["-m"]] {
        let shown = shown(&reference, &flows, words)?;
        for (n, text, flow) in &taken {
            let ours = KeyText::masked(&flow.key, &flow.mask, &PortNumbers);
            let ours = if words.is_empty() { ours } else { ours.verbose() }.to_string();
            let (theirs, _) = shown.get(&format!("recirc_id({n:#x}")).context("shown")?;
            // Flags that do not count are shown there if they were said, and here with the ports.
            let plain = |text: &str| text.replace(",tcp_flags(0/0)", "");
            let same = plain(&ours) == plain(theirs);
            ensure!(same, "given  {text}\n  ours   {ours}\n  theirs {theirs}");
        }
    }
    Ok(())
}

/// A text that is cut off inside of parentheses, one with a character that belongs nowhere, one with a
/// parenthesis too few.
fn spoilt(rng: &mut Rng, text: &str) -> Vec<String> {
    let mut depth = 0;
    let inside = text.char_indices().filter(|(_, c)| {
        depth += i32::from(*c == '(') - i32::from(*c == ')');
        depth > 0
    });
    let inside: Vec<_> = inside.map(|(at, _)| at + 1).collect();
    let pick = |rng: &mut Rng, from: &[usize]| {
        let at = usize::try_from(rng.below(from.len().max(1) as u64)).unwrap_or(0);
        from.get(at).copied()
    };
    let mut out = Vec::new();
    if let Some(at) = pick(rng, &inside) {
        out.push(text.get(..at).unwrap_or_default().to_owned());
    }
    // Names of helpers and of timeout policies may have any characters.
    let named = |at: usize| {
        let before = text.get(..at).unwrap_or_default();
        let last = before.rsplit([',', '(']).next().unwrap_or_default();
        last.starts_with("helper=") || last.starts_with("timeout=")
    };
    let letters: Vec<_> = (0..text.len()).filter(|&at| !named(at)).collect();
    if let Some(at) = pick(rng, &letters) {
        out.push(format!("{}~{}", text.get(..at).unwrap_or(""), text.get(at + 1..).unwrap_or("")));
    }
    let closing: Vec<_> = text.match_indices(')').map(|(at, _)| at).collect();
    if let Some(at) = pick(rng, &closing) {
        out.push(format!("{}{}", text.get(..at).unwrap_or(""), text.get(at + 1..).unwrap_or("")));
    }
    out
}

#[test]
fn spoilt_texts_are_refused_by_both_and_ours_says_where() -> Result<()> {
    let reference = start()?;
    for seed in seeds(0x5eed_bad5)? {
        let mut rng = Seeded::new(seed);
        let (mut wrong, mut total, mut taken) = (Vec::new(), 0, 0);
        for n in 0..80 {
            let list = n % 2 == 0;
            let whole = match list {
                true => Lists { rng: &mut rng }.list(2),
                false => Keys { rng: &mut rng, masked: true }.key(),
            };
            for text in spoilt(&mut rng, &whole) {
                let (theirs, ours) = match list {
                    true => (
                        reference.appctl(&["dpctl/parse-actions", &text]),
                        parse_actions(&text, &PortNumbers).err(),
                    ),
                    false => (
                        reference.appctl(&["dpctl/add-flow", &text, "2"]),
                        parse_flow(&text, &PortNumbers).err(),
                    ),
                };
                let told = ours.map(|error| error.to_string()).unwrap_or_default();
                if !told.contains(" at byte ") && !told.contains("at the end (byte ") {
                    wrong.push(format!("{text}\n  ours   {told}\n  theirs {theirs:?}"));
                }
                total += 1;
                taken += usize::from(theirs.is_ok());
            }
        }
        none_of(&wrong, seed)?;
        // In few places it closes what is open: inside `tunnel(…)`, behind `drop` in `le(…)`.
        ensure!(taken * 10 < total, "seed {seed:#x}: the reference takes {taken} of {total}");
    }
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
        let flow = parse_flow(&key, &PortNumbers).map_err(|error| anyhow!("{error}"))?;
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
        let ours = parse_actions(list, &PortNumbers).map_err(|error| anyhow!("{error}"))?;
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
    (
        "in_port(1),eth(),eth_type(0x800),ipv4(proto=6/0xf),tcp(src=80)",
        "2",
        "tcp means nothing without all bits of proto",
    ),
    (
        "in_port(1),eth(),eth_type(0x800/0xff00),ipv4(proto=6)",
        "2",
        "ipv4 means nothing without all bits of eth_type",
    ),
    (
        "in_port(1),eth(),eth_type(0x86dd),ipv6(proto=58),icmpv6(type=135/0xf0),nd(target=::1)",
        "2",
        "nd means nothing without all bits of icmpv6(type=…)",
    ),
    (
        "in_port(1),eth(),eth_type(0x800),ipv4(proto=6),tcp_flags(syn)",
        "2",
        "tcp_flags means nothing without tcp(…)",
    ),
    ("in_port(1),eth(),eth_type(0x8100)", "2", "vlan(…) and encap(…) is missing: eth_type says"),
    ("in_port(1),eth(),eth_type(0x5dc)", "2", "eth_type means nothing without a value of at least"),
    (
        "in_port(1),eth(),eth_type(0x8847),mpls(label=1,tc=0,ttl=9,bos=0)",
        "2",
        "bos=1 is missing: the innermost label of a stack has it",
    ),
    (
        "in_port(1),eth(),eth_type(0x800),ipv4(src=10.0.0.0/8)",
        "2",
        "`8` at byte 51: expected an IPv4 address",
    ),
    (
        "tunnel(dst=1.1.1.1,ttl=1,vxlan(gpb(id=1))),in_port(1),eth(),eth_type(0x1234)",
        "2",
        "`gpb` at byte 31: expected gbp(id=…,flags=…)",
    ),
    (
        "tunnel(dst=1.1.1.1,ttl=1,vxlan(gbp(id=1),foo)),in_port(1),eth(),eth_type(0x1234)",
        "2",
        "`foo` at byte 41: expected gbp(id=…,flags=…), and nothing else",
    ),
    (
        "in_port(1),ct_state(),eth(),eth_type(0x1234)",
        "2",
        "at the end (byte 20): expected names of flags",
    ),
    (
        "tunnel(dst=1.1.1.1,ttl=1,geneve({type=1,class=2,len=4})),in_port(1),eth(),eth_type(0x1234)",
        "2",
        "`class` at byte 40: expected class=…, type=…, len=… and the data",
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
    (GOOD, "ct(commit,nat(src=1.1.1.1,random,hash))", "`hash` at byte 33: expected one of hash"),
    (GOOD, "sample(sample=50,actions(2))", "`50` at byte 14: expected a percentage"),
    (
        GOOD,
        "sample(sample=50%,actions(2),actions(3))",
        "`actions` at byte 29: is there a second time",
    ),
    (GOOD, "check_pkt_len(size=9,le(2),gt(3))", "`gt` at byte 27: expected gt(…) before le(…)"),
    (GOOD, "add_mpls(label=1,eth_type=0x8847)", "lacks label=…, tc=…, ttl=…, bos=… or eth_type=…"),
    (
        GOOD,
        "add_mpls(label=1,tc=0,ttl=9,bos=1,eth_type=0x8847,tun_flags=2)",
        "`2` at byte 60: too large; there are 1 bits",
    ),
    (GOOD, "push_nsh(mdtype=3)", "`mdtype=3` at byte 9: expected mdtype=1 or mdtype=2"),
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
            bail!("taken: {flow} {actions}");
        };
        let text = error.to_string();
        ensure!(text.contains("(Invalid argument)"), "{flow} {actions}: {text}");
        ensure!(text.contains(why), "{flow} {actions}: {text}\n  and not: {why}");
    }
    ensure!(ours.appctl(&["dpctl/dump-flows"])?.trim().is_empty(), "a flow was added");
    ours.appctl(&["dpctl/add-flow", GOOD, "2"])?;
    // What its look-up compares: ports, types and the protocol; addresses lie in a further lane.
    let ends = |count: &str| -> Result<()> {
        let dump = ours.appctl(&["dpctl/dump-flows", "-m"])?;
        let end = format!("dp:ovs, actions:p2, dp-extra-info:miniflow_bits({count})");
        ensure!(dump.trim_end().ends_with(&end), "{dump}");
        ours.appctl(&["dpctl/del-flows"])?;
        Ok(())
    };
    ends("3,0")?;
    let six = "in_port(1),eth(),eth_type(0x86dd),ipv6(src=::1,dst=::2,proto=6),tcp(src=1)";
    ours.appctl(&["dpctl/add-flow", six, "2"])?;
    ends("4,4")?;
    let traced = [
        (
            &["in_port(1),eth(),eth_type(0x800),ipv4(src=1.2.3)"][..],
            "syntax error at ipv4(src=1.2.3) (or the bridge name was omitted)\n\
             `1.2.3` at byte 42: expected an IPv4 address",
        ),
        (&[BRIDGE, "in_port=1,ip", "0011"], "Packet data too short for Ethernet"),
    ];
    for (words, why) in traced {
        let Err(error) = ours.appctl(&[&["ofproto/trace"], words].concat()) else {
            bail!("traced: {words:?}");
        };
        ensure!(error.to_string().contains(why), "{words:?}: {error}");
    }
    Ok(())
}
