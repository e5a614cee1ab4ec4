mod host;
mod hostile;
mod ovn;
mod pace;

use std::sync::Arc;

use dp_core::base::{Instant, MacAddr, OfPort};
use dp_core::flow::FieldId;

use super::{ConnectionId, PacketInEvent, Service, Settings};
use crate::action::{Action, PacketInReason};
use crate::bridge::{Bridge, TableMiss};
use crate::learn::MacTableConfig;
use crate::matching::Match;
use crate::openflow::control::{self, BundleControl, bundle};
use crate::openflow::flow_mod::{self, FlowModMessage};
use crate::openflow::port::{LinkFeatures, PortMod, config};
use crate::openflow::wire::Put;
use crate::openflow::{Code, Header, Version, Versions, error, message_type};
use crate::table::{FlowMod, TablesConfig};
use host::TestHost;

const T0: Instant = Instant(1);

/// A service with one connection that has agreed on a version.
struct Session {
    service: Service,
    host: TestHost,
    id: ConnectionId,
    version: Version,
}

impl Session {
    fn new(version: Version) -> Self {
        let bridge = Bridge::new("br0", TablesConfig::default(), MacTableConfig::default());
        let mut service = Service::new(Arc::new(bridge), Settings::default());
        let id = service.accept("test", T0);
        let mut session = Self { service, host: TestHost::default(), id, version };
        let mut hello = Vec::new();
        Header::begin(&mut hello, version, message_type::HELLO, 1);
        let at = hello.begin_property(1);
        hello.put32(Versions::NONE.with(version).bitmap());
        hello.end_property(at);
        Header::end(&mut hello, 0);
        session.send(&hello);
        session
    }

    /// Sends a message and returns what comes back, message by message.
    fn send(&mut self, message: &[u8]) -> Vec<Vec<u8>> {
        self.service.input(self.id, message, &mut self.host, T0);
        self.received()
    }

    fn received(&mut self) -> Vec<Vec<u8>> {
        let Some(connection) = self.service.connection(self.id) else { return Vec::new() };
        let mut bytes = &connection.outbox().take()[..];
        let mut messages = Vec::new();
        while let Some(header) = Header::peek(bytes) {
            let (message, rest) = bytes.split_at(usize::from(header.length));
            messages.push(message.to_vec());
            bytes = rest;
        }
        messages
    }

    /// Sends a message of this type and returns what comes back.
    fn request(&mut self, ty: u8, body: impl FnOnce(&mut Vec<u8>)) -> Vec<Vec<u8>> {
        let message = control::reply(self.version, ty, 7, body);
        self.send(&message)
    }

    /// The codes of the errors among some messages.
    fn errors(&self, messages: &[Vec<u8>]) -> Vec<Code> {
        messages
            .iter()
            .filter(|message| message[1] == message_type::ERROR)
            .filter_map(|message| error::decode(self.version, &message[8..]).unwrap().code)
            .collect()
    }

    fn flows(&self) -> usize {
        self.service.bridge().tables().snapshot().len()
    }

    fn bundle(&mut self, kind: u16) -> Vec<Vec<u8>> {
        let flags = bundle::ATOMIC | bundle::ORDERED;
        self.request(33, |out| BundleControl { id: 9, kind, flags }.encode(out))
    }

    fn add_to_bundle(&mut self, message: &[u8]) -> Vec<Vec<u8>> {
        self.request(34, |out| {
            out.put32(9);
            out.put16(0);
            out.put16(bundle::ATOMIC | bundle::ORDERED);
            out.put(message);
        })
    }
}

fn add_flow(version: Version, priority: u16, actions: Vec<Action>) -> Vec<u8> {
    let flow_mod = FlowMod::add(0, priority, Match::any(), actions);
    let message = FlowModMessage { flow_mod, buffer_id: None };
    control::reply(version, message_type::FLOW_MOD, 7, |out| {
        flow_mod::encode11(out, &message, version);
    })
}

fn port_mod(version: Version, port: u16, mac: MacAddr) -> Vec<u8> {
    let message = PortMod {
        port: OfPort(port),
        hw_addr: mac,
        config: config::NO_FWD,
        mask: config::NO_FWD,
        advertise: LinkFeatures::default(),
    };
    control::reply(version, 16, 7, |out| message.encode(out, version))
}

