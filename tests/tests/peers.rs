//! Real neighbours in namespaces of their own: FRR's BFD, and multicast routers and receivers of the
//! kernel.

use std::net::Ipv6Addr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::folder::Folder;
use testkit::netns::{FrameSocket, Namespace, veth_pair};
use testkit::process::{self, Guarded};
use testkit::reference::{BRIDGE, Reference, Setup};
use testkit::{packages, patience};

const LIMIT: Duration = Duration::from_secs(30);

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// Asks until it is true.
fn await_that(what: &str, mut ask: impl FnMut() -> bool) -> Result<()> {
    patience::wait(LIMIT, || ask().then_some(())).with_context(|| format!("not so: {what}"))
}

/// FRR's BFD daemon in a namespace, with its routing table beside it and a folder of its own.
struct Frr {
    _bfdd: Guarded,
    _zebra: Guarded,
    folder: Folder,
}

/// The session, as FRR's commands name it.
const PEER: &str = "peer 169.254.1.1 local-address 169.254.1.2 interface e0";

impl Frr {
    fn start(namespace: &Namespace) -> Result<Self> {
        packages::ensure(&["frr"])?;
        let folder = Folder::new("frr")?;
        let config = format!(
            "bfd\n {PEER}\n  receive-interval 100\n  transmit-interval 100\n  detect-multiplier 3\n"
        );
        std::fs::write(folder.join("bfdd.conf"), config)?;
        std::fs::write(folder.join("zebra.conf"), "")?;
        // FRR gives its rights up, and then writes here.
        process::run(Command::new("chown").args(["-R", "frr:frr"]).arg(folder.path()))?;
        let start = |daemon: &str, more: &[&str]| -> Result<Guarded> {
            let at = |name: &str| folder.join(name).display().to_string();
            let program = format!("/usr/lib/frr/{daemon}");
            let (zserv, own) = (at("zserv.api"), folder.path().display().to_string());
            let (pid, config) = (at(&format!("{daemon}.pid")), at(&format!("{daemon}.conf")));
            let mut all = vec![program.as_str(), "-u", "frr", "-g", "frr", "-P", "0", "-z", &zserv];
            all.extend(["-i", &pid, "-f", &config, "--vty_socket", &own]);
            all.extend(more);
            Ok(namespace.spawn(&all)?)
        };
        let zebra = start("zebra", &[])?;
        await_that("zebra serves", || folder.join("zserv.api").exists())?;
        let control = folder.join("bfdd.sock").display().to_string();
        let bfdd = start("bfdd", &["--bfdctl", &control])?;
        let frr = Self { _bfdd: bfdd, _zebra: zebra, folder };
        await_that("bfdd answers", || frr.ask(&["show bfd peers"]).is_ok())?;
        Ok(frr)
    }

    fn ask(&self, commands: &[&str]) -> Result<String> {
        let mut vtysh = Command::new("vtysh");
        vtysh.arg("--vty_socket").arg(self.folder.path()).args(["-d", "bfdd"]);
        commands.iter().for_each(|command| _ = vtysh.args(["-c", command]));
        Ok(process::run(&mut vtysh)?)
    }

    /// What it says of a session: `key` of `show bfd peers json`.
    fn says(&self, key: &str, value: &str) -> bool {
        let text = self.ask(&["show bfd peers json"]).unwrap_or_default();
        text.contains(&format!("\"{key}\":\"{value}\""))
            || text.contains(&format!("\"{key}\":{value},"))
    }

    fn shut(&self, shut: bool) -> Result<()> {
        let word = if shut { "shutdown" } else { "no shutdown" };
        self.ask(&["configure terminal", "bfd", PEER, word]).map(drop)
    }
}

fn ours(namespace: &Namespace) -> Result<Reference> {
    Ok(Setup::within(namespace).daemon(testkit::daemon::built()?).start()?)
}

