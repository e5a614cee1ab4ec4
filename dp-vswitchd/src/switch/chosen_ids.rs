//! Ids that operators have chosen for flows.
//!
//! The id of a flow follows from its key and mask. `dpctl/add-flow` may be given another, by which
//! the flow is found, shown and removed from then on.

use std::collections::BTreeMap;

use dp_core::base::Ufid;

/// The ids that were chosen in a datapath. What belonged to flows that are gone is forgotten when
/// the next is chosen, once it has become much.
#[derive(Debug, Default)]
pub(crate) struct ChosenIds {
    by_own: BTreeMap<Ufid, Ufid>,
    by_chosen: BTreeMap<Ufid, Ufid>,
    /// How many there may be before it is looked which are needed.
    room: usize,
}

impl ChosenIds {
    /// The flow's own id, given the one that was chosen for it, or its own.
    pub(crate) fn own(&self, id: Ufid) -> Ufid {
        self.by_chosen.get(&id).copied().unwrap_or(id)
    }

    /// The id to show for a flow, given its own.
    pub(crate) fn shown(&self, own: Ufid) -> Ufid {
        self.by_own.get(&own).copied().unwrap_or(own)
    }

    /// Chooses an id for a flow; `lives` tells whether the flow with an own id is there.
    pub(crate) fn choose(&mut self, own: Ufid, chosen: Ufid, lives: impl Fn(Ufid) -> bool) {
        if self.by_own.len() >= self.room.max(LEAST_ROOM) {
            self.by_own.retain(|own, _| lives(*own));
            self.by_chosen.retain(|_, own| self.by_own.contains_key(own));
            self.room = self.by_own.len() * 2;
        }
        self.forget(own);
        if let Some(other) = self.by_chosen.insert(chosen, own) {
            self.by_own.remove(&other);
        }
        self.by_own.insert(own, chosen);
    }

    /// The flow with this own id has no other any more.
    pub(crate) fn forget(&mut self, own: Ufid) {
        if let Some(chosen) = self.by_own.remove(&own) {
            self.by_chosen.remove(&chosen);
        }
    }
}

/// As many ids are kept without a look.
const LEAST_ROOM: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_found_by_the_id_that_was_chosen() {
        let mut ids = ChosenIds::default();
        let (own, chosen) = (Ufid(7), Ufid(70));
        assert_eq!((ids.own(own), ids.shown(own)), (own, own));
        ids.choose(own, chosen, |_| true);
        assert_eq!((ids.own(chosen), ids.shown(own)), (own, chosen));
        // Another id for it, and then the same for another flow.
        ids.choose(own, Ufid(71), |_| true);
        assert_eq!((ids.own(chosen), ids.shown(own)), (chosen, Ufid(71)));
        ids.choose(Ufid(8), Ufid(71), |_| true);
        assert_eq!((ids.own(Ufid(71)), ids.shown(own)), (Ufid(8), own));
        ids.forget(Ufid(8));
        assert_eq!(ids.own(Ufid(71)), Ufid(71));
    }

    #[test]
    fn ids_of_flows_that_are_gone_do_not_pile_up() {
        let mut ids = ChosenIds::default();
        for n in 0..10_000 {
            ids.choose(Ufid(n), Ufid(n + (1 << 64)), |own| own.0 + 5 > n);
        }
        assert!(ids.by_own.len() <= LEAST_ROOM && ids.by_chosen.len() == ids.by_own.len());
        assert_eq!(ids.shown(Ufid(9_999)), Ufid(9_999 + (1 << 64)));
    }
}
