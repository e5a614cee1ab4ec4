//! The running switch: its datapaths, its bridges, its clock.
//!
//! ```text
//!   config ── apply ──► bridges ─► ports ─► datapaths          commands look here
//!                          └────── status ──► database
//! ```
//!
//! One [`Switch`] for the process, shared by everything that runs in the main loop: configuration,
//! control commands, OpenFlow sessions. What packet threads need of it they have through
//! `dp_ofproto`'s own snapshots; nothing here is on a packet's way.
//!
//! | room | |
//! |---|---|
//! | [`datapath`] | a datapath with its OpenFlow layer |
//! | [`bridge`] | a bridge with its interfaces |
//! | [`ofports`] | OpenFlow port numbers |
//! | [`open`] | opening what an interface names |
//! | [`discovery`] | LLDP and auto-attach |
//! | [`dpdk`] | libdpdk, started once |
//! | [`scheduling`], [`kernels`] | packet threads, pipelines, machine code |
//! | [`apply`] | making what runs equal to the configuration |
//! | [`services`] | bonds and bridge protocols |
//! | [`pulse`] | the thread that keeps sessions alive |
//! | [`bond_tables`] | bonds whose member the datapath chooses |
//! | [`service_status`], [`status`] | what is written back |
//! | [`trim_unsafe`] | freed memory goes back to the system |
//! | [`tunnels`] | tunnel ports, routes and neighbours underneath |
//! | [`qos`] | policing and shaping |
//! | [`exports`] | sFlow, NetFlow and IPFIX |
//! | [`features`] | what a datapath can do |
//! | [`chosen_ids`] | ids that operators have chosen for flows |
//! | [`settings`] | mirrors, flow tables, limits |
//! | [`rates`] | counters some time ago |
//! | [`wires`] | dummy ports tied together |
//! | [`main_task`] | all of it as a task of the main loop |

mod announce;
pub(crate) mod apply;
mod bond_tables;
pub(crate) mod bridge;
mod chosen_ids;
mod controllers;
pub(crate) mod datapath;
mod discovery;
mod dpdk;
mod exports;
pub(crate) mod features;
mod kernels;
pub(crate) mod main_task;
mod ofports;
pub(crate) mod open;
pub(crate) mod pulse;
pub(crate) mod qos;
mod rates;
mod scheduling;
mod service_status;
mod services;
mod settings;
pub(crate) mod status;
mod system_stats;
mod trim_unsafe;
pub(crate) mod tunnels;
mod vlan;
mod wires;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use dp_core::base::Instant;
use dp_netdev::datapath::Suspicion;
use dp_netdev::system::Topology;

pub(crate) use bridge::{Interface, RunningBridge};
pub(crate) use controllers::ControllerStatus;
pub(crate) use datapath::Datapath;
pub(crate) use dpdk::is_dpdk;

use dp_ofproto::services::Services;
use rates::{Counters, Rates};

use crate::census::Census;
use crate::commands::coverage;
use crate::config::Settings;
use crate::daemon::{DummyMode, Paths};
use crate::event_loop::{Clock, Waker};
use crate::log::Vlog;
use crate::unixctl::Responder;

/// The switch.
pub(crate) struct Switch {
    pub(crate) paths: Paths,
    pub(crate) clock: Clock,
    pub(crate) vlog: &'static Vlog,
    pub(crate) dummy: DummyMode,
    /// The processors there are, or are said to be.
    pub(crate) topology: Topology,
    pub(crate) waker: Waker,
    pub(crate) underlay: tunnels::Underlay,
    /// Bonds and bridge protocols of all bridges.
    pub(crate) services: Arc<Services>,
    /// What collectors are told, and the collectors.
    pub(crate) exports: exports::SwitchExports,
    /// What is known of each bridge's controllers.
    controllers: controllers::ControllerStates,
    /// What tasks of the main loop count.
    pub(crate) census: Census,
    /// What the database server counts that is inside this process, if there is one.
    pub(crate) server_census: OnceLock<Arc<Census>>,
    state: Mutex<State>,
}

