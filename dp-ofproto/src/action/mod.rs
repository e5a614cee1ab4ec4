//! OpenFlow actions and instructions: the rich list that a rule carries.
//!
//! One flat list holds actions and instructions alike, in the order in which they act: actions
//! applied at once first, then `clear_actions`, `write_actions`, `write_metadata`, `goto_table`
//! ([`check()`]). Translation lowers it to the datapath's flat actions; nothing here executes.
//!
//! Actions that do the same remain apart where text and wire tell them apart (`load:` and
//! `set_field:`, `mod_nw_tos` and `set_field:…->nw_tos`), so that what a controller wrote is what
//! it reads back.

mod check;
mod choose;
mod control;
mod ct;
mod encap;
mod fields;
mod learn;

use std::net::Ipv4Addr;
use std::sync::Arc;

use dp_core::base::{MacAddr, OfPort};
use dp_core::flow::fields::Format;
use dp_core::flow::{FieldId, Wide};

pub use check::{ActionError, Checker, check};
pub use choose::{Bundle, BundleAlgorithm, HashFields, Multipath, MultipathAlgorithm};
pub use control::{Controller, PacketInReason, Sample, SampleDirection, SampleNumber, meter_id};
pub use ct::{Alg, Ct, Nat, NatAddresses, NatKind, ZoneSource};
pub use encap::{Encap, EncapProperty, PacketType};
pub use fields::{each_subfield, names_field};
pub use learn::{Learn, LearnSource, LearnSpec, LearnTarget};

/// What a rule does, shared between the versions of a rule and its readers. Empty: drop.
pub type Actions = Arc<[Action]>;

/// Bits `start` to `start + bits - 1` of a field, counted from the least significant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subfield {
    /// The field.
    pub field: FieldId,
    /// First bit.
    pub start: u16,
    /// Number of bits, at least 1.
    pub bits: u16,
}

impl Subfield {
    /// All of a field.
    #[must_use]
    pub fn whole(field: FieldId) -> Self {
        Self { field, start: 0, bits: width(field) }
    }

    /// Some bits of a field; `None` if it has not that many.
    #[must_use]
    pub fn new(field: FieldId, start: u16, bits: u16) -> Option<Self> {
        let end = start.checked_add(bits)?;
        (bits >= 1 && end <= width(field)).then_some(Self { field, start, bits })
    }

    /// Whether it is all of its field.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self == Self::whole(self.field)
    }

    /// The mask of these bits inside the field's value, whatever its width.
    #[must_use]
    pub fn wide_mask(self) -> Wide {
        match self.is_wide() {
            true => Wide::ones(self.bits) << u32::from(self.start),
            false => self.mask().into(),
        }
    }

    /// Whether it is of a field that may be wider than 128 bits.
    #[must_use]
    pub const fn is_wide(self) -> bool {
        self.field.tun_metadata_number().is_some()
    }

    /// The mask of these bits inside the field's value: those that reading and writing are about. Of a
    /// field that is wider than 128 bits the last of them.
    #[must_use]
    pub fn mask(self) -> u128 {
        if self.is_wide() {
            return self.wide_mask().low();
        }
        let field = self.field.field();
        // The ECN shares its byte with the DSCP and is a field of its own.
        let own = if field.format == Format::Tos { 0xfc } else { field.ones() };
        (self.ones() << self.start) & own
    }

    /// All ones in the width of the subfield: the largest number it holds. In the last 128 bits of one
    /// that is wider.
    #[must_use]
    pub fn ones(self) -> u128 {
        match self.bits {
            0 => 0,
            bits => u128::MAX >> (128 - u32::from(bits.min(128))),
        }
    }
}

/// How many bits of a field actions see. A few are wider there than what a key keeps of them: the
/// rest reads as zero and is not written.
#[must_use]
pub fn width(field: FieldId) -> u16 {
    match field {
        FieldId::ArpOp => 16,
        FieldId::CtState | FieldId::InPortOxm | FieldId::ActsetOutput => 32,
        _ => field.field().bits,
    }
}

