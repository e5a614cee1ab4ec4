//! The classes of known vulnerabilities that touch parsing and megaflows, one test each, by name.
//! What belongs to one room alone stands there: `cargo test cve_` runs all of them.

use anyhow::Result;
use dp_core::pipeline::Malformed;
use dp_ofproto::bridge::VlanMode;
use dp_tests::{Switch, SwitchConfig};

fn switch(flows: &str, malformed: Malformed) -> Result<Switch> {
    let ports = vec![VlanMode::default(); 3];
    let mut switch = Switch::new(&SwitchConfig { ports, malformed, always_move: true })?;
    switch.set_flows(flows)?;
    Ok(switch)
}

/// Ports that a frame leaves by.
fn ports(switch: &mut Switch, frame: &[u8]) -> Result<Vec<u16>> {
    Ok(switch.receive(1, frame)?.into_keys().collect())
}

const ETHERNET: [u8; 12] = [0x50, 0x54, 0, 0, 0, 0x0a, 0x50, 0x54, 0, 0, 0, 9];

/// An IPv4 packet with this protocol and total length, whatever its payload.
fn ipv4(proto: u8, total: u16, payload: &[u8]) -> Vec<u8> {
    let [high, low] = total.to_be_bytes();
    let header = [0x45, 0, high, low, 0, 0, 0, 0, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    [&ETHERNET[..], &[8, 0], &header, payload].concat()
}

fn udp(dst: u16, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + body.len()).unwrap_or(8).to_be_bytes();
    [&[0, 7][..], &dst.to_be_bytes(), &len, &[0, 0], body].concat()
}

fn total(payload: &[u8]) -> u16 {
    u16::try_from(20 + payload.len()).unwrap_or(20)
}

/// A total length below the header's made the length of what follows wrap, and ports were read from
/// wherever that led: past an access list.
#[test]
fn cve_2016_10377_a_total_length_below_the_header_reads_no_ports() -> Result<()> {
    let flows = "priority=2,udp,tp_dst=53,actions=output:2\npriority=1,ip,actions=output:3\n";
    let payload = udp(53, b"abc");
    for lie in [0, 1, 19, 20, 21, 27] {
        let frame = ipv4(17, lie, &payload);
        let mut strict = switch(flows, Malformed::Drop)?;
        assert_eq!(ports(&mut strict, &frame)?, [] as [u16; 0], "{lie}");
        // Forwarded as the reference does: but never on ports that the datagram does not have.
        let mut lenient = switch(flows, Malformed::Forward)?;
        assert_eq!(ports(&mut lenient, &frame)?, [3], "{lie}");
        assert_eq!(ports(&mut lenient, &ipv4(17, total(&payload), &payload))?, [2]);
        assert_eq!(ports(&mut lenient, &frame)?, [3], "{lie}, behind a megaflow for true ones");
    }
    Ok(())
}

/// Padding behind the datagram was taken for its payload, and the megaflow that came of it covered
/// packets that had other ports.
#[test]
fn cve_2020_35498_padding_behind_a_datagram_is_no_payload() -> Result<()> {
    let flows = "priority=2,udp,tp_dst=53,actions=output:2\npriority=1,ip,actions=output:3\n";
    for malformed in [Malformed::Drop, Malformed::Forward] {
        let mut switch = switch(flows, malformed)?;
        // Four bytes of UDP, and padding that goes on like the rest of a header to port 53.
        let cut = ipv4(17, 24, &udp(53, b"padding that looks like a datagram"));
        let first = ports(&mut switch, &cut)?;
        assert_eq!(first, if malformed == Malformed::Drop { vec![] } else { vec![3] });
        for (dst, out) in [(53, 2), (54, 3), (53, 2)] {
            let payload = udp(dst, b"abc");
            let mut frame = ipv4(17, total(&payload), &payload);
            assert_eq!(ports(&mut switch, &frame)?, [out]);
            frame.extend([0xee; 40]);
            assert_eq!(ports(&mut switch, &frame)?, [out], "padded");
        }
        assert_eq!(ports(&mut switch, &cut)?, first);
    }
    Ok(())
}

