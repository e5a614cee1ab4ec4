//! Sessions outlive saturated packet threads.
//!
//! ```text
//!   namespace g            namespace a (flooded)          namespace b
//!   two threads ═ f1, f2 ═ switch A ═ l1: BFD at 10 ms ═══ switch B
//!                                   ═ l2: BFD at 100 ms, CFM at 100 ms
//!                                   ═ l3, l4: a bond with LACP, fast
//! ```
//!
//! Two ports of switch A are flooded as fast as two threads can send, with flows that all differ, so
//! that its packet thread never rests and asks the slow path all the time. No session may be lost
//! meanwhile, on either side. The flood lasts for ten seconds, or for as many as
//! `DP_OVERLOAD_SECONDS` says.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::netns::{FrameSocket, Namespace, veth_pair};
use testkit::patience;
use testkit::reference::{BRIDGE, Reference, Setup};

fn switch(namespace: &Namespace) -> Result<Reference> {
    let daemon = testkit::daemon::built()?;
    Ok(Setup::within(namespace).daemon(daemon).start()?)
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// What tells of lost sessions on a switch, and must not change.
fn losses(switch: &Reference) -> Result<Vec<String>> {
    let mut losses = Vec::new();
    for (port, column) in
        [("l1", "bfd_status:flap_count"), ("l2", "bfd_status:flap_count"), ("l2", "cfm_flap_count")]
    {
        let value = switch.vsctl(&["get", "interface", port, column])?;
        losses.push(format!("{port} {column} {}", value.trim()));
    }
    let text = switch.appctl(&["lacp/show-stats"])?;
    let counted = ["Link Expired", "Link Defaulted", "Carrier Status Changed"];
    let lines = text.lines().filter(|line| counted.iter().any(|it| line.contains(it)));
    losses.extend(lines.map(|line| line.trim().to_owned()));
    Ok(losses)
}

/// Whether all sessions are there.
fn all_up(switch: &Reference) -> bool {
    let get = |port: &str, column: &str| {
        switch.vsctl(&["get", "interface", port, column]).unwrap_or_default().trim().to_owned()
    };
    get("l1", "bfd_status:state") == "up"
        && get("l2", "bfd_status:state") == "up"
        && get("l2", "cfm_fault") == "false"
        && get("l3", "lacp_current") == "true"
        && get("l4", "lacp_current") == "true"
}

/// A UDP packet whose flow is that of `number`.
fn frame(number: u64) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0x00];
    let [.., a, b, c, d] = number.to_be_bytes();
    frame.extend([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, a, b, 10, 9, 9, 9]);
    let sum: u32 = frame[14..34].chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(it[1])).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.extend([c, d, 0, 80, 0, 26, 0, 0]);
    frame.resize(60, 0);
    frame
}

fn flood(socket: &FrameSocket, seed: u64, stop: &AtomicBool, sent: &AtomicU64) {
    let mut number = seed;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..64 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if socket.send(&frame(number >> 32)).is_ok() {
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[test]
fn no_session_is_lost_while_packet_threads_are_saturated() -> Result<()> {
    let seconds = std::env::var("DP_OVERLOAD_SECONDS").ok();
    let seconds: u64 = seconds.map_or(Ok(10), |it| it.parse()).context("DP_OVERLOAD_SECONDS")?;
    let (a, b, g) =
        (Namespace::quiet("busy")?, Namespace::quiet("calm")?, Namespace::quiet("flood")?);
    for link in ["l1", "l2", "l3", "l4"] {
        veth_pair((&a, link), (&b, link))?;
    }
    veth_pair((&a, "f1"), (&g, "f1"))?;
    veth_pair((&a, "f2"), (&g, "f2"))?;
    let (busy, calm) = (switch(&a)?, switch(&b)?);
    for (switch, mpid) in [(&busy, 1), (&calm, 2)] {
        let sessions = format!(
            "add-port {BRIDGE} l1 -- add-port {BRIDGE} l2 \
             -- add-bond {BRIDGE} bond0 l3 l4 bond_mode=balance-tcp lacp=active \
             other_config:lacp-time=fast \
             -- set interface l1 bfd:enable=true bfd:min_rx=10 bfd:min_tx=10 \
             -- set interface l2 bfd:enable=true bfd:min_rx=100 bfd:min_tx=100 cfm_mpid={mpid} \
             other_config:cfm_interval=100"
        );
        switch.vsctl(&words(&sessions))?;
    }
    busy.vsctl(&words(&format!("add-port {BRIDGE} f1 -- add-port {BRIDGE} f2")))?;
    // Each flow differs in what the tables look at.
    busy.add_flow(BRIDGE, "priority=9,udp,nw_src=10.0.1.1,tp_src=1,actions=drop")?;
    busy.add_flow(BRIDGE, "priority=8,udp,actions=drop")?;
    let limit = Duration::from_secs(30);
    for switch in [&busy, &calm] {
        patience::wait(limit, || all_up(switch).then_some(()))
            .context("sessions do not come up")?;
    }
    // The machine may be somebody else's for 30 ms, which ends the quickest session whatever the
    // switch does; a switch that loses sessions loses them each time.
    for last in [false, false, true] {
        let before = (losses(&busy)?, losses(&calm)?);
        saturate(&busy, &g, seconds)?;
        let after = (losses(&busy)?, losses(&calm)?);
        if before == after {
            break;
        }
        println!("A: {:#?}\nB: {:#?}", told(&busy), told(&calm));
        ensure!(!last, "lost sessions: before {before:#?}, after {after:#?}");
        patience::wait(limit, || (all_up(&busy) && all_up(&calm)).then_some(()))
            .context("sessions do not come back")?;
    }
    ensure!(all_up(&busy) && all_up(&calm), "a session is down");
    Ok(())
}

/// What the log says of sessions that ended.
fn told(switch: &Reference) -> Vec<String> {
    let log = std::fs::read_to_string(switch.folder().join("ovs-vswitchd.log"));
    let log = log.unwrap_or_default();
    let lines = log.lines().filter(|it| it.contains("Time Expired") || it.contains("|cfm|"));
    lines.map(str::to_owned).collect()
}

/// Floods two ports of the switch for so long.
fn saturate(busy: &Reference, flooders: &Namespace, seconds: u64) -> Result<()> {
    let taken = |port: &str| -> Result<u64> {
        let words = ["--if-exists", "get", "interface", port, "statistics:rx_packets"];
        Ok(busy.vsctl(&words)?.trim().parse().unwrap_or(0))
    };
    let begin = taken("f1")? + taken("f2")?;
    let sockets = [flooders.frames("f1")?, flooders.frames("f2")?];
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for (seed, socket) in (1..).zip(&sockets) {
            let (stop, sent) = (&stop, &sent);
            scope.spawn(move || flood(socket, seed, stop, sent));
        }
        std::thread::sleep(Duration::from_secs(seconds));
        stop.store(true, Ordering::Relaxed);
    });
    // Statistics of the database are some seconds old at most.
    let enough = || {
        let taken = taken("f1").ok()? + taken("f2").ok()? - begin;
        (taken > seconds * 10_000).then_some(taken)
    };
    let taken = patience::wait(Duration::from_secs(20), enough).context("no flood came")?;
    let sent = sent.load(Ordering::Relaxed);
    println!("{seconds} s: {sent} packets sent, {taken} taken in");
    ensure!(sent > taken, "the switch was not saturated: {taken} of {sent} packets taken in");
    Ok(())
}
