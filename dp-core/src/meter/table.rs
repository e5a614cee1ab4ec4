//! The meters there are: what control changes, and what packet threads see of it.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{MAX_BANDS, MAX_METERS, Meter, MeterConfig, MeterStats};
use crate::base::{Instant, MeterId};

/// The meters of a datapath at one moment, as packet threads look them up.
#[derive(Clone, Debug, Default)]
pub struct Meters(Vec<Option<Arc<Meter>>>);

impl Meters {
    /// The meter with this id.
    #[inline]
    #[must_use]
    pub fn get(&self, id: MeterId) -> Option<&Meter> {
        self.0.get(id.0 as usize)?.as_deref()
    }
}

/// Why a meter is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterError {
    /// Its id is beyond what the datapath has.
    Id,
    /// It has no band, or more than [`MAX_BANDS`].
    Bands,
    /// A band has rate 0.
    Rate,
    /// There is no such meter.
    NotFound,
    /// This datapath has no meters.
    Unsupported,
    /// The packet threads do not answer.
    Busy,
}

impl fmt::Display for MeterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id => write!(f, "meter id is not below {MAX_METERS}"),
            Self::Bands => write!(f, "a meter has 1 to {MAX_BANDS} bands"),
            Self::Rate => f.write_str("a meter band has rate 0"),
            Self::NotFound => f.write_str("no such meter"),
            Self::Unsupported => f.write_str("this datapath has no meters"),
            Self::Busy => f.write_str("packet threads do not answer"),
        }
    }
}

impl core::error::Error for MeterError {}

/// The meters of a datapath, as control keeps them.
#[derive(Clone, Debug, Default)]
pub struct MeterTable(BTreeMap<MeterId, Arc<Meter>>);

impl MeterTable {
    /// Makes a meter, or makes it anew: its statistics begin again.
    ///
    /// # Errors
    ///
    /// When the id or the bands are out of bounds; nothing has changed then.
    pub fn set(
        &mut self,
        id: MeterId,
        config: MeterConfig,
        now: Instant,
    ) -> Result<(), MeterError> {
        if id.0 >= MAX_METERS {
            return Err(MeterError::Id);
        }
        if config.bands.is_empty() || config.bands.len() > MAX_BANDS {
            return Err(MeterError::Bands);
        }
        if config.bands.iter().any(|band| band.rate == 0) {
            return Err(MeterError::Rate);
        }
        self.0.insert(id, Arc::new(Meter::new(config, now)));
        Ok(())
    }

    /// The meter with this id.
    #[must_use]
    pub fn get(&self, id: MeterId) -> Option<&Arc<Meter>> {
        self.0.get(&id)
    }

    /// Removes a meter; returns what it has seen.
    pub fn remove(&mut self, id: MeterId) -> Option<MeterStats> {
        self.0.remove(&id).map(|meter| meter.stats())
    }

    /// All meters, by id.
    pub fn iter(&self) -> impl Iterator<Item = (MeterId, &Arc<Meter>)> {
        self.0.iter().map(|(&id, meter)| (id, meter))
    }

    /// What packet threads are to see from now on. The meters themselves are the same, so what they
    /// have counted goes on.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Meters> {
        let end = self.0.keys().next_back().map_or(0, |id| id.0 as usize + 1);
        let mut slots = vec![None; end];
        for (id, meter) in &self.0 {
            if let Some(slot) = slots.get_mut(id.0 as usize) {
                *slot = Some(Arc::clone(meter));
            }
        }
        Arc::new(Meters(slots))
    }
}
