//! Peers that mean no good: they cost bounded memory, and nobody else anything.

use super::{Session, T0, add_flow};
use crate::matching::Match;
use crate::openflow::flow_mod::{self, FlowModMessage};
use crate::openflow::wire::Put;
use crate::openflow::{Code, Header, Version, control, message_type};
use crate::session::outbox::FULL;
use crate::table::FlowMod;

#[test]
fn a_peer_who_asks_and_never_reads_is_not_read_any_more() {
    let mut session = Session::new(Version::V13);
    let echo = control::reply(Version::V13, message_type::ECHO_REQUEST, 1, |out| out.zeros(60_000));
    let mut taken = 0;
    for _ in 0..1000 {
        let connection = session.service.connection(session.id).unwrap();
        if !connection.wants_input() {
            break;
        }
        session.service.input(session.id, &echo, &mut session.host, T0);
        taken += 1;
    }
    assert!(taken < 20, "{taken} requests of 60,000 bytes were taken");
    let connection = session.service.connection(session.id).unwrap();
    assert!(connection.outbox().bytes() < FULL + 2 * 65_536);
    // Another one is served as ever.
    let other = session.service.accept("other", T0);
    session.service.input(other, &[4, 0, 0, 8, 0, 0, 0, 1], &mut session.host, T0);
    assert!(session.service.connection(other).unwrap().version().is_some());
    // Who reads at last is served again.
    assert!(!session.received().is_empty());
    assert!(session.service.connection(session.id).unwrap().wants_input());
}

#[test]
fn a_dump_of_many_flows_is_made_as_it_is_read() {
    let mut session = Session::new(Version::V13);
    for priority in 0..8000 {
        session.send(&add_flow(Version::V13, priority, vec![]));
    }
    let request = control::reply(Version::V13, 18, 1, |out| {
        out.put16(1);
        out.zeros(6);
        out.put8(0xff);
        out.zeros(3);
        out.put32(u32::MAX);
        out.put32(u32::MAX);
        out.zeros(20);
        out.put16(1);
        out.put16(4);
        out.zeros(4);
    });
    session.service.input(session.id, &request, &mut session.host, T0);
    let connection = session.service.connection(session.id).unwrap();
    assert_eq!(connection.outbox().bytes(), 0, "nothing is made before it is read");
    assert!(!connection.wants_input());
    let messages = session.received();
    assert!(messages.len() >= 5);
    let more: Vec<_> = messages.iter().map(|message| message[11]).collect();
    assert!(
        more.split_last().is_some_and(|(last, rest)| *last == 0 && rest.iter().all(|it| *it == 1))
    );
}

#[test]
fn lengths_that_lie_are_errors() {
    let mut session = Session::new(Version::V15);
    // A property that says it is longer than the message.
    let answers = session.request(28, |out| {
        out.put16(0);
        out.put16(0xffff);
        out.put32(1);
    });
    assert_eq!(session.errors(&answers).len(), 1);
    // A header shorter than itself ends the connection.
    session.service.input(session.id, &[6, 2, 0, 4, 0, 0, 0, 0], &mut session.host, T0);
    assert!(session.service.connection(session.id).unwrap().is_closing());
}

#[test]
fn any_bytes_are_an_answer_and_never_a_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for version in Version::ALL {
        let mut session = Session::new(version);
        for _ in 0..4000 {
            let len = 16 + usize::try_from(random() % 112).unwrap();
            let mut message: Vec<u8> =
                (0..len).map(|_| (random() % 256).to_le_bytes()[0]).collect();
            // Mostly small numbers, as types and lengths are.
            for byte in &mut message {
                if random() % 3 != 0 {
                    *byte %= 20;
                }
            }
            message[0] = version as u8;
            message[1] %= 36;
            message.set16(2, u16::try_from(len).unwrap());
            if message[1] == message_type::EXPERIMENTER {
                message[8..12].copy_from_slice(&0x2320_u32.to_be_bytes());
                message[12..15].fill(0);
                message[15] = 10 + message[15] % 23;
            }
            assert!(Header::peek(&message).is_some());
            session.send(&message);
            if session.service.connection(session.id).is_none_or(|it| it.is_closing()) {
                session = Session::new(version);
            }
        }
    }
}

