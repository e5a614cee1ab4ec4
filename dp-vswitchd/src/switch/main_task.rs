//! The switch as a task of the main loop: configuration in, state out, packets in between.

use std::sync::Arc;
use std::time::Duration;

use dp_core::base::Instant;

use super::Switch;
use super::wires::Wires;
use crate::config::{SwitchConfig, number_or};
use crate::daemon::readiness::{self, Standing};
use crate::daemon::{Detached, usage};
use crate::event_loop::{Task, Turn, Wants};
use crate::log::{Destination, Level};
use crate::ovsdb::client::link::Link;
use crate::ovsdb::client::{Committed, Lock};

/// The switch with its database.
pub(crate) struct MainTask {
    switch: Arc<Switch>,
    link: Link,
    /// The version of the replica that was applied.
    applied: Option<u64>,
    /// What it said.
    config: SwitchConfig,
    /// When statistics are due.
    statistics_at: Option<Instant>,
    /// When the state of ports is asked for again.
    status_at: Option<Instant>,
    /// When freed memory goes back to the system.
    trim_at: Instant,
    /// Whether the last transaction has not been answered as it should.
    dirty: bool,
    /// Whether this one carries the first configuration.
    first: Option<Detached>,
    told_contended: bool,
    /// Whether statistics are to go with the next transaction.
    with_statistics: bool,
    wires: Wires,
}

impl MainTask {
    /// A switch that is configured through `link`; `detached` is told when it is ready.
    pub(crate) fn new(switch: Arc<Switch>, link: Link, detached: Detached) -> Self {
        Self {
            switch,
            link,
            applied: None,
            config: SwitchConfig::default(),
            statistics_at: None,
            status_at: None,
            trim_at: Instant::default(),
            dirty: false,
            first: Some(detached),
            told_contended: false,
            with_statistics: true,
            wires: Wires::default(),
        }
    }

    /// Applies what the database says, if that has changed.
    fn configure(&mut self) {
        let client = self.link.client();
        match client.lock() {
            Lock::Held => self.told_contended = false,
            Lock::Unknown => return,
            Lock::Contended => {
                if !std::mem::replace(&mut self.told_contended, true) {
                    log::error!(
                        target: "bridge",
                        "another ovs-vswitchd process is running, disabling this process (pid \
                         {}) until it goes away",
                        std::process::id()
                    );
                    self.switch.apply(SwitchConfig::default());
                    self.config = SwitchConfig::default();
                    self.applied = None;
                    self.ready();
                }
                return;
            }
        }
        let version = client.version();
        if self.applied == Some(version) || !client.is_following() {
            return;
        }
        let Some(replica) = client.replica() else { return };
        let config = SwitchConfig::read(replica);
        if self.applied.is_none() {
            let program = &self.switch.paths.program;
            log::info!(target: "bridge", "{}", usage::version(program));
        }
        self.applied = Some(version);
        if config.same_wishes(&self.config) {
            self.config = config;
            return;
        }
        self.config = config.clone();
        self.switch.apply(config);
        self.wires.sync(&self.switch);
        self.with_statistics = true;
        self.dirty = true;
    }

    /// Writes back what differs.
    fn write_back(&mut self, now: Instant) {
        for result in self.link.take_results() {
            match result {
                Committed::Yes => {
                    if self.applied.is_some() {
                        self.ready();
                    }
                }
                Committed::Lost => self.dirty = true,
                Committed::No(why) => {
                    log::warn!(target: "bridge", "the database refuses the switch's state: {why}");
                    self.dirty = true;
                }
            }
        }
        if self.statistics_at.is_none_or(|at| now >= at) {
            let interval = number_or(&self.config.other_config, "stats-update-interval", 5_000);
            let interval = u64::try_from(interval).unwrap_or(5_000).max(5_000);
            self.statistics_at = Some(now.after(Duration::from_millis(interval)));
            self.with_statistics = true;
            self.dirty = true;
        }
        if self.status_at.is_none_or(|at| now >= at) {
            self.status_at = Some(now.after(STATUS_INTERVAL));
            self.dirty |= self.switch.has_moved();
        }
        self.dirty |= self.switch.take_touched();
        if !self.dirty || self.applied.is_none() || !self.link.is_free() {
            return;
        }
        let Some(replica) = self.link.client().replica() else { return };
        let columns = self.switch.columns(&self.config, self.with_statistics);
        let operations = columns.operations(replica);
        (self.dirty, self.with_statistics) = (false, false);
        if operations.is_empty() {
            self.ready();
        } else {
            self.link.transact(operations);
        }
    }

    /// The first configuration is in force.
    fn ready(&mut self) {
        if let Some(mut detached) = self.first.take() {
            if detached.leaves_terminal() {
                self.switch.vlog.set_levels(None, Some(Destination::Console), Level::Off);
            }
            detached.ready();
            readiness::tell(Standing::Ready);
        }
    }
}

impl Task for MainTask {
    fn name(&self) -> &'static str {
        "switch"
    }

    fn run(&mut self, _turn: &Turn<'_>) {
        self.switch.step_warp();
        let now = self.switch.now();
        self.link.run();
        if let Some(replica) = self.link.client().replica() {
            // A row's name and version are no columns that anybody asked for.
            self.switch.census.tell(&[("idl-cells-Open_vSwitch", replica.cells(2))]);
        }
        let before = self.applied;
        self.configure();
        let configured = self.applied != before;
        self.wires.receive(&self.switch);
        for datapath in self.switch.datapaths() {
            datapath.run(now);
        }
        if self.switch.run_services(now) {
            for datapath in self.switch.datapaths() {
                datapath.drive(now);
            }
        }
        self.switch.run_exports(now);
        self.switch.run_threads(now);
        self.switch.run_underlay(now);
        self.wires.send();
        self.switch.sample_rates(now);
        if now >= self.trim_at {
            self.trim_at = now.after(TRIM_INTERVAL);
            super::trim_unsafe::give_back();
        }
        // Whoever waits for a configuration may use it at once, so it is told a turn later: sockets
        // of new bridges are opened by the task that runs next.
        if configured {
            self.dirty = true;
        } else {
            self.write_back(now);
        }
    }

    fn wait(&mut self, wants: &mut Wants) {
        self.link.wait(wants);
        self.wires.wait(wants);
        let now = self.switch.now();
        for datapath in self.switch.datapaths() {
            datapath.wait(wants, now);
        }
        let wakes = [self.switch.services_wake(), self.switch.exports_wake()];
        for at in wakes.into_iter().flatten() {
            wants.at(at);
        }
        self.switch.underlay.wait(wants);
        for at in [self.statistics_at, self.status_at].into_iter().flatten() {
            wants.at(at);
        }
        if self.switch.is_warping() || self.dirty && self.link.is_free() {
            wants.immediately();
        }
    }
}

/// How often freed memory goes back to the system, at most: the loop does not wake up for it.
const TRIM_INTERVAL: Duration = Duration::from_secs(30);
/// How often the state of ports is asked for.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
