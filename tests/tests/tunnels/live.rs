//! Two hosts with our switch, pods behind them, and each kind of tunnel between: ping and TCP; the
//! kernel's own VXLAN and segment routing as the other end; the largest packet that fits; ends that move.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::netns::{Namespace, veth_pair};
use testkit::reference::{Reference, Setup};

/// A host with our switch: `br0` with `eth0` and the host's address, `br-int` above with a tunnel.
fn gateway(namespace: &Namespace, address: &str, tunnel: &str) -> Result<Reference> {
    let switch = Setup::within(namespace).daemon(testkit::daemon::built()?).start()?;
    let words = format!(
        "add-br br-phy -- set bridge br-phy datapath_type=netdev -- add-port br-phy eth0 -- \
         add-br br-int -- set bridge br-int datapath_type=netdev -- add-port br-int pod0 -- \
         add-port br-int tun0 -- set Interface tun0 {tunnel}"
    );
    switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
    namespace.address("br-phy", address)?;
    namespace.ip(&["link", "set", "br-phy", "up"])?;
    Ok(switch)
}

/// Pings until an answer comes, for a bounded time: the first packets ask for neighbours.
pub(crate) fn reaches(from: &Namespace, to: &str, size: &str) -> Result<()> {
    let words = ["ping", "-c", "3", "-i", "0.2", "-W", "1", "-s", size, to];
    let mut last = String::new();
    for _ in 0..5 {
        match from.exec(&words) {
            Ok(_) => return Ok(()),
            Err(error) => last = error.to_string(),
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    ensure!(false, "{to} is not reached: {last}");
    Ok(())
}

#[test]
fn the_kernels_vxlan_is_the_other_end() -> Result<()> {
    let (here, there, pod) =
        (Namespace::new("tun-gw")?, Namespace::new("tun-peer")?, Namespace::new("tun-pod")?);
    veth_pair((&here, "eth0"), (&there, "eth0"))?;
    veth_pair((&here, "pod0"), (&pod, "eth0"))?;
    pod.address("eth0", "10.9.0.1/24")?;
    pod.ip(&["link", "set", "eth0", "mtu", "1450"])?;
    there.address("eth0", "192.168.7.2/24")?;
    let words = "link add vx0 type vxlan id 7 dstport 4789 remote 192.168.7.1 local 192.168.7.2";
    there.ip(&words.split_whitespace().collect::<Vec<_>>())?;
    there.address("vx0", "10.9.0.2/24")?;
    there.ip(&["link", "set", "vx0", "up"])?;
    let switch =
        gateway(&here, "192.168.7.1/24", "type=vxlan options:remote_ip=192.168.7.2 options:key=7")?;
    reaches(&pod, "10.9.0.2", "56").with_context(|| switch.log_tail())?;
    // As large as the path takes without fragments.
    reaches(&pod, "10.9.0.2", "1422").with_context(|| switch.log_tail())?;
    reaches(&there, "10.9.0.1", "56")?;
    // Either kernel leaves checksums and segments to the next device, this one inside its tunnel.
    tcp(&pod, &there, "10.9.0.2:7000", 300_000).with_context(|| switch.log_tail())?;
    tcp(&there, &pod, "10.9.0.1:7000", 300_000).with_context(|| switch.log_tail())?;
    let neighbours = switch.appctl(&["tnl/neigh/show"])?;
    assert!(neighbours.contains("192.168.7.2"), "{neighbours}");
    let status = switch.vsctl(&["get", "Interface", "tun0", "status"])?;
    assert!(status.contains("tunnel_egress_iface=br-phy"), "{status}");
    // The other end moves to another address, and the tunnel follows its configuration.
    there.ip(&["addr", "add", "192.168.7.3/24", "dev", "eth0"])?;
    there.ip(&["link", "del", "vx0"])?;
    let words = words.replace("local 192.168.7.2", "local 192.168.7.3");
    there.ip(&words.split_whitespace().collect::<Vec<_>>())?;
    there.address("vx0", "10.9.0.2/24")?;
    there.ip(&["link", "set", "vx0", "up"])?;
    switch.vsctl(&["set", "Interface", "tun0", "options:remote_ip=192.168.7.3"])?;
    // The new device has another address than the old one.
    pod.ip(&["neigh", "flush", "all"])?;
    reaches(&pod, "10.9.0.2", "56").with_context(|| switch.log_tail())
}

#[test]
fn the_kernels_segment_routing_is_the_other_end() -> Result<()> {
    let (here, there, pod) =
        (Namespace::new("srv6-gw")?, Namespace::new("srv6-peer")?, Namespace::new("srv6-pod")?);
    veth_pair((&here, "eth0"), (&there, "eth0"))?;
    veth_pair((&here, "pod0"), (&pod, "eth0"))?;
    pod.mac("eth0", mac(0).as_str())?;
    pod.ip(&["link", "set", "eth0", "mtu", "1400"])?;
    let peer = "02:00:00:00:09:99";
    for (address, other) in [("10.9.0.1/24", "10.9.0.2"), ("fd09::1/64", "fd09::2")] {
        pod.address("eth0", address)?;
        pod.ip(&["neigh", "add", other, "lladdr", peer, "dev", "eth0"])?;
    }
    there.address("eth0", "fd07::2/64")?;
    for words in [
        "link set lo up",
        "addr add 10.9.0.2/32 dev lo",
        "addr add fd09::2/128 dev lo",
        "addr add fd08::2/128 dev lo",
        "route add 10.9.0.1/32 encap seg6 mode encap segs fd07::1 dev eth0 src 10.9.0.2 mtu 1400",
        "-6 route add fd09::1/128 encap seg6 mode encap segs fd07::1 dev eth0 src fd09::2 mtu 1400",
    ] {
        there.ip(&words.split_whitespace().collect::<Vec<_>>())?;
    }
    for interface in ["all", "eth0", "lo"] {
        there.exec(&["sysctl", "-qw", &format!("net.ipv6.conf.{interface}.seg6_enabled=1")])?;
    }
    let switch = gateway(&here, "fd07::1/64", "type=srv6 options:remote_ip=fd07::2")?;
    switch.add_flow("br-int", "in_port=pod0,ip,actions=output:tun0")?;
    switch.add_flow("br-int", "in_port=pod0,ipv6,actions=output:tun0")?;
    let back = format!("in_port=tun0,actions=mod_dl_dst:{},output:pod0", mac(0));
    switch.add_flow("br-int", &back)?;
    let carries = || -> Result<()> {
        for address in ["10.9.0.2", "fd09::2"] {
            reaches(&pod, address, "56").with_context(|| switch.log_tail())?;
            reaches(&pod, address, "1300").with_context(|| switch.log_tail())?;
        }
        tcp(&pod, &there, "10.9.0.2:7000", 300_000).with_context(|| switch.log_tail())?;
        tcp(&there, &pod, "[fd09::1]:7000", 100_000).with_context(|| switch.log_tail())
    };
    carries()?;
    // By way of one more stop, which the other end is as well.
    there.ip(&["-6", "route", "add", "fd08::1/128", "via", "fd07::1"])?;
    switch.vsctl(&["set", "Interface", "tun0", "options:srv6_segs=\"fd07::2,fd08::2\""])?;
    carries()?;
    Ok(())
}

/// One kind of tunnel between the hosts.
struct Kind {
    options: &'static str,
    /// Over IPv6.
    v6: bool,
    /// It carries IP packets without Ethernet headers.
    l3: bool,
}

const fn kind(options: &'static str, v6: bool, l3: bool) -> Kind {
    Kind { options, v6, l3 }
}

const KINDS: &[Kind] = &[
    kind("type=geneve options:key=7 options:csum=true", false, false),
    kind("type=geneve options:key=7", true, false),
    kind("type=vxlan options:key=7", false, false),
    kind("type=vxlan options:key=7 options:exts=gbp", true, false),
    kind("type=vxlan options:key=7 options:exts=gpe options:packet_type=legacy_l3", false, true),
    kind("type=vxlan options:key=7 options:exts=gpe options:packet_type=ptap", false, false),
    kind("type=vxlan options:key=7 options:exts=gpe options:packet_type=legacy_l3", true, true),
    kind("type=gre", false, false),
    kind("type=gre options:key=7 options:csum=true options:seq=true", false, false),
    kind("type=gre options:key=7 options:csum=true", true, false),
    kind("type=gre options:key=7 options:packet_type=legacy_l3", false, true),
    kind("type=ip6gre options:key=7 options:csum=true options:seq=true", true, false),
    kind("type=erspan options:key=7 options:erspan_ver=1 options:erspan_idx=3", false, false),
    kind(
        "type=erspan options:key=7 options:erspan_ver=2 options:erspan_dir=1 \
         options:erspan_hwid=4",
        false,
        false,
    ),
    kind("type=ip6erspan options:key=7 options:erspan_ver=1 options:erspan_idx=3", true, false),
    kind(
        "type=ip6erspan options:key=7 options:erspan_ver=2 options:erspan_dir=0 \
         options:erspan_hwid=9",
        true,
        false,
    ),
    kind("type=gre options:key=7 options:packet_type=legacy_l3", true, true),
    kind("type=gtpu options:key=7", false, true),
    kind("type=gtpu options:key=7", true, true),
    kind("type=srv6 options:srv6_flowlabel=compute", true, true),
    kind("type=bareudp options:dst_port=6635 options:payload_type=ip", false, true),
    kind("type=bareudp options:dst_port=6635 options:payload_type=ip", true, true),
];

/// The end of the tunnel on a host.
fn end(host: usize, v6: bool) -> String {
    if v6 { format!("fd07::{}", host + 1) } else { format!("192.168.7.{}", host + 1) }
}

/// The MAC of a pod.
fn mac(pod: usize) -> String {
    format!("02:00:00:00:09:0{}", pod + 1)
}

struct Scene {
    hosts: [Namespace; 2],
    pods: [Namespace; 2],
    switches: [Reference; 2],
}

impl Scene {
    fn new() -> Result<Self> {
        let hosts = [Namespace::new("tun-a")?, Namespace::new("tun-b")?];
        let pods = [Namespace::new("tun-pa")?, Namespace::new("tun-pb")?];
        veth_pair((&hosts[0], "eth0"), (&hosts[1], "eth0"))?;
        for (n, (host, pod)) in hosts.iter().zip(&pods).enumerate() {
            veth_pair((host, "pod0"), (pod, "eth0"))?;
            pod.mac("eth0", mac(n).as_str())?;
            pod.address("eth0", &format!("10.9.0.{}/24", n + 1))?;
            pod.ip(&["link", "set", "eth0", "mtu", "1380"])?;
            // Tunnels without Ethernet headers carry no ARP.
            let other = format!("10.9.0.{}", 2 - n);
            pod.ip(&["neigh", "add", &other, "lladdr", &mac(1 - n), "dev", "eth0"])?;
        }
        let tunnel = |n: usize| format!("{} options:remote_ip={}", KINDS[0].options, end(n, false));
        let switches = [
            gateway(&hosts[0], "192.168.7.1/24", &tunnel(1))?,
            gateway(&hosts[1], "192.168.7.2/24", &tunnel(0))?,
        ];
        for (n, host) in hosts.iter().enumerate() {
            host.address("br-phy", &format!("fd07::{}/64", n + 1))?;
        }
        Ok(Self { hosts, pods, switches })
    }

    /// Replaces the tunnel between the hosts, and what the bridges do with it.
    fn configure(&self, kind: &Kind) -> Result<()> {
        for (n, switch) in self.switches.iter().enumerate() {
            let remote = end(1 - n, kind.v6);
            let words = format!(
                "--if-exists del-port br-int tun0 -- add-port br-int tun0 -- set Interface tun0 \
                 {} options:remote_ip={remote}",
                kind.options
            );
            switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
            switch.ofctl(&["del-flows", "br-int"])?;
            if kind.l3 {
                switch.add_flow("br-int", "in_port=pod0,ip,actions=output:tun0")?;
                let flow = format!("in_port=tun0,actions=mod_dl_dst:{},output:pod0", mac(n));
                switch.add_flow("br-int", &flow)?;
            } else {
                switch.add_flow("br-int", "actions=NORMAL")?;
            }
        }
        Ok(())
    }

    fn logs(&self) -> String {
        self.switches.iter().map(Reference::log_tail).collect::<Vec<_>>().join("\n")
    }
}

/// Sends this many bytes over TCP from one pod to the other, and checks that they arrive.
fn tcp(from: &Namespace, to: &Namespace, address: &str, bytes: usize) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(20);
    let address: SocketAddr = address.parse()?;
    let listener = to.within(|| TcpListener::bind(address))??;
    let server = std::thread::spawn(move || -> std::io::Result<Vec<u8>> {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all)?;
        Ok(all)
    });
    let sent: Vec<u8> = (0..bytes).map(|n| (n % 251) as u8).collect();
    let mut stream = from.within(|| TcpStream::connect_timeout(&address, PATIENCE))??;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&sent)?;
    drop(stream);
    let came = server.join().map_err(|_| anyhow::anyhow!("the receiver panicked"))??;
    ensure!(came == sent, "{} of {} bytes arrived as they were", came.len(), sent.len());
    Ok(())
}