/// Whether a session that got such a message still answers.
fn lives(session: &mut Session) -> bool {
    let answers = session.request(message_type::ECHO_REQUEST, |out| out.put32(5));
    answers.len() == 1 && answers[0].len() == 12
}

/// An action of the extension in a packet-out of OpenFlow 1.0.
fn packet_out_with(session: &mut Session, subtype: u16, rest: &[u8]) -> Vec<Code> {
    let len = u16::try_from(10 + rest.len()).unwrap();
    let answers = session.request(13, |out| {
        out.put32(u32::MAX);
        out.put16(0xffff);
        out.put16(len);
        out.put16(0xffff);
        out.put16(len);
        out.put32(0x2320);
        out.put16(subtype);
        out.put(rest);
        out.zeros(60);
    });
    session.errors(&answers)
}

#[test]
fn cve_2018_17206_a_bundle_action_has_the_members_that_it_counts() {
    let mut session = Session::new(Version::V10);
    for (members, room, whole) in
        [(2_u16, 8, true), (4, 8, true), (5, 8, false), (0xffff, 8, false), (1, 0, false)]
    {
        let mut rest = Vec::new();
        // Algorithm (highest random weight), fields, basis; members are ports.
        for word in [1, 0, 0, 0, 2, members, 0, 0, 0, 0, 0] {
            rest.put16(word);
        }
        (0..room / 2).for_each(|_| rest.put16(1));
        let errors = packet_out_with(&mut session, 12, &rest);
        assert_eq!(errors.is_empty(), whole, "{members} members in {room} octets: {errors:?}");
        assert!(lives(&mut session));
    }
}

#[test]
fn cve_2021_36980_properties_of_an_encapsulation_end_with_its_action() {
    let mut session = Session::new(Version::V10);
    for (len, whole) in [(5_u8, true), (0, false), (3, false), (9, false), (200, false)] {
        let mut rest = Vec::new();
        rest.put16(0);
        // Ethertype 0x894f: NSH; its property for the type of metadata.
        rest.put32(0x0001_894f);
        rest.put16(4);
        rest.put8(1);
        rest.put8(len);
        rest.put32(0x0100_0000);
        rest.resize(14, 0);
        let errors = packet_out_with(&mut session, 46, &rest);
        assert_eq!(errors.is_empty(), whole, "a property of {len} octets: {errors:?}");
        assert!(lives(&mut session));
    }
}

/// A group-mod of OpenFlow 1.5 with a bucket array that claims a length.
fn group_mod(
    session: &mut Session,
    [command, kind]: [u8; 2],
    claimed: u16,
    array: &[u8],
) -> Vec<Code> {
    let answers = session.request(15, |out| {
        out.put16(command.into());
        out.put8(kind);
        out.put8(0);
        out.put32(1);
        out.put16(claimed);
        out.zeros(2);
        out.put32(u32::MAX);
        out.put(array);
    });
    session.errors(&answers)
}

#[test]
fn cve_2018_17204_a_group_of_no_known_type_is_an_error() {
    let mut session = Session::new(Version::V15);
    for number in 4..=u8::MAX {
        assert_eq!(group_mod(&mut session, [0, number], 0, &[]), [Code::GmfcBadType]);
    }
    for number in 6..=u8::MAX {
        assert_eq!(group_mod(&mut session, [number, 0], 0, &[]), [Code::GmfcBadCommand]);
    }
    assert!(lives(&mut session));
}

#[test]
fn cve_2017_9265_and_14970_buckets_end_with_their_group_and_nothing_stays_of_refused_ones() {
    let mut session = Session::new(Version::V15);
    let bucket = |len: u16, actions: u16| {
        let mut out = Vec::new();
        out.put16(len);
        out.put16(actions);
        out.put32(1);
        out
    };
    assert_eq!(group_mod(&mut session, [0, 0], 8, &bucket(8, 0)), []);
    let wrong = [
        (8, bucket(16, 0)),
        (8, bucket(0, 0)),
        (8, bucket(7, 0)),
        (8, bucket(8, 8)),
        (8, bucket(8, 0xffff)),
        (0xffff, bucket(8, 0)),
        (16, bucket(8, 0)),
        (7, bucket(8, 0)),
    ];
    for (claimed, array) in wrong {
        let errors = group_mod(&mut session, [1, 0], claimed, &array);
        assert_eq!(errors.len(), 1, "{array:?} in {claimed}");
        assert!(lives(&mut session));
    }
    assert_eq!(session.service.bridge().tables().snapshot().groups().count(), 1);
}