/// What changes.
#[derive(Default)]
struct State {
    datapaths: BTreeMap<String, Arc<Datapath>>,
    bridges: BTreeMap<String, Arc<RunningBridge>>,
    /// Datapaths that operators made, by type and name; no bridge is in them.
    bare: BTreeMap<String, Arc<Datapath>>,
    /// `Open_vSwitch.other_config`, as it was applied last.
    other_config: Settings,
    /// `Open_vSwitch.external_ids`, likewise.
    external_ids: Settings,
    /// What the database says of the host and of itself, likewise.
    system: [String; 3],
    /// Sentences about the configuration that the log has heard.
    told: BTreeSet<String>,
    dpdk: dpdk::DpdkState,
    kernels: kernels::Priorities,
    /// Dummy ports made so far: the next one's address.
    dummies: u32,
    /// Who asked for the end, and whether datapaths are to go too.
    exit: Option<(Responder, bool)>,
    warp: Option<Warp>,
    recircs: services::BondRecircs,
    /// What the main loop knew of ports when it looked last.
    facts: Arc<services::Facts>,
    /// When it looks again.
    look_at: Option<Instant>,
    /// Which turns of packet threads are told of.
    suspicion: Suspicion,
    /// What ports said of themselves when that was written back last.
    fingerprint: u64,
    bond_tables: bond_tables::BondTables,
    /// The version of the bonds that the tables were made from.
    bonds_seen: u64,
    /// VLANs that auto-attach has given to ports.
    attached: discovery::AttachedVlans,
    /// Whether something that is written back may have changed.
    touched: bool,
    /// What has happened in the main loop.
    events: Counters,
    /// How the connections of dummy ports are, by name.
    wire_states: BTreeMap<String, &'static str>,
    rates: Rates,
}

/// Moving the clock by steps, a turn of the main loop each.
struct Warp {
    left: Duration,
    step: Duration,
    responder: Responder,
}

