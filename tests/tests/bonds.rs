//! Bonds that carry packets: tables in the datapath, evening out, failing over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::netns::{Namespace, veth_pair};
use testkit::patience;
use testkit::reference::{BRIDGE, Reference, Setup};

const LIMIT: Duration = Duration::from_secs(30);

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// The members that each bond's table names, by the number of the bond.
fn tables(switch: &Reference) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (mut bond, mut buckets) = (String::new(), 0);
    for line in switch.appctl(&["dpif-netdev/bond-show"])?.lines().map(str::trim) {
        if let Some(id) = line.strip_prefix("bond-id ") {
            bond = id.to_owned();
        } else if let Some((_, member)) = line.split_once(" - member ") {
            tables.entry(bond.clone()).or_default().insert(member.to_owned());
            buckets += 1;
        }
    }
    ensure!(buckets == 256 * tables.len(), "{buckets} buckets of {} bonds", tables.len());
    Ok(tables)
}

/// Packets that a port has received.
fn received(switch: &Reference, bridge: &str, port: &str) -> Result<u64> {
    let text = switch.ofctl(&["dump-ports", bridge, port])?;
    let count = text.split("rx pkts=").nth(1).and_then(|it| it.split(',').next());
    Ok(count.context("a count")?.trim().parse()?)
}

fn pass(switch: &Reference, millis: u64) -> Result<()> {
    Ok(switch.time_warp(Duration::from_millis(millis), Some(Duration::from_millis(100)))?)
}

/// So many packets of flow `number` into `p7`, each of 1,400 bytes.
fn send(switch: &Reference, number: usize, count: usize) -> Result<()> {
    let flow = format!(
        "in_port(7),eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:20),eth_type(0x0800),\
         ipv4(src=10.0.0.1,dst=10.0.0.200,proto=17,tos=0,ttl=64,frag=no),udp(src={number},dst=80)"
    );
    let mut all = vec!["netdev-dummy/receive", "p7"];
    for _ in 0..count {
        all.extend([flow.as_str(), "--len", "1400"]);
    }
    switch.appctl(&all)?;
    Ok(())
}

/// Two bonds of one switch, wired together; the left one has its table in the datapath.
fn wired(switch: &Reference) -> Result<()> {
    switch.time_stop()?;
    let mut all = String::new();
    for (bridge, bond, ports, mac) in
        [("br1", "bond1", ["p3", "p4"], 1), (BRIDGE, "bond0", ["p1", "p2"], 0)]
    {
        all += &format!(
            " -- --may-exist add-br {bridge} -- set bridge {bridge} datapath_type=dummy \
             fail_mode=standalone other_config:hwaddr=aa:66:aa:66:00:0{mac} \
             -- add-bond {bridge} {bond} {} {} bond_mode=balance-tcp lacp=active \
             other_config:lacp-time=fast other_config:bond-rebalance-interval=1000 \
             other_config:lb-output-action={}",
            ports[0],
            ports[1],
            mac == 0
        );
        for (wire, port) in ports.into_iter().enumerate() {
            let socket = switch.folder().join(format!("wire{wire}.sock"));
            let option = if mac == 0 { "stream=unix" } else { "pstream=punix" };
            let number = &port[1..];
            all += &format!(
                " -- set interface {port} type=dummy ofport_request={number} options:{option}:{}",
                socket.display()
            );
        }
    }
    all += &format!(" -- add-port {BRIDGE} p7 -- set interface p7 type=dummy ofport_request=7");
    switch.vsctl(&words(&all))?;
    for bridge in [BRIDGE, "br1"] {
        switch.add_flow(bridge, "actions=normal")?;
    }
    let negotiated = || {
        pass(switch, 1000).ok()?;
        let text = switch.appctl(&["bond/show", "bond0"]).ok()?;
        let members = text.matches("may_enable: true").count();
        (text.contains("lacp_status: negotiated") && members == 2).then_some(())
    };
    patience::wait(LIMIT, negotiated).context("the bond does not come up")
}

