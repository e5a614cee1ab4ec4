//! Flows: the fields a packet is matched on, keys that hold their values, masks that say which
//! bits count.
//!
//! ```text
//!   frame + metadata ──extract──► FlowKey  (lanes of 64 bytes, big-endian fields)
//!                                   │ & FlowMask
//!                                   ▼
//!                               masked key ──► caches, megaflow table, OpenFlow tables
//! ```
//!
//! | room | what |
//! |---|---|
//! | [`lane`] | the 64-byte unit that keys are made, hashed and compared in |
//! | [`layout`] | where in the lanes each value lives |
//! | [`fields`] | THE table of match fields: width, place, OXM numbers, prerequisites, names |
//! | [`wide`] | values wider than 128 bits, and where keys hold them |
//! | [`key`] | [`FlowKey`] and [`FlowMask`] |
//! | [`burst_keys`] | the keys of a burst, lane by lane |
//! | [`extract`] | frames in, keys out |
//! | [`beside`] | what packets carry beside their frames, in keys |
//! | [`compose`] | keys in, frames out |
//! | [`text`] | keys and masks as datapath tools write them |

pub mod beside;
pub mod burst_keys;
pub mod compose;
pub mod extract;
pub mod fields;
pub mod key;
pub mod lane;
pub mod layout;
pub mod text;
pub mod wide;

pub use burst_keys::{BurstKeys, FrameLanes};
pub use extract::{Extracted, Extractor, Malformed, Pass, VlanLimit};
pub use fields::{FIELDS, Field, FieldId};
pub use key::{FlowKey, FlowMask, ufid};
pub use lane::{LANES, Lane, LaneSet, PACKET_LANES};
pub use wide::Wide;
