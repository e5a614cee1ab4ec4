//! Packets made by scapy 2.5, as hexadecimal text: what another implementation believes a header
//! looks like. Each is preceded by the expression that made it.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// The bytes of a specimen.
pub(super) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// A specimen with some bytes overwritten and perhaps cut off or lengthened: close enough to a
/// packet to reach deep into a parser.
pub(super) fn spoiled(hex: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let spots = vec((any::<Index>(), any::<u8>()), 0..4);
    (spots, any::<Index>(), 0..4_u8).prop_map(move |(spots, end, tail)| {
        let mut data = bytes(hex);
        for (spot, value) in spots {
            let spot = spot.index(data.len());
            data[spot] = value;
        }
        match tail {
            0 => data.truncate(end.index(data.len() + 1)),
            1 => data.resize(data.len() + end.index(64), 0xa5),
            _ => {}
        }
        data
    })
}

/// The bytes that a representation emits into a buffer full of something else.
macro_rules! emit {
    ($repr:expr) => {{
        let repr = $repr;
        let mut buffer = vec![0xa5; repr.buffer_len()];
        repr.emit(&mut Packet::new_output(&mut buffer).unwrap()).unwrap();
        buffer
    }};
}
pub(super) use emit;

/// An inner frame that the tunnel specimens share.
pub(super) const INNER_FRAME: &str = "\
    02000000000b02000000000a08004500001e000100004011f6cac0000201c000020200070009000a135d6869";

// Dot3(src="02:00:00:00:00:01",dst="ff:ff:ff:ff:ff:ff")/LLC(dsap=0xaa,ssap=0xaa,ctrl=3)/SNAP(O
// UI=0,code=0x0806)/ARP(op=1,hwsrc="02:00:00:00:00:01",psrc="10.0.0.1",hwdst="00:00:00:00:00:0
// 0",pdst="10.0.0.2")
pub(super) const SNAP_ARP: &str = "\
    ffffffffffff0200000000010024aaaa03000000080600010800060400010200000000010a0000010000000000\
    000a000002";

// Dot3(src="02:00:00:00:00:01",dst="01:80:c2:00:00:00")/LLC()/STP()
pub(super) const STP: &str = "\
    0180c2000000020000000001002642420300000000000000000000000000000000000000000000000000000001\
    00140002000f00";

// Ether(src="02:00:00:00:00:01",dst="02:00:00:00:00:02")/Dot1AD(vlan=100,prio=5)/Dot1Q(vlan=40
// 01,prio=3,id=1)/IP(src="10.0.0.1",dst="10.0.0.2",id=0x1234,ttl=63)/TCP(sport=1000,dport=80,f
// lags="S",seq=0x01020304,window=64240,options=[("MSS",1460),("SAckOK",b""),("Timestamp",(0x11
// 223344,0)),("NOP",None),("WScale",7)])
pub(super) const QINQ_TCP: &str = "\
    02000000000202000000000188a8a06481007fa108004500003c123400003f0655860a0000010a00000203e800\
    500102030400000000a002faf0ec680000020405b40402080a112233440000000001030307";

// Ether(src="02:00:00:00:00:01",dst="02:00:00:00:00:02")/ARP(op=2,hwsrc="02:00:00:00:00:01",ps
// rc="10.0.0.1",hwdst="02:00:00:00:00:02",pdst="10.0.0.2")
pub(super) const ARP_REPLY: &str = "\
    020000000002020000000001080600010800060400020200000000010a0000010200000000020a000002";

// IP(src="10.0.0.1",dst="10.0.0.2",id=0x1234,ttl=63,tos=0xb9,flags="DF",options=[IPOption_Rout
// er_Alert(),IPOption_RR(pointer=4,routers=["0.0.0.0","0.0.0.0"])])/UDP(sport=53,dport=5353)/b
// "hello"
pub(super) const IPV4_OPTIONS: &str = "\
    49b90031123440003f1171bd0a0000010a00000294040000070b04000000000000000000003514e9000d92e168\
    656c6c6f";

