//! VXLAN tunnels that share a UDP port: plain ones, GPE and group policies.

use anyhow::{Context, Result, ensure};
use testkit::packets::samples;
use testkit::reference::{BRIDGE, Reference, Setup};

use crate::beside::{turned_round, with_underlay};

const REFUSED: &str =
    "VXLAN-GBP, and non-VXLAN-GBP tunnels can't be configured on the same dst_port";

fn both() -> Result<[Reference; 2]> {
    let ours = Setup::newer()?.daemon(testkit::daemon::built()?).start()?;
    Ok([with_underlay(Reference::start_newer()?)?, with_underlay(ours)?])
}

fn add(switch: &Reference, number: usize, key: u32, options: &str) -> Result<()> {
    let words = format!(
        "add-port {BRIDGE} t{number} -- set Interface t{number} ofport_request={number} \
         type=vxlan options:remote_ip=1.1.2.92 options:key={key} {options}"
    );
    // The tool fails where the switch refuses; what the switch says is in the database.
    let added = switch.vsctl(&words.split_whitespace().collect::<Vec<_>>());
    ensure!(added.is_ok() || !error(switch, number)?.is_empty());
    Ok(())
}

fn error(switch: &Reference, number: usize) -> Result<String> {
    let text = switch.vsctl(&["get", "Interface", &format!("t{number}"), "error"])?;
    Ok(text.trim().trim_matches(['[', ']', '"']).to_owned())
}

#[test]
fn a_group_policy_does_not_share_a_port_with_what_has_none() -> Result<()> {
    let switches = both()?;
    let steps: &[(usize, &str, bool)] = &[
        (11, "", true),
        (12, "options:exts=gbp", false),
        (13, "options:exts=gpe", true),
        (14, "options:exts=gbp options:dst_port=5000", true),
        (15, "options:dst_port=5000", false),
        (16, "options:exts=gpe options:dst_port=5000", false),
        (17, "options:exts=gbp options:dst_port=5001", true),
    ];
    for &(number, options, taken) in steps {
        for switch in &switches {
            add(switch, number, u32::try_from(number)?, options)?;
        }
        let [theirs, ours] = [error(&switches[0], number)?, error(&switches[1], number)?];
        assert_eq!(ours, theirs, "{options}");
        assert_eq!(ours.is_empty(), taken, "{options}: {ours}");
        ensure!(taken || ours == format!("t{number}: {REFUSED}"), "{ours}");
    }
    // What was in the way is gone: the others come up by themselves. (At the reference with the next
    // change of the database.)
    let own = &switches[1];
    own.vsctl(&["del-port", "t14"])?;
    for number in [15, 16] {
        assert_eq!(error(own, number)?, "");
    }
    assert_eq!(error(own, 12)?, format!("t12: {REFUSED}"));
    // Two with a group policy are read alike. The reference refuses the second, too.
    add(own, 18, 18, "options:exts=gbp options:dst_port=5001")?;
    assert_eq!(error(own, 18)?, "");
    Ok(())
}

/// A frame from the other end, with these first octets of a VXLAN header.
fn outer(flags: [u8; 4], vni: u8, inner: &[u8]) -> Result<Vec<u8>> {
    let total = |more: usize| u16::try_from(more + 8 + inner.len()).map(u16::to_be_bytes);
    let mut ip = vec![0x45, 0];
    ip.extend(total(28)?);
    ip.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 1, 1, 2, 92, 1, 1, 2, 88]);
    let sum: u32 = ip.chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(it[1])).sum();
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16))?;
    ip.splice(10..12, sum.to_be_bytes());
    let mut frame = vec![0xaa, 0x55, 0xaa, 0x55, 0, 0, 0xf8, 0xbc, 0x12, 0x44, 0x34, 0xb6, 8, 0];
    frame.extend(ip);
    frame.extend([0x10, 0, 0x12, 0xb5]);
    frame.extend(total(8)?);
    frame.extend([0, 0]);
    frame.extend(flags);
    frame.extend([0, 0, vni, 0]);
    frame.extend(inner);
    Ok(frame)
}

