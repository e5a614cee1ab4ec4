use super::{DpPorts, KeyText, Misfit, PortNumbers, PortTable, Unnamed, parse_flow};
use crate::base::{PortNo, Ufid};
use crate::flow::{FieldId, FlowKey, layout};

/// What the reference prints of a key that it was given: without `-m`, and with.
fn printed(text: &str) -> (String, String) {
    let flow = parse_flow(text, &PortNumbers).unwrap_or_else(|e| panic!("{text}: {e}"));
    let terse = KeyText::masked(&flow.key, &flow.mask, &PortNumbers);
    (terse.to_string(), terse.verbose().to_string())
}

const ETH: &str =
    "eth(src=00:00:00:00:00:00/00:00:00:00:00:00,dst=00:00:00:00:00:00/00:00:00:00:00:00)";

/// The attributes that `-m` shows although they do not count: metadata before and after `in_port`.
fn wild(rest: &str) -> String {
    format!(
        "recirc_id(0),dp_hash(0/0),skb_priority(0/0),in_port(1),skb_mark(0/0),ct_state(0/0),\
         ct_zone(0/0),ct_mark(0/0),ct_label(0/0),packet_type(ns=0/0,id=0/0),{ETH},{rest}"
    )
}

#[test]
fn megaflows_are_printed_as_the_reference_prints_them() {
    let cases = [
        (
            "eth_type(0x0800),ipv4(src=10.0.0.1/255.0.0.0,frag=no)",
            "eth_type(0x0800),ipv4(src=10.0.0.1/255.0.0.0,frag=no)",
            "eth_type(0x0800),ipv4(src=10.0.0.1/255.0.0.0,dst=0.0.0.0/0.0.0.0,proto=0/0,tos=0/0,ttl=0/0,frag=no)",
        ),
        (
            "eth_type(0x8100),vlan(vid=5,pcp=3),encap(eth_type(0x0800),ipv4(frag=no))",
            "eth_type(0x8100),vlan(vid=5,pcp=3),encap(eth_type(0x0800),ipv4(frag=no))",
            "eth_type(0x8100),vlan(vid=5,pcp=3),encap(eth_type(0x0800),ipv4(src=0.0.0.0/0.0.0.0,dst=0.0.0.0/0.0.0.0,proto=0/0,tos=0/0,ttl=0/0,frag=no))",
        ),
        (
            "eth_type(0x8100),vlan(vid=5/0xff,pcp=3/0x1,cfi=1/1),encap(eth_type(0x1234))",
            "eth_type(0x8100),vlan(vid=5/0xff,pcp=3/0x1),encap(eth_type(0x1234))",
            "eth_type(0x8100),vlan(vid=5/0xff,pcp=3/0x1),encap(eth_type(0x1234))",
        ),
        (
            "eth_type(0x8100),vlan(),encap(eth_type(0x1234))",
            "eth_type(0x8100),vlan(),encap(eth_type(0x1234))",
            "eth_type(0x8100),vlan(vid=0/0x0,pcp=0/0x0),encap(eth_type(0x1234))",
        ),
        (
            "eth_type(0x8100),vlan(vid=5),encap(eth_type(0x1234))",
            "eth_type(0x8100),vlan(vid=5),encap(eth_type(0x1234))",
            "eth_type(0x8100),vlan(vid=5,pcp=0/0x0),encap(eth_type(0x1234))",
        ),
        (
            "eth_type(0x8100),vlan(vid=5,pcp=3/0x0),encap(eth_type(0x1234))",
            "eth_type(0x8100),vlan(vid=5,pcp=3/0x0),encap(eth_type(0x1234))",
            "eth_type(0x8100),vlan(vid=5,pcp=3/0x0),encap(eth_type(0x1234))",
        ),
        (
            "eth_type(0x88a8),vlan(vid=5,pcp=3),encap(eth_type(0x8100),vlan(vid=6,pcp=0),encap(eth_type(0x1234)))",
            "eth_type(0x88a8),vlan(vid=5,pcp=3),encap(eth_type(0x8100),vlan(vid=6,pcp=0),encap(eth_type(0x1234)))",
            "eth_type(0x88a8),vlan(vid=5,pcp=3),encap(eth_type(0x8100),vlan(vid=6,pcp=0),encap(eth_type(0x1234)))",
        ),
        (
            "eth_type(0x0806),arp(sip=10.0.0.1/255.255.0.0,tip=10.0.0.2,op=1/0xff,sha=50:54:00:00:00:01/ff:00:00:00:00:00,tha=00:00:00:00:00:00)",
            "eth_type(0x0806),arp(sip=10.0.0.1/255.255.0.0,tip=10.0.0.2,op=1,sha=50:54:00:00:00:01/ff:00:00:00:00:00,tha=00:00:00:00:00:00)",
            "eth_type(0x0806),arp(sip=10.0.0.1/255.255.0.0,tip=10.0.0.2,op=1,sha=50:54:00:00:00:01/ff:00:00:00:00:00,tha=00:00:00:00:00:00)",
        ),
        (
            "eth_type(0x8847),mpls(label=100/0xff,tc=3/7,ttl=64/0xff,bos=1/1)",
            "eth_type(0x8847),mpls(label=100/0xff,tc=3/7,ttl=64/0xff,bos=1/1)",
            "eth_type(0x8847),mpls(label=100/0xff,tc=3/7,ttl=64/0xff,bos=1/1)",
        ),
        (
            "eth_type(0x8847),mpls(label=1,tc=1,ttl=3,bos=0,label=2,tc=1,ttl=3,bos=0,label=3,tc=1,ttl=3,bos=0)",
            "eth_type(0x8847),mpls(label=1,tc=1,ttl=3,bos=0,label=2,tc=1,ttl=3,bos=0,label=3,tc=1,ttl=3,bos=0)",
            "eth_type(0x8847),mpls(label=1,tc=1,ttl=3,bos=0,label=2,tc=1,ttl=3,bos=0,label=3,tc=1,ttl=3,bos=0)",
        ),
        (
            "eth_type(0x86dd),ipv6(src=fe80::1/ffff::,label=1/0xff,proto=58,frag=no),icmpv6(type=135,code=0),nd(target=fe80::2,sll=00:00:00:00:00:01,tll=00:00:00:00:00:00)",
            "eth_type(0x86dd),ipv6(src=fe80::1/ffff::,label=0x1/0xff,proto=58,frag=no),icmpv6(type=135,code=0),nd(target=fe80::2,sll=00:00:00:00:00:01,tll=00:00:00:00:00:00)",
            "eth_type(0x86dd),ipv6(src=fe80::1/ffff::,dst=::/::,label=0x1/0xff,proto=58,tclass=0/0,hlimit=0/0,frag=no),icmpv6(type=135,code=0),nd(target=fe80::2,sll=00:00:00:00:00:01,tll=00:00:00:00:00:00)",
        ),
        (
            "eth_type(0x0800),ipv4(proto=1,frag=no),icmp(type=8/0xf8,code=0)",
            "eth_type(0x0800),ipv4(proto=1,frag=no),icmp(type=8/0xf8,code=0)",
            "eth_type(0x0800),ipv4(src=0.0.0.0/0.0.0.0,dst=0.0.0.0/0.0.0.0,proto=1,tos=0/0,ttl=0/0,frag=no),icmp(type=8/0xf8,code=0)",
        ),
        (
            "eth_type(0x0800),ipv4(proto=6,frag=no),tcp(src=1/0xff00),tcp_flags(+syn-ack)",
            "eth_type(0x0800),ipv4(proto=6,frag=no),tcp(src=1/0xff00),tcp_flags(+syn-ack)",
            "eth_type(0x0800),ipv4(src=0.0.0.0/0.0.0.0,dst=0.0.0.0/0.0.0.0,proto=6,tos=0/0,ttl=0/0,frag=no),tcp(src=1/0xff00,dst=0/0),tcp_flags(+syn-ack)",
        ),
        (
            "eth_type(0x0800),ipv4(proto=6),tcp(),tcp_flags(0x802/0x803)",
            "eth_type(0x0800),ipv4(proto=6),tcp_flags(-fin+syn+[800])",
            "eth_type(0x0800),ipv4(src=0.0.0.0/0.0.0.0,dst=0.0.0.0/0.0.0.0,proto=6,tos=0/0,ttl=0/0),tcp(src=0/0,dst=0/0),tcp_flags(-fin+syn+[800])",
        ),
        (
            "eth_type(0x0800),ipv4(proto=132,tos=0x5,ttl=0x5,frag=first),sctp(src=1,dst=2)",
            "eth_type(0x0800),ipv4(proto=132,tos=0x5,ttl=5,frag=first),sctp(src=1,dst=2)",
            "eth_type(0x0800),ipv4(src=0.0.0.0/0.0.0.0,dst=0.0.0.0/0.0.0.0,proto=132,tos=0x5,ttl=5,frag=first),sctp(src=1,dst=2)",
        ),
        (
            "eth_type(0x894f),nsh(spi=0x5,c1=0x5/0xf)",
            "eth_type(0x894f),nsh(spi=0x5,c1=0x5/0x0000000f)",
            "eth_type(0x894f),nsh(spi=0x5,c1=0x5/0x0000000f)",
        ),
        ("eth_type(0/0xffff)", "eth_type(0/0xffff)", "eth_type(0/0xffff)"),
        (
            "eth_type(0x86dd),ipv6(src=::10.0.0.1/::ff,frag=no)",
            "eth_type(0x86dd),ipv6(src=::10.0.0.1/::ff,frag=no)",
            "eth_type(0x86dd),ipv6(src=::10.0.0.1/::ff,dst=::/::,label=0/0,proto=0/0,tclass=0/0,hlimit=0/0,frag=no)",
        ),
    ];
    for (given, terse, verbose) in cases {
        let text = format!("in_port(1),eth(),{given}");
        let expect = (format!("recirc_id(0),in_port(1),eth(),{terse}"), wild(verbose));
        assert_eq!(printed(&text), expect, "{given}");
        let again = parse_flow(&expect.0, &PortNumbers).unwrap();
        let first = parse_flow(&text, &PortNumbers).unwrap();
        assert_eq!(
            (again.key.masked(&again.mask), again.mask),
            (first.key.masked(&first.mask), first.mask)
        );
    }
}