#[test]
fn versions_are_agreed_on_or_the_connection_ends() {
    let session = Session::new(Version::V14);
    let connection = session.service.connections().next().unwrap().1;
    assert_eq!(connection.version(), Some(Version::V14));
    let bridge = Bridge::new("br0", TablesConfig::default(), MacTableConfig::default());
    let settings = Settings { versions: Versions::NONE.with(Version::V10), ..Settings::default() };
    let mut service = Service::new(Arc::new(bridge), settings);
    let id = service.accept("test", T0);
    let hello = [6, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 8, 0, 0, 0, 0x40];
    service.input(id, &hello, &mut TestHost::default(), T0);
    let connection = service.connection(id).unwrap();
    assert!(connection.is_closing());
    let sent = connection.outbox().take();
    assert!(String::from_utf8_lossy(&sent).contains("no common versions"));
}

#[test]
fn a_malformed_message_gets_its_error_and_the_session_lives() {
    let mut session = Session::new(Version::V13);
    let answers = session.request(message_type::FLOW_MOD, |out| out.zeros(10));
    assert_eq!(session.errors(&answers), [Code::BrcBadLen]);
    let answers = session.request(99, |_| {});
    assert_eq!(session.errors(&answers), [Code::BrcBadType]);
    let answers = session.request(message_type::ECHO_REQUEST, |out| out.put(b"there?"));
    assert_eq!(answers[0][1], message_type::ECHO_REPLY);
    assert_eq!(&answers[0][8..], b"there?");
}

#[test]
fn cve_2018_17205_a_bundle_that_fails_changes_nothing_at_all() {
    let mut session = Session::new(Version::V14);
    let out = vec![Action::output(OfPort(1))];
    assert!(session.send(&add_flow(Version::V14, 1, out.clone())).is_empty());
    let before = session.service.bridge().tables().version();
    session.bundle(bundle::OPEN);
    for message in [
        add_flow(Version::V14, 2, out),
        port_mod(Version::V14, 1, host::MAC),
        // There is no such group, which only shows when it is carried out.
        add_flow(Version::V14, 3, vec![Action::Group(77)]),
    ] {
        assert!(session.add_to_bundle(&message).is_empty());
    }
    let answers = session.bundle(bundle::COMMIT);
    assert_eq!(session.errors(&answers), [Code::BacBadOutGroup, Code::BfcMsgFailed]);
    assert_eq!(session.service.bridge().tables().version(), before);
    assert_eq!(session.host.config, 0, "the port is as it was");
    assert_eq!(session.flows(), 1);
}

#[test]
fn a_bundle_is_seen_whole_or_not_at_all() {
    let mut session = Session::new(Version::V15);
    session.bundle(bundle::OPEN);
    for priority in 1..=50 {
        session.add_to_bundle(&add_flow(Version::V15, priority, vec![]));
    }
    assert_eq!(session.flows(), 0);
    // A controller that goes in the middle leaves nothing behind.
    session.service.close(session.id);
    assert_eq!(session.flows(), 0);
    let mut session = Session::new(Version::V15);
    session.bundle(bundle::OPEN);
    for priority in 1..=50 {
        session.add_to_bundle(&add_flow(Version::V15, priority, vec![]));
    }
    let before = session.service.bridge().tables().version();
    let answers = session.bundle(bundle::COMMIT);
    assert!(session.errors(&answers).is_empty());
    assert_eq!(session.flows(), 50);
    assert_eq!(session.service.bridge().tables().version().0, before.0 + 1);
    assert_eq!(session.host.config, 0);
}

#[test]
fn a_silent_peer_is_asked_and_then_let_go() {
    let mut session = Session::new(Version::V13);
    let after = |seconds| T0.after(dp_core::base::Duration::from_secs(seconds));
    session.service.run(after(59));
    assert!(session.received().is_empty());
    session.service.run(after(61));
    assert_eq!(session.received()[0][1], message_type::ECHO_REQUEST);
    session.service.run(after(122));
    assert!(session.service.connection(session.id).unwrap().is_closing());
}

#[test]
fn a_peer_tends_the_switch_when_it_asks_for_something_or_stays() {
    let tends = |session: &mut Session| session.service.connection(session.id).unwrap().tends();
    let mut session = Session::new(Version::V13);
    for ty in [message_type::ECHO_REQUEST, message_type::FEATURES_REQUEST] {
        session.request(ty, |_| {});
        assert!(!tends(&mut session), "{ty}");
    }
    session.send(&add_flow(Version::V13, 1, vec![]));
    assert!(tends(&mut session));
    let mut session = Session::new(Version::V13);
    let echo = control::reply(Version::V13, message_type::ECHO_REQUEST, 1, |_| {});
    for (seconds, stays) in [(29, false), (30, true)] {
        let now = T0.after(std::time::Duration::from_secs(seconds));
        session.service.input(session.id, &echo, &mut session.host, now);
        assert_eq!(tends(&mut session), stays);
    }
}

