//! What translation makes of each action is what Debian 13's reference makes of it: with mirrors, which
//! copy a packet again once an action has changed it, and without.
//!
//! Debian 12's reference does not copy changed packets again, so it cannot be the judge here.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use testkit::reference::{BRIDGE, Reference};

/// A packet that each list of actions is tried on: its flow, and what of it a rule must match for the
/// actions to be accepted.
struct Packet {
    flow: &'static str,
    matching: &'static str,
}

static TCP: Packet = Packet {
    flow: "in_port=1,tcp,dl_src=00:00:00:00:00:01,dl_dst=00:00:00:00:00:02,nw_src=1.1.1.1,\
           nw_dst=2.2.2.2,nw_ttl=64,tcp_src=1,tcp_dst=2",
    matching: "in_port=1,tcp",
};
static TAGGED: Packet = Packet {
    flow: "in_port=1,tcp,dl_vlan=9,dl_vlan_pcp=3,dl_src=00:00:00:00:00:01,\
           dl_dst=00:00:00:00:00:02,nw_src=1.1.1.1,nw_dst=2.2.2.2,nw_ttl=64,tcp_src=1,tcp_dst=2",
    matching: "in_port=1,vlan_tci=0x1000/0x1000,tcp",
};
static ARP: Packet = Packet {
    flow: "in_port=1,arp,arp_op=1,arp_spa=1.1.1.1,arp_tpa=1.1.1.2",
    matching: "in_port=1",
};
static MPLS: Packet = Packet {
    flow: "in_port=1,mpls,mpls_label=5,mpls_ttl=5,mpls_bos=1",
    matching: "in_port=1,mpls",
};
static NSH: Packet = Packet {
    flow: "in_port=1,eth_type=0x894f,nsh_mdtype=1,nsh_ttl=5,nsh_np=3",
    matching: "in_port=1,eth_type=0x894f",
};

/// What is done to IP packets.
const OF_IP: &[&str] = &[
    "2",
    "2,2",
    "set_field:00:00:00:00:00:05->eth_src,2",
    "set_field:00:00:00:00:00:01->eth_src,2",
    "set_field:9->reg0,2",
    "set_field:9->xreg0,2",
    "set_field:9->xxreg0,2",
    "set_field:9->metadata,2",
    "set_field:9->tun_id,2",
    "set_field:1.2.3.4->tun_dst,2",
    "set_field:::4->tun_ipv6_dst,2",
    "set_field:1->tun_gbp_id,2",
    "set_field:9->pkt_mark,2",
    "set_field:9->in_port,2",
    "load:1->NXM_OF_IN_PORT[],2",
    "load:1->NXM_NX_PKT_MARK[],2",
    "load:0->NXM_NX_TUN_FLAGS[],2",
    "load:1->NXM_NX_IP_ECN[],2",
    "load:1->NXM_NX_IP_TTL[],2",
    "load:1->NXM_OF_IP_TOS[],2",
    "load:1->NXM_NX_REG0[],2",
    "load:1->NXM_OF_IP_SRC[],2",
    "set_field:1.2.3.4->ip_src,2",
    "set_field:5->tcp_src,2",
    "move:NXM_OF_IP_SRC[]->NXM_OF_IP_DST[],2",
    "move:NXM_OF_IP_SRC[]->NXM_NX_REG0[],2",
    "move:NXM_NX_REG0[]->NXM_NX_REG1[],2",
    "push:NXM_NX_REG0[],pop:NXM_NX_REG0[],2",
    "push:NXM_OF_IP_DST[],pop:NXM_OF_IP_SRC[],2",
    "set_tunnel:5,2",
    "mod_nw_src:9.9.9.9,2",
    "mod_nw_dst:9.9.9.9,2",
    "mod_nw_tos:4,2",
    "mod_nw_ecn:1,2",
    "mod_nw_ttl:4,2",
    "mod_tp_src:5,2",
    "mod_tp_dst:5,2",
    "mod_dl_src:00:00:00:00:00:04,2",
    "mod_dl_dst:00:00:00:00:00:04,2",
    "mod_vlan_vid:4,2",
    "mod_vlan_pcp:4,2",
    "strip_vlan,2",
    "strip_vlan,mod_vlan_vid:0,2",
    "dec_ttl,2",
    "dec_ttl(1,2),2",
    "push_mpls:0x8847,2",
    "resubmit(,5)",
    "resubmit(2,5)",
    "note:00.01,2",
    "meter:1,2",
    "ct,2",
    "ct(commit),2",
    "ct(table=5)",
    "ct(nat),2",
    "ct(nat,table=5)",
    "ct(commit,nat(src=1.1.1.9)),2",
    "ct(commit,nat(src=1.1.1.9),table=5)",
    "ct(commit,exec(set_field:1->ct_mark)),2",
    "ct(commit,exec(set_field:0/0xff->ct_label)),2",
    "ct(commit,exec(set_field:1->ct_mark),table=5)",
    "ct_clear,2",
    "set_field:1->reg0,ct(table=5)",
    "set_field:00:00:00:00:00:05->eth_src,ct(table=5)",
    "ct(table=5),set_field:00:00:00:00:00:05->eth_src",
    "clone(set_field:00:00:00:00:00:05->eth_src,2),2",
    "clone(2),2",
    "output(port=2,max_len=100)",
    "set_queue:1,2",
    "set_queue:3,pop_queue,2",
    "enqueue:2:1",
    "check_pkt_larger(100)->NXM_NX_REG0[0],2",
    "bundle(eth_src,0,active_backup,ofport,members:2)",
    "multipath(eth_src,50,modulo_n,1,0,NXM_NX_REG0[]),2",
    "sample(probability=65535,collector_set_id=1),2",
    "controller,2",
    "controller(pause),2",
    "set_field:00:00:00:00:00:05->eth_src,controller(pause),2",
    "conjunction(1,1/2)",
    "fin_timeout(idle_timeout=1),2",
    "delete_field:tun_metadata0,2",
    "debug_slow,2",
    "debug_recirc,2",
    "8",
    "8,2",
    "set_field:00:00:00:00:00:05->eth_src,8,2",
    "in_port",
    "local,2",
    "normal",
    "flood",
    "all",
];

