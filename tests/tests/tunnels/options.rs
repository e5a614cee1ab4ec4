//! Tunnel metadata of any size beside the reference: what maps are taken, what flows say of the fields
//! in each version of OpenFlow, what traces make of them, and which options leave and come in.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use testkit::packets::samples;
use testkit::reference::{BRIDGE, Reference};

use super::beside::{turned_round, with_underlay, without_hash};

/// Options of the least length, the longest, and some between, at both ends of the numbers.
const MAP: &str = "{class=0xffff,type=0,len=124}->tun_metadata0,\
                   {class=0x102,type=1,len=20}->tun_metadata1,\
                   {class=0x103,type=0x82,len=4}->tun_metadata2,\
                   {class=0x105,type=4,len=16}->tun_metadata16,\
                   {class=0x104,type=3,len=64}->tun_metadata63";

/// 124 bytes of which the first and the last are not as the others.
fn long() -> String {
    format!("0x12{}34", "a5".repeat(122))
}

/// Maps one after the other: some are refused.
const MAPS: [&str; 12] = [
    "{class=0xffff,type=0,len=124}->tun_metadata0",
    "{class=0xffff,type=1,len=128}->tun_metadata1",
    "{class=0xffff,type=1,len=6}->tun_metadata1",
    "{class=0xffff,type=1,len=120}->tun_metadata63",
    "{class=0xffff,type=2,len=16}->tun_metadata16",
    "{class=0xffff,type=0,len=4}->tun_metadata16",
    "{class=0xffff,type=3,len=4}->tun_metadata0",
    "{class=0xffff,type=2,len=8}->tun_metadata48",
    "{class=0xffff,type=4,len=8}->tun_metadata47",
    "{class=0xffff,type=4,len=4}->tun_metadata47",
    "{class=0xffff,type=5,len=4}->tun_metadata46",
    "{class=0xffff,type=5,len=4}->tun_metadata64",
];

/// Flows that say something of the fields, of which some are refused: each in a table of its own.
fn flows() -> Vec<String> {
    let long = long();
    let wide = "0x123456789abcdef0123456789123456789abcdef0123456789";
    vec![
        "tun_metadata4,actions=1".to_owned(),
        "tun_metadata0,actions=1".to_owned(),
        "tun_metadata0=0,actions=1".to_owned(),
        format!("tun_metadata0={long},tun_metadata63,actions=1"),
        format!("tun_metadata0={long}/0xff{},actions=1", "0".repeat(246)),
        format!("tun_metadata63={wide},tun_metadata16=0x5/0xff,actions=1"),
        "tun_metadata16=0xffffffffffffffffffffffffffffffff,tun_metadata2=1/0xffffffff,actions=1"
            .to_owned(),
        // Longer than the option.
        "tun_metadata2=0x1234567890,actions=1".to_owned(),
        format!("tun_metadata1={wide},actions=set_field:{wide}->tun_metadata1"),
        "actions=set_field:0->tun_metadata0".to_owned(),
        format!("actions=set_field:{long}->tun_metadata0,set_field:0x7->tun_metadata2"),
        format!("actions=set_field:0xff{z}/0xff{z}->tun_metadata63", z = "0".repeat(80)),
        "actions=set_field:5->tun_metadata4".to_owned(),
        "actions=load:0x1234->tun_metadata0[960..975]".to_owned(),
        "actions=load:0x123456789abcdef0123456789->tun_metadata0[]".to_owned(),
        "actions=move:tun_metadata2[0..31]->reg0[]".to_owned(),
        "actions=move:tun_metadata2[32..63]->reg0[]".to_owned(),
        "actions=move:tun_metadata2[]->tun_metadata1[]".to_owned(),
        "actions=move:tun_metadata0[0..127]->xxreg0[],move:xxreg1[]->tun_metadata0[864..991]"
            .to_owned(),
        "actions=move:tun_metadata0[480..991]->tun_metadata63[]".to_owned(),
        "actions=move:tun_metadata0[480..991]->tun_metadata63[0..511]".to_owned(),
        "actions=move:tun_metadata4[0..3]->reg0[0..3]".to_owned(),
        "actions=push:tun_metadata0[],pop:tun_metadata0[]".to_owned(),
        "actions=push:tun_metadata0[900..991],pop:reg0[]".to_owned(),
        "actions=push:tun_metadata2[],pop:reg0[]".to_owned(),
        "actions=learn(table=200,tun_metadata0[]=tun_metadata0[],\
         load:tun_metadata0[0..15]->reg0[0..15])"
            .to_owned(),
        "actions=learn(table=200,tun_metadata63[0..200]=tun_metadata0[0..200],\
         load:0x5->tun_metadata1[0..100])"
            .to_owned(),
        "actions=learn(table=200,tun_metadata0[],tun_metadata2=0x5)".to_owned(),
        "actions=output:tun_metadata0[0..15],delete_field:tun_metadata63".to_owned(),
        "actions=multipath(eth_src,50,hrw,12,0,tun_metadata0[980..991])".to_owned(),
        "actions=write_actions(set_field:0x1/0xff->tun_metadata1,output:1)".to_owned(),
    ]
}

