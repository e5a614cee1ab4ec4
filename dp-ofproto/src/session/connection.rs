//! One connection: who is at the other end, what was agreed on, whether it is alive.

use std::collections::BTreeMap;

use dp_core::base::{Duration, Instant, OfPort};

use super::bundles::Bundle;
use super::monitors::Monitor;
use super::outbox::Outbox;
use super::pace::{Pace, PaceStats, RateLimit};
use crate::openflow::async_config::AsyncConfig;
use crate::openflow::control::{self, Role};
use crate::openflow::packet::PacketInFormat;
use crate::openflow::{Code, Header, Splitter, Version, Versions, error, message_type};

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionKind {
    /// A controller that the bridge was configured with: it is told things unasked.
    Primary,
    /// Somebody who connected by himself: tools.
    Service,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The peer's hello has not come.
    Hello,
    /// A version is agreed on.
    Open(Version),
    /// It has to end, when what waits has been sent.
    Closing,
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    pub(super) kind: ConnectionKind,
    pub(super) name: String,
    pub(super) phase: Phase,
    pub(super) allowed: Versions,
    pub(super) splitter: Splitter,
    pub(super) outbox: Outbox,
    pub(super) role: Role,
    pub(super) packet_in_format: PacketInFormat,
    /// It is told nothing unasked.
    pub(super) quiet: bool,
    /// It watches what others say, and nothing else.
    pub(super) snoops: bool,
    /// OpenFlow 1.0's command says the table.
    pub(super) flow_mod_table_id: bool,
    pub(super) controller_id: u16,
    pub(super) miss_send_len: u16,
    /// OpenFlow 1.0 with the extension's matches.
    pub(super) nxm: bool,
    pub(super) async_config: AsyncConfig,
    pub(super) async_set: bool,
    pub(super) bundles: BTreeMap<u32, Bundle>,
    pub(super) monitors: BTreeMap<u32, Monitor>,
    pub(super) monitors_paused: bool,
    /// How fast packets go to it: those that missed, those that actions sent.
    pub(super) paces: Option<Box<[Pace; 2]>>,
    /// Packets that may wait to be sent to it.
    pub(super) packet_queue: usize,
    pub(super) probe: Duration,
    /// When it began.
    pub(super) since: Instant,
    /// The peer has shown that it takes the switch for its own.
    pub(super) tends: bool,
    pub(super) heard: Instant,
    pub(super) probed: bool,
    pub(super) silent: bool,
    pub(super) next_xid: u32,
    /// Packets that were not sent for its slowness.
    pub(super) dropped: u64,
}

impl Connection {
    pub(super) fn new(
        kind: ConnectionKind,
        name: String,
        allowed: Versions,
        probe: Duration,
        now: Instant,
    ) -> Self {
        let primary = kind == ConnectionKind::Primary;
        let mut connection = Self {
            kind,
            name,
            phase: Phase::Hello,
            allowed,
            splitter: Splitter::default(),
            outbox: Outbox::default(),
            role: Role::Equal,
            packet_in_format: PacketInFormat::Standard,
            quiet: false,
            snoops: false,
            flow_mod_table_id: false,
            controller_id: 0,
            miss_send_len: if primary { 128 } else { 0 },
            nxm: false,
            async_config: AsyncConfig::default_of(Version::V10),
            async_set: false,
            bundles: BTreeMap::new(),
            monitors: BTreeMap::new(),
            monitors_paused: false,
            paces: None,
            packet_queue: PACKET_QUEUE,
            probe,
            since: now,
            tends: false,
            heard: now,
            probed: false,
            silent: false,
            next_xid: 1,
            dropped: 0,
        };
        let xid = connection.xid();
        connection.outbox.push(control::encode_hello(allowed, xid));
        connection
    }

    /// What it is called in messages about it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version that was agreed on.
    #[must_use]
    pub const fn version(&self) -> Option<Version> {
        match self.phase {
            Phase::Open(version) => Some(version),
            _ => None,
        }
    }

