//! What other parts of a switch plug into translation: tunnels, bonds, bridge protocols, sampling.
//!
//! Translation asks; whoever answers is a library of its own and may be absent. Answers must be
//! functions of what is passed and of state whose version [`Hooks::version`] tells: revalidation
//! translates again when it moves on. Whoever looks at a bit of the flow makes it count in `wc`.

use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;

use dp_core::action::{Action as DpAction, SlowReasons, TunnelPush, Userspace};
use dp_core::base::{BondId, DropReason, Instant, MacAddr, OfPort, PortNo};
use dp_core::conntrack::skip::SkipPolicy;
use dp_core::flow::{FlowKey, FlowMask};

use super::recirc::{Frozen, WantedNeighbour};
use crate::bridge::{Bridge, BridgePort};

/// A port of a bridge.
#[derive(Clone, Debug)]
pub struct Location {
    /// The bridge.
    pub bridge: Arc<Bridge>,
    /// The port.
    pub port: Arc<BridgePort>,
}

impl Location {
    /// A port of a bridge, or what stands for one that is not there.
    #[must_use]
    pub fn at(bridge: &Arc<Bridge>, ofport: OfPort) -> Self {
        let port =
            bridge.ports().get(ofport).map(Arc::clone).unwrap_or_else(|| {
                Arc::new(BridgePort::new(ofport, PortNo::NONE, ofport.to_string()))
            });
        Self { bridge: Arc::clone(bridge), port }
    }
}

/// What a tunnel does with a packet that is sent into it.
#[derive(Clone, Debug)]
pub enum TunnelSent {
    /// The packet gets outer headers and goes on in the bridge that leads to the other end, as
    /// though that bridge's own port had sent it.
    Native {
        /// The headers; `out_port` is filled in by translation.
        push: Box<TunnelPush>,
        /// What the packet looks like from outside.
        outer: Box<FlowKey>,
        /// Where it enters: the local port of the bridge underneath.
        underlay: Location,
    },
    /// These steps are all there is to it.
    Actions(Vec<DpAction>),
    /// The tunnel does not take it: the text says why.
    Refused(String, DropReason),
    /// It cannot be sent; the text says why.
    Dropped(String, DropReason),
    /// It cannot be sent before this neighbour is known: the hook takes the packet
    /// ([`Tunnels::hold`]).
    Waits(WantedNeighbour),
}

/// A packet on its way into a tunnel.
#[derive(Debug)]
pub struct TunnelSend<'a> {
    /// The bridge and port.
    pub bridge: &'a Bridge,
    /// The tunnel's port.
    pub port: &'a BridgePort,
    /// The packet as it came in.
    pub received: &'a FlowKey,
    /// The packet; tunnel fields are written by the hook.
    pub flow: &'a mut FlowKey,
    /// What counts.
    pub wc: &'a mut FlowMask,
    /// The time.
    pub now: Instant,
    /// Lines for whoever watches: `(warning, text)`.
    pub notes: Vec<(bool, String)>,
}

/// A packet that waits for a neighbour on its way into a tunnel.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// How its translation goes on.
    pub frozen: Frozen,
    /// Its key at that step.
    pub key: FlowKey,
    /// The frame as it goes into the tunnel.
    pub frame: Box<[u8]>,
}

/// A packet that is to be forwarded by routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteAsked {
    /// Its source: some routes are chosen by it.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// Its mark.
    pub mark: u32,
    /// The time.
    pub now: Instant,
}

/// Where routes lead a packet.
#[derive(Clone, Debug)]
pub enum RouteFound {
    /// Nowhere.
    NoWay,
    /// To a neighbour whose address is not known yet.
    Waits(WantedNeighbour),
    /// Out of a bridge's own port, or into it.
    Way {
        /// The bridge and its own port.
        device: Location,
        /// The next hop.
        next: IpAddr,
        /// The device's address.
        eth_src: MacAddr,
        /// The next hop's.
        eth_dst: MacAddr,
        /// The packet is for the host itself.
        is_own: bool,
    },
}