#[test]
fn two_switches_carry_ping_and_tcp_over_each_kind_of_tunnel() -> Result<()> {
    let scene = Scene::new()?;
    for kind in KINDS {
        scene.configure(kind).with_context(|| kind.options)?;
        let what = || {
            format!("{} over IPv{}\n{}", kind.options, if kind.v6 { 6 } else { 4 }, scene.logs())
        };
        reaches(&scene.pods[0], "10.9.0.2", "1300").with_context(what)?;
        // The pods' kernels leave checksums and segments to the next device: the switch does both.
        tcp(&scene.pods[0], &scene.pods[1], "10.9.0.2:7000", 300_000).with_context(what)?;
        tcp(&scene.pods[1], &scene.pods[0], "10.9.0.1:7000", 100_000).with_context(what)?;
    }
    // What was sent was segmented before it entered: nothing was refused for its size.
    for switch in &scene.switches {
        for reason in ["datapath_drop_tunnel_push_error", "datapath_drop_tx_oversize"] {
            assert_eq!(switch.appctl(&["coverage/read-counter", reason])?.trim(), "0", "{reason}");
        }
    }
    Ok(())
}

#[test]
fn the_first_packet_waits_for_the_neighbour_and_arrives() -> Result<()> {
    let scene = Scene::new()?;
    scene.configure(&KINDS[0])?;
    for _ in 0..3 {
        for switch in &scene.switches {
            switch.appctl(&["tnl/neigh/flush"])?;
        }
        // One packet, sent once.
        scene.pods[0]
            .exec(&["ping", "-c", "1", "-W", "3", "10.9.0.2"])
            .with_context(|| scene.logs())?;
    }
    let queued = scene.switches[0].appctl(&["coverage/read-counter", "tunnel_neigh_queued"])?;
    assert!(queued.trim().parse::<u64>()? >= 3, "{queued}");
    Ok(())
}

