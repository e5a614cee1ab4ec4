//! Which packet thread serves which receive queue.
//!
//! A pure function from what there is to who gets what, so that a dry run and the real thing cannot
//! differ. Queues go to threads on the NUMA node of their device; where there is none they go to
//! the threads of another node, the nodes taken in turn, and a note says so.
//!
//! | algorithm | order of queues | next thread |
//! |---|---|---|
//! | cycles | busiest first | up and down through the threads: 0 1 2 2 1 0 0 … |
//! | roundrobin | by port and queue | around: 0 1 2 0 … |
//! | group | busiest first | the one with the least load, then the fewest queues |

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

/// How queues are dealt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// By measured cycles, up and down through the threads.
    #[default]
    Cycles,
    /// In turn.
    RoundRobin,
    /// By measured cycles, each to the least loaded thread.
    Group,
}

impl Algorithm {
    /// The name that the configuration uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cycles => "cycles",
            Self::RoundRobin => "roundrobin",
            Self::Group => "group",
        }
    }

    /// The algorithm of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Cycles, Self::RoundRobin, Self::Group].into_iter().find(|it| it.name() == name)
    }

    /// Whether measured load counts.
    #[must_use]
    pub const fn measures(self) -> bool {
        !matches!(self, Self::RoundRobin)
    }
}

/// A processor with a packet thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Core {
    /// The processor.
    pub core: u32,
    /// Its NUMA node.
    pub numa: u32,
}

/// A receive queue to be dealt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanting {
    /// The port's number: orders queues that are equally busy.
    pub port: u32,
    /// The port's name, for notes.
    pub name: String,
    /// The queue of that port.
    pub queue: u32,
    /// The NUMA node of the device.
    pub numa: u32,
    /// The processor it is pinned to.
    pub pinned: Option<u32>,
    /// Cycles that it took of late.
    pub cycles: u64,
}

/// Something to tell about a dealing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether it is a warning.
    pub warning: bool,
    /// The words.
    pub text: String,
}

/// Who serves what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dealt {
    /// By queue, in the order they were given: the processor, or none.
    pub cores: Vec<Option<u32>>,
    /// Processors that serve pinned queues only, ascending.
    pub isolated: Vec<u32>,
    /// What to tell, in order.
    pub notes: Vec<Note>,
}

/// Deals queues to threads. With `isolate`, a thread that a queue is pinned to gets no others.
#[must_use]
pub fn deal(cores: &[Core], queues: &[Wanting], algorithm: Algorithm, isolate: bool) -> Dealt {
    let mut dealing = Dealing {
        algorithm,
        nodes: BTreeMap::new(),
        other: 0,
        dealt: Dealt { cores: vec![None; queues.len()], ..Dealt::default() },
    };
    let mut loads: BTreeMap<u32, Load> = BTreeMap::new();
    dealing.pin(cores, queues, isolate, &mut loads);
    for core in cores {
        let load = loads.remove(&core.core).unwrap_or_default();
        if !dealing.dealt.isolated.contains(&core.core) {
            let node = dealing.nodes.entry(core.numa).or_default();
            node.threads.push((core.core, load));
        }
    }
    dealing.deal_rest(queues);
    dealing.dealt
}

/// What a thread has been given.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    cycles: u64,
    queues: usize,
}

/// The threads of a NUMA node that are not isolated.
#[derive(Debug, Default)]
struct Node {
    threads: Vec<(u32, Load)>,
    next: usize,
    backwards: bool,
}

struct Dealing {
    algorithm: Algorithm,
    nodes: BTreeMap<u32, Node>,
    /// Which node helps out next.
    other: usize,
    dealt: Dealt,
}

impl Dealing {
    fn tell(&mut self, warning: bool, text: String) {
        self.dealt.notes.push(Note { warning, text });
    }

    fn pin(
        &mut self,
        cores: &[Core],
        queues: &[Wanting],
        isolate: bool,
        loads: &mut BTreeMap<u32, Load>,
    ) {
        for (index, queue) in queues.iter().enumerate() {
            let Some(pinned) = queue.pinned else { continue };
            let what = describe(queue, self.algorithm);
            let Some(core) = cores.iter().find(|core| core.core == pinned) else {
                let plain = describe(queue, Algorithm::RoundRobin);
                self.tell(
                    true,
                    format!(
                        "Core {pinned:2} cannot be pinned with {plain}. Use pmd-cpu-mask to enable \
                         a pmd on core {pinned}. An alternative core will be assigned."
                    ),
                );
                continue;
            };
            if let Some(place) = self.dealt.cores.get_mut(index) {
                *place = Some(pinned);
            }
            let load = loads.entry(pinned).or_default();
            load.cycles += queue.cycles;
            load.queues += 1;
            if isolate && !self.dealt.isolated.contains(&pinned) {
                self.dealt.isolated.push(pinned);
            }
            let numa = core.numa;
            self.tell(false, format!("Core {pinned:2} on numa node {numa} is pinned with {what}"));
        }
        self.dealt.isolated.sort_unstable();
    }

