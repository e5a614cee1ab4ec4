//! Random lists of datapath actions as text: each action, and each part of it, that version 3.1 of the
//! reference reads and prints again as it was. What it reads and prints otherwise is in [`OTHERWISE`];
//! what it prints and does not read (`pop_eth`, `hash`, `dec_ttl`, headers of GTP-U and ERSPAN) is not
//! drawn.

use testkit::seed::Rng;

/// What the reference prints of what it is given, where the two differ.
pub const OTHERWISE: [(&str, &str); 14] = [
    ("sample(sample=50%,actions(1))", "sample(sample=50.0%,actions(1))"),
    ("sample(sample=50%,actions())", "sample(sample=50.0%,actions(drop))"),
    ("clone()", "clone(drop)"),
    ("check_pkt_len(size=0,gt(),le())", "check_pkt_len(size=0,gt(drop),le(drop))"),
    ("ct(commit,zone=5,mark=1)", "ct(commit,zone=5,mark=0x1/0xffffffff)"),
    ("recirc(16)", "recirc(0x10)"),
    ("set(skb_mark(5/0xf))", "set(skb_mark(0x5/0xf))"),
    ("1 2 3", "1,2,3"),
    ("1, 2", "1,2"),
    ("push_vlan(vid=5,pcp=3,cfi=1)", "push_vlan(vid=5,pcp=3)"),
    ("set(eth(src=0:1:2:3:4:5))", "set(eth(src=00:01:02:03:04:05))"),
    ("set(ipv6(src=0:0::1))", "set(ipv6(src=::1))"),
    ("set(ipv4(tos=4))", "set(ipv4(tos=0x4))"),
    ("drop", "drop"),
];

/// Draws lists.
pub struct Lists<'r> {
    /// Where they come from.
    pub rng: &'r mut Rng,
}