#[test]
fn the_largest_packet_that_fits_passes_and_the_next_larger_is_counted() -> Result<()> {
    let scene = Scene::new()?;
    for pod in &scene.pods {
        pod.ip(&["link", "set", "eth0", "mtu", "1500"])?;
    }
    // Outer IPv4, UDP, Geneve and the inner Ethernet header; then the inner IP and ICMP headers.
    for (kind, overhead) in [(&KINDS[0], 20 + 8 + 8 + 14), (&KINDS[1], 40 + 8 + 8 + 14)] {
        scene.configure(kind).with_context(|| kind.options)?;
        let largest = 1500 - overhead - 20 - 8;
        let size = |size: usize| size.to_string();
        let ping = |size: &str| {
            scene.pods[0].exec(&["ping", "-M", "do", "-c", "1", "-W", "2", "-s", size, "10.9.0.2"])
        };
        reaches(&scene.pods[0], "10.9.0.2", "56").with_context(|| scene.logs())?;
        ping(&size(largest)).with_context(|| format!("{}\n{}", kind.options, scene.logs()))?;
        assert!(ping(&size(largest + 1)).is_err(), "{}", kind.options);
    }
    let counted =
        scene.switches[0].appctl(&["coverage/read-counter", "datapath_drop_tx_oversize"])?;
    assert!(counted.trim().parse::<u64>()? >= 2, "{counted}");
    Ok(())
}

