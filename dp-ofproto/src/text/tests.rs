use dp_core::base::{Instant, OfPort};
use dp_core::flow::FieldId;

use super::{
    ActionsText, FlowModText, MatchText, NumbersOnly, PortMap, RuleText, parse_actions, parse_file,
    parse_flow, parse_match,
};
use crate::action::Action;
use crate::matching::Match;
use crate::table::{Command, FlowMod, Tables};

fn flow(text: &str) -> Result<FlowMod, String> {
    parse_flow(text, Command::Add, &NumbersOnly).map_err(|error| error.to_string())
}

fn canonical(text: &str) -> String {
    let flow =
        parse_flow(text, Command::Add, &NumbersOnly).unwrap_or_else(|error| panic!("{error}"));
    FlowModText { flow_mod: &flow, names: &NumbersOnly }.to_string()
}

#[test]
fn a_line_is_understood() {
    let parsed = flow(
        "cookie=0x12,priority=5,table=3,idle_timeout=10,hard_timeout=20,importance=5,\
         send_flow_rem,check_overlap,reset_counts,no_packet_counts,no_byte_counts,in_port=1,tcp,\
         nw_src=10.0.0.0/8,tp_dst=80 actions=mod_dl_src:00:11:22:33:44:55,output:2",
    )
    .unwrap();
    let matching = Match::build()
        .exact(FieldId::InPort, 1)
        .exact(FieldId::EthType, 0x800)
        .exact(FieldId::NwProto, 6)
        .masked(FieldId::Ipv4Src, 0x0a00_0000, 0xff00_0000)
        .exact(FieldId::TcpDst, 80)
        .finish();
    assert_eq!(parsed.matching, matching);
    assert_eq!((parsed.table, parsed.priority, parsed.new_cookie), (Some(3), 5, Some(0x12)));
    assert_eq!((parsed.idle_timeout, parsed.hard_timeout, parsed.importance), (10, 20, 5));
    assert!(
        parsed.flags.check_overlap && parsed.flags.send_flow_removed && parsed.flags.reset_counts
    );
    assert!(parsed.flags.no_packet_counts && parsed.flags.no_byte_counts);
    assert_eq!(parsed.actions.len(), 2);
    assert_eq!(
        FlowModText { flow_mod: &parsed, names: &NumbersOnly }.to_string(),
        "cookie=0x12, table=3, idle_timeout=10, hard_timeout=20, send_flow_rem \
         check_overlap reset_counts no_packet_counts no_byte_counts importance=5, \
         priority=5,tcp,in_port=1,nw_src=10.0.0.0/8,tp_dst=80 \
         actions=mod_dl_src:00:11:22:33:44:55,output:2"
    );
}

#[test]
fn the_same_in_other_words() {
    for (text, expect) in [
        ("dl_type=0x0800,nw_proto=6,actions=", "tcp actions=drop"),
        ("  ip,, nw_proto=17  udp_dst=53 actions=1,2", "udp,tp_dst=53 actions=output:1,output:2"),
        (
            "arp,nw_src=10.0.0.1,nw_proto=1,actions=drop",
            "arp,arp_spa=10.0.0.1,arp_op=1 actions=drop",
        ),
        (
            "icmp6,icmp_type=135,icmp_code=0,nd_target=::1,actions=drop",
            "icmp6,icmp_type=135,icmp_code=0,nd_target=::1 actions=drop",
        ),
        ("dl_vlan=0xffff,actions=drop", "vlan_tci=0x0000 actions=drop"),
        ("vlan_vid=0x1005,vlan_pcp=3,actions=drop", "dl_vlan=5,dl_vlan_pcp=3 actions=drop"),
        ("vlan_tci=0x1000/0x1000,actions=drop", "vlan_tci=0x1000/0x1000 actions=drop"),
        ("xreg1=5,actions=drop", "reg2=0,reg3=0x5 actions=drop"),
        ("ip,reg0=0/0,nw_src=1.2.3.4/0,actions=drop", "ip actions=drop"),
        ("tcp6,tp_src=80/0xfff0,actions=drop", "tcp6,tp_src=0x50/0xfff0 actions=drop"),
        (
            "eth_src=1:2:3:4:5:6,eth_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=drop",
            "dl_src=01:02:03:04:05:06,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 actions=drop",
        ),
        ("priority=32768,table=255,actions=NORMAL", "actions=NORMAL"),
        (
            "duration=5s, n_packets=3, n_bytes=3, idle_age=5, hard_age=6, ip actions=in_port",
            "ip actions=IN_PORT",
        ),
    ] {
        assert_eq!(canonical(text), expect, "{text}");
        assert_eq!(canonical(expect), expect, "{text}");
    }
}

