//! Peers that mean no good: they cost bounded memory, and nobody else anything.

use super::{Session, T0, add_flow};
use crate::openflow::wire::Put;
use crate::openflow::{Header, Version, control, message_type};
use crate::session::outbox::FULL;

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
