//! Packet threads and pipelines as the configuration wants them: `pmd-*`, `emc-insert-inv-prob`,
//! `smc-enable`, `vlan-limit` of `Open_vSwitch`, and `pmd-rxq-affinity` and `emc-enable` of
//! interfaces.
//!
//! What cannot be read falls back to its default, with a warning, as the reference does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dp_core::base::PortNo;
use dp_core::flow::extract::VlanLimit;
use dp_core::pipeline::Settings as Pipeline;
use dp_netdev::datapath::{AutoBalance, Schedule, Suspicion};
use dp_netdev::pmd::assign::Algorithm;
use dp_netdev::system::Topology;

use super::Switch;
use super::datapath::Datapath;
use crate::config::{InterfaceConfig, Settings, is_true, number_or};

/// What the configuration says about threads, and what of it is told when it changes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Threads {
    schedule: Schedule,
    auto: bool,
    balance: AutoBalance,
}

impl Threads {
    /// Reads the configuration; `told` gets what is wrong with it.
    pub(crate) fn read(settings: &Settings, topology: &Topology, told: &mut Vec<String>) -> Self {
        let mut schedule = Schedule::new(topology.clone());
        schedule.cores = settings.get("pmd-cpu-mask").and_then(|text| mask(text, told));
        if let Some(name) = settings.get("pmd-rxq-assign") {
            schedule.algorithm = Algorithm::named(name).unwrap_or_else(|| {
                told.push(
                    "Unsupported rx queue to PMD assignment mode in pmd-rxq-assign. Defaulting to \
                     'cycles'."
                        .to_owned(),
                );
                Algorithm::Cycles
            });
        }
        let shared = settings.get("pmd-rxq-isolate").is_some_and(|it| it == "false");
        if shared && schedule.algorithm != Algorithm::Group {
            told.push(
                "pmd-rxq-isolate can only be set false when using pmd-rxq-assign=group".to_owned(),
            );
        } else {
            schedule.isolate = !shared;
        }
        // The second is what it was called before.
        let sleep = settings.get("pmd-sleep-max").or_else(|| settings.get("pmd-maxsleep"));
        if let Some(text) = sleep {
            (schedule.max_sleep, schedule.max_sleep_of) = sleeps(text, told);
        }
        let within = |key: &str, default: u64, range: std::ops::RangeInclusive<i64>| {
            let number = number_or(settings, key, i64::try_from(default).unwrap_or(0));
            if range.contains(&number) { u64::try_from(number).unwrap_or(default) } else { default }
        };
        let interval = number_or(settings, "tx-flush-interval", 0);
        schedule.tx_flush_interval =
            u32::try_from(interval).ok().filter(|it| *it <= 1_000_000).unwrap_or(0);
        schedule.perf = is_true(settings, "pmd-perf-metrics");
        let minutes = within("pmd-auto-lb-rebal-interval", 1, 1..=20_000);
        let balance = AutoBalance {
            every: Duration::from_secs(minutes * 60),
            load: within("pmd-auto-lb-load-threshold", 95, 0..=100),
            improvement: within("pmd-auto-lb-improvement-threshold", 25, 0..=100),
        };
        // Dealing in turn pays no attention to load, so it could improve nothing.
        let auto = is_true(settings, "pmd-auto-lb") && schedule.algorithm.measures();
        schedule.auto = auto.then_some(balance);
        Self { schedule, auto, balance }
    }

    /// What to tell when this takes the place of another.
    fn changes(&self, before: Option<&Self>) -> Vec<String> {
        let mut told = Vec::new();
        let differs = |get: &dyn Fn(&Self) -> String| {
            before.is_none_or(|before| get(before) != get(self)).then(|| get(self))
        };
        if before.is_some()
            && let Some(mode) = differs(&|it| it.schedule.algorithm.name().to_owned())
        {
            told.push(format!("Rxq to PMD assignment mode changed to: '{mode}'."));
        }
        if before.map_or(self.schedule.perf, |before| before.schedule.perf != self.schedule.perf) {
            let how = if self.schedule.perf { "enabled" } else { "disabled" };
            told.push(format!("PMD performance metrics collection {how}"));
        }
        told.extend(differs(&|it| {
            let how = if it.schedule.isolate { "isolates" } else { "does not isolate" };
            format!("pmd-rxq-affinity {how} PMD core")
        }));
        let balance = |it: &Self| it.balance;
        let minutes = |it: &Self| balance(it).every.as_secs() / 60;
        let set = "PMD auto load balance";
        told.extend(differs(&|it| format!("{set} interval set to {} mins", minutes(it))));
        told.extend(differs(&|it| {
            format!("{set} improvement threshold set to {}%", balance(it).improvement)
        }));
        told.extend(differs(&|it| format!("{set} load threshold set to {}%", balance(it).load)));
        told.extend(differs(&|it| {
            if !it.auto {
                return format!("{set} is disabled.");
            }
            let (load, better) = (balance(it).load, balance(it).improvement);
            format!(
                "{set} is enabled, interval {} mins, pmd load threshold {load}%, improvement \
                 threshold {better}%.",
                minutes(it)
            )
        }));
        if before.is_some()
            && let Some(text) = differs(&|it| {
                format!(
                    "Flushing interval for tx queues set to {} us",
                    it.schedule.tx_flush_interval
                )
            })
        {
            told.push(text);
        }
        told.extend(differs(&|it| {
            format!("Default PMD thread max sleep: {:4} us.", it.schedule.max_sleep)
        }));
        told
    }
}