fn datapath_chooses(switch: &Reference) -> Result<()> {
    wired(switch)?;
    let (id, members) = tables(switch)?.pop_first().context("a table")?;
    ensure!(members.len() == 2, "both members: {members:?}");
    let trace = switch.trace(BRIDGE, "in_port=7,udp,dl_dst=50:54:00:00:00:20")?;
    let action = format!("lb_output({})", id.trim_end_matches(':'));
    ensure!(trace.contains(&action), "{trace}");
    let counts = || -> Result<[u64; 2]> {
        Ok([received(switch, "br1", "p3")?, received(switch, "br1", "p4")?])
    };
    // Which flows go by which member.
    let mut by_first = Vec::new();
    let mut others = 0;
    for number in 1..=32 {
        let before = counts()?;
        send(switch, number, 3)?;
        pass(switch, 10)?;
        let after = counts()?;
        let [first, second] = [after[0] - before[0], after[1] - before[1]];
        match (first >= 3, second >= 3) {
            (true, false) => by_first.push(number),
            (false, true) => others += 1,
            _ => anyhow::bail!("flow {number}: {first} and {second} packets"),
        }
    }
    ensure!(by_first.len() >= 6 && others >= 6, "{} and {others} flows", by_first.len());
    // All the load on one member: some of it moves.
    for _ in 0..4 {
        for number in by_first.iter().take(6) {
            send(switch, *number, 60)?;
        }
        pass(switch, 1100)?;
    }
    let mut moved = 0;
    for number in by_first.iter().take(6) {
        let before = counts()?;
        send(switch, *number, 3)?;
        pass(switch, 10)?;
        moved += usize::from(counts()?[1] - before[1] >= 3);
    }
    ensure!((1..6).contains(&moved), "{moved} of 6 flows were moved");
    let shown = switch.appctl(&["bond/show", "bond0"])?;
    ensure!(shown.contains(" kB load"), "{shown}");
    // A member goes, the setting goes.
    switch.appctl(&["netdev-dummy/set-admin-state", "p1", "down"])?;
    pass(switch, 1000)?;
    ensure!(tables(switch)?.get(&id) == Some(&BTreeSet::from(["2".to_owned()])));
    switch.vsctl(&words("set port bond0 other_config:lb-output-action=false"))?;
    pass(switch, 1000)?;
    ensure!(tables(switch)?.is_empty(), "the table is gone");
    let trace = switch.trace(BRIDGE, "in_port=7,udp,dl_dst=50:54:00:00:00:20")?;
    ensure!(trace.contains("hash(l4(0)),recirc("), "{trace}");
    // Packets that come back from being hashed go by the member that is left.
    let before = counts()?[1];
    for number in 1..=8 {
        send(switch, number, 3)?;
    }
    pass(switch, 10)?;
    ensure!(counts()?[1] - before >= 24, "hashed packets arrive");
    Ok(())
}

#[test]
fn the_datapath_chooses_members_and_what_they_carry_is_evened_out() -> Result<()> {
    datapath_chooses(&Reference::start_ours()?).context("ours")?;
    datapath_chooses(&Reference::start()?).context("the reference")
}

