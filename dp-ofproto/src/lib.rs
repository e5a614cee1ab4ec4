//! OpenFlow tables, translation and revalidation over the dp datapath.
//!
//! | room | what |
//! |---|---|
//! | [`action`] | the rich OpenFlow actions |
//! | [`bond`] | ports of several interfaces |
//! | [`bridge`] | ports, VLAN modes, settings, limits |
//! | [`export`] | what collectors are told: sFlow, NetFlow, IPFIX |
//! | [`gateway`] | what a gateway node decides: owners, backends, ports, announcements |
//! | [`group`] | groups and their buckets |
//! | [`learn`] | MAC learning |
//! | [`matching`] | matches, compact, and their prerequisites |
//! | [`openflow`] | the OpenFlow protocol: messages between bytes and values |
//! | [`protocols`] | what a bridge does of its own accord: BFD … |
//! | [`revalidate`] | megaflows kept true to the tables |
//! | [`services`] | bonds and bridge protocols, plugged into translation |
//! | [`session`] | OpenFlow connections of a bridge |
//! | [`table`] | rules, flow-mods, the tables and their classifier |
//! | [`text`] | flow text as `ovs-ofctl` reads and writes it |
//! | [`mod@trace`] | `ofproto/trace` |
//! | [`translate`](mod@translate) | what the tables make of a packet: datapath actions and a mask |
//! | [`tunnel`] | tunnel ports: matching, routes, neighbours, headers |
//! | [`upcall`] | answers to packet threads, and what is remembered of them |

pub mod action;
pub mod bond;
pub mod bridge;
pub mod export;
pub mod gateway;
pub mod group;
pub mod learn;
pub mod matching;
pub mod openflow;
pub mod protocols;
pub mod revalidate;
pub mod services;
pub mod session;
pub mod table;
pub mod text;
pub mod tlv;
pub mod trace;
pub mod translate;
pub mod tunnel;
pub mod upcall;