/// What a command answers: of an error, its name or what the tool says.
fn answer(switch: &Reference, words: &[&str]) -> String {
    match switch.ofctl(words) {
        Ok(text) => text,
        Err(error) => {
            let text = format!("{error:#}");
            let wanted =
                |line: &&str| line.contains("OFPT_ERROR") || line.starts_with("ovs-ofctl:");
            let line = text.lines().find(wanted).unwrap_or(&text);
            // Numbers of requests differ.
            line.split("): ").last().unwrap_or(line).to_owned()
        }
    }
}

#[test]
fn maps_and_flows_of_options_of_any_size_are_taken_as_the_reference_takes_them() -> Result<()> {
    let switches = [Reference::start()?, Reference::start_ours()?];
    let same = |words: &[&str]| -> Result<String> {
        let [theirs, ours] = [0, 1].map(|at| answer(&switches[at], words));
        ensure!(theirs == ours, "{words:?}\n--- reference\n{theirs}\n--- ours\n{ours}");
        Ok(ours)
    };
    let mut refused = 0;
    for map in MAPS {
        refused += usize::from(!same(&["add-tlv-map", BRIDGE, map])?.is_empty());
    }
    ensure!(refused == 8, "{refused} maps are refused");
    let map = same(&["dump-tlv-map", BRIDGE])?;
    ensure!(map.contains("allocated option space=256"), "{map}");
    same(&["del-tlv-map", BRIDGE])?;
    same(&["add-tlv-map", BRIDGE, MAP])?;
    for (table, flow) in flows().iter().enumerate() {
        let flow = format!("table={table},{flow}");
        for version in ["OpenFlow10", "OpenFlow13", "OpenFlow15"] {
            // A table in what OpenFlow 1.0 has no number for is the extension's.
            same(&["-O", version, "add-flow", BRIDGE, &flow])?;
        }
    }
    for version in ["10", "11", "12", "13", "14", "15"] {
        let version = format!("OpenFlow{version}");
        let text = same(&["-O", &version, "dump-flows", "--no-stats", BRIDGE])?;
        ensure!(text.contains(&format!("tun_metadata0={}", long())), "{text}");
    }
    // What flows name stays mapped.
    same(&["del-tlv-map", BRIDGE, "{class=0x104,type=3,len=64}->tun_metadata63"])?;
    same(&[
        "--strict",
        "del-flows",
        BRIDGE,
        &format!("table=3,tun_metadata0={},tun_metadata63", long()),
    ])?;
    same(&["dump-flows", "--no-stats", BRIDGE, "table=3"])?;
    Ok(())
}