impl Switch {
    /// Which turns of packet threads are told of.
    pub(crate) fn suspicion(&self) -> Suspicion {
        let datapaths = self.datapaths();
        datapaths.first().map_or_else(|| self.state().suspicion, |it| it.netdev.suspicion())
    }

    /// Says which, of all datapaths, those that come later too.
    pub(crate) fn set_suspicion(&self, suspicion: Suspicion) {
        self.state().suspicion = suspicion.bounded();
        for datapath in self.datapaths() {
            datapath.netdev.set_suspicion(suspicion);
        }
    }
}

impl Datapath {
    /// Places threads and sets up pipelines as the configuration says, where that differs from how
    /// they are.
    pub(crate) fn tune(&self, settings: &Settings, topology: &Topology) {
        let mut wrong = Vec::new();
        let threads = Threads::read(settings, topology, &mut wrong);
        let mut tuning = self.tuning();
        if tuning.threads.as_ref() != Some(&threads) {
            for text in wrong {
                log::warn!(target: "dpif_netdev", "{text}");
            }
            for text in threads.changes(tuning.threads.as_ref()) {
                log::info!(target: "dpif_netdev", "{text}");
            }
            self.netdev.set_schedule(threads.schedule.clone());
            tuning.threads = Some(threads);
        }
        let mut pipeline = tuning.pipeline.clone();
        read_pipeline(settings, &mut pipeline);
        if pipeline != tuning.pipeline {
            if let Err(error) = self.netdev.configure(&pipeline) {
                log::warn!(target: "dpif_netdev", "settings do not reach the threads: {error}");
            }
            self.tell_limits(&pipeline);
            tuning.pipeline = pipeline;
        }
        drop(tuning);
        self.tell_notes();
    }

    /// Logs what scheduling has done.
    pub(crate) fn tell_notes(&self) {
        for note in self.netdev.take_notes() {
            if note.warning {
                log::warn!(target: "dpif_netdev", "{}", note.text);
            } else {
                log::info!(target: "dpif_netdev", "{}", note.text);
            }
        }
        for [turn, around] in self.netdev.take_suspicious() {
            log::warn!(target: "pmd_perf", "{turn}");
            log::warn!(target: "pmd_perf", "{}", around.trim_end());
        }
    }

    /// Pins the receive queues of an interface, and has them use the exact-match cache or not, as its
    /// row says.
    pub(crate) fn pin(&self, number: PortNo, interface: &InterfaceConfig) {
        let text = interface.other_config.get("pmd-rxq-affinity").map(String::as_str);
        let text = text.unwrap_or_default();
        match affinity(text) {
            // A port without such queues has nothing to pin.
            Some(cores) => {
                self.netdev.set_affinity(number, &cores);
            }
            // Queues stay where they are.
            None => log::warn!(
                target: "dpif_netdev",
                "{}: pmd-rxq-affinity: '{text}' is not a list of queue:core", interface.name
            ),
        }
        let off = interface.other_config.get("emc-enable");
        let emc = !off.is_some_and(|value| value.eq_ignore_ascii_case("false"));
        if self.netdev.set_emc(number, emc) == Some(true) {
            let what = if emc { "enabled" } else { "disabled" };
            log::info!(target: "dpif_netdev", "{}: EMC has been {what}.", interface.name);
        }
        self.tell_notes();
    }
}

/// What was set about a datapath.
#[derive(Debug, Default)]
pub(crate) struct Tuning {
    pub(crate) threads: Option<Threads>,
    pub(crate) pipeline: Pipeline,
}

fn read_pipeline(settings: &Settings, pipeline: &mut Pipeline) {
    let default = Pipeline::default();
    let number = |key| settings.get(key).and_then(|text| text.trim().parse::<u32>().ok());
    pipeline.emc_insert_inv_prob =
        number("emc-insert-inv-prob").unwrap_or(default.emc_insert_inv_prob);
    pipeline.smc = is_true(settings, "smc-enable");
    pipeline.vlan_limit = match number("vlan-limit") {
        None | Some(1) => VlanLimit::One,
        Some(_) => VlanLimit::Two,
    };
    pipeline.flow_limit = number("flow-limit")
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(default.flow_limit);
    pipeline.recirc_limit = number("recirculation-limit")
        .and_then(|limit| u8::try_from(limit).ok().filter(|limit| *limit > 0))
        .unwrap_or(default.recirc_limit);
}