#[test]
fn metadata_is_printed_as_the_reference_prints_it() {
    let cases = [
        (
            "recirc_id(0x1),dp_hash(0x3/0xf),skb_mark(0x5/0xff),skb_priority(0x5/0xf),in_port(1),packet_type(ns=0,id=0),eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x1234)",
            "recirc_id(0x1),dp_hash(0x3/0xf),skb_priority(0x5/0xf),in_port(1),skb_mark(0x5/0xff),packet_type(ns=0,id=0),eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x1234)",
        ),
        (
            "ct_state(+new+trk-est),ct_zone(0x5/0xff),ct_mark(0x5),ct_label(0x100000000000000000),in_port(1),eth(),eth_type(0x1234)",
            "recirc_id(0),in_port(1),ct_state(+new-est+trk),ct_zone(0x5/0xff),ct_mark(0x5),ct_label(0x100000000000000000),eth(),eth_type(0x1234)",
        ),
        (
            "ct_state(new|trk),in_port(1),eth(),eth_type(0x1234)",
            "recirc_id(0),in_port(1),ct_state(+new-est-rel-rpl-inv+trk-snat-dnat),eth(),eth_type(0x1234)",
        ),
        (
            "ct_state(0x21/0x21),ct_tuple4(src=10.0.0.1,dst=10.0.0.2,proto=6,tp_src=1,tp_dst=2),in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)",
            "recirc_id(0),in_port(1),ct_state(+new+trk),ct_tuple4(src=10.0.0.1,dst=10.0.0.2,proto=6,tp_src=1,tp_dst=2),eth(),eth_type(0x0800),ipv4(frag=no)",
        ),
        (
            "ct_state(0x21/0x21),ct_tuple6(src=::1,dst=::2,proto=6,tp_src=1,tp_dst=2),in_port(1),eth(),eth_type(0x86dd),ipv6(frag=no)",
            "recirc_id(0),in_port(1),ct_state(+new+trk),ct_tuple6(src=::1,dst=::2,proto=6,src_port=1,dst_port=2),eth(),eth_type(0x86dd),ipv6(frag=no)",
        ),
        (
            "in_port(1),packet_type(ns=1,id=0x800),ipv4(frag=no)",
            "recirc_id(0),in_port(1),packet_type(ns=1,id=0x800),eth_type(0x0800),ipv4(frag=no)",
        ),
        (
            "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth(),eth_type(0x0800)",
            "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth_type(0x0800)",
        ),
    ];
    for (given, expect) in cases {
        assert_eq!(printed(given).0, expect);
    }
    let (_, verbose) = printed("ct_state(0x30),in_port(1),eth(),eth_type(0x1234)");
    assert!(verbose.contains("ct_state(0x30/0xff)"), "{verbose}");
}