impl Switch {
    /// A switch without bridges.
    pub(crate) fn new(
        paths: Paths,
        clock: Clock,
        vlog: &'static Vlog,
        dummy: DummyMode,
        topology: Topology,
        waker: Waker,
    ) -> Arc<Self> {
        let underlay = tunnels::Underlay::default();
        let wake = waker.clone();
        underlay.neighbours().set_waker(Box::new(move || wake.wake()));
        Arc::new(Self {
            paths,
            clock,
            vlog,
            dummy,
            topology,
            waker,
            underlay,
            services: Services::new(),
            exports: exports::SwitchExports::default(),
            controllers: controllers::ControllerStates::default(),
            census: Census::default(),
            server_census: OnceLock::new(),
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a datapath that no bridge is in, named `TYPE@NAME`.
    pub(crate) fn add_datapath(&self, text: &str) -> Result<Arc<Datapath>, String> {
        match self.datapath(Some(text)) {
            Ok(_) => return Err("File exists".to_owned()),
            Err(why) if why != NO_DEVICE => return Err(why),
            Err(_) => {}
        }
        let (kind, name) = text.split_once('@').unwrap_or(("system", text));
        let neighbours = self.underlay.neighbours();
        let waker = self.waker.clone();
        let datapath = Datapath::new(kind, name, self.dummy, &self.clock, neighbours, waker)
            .map_err(|error| crate::errno::text(&error))?;
        self.state().bare.insert(datapath.to_string(), Arc::clone(&datapath));
        Ok(datapath)
    }

    /// Removes a datapath that no bridge is in.
    pub(crate) fn remove_datapath(&self, text: &str) -> Result<(), String> {
        let datapath = self.datapath(Some(text))?;
        let removed = self.state().bare.remove(&datapath.to_string());
        match removed {
            Some(datapath) => {
                datapath.stop();
                Ok(())
            }
            None => Err("Device or resource busy".to_owned()),
        }
    }

    /// The time by the switch's clock.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// All bridges, by name.
    pub(crate) fn bridges(&self) -> Vec<Arc<RunningBridge>> {
        self.state().bridges.values().cloned().collect()
    }

    /// A bridge.
    pub(crate) fn bridge(&self, name: &str) -> Option<Arc<RunningBridge>> {
        self.state().bridges.get(name).cloned()
    }

    /// All datapaths.
    pub(crate) fn datapaths(&self) -> Vec<Arc<Datapath>> {
        let state = self.state();
        state.datapaths.values().chain(state.bare.values()).cloned().collect()
    }

    /// The datapath that a command names as `NAME`, `TYPE@NAME` or not at all, if there is but one.
    ///
    /// # Errors
    ///
    /// The reference's words.
    pub(crate) fn datapath(&self, name: Option<&str>) -> Result<Arc<Datapath>, String> {
        let state = self.state();
        let mut all = state.datapaths.values().chain(state.bare.values());
        match name {
            None => match (all.next(), all.next()) {
                (Some(one), None) => Ok(Arc::clone(one)),
                (None, _) => Err("no datapaths exist".to_owned()),
                _ => Err("multiple datapaths, specify one".to_owned()),
            },
            Some(text) => {
                // Who lists datapaths may take the names alone: no datapath of the system has them.
                let own = all.clone().find(|it| it.name == text);
                let own = own.map(|it| (it.kind.as_str(), text));
                let (kind, name) = text.split_once('@').or(own).unwrap_or(("system", text));
                if kind != "netdev" && !self.dummy.pretends(kind) {
                    log::warn!(
                        target: "dpif",
                        "could not create datapath {name} of unknown type {kind}"
                    );
                    return Err("Address family not supported by protocol".to_owned());
                }
                all.find(|it| it.name == name && it.kind == kind)
                    .cloned()
                    .ok_or_else(|| NO_DEVICE.to_owned())
            }
        }
    }

    /// An interface that is open, and its bridge.
    pub(crate) fn interface(&self, name: &str) -> Option<(Arc<RunningBridge>, Interface)> {
        self.bridges().into_iter().find_map(|bridge| {
            let found = bridge.state().interfaces.get(name).cloned();
            found.filter(|it| it.ofport.is_some()).map(|it| (bridge, it))
        })
    }

    /// Gives a dummy port an address, as though the host had.
    pub(crate) fn add_address(&self, port: &str, ip: IpAddr, prefix: u8) {
        self.underlay.add_address(port, ip, prefix);
        self.refresh_routes();
        self.touch();
    }

    /// How the connections of dummy ports that make one are, by name.
    pub(crate) fn wire_states(&self) -> BTreeMap<String, &'static str> {
        self.state().wire_states.clone()
    }

    fn set_wire_states(&self, states: BTreeMap<String, &'static str>) {
        let mut state = self.state();
        if state.wire_states != states {
            state.wire_states = states;
        }
    }

    /// A setting of `Open_vSwitch.other_config`, as it was applied last.
    pub(crate) fn setting(&self, key: &str) -> Option<String> {
        self.state().other_config.get(key).cloned()
    }

    /// A key of `Open_vSwitch.external_ids`, as it was when the configuration was applied last.
    pub(crate) fn external_id(&self, key: &str) -> Option<String> {
        self.state().external_ids.get(key).cloned()
    }

    /// `Open_vSwitch`'s `system_type`, `system_version` and `db_version`, likewise.
    pub(crate) fn system(&self) -> [String; 3] {
        self.state().system.clone()
    }

    /// Counts something that has happened.
    pub(crate) fn count(&self, event: &'static str) {
        *self.state().events.entry(event).or_default() += 1;
    }

    /// What has happened in the main loop, counted.
    pub(crate) fn events(&self) -> Counters {
        self.state().events.clone()
    }

    /// How often each second, lately.
    pub(crate) fn rates(&self, counters: &Counters) -> BTreeMap<&'static str, [f64; 3]> {
        self.state().rates.rates(counters)
    }

    /// Takes a sample of all counters when it is time.
    fn sample_rates(&self, now: Instant) {
        if self.state().rates.due(now) {
            let counters = coverage::counters(self);
            self.state().rates.sample(counters, now);
        }
    }

    /// Notes that something which is written back may have changed.
    pub(crate) fn touch(&self) {
        self.state().touched = true;
        self.waker.wake();
    }

    /// Whether [`Self::touch`] was called since the last time.
    fn take_touched(&self) -> bool {
        std::mem::take(&mut self.state().touched)
    }

    /// Whether ports or protocols say something else of themselves than when this was asked last. What
    /// is configured, or noticed by itself, is [touched](Self::touch) instead.
    fn has_moved(&self) -> bool {
        let each = self.datapaths().into_iter().map(|it| it.netdev.fingerprint());
        let now = each.fold(0_u64, |all, one| all.rotate_left(1) ^ one);
        let before = std::mem::replace(&mut self.state().fingerprint, now);
        // Sessions have ages and counters of their own.
        before != now || self.services.is_used()
    }

    /// Moves the clock by `total`, a `step` for each turn of the main loop.
    pub(crate) fn begin_warp(&self, total: Duration, step: Duration, responder: Responder) {
        self.state().warp = Some(Warp { left: total, step, responder });
        self.waker.wake();
    }

    /// One step of a warp that is under way.
    fn step_warp(&self) {
        let mut state = self.state();
        let Some(warp) = &mut state.warp else { return };
        let step = warp.step.min(warp.left);
        warp.left = warp.left.saturating_sub(step);
        self.clock.warp(step);
        if warp.left.is_zero()
            && let Some(warp) = state.warp.take()
        {
            drop(state);
            warp.responder.answer(Ok("warped"));
        }
    }

    fn is_warping(&self) -> bool {
        self.state().warp.is_some()
    }

    /// Asks for the end of the process.
    pub(crate) fn request_exit(&self, responder: Responder, cleanup: bool) {
        self.state().exit = Some((responder, cleanup));
        self.waker.wake();
    }

    /// Whether the end was asked for.
    pub(crate) fn is_ending(&self) -> bool {
        self.state().exit.is_some()
    }

    /// Lets all ports and threads go, and answers who asked for the end.
    pub(crate) fn end(&self) {
        let (bridges, datapaths, exit) = {
            let mut state = self.state();
            let bridges = std::mem::take(&mut state.bridges);
            (bridges, std::mem::take(&mut state.datapaths), state.exit.take())
        };
        for datapath in datapaths.values() {
            datapath.stop();
        }
        drop((bridges, datapaths));
        if let Some((responder, _)) = exit {
            responder.answer(Ok(()));
        }
    }
}

/// The system's words for something that is not there.
const NO_DEVICE: &str = "No such device";
