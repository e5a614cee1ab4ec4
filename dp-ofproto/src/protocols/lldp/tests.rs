use dp_core::base::{Duration, Instant, MacAddr};

use super::frame::{Assignment, Element, FrameError, Pdu, decode};
use super::{Agent, Config, NEIGHBOURS, TX_INTERVAL};

fn agent(mappings: &[(u32, u16)]) -> Agent {
    let config = Config {
        name: "p1".to_owned(),
        mac: MacAddr([0xaa, 0x55, 0xaa, 0x55, 0, 2]),
        system_name: Some("sysname".to_owned()),
        system_description: "sysdesc".to_owned(),
        mappings: mappings.iter().copied().collect(),
    };
    Agent::new(config, at(0))
}

fn at(seconds: u64) -> Instant {
    Instant::from_millis(1000 * seconds)
}

fn tlv(kind: u16, value: &[u8]) -> Vec<u8> {
    let head = (kind << 9 | u16::try_from(value.len()).unwrap()).to_be_bytes();
    [&head[..], value].concat()
}

/// Chassis, port and TTL of a neighbour.
fn who(number: u8, ttl: u16) -> Vec<u8> {
    let chassis = tlv(1, &[4, 0, 0x16, 0x3e, 0, 0, number]);
    [chassis, tlv(2, b"\x05eth0"), tlv(3, &ttl.to_be_bytes())].concat()
}

fn payload(parts: &[Vec<u8>]) -> Vec<u8> {
    [who(1, 120), parts.concat(), tlv(0, &[])].concat()
}

fn read(payload: &[u8]) -> Result<Pdu, FrameError> {
    decode(payload, &mut 0)
}

/// An organization's TLV of auto-attach, with a digest of zeros.
fn attach(kind: u8, value: &[u8]) -> Vec<u8> {
    tlv(127, &[&[0, 4, 0x0d, kind][..], &[0; 32], value].concat())
}

const ELEMENT: [u8; 14] = [0x38, 0, 0, 0, 0, 0x16, 0x3e, 0, 0, 1, 0, 0, 0, 0];

#[test]
fn frames_are_sent_every_five_seconds_as_the_reference_sends_them() {
    let mut agent = agent(&[(100, 5), (0xff_ffff, 4095)]);
    let mut sent = Vec::new();
    for millis in (0..=21_000).step_by(250) {
        let now = Instant::from_millis(millis);
        assert!(agent.wake() <= now.after(TX_INTERVAL));
        if let Some(frame) = agent.run(now).unwrap() {
            sent.push((millis, frame));
        }
    }
    let times: Vec<u64> = sent.iter().map(|(millis, _)| *millis).collect();
    assert_eq!(times, [5000, 10_000, 15_000, 20_000]);
    assert_eq!(agent.stats().tx, 4);
    // As captured from the reference.
    let expected = "0180c200000eaa55aa55000288cc020704aa55aa550002040305703106020078\
                    0a077379736e616d650c07737973646573630e0400040004fe3200040d0b0000\
                    0000000000000000000000000000000000000000000000000000000000003800\
                    0000aa55aa55000200000000fe2e00040d0c0000000000000000000000000000\
                    0000000000000000000000000000000000000005000064 0fffffffff0000"
        .replace(' ', "");
    let hex: String = sent[0].1.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, expected);
}

#[test]
fn a_neighbour_stays_for_its_time() {
    let mut agent = agent(&[]);
    agent.receive(&payload(&[]), at(10)).unwrap();
    agent.receive(&payload(&[tlv(5, b"peer")]), at(20)).unwrap();
    assert_eq!(agent.neighbours().count(), 1);
    let _ = agent.run(at(139)).unwrap();
    assert_eq!(agent.neighbours().next().unwrap().pdu.system_name.as_deref(), Some("peer"));
    assert_eq!(agent.wake(), at(140));
    let _ = agent.run(at(140)).unwrap();
    assert_eq!(agent.neighbours().count(), 0);
    let stats = *agent.stats();
    assert_eq!((stats.rx, stats.inserts, stats.ageouts, stats.deletes), (2, 1, 1, 0));
}

#[test]
fn a_neighbour_goes_by_its_own_word() {
    let mut agent = agent(&[]);
    agent.receive(&payload(&[]), at(10)).unwrap();
    agent.receive(&who(1, 0), at(11)).unwrap();
    agent.receive(&who(2, 0), at(11)).unwrap();
    assert_eq!((agent.neighbours().count(), agent.stats().deletes), (0, 1));
}

