//! Stage 1: frames become keys.

use super::{Malformed, Pipeline, Turn};
use crate::execute::drop_all;
use crate::flow::extract::Extracted;
use crate::packet::{Burst, Slots};

/// Where a packet goes from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// It has a key: to the caches.
    Keyed,
    /// It contradicts itself, and the settings say drop; or it has no key at all.
    Dropped,
}

impl Pipeline {
    /// Extracts the keys of the packets in `which`; returns those that go on.
    #[inline(always)]
    pub(super) fn parse(&mut self, burst: &mut Burst, which: Slots, turn: &Turn<'_>) -> Slots {
        let extracted = self.extractor.burst(burst, which, turn.pass, &mut self.scratch.keys);
        self.counters.vector_parsed.add(extracted.by_vector.len() as u64);
        if extracted.malformed.is_empty() {
            return extracted.parsed;
        }
        self.judge(burst, &extracted)
    }

    #[cold]
    fn judge(&self, burst: &mut Burst, extracted: &Extracted) -> Slots {
        let mut keyed = extracted.parsed;
        for slot in extracted.malformed.iter() {
            let exit = match self.settings.malformed {
                Malformed::Forward if extracted.parsed.has(slot) => Exit::Keyed,
                Malformed::Forward | Malformed::Drop => Exit::Dropped,
            };
            match exit {
                Exit::Keyed => self.counters.malformed_forwarded.add(1),
                Exit::Dropped => {
                    let Some(why) = extracted.why.get(slot) else { continue };
                    let mut one = Slots::NONE;
                    one.insert(slot);
                    drop_all(burst, one, why.drop_reason(), &self.counters.drops);
                    keyed.remove(slot);
                }
            }
        }
        keyed
    }
}
