//! What the schema promises, checked and mended at the end of a transaction (RFC 7047, 3.2, 4.1.3).
//!
//! In order:
//! 1. rows that end as they began are no change;
//! 2. strong references lead to rows, and rows that are referred to stay;
//! 3. rows of tables that are not root, and that nothing refers to, go, and what they held with
//!    them (rows that refer to each other in a circle keep each other, as in the reference);
//! 4. tables stay within `maxRows`;
//! 5. weak references to rows that are no more go, if the column may do without;
//! 6. index keys are unique.
//!
//! # Cost
//! In proportion to what changed: the rows written, the references they gained or lost, and the
//! rows that referred weakly to deleted ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::draft::{Draft, Entry};
use crate::ovsdb::database::{IndexKey, Row, RowChange, for_each_reference_change, index_key};
use crate::ovsdb::error::{Error, Tag};
use crate::ovsdb::schema::{DatabaseSchema, TableSchema};
use crate::ovsdb::uuid::Uuid;
use crate::ovsdb::value::Atom;

/// Settles a draft into the changes of a commit; the rows get `version`.
pub(super) fn settle(mut draft: Draft<'_>, version: Uuid) -> Result<Vec<RowChange>, Error> {
    drop_unchanged(&mut draft);
    let schema = Arc::clone(draft.database.schema());
    let mut counts = Counts::of(&draft, &schema)?;
    counts.check_deleted(&draft, &schema)?;
    collect_garbage(&mut draft, &schema, &mut counts);
    check_max_rows(&draft, &schema)?;
    mend_weak_references(&mut draft, &schema)?;
    drop_unchanged(&mut draft);
    check_indexes(&draft, &schema)?;
    Ok(draft
        .rows
        .into_iter()
        .map(|((table, uuid), entry)| {
            let new = entry.new.map(|mut row| {
                row.set_version(version);
                Arc::new(row)
            });
            RowChange { table, uuid, old: entry.old, new }
        })
        .collect())
}

fn drop_unchanged(draft: &mut Draft<'_>) {
    draft.rows.retain(|_, entry| match (&entry.old, &entry.new) {
        (Some(old), Some(new)) => !old.same_contents(new),
        (None, None) => false,
        _ => true,
    });
}

/// How many strong references each row has gained or lost in this transaction.
struct Counts {
    steps: BTreeMap<(usize, Uuid), i64>,
}

impl Counts {
    fn of(draft: &Draft<'_>, schema: &DatabaseSchema) -> Result<Self, Error> {
        let mut counts = Self { steps: BTreeMap::new() };
        for (&(at, uuid), entry) in &draft.rows {
            let Some(table) = schema.tables.get(at) else { continue };
            let mut missing = None;
            let (old, new) = (entry.old.as_deref(), entry.new.as_ref());
            for_each_reference_change(table, old, new, |target, to, step| {
                if !target.strong || (target.table, to) == (at, uuid) {
                    return;
                }
                if step > 0 && missing.is_none() && !draft.ever_had(target.table, to) {
                    missing = Some((target, to));
                }
                *counts.steps.entry((target.table, to)).or_insert(0) += i64::from(step);
            });
            if let Some((target, to)) = missing {
                let why = format!(
                    "Table {} column {} row {uuid} references nonexistent row {to} in table {}.",
                    table.name, table.columns[target.column].name, schema.tables[target.table].name
                );
                return Err(Error::new(Tag::Integrity, why));
            }
        }
        Ok(counts)
    }

    /// How many strong references lead to a row, with this transaction's.
    fn total(&self, draft: &Draft<'_>, table: usize, uuid: Uuid) -> i64 {
        let before = draft.database.table(table).strong_references(uuid);
        i64::from(before) + self.steps.get(&(table, uuid)).copied().unwrap_or(0)
    }

    fn check_deleted(&self, draft: &Draft<'_>, schema: &DatabaseSchema) -> Result<(), Error> {
        let deleted = draft.rows.iter().filter(|(_, entry)| entry.new.is_none());
        for (&(table, uuid), _) in deleted {
            let remaining = self.total(draft, table, uuid);
            if remaining > 0 {
                let name = &schema.tables[table].name;
                let why = format!(
                    "cannot delete {name} row {uuid} because of {remaining} remaining reference(s)"
                );
                return Err(Error::new(Tag::Integrity, why));
            }
        }
        Ok(())
    }
}