#[test]
fn faults_say_where_they_are_and_what_was_expected() {
    for (text, expect) in [
        (
            "foo=5,actions=drop",
            "column 1: `foo`: no such field or keyword; expected a match field, `ip`, `tcp`, `priority=` …",
        ),
        (
            "ip,tp_dst=80,actions=drop",
            "column 4: `tp_dst`: tcp_dst can only be matched together with tcp or tcp6, and not ip_frag=later",
        ),
        (
            "tcp,udp_dst=80,actions=drop",
            "column 5: `udp_dst`: udp_dst can only be matched together with udp or udp6, and not ip_frag=later",
        ),
        (
            "tcp,nw_proto=17,actions=drop",
            "column 5: `nw_proto`: contradicts what the match says already",
        ),
        ("priority=70000,actions=drop", "column 10: `70000`: too large; a priority has 16 bits"),
        ("table=256,actions=drop", "column 7: `256`: too large; a table has 8 bits"),
        (
            "ip",
            "column 1: `ip`: value missing; expected `actions=` with a list of actions, or drop",
        ),
        (
            "ip actions",
            "column 4: `actions`: value missing; expected `actions=` with a list of actions",
        ),
        (
            "ip,nw_src,actions=drop",
            "column 4: `nw_src`: value missing; expected `field=value` or `field=value/mask`",
        ),
        ("ip=5,actions=drop", "column 4: `5`: takes no value"),
        (
            "in_port=eth9,actions=drop",
            "column 9: `eth9`: no such port; expected a number below 65280, a port name or one of IN_PORT, LOCAL …",
        ),
        ("actions=fly:1", "column 9: `fly`: unknown action"),
        (
            "actions=drop,output:1",
            "column 9: `drop`: drop must not be accompanied by any other action or instruction",
        ),
        ("actions=load:16->reg0[0..3]", "column 14: `16`: too large; reg0 has 4 bits"),
        (
            "actions=load:1->reg0[7..3]",
            "column 22: `7..3`: expected the lower bit first: FIELD[START..END]",
        ),
        (
            "actions=set_field:5->reg0[0..3]",
            "column 22: `reg0[0..3]`: expected a field: reg0, NXM_NX_REG0, eth_dst …",
        ),
        (
            "actions=set_field:1.2.3.4->ip_src",
            "column 9: `set_field`: ip_src can only be used where the match says ip (dl_type=0x0800)",
        ),
        (
            "table=2,actions=goto_table:1",
            "column 17: `goto_table`: goto_table:1 from table 2: the table must be a later one",
        ),
        (
            "actions=goto_table:1,output:2",
            "column 22: `output`: invalid instruction ordering: apply_actions must appear before goto_table",
        ),
        (
            "actions=write_actions(output:1",
            "column 9: `write_actions(output:1`: parenthesis is not closed",
        ),
        ("cookie=1/1,actions=drop", "column 8: `1/1`: flow additions cannot use a cookie mask"),
        (
            "vlan_vid=5,actions=drop",
            "column 10: `5`: expected a VID with the present bit (vlan_vid=0x1005; dl_vlan=5 is the same), or 0 for no tag",
        ),
    ] {
        assert_eq!(flow(text).unwrap_err(), expect, "{text}");
    }
}

#[test]
fn files_have_comments_commands_and_line_numbers() {
    let text = "# a gateway\n\n  ip actions=1 # to the left\r\nadd arp actions=2\n\
                delete table=3,cookie=5/-1\nmodify_strict priority=7,ip actions=drop\n";
    let flows = parse_file("flows.txt", text, &NumbersOnly).unwrap();
    let commands: Vec<_> = flows.iter().map(|flow| flow.command).collect();
    use Command as C;
    assert_eq!(commands, [C::Add, C::Add, C::Delete, C::ModifyStrict]);
    assert_eq!((flows[2].cookie, flows[2].cookie_mask, flows[2].table), (5, u64::MAX, Some(3)));

    let error = parse_file("flows.txt", "# x\n\n ip,foo=3 actions=1\n", &NumbersOnly).unwrap_err();
    assert_eq!((error.line, error.column), (Some(3), 5));
    assert!(error.to_string().starts_with("flows.txt: line 3, column 5: `foo`: no such field"));
}

