//! The datapath's action list: flat, complete, cheap to walk.
//!
//! OpenFlow's actions are rich; translation lowers them once into these, and nothing on the packet
//! path ever looks at an OpenFlow action. A list is a slice, executed in order on a batch of
//! packets; the empty list drops. Lists inside a step ([`Action::Clone`], [`Action::Sample`] …) work
//! on a copy of the packet, or decide between two ways to go on.
//!
//! | room | what |
//! |---|---|
//! | [`Action`], [`ActionList`] | one step, and the steps of a flow |
//! | [`set`] | masked writes, one struct a header |
//! | [`ct`] | connection tracking and NAT |
//! | [`tunnel`] | encapsulation headers, and what a tunnel says of a packet |
//! | [`nsh`] | network service headers |
//! | [`text`] | lists as datapath tools write them |
//! | [`userspace`] | what goes to the slow path, and why |

pub mod ct;
pub mod nsh;
pub mod set;
pub mod text;
pub mod tunnel;
pub mod userspace;

use std::sync::Arc;

pub use ct::Ct;
pub use set::{Masked, Set};
pub use tunnel::TunnelPush;
pub use userspace::{SlowReasons, UserData, Userspace};

use crate::base::{BondId, DropReason, MeterId, PortNo, RecircId};

/// One step of a flow's action list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Sends the packet out of a port; it goes on through the list as it is.
    Output(PortNo),
    /// Sends the packet out of the member of a bond that its hash is assigned to.
    LbOutput(BondId),
    /// Ends the list and counts the packet as dropped, for this reason.
    Drop(DropReason),
    /// Hands a copy of the packet to the slow path.
    Userspace(Box<Userspace>),
    /// Hands a copy of the packet to whoever samples: the group, and a cookie that he understands.
    Psample {
        /// Group of the collectors.
        group: u32,
        /// At most 16 bytes.
        cookie: Box<[u8]>,
    },
    /// Adds an outer VLAN tag. `tci` as in [`crate::flow::layout`]: the present bit is set.
    PushVlan {
        /// Ethertype of the tag: 0x8100 or 0x88a8.
        tpid: u16,
        /// Priority, present bit, VID.
        tci: u16,
    },
    /// Removes the outer VLAN tag.
    PopVlan,
    /// Adds a label stack entry in front of the payload, behind Ethernet header and tags.
    PushMpls {
        /// Label (20 bits), traffic class (3), bottom of stack (1), TTL (8).
        lse: u32,
        /// The Ethertype from now on: 0x8847 or 0x8848.
        eth_type: u16,
    },
    /// Adds a label stack entry in front of the payload, or in front of the whole frame.
    AddMpls {
        /// As in [`Self::PushMpls`].
        lse: u32,
        /// 0x8847 or 0x8848.
        eth_type: u16,
        /// Behind the Ethernet header as [`Self::PushMpls`] does; otherwise in front of it, which
        /// makes the packet one without an Ethernet header.
        behind_ethernet: bool,
    },
    /// Removes the outermost label stack entry.
    PopMpls {
        /// The Ethertype of what is behind it.
        eth_type: u16,
    },
    /// Adds an Ethernet header to a packet that has none.
    PushEthernet(set::Ethernet),
    /// Removes the Ethernet header.
    PopEthernet,
    /// Adds a network service header in front of the packet.
    PushNsh(Box<nsh::Header>),
    /// Removes the network service header.
    PopNsh,
    /// Writes header or metadata fields.
    Set(Set),
    /// Lowers the TTL or hop limit by one; a packet with 1 or less takes this list instead, and
    /// ends.
    DecTtl(ActionList),
    /// Cuts copies that later steps send down to this many bytes, until one of them has.
    Trunc(u32),
    /// Passes the packet through a meter, which may drop it.
    Meter(MeterId),
    /// Computes [`dp_hash`](crate::flow::layout::DP_HASH).
    Hash {
        /// Of what.
        algorithm: HashAlgorithm,
        /// Mixed into it.
        basis: u32,
    },
    /// Runs a list on a copy of one packet in so many.
    Sample {
        /// Out of 2^32 - 1, which is always.
        probability: u32,
        /// The list.
        actions: ActionList,
    },
    /// Runs a list on a copy; what it does to the packet ends with it.
    Clone(ActionList),
    /// Goes on with one of two lists, by the length of the frame, on a copy.
    CheckPktLen {
        /// Bytes, from the Ethernet header on.
        len: u16,
        /// For frames that are longer.
        greater: ActionList,
        /// For the others.
        less_or_equal: ActionList,
    },
    /// Looks the packet up in the connection table.
    Ct(Box<Ct>),
    /// Forgets what the connection table said of the packet.
    CtClear,
    /// Puts the packet into a tunnel and sends the result on.
    TunnelPush(Box<TunnelPush>),
    /// Takes the packet out of the tunnel that ends at this port and sends it through the pipeline
    /// as coming in by the port.
    TunnelPop(PortNo),
    /// Sends the packet through the pipeline again with this id. As the last step it takes the
    /// packet itself, elsewhere a copy.
    Recirc(RecircId),
}

/// What a [`Action::Hash`] covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// Addresses, protocol and ports of layers 3 and 4.
    L4,
    /// The same, with both directions of a connection having one hash.
    SymL4,
}

/// The steps of a flow.
pub type ActionList = Arc<[Action]>;