/// Writes those bits of a tunnel metadata field that are set in `mask`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SetOption {
    /// The field.
    pub field: FieldId,
    /// The bits to write; clear outside the mask.
    pub value: Wide,
    /// Which bits to write; all ones: all that the option has.
    pub mask: Wide,
}

/// One action or instruction. Values are numbers in the width of their field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// To a port, a reserved one included (`NORMAL`, `FLOOD`, `ALL`, `IN_PORT`, `LOCAL`,
    /// `CONTROLLER`, …).
    Output {
        /// Where to.
        port: OfPort,
        /// Bytes of the packet that the controller gets; only for `CONTROLLER`.
        max_len: u16,
    },
    /// To the port whose number a subfield holds.
    OutputReg {
        /// Where the number is.
        src: Subfield,
        /// As in [`Self::Output`].
        max_len: u16,
    },
    /// Looks the packet up again and acts on what is found, then goes on here.
    Resubmit {
        /// In-port to pretend while looking up; `None` keeps the present one.
        in_port: Option<OfPort>,
        /// Table; `None` is the present one.
        table: Option<u8>,
        /// Look up by the original direction's addresses of the tracked connection.
        ct: bool,
    },
    /// To a port, at most this many bytes of the packet.
    OutputTrunc {
        /// Where to.
        port: OfPort,
        /// Bytes, at least 14.
        max_len: u32,
    },
    /// To controllers, with all that may be said about it. `Output` to `CONTROLLER` is its short
    /// form.
    Controller(Box<Controller>),
    /// To a port, by one of its queues.
    Enqueue {
        /// Where to.
        port: OfPort,
        /// The queue.
        queue: u32,
    },
    /// To a group.
    Group(u32),
    /// To a port that is up, or its number into a subfield.
    Bundle(Box<Bundle>),
    /// A number that a hash chooses, into a subfield.
    Multipath(Box<Multipath>),
    /// Goes on in a later table; nothing may follow.
    GotoTable(u8),
    /// Writes those bits of a field that are set in `mask`.
    SetField {
        /// The field.
        field: FieldId,
        /// The bits to write; clear outside the mask.
        value: u128,
        /// Which bits to write, within the field's width.
        mask: u128,
        /// Whether the mask was given although it has all bits of a field that does not fill its
        /// octets; it is given back then.
        named: bool,
    },
    /// The same for tunnel metadata, which may be wider.
    SetOption(Box<SetOption>),
    /// Writes a number into a subfield.
    Load {
        /// The subfield, at most 64 bits wide.
        dst: Subfield,
        /// The number; it fits.
        value: u64,
    },
    /// Copies a subfield to another one of the same width.
    Move {
        /// From.
        src: Subfield,
        /// To.
        dst: Subfield,
    },
    /// Pushes a subfield onto the stack.
    Push(Subfield),
    /// Pops the stack into a subfield.
    Pop(Subfield),
    /// Source MAC (`mod_dl_src`).
    SetEthSrc(MacAddr),
    /// Destination MAC (`mod_dl_dst`).
    SetEthDst(MacAddr),
    /// VID of the outer tag, which is added if there is none (`mod_vlan_vid`).
    SetVlanVid(u16),
    /// Priority of the outer tag, which is added if there is none (`mod_vlan_pcp`).
    SetVlanPcp(u8),
    /// Removes the outer tag, if any (`strip_vlan`: OpenFlow 1.0).
    StripVlan,
    /// The same (`pop_vlan`: OpenFlow 1.1 and later).
    PopVlan,
    /// Adds a tag with this Ethertype, 0x8100 or 0x88a8.
    PushVlan(u16),
    /// IPv4 source (`mod_nw_src`).
    SetIpv4Src(Ipv4Addr),
    /// IPv4 destination (`mod_nw_dst`).
    SetIpv4Dst(Ipv4Addr),
    /// DSCP, as the tos byte with the lower two bits clear (`mod_nw_tos`).
    SetTos(u8),
    /// ECN, 0 to 3 (`mod_nw_ecn`).
    SetEcn(u8),
    /// TTL or hop limit (`mod_nw_ttl`).
    SetTtl(u8),
    /// Decrements the TTL or hop limit. Where it is 1 or less already, the packet goes to these
    /// controllers instead and nothing further happens (`dec_ttl`, by default to controller 0).
    DecTtl(Box<[u16]>),
    /// TCP, UDP or SCTP source port (`mod_tp_src`).
    SetL4Src(u16),
    /// TCP, UDP or SCTP destination port (`mod_tp_dst`).
    SetL4Dst(u16),
    /// Tunnel key (`set_tunnel`, `set_tunnel64`).
    SetTunnel {
        /// The key.
        id: u64,
        /// Whether it was written as 64 bits.
        wide: bool,
    },
    /// Writes those bits of the metadata that are set in `mask`.
    WriteMetadata {
        /// The bits to write; clear outside the mask.
        value: u64,
        /// Which bits to write.
        mask: u64,
    },
    /// Empties the action set.
    ClearActions,
    /// Merges these actions into the action set.
    WriteActions(Box<[Self]>),
    /// Bytes that mean nothing to the switch.
    Note(Box<[u8]>),
    /// Ends this list and those that resubmitted to it.
    Exit,
    /// Outputs from here on go by this queue.
    SetQueue(u32),
    /// Outputs go by the queue of before the last `SetQueue`.
    PopQueue,
    /// Puts an MPLS label of this Ethertype (0x8847, 0x8848) on.
    PushMpls(u16),
    /// Takes the outermost MPLS label off; this Ethertype is beneath.
    PopMpls(u16),
    /// Label of the outermost MPLS header, 20 bits.
    SetMplsLabel(u32),
    /// Its traffic class, 3 bits.
    SetMplsTc(u8),
    /// Its TTL.
    SetMplsTtl(u8),
    /// Decrements it; as with [`Self::DecTtl`] a packet whose TTL is used up goes no further.
    DecMplsTtl,
    /// Decrements the TTL of an NSH header.
    DecNshTtl,
    /// Puts a header on.
    Encap(Box<Encap>),
    /// Takes the outermost header off; what is beneath, if it is said.
    Decap(Option<PacketType>),
    /// Sends the packet through the connection tracker.
    Ct(Box<Ct>),
    /// Forgets what the connection tracker said.
    CtClear,
    /// Makes a rule.
    Learn(Box<Learn>),
    /// One clause of a conjunction: of `clauses`, the number `clause` (from 0).
    Conjunction {
        /// Which conjunction.
        id: u32,
        /// Which clause.
        clause: u8,
        /// How many there are.
        clauses: u8,
    },
    /// Shortens the timeouts of the rule when a TCP connection ends.
    FinTimeout {
        /// Idle timeout in seconds; 0: unchanged.
        idle: u16,
        /// Hard timeout in seconds; 0: unchanged.
        hard: u16,
    },
    /// Samples.
    Sample(Box<Sample>),
    /// Writes into a bit whether the packet is larger than this.
    CheckPktLarger {
        /// Bytes.
        len: u16,
        /// The bit.
        dst: Subfield,
    },
    /// Carries out a list, and is as before afterwards.
    Clone(Box<[Self]>),
    /// Meters the packet.
    Meter(u32),
    /// Removes a tunnel metadata field.
    DeleteField(FieldId),
    /// Sends the packet through the datapath once more, for tests.
    DebugRecirc,
    /// Makes the packet take the slow path, for tests.
    DebugSlow,
}

impl Action {
    /// Output to a port; the controller gets whole packets.
    #[must_use]
    pub const fn output(port: OfPort) -> Self {
        Self::Output { port, max_len: if port.0 == OfPort::CONTROLLER.0 { u16::MAX } else { 0 } }
    }

    /// Resubmits to a table with the in-port that the packet has.
    #[must_use]
    pub const fn resubmit(table: u8) -> Self {
        Self::Resubmit { in_port: None, table: Some(table), ct: false }
    }

    /// Sets a whole field.
    #[must_use]
    pub fn set_field(field: FieldId, value: u128) -> Self {
        if field.tun_metadata_number().is_some() {
            let (value, mask) = (value.into(), Wide::ONES);
            return Self::SetOption(Box::new(SetOption { field, value, mask }));
        }
        let mask = field.field().ones();
        Self::SetField { field, value: value & mask, mask, named: false }
    }
}