/// Deletes rows that nothing refers to any more, and so on with what they referred to.
fn collect_garbage(draft: &mut Draft<'_>, schema: &DatabaseSchema, counts: &mut Counts) {
    let is_root = |at: usize| schema.tables.get(at).is_none_or(|table| table.is_root);
    let mut suspects: Vec<(usize, Uuid)> = draft
        .rows
        .iter()
        .filter(|(_, entry)| entry.new.is_some())
        .map(|(key, _)| *key)
        .chain(counts.steps.iter().filter(|(_, step)| **step < 0).map(|(key, _)| *key))
        .filter(|&(at, _)| !is_root(at))
        .collect();
    while let Some((at, uuid)) = suspects.pop() {
        let Some(table) = schema.tables.get(at) else { continue };
        let Some(row) = draft.get(at, uuid) else { continue };
        if counts.total(draft, at, uuid) > 0 {
            continue;
        }
        for_each_reference_change(table, Some(row), None, |target, to, step| {
            if target.strong && (target.table, to) != (at, uuid) {
                *counts.steps.entry((target.table, to)).or_insert(0) += i64::from(step);
                if !is_root(target.table) {
                    suspects.push((target.table, to));
                }
            }
        });
        draft.delete(at, uuid);
    }
}

fn check_max_rows(draft: &Draft<'_>, schema: &DatabaseSchema) -> Result<(), Error> {
    for (at, table) in schema.tables.iter().enumerate() {
        if table.max_rows == u32::MAX {
            continue;
        }
        let mut rows = draft.database.table(at).len();
        let before = rows;
        for entry in table_entries(draft, at).map(|(_, entry)| entry) {
            match (&entry.old, &entry.new) {
                (None, Some(_)) => rows += 1,
                (Some(_), None) => rows = rows.saturating_sub(1),
                _ => {}
            }
        }
        if rows > table.max_rows as usize && rows > before {
            let why = format!(
                "transaction causes \"{}\" table to contain {rows} rows, greater than the \
                 schema-defined limit of {} row(s)",
                table.name, table.max_rows
            );
            return Err(Error::new(Tag::Constraint, why));
        }
    }
    Ok(())
}

/// Takes weak references to rows that do not exist out of the rows that have them.
fn mend_weak_references(draft: &mut Draft<'_>, schema: &DatabaseSchema) -> Result<(), Error> {
    let mut suspects: BTreeSet<(usize, Uuid)> = BTreeSet::new();
    for (&(at, uuid), entry) in &draft.rows {
        match entry {
            Entry { new: Some(_), .. } => {
                suspects.insert((at, uuid));
            }
            Entry { old: Some(_), new: None } => {
                suspects.extend(draft.database.table(at).weak_referrers(uuid));
            }
            Entry { old: None, new: None } => {}
        }
    }
    for (at, uuid) in suspects {
        let Some(table) = schema.tables.get(at) else { continue };
        for &(column, key, value) in table.references() {
            if [key, value].into_iter().flatten().any(|(_, strong)| !strong) {
                mend_column(draft, table, (at, uuid), (column, key, value))?;
            }
        }
    }
    Ok(())
}

/// A column that refers: its place, the targets of its keys and of its values.
type ReferringColumn = (usize, Option<(usize, bool)>, Option<(usize, bool)>);