/// Which of two tunnels each of these frames comes out of.
fn taken(switch: &Reference, frames: &[Vec<u8>]) -> Result<Vec<[u64; 2]>> {
    let mut all = Vec::new();
    for frame in frames {
        switch.ofctl(&["del-flows", BRIDGE])?;
        switch.add_flows(BRIDGE, "in_port=11,actions=1\nin_port=12,actions=1\n")?;
        switch.receive_frame("p1", frame)?;
        switch.appctl(&["revalidator/wait"])?;
        let count = |port: &str| -> Result<u64> {
            let text = switch.ofctl(&["dump-flows", BRIDGE, &format!("in_port={port}")])?;
            let count = text.split("n_packets=").nth(1).and_then(|it| it.split(',').next());
            Ok(count.context("it is there")?.parse()?)
        };
        all.push([count("11")?, count("12")?]);
    }
    Ok(all)
}

#[test]
fn headers_say_by_themselves_whether_they_are_of_gpe() -> Result<()> {
    let frame = samples::named("ipv4-udp").context("a sample")?;
    let inner = frame.get(14..).context("it is whole")?;
    let frames = [
        outer([8, 0, 0, 0], 11, &frame)?,
        outer([8, 0, 0, 0], 12, &frame)?,
        outer([0x0c, 0, 0, 3], 11, &frame)?,
        outer([0x0c, 0, 0, 3], 12, &frame)?,
        outer([0x0c, 0, 0, 1], 12, inner)?,
        // Not to be forwarded, a reserved octet, a group policy.
        outer([0x0d, 0, 0, 3], 12, &frame)?,
        outer([0x08, 0, 0, 1], 12, &frame)?,
        outer([0x88, 0, 0, 7], 12, &frame)?,
    ];
    let expected = [[1, 0], [0, 1], [1, 0], [0, 1], [0, 1], [0, 0], [0, 0], [0, 0]];
    let switches = both()?;
    let plain = |switch| add(switch, 11, 11, "");
    let gpe = |switch| add(switch, 12, 12, "options:exts=gpe options:packet_type=ptap");
    for gpe_is_first in [false, true] {
        for switch in &switches {
            let in_order = if gpe_is_first {
                gpe(switch).and_then(|()| plain(switch))
            } else {
                plain(switch).and_then(|()| gpe(switch))
            };
            in_order?;
            assert_eq!(taken(switch, &frames)?, expected, "GPE first: {gpe_is_first}");
            switch.vsctl(&["del-port", "t11", "--", "del-port", "t12"])?;
        }
    }
    // A version that nobody knows yet: the reference takes it for the first.
    let own = &switches[1];
    gpe(own)?;
    let taken =
        taken(own, &[outer([0x0c, 0, 0, 3], 12, &frame)?, outer([0x1c, 0, 0, 3], 12, &frame)?]);
    assert_eq!(taken?, [[0, 1], [0, 0]]);
    Ok(())
}

/// Two tunnels with a group policy on one UDP port, both ways: the reference makes such headers, and
/// does not read them in userspace.
#[test]
fn group_policies_go_out_and_come_in() -> Result<()> {
    let [_, own] = both()?;
    let frame = samples::named("ipv4-udp").context("a sample")?;
    own.appctl(&["tnl/neigh/set", "under", "1.1.2.92", "f8:bc:12:44:34:b6"])?;
    for number in [11, 12] {
        add(&own, number, u32::try_from(number)?, "options:exts=gbp")?;
    }
    let flows = "in_port=1,actions=set_field:0x123->tun_gbp_id,set_field:0x8->tun_gbp_flags,11,\
                 set_field:0->tun_gbp_id,set_field:0->tun_gbp_flags,12\n\
                 in_port=11,tun_gbp_id=0x123,tun_gbp_flags=0x8,actions=1\n\
                 in_port=12,tun_gbp_id=0,actions=1\n";
    own.add_flows(BRIDGE, flows)?;
    own.receive_frame("v2", &frame)?;
    let sent = own.sent("p1")?;
    let header = |frame: &Vec<u8>| frame.get(42..50).map(<[u8]>::to_vec);
    let headers: Vec<_> = sent.iter().filter_map(header).collect();
    assert_eq!(headers, [[0x88, 8, 1, 0x23, 0, 0, 11, 0], [0x08, 0, 0, 0, 0, 0, 12, 0]]);
    for outer in &sent {
        own.receive_frame("p1", &turned_round(outer))?;
    }
    assert_eq!(own.sent("v2")?, [frame.clone(), frame]);
    Ok(())
}