#[test]
fn bfd_sessions_with_frr_come_up_and_flap_from_either_side() -> Result<()> {
    let (a, b) = (Namespace::quiet("bfd")?, Namespace::quiet("frr")?);
    veth_pair((&a, "e1"), (&b, "e0"))?;
    a.mac("e1", "02:00:00:00:00:01")?;
    b.mac("e0", "02:00:00:00:00:02")?;
    b.address("e0", "169.254.1.2/24")?;
    // Nobody answers ARP for a switch's BFD.
    b.ip(&words("neigh add 169.254.1.1 lladdr 02:00:00:00:00:01 dev e0"))?;
    let (frr, switch) = (Frr::start(&b)?, ours(&a)?);
    let session = format!(
        "add-port {BRIDGE} e1 -- set interface e1 bfd:enable=true bfd:min_rx=120 bfd:min_tx=150 \
         bfd:bfd_local_dst_mac=02:00:00:00:00:02 bfd:bfd_src_ip=169.254.1.1 \
         bfd:bfd_dst_ip=169.254.1.2"
    );
    switch.vsctl(&words(&session))?;
    let own = |key: &str| {
        let column = format!("bfd_status:{key}");
        let text = switch.vsctl(&["get", "interface", "e1", &column]).unwrap_or_default();
        text.trim().trim_matches('"').to_owned()
    };
    let both = |state: &str| own("state") == state && frr.says("status", state);
    await_that("the session is up", || both("up"))?;
    await_that("both sides know", || own("remote_state") == "up" && own("forwarding") == "true")?;
    // Intervals are negotiated, each end's own.
    await_that("FRR knows our intervals", || {
        frr.says("remote-receive-interval", "120") && frr.says("remote-transmit-interval", "150")
    })?;
    await_that("we know FRR's", || {
        let text = switch.appctl(&["bfd/show", "e1"]).unwrap_or_default();
        text.contains("Remote Minimum TX Interval: 100ms")
            && text.contains("  TX Interval: Approx 150ms")
    })?;

    // FRR's operator shuts it.
    frr.shut(true)?;
    await_that("FRR has shut it", || own("state") == "down")?;
    await_that("why is told", || {
        own("diagnostic") == "Neighbor Signaled Session Down" && own("forwarding") == "false"
    })?;
    frr.shut(false)?;
    await_that("the session is up again", || both("up"))?;

    // Our operator shuts it.
    switch.vsctl(&words("set interface e1 bfd:enable=false"))?;
    await_that("FRR misses us", || frr.says("status", "down"))?;
    await_that("FRR says why", || frr.says("diagnostic", "control detection time expired"))?;
    switch.vsctl(&words("set interface e1 bfd:enable=true"))?;
    await_that("the session is up a third time", || both("up"))?;

    // The path tells no more: both find out.
    b.ip(&words("link set e0 down"))?;
    await_that("the link is down", || own("state") == "down" && frr.says("status", "down"))?;
    await_that("why is told", || own("diagnostic") == "Control Detection Time Expired")?;
    b.ip(&words("link set e0 up"))?;
    b.ip(&words("neigh replace 169.254.1.1 lladdr 02:00:00:00:00:01 dev e0"))?;
    await_that("the link is back", || both("up"))?;

    // Trouble behind the switch.
    switch.vsctl(&words("set interface e1 bfd:cpath_down=true"))?;
    await_that("FRR hears of it", || frr.says("remote-diagnostic", "concatenated path down"))?;
    ensure!(both("up"), "the session itself goes on");
    Ok(())
}

/// A receiver of the kernel: it is a member of a group as long as it lives.
fn receiver(namespace: &Namespace, group: &str, address: &str) -> Result<Guarded> {
    let program = format!(
        "import socket, struct, sys, time\n\
         s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, \
         socket.inet_aton('{group}') + socket.inet_aton('{address}'))\n\
         time.sleep(600)"
    );
    Ok(namespace.spawn(&["python3", "-c", &program])?)
}

/// What left a group gets nothing more as soon as the megaflow is translated again, which follows at
/// once; then all that came before is taken out.
fn settle(sockets: &[FrameSocket]) -> Result<()> {
    std::thread::sleep(Duration::from_millis(50));
    for socket in sockets {
        while socket.receive(Duration::ZERO)?.is_some() {}
    }
    Ok(())
}

fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(it[1])).sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// An IPv4 packet to a group in a frame, from `10.0.0.9`.
fn to_group(group: [u8; 4], proto: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x01, 0x00, 0x5e, group[1] & 0x7f, group[2], group[3]];
    frame.extend([0x02, 0, 0, 0, 0, 9, 0x08, 0x00]);
    let words = 5 + options.len() / 4;
    let total = (4 * words + payload.len()) as u16;
    let mut header = vec![0x40 | words as u8, 0];
    header.extend(total.to_be_bytes());
    header.extend([0, 0, 0, 0, 1, proto, 0, 0, 10, 0, 0, 9]);
    header.extend(group);
    header.extend(options);
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend(header);
    frame.extend(payload);
    frame.resize(frame.len().max(60), 0);
    frame
}

