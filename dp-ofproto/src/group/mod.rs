//! Groups: lists of buckets, each a list of actions, and how one or all of them are chosen
//! (OpenFlow 1.5, section 5.10).
//!
//! A group never changes once it stands in a table: a modification puts a new one in its place
//! that shares the statistics of the buckets which stay. Groups stand beside the flow tables in
//! one snapshot ([`crate::table::TableSet`]), so that a transaction over both is seen whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dp_core::base::{Instant, OfPort};
use dp_core::flow::{FieldId, Wide};

use crate::action::Actions;

/// The unique number of a group in its bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub u32);

impl GroupId {
    /// Largest number a group may have (OFPG_MAX).
    pub const MAX: Self = Self(0xffff_ff00);
    /// All groups, in deletions (OFPG_ALL).
    pub const ALL: Self = Self(0xffff_fffc);
    /// No group, or any (OFPG_ANY).
    pub const ANY: Self = Self(0xffff_ffff);
}

/// Which buckets act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupKind {
    /// All.
    All,
    /// One, chosen by a hash and by weights.
    Select,
    /// The only one.
    Indirect,
    /// The first that is alive.
    FastFailover,
}

impl GroupKind {
    /// The number on the wire, and the name in text, of each.
    pub const ALL: [(Self, u8, &'static str); 4] = [
        (Self::All, 0, "all"),
        (Self::Select, 1, "select"),
        (Self::Indirect, 2, "indirect"),
        (Self::FastFailover, 3, "ff"),
    ];
}

/// How a select group hashes (`selection_method`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SelectionMethod {
    /// As the switch likes: by `dp_hash`, where it can.
    #[default]
    Default,
    /// By the fields that are listed, in the slow path.
    Hash,
    /// By a hash that the datapath computes.
    DpHash,
}

/// How the bucket of a select group is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selection {
    /// How.
    pub method: SelectionMethod,
    /// The method's parameter.
    pub param: u64,
    /// Fields that are hashed, with their masks; ascending by field. Of tunnel metadata all ones stand
    /// for all of it.
    pub fields: Vec<(FieldId, Wide)>,
}

/// What a bucket or a group has carried.
#[derive(Debug, Default)]
pub struct GroupStats {
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl GroupStats {
    /// Counts packets.
    pub fn credit(&self, packets: u64, bytes: u64) {
        self.packets.fetch_add(packets, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Packets so far.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// One bucket of a group.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Its number in the group.
    pub id: u32,
    /// Its share in a select group; 0: never chosen.
    pub weight: u16,
    /// It is alive while this port is up.
    pub watch_port: Option<OfPort>,
    /// It is alive while this group has a bucket that is alive.
    pub watch_group: Option<GroupId>,
    /// What it does.
    pub actions: Actions,
    /// What it has carried.
    pub stats: Arc<GroupStats>,
}

/// A group.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its number.
    pub id: GroupId,
    /// Which buckets act.
    pub kind: GroupKind,
    /// How a select group chooses.
    pub selection: Selection,
    /// Its buckets, in their order.
    pub buckets: Arc<[Bucket]>,
    /// When it was added.
    pub created: Instant,
    /// When it was last changed.
    pub modified: Instant,
    /// What it has carried.
    pub stats: Arc<GroupStats>,
}