/// The processors of a mask in hexadecimal, the lowest in its last digit.
fn mask(text: &str, told: &mut Vec<String>) -> Option<BTreeSet<u32>> {
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").or(digits.strip_prefix("0X")).unwrap_or(digits);
    let mut cores = BTreeSet::new();
    for (digit, place) in digits.chars().rev().zip(0_u32..) {
        let Some(bits) = digit.to_digit(16) else {
            told.push(format!("Invalid cpu mask: {digit}"));
            return None;
        };
        cores.extend((0..4).filter(|bit| bits >> bit & 1 != 0).map(|bit| place * 4 + bit));
    }
    // No processor at all is as good as no mask.
    (!cores.is_empty()).then_some(cores)
}

/// The most that a thread may be told to sleep, in microseconds.
const LONGEST: u32 = 10_000;

/// `DEFAULT`, `CORE:TIME` or both, separated by commas, in microseconds.
fn sleeps(text: &str, told: &mut Vec<String>) -> (u32, BTreeMap<u32, u32>) {
    let (mut default, mut of) = (0, BTreeMap::new());
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (core, time) = match part.split_once(':') {
            Some((core, time)) => (Some(core.trim().parse::<u32>().ok()), time),
            None => (None, part),
        };
        let time = time.trim().parse::<u32>().ok().map(|time| time.min(LONGEST));
        match (core, time) {
            (None, Some(time)) => default = time,
            (Some(Some(core)), Some(time)) => {
                of.insert(core, time);
            }
            _ => told.push(format!("Invalid pmd-sleep-max value '{part}'.")),
        }
    }
    (default, of)
}

/// `QUEUE:CORE` separated by commas.
fn affinity(text: &str) -> Option<BTreeMap<u32, u32>> {
    let parts = text.split([',', ' ']).map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (queue, core) = part.split_once(':')?;
            Some((queue.trim().parse().ok()?, core.trim().parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Threads, Vec<String>) {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let topology = Topology::invented("0,0,0,0,1,1,1,1").expect("a list");
        let mut told = Vec::new();
        let threads = Threads::read(&pairs.collect(), &topology, &mut told);
        (threads, told)
    }

    #[test]
    fn masks_name_processors() {
        let cores = |text| mask(text, &mut Vec::new());
        assert_eq!(cores("0x2"), Some([1].into()));
        assert_eq!(cores("f0"), Some([4, 5, 6, 7].into()));
        assert_eq!(cores("0x10000000000000001"), Some([0, 64].into()));
        assert_eq!(cores("0x0"), None);
        let (threads, told) = read(&[("pmd-cpu-mask", "0x1g")]);
        assert_eq!((threads.schedule.cores, told), (None, vec!["Invalid cpu mask: g".to_owned()]));
    }

    #[test]
    fn words_that_mean_nothing_are_told_and_have_no_effect() {
        let (threads, told) = read(&[("pmd-rxq-assign", "bad"), ("pmd-rxq-isolate", "false")]);
        assert_eq!(threads.schedule.algorithm, Algorithm::Cycles);
        assert!(threads.schedule.isolate);
        assert_eq!(
            told,
            [
                "Unsupported rx queue to PMD assignment mode in pmd-rxq-assign. Defaulting to \
                 'cycles'.",
                "pmd-rxq-isolate can only be set false when using pmd-rxq-assign=group"
            ]
        );
        let (threads, told) = read(&[("pmd-rxq-assign", "group"), ("pmd-rxq-isolate", "false")]);
        assert!(!threads.schedule.isolate && told.is_empty());
    }

    #[test]
    fn sleeps_are_read_with_and_without_processors() {
        assert_eq!(sleeps("100", &mut Vec::new()), (100, BTreeMap::new()));
        let of = BTreeMap::from([(3, 100), (4, 20)]);
        assert_eq!(sleeps("50,3:100,4:20", &mut Vec::new()), (50, of));
        assert_eq!(sleeps("1:99999", &mut Vec::new()).1, BTreeMap::from([(1, LONGEST)]));
        let mut told = Vec::new();
        assert_eq!(sleeps("x,1:", &mut told), (0, BTreeMap::new()));
        assert_eq!(told.len(), 2);
    }

    #[test]
    fn affinities_are_read() {
        assert_eq!(affinity("0:1,1:4"), Some(BTreeMap::from([(0, 1), (1, 4)])));
        assert_eq!(affinity(""), Some(BTreeMap::new()));
        assert_eq!(affinity("0-1"), None);
    }

    #[test]
    fn changes_are_told_in_the_words_that_scripts_look_for() {
        let (before, _) = read(&[]);
        assert_eq!(
            before.changes(None),
            [
                "pmd-rxq-affinity isolates PMD core",
                "PMD auto load balance interval set to 1 mins",
                "PMD auto load balance improvement threshold set to 25%",
                "PMD auto load balance load threshold set to 95%",
                "PMD auto load balance is disabled.",
                "Default PMD thread max sleep:    0 us.",
            ]
        );
        let (after, _) = read(&[("pmd-auto-lb", "true"), ("pmd-rxq-assign", "group")]);
        assert_eq!(
            after.changes(Some(&before)),
            [
                "Rxq to PMD assignment mode changed to: 'group'.",
                "PMD auto load balance is enabled, interval 1 mins, pmd load threshold 95%, \
                 improvement threshold 25%.",
            ]
        );
        assert!(after.changes(Some(&after)).is_empty());
    }
}