#[test]
fn a_new_primary_deposes_the_old_one() {
    let mut session = Session::new(Version::V13);
    let role = |role: u32, generation: u64| {
        move |out: &mut Vec<u8>| {
            out.put32(role);
            out.zeros(4);
            out.put64(generation);
        }
    };
    assert_eq!(session.request(24, role(2, 5))[0][1], 25);
    let second = session.service.accept("other", T0);
    let first = std::mem::replace(&mut session.id, second);
    session.send(&[4, 0, 0, 8, 0, 0, 0, 1]);
    session.request(24, role(2, 6));
    session.id = first;
    let answers = session.send(&add_flow(Version::V13, 1, vec![]));
    assert_eq!(session.errors(&answers), [Code::BrcIsSecondary]);
    let answers = session.request(24, role(2, 4));
    assert_eq!(session.errors(&answers), [Code::RrfcStale]);
}

#[test]
fn what_a_match_lacks_is_refused_as_inconsistent() {
    let mut session = Session::new(Version::V13);
    let set = Action::set_field(FieldId::Ipv4Src, 1);
    let answers = session.send(&add_flow(Version::V13, 1, vec![set]));
    assert_eq!(session.errors(&answers), [Code::BacMatchInconsistent]);
    // A tag is only taken off, from 1.1 on, where there is one.
    for (list, good) in [
        (vec![Action::PopVlan], false),
        (vec![Action::PushVlan(0x8100), Action::PopVlan], true),
        (vec![Action::PushVlan(0x8100), Action::PopVlan, Action::PopVlan], false),
        (
            vec![
                Action::PushVlan(0x8100),
                Action::Clone([Action::PopVlan].into()),
                Action::PopVlan,
            ],
            true,
        ),
        (vec![Action::WriteActions([Action::PopVlan].into())], true),
    ] {
        let answers = session.send(&add_flow(Version::V13, 1, list));
        let expected = if good { &[][..] } else { &[Code::BacMatchInconsistent] };
        assert_eq!(session.errors(&answers), expected);
    }
}

/// What becomes of misses in tables 0 and 1.
fn misses(session: &Session) -> [TableMiss; 2] {
    [0, 1].map(|table| session.service.bridge().table_miss(table))
}

#[test]
fn misses_go_to_controllers_as_long_as_one_of_an_old_version_listens() {
    let mut session = Session::new(Version::V10);
    assert_eq!(misses(&session), [TableMiss::Controller; 2]);
    session.service.close(session.id);
    assert_eq!(misses(&session), [TableMiss::Drop; 2]);
    let new = Session::new(Version::V13);
    assert_eq!(misses(&new), [TableMiss::Drop; 2]);
}

#[test]
fn a_table_mod_says_what_becomes_of_misses_until_openflow_1_3() {
    let table_mod = |session: &mut Session, table: u8, config: u32| {
        session.request(17, |out| {
            out.put(&[table, 0, 0, 0]);
            out.put32(config);
        })
    };
    let mut session = Session::new(Version::V11);
    for (config, miss) in [(1, TableMiss::Continue), (2, TableMiss::Drop)] {
        assert_eq!(table_mod(&mut session, 1, config), Vec::<Vec<u8>>::new());
        assert_eq!(misses(&session), [TableMiss::Controller, miss]);
    }
    table_mod(&mut session, 0xff, 0);
    assert_eq!(misses(&session), [TableMiss::Controller; 2]);
    let mut session = Session::new(Version::V13);
    table_mod(&mut session, 1, 1);
    assert_eq!(misses(&session), [TableMiss::Drop; 2], "it means nothing any more");
}

#[test]
fn old_versions_are_told_of_used_up_ttls_when_they_ask() {
    let set = |session: &mut Session, flags: u16| {
        let answers = session.request(message_type::SET_CONFIG, |out| {
            out.put16(flags);
            out.put16(128);
        });
        session.errors(&answers).is_empty()
    };
    for (version, known) in [(Version::V10, true), (Version::V12, true), (Version::V13, false)] {
        let mut session = Session::new(version);
        assert_eq!(set(&mut session, 4), known, "{version:?}");
        let event = PacketInEvent {
            packet: vec![0; 60],
            max_len: Some(60),
            reason: PacketInReason::InvalidTtl,
            controller_id: 0,
            table: 0,
            cookie: None,
            metadata: Match::any(),
            userdata: Vec::new(),
            continuation: None,
        };
        session.service.packet_in(&event, T0);
        assert_eq!(session.received().len(), usize::from(known), "{version:?}");
    }
}
