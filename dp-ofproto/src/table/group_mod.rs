//! Requests to change groups (OpenFlow 1.5, section 7.3.4.3), and carrying them out in an [`Edit`].
//!
//! A group that is deleted takes the rules that use it along. A group that is changed keeps the
//! statistics of the buckets that stay.

use std::sync::Arc;

use dp_core::base::{Instant, OfPort};
use thiserror::Error;

use super::edit::Edit;
use super::flow_mod::Removal;
use crate::action::{self, Action, ActionError};
use crate::group::{Bucket, Group, GroupId, GroupKind, GroupStats, Selection};

/// Numbers of buckets that are none.
pub mod bucket_id {
    /// The largest.
    pub const MAX: u32 = 0xffff_ff00;
    /// The first bucket.
    pub const FIRST: u32 = 0xffff_fffd;
    /// The last bucket.
    pub const LAST: u32 = 0xffff_fffe;
    /// All buckets.
    pub const ALL: u32 = 0xffff_ffff;
}

/// What to do with a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupCommand {
    /// Make it.
    Add,
    /// Change it.
    Modify,
    /// Remove it.
    Delete,
    /// Put buckets in.
    InsertBucket,
    /// Take buckets out.
    RemoveBucket,
    /// Change it, or make it.
    AddOrModify,
}

/// A bucket as a request has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketSpec {
    /// Its number; `None`: the next that is free.
    pub id: Option<u32>,
    /// Its weight; `None`: not said.
    pub weight: Option<u16>,
    /// The port it watches.
    pub watch_port: Option<OfPort>,
    /// The group it watches.
    pub watch_group: Option<GroupId>,
    /// What it does.
    pub actions: Vec<Action>,
}

/// A request to change a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMod {
    /// What to do.
    pub command: GroupCommand,
    /// Its kind.
    pub kind: GroupKind,
    /// Which; [`GroupId::ALL`] in deletions: all.
    pub group: GroupId,
    /// The bucket that inserting and removing is about ([`bucket_id`]).
    pub bucket: u32,
    /// Its buckets.
    pub buckets: Vec<BucketSpec>,
    /// How a select group chooses.
    pub selection: Selection,
}

/// Why a request was refused; the groups are as they were before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GroupModError {
    /// A group with this number is there.
    #[error("group {0} exists already")]
    Exists(u32),
    /// There is no such group.
    #[error("there is no group {0}")]
    Unknown(u32),
    /// A number that no group can have.
    #[error("{0} is not the number of a group")]
    Invalid(u32),
    /// There is no such bucket.
    #[error("there is no bucket {0}")]
    UnknownBucket(u32),
    /// A bucket with this number is there.
    #[error("bucket {0} exists already")]
    BucketExists(u32),
    /// A bucket's actions make no sense.
    #[error(transparent)]
    Actions(#[from] ActionError),
}

impl Edit<'_> {
    /// Carries out a request to change a group.
    ///
    /// # Errors
    ///
    /// Why it was refused; the edit is as before then.
    pub fn apply_group(&mut self, request: &GroupMod, now: Instant) -> Result<(), GroupModError> {
        for bucket in &request.buckets {
            action::check(&bucket.actions, None, None)?;
        }
        let id = request.group;
        match request.command {
            GroupCommand::Delete => {
                self.delete_groups(id);
                return Ok(());
            }
            _ if id > GroupId::MAX => return Err(GroupModError::Invalid(id.0)),
            _ => {}
        }
        let old = self.view().group(id).cloned();
        let group = match (request.command, old) {
            (GroupCommand::Add, Some(_)) => return Err(GroupModError::Exists(id.0)),
            (GroupCommand::Add | GroupCommand::AddOrModify, None) => {
                replacement(request, None, now)?
            }
            (_, None) => return Err(GroupModError::Unknown(id.0)),
            (GroupCommand::InsertBucket, Some(old)) => insert(request, &old, now)?,
            (GroupCommand::RemoveBucket, Some(old)) => remove(request, &old, now)?,
            (_, Some(old)) => replacement(request, Some(&old), now)?,
        };
        self.put_group(group);
        Ok(())
    }

    fn delete_groups(&mut self, id: GroupId) {
        let gone: Vec<_> = match id {
            GroupId::ALL => self.view().groups().map(|group| group.id).collect(),
            _ => self.view().group(id).map(|group| group.id).into_iter().collect(),
        };
        for id in &gone {
            self.remove_group(*id);
        }
        let gone: Vec<_> = gone.into_iter().filter(|id| self.view().group_users(*id) > 0).collect();
        if !gone.is_empty() {
            // Once for all of them: there may be many groups and many rules.
            let gone: std::collections::HashSet<_, ahash::RandomState> = gone.into_iter().collect();
            self.remove_where(Removal::GroupDelete, |rule| uses_any(rule.actions(), &gone));
        }
    }
}

