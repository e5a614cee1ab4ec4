use std::{fs, path::PathBuf, process::Command};

use super::{address::MacError, mutate, samples, *};
use crate::{
    frames::{dissect, faults},
    packages, pcap,
    seed::Seeded,
};

/// What tshark says of each frame: the values of `fields`, in order.
fn tshark(name: &str, frames: &[Vec<u8>], fields: &[&str]) -> Vec<Vec<String>> {
    packages::ensure(&["tshark"]).unwrap();
    let path: PathBuf =
        std::env::temp_dir().join(format!("dp-testkit-{name}-{}.pcap", std::process::id()));
    pcap::write(&path, frames).unwrap();
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(&path).args(["-n", "-T", "fields", "-E", "separator=/t"]);
    for preference in [
        "ip.check_checksum:TRUE",
        "tcp.check_checksum:TRUE",
        "udp.check_checksum:TRUE",
        "sctp.checksum:CRC 32c",
        "ip.defragment:FALSE",
        "ipv6.defragment:FALSE",
    ] {
        tshark.args(["-o", preference]);
    }
    for field in fields {
        tshark.args(["-e", field]);
    }
    let output = tshark.output().unwrap();
    fs::remove_file(&path).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<String>> =
        text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect();
    assert_eq!(rows.len(), frames.len());
    rows
}

const STATUSES: [&str; 6] = [
    "ip.checksum.status",
    "tcp.checksum.status",
    "udp.checksum.status",
    "sctp.checksum.status",
    "icmp.checksum.status",
    "icmpv6.checksum.status",
];

#[test]
fn tshark_finds_every_sample_sound() {
    let samples = samples::all();
    let frames: Vec<Vec<u8>> = samples.iter().map(|sample| sample.frame.clone()).collect();
    let mut fields = STATUSES.to_vec();
    fields.extend(["_ws.malformed", "_ws.expert.severity", "frame.protocols"]);
    for (sample, row) in samples.iter().zip(tshark("samples", &frames, &fields)) {
        for (field, values) in fields.iter().zip(&row).take(STATUSES.len()) {
            // 1 is good, 2 not verified (fragments), 3 not present (UDP without one).
            for value in values.split(',').filter(|value| !value.is_empty()) {
                let fragment = sample.name.contains("fragment");
                let quoted = sample.name.contains("icmp") && values.contains(',');
                let none = sample.name == "ipv4-udp-no-checksum";
                let fine = value == "1"
                    || value == "2" && (fragment || quoted)
                    || value == "3" && none && *field == "udp.checksum.status";
                assert!(fine, "{}: {field} is {values}", sample.name);
            }
        }
        assert!(row[6].is_empty(), "{} is malformed: {row:?}", sample.name);
        // Severity 8388608 is an error.
        assert!(!row[7].contains("8388608"), "{}: {row:?}", sample.name);
    }
}

#[test]
fn tshark_sees_the_layers_that_were_built() {
    let protocols = |name: &str| {
        let frame = samples::named(name).unwrap();
        tshark(&format!("layers-{name}"), &[frame], &["frame.protocols"])[0][0].clone()
    };
    let seen = |name: &str, wanted: &str| {
        let seen = protocols(name);
        assert!(seen.starts_with(wanted), "{name}: {seen}");
    };
    seen("qinq-ipv4-tcp", "eth:ethertype:ieee8021ad:ethertype:vlan:ethertype:ip:tcp");
    seen("mpls-mpls-ipv6-udp", "eth:ethertype:mpls:ipv6:udp");
    seen("snap-ipv4-udp", "eth:llc:ip:udp");
    seen("ipv6-chain-tcp", "eth:ethertype:ipv6:ipv6.hopopts:ipv6.dstopts:ah:tcp");
    seen("ipv6-segments-udp", "eth:ethertype:ipv6:ipv6.routing:udp");
    seen("geneve-options-ipv4-icmp", "eth:ethertype:ip:udp:geneve:eth:ethertype:ip:icmp");
    seen("gre-ethernet-ipv4-udp", "eth:ethertype:ip:gre:eth:ethertype:ip:udp");
    seen("ipv6-neighbor-solicit", "eth:ethertype:ipv6:icmpv6");
    seen("ipv4-icmp-unreachable", "eth:ethertype:ip:icmp:ip:udp");
}