/// Tunnels.
pub trait Tunnels: Send + Sync + Debug {
    /// Moves on whenever an answer may differ.
    fn version(&self) -> u64;
    /// The port by which a packet with tunnel metadata came in. `None`: no tunnel wants it.
    fn receive(&self, key: &FlowKey, wc: &mut FlowMask) -> Option<Location>;
    /// Sends a packet into a tunnel.
    fn send(&self, send: &mut TunnelSend<'_>) -> TunnelSent;
    /// Takes a packet that waits for a neighbour, and asks for that.
    fn hold(&self, waiting: Waiting, now: Instant);
    /// Whether a packet that is sent to a bridge's own port is for a tunnel that ends there: the
    /// datapath port that takes it out of the tunnel.
    fn terminates(&self, flow: &FlowKey, wc: &mut FlowMask) -> Option<PortNo>;
    /// Which way an IP packet takes that is forwarded by the switch's routes.
    fn route(&self, asked: &RouteAsked) -> RouteFound;
    /// What a packet to or from a bridge's own port tells about neighbours (ARP, ND, tunnels). It is
    /// an effect: [`Tunnels::learn`] is told when there has been a packet.
    fn snoop(&self, bridge: &Bridge, flow: &FlowKey, wc: &mut FlowMask) -> Option<SeenNeighbour>;
    /// Learns what a packet has told.
    fn learn(&self, seen: &SeenNeighbour, now: Instant);
}

/// What a packet tells of a neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenNeighbour {
    /// The bridge on whose link it is.
    pub bridge: Arc<str>,
    /// Its address.
    pub address: IpAddr,
    /// Its MAC.
    pub mac: MacAddr,
    /// It has said so itself. Otherwise it has sent something by a tunnel, which says where a
    /// neighbour is that is known already.
    pub told: bool,
}

/// How a packet that comes in by a member of a bond is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BondAdmission {
    /// As by any port.
    Accept,
    /// Not at all.
    Drop,
    /// Not if its source address is known on another port.
    DropIfMoved,
}

/// The way out of a bond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BondOutput {
    /// By this member.
    Member(OfPort),
    /// The datapath chooses by its hash, from its own table.
    Datapath(BondId),
    /// The datapath hashes first (L4, this basis) and comes back with this id.
    Recirculate {
        /// The id, kept by the bond.
        id: u32,
        /// Basis of the hash.
        basis: u32,
    },
    /// No member is up.
    None,
}

/// Bonds, by the number in [`BridgePort::bond`].
pub trait Bonds: Send + Sync + Debug {
    /// Moves on whenever an answer may differ.
    fn version(&self) -> u64;
    /// How a packet is taken in.
    fn admit(&self, bond: BondId, member: OfPort, dst: MacAddr) -> BondAdmission;
    /// The way out for a packet of this VLAN.
    fn output(&self, bond: BondId, flow: &FlowKey, wc: &mut FlowMask, vlan: u16) -> BondOutput;
    /// What a megaflow over this bond has carried.
    fn account(&self, bond: BondId, flow: &FlowKey, vlan: u16, bytes: u64);
}

/// One step of sending multicast on; a trace shows its note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum McastStep {
    /// To a port.
    Output {
        /// The port; one interface of it, if it is a bond.
        port: OfPort,
        /// Why.
        note: &'static str,
    },
    /// Not to a port that might have been meant.
    Note(&'static str),
}

/// Where multicast of a group goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct McastOutputs {
    /// In this order.
    pub steps: Vec<McastStep>,
    /// To every port of the VLAN, after the steps.
    pub flood: bool,
    /// It is a report or a query: the slow path must see each one.
    pub message: bool,
}

/// Protocols that a bridge speaks itself: CFM, BFD, LACP, STP, RSTP, LLDP, multicast snooping.
pub trait Protocols: Send + Sync + Debug {
    /// Moves on whenever an answer may differ.
    fn version(&self) -> u64;
    /// Whether a packet belongs to one of them, and to which.
    fn consumes(
        &self,
        bridge: &Bridge,
        port: &BridgePort,
        flow: &FlowKey,
        wc: &mut FlowMask,
    ) -> SlowReasons;
    /// Takes a packet that belongs to one.
    fn process(
        &self,
        bridge: &Bridge,
        port: &BridgePort,
        flow: &FlowKey,
        frame: &[u8],
        now: Instant,
    );
    /// Where NORMAL sends a multicast packet; `None`: it is flooded, snooping is off.
    fn multicast(
        &self,
        bridge: &Bridge,
        port: &BridgePort,
        vlan: u16,
        flow: &FlowKey,
        wc: &mut FlowMask,
    ) -> Option<McastOutputs>;
    /// Learns from a multicast packet's membership reports and queries.
    fn snoop_multicast(
        &self,
        bridge: &Bridge,
        port: &BridgePort,
        vlan: u16,
        flow: &FlowKey,
        frame: &[u8],
        now: Instant,
    );
}

