//! Random datapath keys as text, in the spelling that the reference takes: as megaflows with masks, or
//! as packets.

use testkit::seed::Rng;

/// Random keys, in the spelling that the reference takes.
pub struct Keys<'r> {
    /// Where they come from.
    pub rng: &'r mut Rng,
    /// Whether values have masks, and parts may be left out.
    pub masked: bool,
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
            6 => self.mpls(),
            _ if self.masked => {
                let mask = self.pick(&["", "/0xff00", "/0xfff0"]);
                format!("eth_type(0x1230{mask})")
            }
            _ => "eth_type(0x1234)".into(),
        }
    }

    /// One whose Ethertype is among these.
    fn network_of(&mut self, types: &[&str]) -> String {
        loop {
            let network = self.network();
            if network.get(9..15).is_some_and(|it| types.contains(&it)) {
                return network;
            }
        }
    }

    /// A stack of one to three labels.
    fn mpls(&mut self) -> String {
        let depth = 1 + self.rng.below(3);
        let entry = |keys: &mut Self, last: bool| {
            let values = [
                ("label", &["5", "0", "1048575"][..], "0xff"),
                ("tc", &["0", "7"], "0x3"),
                ("ttl", &["0", "64", "255"], "0xf0"),
                ("bos", if last { &["1"] } else { &["0"] }, "0x1"),
            ];
            let one = |(name, values, mask): (&str, &[&str], &str)| {
                let value = keys.pick(values);
                match depth == 1 && keys.masked && keys.one_in(3) && name != "bos" {
                    true => format!("{name}={value}/{mask}"),
                    false => format!("{name}={value}"),
                }
            };
            values.map(one).join(",")
        };
        let entries: Vec<_> = (1..=depth).map(|at| entry(self, at == depth)).collect();
        let eth_type = self.pick(&["0x8847", "0x8848"]);
        format!("eth_type({eth_type}),mpls({})", entries.join(","))
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
        match self.rng.below(5) {
            0 => parts.push("vxlan(gbp(id=5/0xff,flags=0x8))".to_owned()),
            2 => parts.push("gtpu(flags=0x30,msgtype=255)".to_owned()),
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
    pub fn key(&mut self) -> String {
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
        // Without an Ethernet header, and so without tags.
        if self.masked && self.one_in(8) {
            let network = self.network_of(&["0x0800", "0x86dd", "0x8847"]);
            let eth_type = network.get(9..15).unwrap_or_default().to_owned();
            return format!("{text}packet_type(ns=1,id={}),{network}", trimmed(&eth_type));
        }
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
            if self.one_in(3) {
                parts.push("cfi=1".to_owned());
            }
            let tpid = self.pick(&["0x8100", "0x8100", "0x88a8"]);
            text += &format!("eth_type({tpid}),vlan({}),encap({network})", parts.join(","));
        } else {
            text += &network;
        }
        text
    }
}

/// A hexadecimal number without zeros in front.
fn trimmed(number: &str) -> String {
    format!("0x{}", number.trim_start_matches("0x").trim_start_matches('0'))
}
