//! The rows of one table, its indexes, and who refers to its rows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Row, RowChange};
use crate::ovsdb::schema::TableSchema;
use crate::ovsdb::uuid::Uuid;
use crate::ovsdb::value::Datum;

/// The values of an index's columns in one row.
pub type IndexKey = Box<[Datum]>;

/// One table's rows.
#[derive(Clone, Debug)]
pub struct Table {
    rows: BTreeMap<Uuid, Arc<Row>>,
    /// For each index of the schema, the row that has a key.
    indexes: Vec<HashMap<IndexKey, Uuid>>,
    /// How many strong references each row has, those from itself left out.
    strong: HashMap<Uuid, u32>,
    /// The rows that refer weakly to each row, and how often.
    weak: HashMap<Uuid, BTreeMap<(usize, Uuid), u32>>,
    /// Atoms in the columns of all rows.
    atoms: usize,
}

impl Table {
    pub(super) fn new(schema: &TableSchema) -> Self {
        Self {
            rows: BTreeMap::new(),
            indexes: vec![HashMap::new(); schema.indexes.len()],
            strong: HashMap::new(),
            weak: HashMap::new(),
            atoms: 0,
        }
    }

    /// Its rows, by UUID.
    pub fn rows(&self) -> impl Iterator<Item = (&Uuid, &Arc<Row>)> {
        self.rows.iter()
    }

    /// A row.
    pub fn row(&self, uuid: Uuid) -> Option<&Arc<Row>> {
        self.rows.get(&uuid)
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// How many atoms its rows hold.
    pub fn atoms(&self) -> usize {
        self.atoms
    }

    /// How many weak references lead to its rows.
    pub fn weak_references(&self) -> usize {
        let counts = self.weak.values().flat_map(BTreeMap::values);
        counts.map(|&count| usize::try_from(count).unwrap_or(usize::MAX)).sum()
    }

    /// True when it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many strong references lead to a row.
    pub fn strong_references(&self, uuid: Uuid) -> u32 {
        self.strong.get(&uuid).copied().unwrap_or(0)
    }

    /// The rows, by table and UUID, that refer weakly to a row.
    pub fn weak_referrers(&self, uuid: Uuid) -> impl Iterator<Item = (usize, Uuid)> {
        self.weak.get(&uuid).into_iter().flat_map(|referrers| referrers.keys().copied())
    }

    /// The row that has `key` in the index at a place of the schema.
    pub fn indexed(&self, index: usize, key: &IndexKey) -> Option<Uuid> {
        self.indexes.get(index)?.get(key).copied()
    }

    pub(super) fn adjust_strong(&mut self, uuid: Uuid, step: i32) {
        let count = self.strong.entry(uuid).or_insert(0);
        *count = count.saturating_add_signed(step);
        if *count == 0 {
            self.strong.remove(&uuid);
        }
    }

    pub(super) fn adjust_weak(&mut self, uuid: Uuid, referrer: (usize, Uuid), step: i32) {
        let referrers = self.weak.entry(uuid).or_default();
        let count = referrers.entry(referrer).or_insert(0);
        *count = count.saturating_add_signed(step);
        if *count == 0 {
            referrers.remove(&referrer);
        }
        if referrers.is_empty() {
            self.weak.remove(&uuid);
        }
    }

    pub(super) fn replace(&mut self, schema: &TableSchema, change: &RowChange) {
        for (places, index) in schema.indexes.iter().zip(&mut self.indexes) {
            let (old, new) = (
                change.old.as_deref().map(|row| index_key(row, places)),
                change.new.as_deref().map(|row| index_key(row, places)),
            );
            if old == new {
                continue;
            }
            // Another row of the same commit may have taken the key over already.
            if let Some(old) = old
                && index.get(&old) == Some(&change.uuid)
            {
                index.remove(&old);
            }
            if let Some(new) = new {
                index.insert(new, change.uuid);
            }
        }
        let held = |row: &Option<Arc<Row>>| row.as_deref().map_or(0, Row::atoms);
        self.atoms = (self.atoms + held(&change.new)).saturating_sub(held(&change.old));
        match &change.new {
            Some(row) => {
                self.rows.insert(change.uuid, Arc::clone(row));
            }
            None => {
                self.rows.remove(&change.uuid);
            }
        }
    }
}

/// The key of a row in the index over the columns at `places`.
pub(crate) fn index_key(row: &Row, places: &[usize]) -> IndexKey {
    places.iter().map(|&at| row.get(at).clone()).collect()
}