/// Sessions over a tunnel follow the path beneath it.
#[test]
fn bfd_and_cfm_watch_tunnels() -> Result<()> {
    let scene = Scene::new()?;
    let becomes = |column: &str, value: &str| -> Result<()> {
        for switch in &scene.switches {
            let done = || {
                let words = ["--if-exists", "get", "Interface", "tun0", column];
                let found = switch.vsctl(&words).ok()?;
                (found.trim().trim_matches('"') == value).then_some(())
            };
            testkit::patience::wait(Duration::from_secs(20), done)
                .with_context(|| format!("{column} {value}: {}", scene.logs()))?;
        }
        Ok(())
    };
    scene.configure(&KINDS[0])?;
    let set = |words: &str| -> Result<()> {
        for (mpid, switch) in scene.switches.iter().enumerate() {
            let words = words.replace("MPID", &(mpid + 1).to_string());
            switch.vsctl(&words.split_whitespace().collect::<Vec<_>>())?;
        }
        Ok(())
    };
    let cut = |way: &str| scene.hosts[0].ip(&["link", "set", "eth0", way]);
    // As ovn-controller watches other chassis.
    set("set Interface tun0 bfd:enable=true bfd:min_rx=200 bfd:min_tx=200")?;
    becomes("bfd_status:state", "up")?;
    reaches(&scene.pods[0], "10.9.0.2", "56").with_context(|| scene.logs())?;
    cut("down")?;
    becomes("bfd_status:forwarding", "false")?;
    cut("up")?;
    becomes("bfd_status:state", "up")?;
    set(
        "clear Interface tun0 bfd -- set Interface tun0 cfm_mpid=MPID other_config:cfm_interval=100",
    )?;
    becomes("cfm_fault", "false")?;
    cut("down")?;
    becomes("cfm_fault", "true")?;
    cut("up")?;
    becomes("cfm_fault", "false")
}