#[test]
fn tunnels_are_printed_as_the_reference_prints_them() {
    let same = [
        "tunnel(tun_id=0x5,src=1.1.1.1,dst=2.2.2.2,ttl=64,flags(df|key))",
        "tunnel(tun_id=0x5/0xff,src=1.1.1.1/255.0.0.0,dst=2.2.2.2,tos=0x3/0x3,ttl=64/0xf,flags(+df-csum+key))",
        "tunnel(tun_id=0x5,ipv6_src=::1,ipv6_dst=::2,ttl=64,tp_src=5,tp_dst=4789,flags(csum|key))",
        "tunnel(tun_id=0x5,src=1.1.1.1,dst=2.2.2.2,ttl=64,vxlan(gbp(id=5,flags=0x8)),flags(df|key))",
        "tunnel(tun_id=0x5,src=1.1.1.1,dst=2.2.2.2,ttl=64,vxlan(gbp(id=5/0xf,flags=0x8/0x8)),flags(df|key))",
        "tunnel(tun_id=0x5,src=1.1.1.1,dst=2.2.2.2,ttl=64,geneve({class=0x1,type=0x2,len=4,0x3/0xff}{class=0xffff,type=0x80,len=8,0x102030405060708}),flags(df|key))",
        "tunnel(dst=2.2.2.2,ttl=64,geneve({class=0x1,type=0x82,len=4,0}{len=4}),flags(+key))",
        "tunnel(tun_id=0x5,src=1.1.1.1,dst=2.2.2.2,ttl=64,geneve({class=0x1/0xff,type=0x2,len=4,0x3/0xff}{class=0xffff,type=0x80,len=0}),flags(df|key))",
        "tunnel(tun_id=0x5,src=1.1.1.1,dst=2.2.2.2,ttl=64,geneve(),flags(df|key))",
        "tunnel(tun_id=0x5,dst=2.2.2.2,ttl=64,gtpu(flags=0x30/0xf0,msgtype=255),flags(df|key))",
        "tunnel(tun_id=0x5,dst=2.2.2.2,ttl=64,erspan(ver=1,idx=0x7),flags(df|key))",
        "tunnel(tun_id=0x5,dst=2.2.2.2,ttl=64,erspan(ver=2,dir=1,hwid=0x7/0x7),flags(df|key))",
        "tunnel(dst=2.2.2.2,ttl=0)",
        "tunnel(dst=2.2.2.2,ttl=64,flags(+df))",
        "tunnel(tun_id=0x0,dst=2.2.2.2,ttl=64,flags(+key))",
        "tunnel(tun_id=0x1234567890abcdef/0xffffffff00000000,dst=2.2.2.2,ttl=64,flags(+key))",
    ];
    for tunnel in same {
        let (terse, verbose) = printed(&format!("{tunnel},in_port(1),eth(),eth_type(0x1234)"));
        assert_eq!(terse, format!("recirc_id(0),{tunnel},in_port(1),eth(),eth_type(0x1234)"));
        let again = parse_flow(&verbose, &PortNumbers).unwrap();
        let first = parse_flow(&terse, &PortNumbers).unwrap();
        assert_eq!(again.mask.load(layout::TUN_ID), first.mask.load(layout::TUN_ID));
        assert_eq!(
            again.mask.lane(layout::TUN_OPTIONS_LANE),
            first.mask.lane(layout::TUN_OPTIONS_LANE)
        );
    }
    for (given, verbose) in [
        ("tunnel(dst=2.2.2.2,ttl=5/0)", "tunnel(dst=2.2.2.2,ttl=5/0,flags(0/0))"),
        (
            "tunnel(dst=2.2.2.2,ttl=64,vxlan(gbp(id=5/0xff,flags=0x40/0x0)))",
            "tunnel(dst=2.2.2.2,ttl=64,vxlan(gbp(id=5/0xff,flags=0x40/0)),flags(0/0))",
        ),
        (
            "tunnel(dst=2.2.2.2,ttl=64,geneve({class=0x1/0,type=0x82/0,len=4,0x300/0x0}))",
            "tunnel(dst=2.2.2.2,ttl=64,geneve({class=0x1/0,type=0x82/0,len=4,0x300/0}),flags(0/0))",
        ),
    ] {
        let (_, found) = printed(&format!("{given},in_port(1),eth(),eth_type(0x1234)"));
        assert!(found.contains(verbose), "{found}");
    }
}

