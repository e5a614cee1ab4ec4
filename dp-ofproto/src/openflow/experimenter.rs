//! Messages of experimenters: whose they are and their numbers.

use super::wire::Put;
use super::{Header, Version, message_type};

/// Whose extensions are known.
pub mod id {
    /// Nicira.
    pub const NICIRA: u32 = 0x0000_2320;
    /// The Open Networking Foundation.
    pub const ONF: u32 = 0x4f4e_4600;
}

/// Nicira's messages.
pub mod nicira {
    /// Asks for a role.
    pub const ROLE_REQUEST: u32 = 10;
    /// Tells the role.
    pub const ROLE_REPLY: u32 = 11;
    /// Chooses between OpenFlow 1.0's match and lists of fields.
    pub const SET_FLOW_FORMAT: u32 = 12;
    /// Changes flows.
    pub const FLOW_MOD: u32 = 13;
    /// A flow went.
    pub const FLOW_REMOVED: u32 = 14;
    /// The command's upper byte is a table.
    pub const FLOW_MOD_TABLE_ID: u32 = 15;
    /// Chooses how packet-ins are written.
    pub const SET_PACKET_IN_FORMAT: u32 = 16;
    /// A packet.
    pub const PACKET_IN: u32 = 17;
    /// Says nothing; obsolete.
    pub const FLOW_AGE: u32 = 18;
    /// Which messages come unasked.
    pub const SET_ASYNC_CONFIG: u32 = 19;
    /// The number of this controller.
    pub const SET_CONTROLLER_ID: u32 = 20;
    /// Ends a flow monitor.
    pub const FLOW_MONITOR_CANCEL: u32 = 21;
    /// A flow monitor is behind.
    pub const FLOW_MONITOR_PAUSED: u32 = 22;
    /// It has caught up.
    pub const FLOW_MONITOR_RESUMED: u32 = 23;
    /// Changes the map of tunnel options.
    pub const TLV_TABLE_MOD: u32 = 24;
    /// Asks for it.
    pub const TLV_TABLE_REQUEST: u32 = 25;
    /// Tells it.
    pub const TLV_TABLE_REPLY: u32 = 26;
    /// Which messages come unasked, as OpenFlow 1.4 says it.
    pub const SET_ASYNC_CONFIG2: u32 = 27;
    /// A packet that was paused goes on.
    pub const RESUME: u32 = 28;
    /// Forgets the connections of a zone.
    pub const CT_FLUSH_ZONE: u32 = 29;
    /// A packet, with all there is to say of it.
    pub const PACKET_IN2: u32 = 30;
    /// Changes groups, in OpenFlow 1.0.
    pub const GROUP_MOD: u32 = 31;
    /// Forgets connections.
    pub const CT_FLUSH: u32 = 32;
}

/// Nicira's multipart messages.
pub mod nicira_stats {
    /// Flows.
    pub const FLOW: u32 = 0;
    /// Sums over flows.
    pub const AGGREGATE: u32 = 1;
    /// Flow monitors.
    pub const FLOW_MONITOR: u32 = 2;
    /// IPFIX of a bridge.
    pub const IPFIX_BRIDGE: u32 = 3;
    /// IPFIX of flows.
    pub const IPFIX_FLOW: u32 = 4;
    /// Groups, in OpenFlow 1.0.
    pub const GROUP: u32 = 7;
    /// Their descriptions.
    pub const GROUP_DESC: u32 = 8;
    /// What they can be.
    pub const GROUP_FEATURES: u32 = 9;
}

/// The foundation's messages, extensions to OpenFlow 1.3.
pub mod onf {
    /// Ends a flow monitor.
    pub const FLOW_MONITOR_CANCEL: u32 = 1870;
    /// A flow monitor is behind.
    pub const FLOW_MONITOR_PAUSED: u32 = 1871;
    /// It has caught up.
    pub const FLOW_MONITOR_RESUMED: u32 = 1872;
    /// Flow monitors, as a multipart message.
    pub const STATS_FLOW_MONITOR: u32 = 1870;
    /// Opens, commits, discards a bundle.
    pub const BUNDLE_CONTROL: u32 = 2300;
    /// Adds to one.
    pub const BUNDLE_ADD: u32 = 2301;
}

/// Begins a message of Nicira's.
pub fn begin(out: &mut Vec<u8>, version: Version, subtype: u32, xid: u32) {
    begin_of(out, version, id::NICIRA, subtype, xid);
}

/// Begins a message of somebody's own.
pub fn begin_of(out: &mut Vec<u8>, version: Version, vendor: u32, subtype: u32, xid: u32) {
    Header::begin(out, version, message_type::EXPERIMENTER, xid);
    out.put32(vendor);
    out.put32(subtype);
}