#[test]
fn names_of_ports_both_ways() {
    let names: PortMap = [(OfPort(1), "p1"), (OfPort(2), "br-int")].into_iter().collect();
    let text = "in_port=p1 actions=output:br-int,resubmit(p1,3),p1";
    let flow = parse_flow(text, Command::Add, &names).unwrap();
    assert_eq!(
        FlowModText { flow_mod: &flow, names: &names }.to_string(),
        "in_port=p1 actions=output:br-int,resubmit(p1,3),output:p1"
    );
    assert_eq!(
        FlowModText { flow_mod: &flow, names: &NumbersOnly }.to_string(),
        "in_port=1 actions=output:2,resubmit(1,3),output:1"
    );
}

#[test]
fn wide_loads_are_split() {
    let actions = parse_actions("load:0x123456789abcdef01->xxreg0[]", &NumbersOnly).unwrap();
    assert_eq!(
        ActionsText { actions: &actions, names: &NumbersOnly }.to_string(),
        "load:0x23456789abcdef01->NXM_NX_XXREG0[0..63],load:0x1->NXM_NX_XXREG0[64..127]"
    );
}

#[test]
fn a_match_without_its_prerequisite_still_shows() {
    let odd = Match::build().exact(FieldId::TcpDst, 80).exact(FieldId::Reg1, 1).finish();
    let text = MatchText { matching: &odd, names: &NumbersOnly }.to_string();
    assert_eq!(text, "reg1=0x1,tcp_dst=80");
    assert!(parse_match(&text, &NumbersOnly).is_err());
}

#[test]
fn a_dump_line_shows_ages_and_counters_and_can_be_read_again() {
    let tables = Tables::default();
    let add = flow("cookie=5,priority=5,table=3,idle_timeout=10,ip,in_port=1,actions=output:2");
    tables.apply(&add.unwrap(), Instant::from_millis(1000)).unwrap();
    let set = tables.snapshot();
    let rule = set.rules().next().unwrap();
    rule.credit(2, 128, Instant::from_millis(2500));
    let line = RuleText { rule, now: Some(Instant::from_millis(4031)), names: &NumbersOnly };
    assert_eq!(
        line.to_string(),
        "cookie=0x5, duration=3.031s, table=3, n_packets=2, n_bytes=128, idle_timeout=10, \
         idle_age=1, priority=5,ip,in_port=1 actions=output:2"
    );
    let again = flow(&line.to_string()).unwrap();
    assert_eq!((&again.matching, again.priority), (rule.matching(), rule.wire_priority()));
    let bare = RuleText { now: None, ..line };
    assert_eq!(
        bare.to_string(),
        "cookie=0x5, table=3, idle_timeout=10, priority=5,ip,in_port=1 actions=output:2"
    );
    assert_eq!(&*again.actions, [Action::output(OfPort(2))]);
}

#[test]
fn no_text_makes_the_parser_panic() {
    let seeds = [
        "cookie=0x12,priority=5,tcp,nw_src=10.0.0.0/8,tp_dst=80/0xff,tcp_flags=+syn-ack actions=load:5->reg0[0..3]",
        "packet_type=(1,0x800),ct_state=+trk-new,ipv6_src=fe80::1/64 actions=resubmit(,3),note:01.02",
        "actions=write_actions(output:1),goto_table:3,controller(max_len=3),dec_ttl(1,2)",
    ];
    let junk =
        ["", "é", "(", ")", "/", "->", "[", "..", "]", "=", ":", ",", "-", "0x", "\"", "128"];
    for seed in seeds {
        for at in 0..=seed.len() {
            for piece in junk {
                let cut = format!("{}{piece}", &seed[..at]);
                let inserted = format!("{}{piece}{}", &seed[..at], &seed[at..]);
                for text in [cut, inserted] {
                    let _ = flow(&text);
                    let _ = parse_file("f", &text, &NumbersOnly);
                }
            }
        }
    }
}

