//! Mirrors: copies of packets that a bridge takes in or sends out (`ovs-vswitchd.conf.db(5)`,
//! Mirror).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::VlanSet;
use crate::group::GroupStats;
use crate::matching::Match;

/// Where copies go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorOutput {
    /// Out of a port, by its name; it takes part in nothing else.
    Port(String),
    /// Into a VLAN, to all ports that carry it (RSPAN).
    Vlan(u16),
}

/// A mirror. At most 32 of a bridge count.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// Its name.
    pub name: String,
    /// Names of the ports whose incoming packets are copied.
    pub src: BTreeSet<String>,
    /// Names of the ports whose outgoing packets are copied.
    pub dst: BTreeSet<String>,
    /// Copy only packets of these VLANs; `None`: of any.
    pub vlans: Option<VlanSet>,
    /// Where to.
    pub output: MirrorOutput,
    /// Bytes of each copy; 0: all.
    pub snaplen: u16,
    /// Copy only what matches.
    pub filter: Option<Match>,
    /// What was copied.
    pub stats: Arc<GroupStats>,
}

impl Mirror {
    /// A mirror that copies nothing yet.
    #[must_use]
    pub fn new(name: impl Into<String>, output: MirrorOutput) -> Self {
        Self {
            name: name.into(),
            src: BTreeSet::new(),
            dst: BTreeSet::new(),
            vlans: None,
            output,
            snaplen: 0,
            filter: None,
            stats: Arc::default(),
        }
    }
}

/// How many mirrors a bridge has at most.
pub const MAX_MIRRORS: usize = 32;