#[test]
fn a_key_alone_shows_every_attribute_it_has() {
    let text = "recirc_id(0),dp_hash(0),skb_priority(0),in_port(1),skb_mark(0),ct_state(0),ct_zone(0),\
                ct_mark(0),ct_label(0),packet_type(ns=0,id=0),eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),\
                eth_type(0x88a8),vlan(vid=6,pcp=3),encap(eth_type(0x8100),vlan(vid=8,pcp=0),\
                encap(eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,tos=0,ttl=64,frag=no),\
                tcp(src=1,dst=80),tcp_flags(syn)))";
    let flow = parse_flow(text, &PortNumbers).unwrap();
    assert_eq!(KeyText::new(&flow.key, &PortNumbers).to_string(), text);
    assert_eq!(flow.key.get(FieldId::VlanTci), 0x7006);
    assert_eq!(flow.key.load(layout::VLAN_TPID1), 0x8100);
    assert_eq!(flow.fits(), Ok(()));
    let nsh = "eth_type(0x894f),nsh(flags=0,ttl=63,mdtype=1,np=3,spi=0x5,si=2,c1=0x5,c2=0x6,c3=0x7,c4=0x8)";
    let flow = parse_flow(&format!("in_port(1),eth(),{nsh}"), &PortNumbers).unwrap();
    assert!(KeyText::new(&flow.key, &PortNumbers).to_string().ends_with(nsh));
    let llc = parse_flow("in_port(1),eth(src=00:00:00:00:00:01)", &PortNumbers).unwrap();
    assert!(KeyText::new(&llc.key, &PortNumbers).to_string().ends_with("dst=00:00:00:00:00:00)"));
}