#[test]
fn a_remote_end_that_changes_its_mac_is_followed() -> Result<()> {
    let scene = Scene::new()?;
    scene.configure(&KINDS[0])?;
    reaches(&scene.pods[0], "10.9.0.2", "56").with_context(|| scene.logs())?;
    // The other host's address is at another network card from now on, which it tells the others.
    scene.switches[1].vsctl(&[
        "set",
        "bridge",
        "br-phy",
        "other-config:hwaddr=02:00:00:00:07:99",
    ])?;
    reaches(&scene.pods[0], "10.9.0.2", "56").with_context(|| scene.logs())?;
    let neighbours = scene.switches[0].appctl(&["tnl/neigh/show"])?;
    assert!(neighbours.contains("02:00:00:00:07:99"), "{neighbours}");
    drop(scene.hosts);
    Ok(())
}

#[test]
fn a_remote_end_that_moves_over_ipv6_is_followed_and_outer_ports_keep_to_their_range() -> Result<()>
{
    let scene = Scene::new()?;
    scene.configure(&KINDS[1])?;
    reaches(&scene.pods[0], "10.9.0.2", "56").with_context(|| scene.logs())?;
    // The other host is at another address from now on.
    scene.hosts[1].ip(&["addr", "del", "fd07::2/64", "dev", "br-phy"])?;
    scene.hosts[1].address("br-phy", "fd07::12/64")?;
    let ping = ["ping", "-c", "1", "-W", "1", "10.9.0.2"];
    scene.switches[0].vsctl(&["set", "Interface", "tun0", "options:remote_ip=fd07::12"])?;
    reaches(&scene.pods[0], "10.9.0.2", "56").with_context(|| scene.logs())?;
    let listed = scene.switches[0].appctl(&["tnl/neigh/show"])?;
    assert!(listed.contains("fd07::12"), "{listed}");

    scene.switches[0].appctl(&["tnl/egress_port_range", "40000", "40007"])?;
    let wire = scene.hosts[1].frames("eth0")?;
    let here: std::net::Ipv6Addr = "fd07::1".parse()?;
    let outer_port = |frame: &[u8]| -> Option<u16> {
        let geneve = frame.get(56..58) == Some(&[0x17, 0xc1]) && frame.get(20) == Some(&17);
        let ours = geneve && frame.get(22..38) == Some(&here.octets());
        ours.then(|| frame.get(54..56)?.try_into().ok().map(u16::from_be_bytes)).flatten()
    };
    // Packets on their way may still have a port of before.
    let within = |frame: &[u8]| outer_port(frame).is_some_and(|it| (40_000..40_008).contains(&it));
    let seen = testkit::patience::wait(Duration::from_secs(10), || {
        scene.pods[0].exec(&ping).ok()?;
        wire.receive_matching(Duration::from_millis(500), within).ok().flatten()
    });
    // By chance one of 28,000 would be among eight.
    seen.map(drop).context("no packet with a port of the range")
}

