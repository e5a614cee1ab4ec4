//! Which machine code looks megaflows up: the one of highest priority.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use dp_core::base::PortNo;
use dp_core::boundary::Datapath as _;
use dp_core::lookup::Kernel;

use super::Switch;

/// Priorities by name.
#[derive(Debug)]
pub(super) struct Priorities(BTreeMap<&'static str, u8>);

impl Default for Priorities {
    fn default() -> Self {
        let priority = |kernel: Kernel| match kernel {
            Kernel::Autovalidate(_) => 0,
            Kernel::Portable => 1,
            Kernel::Avx2(_) => 2,
            Kernel::Avx512(_) => 3,
        };
        Self(Kernel::available().map(|kernel| (kernel.name(), priority(kernel))).collect())
    }
}

impl Priorities {
    fn best(&self) -> &'static str {
        self.0.iter().max_by_key(|(_, priority)| **priority).map_or("generic", |(name, _)| name)
    }
}

impl Switch {
    /// The machine code there is, how many subtables use it, and its priority.
    pub(crate) fn show_kernels(&self) -> String {
        let masks: u64 = self.datapaths().iter().map(|it| it.netdev.totals().masks).sum();
        let state = self.state();
        let best = state.kernels.best();
        let mut text = "Available dpcls implementations:\n".to_owned();
        for (name, priority) in &state.kernels.0 {
            let count = if *name == best { masks } else { 0 };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {name} (Use count: {count}, Priority: {priority})");
        }
        text
    }

    /// Gives machine code a priority. Returns how many ports' subtables, and how many subtables,
    /// are looked up by another one now.
    pub(crate) fn prefer_kernel(&self, name: &str, priority: u8) -> (usize, usize) {
        let (before, after) = {
            let mut state = self.state();
            let before = state.kernels.best();
            if let Some(place) = state.kernels.0.get_mut(name) {
                *place = priority;
            }
            (before, state.kernels.best())
        };
        let Some(kernel) = Kernel::named(after).filter(|_| before != after) else { return (0, 0) };
        let (mut ports, mut subtables) = (0, 0);
        for datapath in self.datapaths() {
            let mut found: BTreeSet<(u32, PortNo)> = BTreeSet::new();
            datapath.netdev.flow_dump(&mut |flow| {
                found.insert((flow.thread, flow.key.in_port()));
            });
            ports += found.len();
            subtables += usize::try_from(datapath.netdev.totals().masks).unwrap_or(usize::MAX);
            if let Err(error) = datapath.change_pipeline(|settings| settings.kernel = kernel) {
                log::warn!(target: "dpif_netdev_lookup", "{datapath}: {error}");
            }
        }
        (ports, subtables)
    }
}