/// A general query of IGMPv3 that wants to be answered within a second.
fn query() -> Vec<u8> {
    let mut igmp = vec![0x11, 10, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0];
    let sum = checksum(&igmp);
    igmp[2..4].copy_from_slice(&sum.to_be_bytes());
    to_group([224, 0, 0, 1], 2, &[0x94, 4, 0, 0], &igmp)
}

#[test]
fn multicast_goes_to_the_kernels_receivers_and_to_the_querier() -> Result<()> {
    packages::ensure(&["python3-scapy"])?;
    let bridge = Namespace::quiet("mcast")?;
    let names = ["router", "member", "idle", "source"];
    let mut hosts = Vec::new();
    for (number, name) in (1..).zip(names) {
        let host = Namespace::quiet(name)?;
        veth_pair((&bridge, name), (&host, "e0"))?;
        host.address("e0", &format!("10.0.0.{number}/24"))?;
        hosts.push(host);
    }
    let [router, member, idle, source] = hosts.as_slice() else { anyhow::bail!("four hosts") };
    let switch = ours(&bridge)?;
    let mut all = format!(
        "set bridge {BRIDGE} mcast_snooping_enable=true fail_mode=standalone \
         other_config:mcast-snooping-disable-flood-unregistered=true"
    );
    for (number, name) in (1..).zip(names) {
        all += &format!(
            " -- add-port {BRIDGE} {name} -- set interface {name} ofport_request={number}"
        );
    }
    switch.vsctl(&words(&all))?;
    switch.add_flow(BRIDGE, "actions=normal")?;
    let known = |line: &str| {
        let text = switch.appctl(&["mdb/show", BRIDGE]).unwrap_or_default();
        text.lines()
            .map(|it| it.split_whitespace().collect::<Vec<_>>())
            .any(|it| it.len() >= 4 && format!("{} {}", it[0], it[3]) == line)
    };
    // A router asks: from now on it gets all multicast.
    let asks = router.frames("e0")?;
    await_that("the querier is known", || asks.send(&query()).is_ok() && known("1 querier"))?;
    // A host of the kernel joins, and answers the router.
    let joined = receiver(member, "239.1.1.1", "10.0.0.2")?;
    await_that("the member is known", || known("2 239.1.1.1"))?;
    let sockets = [router.frames("e0")?, member.frames("e0")?, idle.frames("e0")?];
    let data = to_group([239, 1, 1, 1], 17, &[], b"\x00\x07\x00\x07\x00\x0c\x00\x00data");
    let is_data = |frame: &[u8]| frame.get(..6) == data.get(..6) && frame.get(23) == Some(&17);
    let sends = source.frames("e0")?;
    let who = |limit: Duration| -> Result<Vec<bool>> {
        for _ in 0..3 {
            sends.send(&data)?;
        }
        sockets.iter().map(|it| Ok(it.receive_matching(limit, is_data)?.is_some())).collect()
    };
    let limit = Duration::from_millis(700);
    ensure!(who(limit)? == [true, true, false], "the router and the member alone get the data");
    // It leaves; the data goes to the router alone.
    drop(joined);
    await_that("the member has left", || !known("2 239.1.1.1"))?;
    settle(&sockets)?;
    ensure!(who(limit)? == [true, false, false], "the router alone gets the data");
    // Nobody ever asked for this group.
    let other = to_group([239, 9, 9, 9], 17, &[], b"\x00\x07\x00\x07\x00\x0c\x00\x00data");
    sends.send(&other)?;
    let is_other = |frame: &[u8]| frame.get(..6) == other.get(..6);
    ensure!(sockets[0].receive_matching(limit, is_other)?.is_some(), "the router gets all");
    ensure!(sockets[2].receive_matching(limit, is_other)?.is_none(), "nobody else does");
    // With flooding of what nobody asked for, everybody does.
    let key = "other_config:mcast-snooping-disable-flood-unregistered=false";
    switch.vsctl(&["set", "bridge", BRIDGE, key])?;
    await_that("it is flooded", || {
        let sent = sends.send(&other).is_ok();
        sent && sockets[2].receive_matching(limit, is_other).is_ok_and(|it| it.is_some())
    })
}