#[test]
fn a_known_packet_comes_out_octet_for_octet() {
    // Worked by hand from RFC 791 and RFC 768.
    let frame = Packet::ethernet("50:54:00:00:00:01", "50:54:00:00:00:02")
        .ipv4("10.0.0.1", "10.0.0.2")
        .udp(1, 2)
        .payload([0xab])
        .build();
    let wanted = [
        &[0x50, 0x54, 0, 0, 0, 2, 0x50, 0x54, 0, 0, 0, 1, 8, 0][..],
        &[0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0x66, 0xce, 10, 0, 0, 1, 10, 0, 0, 2],
        &[0, 1, 0, 2, 0, 9, 0x40, 0xd6, 0xab],
    ]
    .concat();
    crate::frames::assert_frames_eq(&[wanted], &[frame]);
}

#[test]
fn crc32c_gives_the_published_check_value() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}

#[test]
fn a_udp_sum_of_zero_is_sent_as_all_ones() {
    // The payload makes the rest of the sum 0xffff, whose complement is 0.
    let bare = Packet::new().ipv4("0.0.0.0", "0.0.0.0").udp(0, 0).payload([0, 0]).build();
    let sum = u16::from_be_bytes([bare[26], bare[27]]);
    let frame = Packet::new().ipv4("0.0.0.0", "0.0.0.0").udp(0, 0).payload(sum.to_be_bytes());
    assert_eq!(frame.build()[26..28], [0xff, 0xff]);
}

#[test]
fn a_lie_is_kept_as_it_is_told() {
    let ip = Ipv4 {
        checksum: Some(0x1234),
        total_length: Some(9),
        header_words: Some(4),
        ..Ipv4::new("10.0.0.1", "10.0.0.2")
    };
    let octets = Packet::new().layer(ip).layer(Udp { length: Some(3), ..Udp::new(1, 2) }).build();
    assert_eq!((octets[0], &octets[2..4], &octets[10..12]), (0x44, &[0, 9][..], &[0x12, 0x34][..]));
    assert_eq!(octets[24..26], [0, 3]);
}

#[test]
fn fragments_join_to_the_packet_they_came_from() {
    let data: Vec<u8> = (0..2000u32).map(|n| n as u8).collect();
    let alert = Extension::HopByHop(vec![5, 2, 0, 0]);
    let wholes = [
        Packet::ethernet(Mac::host(1), Mac::host(2)).ipv4("10.0.0.1", "10.0.0.2"),
        Packet::ethernet(Mac::host(1), Mac::host(2))
            .vlan(3)
            .ipv6("fd00::1", "fd00::2")
            .layer(alert),
    ];
    for whole in wholes {
        let whole = whole.udp(1, 2).payload(&data).build();
        let pieces = fragment(&whole, 600, 5).unwrap();
        assert_eq!(pieces.len(), 4);
        let mut joined: Vec<u8> = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            assert!(faults(piece).is_empty(), "{:?}", faults(piece));
            let taken = dissect(piece);
            let last = taken.fields.last().unwrap();
            let l4 = taken
                .header(crate::frames::Kind::Udp)
                .map_or(last.range.start, |l4| l4.range.start);
            joined.extend(&piece[l4..]);
            let headers = l4 - if piece[12] == 0x81 { 18 } else { 14 };
            assert!(headers + piece.len() - l4 <= 600);
            // All but the last hold whole units of eight octets.
            assert!(at == 3 || (piece.len() - l4).is_multiple_of(8));
        }
        assert_eq!(joined, whole[whole.len() - 2008..]);
        assert_eq!(fragment(&whole, 3000, 5).unwrap(), [whole]);
    }
    assert_eq!(fragment(&[0; 60], 600, 0), Err(FragmentError::NotIp));
    let small = samples::named("ipv4-udp").unwrap();
    assert_eq!(fragment(&small, 27, 0), Err(FragmentError::Mtu { mtu: 27, headers: 20 }));
}