// IP(src="10.0.0.1",dst="10.0.0.2",id=0x1234,ttl=63)/TCP(sport=80,dport=1000,flags="PAUEC",seq
// =1,ack=0xfffffff0,window=501,urgptr=3,options=[("NOP",None),("NOP",None),("SAck",(100,200,30
// 0,400))])/b"data!"
pub(super) const TCP_SACK: &str = "\
    45000041123400003f0655810a0000010a000002005003e800000001fffffff0a0f801f540f100030101051200\
    000064000000c80000012c000001906461746121";

// IPv6(src="fd00::1",dst="fd00::2",hlim=61,tc=0xb9,fl=0x12345)/TCP(sport=80,dport=1000,flags="
// FA",seq=7,ack=9,window=1)/b"odd"
pub(super) const TCP6: &str = "\
    6b9123450017063dfd000000000000000000000000000001fd000000000000000000000000000002005003e800\
    0000070000000950110001de1e00006f6464";

// IPv6(src="fd00::1",dst="fd00::2",hlim=61,tc=0xb9,fl=0x12345)/IPv6ExtHdrHopByHop(options=[Rou
// terAlert(value=0)])/IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0\0\0\0")])/IPv6ExtHdrRouting
// (type=0,addresses=["fd00::3"],segleft=0)/IPv6ExtHdrFragment(nh=17,offset=0,m=1,id=0xdeadbeef
// )/UDP(sport=1,dport=2,len=12,chksum=0xabcd)/b"frag"
pub(super) const UDP6_CHAIN: &str = "\
    6b912345003c003dfd000000000000000000000000000001fd0000000000000000000000000000023c00050200\
    0001002b000104000000002c02000000000000fd00000000000000000000000000000311000001deadbeef0001\
    0002000cabcd66726167";

// IPv6(src="fd00::1",dst="fd00::2",hlim=61,tc=0xb9,fl=0x12345)/AH(nh=17,payloadlen=4,spi=0x100
// ,seq=5,icv=b"\1"*12)/UDP(sport=1,dport=2)/b"x"
pub(super) const AH6: &str = "\
    6b9123450021333dfd000000000000000000000000000001fd0000000000000000000000000000021104000000\
    00010000000005010101010101010101010101000100020009000078";

// IPv6(src="fd00::1",dst="fd00::2",hlim=61,tc=0xb9,fl=0x12345)/UDP(sport=1234,dport=4321)/b"pa
// yload"
pub(super) const UDP6: &str = "\
    6b912345000f113dfd000000000000000000000000000001fd00000000000000000000000000000204d210e100\
    0f32e97061796c6f6164";

// IP(src="10.0.0.1",dst="10.0.0.2",id=0x1234,ttl=63)/SCTP(sport=5000,dport=6000,tag=0)/SCTPChu
// nkInit(init_tag=0xcafe0001,a_rwnd=65535,n_out_streams=10,n_in_streams=10,init_tsn=1)
pub(super) const SCTP_INIT: &str = "\
    45000034123400003f8455100a0000010a0000021388177000000000a449875901000014cafe00010000ffff00\
    0a000a00000001";

// IP(src="10.0.0.1",dst="10.0.0.2",id=0x1234,ttl=63)/SCTP(sport=5000,dport=6000,tag=0xcafe0002
// )/SCTPChunkSACK(cumul_tsn_ack=9,a_rwnd=1000)/SCTPChunkData(beginning=1,ending=1,tsn=1,stream
// _id=2,stream_seq=3,data=b"seven77")
pub(super) const SCTP_DATA: &str = "\
    45000048123400003f8454fc0a0000010a00000213881770cafe00022f00ce9c0300001000000009000003e800\
    00000000030017000000010002000300000000736576656e373700";

// IP(src="10.0.0.1",dst="10.0.0.2",id=0x1234,ttl=63)/ICMP(type=8,id=0x77,seq=3)/b"ping"
pub(super) const ICMP_ECHO: &str = "\
    45000020123400003f0155a70a0000010a000002080018b50077000370696e67";