#[test]
fn ports_have_names_where_they_are_known() {
    let ports: PortTable = [(PortNo(1), "p1"), (PortNo(7), "vxlan_sys_4789")].into_iter().collect();
    let flow = parse_flow("in_port(p1),eth(),eth_type(0x1234)", &ports).unwrap();
    assert_eq!(flow.key.in_port(), PortNo(1));
    let text = KeyText::masked(&flow.key, &flow.mask, &ports);
    assert_eq!(text.to_string(), "recirc_id(0),in_port(p1),eth(),eth_type(0x1234)");
    let numbers = Unnamed(&ports);
    let text = KeyText::masked(&flow.key, &flow.mask, &numbers).to_string();
    assert_eq!(text, "recirc_id(0),in_port(1),eth(),eth_type(0x1234)");
    assert_eq!(numbers.number("vxlan_sys_4789"), Some(PortNo(7)));
    let error = parse_flow("in_port(p2),eth()", &ports).unwrap_err();
    assert_eq!(error.to_string(), "`p2` at byte 8: no port has this name");
    let none = parse_flow("eth(),eth_type(0x1234)", &ports).unwrap();
    assert_eq!(none.key.in_port(), PortNo::NONE);
}

#[test]
fn an_id_may_stand_before_the_key() {
    let text =
        "ufid:12345678-1234-1234-1234-123456789012, recirc_id(0),in_port(1),eth(),eth_type(0x1234)";
    let flow = parse_flow(text, &PortNumbers).unwrap();
    assert_eq!(flow.ufid, Some(Ufid(0x1234_5678_1234_1234_1234_1234_5678_9012)));
    assert!(parse_flow("ufid:12345678,in_port(1)", &PortNumbers).is_err());
}

#[test]
fn faults_name_the_token_and_where_it_stands() {
    for (text, expect) in [
        ("in_port(1),foo(3)", "`foo` at byte 11: no attribute of a flow key has this name"),
        ("in_port(1),ipv4(frag=no", "`(frag=no` at byte 15: is not closed"),
        ("in_port(1),ipv4(frag=nox)", "`nox` at byte 21: expected `no`, `first` or `later`"),
        ("ipv4(src=10.0.0,dst=1.1.1.1)", "`10.0.0` at byte 9: expected an IPv4 address"),
        ("ipv4(tos=0x300)", "`0x300` at byte 9: too large; there are 8 bits"),
        ("ipv6(label=0x1fffff)", "`0x1fffff` at byte 11: too large; there are 20 bits"),
        ("ipv4(tos=1,tos=2)", "`tos` at byte 11: is there a second time"),
        ("eth(),eth()", "`eth` at byte 6: is there a second time"),
        ("recirc_id(5/0xff)", "`5/0xff` at byte 10: takes no mask"),
        ("ct_state(+trk+foo)", "`foo` at byte 14: expected names of flags: +set-clear"),
        ("tcp_flags(syn|foo)", "`foo` at byte 14: expected names of flags: one|other"),
        ("vlan(vid=1),encap()", "`vlan(vid=1),encap()` at byte 0: lacks eth_type"),
        ("mpls(tc=1,tc=2)", "`tc` at byte 10: is there a second time"),
        ("tunnel(foo=1)", "`foo` at byte 7: the attribute has no such part"),
        (
            "tunnel(geneve({class=1,type=2,len=3,0}))",
            "`3` at byte 34: expected a multiple of 4 up to 124",
        ),
        ("in_port=1", "`in_port` at byte 0: expected parentheses behind the name"),
        ("in_port(1)x", ""),
    ] {
        let found = parse_flow(text, &PortNumbers).map(|_| ()).map_err(|e| e.to_string());
        match expect {
            "" => assert!(found.is_err(), "{text}"),
            _ => assert_eq!(found, Err(expect.to_owned()), "{text}"),
        }
    }
}