/// Whether a list uses one of these groups, in its action set and in clones too.
fn uses_any(
    actions: &[Action],
    groups: &std::collections::HashSet<GroupId, ahash::RandomState>,
) -> bool {
    actions.iter().any(|action| match action {
        Action::Group(used) => groups.contains(&GroupId(*used)),
        Action::WriteActions(list) | Action::Clone(list) => uses_any(list, groups),
        _ => false,
    })
}

fn replacement(
    request: &GroupMod,
    old: Option<&Group>,
    now: Instant,
) -> Result<Group, GroupModError> {
    Ok(Group {
        id: request.group,
        kind: request.kind,
        selection: request.selection.clone(),
        buckets: number(request, &[])?.into(),
        created: old.map_or(now, |old| old.created),
        modified: now,
        stats: Arc::new(GroupStats::default()),
    })
}

fn insert(request: &GroupMod, old: &Group, now: Instant) -> Result<Group, GroupModError> {
    let fresh = number(request, &old.buckets)?;
    let at = match request.bucket {
        bucket_id::FIRST => 0,
        bucket_id::LAST => old.buckets.len(),
        id => match old.buckets.iter().position(|bucket| bucket.id == id) {
            Some(at) => at + 1,
            None => return Err(GroupModError::UnknownBucket(id)),
        },
    };
    let (before, after) = old.buckets.split_at(at.min(old.buckets.len()));
    let buckets = before.iter().cloned().chain(fresh).chain(after.iter().cloned()).collect();
    Ok(Group { buckets, modified: now, ..old.clone() })
}

fn remove(request: &GroupMod, old: &Group, now: Instant) -> Result<Group, GroupModError> {
    let mut buckets = old.buckets.to_vec();
    match request.bucket {
        bucket_id::ALL => buckets.clear(),
        // There is nothing to remove from an empty group, and nothing wrong with that.
        bucket_id::FIRST | bucket_id::LAST if buckets.is_empty() => {}
        bucket_id::FIRST => drop(buckets.remove(0)),
        bucket_id::LAST => drop(buckets.pop()),
        id => match buckets.iter().position(|bucket| bucket.id == id) {
            Some(at) => drop(buckets.remove(at)),
            None => return Err(GroupModError::UnknownBucket(id)),
        },
    }
    Ok(Group { buckets: buckets.into(), modified: now, ..old.clone() })
}

/// Makes buckets of a request's, with numbers that are not in use. One without a weight gets 1 where the
/// request says that the group chooses by weights, else 0; a request to insert buckets need not say so.
fn number(request: &GroupMod, present: &[Bucket]) -> Result<Vec<Bucket>, GroupModError> {
    let specs = &request.buckets;
    let weight = u16::from(request.kind == GroupKind::Select);
    let mut used: std::collections::HashSet<u32, ahash::RandomState> =
        present.iter().map(|bucket| bucket.id).collect();
    for id in specs.iter().filter_map(|spec| spec.id) {
        if !used.insert(id) {
            return Err(GroupModError::BucketExists(id));
        }
    }
    let mut next = 0;
    let buckets = specs.iter().map(|spec| {
        let id = spec.id.unwrap_or_else(|| {
            while !used.insert(next) {
                next += 1;
            }
            next
        });
        Bucket {
            id,
            weight: spec.weight.unwrap_or(weight),
            watch_port: spec.watch_port,
            watch_group: spec.watch_group,
            actions: spec.actions.as_slice().into(),
            stats: Arc::new(GroupStats::default()),
        }
    });
    Ok(buckets.collect())
}

