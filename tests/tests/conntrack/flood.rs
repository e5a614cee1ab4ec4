//! An established connection beside a flood: of new ones that fill the table, that go on when it is
//! full, and while it empties.
//!
//! The flood is 2,000 datagrams a second, each of a host of its own, into a table of 5,000. The
//! established connection goes on all the time, loses nothing, and carries at least a tenth of what it
//! carried before or carries afterwards: the two share the switch's packet thread, and here most often the
//! processor too. What the tracker itself costs meanwhile, the benchmark `conntrack` measures.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use testkit::netns::FrameSocket;
use testkit::packets::Packet;

use super::hosts::{Client, Echo, Hosts, LEFT_MAC, PATIENCE, RIGHT, RIGHT_MAC};

const MOST: u64 = 5_000;
const A_SECOND: u32 = 2_000;

/// Sends new ones at an even rate until told to stop.
fn flood(socket: &FrameSocket, stop: &AtomicBool) {
    let mut frame = Packet::ethernet(LEFT_MAC, RIGHT_MAC)
        .ipv4("10.0.0.0", "10.255.255.255")
        .udp(1000, 9)
        .build();
    let start = Instant::now();
    let mut sent = 0u32;
    while !stop.load(Ordering::Relaxed) {
        let due = start.elapsed().as_millis() as u32 * (A_SECOND / 1000);
        while sent < due {
            // Source and destination take the same from the checksum, one as the other's complement.
            let [_, _, high, low] = sent.to_be_bytes();
            frame[28..30].copy_from_slice(&[high, low]);
            frame[32..34].copy_from_slice(&[!high, !low]);
            let third = (sent >> 16) as u8;
            frame[27] = third;
            frame[31] = !third;
            let _ = socket.send(&frame);
            sent += 1;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Bytes a second that come back, while this says that it goes on.
fn rate(client: &mut Client, mut goes_on: impl FnMut(Duration) -> Result<bool>) -> Result<f64> {
    const LEN: usize = 20_000;
    let start = Instant::now();
    let mut rounds = 0;
    while goes_on(start.elapsed())? {
        client.echo(LEN)?;
        rounds += 1;
    }
    Ok(f64::from(rounds) * LEN as f64 / start.elapsed().as_secs_f64())
}

#[test]
fn an_established_connection_goes_on_while_a_flood_fills_the_table_and_while_it_empties()
-> Result<()> {
    let hosts = Hosts::start()?;
    let ask = |words: &[&str]| -> Result<String> { Ok(hosts.switch.appctl(words)?) };
    let held = || -> Result<u64> { Ok(ask(&["dpctl/ct-get-nconns"])?.trim().parse()?) };
    ask(&["dpctl/ct-set-maxconns", &MOST.to_string()])?;
    ask(&["dpctl/ct-set-sweep-interval", "1000"])?;
    hosts.switch.vsctl(&[
        "--",
        "--id=@d",
        "create",
        "Datapath",
        "datapath_version=0",
        "--",
        "set",
        "Open_vSwitch",
        ".",
        "datapaths:netdev=@d",
    ])?;
    hosts.switch.vsctl(&["add-zone-tp", "netdev", "zone=2", "udp_first=4", "udp_single=4"])?;
    hosts.flows(
        "table=0,priority=6,udp,in_port=1,actions=ct(commit,zone=2)\n\
         table=0,priority=5,tcp,actions=ct(table=1,zone=1)\n\
         table=1,priority=9,ct_state=+inv+trk,tcp,actions=drop\n\
         table=1,priority=5,in_port=1,ct_state=+trk,tcp,actions=ct(commit,zone=1),2\n\
         table=1,priority=5,in_port=2,ct_state=+est+trk,tcp,actions=1\n",
    )?;
    let server = Echo::tcp(&hosts.right, &format!("{RIGHT}:0"), "right")?;
    let mut client = Client::connect(&hosts.left, &server.address.to_string())?;
    let socket = hosts.left.frames("eth0")?;
    let second = |spent: Duration| Ok(spent < Duration::from_secs(1));
    rate(&mut client, second)?;
    let alone = rate(&mut client, second)?;
    let stop = AtomicBool::new(false);
    let (filling, full) = thread::scope(|scope| -> Result<(f64, f64)> {
        scope.spawn(|| flood(&socket, &stop));
        let filling = rate(&mut client, |spent| {
            ensure!(spent < 3 * PATIENCE, "the table fills: {}", held()?);
            Ok(held()? < MOST - 100)
        });
        let full = rate(&mut client, second);
        stop.store(true, Ordering::Relaxed);
        Ok((filling?, full?))
    })?;
    ensure!(hosts.counted("conntrack_evicted")? > 500, "the flood makes room for itself");
    ensure!(hosts.counted("conntrack_full")? == 0, "nobody is kept out");
    let emptying = rate(&mut client, |spent| {
        ensure!(spent < 3 * PATIENCE, "the table empties: {}", held()?);
        Ok(held()? > 1)
    })?;
    let last = rate(&mut client, second)?;
    let millions = [alone, filling, full, emptying, last].map(|rate| rate / 1e6);
    println!("million bytes a second, alone, filling, full, emptying, alone: {millions:.1?}");
    for (when, found) in [("fills", filling), ("is full", full), ("empties", emptying)] {
        ensure!(found > alone.min(last) / 10.0, "while the table {when}: {millions:.1?}");
    }
    let all = hosts.connections()?;
    ensure!(all.contains("state=ESTABLISHED"), "{all}");
    Ok(())
}

/// A zone that holds two: what becomes of the datagrams of five, either way of handling it.
#[test]
fn what_a_full_zone_keeps_out_goes_on_or_is_dropped_with_a_reason() -> Result<()> {
    let hosts = Hosts::start()?;
    hosts.flows("priority=5,udp,in_port=1,actions=ct(commit,zone=2),2\n")?;
    hosts.switch.appctl(&["dpctl/ct-set-limits", "zone=2,limit=2"])?;
    let (socket, right) = (hosts.left.frames("eth0")?, hosts.right.frames("eth0")?);
    let send = |from: u16| -> Result<()> {
        for port in from..from + 5 {
            let frame = Packet::ethernet(LEFT_MAC, RIGHT_MAC).ipv4("10.1.0.1", RIGHT);
            socket.send(&frame.udp(port, 9).build())?;
        }
        Ok(())
    };
    // Datagrams of these five that arrive, until none has for a while.
    let arrived = |from: u16| -> Result<usize> {
        let mut count = 0;
        while let Some(frame) = right.receive(Duration::from_millis(400))? {
            let ours = frame.get(12..14) == Some(&[8, 0]) && frame.get(23) == Some(&17);
            let port = frame.get(34..36).map_or(0, |it| u16::from_be_bytes([it[0], it[1]]));
            count += usize::from(ours && (from..from + 5).contains(&port));
        }
        Ok(count)
    };
    send(1000)?;
    ensure!(arrived(1000)? == 5, "all go on");
    let refused = hosts.counted("conntrack_zone_full")?;
    ensure!(refused == 3, "{refused} were not entered");
    hosts.switch.vsctl(&["set", "Open_vSwitch", ".", "other_config:ct-drop-unentered=true"])?;
    hosts.switch.appctl(&["dpctl/flush-conntrack"])?;
    send(2000)?;
    ensure!(arrived(2000)? == 2, "those that are entered go on");
    let dropped = hosts.counted("drop_action_conntrack_zone_full")?;
    ensure!(dropped == 3, "{dropped} were dropped");
    hosts.switch.vsctl(&["remove", "Open_vSwitch", ".", "other_config", "ct-drop-unentered"])?;
    send(3000)?;
    ensure!(arrived(3000)? == 5, "all go on again");
    Ok(())
}