#[test]
fn neighbours_are_bounded() {
    let mut agent = agent(&[]);
    for number in 0..=u8::MAX {
        agent.receive(&who(number, 120), at(0)).unwrap();
    }
    assert_eq!(agent.neighbours().count(), NEIGHBOURS);
    assert_eq!(agent.stats().drops, 256 - 32);
}

#[test]
fn what_stands_in_the_wrong_place_is_discarded() {
    let (chassis, port, ttl) = (tlv(1, b"\x041"), tlv(2, b"\x052"), tlv(3, &[0, 120]));
    let order = |parts: &[&Vec<u8>]| {
        let bytes: Vec<u8> = parts.iter().flat_map(|it| it.iter().copied()).collect();
        read(&bytes)
    };
    assert!(order(&[&chassis, &port, &ttl]).is_ok());
    for wrong in [
        &[&port, &chassis, &ttl][..],
        &[&chassis, &port],
        &[&chassis, &ttl, &port],
        &[],
        &[&chassis, &port, &ttl, &chassis],
        &[&chassis, &port, &ttl, &ttl],
    ] {
        assert_eq!(order(wrong), Err(FrameError::Order));
    }
    assert_eq!(read(&tlv(1, b"\x04")), Err(FrameError::Identifier(1)));
    let mut agent = agent(&[]);
    assert!(agent.receive(&port, at(0)).is_err());
    assert_eq!((agent.stats().rx, agent.stats().rx_discarded), (1, 1));
}

#[test]
fn what_is_not_known_is_passed_over_and_counted() {
    let mut unknown = 0;
    let parts = [tlv(9, b"abc"), tlv(127, b"\x00\x80\xc2\x01ab"), tlv(127, b"xyz1")];
    assert!(decode(&payload(&parts), &mut unknown).is_ok());
    assert_eq!(unknown, 3);
}

#[test]
fn every_prefix_and_every_flipped_byte_is_taken_or_refused() {
    let mapping = attach(12, &[0x20, 5, 0, 0, 100]);
    let management = tlv(8, &[5, 1, 10, 0, 0, 1, 2, 0, 0, 0, 1, 0]);
    let parts = [tlv(4, b"port"), tlv(7, &[0, 4, 0, 4]), management, attach(11, &ELEMENT), mapping];
    let whole = payload(&parts);
    assert!(read(&whole).is_ok());
    for len in 0..whole.len() {
        let _ = read(&whole[..len]);
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut other = whole.clone();
            other[len] = value;
            let _ = read(&other);
        }
    }
}

#[test]
fn what_is_written_reads_as_it_was() {
    let mut agent = agent(&[(7, 1), (8, 2)]);
    let frame = agent.run(at(5)).unwrap().unwrap();
    let pdu = read(&frame[14..]).unwrap();
    assert_eq!(pdu, agent.pdu());
    assert_eq!(pdu.assignments.len(), 2);
    let text = Pdu { system_name: Some("x".repeat(512)), ..pdu };
    assert_eq!(text.encode(MacAddr::ZERO), Err(FrameError::TooLong));
}

/// A management address whose length is that of more than the buffer for it overran the stack.
#[test]
fn cve_2015_8011_a_management_address_longer_than_its_room_is_refused() {
    for len in 0..=u8::MAX {
        for room in [0, 1, 5, 6, 20, 38, 60, 300] {
            let value = [&[len][..], &vec![1; room]].concat();
            let result = read(&payload(&[tlv(8, &value)]));
            let fits = (2..=32).contains(&len)
                && room >= usize::from(len) + 6
                && room >= usize::from(len) + 7;
            assert_eq!(result.is_ok(), fits, "{len} {room}");
            if let Ok(pdu) = result {
                assert_eq!(pdu.management[0].1.len(), usize::from(len) - 1);
            }
        }
    }
}

/// TLVs that may come once came many times, and each left what it had allocated behind.
#[test]
fn cve_2020_27827_repeated_tlvs_replace_each_other() {
    let parts: Vec<Vec<u8>> = (0..100)
        .flat_map(|number: u8| {
            let text = vec![b'a' + number % 26; 200];
            let address = [5, 1, 10, 0, 0, number, 2, 0, 0, 0, 1, 0];
            [tlv(4, &text), tlv(5, &text), tlv(6, &text), tlv(8, &address)]
        })
        .collect();
    let pdu = read(&payload(&parts)).unwrap();
    assert_eq!(pdu.system_name.as_deref().map(str::len), Some(200));
    assert_eq!(pdu.system_name, pdu.port_description);
    assert!(pdu.management.len() <= 8);
}