/// A frame from `fe80::9` to an IPv6 group: with the router alert that MLD has, or without.
fn to_group6(
    group: Ipv6Addr,
    alert: bool,
    proto: u8,
    mut payload: Vec<u8>,
    sum_at: usize,
) -> Vec<u8> {
    let (source, group) = ("fe80::9".parse::<Ipv6Addr>().map(|it| it.octets()), group.octets());
    let source = source.unwrap_or_default();
    let mut pseudo = [source, group].concat();
    pseudo.extend((payload.len() as u32).to_be_bytes());
    pseudo.extend([0, 0, 0, proto]);
    pseudo.extend(&payload);
    let sum = checksum(&pseudo);
    payload[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
    let options: &[u8] = if alert { &[proto, 0, 5, 2, 0, 0, 1, 0] } else { &[] };
    let mut frame = vec![0x33, 0x33, group[12], group[13], group[14], group[15]];
    frame.extend([0x02, 0, 0, 0, 0, 9, 0x86, 0xdd, 0x60, 0, 0, 0]);
    frame.extend(((options.len() + payload.len()) as u16).to_be_bytes());
    frame.extend([if alert { 0 } else { proto }, 1]);
    frame.extend([source, group].concat());
    frame.extend(options);
    frame.extend(payload);
    frame
}

#[test]
fn ipv6_multicast_goes_to_the_kernels_listeners_and_to_the_querier() -> Result<()> {
    let bridge = Namespace::quiet("mcast6")?;
    let names = ["router", "member", "idle", "source"];
    let mut hosts = Vec::new();
    for name in names {
        // Only the member speaks IPv6 of its own accord.
        let host = if name == "member" { Namespace::new(name)? } else { Namespace::quiet(name)? };
        veth_pair((&bridge, name), (&host, "e0"))?;
        hosts.push(host);
    }
    let [router, member, idle, source] = hosts.as_slice() else { anyhow::bail!("four hosts") };
    let switch = ours(&bridge)?;
    let mut all = format!(
        "set bridge {BRIDGE} mcast_snooping_enable=true fail_mode=standalone \
         other_config:mcast-snooping-disable-flood-unregistered=true"
    );
    for (number, name) in (1..).zip(names) {
        all += &format!(
            " -- add-port {BRIDGE} {name} -- set interface {name} ofport_request={number}"
        );
    }
    switch.vsctl(&words(&all))?;
    switch.add_flow(BRIDGE, "actions=normal")?;
    let known = |port: &str, what: &str| {
        let text = switch.appctl(&["mdb/show", BRIDGE]).unwrap_or_default();
        text.lines()
            .map(|it| it.split_whitespace().collect::<Vec<_>>())
            .any(|it| it.len() >= 4 && it[0] == port && it[3] == what)
    };
    let group: Ipv6Addr = "ff15::1234".parse()?;
    let all_nodes: Ipv6Addr = "ff02::1".parse()?;
    // A general query of MLDv2 that wants to be answered within a second.
    let mut mld = vec![130, 0, 0, 0, 0x03, 0xe8, 0, 0];
    mld.extend([0; 16]);
    mld.extend([2, 125, 0, 0]);
    let query = to_group6(all_nodes, true, 58, mld, 2);
    let asks = router.frames("e0")?;
    await_that("the querier is known", || asks.send(&query).is_ok() && known("1", "querier"))?;
    let program = format!(
        "import socket, struct, time\n\
         s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n\
         s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, \
         socket.inet_pton(socket.AF_INET6, '{group}') + struct.pack('I', \
         socket.if_nametoindex('e0')))\n\
         time.sleep(600)"
    );
    let joined = member.spawn(&["python3", "-c", &program])?;
    await_that("the listener is known", || known("2", "ff15::1234"))?;
    let sockets = [router.frames("e0")?, member.frames("e0")?, idle.frames("e0")?];
    let data = to_group6(group, false, 17, b"\x00\x07\x00\x07\x00\x0c\x00\x00data".to_vec(), 6);
    let is_data = |frame: &[u8]| frame.get(..6) == data.get(..6) && frame.get(20) == Some(&17);
    let sends = source.frames("e0")?;
    let limit = Duration::from_millis(700);
    let who = || -> Result<Vec<bool>> {
        for _ in 0..3 {
            sends.send(&data)?;
        }
        sockets.iter().map(|it| Ok(it.receive_matching(limit, is_data)?.is_some())).collect()
    };
    ensure!(who()? == [true, true, false], "the router and the listener alone get the data");
    drop(joined);
    await_that("the listener has left", || !known("2", "ff15::1234"))?;
    settle(&sockets)?;
    let got = who()?;
    ensure!(got == [true, false, false], "the router alone gets the data: {got:?}");
    Ok(())
}
