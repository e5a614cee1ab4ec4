//! What the datapath hands to the slow path, and why.

use super::ActionList;
use crate::base::PortNo;

bitflags::bitflags! {
    /// Why a flow's packets cannot be handled by the datapath alone.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SlowReasons: u32 {
        /// CFM message.
        const CFM = 1 << 0;
        /// BFD message.
        const BFD = 1 << 1;
        /// LACP message.
        const LACP = 1 << 2;
        /// STP or RSTP message.
        const STP = 1 << 3;
        /// LLDP message.
        const LLDP = 1 << 4;
        /// A controller gets the packet.
        const CONTROLLER = 1 << 5;
        /// An action that the datapath does not have.
        const ACTION = 1 << 6;
        /// The match needs more than the datapath's key.
        const MATCH = 1 << 7;
    }
}

impl SlowReasons {
    /// The names of the reasons, as text spells them.
    pub const NAMES: [(Self, &'static str); 8] = [
        (Self::CFM, "cfm"),
        (Self::BFD, "bfd"),
        (Self::LACP, "lacp"),
        (Self::STP, "stp"),
        (Self::LLDP, "lldp"),
        (Self::CONTROLLER, "controller"),
        (Self::ACTION, "action"),
        (Self::MATCH, "match"),
    ];
}

/// Hands a copy of a packet to the slow path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Userspace {
    /// Whom it is for; nothing depends on it inside one process, text shows it.
    pub pid: u32,
    /// Why, and what the slow path needs to know.
    pub data: UserData,
    /// Hands over the actions of the flow as well.
    pub with_actions: bool,
    /// For samples: the tunnel port that the packet leaves by.
    pub tunnel_out: Option<PortNo>,
}

/// Why a packet goes to the slow path, with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UserData {
    /// Nothing is said.
    None,
    /// The slow path executes the flow's actions.
    SlowPath(SlowReasons),
    /// A controller gets the packet.
    Controller {
        /// OpenFlow's reason code.
        reason: u8,
        /// It is not sent after all: counted, metered and forgotten.
        dont_send: bool,
        /// Translation goes on when the controller resumes it.
        continuation: bool,
        /// Where the state of the translation is kept.
        recirc_id: u32,
        /// Cookie of the rule.
        rule_cookie: u64,
        /// Which controllers.
        controller_id: u16,
        /// Bytes they get.
        max_len: u16,
    },
    /// The packet waits until the neighbour towards a tunnel's other end is known.
    Neighbour {
        /// Where the state of the translation is kept.
        recirc_id: u32,
    },
    /// sFlow took a sample.
    Sflow {
        /// The packet's outer TCI.
        vlan_tci: u16,
        /// Where it goes: sFlow's own encoding of output interfaces.
        output: u32,
        /// The steps that follow, for what the sample tells of tunnels and labels. Text has them
        /// not: there they are read from the flow.
        following: ActionList,
    },
    /// IPFIX took a sample of a bridge's traffic.
    Ipfix {
        /// The port it leaves by, if it was taken there.
        output: Option<PortNo>,
        /// It goes nowhere; text does not say so.
        dropped: bool,
    },
    /// A flow's `sample` action took a sample.
    FlowSample {
        /// Out of 65535.
        probability: u16,
        /// Which collectors.
        collector_set: u32,
        /// Observation domain.
        obs_domain: u32,
        /// Observation point.
        obs_point: u32,
        /// The port it leaves by, if that was asked for.
        output: Option<PortNo>,
        /// Whether it was taken at entry or at exit.
        direction: SampleDirection,
    },
    /// Bytes that this switch gives no meaning to.
    Raw(Box<[u8]>),
}

/// Where a sample was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SampleDirection {
    /// Not said.
    #[default]
    Unspecified,
    /// At entry.
    Ingress,
    /// At exit.
    Egress,
}