/// The length of an auto-attach TLV was counted down below zero, and read past the frame.
#[test]
fn cve_2022_4337_auto_attach_tlvs_shorter_than_their_digest_are_refused() {
    for kind in [11, 12] {
        for len in 0..32 {
            let value = [&[0, 4, 0x0d, kind][..], &vec![0; len]].concat();
            assert!(read(&payload(&[tlv(127, &value)])).is_err(), "{kind} {len}");
        }
    }
    for len in 0..4 {
        assert_eq!(read(&payload(&[tlv(127, &vec![0; len])])), Err(FrameError::Organization(len)));
    }
}

/// Assignments that do not come out even made the parser read on behind the last one.
#[test]
fn cve_2022_4338_assignments_are_whole_or_refused() {
    for len in 0..60 {
        let result = read(&payload(&[attach(12, &vec![0x11; len])]));
        assert_eq!(result.is_ok(), len % 5 == 0, "{len}");
        if let Ok(pdu) = result {
            assert_eq!(pdu.assignments.len(), len / 5);
        }
        let result = read(&payload(&[attach(11, &vec![0x11; len])]));
        assert_eq!(result.is_ok(), len >= 14, "{len}");
    }
}

#[test]
fn a_server_answers_for_mappings() {
    let mut agent = agent(&[(100, 5), (200, 6)]);
    let told = [0x20, 5, 0, 0, 100, 0x30, 6, 0, 0, 200, 0x20, 9, 0, 0, 77];
    agent.receive(&payload(&[attach(11, &ELEMENT), attach(12, &told)]), at(0)).unwrap();
    assert_eq!((agent.status(100), agent.status(200), agent.status(77)), (Some(2), Some(3), None));
    let text = agent.show_isid();
    assert!(text.contains("100      5    Switch      Active     \n"), "{text}");
    assert!(text.contains("200      6    Switch      Reject (Generic)\n"), "{text}");
    // A mapping that is made anew is pending; one that stays is as it was.
    let mut other = agent.config().clone();
    other.mappings.insert(200, 7);
    agent.configure(other);
    assert_eq!((agent.status(100), agent.status(200)), (Some(2), None));
    let _ = agent.run(at(200)).unwrap();
    assert_eq!(agent.status(100), None, "whoever carried it is gone");
}

#[test]
fn two_ports_back_to_back_know_each_other() {
    let mut ends = [agent(&[]), agent(&[(100, 5)])];
    ends[1].config.mac = MacAddr([0xaa, 0x55, 0xaa, 0x55, 0, 3]);
    for second in 0..=12 {
        for from in [0, 1] {
            if let Some(frame) = ends[from].run(at(second)).unwrap() {
                ends[1 - from].receive(&frame[14..], at(second)).unwrap();
            }
        }
    }
    for (end, other) in [(0, 3), (1, 2)] {
        let seen: Vec<u8> =
            ends[end].neighbours().map(|it| *it.pdu.chassis.bytes.last().unwrap()).collect();
        assert_eq!(seen, [other]);
        assert_eq!((ends[end].stats().tx, ends[end].stats().rx), (2, 2));
    }
    // A port that hears itself is its own neighbour, and nothing more.
    let frame = ends[0].run(at(15)).unwrap().unwrap();
    for _ in 0..100 {
        ends[0].receive(&frame[14..], at(15)).unwrap();
    }
    assert_eq!(ends[0].neighbours().count(), 2);
}

#[test]
fn texts_show_who_is_there() {
    let mut agent = agent(&[]);
    assert_eq!(agent.show_status(), "LLDP: p1\n");
    let parts = [tlv(6, b"a\x1b[31mswitch"), attach(11, &ELEMENT)];
    agent.receive(&payload(&parts), at(0)).unwrap();
    assert_eq!(
        agent.show_status(),
        "LLDP: p1\n  Auto Attach Primary Server Id: 00:16:3e:00:00:01\n  \
         Auto Attach Primary Server Descr: a?[31mswitch\n  \
         Auto Attach Primary Server System Id: 00:16:3e:00:00:01:00:00:00:00:00:00\n"
    );
    assert!(agent.show_statistics().contains("  rx cnt: 1\n"));
    let neighbour = agent.neighbours().next().unwrap();
    assert_eq!(neighbour.pdu.element.unwrap().kind, Element::VIRTUAL_SWITCH);
    assert_eq!(neighbour.until.since(at(0)), Duration::from_secs(120));
    assert_eq!(neighbour.pdu.assignments, [] as [Assignment; 0]);
}