fn mend_column(
    draft: &mut Draft<'_>,
    table: &TableSchema,
    (at, uuid): (usize, Uuid),
    (column, key, value): ReferringColumn,
) -> Result<(), Error> {
    let Some(row) = draft.get(at, uuid) else { return Ok(()) };
    let old = row.get(column).clone();
    let (mut lost, mut zeros) = (0_usize, 0_usize);
    let mut stays = |atom: &Atom, end: Option<(usize, bool)>| match (end, atom.as_uuid()) {
        (Some((target, false)), Some(to)) if draft.get(target, to).is_none() => {
            lost += 1;
            zeros += usize::from(to.is_zero());
            false
        }
        _ => true,
    };
    let new = old.retain(|k, v| {
        let key_stays = stays(k, key);
        v.is_none_or(|v| stays(v, value)) && key_stays
    });
    if lost == 0 {
        return Ok(());
    }
    let schema = &table.columns[column];
    if new.len() < schema.ty.min as usize {
        let inserted = draft.rows.get(&(at, uuid)).is_some_and(|entry| entry.old.is_none());
        let inserted = if inserted { "(inserted within this transaction) " } else { "" };
        let (column, table) = (&schema.name, &table.name);
        // The words, and the slip in them, are those that scripts compare.
        let why = if zeros == lost {
            format!(
                "Weak reference column \"{column}\" in \"{table}\" row {uuid} {inserted}contained \
                 all-zeros UUID (probably as the default value for this column) but deleting this \
                 value caused a constraint volation because this column is not allowed to be empty."
            )
        } else {
            format!(
                "Deletion of {lost} weak reference(s) to deleted (or never-existing) rows from \
                 column \"{column}\" in \"{table}\" row {uuid} {inserted}caused this column to \
                 become empty, but constraints on this column disallow an empty column."
            )
        };
        return Err(Error::new(Tag::Constraint, why));
    }
    if let Some(row) = draft.get_mut(at, uuid) {
        row.set(column, new);
    }
    Ok(())
}

fn check_indexes(draft: &Draft<'_>, schema: &DatabaseSchema) -> Result<(), Error> {
    for (at, table) in schema.tables.iter().enumerate() {
        for (index, places) in table.indexes.iter().enumerate() {
            let mut taken: HashMap<IndexKey, Uuid> = HashMap::new();
            for (uuid, entry) in table_entries(draft, at) {
                let Some(row) = &entry.new else { continue };
                let key = index_key(row, places);
                // A row outside the draft keeps its key; those inside meet in `taken`.
                let other = draft
                    .database
                    .table(at)
                    .indexed(index, &key)
                    .filter(|other| !draft.rows.contains_key(&(at, *other)))
                    .or_else(|| taken.get(&key).copied());
                if let Some(other) = other {
                    return Err(same_key(draft, table, at, places, (other, uuid)));
                }
                taken.insert(key, uuid);
            }
        }
    }
    Ok(())
}

fn same_key(
    draft: &Draft<'_>,
    table: &TableSchema,
    at: usize,
    places: &[usize],
    (first, second): (Uuid, Uuid),
) -> Error {
    let names = places.iter().map(|&at| format!("\"{}\"", table.columns[at].name)).collect();
    let state = |uuid| row_state(draft.rows.get(&(at, uuid)), places);
    let values = draft.get(at, first).map(|row| index_values(row, places)).unwrap_or_default();
    let why = format!(
        "Transaction causes multiple rows in \"{}\" table to have identical values ({values}) for \
         index on column{} {}.  First row, with UUID {first}, {}  Second row, with UUID {second}, \
         {}",
        table.name,
        if places.len() == 1 { "" } else { "s" },
        in_words(names),
        state(first),
        state(second),
    );
    Error::new(Tag::Constraint, why)
}

/// Where a row with a disputed key comes from.
fn row_state(entry: Option<&Entry>, places: &[usize]) -> String {
    match entry {
        None => "existed in the database before this transaction and was not modified by the \
                 transaction."
            .into(),
        Some(Entry { old: None, .. }) => "was inserted by this transaction.".into(),
        Some(Entry { old: Some(old), new }) => {
            let same =
                new.as_ref().is_some_and(|new| places.iter().all(|&at| old.get(at) == new.get(at)));
            if same {
                "existed in the database before this transaction, which modified some of the row's \
                 columns but not any columns in this index."
                    .into()
            } else {
                let values = index_values(old, places);
                format!("had the following index values before the transaction: {values}.")
            }
        }
    }
}

fn index_values(row: &Row, places: &[usize]) -> String {
    in_words(places.iter().map(|&at| row.get(at).to_string()).collect())
}

/// `a`, `a and b`, `a, b, and c`.
fn in_words(mut items: Vec<String>) -> String {
    let Some(last) = items.pop() else { return String::new() };
    match items.len() {
        0 => last,
        1 => format!("{} and {last}", items.concat()),
        _ => format!("{}, and {last}", items.join(", ")),
    }
}

fn table_entries<'d>(
    draft: &'d Draft<'_>,
    table: usize,
) -> impl Iterator<Item = (Uuid, &'d Entry)> {
    draft
        .rows
        .range((table, Uuid::ZERO)..=(table, Uuid([0xff; 16])))
        .map(|((_, uuid), entry)| (*uuid, entry))
}