/// A packet of protocol 0 made a megaflow that said nothing of the protocol, and carried all others
/// without the rewriting that their rules ask for; and the other way round.
#[test]
fn cve_2023_1668_protocol_zero_makes_a_megaflow_of_its_own() -> Result<()> {
    let flows = "priority=1,ip,actions=mod_nw_dst:10.9.9.9,mod_nw_ttl:5,output:2\n";
    let payload = udp(53, b"abc");
    let zero = ipv4(0, total(&payload), &payload);
    let other = ipv4(17, total(&payload), &payload);
    let rewritten = |switch: &mut Switch, frame: &[u8]| -> Result<_> {
        let left = switch.receive(1, frame)?;
        let out = left.get(&2).and_then(|frames| frames.first());
        Ok(out.map(|out| (out[22], out[30..34].to_vec())))
    };
    // What becomes of protocol 0 alone; the reference does not rewrite it.
    let alone = rewritten(&mut switch(flows, Malformed::Drop)?, &zero)?;
    for order in [[&zero, &other, &zero, &other], [&other, &zero, &other, &zero]] {
        let mut switch = switch(flows, Malformed::Drop)?;
        for frame in order {
            let right = Some((5, vec![10, 9, 9, 9]));
            let expected = if frame == &zero { alone.clone() } else { right };
            assert_eq!(rewritten(&mut switch, frame)?, expected, "protocol {}", frame[23]);
        }
    }
    Ok(())
}

/// An IPv6 neighbour advertisement of this target.
fn advertisement(target: u8) -> Vec<u8> {
    let address = |last: u8| {
        let mut address = [0u8; 16];
        (address[0], address[15]) = (0xfd, last);
        address
    };
    let mut icmp = vec![136, 0, 0, 0, 0x60, 0, 0, 0];
    icmp.extend(address(target));
    icmp.extend([2, 1, 0x50, 0x54, 0, 0, 0, 9]);
    let mut out = [&ETHERNET[..], &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]].concat();
    out.extend(address(1));
    out.extend(address(2));
    out.extend(icmp);
    out
}

/// The target of a neighbour advertisement was matched without its bits counting in the megaflow:
/// one advertisement that was allowed let all others through.
#[test]
fn cve_2023_5366_the_target_of_an_advertisement_counts() -> Result<()> {
    let flows = "priority=2,icmp6,icmp_type=136,icmp_code=0,nd_target=fd00::7,actions=output:2\n\
                 priority=1,icmp6,actions=output:3\n";
    for order in [[7, 8, 7, 9], [8, 7, 8, 7]] {
        let mut switch = switch(flows, Malformed::Drop)?;
        for target in order {
            let expected = if target == 7 { 2 } else { 3 };
            assert_eq!(ports(&mut switch, &advertisement(target))?, [expected], "{order:?}");
        }
    }
    Ok(())
}

/// The link-layer address in the advertisement as well.
#[test]
fn cve_2023_5366_the_address_in_an_advertisement_counts() -> Result<()> {
    let flows = "priority=2,icmp6,icmp_type=136,icmp_code=0,nd_tll=50:54:00:00:00:09,actions=output:2\n\
                 priority=1,icmp6,actions=output:3\n";
    let mut switch = switch(flows, Malformed::Drop)?;
    let (own, mut spoofed) = (advertisement(7), advertisement(7));
    if let Some(last) = spoofed.last_mut() {
        *last = 0x66;
    }
    for (frame, out) in [(&own, 2), (&spoofed, 3), (&own, 2)] {
        assert_eq!(ports(&mut switch, frame)?, [out]);
    }
    Ok(())
}

