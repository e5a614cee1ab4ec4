//! Stopping where the datapath must help first, and going on when it has.

use std::sync::Arc;

use dp_core::action::{Action as DpAction, HashAlgorithm, UserData, Userspace};
use dp_core::base::RecircId;
use dp_core::flow::{FlowKey, layout};

use super::action_set::ActionSet;
use super::kept::Kept;
use super::recirc::{Frozen, RecircRef, Resume, Segment, WantedNeighbour};
use super::{Context, Part, RecircKind, TranslateError, Weight};
use crate::action::{Action, Controller};
use crate::bridge::BridgePort;

/// What the datapath must do before translation can go on.
#[derive(Debug)]
pub(super) struct Freezing {
    why: Why,
    segments: Vec<Segment>,
}

#[derive(Debug)]
enum Why {
    /// Parse the packet: labels or headers have been taken off.
    Parse,
    /// Hash it.
    Hash(HashAlgorithm, u32),
    /// A controller has to let it go on.
    Pause(Box<Controller>),
}

impl Context<'_> {
    pub(super) fn freeze_for_parsing(&mut self) {
        self.freezing = Some(Freezing { why: Why::Parse, segments: Vec::new() });
    }

    pub(super) fn freeze_for_hash(&mut self, algorithm: HashAlgorithm, basis: u32) {
        let why = Why::Hash(algorithm, basis);
        self.freezing = Some(Freezing { why, segments: Vec::new() });
    }

    pub(super) fn freeze_for_controller(&mut self, controller: &Controller) {
        let why = Why::Pause(Box::new(controller.clone()));
        self.freezing = Some(Freezing { why, segments: Vec::new() });
    }

    pub(super) fn waits_for_hash(&self) -> bool {
        matches!(&self.freezing, Some(Freezing { why: Why::Hash(..), segments }) if segments.is_empty())
    }

    /// Keeps what is left of a list while it unwinds.
    pub(super) fn freeze_rest(&mut self, actions: &[Action]) {
        let (table, cookie) = (self.table, self.cookie);
        if let Some(freezing) = &mut self.freezing
            && !actions.is_empty()
        {
            freezing.segments.push(Segment { table, cookie, actions: actions.into() });
        }
    }

    /// The state as it is now, with what is left to do.
    pub(super) fn frozen(&self, resume: Resume, controller: Option<Box<Controller>>) -> Frozen {
        Frozen {
            bridge: Arc::clone(self.bridge()),
            in_port: self.in_port(),
            resume,
            kept: self.kept(),
            stack: self.stack.as_slice().into(),
            action_set: self.set.actions().into(),
            mirrors: self.mirrors,
            conntracked: self.conntracked,
            controller,
            table: self.table,
            neighbour: None,
        }
    }

    fn kept(&self) -> Kept {
        if self.in_packet_out {
            // What a controller said of its packet is in no packet.
            return Kept::all_of(&self.flow);
        }
        let mut came = FlowKey::EMPTY;
        if !self.severed {
            came.clone_from(self.request.key);
            self.view.bridge.tlv_table().fill(&mut came);
        }
        let mut counts = self.wc.clone();
        counts.or_assign(&self.thawed);
        Kept::of(&self.flow, &came, &counts, self.severed)
    }

    /// The packet waits for a neighbour: translation goes on with the tunnel's port when it is known.
    pub(super) fn await_neighbour(&mut self, port: &BridgePort, wanted: WantedNeighbour) {
        self.commit();
        let output = Action::Output { port: port.ofport, max_len: 0 };
        let segment =
            Segment { table: self.table, cookie: self.cookie, actions: Box::new([output]) };
        let mut frozen = self.frozen(Resume::Actions(Box::new([segment])), None);
        frozen.neighbour = Some(wanted);
        let data = UserData::Neighbour { recirc_id: self.freeze_as(frozen).0 };
        let ask = Userspace { pid: 0, data, with_actions: false, tunnel_out: None };
        self.actions.push(DpAction::Userspace(Box::new(ask)));
    }

    pub(super) fn freeze_as(&mut self, frozen: Frozen) -> RecircId {
        let recirc: RecircRef = self.world.recirc.freeze(frozen);
        let id = recirc.id();
        self.recircs.push(recirc);
        id
    }

    /// Emits what makes the datapath help and come back.
    pub(super) fn finish_freezing(&mut self) {
        let Some(Freezing { why, segments }) = self.freezing.take() else { return };
        let resume = Resume::Actions(segments.into());
        if let Why::Pause(controller) = why {
            let mut frozen = self.frozen(resume, Some(controller.clone()));
            // The packet has left its table: controllers are told of none, as by the reference.
            frozen.table = 0;
            self.pause(frozen, &controller);
            return;
        }
        self.commit();
        let frozen = self.frozen(resume, None);
        let id = self.freeze_as(frozen);
        let kind = match why {
            Why::Hash(algorithm, basis) => {
                self.actions.push(DpAction::Hash { algorithm, basis });
                RecircKind::Hash
            }
            _ => RecircKind::Parse,
        };
        self.actions.push(DpAction::Recirc(id));
        let flow = self.flow.clone();
        self.recorder.recirculates(kind, id, &flow);
    }

    /// Goes on with a packet that came back from the datapath.
    pub(super) fn resume(&mut self) {
        let id = self.flow.recirc_id();
        let recirc = self.world.recirc.find(id);
        let Some(frozen) = recirc.as_ref().map(|recirc| recirc.frozen()) else {
            self.recorder.enter(Part::Bridge(&self.view));
            self.recorder.note(
                Weight::Error,
                format_args!("Recirculation context not found for ID {}", id.0),
            );
            self.fail(TranslateError::NoRecircContext);
            self.recorder.leave();
            return;
        };
        self.switch_to(&frozen.bridge);
        self.recorder.enter(Part::Bridge(&self.view));
        self.set_in_port(frozen.in_port);
        frozen.kept.restore(&mut self.flow);
        self.severed = frozen.kept.is_severed();
        frozen.kept.add_to(&mut self.thawed);
        self.base = self.flow.clone();
        self.stack = frozen.stack.to_vec();
        self.mirrors = frozen.mirrors;
        self.conntracked = frozen.conntracked;
        self.set = ActionSet::of(&frozen.action_set);
        self.refresh_actset_output();
        self.recorder.enter(Part::Thaw);
        if !self.conntracked {
            self.clear_conntrack();
        }
        if let Some(port) = self.port(frozen.in_port) {
            self.mirror_ingress(&port);
        }
        match &frozen.resume {
            Resume::Table(table) => {
                self.recorder.line(format_args!("Resuming from table {table}"));
                self.recorder.leave();
                self.enter_first_table(*table);
            }
            Resume::Bond(bond) => {
                self.recorder.leave();
                self.output_bond_member(*bond);
            }
            Resume::Actions(segments) => {
                self.recorder.line(format_args!("Restoring actions"));
                self.recorder.leave();
                let mut segments = segments.iter().peekable();
                while let Some(segment) = segments.next() {
                    self.table = segment.table;
                    self.cookie = segment.cookie;
                    self.walk(&segment.actions, segments.peek().is_none());
                    if self.freezing.is_some() {
                        for left in segments.by_ref() {
                            self.table = left.table;
                            self.freeze_rest(&left.actions);
                        }
                    }
                    if self.stopped() {
                        break;
                    }
                }
            }
        }
        self.end_of_tables();
        self.recorder.leave();
    }

    /// Takes away what the connection tracker said.
    pub(super) fn clear_conntrack(&mut self) {
        self.conntracked = false;
        forget_conntrack(&mut self.flow);
    }
}

/// Takes away what the connection tracker said of a packet.
pub(crate) fn forget_conntrack(flow: &mut FlowKey) {
    for place in CONNTRACK {
        if flow.load(place) != 0 {
            flow.store(place, 0);
        }
    }
}

/// What the tracker says of a packet.
pub(crate) const CONNTRACK: [layout::Place; 11] = [
    layout::CT_STATE,
    layout::CT_ZONE,
    layout::CT_MARK,
    layout::CT_LABEL,
    layout::CT_NW_PROTO,
    layout::CT_NW_SRC,
    layout::CT_NW_DST,
    layout::CT_TP_SRC,
    layout::CT_TP_DST,
    layout::CT_IPV6_SRC,
    layout::CT_IPV6_DST,
];