/// Where a packet went, as NetFlow tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WentTo {
    /// Nowhere.
    #[default]
    Nowhere,
    /// Out of one port.
    Port(OfPort),
    /// Out of several.
    Several,
    /// It was flooded.
    Flooded,
}

impl WentTo {
    /// The same after another output.
    #[must_use]
    pub const fn and(self, port: OfPort) -> Self {
        match self {
            Self::Nowhere => Self::Port(port),
            Self::Port(_) | Self::Several => Self::Several,
            Self::Flooded => Self::Flooded,
        }
    }
}

/// A flow whose packets are to be told of.
#[derive(Clone, Debug)]
pub struct FlowNote {
    /// The bridge that it came into.
    pub bridge: Arc<Bridge>,
    /// By this port.
    pub in_port: OfPort,
    /// The packet as it left.
    pub flow: FlowKey,
    /// Where to.
    pub went_to: WentTo,
}

/// What the packets of a megaflow were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarriedBy {
    /// How many.
    pub packets: u64,
    /// How long in all.
    pub bytes: u64,
    /// TCP flags among them.
    pub tcp_flags: u16,
    /// When the last came.
    pub used: Instant,
}

/// What is known of a packet when its translation is at its end.
#[derive(Clone, Copy, Debug)]
pub struct EntryEnd<'a> {
    /// Datapath ports that it went to.
    pub outputs: &'a [PortNo],
    /// The outer tag that the last step left.
    pub vlan_tci: u16,
    /// The steps behind those of entry.
    pub following: &'a [DpAction],
}

/// sFlow and IPFIX of a bridge.
pub trait Sampling: Send + Sync + Debug {
    /// Moves on whenever an answer may differ.
    fn version(&self) -> u64;
    /// Steps before everything else, for packets that come in by a port.
    fn at_entry(&self, bridge: &Bridge, port: &BridgePort, flow: &FlowKey) -> Vec<DpAction>;
    /// Steps before an output.
    fn at_exit(&self, bridge: &Bridge, out: &BridgePort, flow: &FlowKey) -> Vec<DpAction>;
    /// Fills in what is known only at the end: where a packet went. `at_entry` steps are passed.
    fn finish(&self, bridge: &Bridge, entry: &mut [DpAction], end: &EntryEnd<'_>);
    /// Takes a packet that one of these steps handed over; it came into this bridge by this port.
    fn sampled(
        &self,
        request: &Userspace,
        bridge: &Bridge,
        port: &BridgePort,
        key: &FlowKey,
        frame: &[u8],
        now: Instant,
    );
    /// Whether flow samples of this collector set go anywhere; the steps for one if so.
    fn flow_sample(
        &self,
        bridge: &Bridge,
        sample: &crate::action::Sample,
        obs: (u32, u32),
        flow: &FlowKey,
        out: Option<&BridgePort>,
    ) -> Option<Vec<DpAction>>;
    /// Whether flows of a bridge are told of: what of them counts is in `wc` then.
    fn wants_flows(&self, bridge: &Bridge, flow: &FlowKey, wc: &mut FlowMask) -> bool;
    /// Packets of a flow came.
    fn account(&self, note: &FlowNote, carried: CarriedBy);
    /// No megaflow carries a flow any more.
    fn over(&self, note: &FlowNote);
}

/// All that is plugged in.
#[derive(Clone, Debug, Default)]
pub struct Hooks {
    /// Tunnels.
    pub tunnels: Option<Arc<dyn Tunnels>>,
    /// Bonds.
    pub bonds: Option<Arc<dyn Bonds>>,
    /// Bridge protocols.
    pub protocols: Option<Arc<dyn Protocols>>,
    /// sFlow and IPFIX.
    pub sampling: Option<Arc<dyn Sampling>>,
    /// Which packets need not be tracked.
    pub skip: Option<Arc<SkipPolicy>>,
}

impl Hooks {
    /// Moves on whenever an answer of any of them may differ.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.tunnels.as_ref().map_or(0, |hook| hook.version())
            + self.bonds.as_ref().map_or(0, |hook| hook.version())
            + self.protocols.as_ref().map_or(0, |hook| hook.version())
            + self.sampling.as_ref().map_or(0, |hook| hook.version())
            + self.skip.as_ref().map_or(0, |policy| policy.version())
    }
}