/// Lists of actions that the reference prints exactly so.
const SAME_ACTIONS: &str = include_str!("same_actions.txt");

#[test]
fn every_action_that_the_reference_prints_is_read_and_printed_the_same() {
    let wrong: Vec<_> = SAME_ACTIONS
        .lines()
        .filter_map(|text| {
            let found = parse_actions(text, &NumbersOnly).map_err(|error| error.to_string());
            let found = found
                .map(|actions| ActionsText { actions: &actions, names: &NumbersOnly }.to_string());
            (found.as_deref() != Ok(text)).then_some((text, found))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(SAME_ACTIONS.lines().count() > 100);
}

#[test]
fn both_ends_of_a_connection_may_be_translated() {
    let text = "ct(commit,nat(src=10.0.0.9:5-6,random),nat(dst=10.0.0.7))";
    let actions = parse_actions(text, &NumbersOnly).unwrap();
    let printed = ActionsText { actions: &actions, names: &NumbersOnly }.to_string();
    assert_eq!(printed, text);
    for text in ["ct(nat,nat(dst=10.0.0.7))", "ct(nat(src=10.0.0.9),nat(src=10.0.0.7))"] {
        assert!(parse_actions(text, &NumbersOnly).is_err(), "{text}");
    }
}

#[test]
fn other_spellings_of_actions_become_the_usual_one() {
    for (given, expect) in [
        ("output(max_len=100,port=1)", "output(port=1,max_len=100)"),
        ("controller", "CONTROLLER:65535"),
        ("controller()", "CONTROLLER:65535"),
        ("controller(max_len=100)", "CONTROLLER:100"),
        ("controller(id=5,meter_id=7,userdata=01)", "controller(id=5,userdata=01,meter_id=7)"),
        ("enqueue(1,2)", "enqueue:1:2"),
        ("bundle(eth_src,0,hrw,ofport,slaves:1,2)", "bundle(eth_src,0,hrw,ofport,members:1,2)"),
        (
            "multipath(eth_src, 50, modulo_n, 1, 0, NXM_NX_REG0[])",
            "multipath(eth_src,50,modulo_n,1,0,NXM_NX_REG0[])",
        ),
        ("set_mpls_label:5", "set_mpls_label(5)"),
        ("ct", "ct()"),
        ("ct(zone=reg0[0..15],table=1)", "ct(table=1,zone=NXM_NX_REG0[0..15])"),
        ("ct(commit,alg=tftp,table=2)", "ct(commit,table=2,alg=tftp)"),
        ("clone()", "clone(drop)"),
        ("decap", "decap()"),
        ("conjunction(5, 2/3)", "conjunction(5,2/3)"),
        (
            "learn(send_flow_rem,delete_learned,table=2,dl_type=0x800,nw_src=1.2.3.4,output:reg0[0..15])",
            "learn(table=2,send_flow_rem,delete_learned,eth_type=0x800,ip_src=1.2.3.4,output:NXM_NX_REG0[0..15])",
        ),
        (
            "learn(table=1,load:eth_src->eth_dst,reg0)",
            "learn(table=1,load:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],NXM_NX_REG0[])",
        ),
        ("learn()", "learn(table=1)"),
        ("resubmit(in_port,2)", "resubmit(,2)"),
        ("note:000102", "note:00.01.02.00.00.00"),
        (
            "check_pkt_larger(100)->reg0[0],output:1",
            "check_pkt_larger(100)->NXM_NX_REG0[0],output:1",
        ),
    ] {
        let actions = parse_actions(given, &NumbersOnly).unwrap();
        let text = ActionsText { actions: &actions, names: &NumbersOnly }.to_string();
        assert_eq!(text, expect, "{given}");
    }
}

#[test]
fn faults_of_actions_name_the_token_and_what_was_expected() {
    for (text, expect) in [
        ("foo", "column 1: `foo`: unknown action"),
        ("nat(src=1.1.1.1)", "column 1: `nat`: expected nat inside ct(…)"),
        ("ct(force)", "column 1: `ct`: expected commit together with force"),
        ("ct(zone=5,timeout=x)", "column 11: `timeout`: no such option"),
        ("ct(zone=reg0)", "column 9: `reg0`: expected a field of exactly 16 bits"),
        (
            "ct(commit,exec(output:1))",
            "column 16: `output:1`: expected actions that set ct_mark or ct_label, with exec",
        ),
        ("conjunction(1,3/2)", "column 15: `3`: expected a clause from 1 to the number of clauses"),
        ("learn(table=2,foo=1)", "column 15: `foo`: no such option"),
        (
            "learn(table=2,load:NXM_NX_REG0[0..15]->NXM_NX_REG1[])",
            "column 20: `NXM_NX_REG0[0..15]`: expected as many bits as the other field has",
        ),
        ("learn(limit=5,result_dst=reg0[0..1])", "column 26: `reg0[0..1]`: expected a single bit"),
        ("sample(probability=0)", "column 20: `0`: expected a number from 1 to 65535"),
        ("output(port=1,max_len=5)", "column 23: `5`: expected at least 14 bytes"),
        (
            "encap(foo)",
            "column 7: `foo`: expected encap(HEADER): ethernet, nsh(…), mpls or mpls_mc",
        ),
        (
            "controller(reason=foo)",
            "column 19: `foo`: expected no_match, action, invalid_ttl, packet_out …",
        ),
        ("set_mpls_tc:8", "column 13: `8`: too large; a traffic class has 3 bits"),
        (
            "bundle(foo,0,hrw,ofport,members:1)",
            "column 8: `foo`: expected eth_src, symmetric_l4, symmetric_l3l4, nw_src …",
        ),
        ("group", "column 1: `group`: value missing; expected a number"),
    ] {
        let error = parse_actions(text, &NumbersOnly).unwrap_err();
        assert_eq!(error.to_string(), expect);
    }
}

#[test]
fn tunnel_metadata_are_matched_by_value_or_by_being_there() {
    for text in [
        "tun_metadata0",
        "tun_metadata0=0xa",
        "tun_metadata0=0xa/0xff",
        "tun_metadata16=0x1,tun_metadata63",
        "tun_id=0x5,tun_flags=+oam,tun_metadata3=0x1122334455667788,metadata=0x5,in_port=1",
    ] {
        let matching = parse_match(text, &NumbersOnly).unwrap();
        assert_eq!(MatchText { matching: &matching, names: &NumbersOnly }.to_string(), text);
        assert_eq!(matching.validate(), Ok(()));
    }
    let there = parse_match("tun_metadata1", &NumbersOnly).unwrap();
    let mut key = dp_core::flow::FlowKey::EMPTY;
    assert!(!there.matches(&key));
    key.set(FieldId::TunMetadata1, 0);
    assert!(there.matches(&key));
}

#[test]
fn inner_tags_and_labels_are_shown_as_traces_show_them() {
    use dp_core::flow::{FlowKey, FlowMask, layout};
    let (mut key, mut mask) = (FlowKey::EMPTY, FlowMask::EMPTY);
    key.store(layout::VLAN_TCI, 0x7006);
    key.store(layout::VLAN_TCI1, 0x1008);
    mask.store(layout::VLAN_TCI, 0xffff);
    mask.store(layout::VLAN_TCI1, 0xffff);
    let text = |key: &FlowKey, mask: &FlowMask| {
        let matching = Match::new(key, mask);
        MatchText { matching: &matching, names: &NumbersOnly }.to_string()
    };
    assert_eq!(text(&key, &mask), "dl_vlan=6,dl_vlan_pcp=3,dl_vlan1=8,dl_vlan_pcp1=0");
    key.store(layout::VLAN_TCI1, 0);
    assert_eq!(text(&key, &mask), "dl_vlan=6,dl_vlan_pcp=3,vlan_tci1=0x0000");
    let (mut key, mut mask) = (FlowKey::EMPTY, FlowMask::EMPTY);
    key.set(FieldId::EthType, 0x8847);
    mask.unwildcard(FieldId::EthType);
    mask.unwildcard(FieldId::MplsBos);
    key.store(layout::MPLS1, 24_895);
    mask.store(layout::MPLS1, 0xffff_ffff);
    mask.store(layout::MPLS2, 0x100);
    let expect = "mpls,mpls_bos=0,mpls_lse1=24895,mpls_lse2=0x00000000/0x00000100";
    assert_eq!(text(&key, &mask), expect);
}