#[test]
fn tshark_joins_the_fragments_to_a_right_checksum() {
    let data = vec![0x5a; 2000];
    for (name, whole) in [
        ("v4", Packet::ethernet(Mac::host(1), Mac::host(2)).ipv4("10.0.0.1", "10.0.0.2")),
        ("v6", Packet::ethernet(Mac::host(1), Mac::host(2)).ipv6("fd00::1", "fd00::2")),
    ] {
        let pieces = fragment(&whole.udp(1, 2).payload(&data).build(), 600, 5).unwrap();
        packages::ensure(&["tshark"]).unwrap();
        let path = std::env::temp_dir()
            .join(format!("dp-testkit-join-{name}-{}.pcap", std::process::id()));
        pcap::write(&path, &pieces).unwrap();
        let output = Command::new("tshark")
            .arg("-r")
            .arg(&path)
            .args(["-n", "-o", "udp.check_checksum:TRUE", "-T", "fields"])
            .args(["-e", "udp.length", "-e", "udp.checksum.status"])
            .output()
            .unwrap();
        fs::remove_file(&path).unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().filter(|line| *line == "2008\t1").count(), 1, "{text}");
    }
}

#[test]
fn every_prefix_is_a_truncation_and_padding_only_adds() {
    let frame = samples::named("ipv4-udp").unwrap();
    let cut: Vec<&[u8]> = mutate::truncations(&frame).collect();
    assert_eq!(cut.len(), frame.len());
    assert!(cut.iter().enumerate().all(|(len, cut)| **cut == frame[..len]));
    let padded = mutate::padded(&frame, 60, 0xee);
    assert_eq!((&padded[..frame.len()], padded.len()), (&frame[..], 60));
    assert_eq!(mutate::padded(&frame, 3, 0), frame);
}

#[test]
fn lies_change_just_what_they_claim() {
    for sample in samples::all() {
        let lies = mutate::lies(&sample.frame);
        assert!(lies.len() > 5, "{}: {}", sample.name, lies.len());
        for lie in lies {
            let (name, digits) = lie.claim.split_once("=0x").unwrap();
            let before = dissect(&sample.frame);
            let changed: Vec<usize> =
                (0..lie.frame.len()).filter(|at| lie.frame[*at] != sample.frame[*at]).collect();
            assert!(!changed.is_empty(), "{}: {}", sample.name, lie.claim);
            for at in changed {
                assert_eq!(before.field_at(at).unwrap().name, name, "{}", sample.name);
            }
            let at = before.fields.iter().filter(|field| field.name == name).any(|field| {
                let told: String =
                    lie.frame[field.range.clone()].iter().map(|o| format!("{o:02x}")).collect();
                told == digits
            });
            assert!(at, "{}: {}", sample.name, lie.claim);
        }
    }
}

#[test]
fn random_changes_repeat_with_their_seed_and_reach_every_kind() {
    let frame = samples::named("ipv6-chain-tcp").unwrap();
    let mut rng = Seeded::new(11);
    let mut again = crate::seed::Rng::new(rng.seed());
    let (mut shorter, mut longer, mut same, mut other) = (0, 0, 0, 0);
    for _ in 0..1_000 {
        let changed = mutate::random(&frame, &mut rng);
        assert_eq!(changed, mutate::random(&frame, &mut again));
        match changed.len().cmp(&frame.len()) {
            std::cmp::Ordering::Less => shorter += 1,
            std::cmp::Ordering::Greater => longer += 1,
            std::cmp::Ordering::Equal if changed == frame => same += 1,
            std::cmp::Ordering::Equal => other += 1,
        }
    }
    assert!(
        shorter > 100 && longer > 50 && other > 300 && same < 200,
        "{shorter} {longer} {same} {other}"
    );
    assert!(mutate::random(&[], &mut rng).len() < 64);
}

#[test]
fn addresses_are_spelled_in_every_way() {
    let text: Mac = "50:54:00:00:01:02".value();
    assert_eq!(text, Mac::host(0x0102));
    assert_eq!(text.to_string(), "50:54:00:00:01:02");
    assert_eq!("50:54:00:00:01".parse::<Mac>(), Err(MacError));
    assert_eq!(Mac::group4("239.129.2.3".value()).to_string(), "01:00:5e:01:02:03");
    assert_eq!(Mac::group6("ff02::1:ff00:2".value()).to_string(), "33:33:ff:00:00:02");
    assert_eq!(Icmpv6::solicited_node("fd00::12:3456").to_string(), "ff02::1:ff12:3456");
}