    /// Its role.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Whether it has to be closed: now, or as soon as what waits has been sent.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.phase == Phase::Closing
    }

    /// Whether it has been asked whether it is there, and has not answered yet.
    #[must_use]
    pub const fn is_probed(&self) -> bool {
        self.probed
    }

    /// Whether it has to be closed because the peer has not answered that, or never spoke.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.silent
    }

    /// Whether the peer tends the switch: it has asked for more than who the switch is, or has
    /// stayed for a while. One that takes connections only to drop them does not.
    #[must_use]
    pub const fn tends(&self) -> bool {
        self.tends
    }

    /// Notes that the peer has sent a message of this type.
    pub(super) fn note_message(&mut self, ty: u8, now: Instant) {
        const IDLE: [u8; 8] = [
            message_type::HELLO,
            message_type::ERROR,
            message_type::ECHO_REQUEST,
            message_type::ECHO_REPLY,
            message_type::EXPERIMENTER,
            message_type::FEATURES_REQUEST,
            message_type::GET_CONFIG_REQUEST,
            message_type::SET_CONFIG,
        ];
        let stays = ty != message_type::HELLO && now.since(self.since) >= STAYS;
        self.tends |= stays || !IDLE.contains(&ty);
    }

    /// Whether what the peer sends may be read.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        !self.is_closing() && !self.outbox.is_full()
    }

    /// What waits to be sent.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    pub(super) fn xid(&mut self) -> u32 {
        let xid = self.next_xid;
        self.next_xid = self.next_xid.wrapping_add(1).max(1);
        xid
    }

    /// Takes the peer's hello.
    pub(super) fn negotiate(&mut self, version: u8, body: &[u8], message: &[u8]) {
        let offered = control::decode_hello(version, body);
        match offered.and(self.allowed).newest() {
            Some(version) => {
                self.phase = Phase::Open(version);
                self.async_config = AsyncConfig::default_of(version);
            }
            None => {
                let text = format!(
                    "We support versions {}, you support {}, no common versions.",
                    bits(self.allowed),
                    bits(offered)
                );
                let mine = self.allowed.newest().unwrap_or(Version::V10);
                let speak = Version::from_wire(version).unwrap_or(mine).min(mine);
                let xid = Header::peek(message).map_or(0, |header| header.xid);
                let code = Code::HfcIncompatible;
                self.outbox.push(error::encode_data(speak, code, xid, text.as_bytes()));
                self.phase = Phase::Closing;
            }
        }
    }

    /// Whether the peer has been silent for too long: asks it, and gives up when it does not answer.
    pub(super) fn check_liveness(&mut self, now: Instant) {
        if self.probe.is_zero() || self.is_closing() || now.since(self.heard) < self.probe {
            return;
        }
        if self.probed || self.phase == Phase::Hello {
            self.phase = Phase::Closing;
            self.silent = true;
            // Nothing that waits will be read by anybody.
            self.outbox = Outbox::default();
            return;
        }
        if let Phase::Open(version) = self.phase {
            let xid = self.xid();
            self.outbox.push(control::reply(version, message_type::ECHO_REQUEST, xid, |_| {}));
            self.probed = true;
            self.heard = now;
        }
    }

    /// When [`Self::check_liveness`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (!self.probe.is_zero() && !self.is_closing()).then(|| self.heard.after(self.probe))
    }

    /// Says how fast packets go to it; the rest of what waited goes now where there is no limit any
    /// more.
    pub(super) fn set_limit(&mut self, limit: RateLimit, now: Instant) {
        match &mut self.paces {
            Some(paces) if limit.rate != 0 => paces.iter_mut().for_each(|it| it.set_limit(limit)),
            None if limit.rate != 0 => {
                self.paces = Some(Box::new([Pace::new(limit, now), Pace::new(limit, now)]));
            }
            _ => self.paces = None,
        }
    }

    /// What limiting the rate has done to packets that missed, and to those that actions sent;
    /// `None` without a limit.
    #[must_use]
    pub fn pace_stats(&self) -> Option<[PaceStats; 2]> {
        self.paces.as_ref().map(|paces| [paces[0].stats(), paces[1].stats()])
    }

    /// Whether so many packets wait to be sent that another one is lost.
    #[must_use]
    pub fn has_full_packet_queue(&self) -> bool {
        self.outbox.packets() >= self.packet_queue
    }

    /// A packet for the controller: it goes, waits its turn, or is lost.
    pub(super) fn push_packet(&mut self, miss: bool, port: OfPort, message: Vec<u8>, now: Instant) {
        let message = match &mut self.paces {
            Some(paces) => paces[usize::from(!miss)].pass(port, message, now),
            None => Some(message),
        };
        if let Some(message) = message {
            self.push_packet_now(message);
        }
    }

    fn push_packet_now(&mut self, message: Vec<u8>) {
        if self.outbox.is_full() || self.has_full_packet_queue() {
            self.dropped += 1;
        } else {
            self.outbox.push_packet(message);
        }
    }

    /// Lets go what waited long enough.
    pub(super) fn release_packets(&mut self, now: Instant) {
        let Some(mut paces) = self.paces.take() else { return };
        for pace in paces.iter_mut() {
            while let Some(message) = pace.next(now) {
                self.push_packet_now(message);
            }
        }
        self.paces = Some(paces);
    }

    /// When [`Self::release_packets`] has something to do.
    pub(super) fn release_deadline(&self, now: Instant) -> Option<Instant> {
        self.paces.iter().flat_map(|it| it.iter()).filter_map(|it| it.deadline(now)).min()
    }

    /// Packets that were lost for its slowness.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Whoever still sends something after so long has come to stay.
const STAYS: Duration = Duration::from_secs(30);

/// Packets that may wait to be sent to a controller, unless it is said otherwise.
pub const PACKET_QUEUE: usize = 100;

fn bits(versions: Versions) -> String {
    let list: Vec<_> = versions.iter().map(|version| format!("{:#04x}", version as u8)).collect();
    list.join(", ")
}