/// Groups that hash options: short ones, one of more than 128 bits, all of it.
const HASHED: [(u16, &str); 3] =
    [(1, "tun_metadata2"), (2, "tun_metadata63,eth_src"), (3, "tun_metadata0")];

/// What the tables do with options in the trace.
fn traced() -> Vec<String> {
    let long = long();
    vec![
        "table=0,in_port=5,tun_metadata2=7,actions=resubmit(,1)".to_owned(),
        format!(
            "table=0,in_port=5,tun_metadata0={long}/0xff{}ff,actions=\
             move:tun_metadata0[0..127]->xxreg0[],move:tun_metadata0[800..831]->reg5[],output:1",
            "0".repeat(244)
        ),
        "table=0,in_port=5,tun_metadata63=0/0xff00000000000000000000000000000000,tun_metadata0,\
         actions=output:2"
            .to_owned(),
        "table=0,priority=1,in_port=5,tun_metadata1=0x1122334455667788990011223344556677889900,\
         actions=set_field:0x1/0x1->tun_metadata1,push:tun_metadata1[8..159],\
         pop:tun_metadata0[800..951],move:tun_metadata63[64..319]->tun_metadata0[0..255],\
         resubmit(,2)"
            .to_owned(),
        "table=1,tun_metadata1,actions=learn(table=3,tun_metadata1[0..151],\
         load:tun_metadata1[100..131]->reg3[]),resubmit(,3)"
            .to_owned(),
        "table=0,in_port=5,tun_metadata16=1,priority=40000,actions=group:1".to_owned(),
        "table=0,in_port=5,tun_metadata16=2,priority=40000,actions=group:2".to_owned(),
        "table=0,in_port=5,tun_metadata16=3,priority=40000,actions=group:3".to_owned(),
        "table=2,tun_metadata0=0/0xff,actions=1".to_owned(),
        "table=2,ip,tun_metadata0=1/0xff,actions=ct(table=4)".to_owned(),
        format!(
            "table=0,in_port=1,actions=set_field:1.1.1.1->tun_dst,\
             set_field:{long}->tun_metadata0,set_field:0x77->tun_metadata63,\
             set_field:9->tun_metadata2,output:5"
        ),
        "table=0,in_port=2,actions=set_field:1.1.1.1->tun_dst,\
         load:0x12345->tun_metadata63[100..140],delete_field:tun_metadata2,output:5"
            .to_owned(),
    ]
}

