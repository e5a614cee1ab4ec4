//! The datapath's action list: flat, complete, cheap to walk.
//!
//! OpenFlow's actions are rich; translation lowers them once into these, and nothing on the packet
//! path ever looks at an OpenFlow action. A list is a slice, executed in order on a batch of
//! packets; the empty list drops.
//!
//! | room | what |
//! |---|---|
//! | [`Action`], [`ActionList`] | one step, and the steps of a flow |
//! | [`set`] | masked writes, one struct a header |

pub mod set;

use std::sync::Arc;

pub use set::{Masked, Set};

use crate::base::{DropReason, PortNo, RecircId};

/// One step of a flow's action list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Sends the packet out of a port; it goes on through the list as it is.
    Output(PortNo),
    /// Ends the list and counts the packet as dropped, for this reason.
    Drop(DropReason),
    /// Adds an outer VLAN tag. `tci` as in [`crate::flow::layout`]: the present bit is set.
    PushVlan {
        /// Ethertype of the tag: 0x8100 or 0x88a8.
        tpid: u16,
        /// Priority, present bit, VID.
        tci: u16,
    },
    /// Removes the outer VLAN tag.
    PopVlan,
    /// Writes header or metadata fields.
    Set(Set),
    /// Sends the packet through the pipeline again with this id. As the last step it takes the
    /// packet itself, elsewhere a copy.
    Recirc(RecircId),
}

/// The steps of a flow.
pub type ActionList = Arc<[Action]>;