    fn deal_rest(&mut self, queues: &[Wanting]) {
        let taken = |index: &usize| matches!(self.dealt.cores.get(*index), Some(None));
        let mut order: Vec<usize> = (0..queues.len()).filter(taken).collect();
        if order.is_empty() {
            return;
        }
        if self.algorithm.measures() {
            let key = |index: &usize| {
                queues.get(*index).map(|queue| (u64::MAX - queue.cycles, queue.port, queue.queue))
            };
            order.sort_by_key(key);
        }
        let name = self.algorithm.name();
        self.tell(false, format!("Performing pmd to rx queue assignment using {name} algorithm."));
        for index in order {
            let Some(queue) = queues.get(index) else { continue };
            let core = self.place(queue);
            if core.is_none() {
                let what = describe(queue, self.algorithm);
                self.tell(
                    true,
                    format!(
                        "No non-isolated pmd on any numa available for {what}. This rx queue will \
                         not be polled."
                    ),
                );
            }
            if let Some(place) = self.dealt.cores.get_mut(index) {
                *place = core;
            }
        }
    }

    /// Gives a queue to a thread.
    fn place(&mut self, queue: &Wanting) -> Option<u32> {
        let what = describe(queue, self.algorithm);
        let own = self.nodes.contains_key(&queue.numa);
        let numa = if own { queue.numa } else { self.another()? };
        if !own {
            let (name, number, node) = (&queue.name, queue.queue, queue.numa);
            self.tell(
                false,
                format!(
                    "There's no available (non-isolated) pmd thread on numa node {node}. Port \
                     '{name}' rx queue {number} will be assigned to a pmd on numa node {numa}. \
                     This may lead to reduced performance."
                ),
            );
        }
        let core = self.nodes.get_mut(&numa)?.give(queue.cycles, self.algorithm)?;
        self.tell(false, format!("Core {core:2} on numa node {numa} assigned {what}."));
        Some(core)
    }

    /// The node that helps out: each in turn.
    fn another(&mut self) -> Option<u32> {
        let index = self.other.checked_rem(self.nodes.len())?;
        self.other += 1;
        self.nodes.keys().nth(index).copied()
    }
}

fn describe(queue: &Wanting, algorithm: Algorithm) -> String {
    let plain = format!("port '{}' rx queue {}", queue.name, queue.queue);
    if algorithm.measures() {
        format!("{plain} (measured processing cycles {})", queue.cycles)
    } else {
        plain
    }
}

impl Node {
    fn give(&mut self, cycles: u64, algorithm: Algorithm) -> Option<u32> {
        let index = match algorithm {
            Algorithm::RoundRobin => self.around(),
            Algorithm::Cycles => self.up_and_down(),
            Algorithm::Group => {
                let load = |(_, (_, load)): &(usize, &(u32, Load))| (load.cycles, load.queues);
                self.threads.iter().enumerate().min_by_key(load)?.0
            }
        };
        let (core, load) = self.threads.get_mut(index)?;
        load.cycles += cycles;
        load.queues += 1;
        Some(*core)
    }

    fn around(&mut self) -> usize {
        let index = self.next;
        self.next = (index + 1) % self.threads.len().max(1);
        index
    }

    fn up_and_down(&mut self) -> usize {
        let index = self.next;
        let last = self.threads.len().saturating_sub(1);
        match (self.backwards, index) {
            (false, index) if index == last => self.backwards = true,
            (false, _) => self.next += 1,
            (true, 0) => self.backwards = false,
            (true, _) => self.next -= 1,
        }
        index
    }
}

/// How unevenly threads are loaded: the variance of their loads in percent.
#[must_use]
pub fn variance(loads: &[u64]) -> u64 {
    let count = loads.len() as u64;
    let Some(mean) = loads.iter().sum::<u64>().checked_div(count) else { return 0 };
    let squares: u64 = loads.iter().map(|load| load.abs_diff(mean).pow(2)).sum();
    squares / count
}