#[test]
fn options_of_any_size_are_traced_as_the_reference_traces_them() -> Result<()> {
    let switches = [Reference::start()?, Reference::start_ours()?];
    for switch in &switches {
        switch.add_dummy_port("p1", 1)?;
        switch.add_dummy_port("p2", 2)?;
        switch.add_dummy_port("p5", 5)?;
        switch.vsctl(&["set", "Bridge", BRIDGE, "fail_mode=secure"])?;
        switch.ofctl(&["add-tlv-map", BRIDGE, MAP])?;
        for (number, fields) in HASHED {
            let bucket = |id: u16| format!("bucket=bucket_id:{id},actions={}", id % 2 + 1);
            let buckets: Vec<_> = (0..16).map(bucket).collect();
            let group = format!(
                "group_id={number},type=select,selection_method=hash,selection_method_param=9,\
                 fields({fields}),{}",
                buckets.join(",")
            );
            switch.ofctl(&["-O", "OpenFlow15", "add-group", BRIDGE, &group])?;
        }
        switch.add_flows(BRIDGE, &traced().join("\n"))?;
    }
    let (long, twenty) = (long(), "0x1122334455667788990011223344556677889900");
    let tunnel = "tun_dst=1.1.1.2,tun_src=1.1.1.1,tun_id=5";
    for (said, reaches) in [
        ("tun_metadata2=7".to_owned(), "No match"),
        (format!("tun_metadata2=7,tun_metadata1={twenty}"), "suppressing side effects"),
        (format!("tun_metadata0={long}"), "output:1"),
        ("tun_metadata0=5,tun_metadata63=0x44".to_owned(), "output:2"),
        ("tun_metadata0=5".to_owned(), "No match"),
        (format!("tun_metadata1={twenty},tun_metadata63=0x1000000000000000044"), "output:1"),
        (format!("tun_metadata1={twenty},tun_metadata63=0x10000000000000044"), "ct("),
        (format!("tun_metadata1={twenty},tun_metadata63=0x20000000000000044"), "No match"),
        ("tun_metadata16=4".to_owned(), "No match"),
        ("tun_metadata16=1,tun_metadata2=5".to_owned(), "using bucket"),
        (
            "tun_metadata16=2,tun_metadata63=0x1000000000000000000000000000000000000007".to_owned(),
            "using bucket",
        ),
        (
            "tun_metadata16=2,tun_metadata63=0x2000000000000000000000000000000000000007".to_owned(),
            "using bucket",
        ),
        (format!("tun_metadata16=3,tun_metadata0={long}"), "using bucket"),
    ] {
        let flow = format!("in_port=5,{tunnel},{said},ip");
        let [theirs, ours] = [0, 1].map(|at| -> Result<String> {
            let text = switches[at].trace(BRIDGE, &flow)?;
            let lines = text.lines().filter(|line| !line.starts_with("Megaflow: "));
            // The number of a recirculation has no meaning.
            let lines = lines.map(|line| line.split("recirc(").next().unwrap_or(line));
            let lines = lines.map(|line| line.split("recirc_id=").next().unwrap_or(line));
            Ok(lines.collect::<Vec<_>>().join("\n"))
        });
        let (theirs, ours) = (theirs?, ours?);
        ensure!(theirs == ours, "{flow}\n--- reference\n{theirs}\n--- ours\n{ours}");
        ensure!(ours.contains(reaches), "{flow}\n{ours}");
    }
    let [theirs, ours] = [0, 1].map(|at| -> Result<Vec<String>> {
        let dump = switches[at].ofctl(&["-O", "OpenFlow15", "dump-groups", BRIDGE])?;
        let mut lines: Vec<_> = dump.lines().skip(1).map(str::to_owned).collect();
        lines.sort();
        Ok(lines)
    });
    ensure!(theirs? == ours?, "groups: {:?}", switches[1].ofctl(&["dump-groups", BRIDGE])?);
    for flow in ["in_port=1,ip", "in_port=2,ip"] {
        let [theirs, ours] = [0, 1].map(|at| switches[at].trace(BRIDGE, flow));
        let (theirs, ours) = (theirs?, ours?);
        ensure!(theirs == ours, "{flow}\n--- reference\n{theirs}\n--- ours\n{ours}");
    }
    Ok(())
}

/// A switch with a Geneve tunnel that writes options, as `flow` says.
fn sending(switch: Reference) -> Result<Reference> {
    let switch = with_underlay(switch)?;
    switch.vsctl(&["set", "Bridge", BRIDGE, "fail_mode=secure"])?;
    let port = format!(
        "add-port {BRIDGE} gn -- set Interface gn type=geneve ofport_request=11 \
         options:remote_ip=1.1.2.92 options:key=7 -- \
         add-port {BRIDGE} gn6 -- set Interface gn6 type=geneve ofport_request=12 \
         options:remote_ip=2001:cafe::92 options:key=7"
    );
    switch.vsctl(&port.split_whitespace().collect::<Vec<_>>())?;
    for address in ["1.1.2.92", "2001:cafe::92"] {
        switch.appctl(&["tnl/neigh/set", "under", address, "f8:bc:12:44:34:b6"])?;
    }
    switch.ofctl(&["add-tlv-map", BRIDGE, MAP])?;
    Ok(switch)
}

