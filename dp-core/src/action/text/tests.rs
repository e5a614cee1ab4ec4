use super::{ActionsText, parse_actions};
use crate::action::{Action, Set, UserData};
use crate::base::PortNo;
use crate::flow::text::{PortNumbers, PortTable, Unnamed};

/// Lists that the reference prints exactly so.
const SAME: &str = include_str!("same.txt");

fn printed(text: &str) -> Result<String, String> {
    let actions = parse_actions(text, &PortNumbers).map_err(|error| error.to_string())?;
    Ok(ActionsText::new(&actions, &PortNumbers).to_string())
}

/// The reference's userspace datapath takes these masks and prints none.
#[test]
fn masks_of_what_else_neighbour_discovery_has_are_printed() {
    for text in ["set(nd_ext(nd_reserved=0x5/0xff))", "set(nd_ext(nd_options_type=2/0x3))"] {
        assert_eq!(printed(text).as_deref(), Ok(text));
    }
}

#[test]
fn what_the_reference_prints_is_read_and_printed_the_same() {
    let wrong: Vec<_> = SAME
        .lines()
        .filter_map(|text| match printed(text) {
            Ok(found) if found == text => None,
            found => Some((text, found)),
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(SAME.lines().count() > 100);
}

#[test]
fn other_spellings_become_the_usual_one() {
    for (given, expect) in [
        ("", "drop"),
        ("1 2", "1,2"),
        ("1,,2", "1,2"),
        ("recirc(1)", "recirc(0x1)"),
        ("clone()", "clone(drop)"),
        ("ct()", "ct"),
        ("ct(nat())", "ct(nat)"),
        ("ct(commit,mark=0x5)", "ct(commit,mark=0x5/0xffffffff)"),
        ("sample(sample=33.333333%,actions())", "sample(sample=33.3%,actions(drop))"),
        ("sample(sample=0.00001%,actions(1))", "sample(sample=0.0%,actions(1))"),
        ("push_vlan(tpid=0x8100,vid=13,pcp=5)", "push_vlan(vid=13,pcp=5)"),
        ("userspace(pid=1,slow_path())", "userspace(pid=1,slow_path(0))"),
        (
            "userspace(pid=9,sFlow(vid=9,pcp=7,output=0x10))",
            "userspace(pid=9,sFlow(vid=9,pcp=7,output=16))",
        ),
        ("set(eth(dst=00:01:02:03:04:05/00:00:00:00:00:00))", "set(eth())"),
        (
            "set(mpls(label=5/0xff,tc=1/1,ttl=2/0,bos=1/1))",
            "set(mpls(label=5/0xff,tc=1/1,ttl=0/0x0,bos=1/1))",
        ),
        (
            "push_nsh(flags=1,mdtype=1,np=3,spi=0x5,si=2)",
            "push_nsh(flags=1,ttl=63,mdtype=1,np=3,spi=0x5,si=2,c1=0x0,c2=0x0,c3=0x0,c4=0x0)",
        ),
        (
            "push_nsh(flags=0,ttl=63,mdtype=2,np=3,spi=0x5,si=2,md2=0x10000102030405)",
            "push_nsh(flags=0,ttl=63,mdtype=2,np=3,spi=0x5,si=2,md2=0x1000010203040500)",
        ),
        (
            "push_nsh(flags=0,ttl=63,mdtype=2,np=3,spi=0x5,si=2)",
            "push_nsh(flags=0,ttl=63,mdtype=2,np=3,spi=0x5,si=2,md2=0)",
        ),
        (
            "add_mpls(label=5,tc=1,ttl=64,bos=1,eth_type=0x8847,tun_flags=0)",
            "add_mpls(label=5,tc=1,ttl=64,bos=1,eth_type=0x8847)",
        ),
        ("dec_ttl", "dec_ttl(le_1(drop))"),
        (
            "set(ipv4(src=35.8.2.41,dst=172.16.0.20,proto=5,tos=0x80,ttl=128,frag=no))",
            "set(ipv4(src=35.8.2.41,dst=172.16.0.20,tos=0x80,ttl=128))",
        ),
    ] {
        assert_eq!(printed(given).as_deref(), Ok(expect), "{given}");
        assert_eq!(printed(expect).as_deref(), Ok(expect));
    }
}

#[test]
fn reading_gives_the_actions() {
    let actions =
        parse_actions("set(ipv4(tos=0x4/0xfc,ttl=3)),push_vlan(vid=12,pcp=7),2", &PortNumbers);
    let actions = actions.unwrap();
    let [
        Action::Set(Set::Ipv4(set)),
        Action::PushVlan { tpid: 0x8100, tci: 0xf00c },
        Action::Output(PortNo(2)),
    ] = &actions[..]
    else {
        panic!("{actions:?}");
    };
    assert_eq!((set.value.tos, set.mask.tos, set.value.ttl, set.mask.ttl), (4, 0xfc, 3, 0xff));
    assert!(set.mask.src.is_unspecified());
    let sample = parse_actions("sample(sample=100.0%,actions(1))", &PortNumbers).unwrap();
    assert!(matches!(sample[..], [Action::Sample { probability: u32::MAX, .. }]));
    let ipfix =
        parse_actions("userspace(pid=0,ipfix(output_port=4294967295))", &PortNumbers).unwrap();
    let [Action::Userspace(userspace)] = &ipfix[..] else { panic!("{ipfix:?}") };
    assert_eq!(userspace.data, UserData::Ipfix { output: None, dropped: false });
}

#[test]
fn ports_have_names_where_they_are_known() {
    let ports: PortTable = [(PortNo(1), "p1"), (PortNo(6), "vx")].into_iter().collect();
    let actions =
        parse_actions("p1,clone(tnl_pop(vx)),userspace(pid=0,ipfix(output_port=p1))", &ports)
            .unwrap();
    let text = ActionsText::new(&actions, &ports).to_string();
    assert_eq!(text, "p1,clone(tnl_pop(vx)),userspace(pid=0,ipfix(output_port=p1))");
    let text = ActionsText::new(&actions, &Unnamed(&ports)).to_string();
    assert_eq!(text, "1,clone(tnl_pop(6)),userspace(pid=0,ipfix(output_port=1))");
}

/// As the reference writes them, flow labels in decimal among them.
#[test]
fn headers_of_tunnels_are_printed_as_they_are_read() {
    let v4 = "eth(dst=f8:bc:12:44:34:b6,src=aa:55:aa:55:00:00,dl_type=0x0800),\
              ipv4(src=1.1.2.88,dst=1.1.2.27";
    let v6 = "eth(dst=f8:bc:12:44:34:b6,src=aa:55:aa:55:00:00,dl_type=0x86dd),\
              ipv6(src=2001:cafe::88,dst=2001:cafe::24";
    for header in [
        format!(
            "size=42,type=3,{v4},proto=47,tos=0,ttl=64,frag=0x4000),\
             gre((flags=0x2000,proto=0x6558),key=0x3)"
        ),
        format!(
            "size=50,type=4,{v4},proto=17,tos=0,ttl=64,frag=0x4000),\
             udp(src=0,dst=4789,csum=0x0),vxlan(flags=0xc000003,vni=0x5)"
        ),
        format!(
            "size=70,type=110,{v6},label=0,proto=17,tclass=0x0,hlimit=64),\
             udp(src=0,dst=2152,csum=0xffff),gtpu(flags=0x30,msgtype=255,teid=0x5)"
        ),
        format!(
            "size=78,type=112,{v6},label=12,proto=43,tclass=0x1,hlimit=64),\
             srv6(segments_left=0,segs(2001:cafe::24))"
        ),
        format!(
            "size=110,type=112,{v6},label=0,proto=43,tclass=0x1,hlimit=64),\
             srv6(segments_left=2,segs(2001:cafe::24,2001:cafe::2,2001:cafe::1))"
        ),
    ] {
        let text = format!("tnl_push(tnl_port(4),header({header}),out_port(3))");
        assert_eq!(printed(&text).as_deref(), Ok(text.as_str()));
    }
}

#[test]
fn both_ends_of_a_connection_may_be_translated() {
    let text = "ct(commit,nat(src=10.0.0.9:5-6,random),nat(dst=10.0.0.7))";
    assert_eq!(printed(text).as_deref(), Ok(text));
    for text in ["ct(nat,nat(dst=10.0.0.7))", "ct(nat(src=10.0.0.9),nat(src=10.0.0.7))"] {
        assert!(printed(text).is_err(), "{text}");
    }
}

#[test]
fn faults_name_the_token_and_where_it_stands() {
    let nested = format!("{}1{}", "clone(".repeat(40), ")".repeat(40));
    for (text, expect) in [
        ("1,foo", "`foo` at byte 2: no action has this name"),
        ("drop,1", "`drop` at byte 0: expected nothing beside `drop`"),
        ("1,drop", "`drop` at byte 2: expected nothing beside `drop`"),
        ("set(foo(1))", "`foo` at byte 4: no attribute of a flow key has this name"),
        ("set()", "at the end (byte 4): expected an attribute of a flow key"),
        (
            "set(eth(src=00:01:02:03:04:05),ipv4(ttl=3))",
            "`ipv4` at byte 31: expected one attribute",
        ),
        (
            "set(in_port(2))",
            "`in_port(2)` at byte 4: expected a header or metadata that can be written",
        ),
        ("push_vlan(vid=4096,pcp=5)", "`4096` at byte 14: too large; there are 12 bits"),
        ("push_vlan(vid=1)", "`vid=1` at byte 10: lacks vid=… or pcp=…"),
        (
            "ct(commit,force_commit)",
            "`force_commit` at byte 10: expected one of commit and force_commit",
        ),
        ("ct(commit,nat(src=:80-90))", "at the end (byte 18): expected an IPv4 address"),
        (
            "ct(commit,nat(src=10.0.0.2-10.0.0.1))",
            "`10.0.0.2-10.0.0.1` at byte 18: expected the lower address first",
        ),
        ("ct(nat(random))", "`nat` at byte 3: lacks src or dst"),
        ("ct(helper=foo)", "`foo` at byte 10: expected ftp or tftp"),
        ("hash(foo(5))", "`foo(5)` at byte 5: expected l4(…) or sym_l4(…)"),
        (
            "sample(sample=101%,actions(1))",
            "`101%` at byte 14: expected a percentage from 0 to 100: 9.7%",
        ),
        ("userspace()", "`userspace` at byte 0: lacks pid=…"),
        (
            "userspace(pid=1,slow_path(foo))",
            "`foo` at byte 26: expected cfm, bfd, lacp, stp, lldp …",
        ),
        ("clone(1", "`(1` at byte 5: is not closed"),
        ("5x", "`5x` at byte 0: no port has this name"),
        (
            "psample(group=1,cookie=0x0102030405060708090a0b0c0d0e0f1011)",
            "`0x0102030405060708090a0b0c0d0e0f1011` at byte 23: there is no room for so many",
        ),
        (
            &nested,
            "`clone(clone(clone(clone(clone(clone(clone(1)))))))` at byte 198: lists are nested deeper than 32",
        ),
    ] {
        assert_eq!(printed(text), Err(expect.to_owned()), "{text}");
    }
    for text in [
        "pop_mpls(eth_type=0x12345)",
        "tnl_push()",
        "tnl_push(tnl_port(1),out_port(2),header(size=3,type=4))",
        "set(tunnel(dst=1))",
        "check_pkt_len(size=1)",
        "ct_clear(1)",
        "pop_vlan()",
        "drop(1)",
        "output(1)",
        "ct(mark=1/)",
    ] {
        assert!(printed(text).is_err(), "{text}");
    }
}