#[test]
fn attributes_that_do_not_fit_together_are_named() {
    for (text, expect) in [
        ("in_port(1)", "eth(…) is missing: the packet is Ethernet"),
        ("in_port(1),eth()", "eth_type(…) is missing: the packet is Ethernet"),
        ("in_port(1),eth(),eth_type(0x0800)", "ipv4 is missing: eth_type(0x0800)"),
        ("in_port(1),eth(),eth_type(0x8847)", "mpls is missing: eth_type(0x8847)"),
        (
            "in_port(1),eth(),eth_type(0x86dd),ipv4(frag=no)",
            "ipv4 means nothing without eth_type(0x0800)",
        ),
        (
            "in_port(1),eth(),eth_type(0x0800),ipv4(proto=17,frag=no),tcp(src=1)",
            "tcp means nothing without proto=6, and not frag=later",
        ),
        (
            "in_port(1),eth(),eth_type(0x0800),ipv4(proto=6,frag=later),tcp(src=1)",
            "tcp means nothing without proto=6, and not frag=later",
        ),
        (
            "tunnel(ttl=64),in_port(1),eth(),eth_type(0x1234)",
            "dst or ipv6_dst is missing: tunnel(…) needs an end",
        ),
        (
            "in_port(1),eth(),eth_type(0x8100),vlan(vid=1)",
            "vlan(…) or encap(…) is missing: a tag has both",
        ),
        (
            "in_port(1),eth(),eth_type(0x9100),vlan(vid=4),encap(eth_type(0x1234))",
            "vlan means nothing without eth_type(0x8100) or eth_type(0x88a8)",
        ),
        (
            "in_port(1),eth(),eth_type(0x8100),vlan(vid=4,cfi=0),encap(eth_type(0x1234))",
            "vlan means nothing without cfi=1: there is a tag",
        ),
    ] {
        let flow = parse_flow(text, &PortNumbers).unwrap();
        assert_eq!(
            flow.fits().map_err(|e: Misfit| e.to_string()),
            Err(expect.to_owned()),
            "{text}"
        );
    }
    let flow = parse_flow("packet_type(ns=1,id=0x800),ipv4(frag=no)", &PortNumbers).unwrap();
    assert_eq!(flow.fits(), Ok(()));
}

#[test]
fn what_is_not_named_does_not_count_but_a_tag_must_not_be_there() {
    let flow = parse_flow("in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)", &PortNumbers).unwrap();
    assert_eq!(flow.mask.get(FieldId::VlanTci), 0xffff);
    assert_eq!(flow.mask.load(layout::RECIRC_ID), u128::from(u32::MAX));
    assert_eq!(flow.mask.get(FieldId::Ipv4Src), 0);
    let mut tagged = FlowKey::EMPTY;
    tagged.store(layout::IN_PORT, 1);
    tagged.set(FieldId::EthType, 0x0800);
    assert!(tagged.agrees(&flow.key, &flow.mask));
    tagged.store(layout::VLAN_TCI, 0x1005);
    assert!(!tagged.agrees(&flow.key, &flow.mask));
}

#[test]
fn faults_show_the_rest_from_their_attribute_on() {
    for (text, expect) in [
        ("in_port(1),eth(),ipv4(src=1.1.1.1,frag=nox),udp()", "ipv4(src=1.1.1.1,frag=nox),udp()"),
        ("in_port(1),eth(),foo(3)", "foo(3)"),
        ("recirc_id(5/0xff),in_port(1)", "recirc_id(5/0xff),in_port(1)"),
        ("in_port(1), ipv4(src=1.1.1.1,frag=no", "ipv4(src=1.1.1.1,frag=no"),
    ] {
        assert_eq!(parse_flow(text, &PortNumbers).unwrap_err().rest(text), expect);
    }
}