/// A payload length of IPv6 that ends before the transport header, or behind the frame, made the
/// reference read ports that are not there (its commit 4fe080160).
#[test]
fn an_ipv6_payload_length_that_lies_reads_no_ports() -> Result<()> {
    let flows = "priority=2,udp6,tp_dst=53,actions=output:2\npriority=1,ipv6,actions=output:3\n";
    let frame = |said: u16| {
        let mut frame = advertisement(7);
        frame.truncate(54);
        frame[18..20].copy_from_slice(&said.to_be_bytes());
        frame[20] = 17;
        frame.extend(udp(53, b"abc"));
        frame
    };
    let true_length = 11;
    for lie in [0, 1, 7, 12, 1000, u16::MAX] {
        let mut strict = switch(flows, Malformed::Drop)?;
        assert_eq!(ports(&mut strict, &frame(lie))?, [] as [u16; 0], "{lie}");
        let mut lenient = switch(flows, Malformed::Forward)?;
        assert_eq!(ports(&mut lenient, &frame(lie))?, [3], "{lie}");
        assert_eq!(ports(&mut lenient, &frame(true_length))?, [2]);
        assert_eq!(
            ports(&mut lenient, &frame(lie))?,
            [3],
            "{lie}, behind a megaflow for true ones"
        );
    }
    Ok(())
}

/// An option of neighbour discovery of length 0, or of more than is there, was walked past the end
/// (its commits e150d4099 and 0a1303287): such a message has no target and no address to match.
#[test]
fn an_option_of_neighbour_discovery_with_a_lying_length_matches_nothing() -> Result<()> {
    let flows = "priority=2,icmp6,icmp_type=136,icmp_code=0,nd_tll=50:54:00:00:00:09,actions=output:2\n\
                 priority=1,icmp6,actions=output:3\n";
    for length in [0, 2, 3, 31, 255] {
        let mut frame = advertisement(7);
        let at = frame.len() - 7;
        assert_eq!(frame[at], 1, "the option's length");
        frame[at] = length;
        for malformed in [Malformed::Drop, Malformed::Forward] {
            let mut switch = switch(flows, malformed)?;
            let out: &[u16] = if malformed == Malformed::Drop { &[] } else { &[3] };
            assert_eq!(ports(&mut switch, &frame)?, out, "{length}");
            assert_eq!(ports(&mut switch, &advertisement(7))?, [2]);
            assert_eq!(ports(&mut switch, &frame)?, out, "{length}");
        }
    }
    Ok(())
}

/// Frames cut anywhere: what is read of one is read of it alone, and not of the one that was in the
/// same place before (its commit 3b489a3b1 had vector instructions read past a short packet).
#[test]
fn a_frame_cut_anywhere_is_not_completed_by_what_was_there_before() -> Result<()> {
    let flows = "priority=3,udp,tp_dst=53,actions=output:2\n\
                 priority=3,udp6,tp_dst=53,actions=output:2\n\
                 priority=3,arp,arp_op=1,actions=output:2\n\
                 priority=1,actions=output:3\n";
    let body = udp(53, b"abc");
    let v4 = ipv4(17, total(&body), &body);
    let mut v6 = advertisement(7);
    v6.truncate(54);
    v6[18..20].copy_from_slice(&11u16.to_be_bytes());
    v6[20] = 17;
    v6.extend(&body);
    let arp = [&ETHERNET[..], &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &[1; 20]].concat();
    for frame in [v4, v6, arp] {
        for length in 14..frame.len() {
            let mut switch = switch(flows, Malformed::Forward)?;
            let cut = frame.get(..length).unwrap_or_default();
            let fresh = ports(&mut switch, cut)?;
            for _ in 0..3 {
                assert_eq!(ports(&mut switch, &frame)?, [2]);
                assert_eq!(ports(&mut switch, cut)?, fresh, "{length} bytes");
            }
            assert_eq!(fresh, [3], "{length} bytes");
        }
    }
    Ok(())
}
