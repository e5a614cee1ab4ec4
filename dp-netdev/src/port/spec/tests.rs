use super::PortSpec;
use crate::pcapfile::{Writer, WriterOptions};

fn refused(text: &str) -> String {
    match PortSpec::parse(text).and_then(|spec| spec.open()) {
        Ok(port) => panic!("{text} opens as {}", port.kind()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_short_form_says_the_same_as_the_long() {
    let parse = |text| PortSpec::parse(text).unwrap();
    assert_eq!(parse("veth0"), PortSpec::new("afpacket", "veth0"));
    assert_eq!(parse("tap:tap0"), PortSpec::new("tap", "tap0"));
    assert_eq!(
        parse("pcap:/a/in.pcap,tx=out.pcap,pace=own"),
        PortSpec::new("pcap", "in")
            .with("rx", "/a/in.pcap")
            .with("tx", "out.pcap")
            .with("pace", "own")
    );
    assert_eq!(parse("pcap:,tx=b/out.pcap"), PortSpec::new("pcap", "out").with("tx", "b/out.pcap"));
    assert_eq!(parse("pcap:in.pcap,name=p1"), PortSpec::new("pcap", "p1").with("rx", "in.pcap"));
}

#[test]
fn what_is_wrong_is_said() {
    let cases = [
        ("", "port '': expected an interface, or KIND:ARGUMENT"),
        ("pcap:", "port 'pcap:': expected an interface, or KIND:ARGUMENT"),
        ("veth0,fast", "port 'veth0,fast': expected option=value after each comma"),
        ("veth0,a=1,a=2", "port 'veth0,a=1,a=2': expected each option once"),
        ("pcap:a,rx=b", "port 'pcap:a,rx=b': expected one capture to replay"),
        (
            "ether:x",
            "ether: no such kind of port; there are afpacket (or system), afxdp, afxdp-nonpmd, dpdk, dpdkvhostuser, dpdkvhostuserclient, dummy, internal, pcap, tap",
        ),
        ("dummy:d,mtu=9", "d: a dummy port has no option 'mtu'; it has pcap, rxq_pcap, tx_pcap"),
        ("tap:t,x=", "t: a tap port has no option 'x'; it has none"),
        ("veth0,promisc=maybe", "veth0: option promisc: 'maybe' is not on or off"),
        ("veth0,ring-mib=0", "veth0: option ring-mib: '0' is not a number from 1 to 1024"),
        ("pcap:a,repeat=0", "a: option repeat: '0' is not once, forever or a number above 0"),
        ("pcap:a,pace=slow", "a: option pace: 'slow' is not full or own"),
        ("pcap:a,resolution=pico", "a: option resolution: 'pico' is not micro or nano"),
        ("pcap:/nowhere/a.pcap", "/nowhere/a.pcap: No such file or directory (os error 2)"),
        ("nosuch0", "nosuch0: no such network interface"),
    ];
    for (text, expected) in cases {
        assert_eq!(refused(text), expected);
    }
}

#[test]
fn each_kind_opens() {
    let path = std::env::temp_dir().join(format!("dp-spec-{}.pcap", std::process::id()));
    Writer::create(&path, WriterOptions::default()).unwrap().close().unwrap();
    let file = path.to_str().unwrap();
    let text = format!("pcap:{file},pace=own,repeat=3,tx={file}.out,resolution=micro,name=x");
    let open = |spec: PortSpec| {
        let port = spec.open().unwrap();
        (port.name().to_owned(), port.kind())
    };
    assert_eq!(open(PortSpec::parse(&text).unwrap()), ("x".to_owned(), "pcap"));
    let dummy = PortSpec::new("dummy", "d").with("rxq_pcap", file).with("tx_pcap", file);
    assert_eq!(open(dummy), ("d".to_owned(), "dummy"));
    assert_eq!(open(PortSpec::new("dummy", "d").with("pcap", file)).1, "dummy");
    assert_eq!(open(PortSpec::parse("lo,promisc=off,ring-mib=1").unwrap()).1, "afpacket");
    std::fs::remove_file(&path).unwrap();
    std::fs::remove_file(format!("{file}.out")).unwrap();
}