#[test]
fn cve_2017_9214_and_9263_messages_that_only_switches_send_are_errors() {
    // The answer about queues, whose length underflowed there, and a role's status with a reason that
    // there is not, on which it stopped.
    for (version, ty) in [(Version::V10, 21), (Version::V14, 30)] {
        let mut session = Session::new(version);
        for len in 0..32 {
            let answers = session.request(ty, |out| out.resize(out.len() + len, 0xff));
            assert_eq!(session.errors(&answers).len(), 1, "{len} octets");
        }
        assert!(lives(&mut session));
    }
}

/// A request for a flow monitor of OpenFlow 1.4 or 1.5, whose match claims a length.
fn monitor(
    session: &mut Session,
    id: u32,
    [table, command]: [u8; 2],
    flags: u16,
    claimed: u16,
) -> usize {
    let request = control::reply(session.version, 18, 7, |out| {
        out.put16(16);
        out.zeros(6);
        out.put32(id);
        out.put32(u32::MAX);
        out.put32(u32::MAX);
        out.put16(flags);
        out.put8(table);
        out.put8(command);
        out.put16(1);
        out.put16(claimed);
        out.zeros(4);
    });
    session.send(&request).len()
}

/// The class of its commit 8c506d372: a switch stopped over what a flow monitor was asked or told. Here any
/// request is an answer, a monitor that nobody reads is paused, and what happens meanwhile is told later.
#[test]
fn flow_monitors_outlive_what_they_are_asked_and_what_they_miss() {
    for version in [Version::V14, Version::V15] {
        let mut session = Session::new(version);
        // Every command, for monitors that are there and that are not, twice over.
        for command in 0..=u8::MAX {
            for table in [0, 3, 0xff] {
                for (id, flags) in [(1, 0x3f), (u32::MAX, 0)] {
                    assert!(monitor(&mut session, id, [table, command], flags, 4) <= 1);
                }
            }
        }
        for flags in (0..=u16::MAX).step_by(13) {
            monitor(&mut session, 2, [0xff, (flags % 3) as u8], flags, 4);
        }
        for claimed in [0, 1, 3, 5, 16, 0xffff] {
            assert_eq!(monitor(&mut session, 3, [0xff, 0], 0x3f, claimed), 1, "{claimed}");
        }
        assert!(lives(&mut session), "{version:?}");
        // Many monitors of everything, of whose news nothing is read.
        let mut session = Session::new(version);
        for id in 0..64 {
            monitor(&mut session, id, [0xff, 0], 0x0f, 4);
        }
        let other = session.service.accept("other", T0);
        let hello = [version as u8, 0, 0, 8, 0, 0, 0, 1];
        session.service.input(other, &hello, &mut session.host, T0);
        for priority in 0..400 {
            let add = add_flow(version, priority, vec![]);
            session.service.input(other, &add, &mut session.host, T0);
        }
        let unread = session.service.connection(session.id).unwrap().outbox().bytes();
        assert!(unread < FULL + 2 * 65_536, "{unread} bytes wait for who does not read");
        // All that it was told of goes while it is paused.
        let flow_mod = FlowMod::delete(None, Match::any());
        let message = FlowModMessage { flow_mod, buffer_id: None };
        let delete = control::reply(version, message_type::FLOW_MOD, 7, |out| {
            flow_mod::encode11(out, &message, version);
        });
        session.service.input(other, &delete, &mut session.host, T0);
        assert_eq!(session.flows(), 0);
        assert!(!session.received().is_empty());
        session.service.run(T0);
        session.received();
        assert!(lives(&mut session), "{version:?}");
        session.service.input(other, &add_flow(version, 9, vec![]), &mut session.host, T0);
        assert!(!session.received().is_empty(), "{version:?}: it is told again");
    }
}