// IP(src="10.0.0.1",dst="10.0.0.2",id=0x1234,ttl=63)/ICMP(type=3,code=4,nexthopmtu=1400)/IP(sr
// c="10.0.0.2",dst="10.9.9.9",id=2,flags="DF",len=1500,proto=17)/UDP(sport=5,dport=6,len=1480,
// chksum=0x1111)
pub(super) const ICMP_FRAG_NEEDED: &str = "\
    45000038123400003f01558f0a0000010a0000020304e09f00000578450005dc00024000401117fc0a0000020a\
    0909090005000605c81111";

// IPv6(src="fd00::1",dst="fd00::2",hlim=61,tc=0xb9,fl=0x12345)/ICMPv6PacketTooBig(mtu=1280)/IP
// v6(src="fd00::2",dst="fd00::9",plen=1400,nh=17)/UDP(sport=5,dport=6,len=1400,chksum=0x2222)/
// b"abcd"
pub(super) const ICMP6_TOO_BIG: &str = "\
    6b912345003c3a3dfd000000000000000000000000000001fd0000000000000000000000000000020200a15300\
    0005006000000005781140fd000000000000000000000000000002fd0000000000000000000000000000090005\
    00060578222261626364";

// IPv6(src="fd00::1",dst="fd00::2",hlim=61,tc=0xb9,fl=0x12345)/ICMPv6EchoRequest(id=0x88,seq=4
// ,data=b"six")
pub(super) const ICMP6_ECHO: &str = "\
    6b912345000b3a3dfd000000000000000000000000000001fd000000000000000000000000000002800099bf00\
    880004736978";

// IPv6(src="fe80::1",dst="ff02::1:ff00:2",hlim=255)/ICMPv6ND_NS(tgt="fe80::2")/ICMPv6NDOptSrcL
// LAddr(lladdr="02:00:00:00:00:01")
pub(super) const ND_NS: &str = "\
    6000000000203afffe800000000000000000000000000001ff0200000000000000000001ff00000287007a9700\
    000000fe8000000000000000000000000000020101020000000001";

// IPv6(src="fe80::2",dst="fe80::1",hlim=255)/ICMPv6ND_NA(R=1,S=1,O=1,tgt="fe80::2")/ICMPv6NDOp
// tDstLLAddr(lladdr="02:00:00:00:00:02")
pub(super) const ND_NA: &str = "\
    6000000000203afffe800000000000000000000000000002fe80000000000000000000000000000188009819e0\
    000000fe8000000000000000000000000000020201020000000002";

// IPv6(src="fe80::1",dst="ff02::2",hlim=255)/ICMPv6ND_RS()/ICMPv6NDOptSrcLLAddr(lladdr="02:00:
// 00:00:00:01")
pub(super) const ND_RS: &str = "\
    6000000000103afffe800000000000000000000000000001ff02000000000000000000000000000285007a2c00\
    0000000101020000000001";

// IPv6(src="fe80::1",dst="ff02::1",hlim=255)/ICMPv6ND_RA(chlim=64,M=1,O=1,routerlifetime=1800,
// reachabletime=30000,retranstimer=1000)/ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:01")/ICMP
// v6NDOptMTU(mtu=1442)/ICMPv6NDOptPrefixInfo(prefixlen=64,L=1,A=1,validlifetime=86400,preferre
// dlifetime=14400,prefix="fd00:1::")
pub(super) const ND_RA: &str = "\
    6000000000403afffe800000000000000000000000000001ff0200000000000000000000000000018600e2e940\
    c8070800007530000003e8010102000000000105010000000005a2030440c0000151800000384000000000fd00\
    0001000000000000000000000000";

// Ether(src="02:00:00:00:00:01",dst="02:00:00:00:00:02")/MPLS(label=16,cos=5,s=0,ttl=64)/MPLS(
// label=0xfffff,cos=0,s=1,ttl=1)/IP(src="10.0.0.1",dst="10.0.0.2",id=0x1234,ttl=63)/UDP(sport=
// 1,dport=2)
pub(super) const MPLS_STACK: &str = "\
    020000000002020000000001884700010a40fffff1014500001c123400003f11559b0a0000010a000002000100\
    020008ebd8";

