//! Processors and the NUMA nodes they belong to.

use std::collections::BTreeMap;
use std::fs;

/// Processors by number, each with its NUMA node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    nodes: BTreeMap<u32, u32>,
    /// Whether the processors are only said to exist.
    invented: bool,
}

impl Topology {
    /// What this machine has, as far as this process may use it.
    #[must_use]
    pub fn discover() -> Self {
        let mut nodes = BTreeMap::new();
        for node in 0..MOST_NODES {
            let path = format!("/sys/devices/system/node/node{node}/cpulist");
            let Ok(text) = fs::read_to_string(path) else { continue };
            nodes.extend(list(&text).into_iter().map(|cpu| (cpu, node)));
        }
        if nodes.is_empty() {
            let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            nodes = (0..u32::try_from(count).unwrap_or(1)).map(|cpu| (cpu, 0)).collect();
        }
        Self { nodes, invented: false }
    }

    /// Processors that only scripts know: one for each entry, which is its NUMA node. `None` if the
    /// text is not a list of numbers.
    #[must_use]
    pub fn invented(text: &str) -> Option<Self> {
        let nodes =
            text.split(',').zip(0..).map(|(node, cpu)| Some((cpu, node.trim().parse().ok()?)));
        Some(Self { nodes: nodes.collect::<Option<_>>()?, invented: true })
    }

    /// Whether threads cannot really run on these processors.
    #[must_use]
    pub const fn is_invented(&self) -> bool {
        self.invented
    }

    /// The NUMA node of a processor; `None` if there is no such processor.
    #[must_use]
    pub fn node_of(&self, cpu: u32) -> Option<u32> {
        self.nodes.get(&cpu).copied()
    }

    /// The nodes, ascending, each with its processors.
    #[must_use]
    pub fn nodes(&self) -> BTreeMap<u32, Vec<u32>> {
        let mut nodes: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (cpu, node) in &self.nodes {
            nodes.entry(*node).or_default().push(*cpu);
        }
        nodes
    }

    /// Processors in order.
    pub fn cpus(&self) -> impl Iterator<Item = u32> {
        self.nodes.keys().copied()
    }
}

/// Nodes that are looked for.
const MOST_NODES: u32 = 64;

/// The numbers of a list as the kernel writes it: `0-3,8`.
fn list(text: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (from.trim().parse::<u32>().ok()?, to.trim().parse::<u32>().ok()?);
        Some(from..=to.min(from.saturating_add(4096)))
    };
    text.split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lists_are_read() {
        assert_eq!(list("0-3,8\n"), [0, 1, 2, 3, 8]);
        assert_eq!(list("\n"), Vec::<u32>::new());
    }

    #[test]
    fn processors_can_be_invented() {
        let topology = Topology::invented("0,0,1,8").expect("a list");
        assert_eq!(topology.node_of(3), Some(8));
        assert_eq!(topology.nodes().keys().copied().collect::<Vec<_>>(), [0, 1, 8]);
        assert!(topology.is_invented());
        assert_eq!(Topology::invented("0,x"), None);
    }

    #[test]
    fn this_machine_has_processors() {
        let topology = Topology::discover();
        assert!(topology.cpus().count() >= 1);
        assert!(!topology.is_invented());
    }
}
