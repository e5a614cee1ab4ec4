//! OpenFlow tables, translation and revalidation over the dp datapath.
//!
//! | room | what |
//! |---|---|
//! | [`action`] | the rich OpenFlow actions |
//! | [`table`] | matches, rules, flow-mods, the tables and their classifier |

pub mod action;
pub mod table;