// Ether(src="02:00:00:00:00:01",dst="02:00:00:00:00:02")/NSH(mdtype=1,nextproto=3,ttl=63,spi=0
// x123456,si=254,context_header=b"\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4")/Ether(src="02:00:00:00:00
// :0a",dst="02:00:00:00:00:0b")/IP(src="192.0.2.1",dst="192.0.2.2")/UDP(sport=7,dport=9)/b"hi"
pub(super) const NSH_MD1: &str = "\
    020000000002020000000001894f0fc60103123456fe0000000100000002000000030000000402000000000b02\
    000000000a08004500001e000100004011f6cac0000201c000020200070009000a135d6869";

// IP(src="10.0.0.1",dst="10.0.0.2",id=0x1234,ttl=63)/UDP(sport=50000,dport=6081,chksum=0)/GENE
// VE(vni=0xabcdef,critical=1,proto=0x6558,options=[GeneveOptions(classid=0x0102,type=0x80,data
// =b"\1\2\3\4"),GeneveOptions(classid=0x0103,type=1)])/Ether(src="02:00:00:00:00:0a",dst="02:0
// 0:00:00:00:0b")/IP(src="192.0.2.1",dst="192.0.2.2")/UDP(sport=7,dport=9)/b"hi"
pub(super) const GENEVE: &str = "\
    4500005c123400003f11555b0a0000010a000002c35017c10048000003406558abcdef00010280010102030401\
    03010002000000000b02000000000a08004500001e000100004011f6cac0000201c000020200070009000a135d\
    6869";

// IP(src="10.0.0.1",dst="10.0.0.2",id=0x1234,ttl=63)/UDP(sport=50000,dport=4789,chksum=0)/VXLA
// N(flags="Instance",vni=0xabcdef)/Ether(src="02:00:00:00:00:0a",dst="02:00:00:00:00:0b")/IP(s
// rc="192.0.2.1",dst="192.0.2.2")/UDP(sport=7,dport=9)/b"hi"
pub(super) const VXLAN_PLAIN: &str = "\
    45000050123400003f1155670a0000010a000002c35012b5003c000008000000abcdef0002000000000b020000\
    00000a08004500001e000100004011f6cac0000201c000020200070009000a135d6869";

// IP(src="10.0.0.1",dst="10.0.0.2",id=0x1234,ttl=63)/UDP(sport=50000,dport=4789,chksum=0)/VXLA
// N(flags="Instance+G",gpflags="D+A",gpid=0x1234,vni=42)/Ether(src="02:00:00:00:00:0a",dst="02
// :00:00:00:00:0b")/IP(src="192.0.2.1",dst="192.0.2.2")/UDP(sport=7,dport=9)/b"hi"
pub(super) const VXLAN_GBP: &str = "\
    45000050123400003f1155670a0000010a000002c35012b5003c00008848123400002a0002000000000b020000\
    00000a08004500001e000100004011f6cac0000201c000020200070009000a135d6869";

// IP(src="10.0.0.1",dst="10.0.0.2",id=0x1234,ttl=63)/UDP(sport=50000,dport=4790,chksum=0)/VXLA
// N(flags=0x0c,NextProtocol=1,vni=42)/IP(src="192.0.2.1",dst="192.0.2.2")/UDP(sport=7,dport=9)
pub(super) const VXLAN_GPE: &str = "\
    45000040123400003f1155770a0000010a000002c35012b6002c00000c00000100002a004500001c0001000040\
    11f6ccc0000201c00002020007000900087bca";

// IP(src="10.0.0.1",dst="10.0.0.2",id=0x1234,ttl=63)/GRE(chksum_present=1,key_present=1,seqnum
// _present=1,key=0xdeadbeef,seqence_number=7,proto=0x6558)/Ether(src="02:00:00:00:00:0a",dst="
// 02:00:00:00:00:0b")/IP(src="192.0.2.1",dst="192.0.2.2")/UDP(sport=7,dport=9)/b"hi"
pub(super) const GRE_ALL: &str = "\
    45000050123400003f2f55490a0000010a000002b0006558c50c0000deadbeef0000000702000000000b020000\
    00000a08004500001e000100004011f6cac0000201c000020200070009000a135d6869";