/// What is done to packets that have no fields for it.
const OF_ARP: &[&str] = &[
    "mod_nw_src:9.9.9.9,2",
    "mod_nw_tos:4,2",
    "mod_tp_src:5,2",
    "dec_ttl,2",
    "strip_vlan,2",
    "pop_mpls:0x800,2",
    "set_mpls_label:5,2",
    "dec_mpls_ttl,2",
];

const OF_MPLS: &[&str] = &[
    "set_mpls_label:5,2",
    "set_mpls_tc:5,2",
    "set_mpls_ttl:7,2",
    "dec_mpls_ttl,2",
    "pop_mpls:0x800,2",
    "pop_mpls:0x8847,2",
    "pop_mpls:0x8847,push_mpls:0x8847,2",
    "pop_mpls:0x8847,push_mpls:0x8847,set_mpls_label:9,2",
    "set_field:6->mpls_label,set_field:5->mpls_tc,2",
    "push_mpls:0x8848,2",
];

const OF_NSH: &[&str] = &["dec_nsh_ttl,2", "set_field:9->nsh_spi,2", "decap,2"];

/// Actions of later versions, which end translation where they make no sense.
const OF_TYPES: &[&str] = &[
    "2,encap(ethernet),2",
    "2,encap(mpls),2",
    "2,decap,2",
    "2,decap,encap(nsh),2",
    "2,encap(nsh),encap(ethernet),2",
    "2,clone(encap(ethernet)),2",
    "2,resubmit(,6),2",
];

/// The mirrors that are tried, as columns of `Mirror`; ports are written `@name`.
const MIRRORS: &[&str] = &[
    "",
    "select_all=true output_port=@p3",
    "select_dst_port=@p2 output_port=@p3",
    "select_dst_port=@pa output_port=@p3",
    "select_src_port=@p1 select_dst_port=@p2 output_port=@p3 snaplen=60",
    "select_src_port=@p1 output_vlan=7",
    "select_dst_port=@p2 output_vlan=7",
    "select_src_port=@p1 select_vlan=9 output_vlan=7",
];

const PATCH: &str = "add-port br0 pa -- set Interface pa type=patch options:peer=pb ofport_request=8 \
                     -- add-port br1 pb -- set Interface pb type=patch options:peer=pa";

fn prepare(switch: &Reference) -> Result<()> {
    for n in 1..=3 {
        switch.add_dummy_port(&format!("p{n}"), n)?;
    }
    switch.vsctl(&["add-br", "br1", "--", "set", "Bridge", "br1", "datapath_type=dummy"])?;
    switch.vsctl(&PATCH.split(' ').collect::<Vec<_>>())?;
    switch.ofctl(&["del-flows", BRIDGE])?;
    switch.ofctl(&["add-flow", BRIDGE, "table=5,actions=2"])?;
    switch.ofctl(&["-OOpenFlow13", "add-flow", BRIDGE, "table=6,actions=encap(ethernet),2"])?;
    switch.ofctl(&["add-tlv-map", BRIDGE, "{class=0xffff,type=0,len=4}->tun_metadata0"])?;
    switch.ofctl(&[
        "-OOpenFlow13",
        "add-meter",
        BRIDGE,
        "meter=1,kbps,band=type=drop,rate=1000",
    ])?;
    Ok(())
}

