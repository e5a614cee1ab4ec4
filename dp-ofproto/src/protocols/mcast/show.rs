//! The table as operators see it: `mdb/show`.

use std::fmt::Write as _;

use dp_core::base::{Instant, OfPort};

use super::Snooping;

impl Snooping {
    /// The lines of `mdb/show`, each ended; `name` says how a port is shown.
    #[must_use]
    pub fn show(&self, now: Instant, name: impl Fn(OfPort) -> String) -> String {
        let mut text = " port  VLAN  protocol  GROUP                Age\n".to_owned();
        let mut groups: Vec<_> = self
            .groups
            .iter()
            .flat_map(|(key, listeners)| listeners.iter().map(move |listener| (key, listener)))
            .collect();
        groups.sort_by_key(|(key, listener)| (listener.refreshed, key.vlan, key.group));
        for (key, listener) in groups {
            let group = match key.group.to_ipv4_mapped() {
                Some(group) => group.to_string(),
                None => key.group.to_string(),
            };
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{:>5}  {:>4}  {:<8}  {group}         {:>3}",
                name(listener.port),
                key.vlan,
                listener.protocol,
                now.since(listener.refreshed).as_secs()
            );
        }
        for router in &self.routers {
            let _ = writeln!(
                text,
                "{:>5}  {:>4}  UNKNOWN   querier             {:>3}",
                name(router.port),
                router.vlan,
                now.since(router.refreshed).as_secs()
            );
        }
        text
    }
}