/// The Geneve options of frames, as scapy reads them.
fn judged(frames: &[Vec<u8>]) -> Result<Vec<String>> {
    testkit::packages::ensure(&["python3-scapy"])?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scapy/geneve.py");
    let mut scapy = Command::new("/usr/bin/python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = scapy.stdin.take().context("a pipe")?;
    for frame in frames {
        let octets: String = frame.iter().map(|octet| format!("{octet:02x}")).collect();
        writeln!(input, "{octets}")?;
    }
    drop(input);
    let output = scapy.wait_with_output()?;
    ensure!(output.status.success(), "scapy: {}", output.status);
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

#[test]
fn options_of_any_size_leave_and_come_in_as_the_references_do() -> Result<()> {
    let switches = [sending(Reference::start()?)?, sending(Reference::start_ours()?)?];
    let frame = samples::named("ipv4-udp").context("a sample")?;
    let long = long();
    let zeros = "0".repeat(84);
    let sets = [
        format!("set_field:{long}->tun_metadata0"),
        "set_field:0x5->tun_metadata2,set_field:0xaabb->tun_metadata1".to_owned(),
        format!("set_field:0xffee{zeros}/0xffff{zeros}->tun_metadata63"),
        format!(
            "set_field:{long}->tun_metadata0,move:tun_metadata0[480..991]->tun_metadata63[0..511]"
        ),
        "set_field:0->tun_metadata16,set_field:1->tun_metadata63,delete_field:tun_metadata63"
            .to_owned(),
        format!(
            "set_field:0x{}->tun_metadata63,push:tun_metadata63[400..511],\
             pop:tun_metadata16[16..127],set_field:2->tun_metadata2,set_field:1->tun_metadata1",
            &long[2..130]
        ),
    ];
    let mut sent = Vec::new();
    for set in &sets {
        let out = |switch: &Reference| -> Result<Vec<u8>> {
            switch.ofctl(&["del-flows", BRIDGE])?;
            switch.add_flow(BRIDGE, &format!("in_port=1,actions={set},output:11"))?;
            let before = switch.sent("p1")?.len();
            switch.receive_frame("v2", &frame)?;
            let frames = switch.sent("p1")?.split_off(before);
            ensure!(frames.len() == 1, "{} frames\n{set}", frames.len());
            Ok(without_hash(&frames[0]))
        };
        let (theirs, ours) = (out(&switches[0])?, out(&switches[1])?);
        ensure!(theirs == ours, "{set}\n--- reference\n{theirs:02x?}\n--- ours\n{ours:02x?}");
        sent.push(ours);
    }
    let (bytes, z) = (&long[2..], |n: usize| "0".repeat(n));
    let expected = [
        format!("7 0xffff:0x0:{bytes}"),
        format!("7 0x102:0x1:{}aabb 0x103:0x82:00000005", z(36)),
        format!("7 0x104:0x3:{}ffee{zeros}", z(40)),
        // The upper 512 bits.
        format!("7 0xffff:0x0:{bytes} 0x104:0x3:{}", &bytes[..128]),
        format!("7 0x105:0x4:{}", z(32)),
        format!(
            "7 0x102:0x1:{}1 0x103:0x82:00000002 0x105:0x4:{}0000 0x104:0x3:{}",
            z(39),
            &bytes[..28],
            &bytes[..128]
        ),
    ];
    for (judged, expected) in judged(&sent)?.iter().zip(&expected) {
        ensure!(judged == expected, "scapy reads {judged}\nnot          {expected}");
    }
    come_in(&switches, &sent, &frame)
}

/// Frames that left come back as their other end would send them: tables of both see the same options,
/// and their megaflows are about the same bits.
fn come_in(switches: &[Reference; 2], sent: &[Vec<u8>], inner: &[u8]) -> Result<()> {
    let long = long();
    let cases = [
        (0, format!("tun_metadata0={long}"), true),
        (0, format!("tun_metadata0={long}/0xff{}ff", "0".repeat(244)), true),
        (0, "tun_metadata0=0/0xff".to_owned(), false),
        (0, "tun_metadata63".to_owned(), false),
        (1, "tun_metadata1=0xaabb,tun_metadata2=5".to_owned(), true),
        (2, format!("tun_metadata63=0xff{z}/0xff{z}", z = "0".repeat(86)), true),
        (3, "tun_metadata63=0/0xff,tun_metadata0".to_owned(), false),
        (3, format!("tun_metadata63=0x{},tun_metadata0", &long[2..130]), true),
        (5, "tun_metadata63,tun_metadata16=0x0/0xffff,tun_metadata2=2".to_owned(), true),
    ];
    for (which, said, found) in cases {
        let came = |switch: &Reference| -> Result<(Vec<Vec<u8>>, Vec<String>)> {
            switch.ofctl(&["del-flows", BRIDGE])?;
            switch.appctl(&["revalidator/purge"])?;
            switch.add_flow(BRIDGE, &format!("in_port=11,{said},actions=1"))?;
            let before = switch.sent("v2")?.len();
            switch.receive_frame("p1", &turned_round(&sent[which]))?;
            let frames = switch.sent("v2")?.split_off(before);
            let flows = switch.appctl(&["dpctl/dump-flows"])?;
            let tunnels = flows.lines().filter(|line| line.contains("tunnel("));
            let options = tunnels.map(|line| match line.split_once("geneve(") {
                Some((_, rest)) => rest.split("})").next().unwrap_or(rest).to_owned(),
                None => line.to_owned(),
            });
            Ok((frames, options.collect()))
        };
        let (theirs, ours) = (came(&switches[0])?, came(&switches[1])?);
        ensure!(theirs.0 == ours.0, "{said}: {} and {} frames", theirs.0.len(), ours.0.len());
        ensure!(ours.0.len() == usize::from(found), "{said}: {} frames", ours.0.len());
        ensure!(!found || ours.0[0] == inner, "{said}: {:02x?}", ours.0);
        ensure!(
            theirs.1 == ours.1,
            "{said}\n--- reference\n{:?}\n--- ours\n{:?}",
            theirs.1,
            ours.1
        );
    }
    Ok(())
}

/// Packets of one megaflow that differ in an option which nobody has looked at yet come back from the
/// connection tracker, and a table looks then. What has been written of the tunnel's fields meanwhile
/// is seen too. (The reference, 3.5 too, sees the first packet's options in all of them.)
#[test]
fn packets_come_back_from_the_tracker_with_their_own_options() -> Result<()> {
    let switch = sending(Reference::start_ours()?)?;
    let frame = samples::named("ipv4-udp").context("a sample")?;
    let mut sent = Vec::new();
    for value in [4, 5] {
        switch.ofctl(&["del-flows", BRIDGE])?;
        let set = format!("in_port=1,actions=set_field:{value}->tun_metadata2,output:11");
        switch.add_flow(BRIDGE, &set)?;
        switch.receive_frame("v2", &frame)?;
        sent.push(switch.sent("p1")?.pop().context("a frame")?);
    }
    switch.ofctl(&["del-flows", BRIDGE])?;
    switch.add_flows(
        BRIDGE,
        "in_port=11,ip,actions=set_field:9->tun_id,set_field:3->tun_metadata1,ct(table=1)\n\
         table=1,tun_id=9,tun_metadata1=3,tun_metadata2=5,actions=1\n",
    )?;
    for (which, out) in [(0, 0), (1, 1), (0, 0), (1, 1), (1, 1)] {
        let before = switch.sent("v2")?.len();
        switch.receive_frame("p1", &turned_round(&sent[which]))?;
        let came = switch.sent("v2")?.len() - before;
        ensure!(came == out, "frame {which}: {came}\n{}", switch.appctl(&["dpctl/dump-flows"])?);
    }
    let flows = switch.appctl(&["dpctl/dump-flows"])?;
    let first = flows.lines().filter(|line| line.contains("recirc_id(0),tunnel(")).count();
    ensure!(first == 1, "one megaflow for all before the tracker\n{flows}");
    Ok(())
}

#[test]
fn a_controllers_packet_has_the_options_that_it_says() -> Result<()> {
    for switch in [Reference::start()?, Reference::start_ours()?] {
        switch.add_dummy_port("p1", 1)?;
        switch.ofctl(&["add-tlv-map", BRIDGE, MAP])?;
        let out = "in_port=controller,tun_metadata2=0x12345678,tun_metadata1=0x99,\
                   packet=505400000005505400000006999900000000000000000000,actions=\
                   move:tun_metadata2[0..31]->eth_dst[0..31],move:tun_metadata1[0..15]->eth_src[0..15],1";
        switch.ofctl(&["-O", "OpenFlow15", "packet-out", BRIDGE, out])?;
        let sent = switch.sent("p1")?;
        let addresses = sent.first().and_then(|frame| frame.get(..12)).context("a frame")?;
        ensure!(addresses == b"\x50\x54\x12\x34\x56\x78\x50\x54\0\0\0\x99", "{addresses:02x?}");
    }
    Ok(())
}

/// Options fill the header: 252 bytes, more than a fresh frame has room for together with the headers in
/// front of them. Option by option, so that every length around the room is there.
#[test]
fn as_many_options_leave_as_a_header_holds() -> Result<()> {
    const LENGTHS: [u16; 5] = [124, 64, 20, 8, 16];
    let switches = [sending(Reference::start()?)?, sending(Reference::start_ours()?)?];
    let map = |(number, len): (usize, u16)| {
        format!("{{class=0x99,type={number},len={len}}}->tun_metadata{number}")
    };
    let map: Vec<_> = LENGTHS.into_iter().enumerate().map(map).collect();
    for switch in &switches {
        switch.ofctl(&["del-tlv-map", BRIDGE])?;
        switch.ofctl(&["add-tlv-map", BRIDGE, &map.join(",")])?;
    }
    let frame = samples::named("ipv4-udp").context("a sample")?;
    let mut longest = 0;
    for port in [11, 12] {
        for many in 1..=LENGTHS.len() {
            let set = |number| format!("set_field:{}->tun_metadata{number}", 0xa0 + number);
            let sets: Vec<_> = (0..many).map(set).collect();
            let out = |switch: &Reference| -> Result<Vec<u8>> {
                switch.ofctl(&["del-flows", BRIDGE])?;
                let sets = sets.join(",");
                switch.add_flow(
                    BRIDGE,
                    &format!("in_port=1,actions={sets},output:{port},output:2"),
                )?;
                let before = switch.sent("p1")?.len();
                switch.receive_frame("v2", &frame)?;
                let frames = switch.sent("p1")?.split_off(before);
                ensure!(frames.len() == 1, "{} frames, {port}, {many} options", frames.len());
                Ok(without_hash(&frames[0]))
            };
            let (theirs, ours) = (out(&switches[0])?, out(&switches[1])?);
            ensure!(theirs == ours, "{port}: {many}\n{theirs:02x?}\n--- ours\n{ours:02x?}");
            longest = longest.max(ours.len() - frame.len());
            if many == LENGTHS.len() {
                // And back in again, all of them seen.
                let seen = |number| format!("tun_metadata{number}={}", 0xa0 + number);
                let seen: Vec<_> = (0..many).map(seen).collect();
                for switch in &switches {
                    switch.ofctl(&["del-flows", BRIDGE])?;
                    let flow = format!("in_port={port},{},actions=1", seen.join(","));
                    switch.add_flow(BRIDGE, &flow)?;
                    switch.receive_frame("p1", &turned_round(&ours))?;
                    ensure!(switch.sent("v2")?.pop().as_ref() == Some(&frame), "{flow}");
                }
            }
        }
    }
    ensure!(longest == 14 + 40 + 8 + 8 + 252, "headers of up to {longest} bytes");
    Ok(())
}