fn set_mirror(switch: &Reference, columns: &str) -> Result<()> {
    switch.vsctl(&["clear", "Bridge", BRIDGE, "mirrors"])?;
    if columns.is_empty() {
        return Ok(());
    }
    let mut words = vec!["--".to_owned(), "--id=@m".into(), "create".into(), "Mirror".into()];
    words.push("name=m".into());
    for column in columns.split(' ') {
        words.push(match column.split_once("=@") {
            Some((name, port)) => {
                format!("{name}={}", switch.vsctl(&["get", "Port", port, "_uuid"])?.trim())
            }
            None => column.to_owned(),
        });
    }
    words.extend(["--", "set", "Bridge", BRIDGE, "mirrors=@m"].map(str::to_owned));
    switch.vsctl(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(())
}

/// A list of actions on a packet, told from all others by the metadata that it comes with.
struct Case {
    number: usize,
    version: &'static str,
    packet: &'static Packet,
    actions: &'static str,
}

impl Case {
    /// Whether the flow is taken.
    fn add(&self, switch: &Reference) -> bool {
        let Self { number, version, packet, actions } = self;
        let version = format!("-OOpenFlow{version}");
        let flow = format!("metadata={number},{},actions={actions}", packet.matching);
        switch.ofctl(&[&version, "add-flow", BRIDGE, &flow]).is_ok()
    }

    /// The datapath's actions, pass by pass.
    fn made(&self, switch: &Reference) -> Result<Vec<String>> {
        let flow = format!("metadata={},{}", self.number, self.packet.flow);
        let trace = switch.appctl(&["ofproto/trace", BRIDGE, &flow])?;
        let wanted = ["Datapath actions: ", "Translation failed", "    Dropping packet"];
        let lines = trace.lines().filter(|line| wanted.iter().any(|start| line.starts_with(start)));
        Ok(lines.map(without_numbers).collect())
    }
}

/// Without the numbers of recirculations.
fn without_numbers(line: &str) -> String {
    let mut out = String::new();
    for piece in line.split_inclusive(['(', '=', ',']) {
        let number = out.ends_with("recirc(") || out.ends_with("recirc_id=");
        out.push_str(if number { "#," } else { piece });
    }
    out
}

#[test]
fn each_action_becomes_what_the_newer_reference_makes_of_it() -> Result<()> {
    let (reference, ours) = (Reference::start_newer()?, Reference::start_ours()?);
    for switch in [&reference, &ours] {
        prepare(switch)?;
    }
    let lists = [
        ("10", &TCP, OF_IP),
        ("10", &TAGGED, OF_IP),
        ("10", &ARP, OF_ARP),
        ("13", &MPLS, OF_MPLS),
        ("13", &NSH, OF_NSH),
        ("10", &NSH, OF_NSH),
        ("13", &TCP, OF_TYPES),
        ("13", &TAGGED, OF_TYPES),
        ("13", &MPLS, OF_TYPES),
    ];
    let lists = lists.iter().flat_map(|(version, packet, actions)| {
        actions.iter().map(move |actions| (*version, *packet, *actions))
    });
    let (mut report, mut cases) = (String::new(), Vec::new());
    for (number, (version, packet, actions)) in (1..).zip(lists) {
        let case = Case { number, version, packet, actions };
        let [theirs, own] = [&reference, &ours].map(|switch| case.add(switch));
        if theirs != own {
            writeln!(report, "{version} {actions}: taken by the reference {theirs}, by us {own}")?;
        }
        if theirs && own {
            cases.push(case);
        }
    }
    for (at, mirror) in MIRRORS.iter().enumerate() {
        for switch in [&reference, &ours] {
            set_mirror(switch, mirror)?;
        }
        // The first two are tried on everything, the others on IP.
        let wanted = |case: &&Case| at < 2 || std::ptr::eq(case.packet, &TCP);
        for case in cases.iter().filter(wanted) {
            let (theirs, own) = (case.made(&reference)?, case.made(&ours)?);
            if theirs != own {
                let (version, actions, flow) = (case.version, case.actions, case.packet.flow);
                writeln!(report, "[{mirror}] {version} {actions} on {flow}")?;
                writeln!(report, "  reference: {theirs:?}\n  ours:      {own:?}")?;
            }
        }
    }
    ensure!(cases.len() > 200, "{}", cases.len());
    ensure!(report.is_empty(), "{report}");
    Ok(())
}

/// Columns of the ports that NORMAL is tried with, each with a way of its own with VLANs.
const VLANS: &str = "set Port p2 tag=10 protected=true \
    -- set Port p3 vlan_mode=native-tagged tag=20 trunks=20,30 \
    -- set Port p4 vlan_mode=native-untagged tag=30 \
    -- set Port p5 vlan_mode=dot1q-tunnel tag=40 cvlans=1,2 \
    -- set Port p6 trunks=10,40 other_config:priority-tags=if-nonzero \
    -- set Port p7 protected=true \
    -- set Port p8 protected=true other_config:priority-tags=always";

const TAGS: &[&str] = &[
    "",
    ",dl_vlan=0,dl_vlan_pcp=3",
    ",dl_vlan=10,dl_vlan_pcp=0",
    ",dl_vlan=20,dl_vlan_pcp=0",
    ",dl_vlan=30,dl_vlan_pcp=5",
    ",dl_vlan=40,dl_vlan_pcp=5",
    ",dl_vlan=1,dl_vlan_pcp=0",
];

/// A trace but for the flow that was asked for and the megaflow.
fn told(switch: &Reference, flow: &str) -> Result<Vec<String>> {
    let trace = switch.appctl(&["ofproto/trace", BRIDGE, flow])?;
    let left_out = ["Flow:", "Megaflow:", "Final flow:"];
    let lines = trace.lines().filter(|line| !left_out.iter().any(|start| line.starts_with(start)));
    Ok(lines.map(in_order).collect())
}

/// A list of ports in order: `ALL` takes them as they lie in a table.
fn in_order(line: &str) -> String {
    match line.strip_prefix("Datapath actions: ") {
        Some(list) if list.bytes().all(|it| it.is_ascii_digit() || it == b',') => {
            let mut ports: Vec<_> = list.split(',').collect();
            ports.sort_unstable();
            ports.join(",")
        }
        _ => line.to_owned(),
    }
}

#[test]
fn normal_keeps_vlans_and_protected_ports_apart_as_the_newer_reference_does() -> Result<()> {
    let (reference, ours) = (Reference::start_newer()?, Reference::start_ours()?);
    for switch in [&reference, &ours] {
        for n in 1..=8 {
            switch.add_dummy_port(&format!("p{n}"), n)?;
        }
        switch.vsctl(&VLANS.split(' ').filter(|it| !it.is_empty()).collect::<Vec<_>>())?;
        switch.ofctl(&["del-flows", BRIDGE])?;
        switch.ofctl(&["add-flow", BRIDGE, "actions=normal"])?;
        switch.ofctl(&["add-flow", BRIDGE, "priority=40000,arp,actions=2,7,8"])?;
        switch.ofctl(&["add-flow", BRIDGE, "priority=40000,ipv6,actions=all"])?;
        switch.appctl(&["fdb/add", BRIDGE, "p8", "0", "00:00:00:00:00:08"])?;
        // What was said stays.
        switch.appctl(&["fdb/flush", BRIDGE])?;
    }
    let mut report = String::new();
    for port in 1..=8 {
        for tag in TAGS {
            for rest in [
                "dl_dst=00:00:00:00:00:02,ip,nw_src=1.1.1.1,nw_dst=2.2.2.2",
                "dl_dst=00:00:00:00:00:08,ip,nw_src=1.1.1.1,nw_dst=2.2.2.2",
                "dl_dst=01:80:c2:00:00:00,ip,nw_src=1.1.1.1,nw_dst=2.2.2.2",
                "dl_dst=ff:ff:ff:ff:ff:ff,arp,arp_op=1",
                "dl_dst=00:00:00:00:00:02,ipv6",
            ] {
                let flow = format!("in_port={port}{tag},dl_src=00:00:00:00:00:01,{rest}");
                let (theirs, own) = (told(&reference, &flow)?, told(&ours, &flow)?);
                if theirs != own {
                    writeln!(report, "{flow}\n  reference: {theirs:?}\n  ours:      {own:?}")?;
                }
            }
        }
    }
    let table = |switch: &Reference| switch.appctl(&["fdb/show", BRIDGE]);
    ensure!(table(&reference)? == table(&ours)?, "{}", table(&ours)?);
    ensure!(report.is_empty(), "{report}");
    Ok(())
}