impl Lists<'_> {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let at = usize::try_from(self.rng.below(from.len() as u64)).unwrap_or(0);
        from.get(at).copied().unwrap_or_default()
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.rng.below(n) == 0
    }

    /// Some of these parts, at least one, in their order.
    fn some(&mut self, parts: &[&[&str]]) -> String {
        let must = usize::try_from(self.rng.below(parts.len() as u64)).unwrap_or(0);
        let mut out = Vec::new();
        for (at, values) in parts.iter().enumerate() {
            if at == must || self.one_in(2) {
                out.push(self.pick(values));
            }
        }
        out.join(",")
    }

    /// A list with lists in it, so deep at most.
    pub fn list(&mut self, depth: u8) -> String {
        let steps = 1 + self.rng.below(4);
        let steps: Vec<_> = (0..steps).map(|_| self.step(depth)).collect();
        steps.join(",")
    }

    fn step(&mut self, depth: u8) -> String {
        match self.rng.below(20) {
            0..=2 => (1 + self.rng.below(1 << 16)).to_string(),
            3..=6 => format!("set({})", self.set()),
            7 => self.plain(),
            8 => self.vlan(),
            9 => self.mpls(),
            10 => self.nsh(),
            11 | 12 => self.ct(),
            13 | 14 => self.userspace(),
            15 => self.tunnel_push(),
            16 if depth > 0 => format!("clone({})", self.inner(depth)),
            17 if depth > 0 => {
                let share = self.pick(&["0.0", "9.7", "50.0", "100.0", "0.1", "33.3"]);
                format!("sample(sample={share}%,actions({}))", self.inner(depth))
            }
            18 if depth > 0 => {
                let size = self.rng.below(1 << 16);
                let (gt, le) = (self.branch(depth), self.branch(depth));
                format!("check_pkt_len(size={size},gt({gt}),le({le}))")
            }
            _ => format!("meter({})", self.rng.below(1 << 32)),
        }
    }

    fn inner(&mut self, depth: u8) -> String {
        self.list(depth - 1)
    }

    fn branch(&mut self, depth: u8) -> String {
        if self.one_in(5) { "drop".to_owned() } else { self.inner(depth) }
    }

    fn plain(&mut self) -> String {
        match self.rng.below(6) {
            0 => "pop_vlan".to_owned(),
            1 => "ct_clear".to_owned(),
            2 => "pop_nsh()".to_owned(),
            3 => format!("trunc({})", 14 + self.rng.below(1 << 16)),
            4 => format!("lb_output({})", self.rng.below(1 << 32)),
            _ => format!("tnl_pop({})", self.rng.below(1 << 16)),
        }
    }

    fn vlan(&mut self) -> String {
        let tpid = self.pick(&["", "tpid=0x88a8,", "tpid=0x9100,"]);
        let (vid, pcp) = (self.rng.below(4096), self.rng.below(8));
        let cfi = self.pick(&["", "", ",cfi=0"]);
        format!("push_vlan({tpid}vid={vid},pcp={pcp}{cfi})")
    }

    fn mpls(&mut self) -> String {
        let (label, tc) = (self.rng.below(1 << 20), self.rng.below(8));
        let (ttl, bos) = (self.rng.below(256), self.rng.below(2));
        let eth_type = self.pick(&["0x8847", "0x8848"]);
        format!("add_mpls(label={label},tc={tc},ttl={ttl},bos={bos},eth_type={eth_type})")
    }

    fn nsh(&mut self) -> String {
        let (ttl, spi) = (self.rng.below(64), 1 + self.rng.below((1 << 24) - 1));
        let (np, si) = (1 + self.rng.below(4), self.rng.below(256));
        let flags = self.pick(&["0", "2"]);
        let head = format!("push_nsh(flags={flags},ttl={ttl}");
        if self.one_in(2) {
            let c = [(); 4].map(|()| self.rng.below(1 << 32));
            let [c1, c2, c3, c4] = c;
            return format!(
                "{head},mdtype=1,np={np},spi={spi:#x},si={si},c1={c1:#x},c2={c2:#x},c3={c3:#x},\
                 c4={c4:#x})"
            );
        }
        let md2: String = (0..4 * (1 + self.rng.below(6)))
            .map(|at| format!("{:02x}", if at == 0 { 0x10 } else { self.rng.below(256) }))
            .collect();
        format!("{head},mdtype=2,np={np},spi={spi:#x},si={si},md2=0x{md2})")
    }

    fn set(&mut self) -> String {
        let v6: &[&str] = &["src=2001:db8::7", "src=fe80::/ffff::", "src=::9/::ff"];
        let v6_dst: &[&str] = &["dst=::1", "dst=ff02::1:ff00:1"];
        match self.rng.below(14) {
            0 => {
                let macs: &[&str] =
                    &["src=aa:bb:cc:dd:ee:ff", "src=02:00:00:00:00:00/ff:ff:00:00:00:00"];
                let dst: &[&str] =
                    &["dst=01:00:00:00:00:07/ff:00:00:00:00:0f", "dst=00:00:00:00:00:01"];
                format!("eth({})", self.some(&[macs, dst]))
            }
            1 | 2 => {
                let src: &[&str] = &["src=192.0.2.7", "src=10.0.0.0/255.0.0.0"];
                let dst: &[&str] = &["dst=0.0.0.9/0.0.0.255", "dst=255.255.255.255"];
                let tos: &[&str] = &["tos=0x2c/0xfc", "tos=0x4", "tos=0"];
                format!("ipv4({})", self.some(&[src, dst, tos, &["ttl=9", "ttl=0x3/0xf"]]))
            }
            3 | 4 => {
                let label: &[&str] = &["label=0x12345", "label=0x5/0xff"];
                let rest: &[&str] = &["hlimit=3", "hlimit=0x1/0x3"];
                format!("ipv6({})", self.some(&[v6, v6_dst, label, &["tclass=0x70/0xfc"], rest]))
            }
            5..=7 => {
                let name = self.pick(&["tcp", "udp", "sctp"]);
                let (src, dst): (&[&str], &[&str]) =
                    (&["src=80", "src=0x50/0xff"], &["dst=65535", "dst=0x1000/0xf000"]);
                format!("{name}({})", self.some(&[src, dst]))
            }
            8 => {
                let name = self.pick(&["icmp", "icmpv6"]);
                format!("{name}({})", self.some(&[&["type=3", "type=128"], &["code=1"]]))
            }
            9 => {
                let sha: &[&str] =
                    &["sha=00:0f:10:11:12:13", "sha=00:00:00:00:00:01/00:00:00:00:00:0f"];
                let (sip, tip): (&[&str], &[&str]) =
                    (&["sip=1.2.3.4"], &["tip=5.6.0.0/255.255.0.0"]);
                format!(
                    "arp({})",
                    self.some(&[sip, tip, &["op=2"], sha, &["tha=00:14:15:16:17:18"]])
                )
            }
            10 => {
                let (sll, tll): (&[&str], &[&str]) =
                    (&["sll=00:05:06:07:08:09"], &["tll=00:0a:0b:0c:0d:0e"]);
                format!("nd({})", self.some(&[&["target=::1", "target=fe80::/ffff::"], sll, tll]))
            }
            11 => {
                self.pick(&["skb_mark(0x5)", "skb_mark(0x5/0xf)", "skb_priority(0x1/0xff)"]).into()
            }
            12 => {
                let (vid, label) = (self.rng.below(4096), self.rng.below(1 << 20));
                match self.one_in(2) {
                    true => format!("vlan(vid={vid},pcp={})", vid % 8),
                    false => format!("mpls(label={label},tc={},ttl=64,bos=1)", label % 8),
                }
            }
            _ => self.tunnel(),
        }
    }

    fn tunnel(&mut self) -> String {
        let id = self.pick(&["tun_id=0x1,", "tun_id=0x123456789abcdef0,", "tun_id=0x0,"]);
        let ends =
            self.pick(&["src=1.1.1.1,dst=2.2.2.2", "ipv6_src=::1,ipv6_dst=fe80::2", "dst=2.2.2.2"]);
        let tos = self.pick(&["", ",tos=0x4"]);
        let more = self.pick(&[
            "",
            "tp_dst=4789,",
            "geneve({class=0x1,type=0x2,len=4,0x3}{class=0xffff,type=0x80,len=8,0xa0b0c}),",
            "vxlan(gbp(id=5,flags=0x8)),",
            "gtpu(flags=0x34,msgtype=255),",
            "erspan(ver=1,idx=0x7),",
            "erspan(ver=2,dir=1,hwid=0x7),",
        ]);
        let flags = self.pick(&["df|key", "df|csum|key", "key"]);
        format!("tunnel({id}{ends}{tos},ttl={},{more}flags({flags}))", 1 + self.rng.below(255))
    }

    fn ct(&mut self) -> String {
        let mut parts = Vec::new();
        let commit = self.pick(&["", "commit", "force_commit"]);
        if !commit.is_empty() {
            parts.push(commit.to_owned());
        }
        if self.one_in(2) {
            parts.push(format!("zone={}", 1 + self.rng.below(65535)));
        }
        if !commit.is_empty() {
            for part in [
                self.pick(&["mark=0xa0a0a0a0/0xfefefefe", "mark=0x1/0xffffffff"]),
                self.pick(&["label=0x5", "label=0x100000000000000001/0xff00000000000000ff"]),
                self.pick(&["helper=ftp", "helper=tftp"]),
                "timeout=ovs_tp_1_tcp4",
            ] {
                if self.one_in(3) {
                    parts.push(part.to_owned());
                }
            }
        }
        if self.one_in(2) {
            parts.push(self.nat(!commit.is_empty()));
        }
        match parts.is_empty() {
            true => "ct".to_owned(),
            false => format!("ct({})", parts.join(",")),
        }
    }

    fn nat(&mut self, commit: bool) -> String {
        if !commit || self.one_in(4) {
            return "nat".to_owned();
        }
        let side = self.pick(&["src", "dst"]);
        let range = self.pick(&[
            "",
            "=10.0.0.240",
            "=10.0.0.1-10.0.0.254",
            "=10.0.0.240:80",
            "=10.0.0.240-10.0.0.254:32768-65535",
            "=fe80::20c:29ff:fe88:a18b",
            "=fe80::1-fe80::5",
            "=[fe80::1]:80",
            "=[fe80::1]-[fe80::5]:255-4096",
        ]);
        let how = match range {
            "" => "",
            _ => self.pick(&["", ",persistent", ",hash", ",random", ",persistent,random"]),
        };
        format!("nat({side}{range}{how})")
    }

    fn userspace(&mut self) -> String {
        let pid = self.rng.below(1 << 32);
        let number = |rng: &mut Rng, bits: u32| rng.below(1 << bits);
        let data = match self.rng.below(6) {
            0 => {
                let reasons = ["0", "cfm", "bfd", "lacp", "stp", "lldp", "action", "match"];
                format!("slow_path({})", self.pick(&reasons))
            }
            1 => {
                let (vid, pcp) = (number(self.rng, 12), number(self.rng, 3));
                format!("sFlow(vid={vid},pcp={pcp},output={})", number(self.rng, 32))
            }
            2 => {
                let way = self.pick(&["", ",ingress", ",egress"]);
                let (share, set) = (number(self.rng, 16), number(self.rng, 32));
                let (domain, point) = (number(self.rng, 32), number(self.rng, 32));
                format!(
                    "flow_sample(probability={share},collector_set_id={set},obs_domain_id={domain},\
                     obs_point_id={point},output_port={}{way})",
                    number(self.rng, 16)
                )
            }
            3 => format!("ipfix(output_port={})", number(self.rng, 16)),
            4 => {
                let (reason, recirc) = (number(self.rng, 4), number(self.rng, 32));
                let (dont, cont) = (number(self.rng, 1), number(self.rng, 1));
                let (id, max) = (number(self.rng, 16), number(self.rng, 16));
                let cookie = 1 + number(self.rng, 63);
                format!(
                    "controller(reason={reason},dont_send={dont},continuation={cont},\
                     recirc_id={recirc},rule_cookie={cookie:#x},controller_id={id},max_len={max})"
                )
            }
            _ => {
                // It fills up those that are shorter.
                let bytes = 8 + self.rng.below(24);
                let hex: String =
                    (0..bytes).map(|_| format!("{:02x}", self.rng.below(256))).collect();
                format!("userdata({hex})")
            }
        };
        let actions = self.pick(&["", "", ",actions"]);
        let tunnel = self.pick(&["", "", ",tunnel_out_port=10"]);
        format!("userspace(pid={pid},{data}{actions}{tunnel})")
    }

    fn tunnel_push(&mut self) -> String {
        let v6 = self.one_in(2);
        let (kind, proto, len, behind) = self.header(v6);
        let (eth_type, ip, l3) = match v6 {
            true => {
                let (label, tclass) = (self.rng.below(1 << 20), self.pick(&["0x0", "0x4", "0xff"]));
                let ip = format!(
                    "ipv6(src=2001:cafe::88,dst=2001:cafe::92,label={label},proto={proto},\
                     tclass={tclass},hlimit={})",
                    self.rng.below(256)
                );
                ("0x86dd", ip, 40)
            }
            false => {
                let (tos, frag) = (self.pick(&["0", "0x4", "0xff"]), self.pick(&["0x0", "0x4000"]));
                let ip = format!(
                    "ipv4(src=1.1.2.88,dst=1.1.2.92,proto={proto},tos={tos},ttl={},frag={frag})",
                    self.rng.below(256)
                );
                ("0x0800", ip, 20)
            }
        };
        let (port, out) = (self.rng.below(65535), self.rng.below(65535));
        format!(
            "tnl_push(tnl_port({port}),header(size={},type={kind},\
             eth(dst=f8:bc:12:44:34:b6,src=f8:bc:12:46:58:e0,dl_type={eth_type}),{ip},{behind}),\
             out_port({out}))",
            14 + l3 + len
        )
    }

    /// Kind, IP protocol, length and text of a tunnel's header.
    fn header(&mut self, v6: bool) -> (u8, u8, u64, String) {
        let udp = format!("udp(src=0,dst={},csum=0x0)", self.pick(&["4789", "6081", "2152"]));
        let id = self.rng.below(1 << 24);
        match self.rng.below(3) {
            0 => (4, 17, 16, format!("{udp},vxlan(flags=0x8000000,vni={id:#x})")),
            1 => {
                let (len, options) = match self.rng.below(3) {
                    0 => (0, ""),
                    1 => (8, ",options({class=0xffff,type=0x80,len=4,0xa})"),
                    _ => (
                        20,
                        ",options({class=0x1,type=0x1,len=4,0x7}\
                         {class=0xffff,type=0x80,len=8,0x102030405})",
                    ),
                };
                let flags = self.pick(&["", "oam,", "crit,"]);
                (5, 17, 16 + len, format!("{udp},geneve({flags}vni={id:#x}{options})"))
            }
            _ => {
                let kind = if v6 { 109 } else { 3 };
                let (len, text) = match self.rng.below(4) {
                    0 => (4, "gre((flags=0x0,proto=0x6558))".to_owned()),
                    1 => (8, format!("gre((flags=0x2000,proto=0x6558),key={id:#x})")),
                    2 => (12, format!("gre((flags=0xa000,proto=0x6558),csum=0x0,key={id:#x})")),
                    _ => (
                        16,
                        format!("gre((flags=0xb000,proto=0x6558),csum=0x0,key={id:#x},seq=0x0)"),
                    ),
                };
                (kind, 47, len, text)
            }
        }
    }
}