/// Sends numbered frames through a bond of two real links, takes a link away meanwhile, and counts
/// what is lost.
fn fail_over(left: Setup<'_>, right: Setup<'_>, spaces: [&Namespace; 2]) -> Result<u64> {
    let [a, hosts] = spaces;
    let (left, right) = (left.start()?, right.start()?);
    for (switch, host) in [(&left, "h1"), (&right, "h2")] {
        let bond = format!(
            "add-bond {BRIDGE} bond0 l1 l2 bond_mode=active-backup lacp=active \
             other_config:lacp-time=fast -- add-port {BRIDGE} {host}"
        );
        switch.vsctl(&words(&bond))?;
        switch.add_flow(BRIDGE, "actions=normal")?;
    }
    for switch in [&left, &right] {
        let up = || {
            let text = switch.appctl(&["bond/show", "bond0"]).ok()?;
            (text.matches("may_enable: true").count() == 2).then_some(())
        };
        patience::wait(LIMIT, up).context("the bond does not come up")?;
    }
    let (from, to) = (hosts.frames("h1p")?, hosts.frames("h2p")?);
    let frame = |number: u16| {
        let mut frame = vec![0x02, 0, 0, 0, 0, 9, 0x02, 0, 0, 0, 0, 8, 0x88, 0xb5];
        frame.extend(number.to_be_bytes());
        frame.resize(60, 0);
        frame
    };
    let arrived = |frame: &[u8]| frame.get(12..14) == Some(&[0x88, 0xb5]);
    // Packets flow before anything is measured.
    let warm = || {
        from.send(&frame(0)).ok()?;
        let got = to.receive_matching(Duration::from_millis(100), arrived).ok()?;
        got.map(drop)
    };
    patience::wait(LIMIT, warm).context("no packet comes through")?;
    let mut got = BTreeSet::new();
    let mut take = |limit: Duration| -> Result<()> {
        while let Some(frame) = to.receive_matching(limit, arrived)? {
            got.insert(u16::from_be_bytes([frame[14], frame[15]]));
        }
        Ok(())
    };
    for number in 1..=FRAMES {
        from.send(&frame(number))?;
        std::thread::sleep(Duration::from_millis(2));
        if number == FRAMES / 4 {
            // The active link, whichever it is; the other end loses its carrier too.
            let text = left.appctl(&["bond/show", "bond0"])?;
            let line = text.lines().find(|line| line.starts_with("active member mac"));
            let active =
                line.and_then(|it| it.split(['(', ')']).nth(1)).context("an active member")?;
            a.ip(&["link", "set", active, "down"])?;
        }
        take(Duration::ZERO)?;
    }
    take(Duration::from_millis(500))?;
    got.remove(&0);
    for switch in [&left, &right] {
        let text = switch.appctl(&["bond/show", "bond0"])?;
        ensure!(text.matches("may_enable: true").count() == 1, "one member is left: {text}");
    }
    Ok(u64::from(FRAMES) - got.len() as u64)
}

/// Frames sent through a bond, two milliseconds apart.
const FRAMES: u16 = 1500;

#[test]
fn a_bond_on_real_links_fails_over_and_loses_little() -> Result<()> {
    let daemon = testkit::daemon::built()?;
    for (who, ours) in [("ours", [true, true]), ("mixed", [true, false]), ("mixed", [false, true])]
    {
        let (a, b) = (Namespace::quiet("left")?, Namespace::quiet("right")?);
        let hosts = Namespace::quiet("hosts")?;
        for link in ["l1", "l2"] {
            veth_pair((&a, link), (&b, link))?;
        }
        veth_pair((&a, "h1"), (&hosts, "h1p"))?;
        veth_pair((&b, "h2"), (&hosts, "h2p"))?;
        let setup = |space, ours| {
            let setup = Setup::within(space);
            if ours { setup.daemon(&daemon) } else { setup }
        };
        let lost = fail_over(setup(&a, ours[0]), setup(&b, ours[1]), [&a, &hosts])?;
        println!("{who} {ours:?}: {lost} of {FRAMES} packets lost, at one every 2 ms or more");
        ensure!(lost < u64::from(FRAMES) / 2, "{who}: {lost} of {FRAMES} packets lost");
    }
    Ok(())
}

/// A frame of UDP flow `number`.
fn datagram(number: u16) -> Vec<u8> {
    testkit::packets::Packet::ethernet("02:00:00:00:00:08", "02:00:00:00:00:09")
        .ipv4("10.0.0.1", "10.0.0.2")
        .udp(1000 + number, 80)
        .payload(vec![0; 1200])
        .build_padded()
}

/// Waits until a column of an interface, or a key of it, has a value.
fn becomes(switch: &Reference, interface: &str, column: &str, value: &str) -> Result<()> {
    let done = || {
        let text = switch.vsctl(&["--if-exists", "get", "interface", interface, column]).ok()?;
        (text.trim().trim_matches('"') == value).then_some(())
    };
    patience::wait(LIMIT, done).with_context(|| format!("{interface} {column} {value}"))
}