// IP(src="10.0.0.1",dst="10.0.0.2",id=0x1234,ttl=63)/GRE(proto=0x0800)/IP(src="192.0.2.1",dst=
// "192.0.2.2")/UDP(sport=7,dport=9)
pub(super) const GRE_PLAIN: &str = "\
    45000034123400003f2f55650a0000010a000002000008004500001c000100004011f6ccc0000201c000020200\
    07000900087bca";

// IP(src="10.0.0.1",dst="10.0.0.2",id=0x1234,ttl=63)/UDP(sport=2152,dport=2152,chksum=0)/GTP_U
// _Header(teid=0x01020304,S=1,seq=0x99,E=1,next_ex=0x85)/GTPPDUSessionContainer(type=1,QFI=9)/
// IP(src="192.0.2.1",dst="192.0.2.2")/UDP(sport=7,dport=9)
pub(super) const GTPU_PDU: &str = "\
    45000048123400003f11556f0a0000010a000002086808680034000036ff002401020304009900850110090045\
    00001c000100004011f6ccc0000201c00002020007000900087bca";

// IP(src="10.0.0.1",dst="10.0.0.2",id=0x1234,ttl=63)/UDP(sport=2152,dport=2152,chksum=0)/GTP_U
// _Header(teid=5)/IP(src="192.0.2.1",dst="192.0.2.2")/UDP(sport=7,dport=9)
pub(super) const GTPU_PLAIN: &str = "\
    45000040123400003f1155770a0000010a00000208680868002c000030ff001c000000054500001c0001000040\
    11f6ccc0000201c00002020007000900087bca";

// IPv6(src="fd00::1",dst="fd00::3",hlim=61)/IPv6ExtHdrSegmentRouting(nh=41,addresses=["fd00::2
// ","fd00::3"],segleft=1,lastentry=1)/IPv6(src="fd00::a",dst="fd00::b")/UDP(sport=7,dport=9)
pub(super) const SRH: &str = "\
    6000000000582b3dfd000000000000000000000000000001fd0000000000000000000000000000032904040101\
    000000fd000000000000000000000000000002fd0000000000000000000000000000036000000000081140fd00\
    000000000000000000000000000afd00000000000000000000000000000b00070009000805b8";

// IP(src="10.0.0.1",dst="10.0.0.2",id=0x1234,ttl=63)/GRE(proto=0x88be,seqnum_present=1,seqence
// _number=5)/ERSPAN_II(ver=1,vlan=100,cos=3,en=2,t=1,session_id=0x155,index=0xabcde)/Ether(src
// ="02:00:00:00:00:0a",dst="02:00:00:00:00:0b")/IP(src="192.0.2.1",dst="192.0.2.2")/UDP(sport=
// 7,dport=9)/b"hi"
pub(super) const ERSPAN2: &str = "\
    45000050123400003f2f55490a0000010a000002100088be0000000510647555000abcde02000000000b020000\
    00000a08004500001e000100004011f6cac0000201c000020200070009000a135d6869";

// IP(src="10.0.0.1",dst="10.0.0.2",id=0x1234,ttl=63)/GRE(proto=0x22eb,seqnum_present=1,seqence
// _number=6)/ERSPAN_III(ver=2,vlan=100,cos=3,bso=1,t=0,session_id=0x2aa,timestamp=0x01020304,s
// gt_other=0x0506,p=1,ft=0,hw=0x2a,d=1,gra=2,o=0)/Ether(src="02:00:00:00:00:0a",dst="02:00:00:
// 00:00:0b")/IP(src="192.0.2.1",dst="192.0.2.2")/UDP(sport=7,dport=9)/b"hi"
pub(super) const ERSPAN3: &str = "\
    45000054123400003f2f55450a0000010a000002100022eb0000000620646aaa01020304050682ac0200000000\
    0b02000000000a08004500001e000100004011f6cac0000201c000020200070009000a135d6869";