#[cfg(test)]
mod tests {
    use dp_core::base::{Instant, OfPort};

    use super::{BucketSpec, GroupCommand, GroupMod, GroupModError, bucket_id};
    use crate::action::Action;
    use crate::group::{GroupId, GroupKind, Selection};
    use crate::matching::Match;
    use crate::table::{Change, FlowMod, Removal, Tables};

    const T0: Instant = Instant(0);

    fn bucket(id: Option<u32>, port: u16) -> BucketSpec {
        let actions = vec![Action::output(OfPort(port))];
        BucketSpec { id, weight: None, watch_port: None, watch_group: None, actions }
    }

    fn request(command: GroupCommand, at: u32, buckets: Vec<BucketSpec>) -> GroupMod {
        GroupMod {
            command,
            kind: GroupKind::All,
            group: GroupId(7),
            bucket: at,
            buckets,
            selection: Selection::default(),
        }
    }

    fn ids(tables: &Tables) -> Vec<u32> {
        let group = tables.snapshot().group(GroupId(7)).cloned().unwrap();
        group.buckets.iter().map(|bucket| bucket.id).collect()
    }

    fn apply(tables: &Tables, request: &GroupMod) -> Result<Vec<Change>, GroupModError> {
        let mut edit = tables.edit();
        edit.apply_group(request, T0)?;
        Ok(edit.commit())
    }

    #[test]
    fn buckets_are_put_in_and_taken_out_where_it_is_said() {
        let tables = Tables::default();
        let two = vec![bucket(Some(10), 1), bucket(None, 2)];
        apply(&tables, &request(GroupCommand::Add, bucket_id::ALL, two.clone())).unwrap();
        assert_eq!(ids(&tables), [10, 0]);
        let error = apply(&tables, &request(GroupCommand::Add, bucket_id::ALL, two)).unwrap_err();
        assert_eq!(error, GroupModError::Exists(7));
        let insert = |at, id| request(GroupCommand::InsertBucket, at, vec![bucket(Some(id), 3)]);
        apply(&tables, &insert(10, 5)).unwrap();
        apply(&tables, &insert(bucket_id::FIRST, 6)).unwrap();
        apply(&tables, &insert(bucket_id::LAST, 8)).unwrap();
        assert_eq!(ids(&tables), [6, 10, 5, 0, 8]);
        assert_eq!(apply(&tables, &insert(99, 9)).unwrap_err(), GroupModError::UnknownBucket(99));
        assert_eq!(apply(&tables, &insert(5, 6)).unwrap_err(), GroupModError::BucketExists(6));
        for at in [bucket_id::FIRST, bucket_id::LAST, 5] {
            apply(&tables, &request(GroupCommand::RemoveBucket, at, vec![])).unwrap();
        }
        assert_eq!(ids(&tables), [10, 0]);
    }

    #[test]
    fn a_deleted_group_takes_its_rules_along() {
        let tables = Tables::default();
        apply(&tables, &request(GroupCommand::Add, bucket_id::ALL, vec![])).unwrap();
        tables.apply(&FlowMod::add(0, 1, Match::any(), vec![Action::Group(7)]), T0).unwrap();
        tables.apply(&FlowMod::add(0, 2, Match::any(), vec![]), T0).unwrap();
        let changes = apply(&tables, &request(GroupCommand::Delete, 0, vec![])).unwrap();
        assert!(matches!(&changes[..], [Change::Removed { reason: Removal::GroupDelete, .. }]));
        assert!(tables.snapshot().group(GroupId(7)).is_none());
        assert_eq!(tables.snapshot().len(), 1);
    }
}