/// Watches two real links by BFD and CFM, takes them away and gives them back; and moves load
/// between them.
fn watch_and_even_out(left: Setup<'_>, right: Setup<'_>, spaces: [&Namespace; 2]) -> Result<()> {
    let [a, hosts] = spaces;
    let switches = [left.start()?, right.start()?];
    for (mpid, (switch, host)) in switches.iter().zip(["h1", "h2"]).enumerate() {
        let bond = format!(
            "add-bond {BRIDGE} bond0 l1 l2 bond_mode=balance-tcp lacp=active \
             other_config:lacp-time=fast other_config:bond-rebalance-interval=1000 \
             -- set interface l1 bfd:enable=true bfd:min_rx=100 bfd:min_tx=100 \
             -- set interface l2 cfm_mpid={} other_config:cfm_interval=100 \
             -- add-port {BRIDGE} {host}",
            mpid + 1
        );
        switch.vsctl(&words(&bond))?;
        switch.add_flow(BRIDGE, "actions=normal")?;
    }
    let sessions = |up: bool| -> Result<()> {
        for switch in &switches {
            becomes(switch, "l1", "bfd_status:forwarding", if up { "true" } else { "false" })?;
            becomes(switch, "l2", "cfm_fault", if up { "false" } else { "true" })?;
            if up {
                becomes(switch, "l1", "bfd_status:state", "up")?;
            }
        }
        Ok(())
    };
    sessions(true)?;
    for link in ["l1", "l2"] {
        a.ip(&["link", "set", link, "down"])?;
    }
    sessions(false)?;
    for link in ["l1", "l2"] {
        a.ip(&["link", "set", link, "up"])?;
    }
    sessions(true)?;
    let both = || {
        let text = switches[0].appctl(&["bond/show", "bond0"]).ok()?;
        (text.matches("may_enable: true").count() == 2).then_some(())
    };
    patience::wait(LIMIT, both).context("both members")?;
    let from = hosts.frames("h1p")?;
    // Whether a flow's frames come in by the first link.
    let by_first = |number: u16| -> Result<bool> {
        let before = received(&switches[1], BRIDGE, "l1")?;
        for _ in 0..40 {
            from.send(&datagram(number))?;
        }
        std::thread::sleep(Duration::from_millis(60));
        Ok(received(&switches[1], BRIDGE, "l1")? - before >= 40)
    };
    let first = (0..24).map(by_first).collect::<Result<Vec<_>>>()?;
    // Load on the link that has more flows: some of it moves.
    let more = first.iter().filter(|by_first| **by_first).count() >= 12;
    let heavy: Vec<u16> =
        (0..).zip(&first).filter(|(_, by)| **by == more).map(|(flow, _)| flow).take(6).collect();
    let moved = || {
        for _ in 0..100 {
            for number in &heavy {
                from.send(&datagram(*number)).ok()?;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        heavy.iter().find(|number| by_first(**number).is_ok_and(|by| by != more)).map(drop)
    };
    patience::wait(LIMIT, moved).context("no flow is moved to the other link")
}

#[test]
fn sessions_and_load_follow_real_links() -> Result<()> {
    let daemon = testkit::daemon::built()?;
    for ours in [[true, true], [true, false], [false, true]] {
        let (a, b) = (Namespace::quiet("wleft")?, Namespace::quiet("wright")?);
        let hosts = Namespace::quiet("whosts")?;
        for link in ["l1", "l2"] {
            veth_pair((&a, link), (&b, link))?;
        }
        veth_pair((&a, "h1"), (&hosts, "h1p"))?;
        veth_pair((&b, "h2"), (&hosts, "h2p"))?;
        let setup = |space, ours| {
            let setup = Setup::within(space);
            if ours { setup.daemon(&daemon) } else { setup }
        };
        watch_and_even_out(setup(&a, ours[0]), setup(&b, ours[1]), [&a, &hosts])
            .with_context(|| format!("ours: {ours:?}"))?;
    }
    Ok(())
}
