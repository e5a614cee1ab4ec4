//! What controllers are told of a packet beside its bytes.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::patience;
use testkit::reference::{BRIDGE, Reference};

use super::{both, emptied};

/// A controller that is told of packets in OpenFlow 1.5, without transaction ids.
struct Listener(Child);

impl Listener {
    fn start(switch: &Reference) -> Result<Self> {
        let out = std::fs::File::create(switch.folder().join("told"))?;
        let bridge = switch.folder().join(format!("{BRIDGE}.mgmt"));
        let child = Command::new("ovs-ofctl")
            .args(["-OOpenFlow15", "-Pnxt_packet_in2", "monitor"])
            .arg(format!("unix:{}", bridge.display()))
            .arg("65534")
            .stdout(Stdio::null())
            .stderr(out)
            .spawn()?;
        let listener = Self(child);
        // Told of nothing before it has said what it wants, it is told of this packet at last.
        let there = || {
            let frame =
                ["packet-out", BRIDGE, "none", "controller", "ffffffffffff0000000000011234"];
            switch.ofctl(&frame).ok()?;
            (Self::told(switch).ok()?.len() > 1).then_some(())
        };
        patience::wait(Duration::from_secs(10), there).context("no packet reaches the listener")?;
        Ok(listener)
    }

    fn told(switch: &Reference) -> Result<Vec<String>> {
        let text = std::fs::read_to_string(switch.folder().join("told"))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// All that was told of packets that are not the first ones, when there is so much of it.
    fn lines(&self, switch: &Reference, count: usize) -> Result<Vec<String>> {
        let kept = || {
            let lines = Self::told(switch).ok()?;
            let pairs = lines.chunks_exact(2);
            let own = pairs.filter(|pair| !pair[1].contains("dl_dst=ff:ff:ff:ff:ff:ff"));
            let kept: Vec<String> = own.flatten().cloned().collect();
            (kept.len() >= 2 * count).then_some(kept)
        };
        patience::wait(Duration::from_secs(10), kept)
            .with_context(|| format!("{:#?}", Self::told(switch)))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn udp(port: u16, from: u8, to: u8) -> String {
    format!(
        "in_port({port}),eth(src=50:54:00:00:00:{from:02x},dst=50:54:00:00:00:{to:02x}),\
         eth_type(0x0800),ipv4(src=10.1.1.{from},dst=10.1.1.{to},proto=17,tos=0,ttl=64,frag=no),\
         udp(src={from},dst={to})"
    )
}

fn udp6(port: u16, from: u8, to: u8) -> String {
    let v4 = udp(port, from, to);
    let (head, tail) = v4.split_once("eth_type").unwrap_or((&v4, ""));
    let ends = format!("src=2001:db8::{from},dst=2001:db8::{to}");
    let ports = tail.split_once("udp").map_or("", |it| it.1);
    format!(
        "{head}eth_type(0x86dd),ipv6({ends},label=0,proto=17,tclass=0,hlimit=64,frag=no),udp{ports}"
    )
}

#[test]
fn controllers_are_told_of_connections_while_the_list_knows_them() -> Result<()> {
    let lines = both(|switch| {
        emptied(switch, 2)?;
        switch.add_flows(
            BRIDGE,
            "priority=9,in_port=1,udp,actions=ct(commit,zone=3,exec(set_field:5->ct_mark)),controller\n\
             priority=9,in_port=1,udp6,actions=ct(commit,zone=3),controller\n\
             priority=9,in_port=2,ip,actions=ct(table=1,zone=3)\n\
             priority=9,in_port=2,ipv6,actions=ct(table=1,zone=3)\n\
             table=1,ct_state=+trk+est,actions=controller,ct_clear,controller\n\
             table=1,ct_state=+trk+new,udp,actions=ct(commit,zone=4),controller\n\
             table=1,ct_state=+trk+inv,actions=controller\n",
        )?;
        let listener = Listener::start(switch)?;
        for packet in [udp(2, 7, 8), udp(1, 1, 2), udp(2, 2, 1), udp6(1, 1, 2), udp6(2, 2, 1)] {
            switch.receive("p1", &packet.replace("in_port(2)", "in_port(1)"))?;
            switch.receive("p2", &packet)?;
        }
        // One that cannot be tracked.
        let broken = udp(2, 3, 4).replace("frag=no),udp(src=3,dst=4)", "frag=first)");
        switch.receive("p2", &broken)?;
        let mut lines = listener.lines(switch, 12)?;
        lines.sort();
        Ok(lines)
    })?;
    let told = |what: &str| lines.iter().any(|line| line.contains(what));
    ensure!(told("ct_nw_src=10.1.1.1") && told("ct_ipv6_dst=2001:db8::2"), "{lines:#?}");
    ensure!(told("ct_state=est|trk") || told("ct_state=est|rpl|trk"), "{lines:#?}");
    Ok(())
}

#[test]
fn a_packet_that_a_controller_sent_is_told_of_with_all_that_it_said() -> Result<()> {
    let lines = both(|switch| {
        switch.ofctl(&["del-flows", BRIDGE])?;
        switch.ofctl(&["add-tlv-map", BRIDGE, "{class=0xffff,type=1,len=4}->tun_metadata3"])?;
        let fields = [
            "in_port=1",
            "in_port=2,tunnel_id=3",
            "in_port=2,metadata=5",
            "in_port=2,reg0=1,reg4=2,reg8=3,reg12=5",
            "in_port=2,tun_src=1.1.1.1,tun_dst=2.2.2.2,tun_gbp_id=1,tun_gbp_flags=3",
            "in_port=2,tun_metadata3=0x11",
        ];
        for matched in fields {
            let flow = format!("{matched},actions=controller").replace("tunnel_id", "tun_id");
            switch.ofctl(&["-OOpenFlow15", "add-flow", BRIDGE, &flow])?;
        }
        let listener = Listener::start(switch)?;
        for (number, said) in fields.iter().enumerate() {
            for to in ["table", "controller"] {
                let packet =
                    format!("{said} packet=000102030405001020304050111{number} actions={to}");
                switch.ofctl(&["-OOpenFlow15", "packet-out", BRIDGE, &packet])?;
            }
        }
        listener.lines(switch, 12)
    })?;
    let told = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
    ensure!(told("metadata=0x5,") == 2 && told("reg12=0x5,") == 2, "{lines:#?}");
    Ok(())
}

#[test]
fn a_look_up_of_the_first_packets_tuple_looks_at_no_more_than_it_must() -> Result<()> {
    let lines = both(|switch| {
        emptied(switch, 2)?;
        switch.add_flows(
            BRIDGE,
            "priority=9,in_port=1,ip,actions=ct(commit),2\n\
             priority=9,in_port=2,ip,actions=ct(table=1)\n\
             table=1,ct_state=+trk+rpl,ip,actions=resubmit(,2,ct)\n\
             table=2,udp,udp_dst=2,actions=1\n\
             table=2,udp,udp_dst=4,nw_src=10.1.1.3,actions=local\n",
        )?;
        for (from, to) in [(1, 2), (3, 4), (5, 4), (6, 2)] {
            switch.receive("p1", &udp(1, from, to))?;
            switch.receive("p2", &udp(2, to, from))?;
        }
        let text = switch.appctl(&["dpctl/dump-flows"])?;
        let row = |line: &str| {
            let (matched, rest) = line.split_once(", packets:")?;
            let actions = rest.split_once("actions:")?.1;
            Some(format!("{matched} {actions}"))
        };
        let mut lines: Vec<_> = text.lines().filter_map(row).collect();
        lines.sort();
        Ok(lines)
    })?;
    ensure!(lines.iter().any(|line| line.contains("ct_tuple4(")), "{lines:#?}");
    Ok(())
}

#[test]
fn a_trace_takes_no_state_that_no_connection_can_have() -> Result<()> {
    let lines = both(|switch| {
        switch.ofctl(&["del-flows", BRIDGE])?;
        switch.add_flow(BRIDGE, "tcp,actions=ct(table=1)")?;
        switch.add_flow(BRIDGE, "table=1,tcp,actions=local")?;
        let look = |state: &str| match switch.appctl(&[
            "ofproto/trace",
            BRIDGE,
            "in_port=1,tcp",
            "--ct-next",
            state,
        ]) {
            Ok(text) => {
                let resumed = text.lines().find(|line| line.contains("resume conntrack"));
                resumed
                    .and_then(|line| line.split_once("ct_state"))
                    .map_or("", |it| it.1)
                    .to_owned()
            }
            Err(error) => {
                let text = error.to_string();
                text.split_once("exit status: 2: ").map_or(text.clone(), |it| it.1.to_owned())
            }
        };
        let states = [
            "trk",
            "trk,est",
            "inv",
            "est",
            "trk,new,est",
            "trk,inv,rel",
            "trk,new,rpl",
            "foo",
            "",
        ];
        Ok(states.map(look).to_vec())
    })?;
    ensure!(lines.iter().filter(|line| line.contains("invalid")).count() == 5, "{lines:#?}");
    Ok(())
}