#[test]
fn the_kernels_policy_rules_and_silent_devices_choose_the_way() -> Result<()> {
    let host = Namespace::new("tun-rules")?;
    veth_pair((&host, "eth0"), (&host, "peer0"))?;
    veth_pair((&host, "pod0"), (&host, "peer1"))?;
    let switch =
        gateway(&host, "192.168.7.1/24", "type=vxlan options:remote_ip=10.77.0.1 options:key=7")?;
    host.address("br-phy", "192.168.8.1/24")?;
    for words in [
        "link add kube-ipvs0 type veth peer name quiet0",
        "link set kube-ipvs0 up",
        "link set quiet0 up",
        "addr add 10.96.0.1/16 dev kube-ipvs0",
        "route add 10.77.0.0/16 via 192.168.7.254",
        "route add 10.77.0.0/16 via 192.168.8.254 table 100",
        "rule add from 192.168.8.1 priority 70 table 100",
        "rule add fwmark 9 priority 80 table 100",
    ] {
        host.ip(&words.split_whitespace().collect::<Vec<_>>())?;
    }
    let lookup = |words: &str| -> Result<String> {
        let words: Vec<&str> = words.split_whitespace().collect();
        Ok(switch.appctl(&[&["ovs/route/lookup", "10.77.0.1"][..], &words].concat())?)
    };
    let until = |words: &str, expected: &str| -> Result<()> {
        testkit::patience::wait(Duration::from_secs(10), || {
            lookup(words).ok().filter(|text| text.contains(expected))
        })
        .map(drop)
        .with_context(|| format!("{words}: {:?}, not {expected}", lookup(words)))
    };
    until("src=192.168.8.1", "gateway 192.168.8.254")?;
    until("pkt_mark=9", "gateway 192.168.8.254")?;
    until("", "gateway 192.168.7.254")?;
    let rules = switch.appctl(&["ovs/route/rule/show"])?;
    assert!(rules.contains("Cached: 70: from 192.168.8.1/32 lookup 100"), "{rules}");
    assert!(rules.contains("Cached: 80: from all fwmark 0x9 lookup 100"), "{rules}");
    let why = switch.appctl(&["ovs/route/explain", "10.77.0.1", "pkt_mark=9"])?;
    let told = "rule 80: from all fwmark 0x9 lookup 100\n  taken: to 10.77.0.0/16 learned";
    assert!(why.contains(told) && why.contains("192.168.8.254"), "{why}");
    host.ip(&["rule", "del", "priority", "70"])?;
    until("src=192.168.8.1", "gateway 192.168.7.254")?;

    // A service's address is nobody's source, unless it is said otherwise.
    let shown = || -> Result<String> {
        let routes = switch.appctl(&["ovs/route/show"])?;
        let line = routes.lines().find(|line| line.contains("dev kube-ipvs0"));
        Ok(line.context("it is there")?.to_owned())
    };
    assert!(!shown()?.contains("SRC"), "{}", shown()?);
    switch.vsctl(&["set", "Open_vSwitch", ".", "other_config:route-silent-devices=eth7,eth8"])?;
    assert!(shown()?.contains("SRC 10.96.0.1"), "{}", shown()?);
    switch.vsctl(&["remove", "Open_vSwitch", ".", "other_config", "route-silent-devices"])?;
    assert!(!shown()?.contains("SRC"), "{}", shown()?);
    Ok(())
}
