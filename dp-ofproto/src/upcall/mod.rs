//! The slow path's answer to upcalls, and what it remembers of each answer.
//!
//! ```text
//!   upcall ─► bridge of the port ─► translate ─► effects for this packet ─► verdict
//!                                       └─► ukey: effects, what the answer rests on ─► revalidation
//! ```
//!
//! Effects of the packet that was asked about are applied here; the megaflow's own statistics
//! start at zero, and revalidation applies the effects of what it carries.

mod journal;
mod packet_in;
pub mod shares;
mod ukey;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use dp_core::action::{ActionList, UserData, Userspace};
use dp_core::base::{Instant, OfPort, PortNo, RecircId, Ufid};
use dp_core::boundary::{Upcall, UpcallError, UpcallSink, Verdict};
use dp_core::flow::text::{KeyText, PortNumbers};
use dp_core::flow::{FlowKey, FlowMask, layout, ufid};

use crate::action::Action;
use crate::bridge::{Bridge, BridgePort};
use crate::translate::hooks::{Hooks, Location, Waiting};
use crate::translate::recirc::{Frozen, RecircTable};
use crate::translate::{
    Features, Request, Silent, TranslateError, Translation, World, translate_request,
};

pub use journal::Journal;
pub use packet_in::{PacketIn, PacketInSink};
pub use ukey::{Ukey, Ukeys};

/// Megaflows installed at most, unless it is said otherwise.
pub const FLOW_LIMIT: usize = 200_000;

/// The OpenFlow layer of a switch: its bridges, and what is known of the megaflows that they made.
pub struct Ofproto {
    world: ArcSwap<World>,
    ukeys: Ukeys,
    flow_limit: AtomicUsize,
    /// Megaflows may wildcard; otherwise each is for one packet's key alone.
    megaflows: AtomicBool,
    counters: UpcallCounters,
    packet_ins: ArcSwapOption<Box<dyn PacketInSink>>,
    journal: Journal,
    account: OnceLock<Account>,
    /// Somebody who makes rounds of revalidation, and whether he was called since the last began.
    reviser: OnceLock<Box<dyn Fn() + Send + Sync>>,
    called: AtomicBool,
}

/// Gives a packet's flow, and what becomes of it, as text.
pub type Account = fn(&World, &Location, &FlowKey, Instant) -> (String, String);

impl fmt::Debug for Ofproto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ofproto")
            .field("world", &self.world)
            .field("ukeys", &self.ukeys.len())
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

/// What became of upcalls.
#[derive(Debug, Default)]
pub struct UpcallCounters {
    answered: AtomicU64,
    over_limit: AtomicU64,
    no_bridge: AtomicU64,
    packet_ins: AtomicU64,
}

impl UpcallCounters {
    /// Upcalls with an answer.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Answers for one packet only, because the flow limit or the port's share of it was reached.
    #[must_use]
    pub fn over_limit(&self) -> u64 {
        self.over_limit.load(Ordering::Relaxed)
    }

    /// Upcalls from ports that belong to no bridge.
    #[must_use]
    pub fn no_bridge(&self) -> u64 {
        self.no_bridge.load(Ordering::Relaxed)
    }

    /// Packets that were handed on for controllers.
    #[must_use]
    pub fn packet_ins(&self) -> u64 {
        self.packet_ins.load(Ordering::Relaxed)
    }
}

impl Default for Ofproto {
    fn default() -> Self {
        Self {
            world: ArcSwap::default(),
            ukeys: Ukeys::default(),
            flow_limit: AtomicUsize::new(FLOW_LIMIT),
            megaflows: AtomicBool::new(true),
            counters: UpcallCounters::default(),
            packet_ins: ArcSwapOption::default(),
            journal: Journal::default(),
            account: OnceLock::new(),
            reviser: OnceLock::new(),
            called: AtomicBool::new(false),
        }
    }
}

impl Ofproto {
    /// A layer with these bridges.
    #[must_use]
    pub fn new(bridges: impl IntoIterator<Item = Arc<Bridge>>) -> Self {
        let ofproto = Self::default();
        ofproto.set_bridges(bridges);
        ofproto
    }

    /// All that a packet can meet now.
    #[must_use]
    pub fn world(&self) -> Arc<World> {
        self.world.load_full()
    }

    fn change(&self, change: impl FnOnce(&mut World)) {
        let mut world = World::clone(&self.world.load());
        change(&mut world);
        world.version = world.version.wrapping_add(1 << 32);
        self.world.store(Arc::new(world));
    }

    /// Replaces the bridges. Megaflows of bridges that are gone go at the next revalidation.
    pub fn set_bridges(&self, bridges: impl IntoIterator<Item = Arc<Bridge>>) {
        self.change(|world| world.bridges = Arc::new(bridges.into_iter().collect()));
    }

    /// Replaces what is plugged in.
    pub fn set_hooks(&self, hooks: Hooks) {
        self.change(|world| world.hooks = Arc::new(hooks));
    }

    /// Changes what is plugged in.
    pub fn change_hooks(&self, change: impl FnOnce(&mut Hooks)) {
        self.change(|world| change(Arc::make_mut(&mut world.hooks)));
    }

    /// Says what the datapath may be asked for.
    pub fn set_features(&self, features: Features) {
        self.change(|world| world.features = features);
    }

    /// Who gets packets for controllers.
    pub fn set_packet_in_sink(&self, sink: Option<Box<dyn PacketInSink>>) {
        self.packet_ins.store(sink.map(Arc::new));
    }

    /// The bridges.
    #[must_use]
    pub fn bridges(&self) -> Arc<Vec<Arc<Bridge>>> {
        Arc::clone(&self.world.load().bridges)
    }

    /// Frozen translations.
    #[must_use]
    pub fn recirc(&self) -> RecircTable {
        self.world.load().recirc.clone()
    }

    /// The bridge that a datapath port belongs to, and what it is there.
    #[must_use]
    pub fn locate(&self, port: PortNo) -> Option<(Arc<Bridge>, Arc<BridgePort>)> {
        self.world.load().locate(port).map(|location| (location.bridge, location.port))
    }

    /// Says who gives an account of packets that hit a bound of translation; the first one counts.
    pub fn set_account(&self, account: Account) {
        self.account.get_or_init(|| account);
    }

    /// Says whom to call, once between two rounds of revalidation, when a packet has changed what
    /// megaflows rest on: where an address is, who is in a multicast group, a rule that was learned.
    /// He is called on the packet's thread. The first one counts.
    pub fn set_reviser(&self, reviser: Box<dyn Fn() + Send + Sync>) {
        self.reviser.get_or_init(|| reviser);
    }

    /// A round begins: what changes from now on is for the next.
    pub(crate) fn begin_round(&self) {
        self.called.store(false, Ordering::SeqCst);
    }

    fn call_reviser(&self) {
        if let Some(reviser) = self.reviser.get()
            && !self.called.swap(true, Ordering::SeqCst)
        {
            reviser();
        }
    }

    /// What tells of the megaflows in the log.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What is known of the megaflows.
    #[must_use]
    pub fn ukeys(&self) -> &Ukeys {
        &self.ukeys
    }

    /// How many megaflows may be installed; further upcalls are answered for their packet alone. The
    /// last eighth is for ports that have less than a [fair share](shares).
    pub fn set_flow_limit(&self, flows: usize) {
        self.flow_limit.store(flows, Ordering::Relaxed);
    }

    /// How many megaflows may be installed.
    #[must_use]
    pub fn flow_limit(&self) -> usize {
        self.flow_limit.load(Ordering::Relaxed)
    }

    /// Whether megaflows may cover more than one packet's key.
    pub fn set_megaflows(&self, wildcards: bool) {
        self.megaflows.store(wildcards, Ordering::Relaxed);
    }

    /// What became of upcalls.
    #[must_use]
    pub fn counters(&self) -> &UpcallCounters {
        &self.counters
    }

    /// Lets rules and learned addresses go whose time is over.
    pub fn expire(&self, now: Instant) {
        let world = self.world.load();
        for bridge in world.bridges.iter() {
            let changes = bridge.tables().expire(now);
            bridge.tables().tell(changes);
            bridge.macs().expire(now);
        }
        world.recirc.age();
    }

    /// Where a packet with this key is, and what of the key says so.
    ///
    /// # Errors
    ///
    /// [`UpcallError::NoBridge`], [`UpcallError::NoRecircContext`].
    pub fn find(&self, key: &FlowKey) -> Result<(Location, FlowMask), UpcallError> {
        self.world.load().find(key)
    }

    /// Translates the actions of a packet-out. `in_port` may be a reserved number. The effects have
    /// been applied.
    pub fn packet_out(
        &self,
        bridge: &Arc<Bridge>,
        in_port: OfPort,
        key: &FlowKey,
        frame: &[u8],
        actions: &[Action],
        now: Instant,
    ) -> Translation {
        let world = self.world();
        let location = Location::at(bridge, in_port);
        let mut request = Request::new(&world, location, key);
        request.frame = Some(frame);
        request.actions = Some(actions);
        request.now = now;
        let translation = translate_request(request, &mut Silent);
        self.apply(&world, &translation, key, frame, now);
        translation
    }

    /// Goes on with a packet whose neighbour is known by now. The effects have been applied.
    #[must_use]
    pub fn go_on(&self, waiting: &Waiting, now: Instant) -> Translation {
        self.resume(waiting.frozen.clone(), &waiting.key, &waiting.frame, now)
    }

    /// Goes on with a packet that a controller has let go on: `key` is the packet's, with the
    /// metadata that the controller returned. The effects have been applied.
    #[must_use]
    pub fn resume(
        &self,
        mut frozen: Frozen,
        key: &FlowKey,
        frame: &[u8],
        now: Instant,
    ) -> Translation {
        let world = self.world();
        if frozen.controller.is_some() {
            frozen.take_metadata(key);
        }
        let location = Location::at(&frozen.bridge, frozen.in_port);
        let waited = frozen.neighbour.is_some();
        let held = world.recirc.freeze(frozen);
        let mut key = key.clone();
        key.store(layout::RECIRC_ID, u128::from(held.id().0));
        let mut request = Request::new(&world, location, &key);
        request.frame = Some(frame);
        request.waited = waited;
        request.now = now;
        let translation = translate_request(request, &mut Silent);
        self.apply(&world, &translation, &key, frame, now);
        translation
    }

    /// Tells, from time to time, which packet hit a bound and by which way, so that whoever looks for the
    /// loop in his tables finds it.
    #[cold]
    fn tell(
        &self,
        error: TranslateError,
        world: &World,
        location: &Location,
        key: &FlowKey,
        now: Instant,
    ) {
        let bridge = &location.bridge;
        let limits = bridge.config().limits;
        let what = match error {
            TranslateError::TooDeep => format!("over max translation depth {}", limits.depth),
            TranslateError::TooManyResubmits => {
                format!("over {} resubmit actions", limits.resubmits)
            }
            TranslateError::StackTooDeep => {
                format!("resubmits yielded over {} kB of stack", limits.stack_bytes >> 10)
            }
            _ => return,
        };
        if !bridge.limit_counters().may_tell(now) {
            return;
        }
        let (flow, way) = match self.account.get() {
            Some(account) => account(world, location, key, now),
            None => (KeyText::new(key, &PortNumbers).to_string(), String::new()),
        };
        log::warn!(
            target: "ofproto_dpif_xlate",
            "{what} on bridge {} while processing {flow}",
            bridge.name()
        );
        if !way.is_empty() {
            let (begin, end) = ends(&way);
            log::warn!(target: "ofproto_dpif_upcall", "{begin}{end}");
        }
    }

    fn apply(
        &self,
        world: &World,
        translation: &Translation,
        key: &FlowKey,
        frame: &[u8],
        now: Instant,
    ) {
        let flags = u16::try_from(key.load(layout::TCP_FLAGS)).unwrap_or(0);
        for effect in &translation.effects {
            effect.apply(&world.hooks, 1, frame.len() as u64, flags, now);
        }
    }
}

/// A text, or of a long one its beginning and its end, in whole lines.
fn ends(text: &str) -> (&str, &str) {
    const MOST: usize = 32_768;
    if text.len() <= 2 * MOST {
        return (text, "");
    }
    let begin = text.get(..text.floor_char_boundary(MOST)).unwrap_or_default();
    let end = text.get(text.ceil_char_boundary(text.len() - MOST)..).unwrap_or_default();
    let begin = begin.rsplit_once('\n').map_or(begin, |(lines, _)| lines);
    (begin, end.find('\n').map_or(end, |at| &end[at..]))
}

impl UpcallSink for Ofproto {
    fn upcall(&self, upcall: &Upcall<'_>, now: Instant) -> Result<Verdict, UpcallError> {
        let world = self.world.load_full();
        let (location, looked_at) = world.find(upcall.key).inspect_err(|_| {
            self.counters.no_bridge.fetch_add(1, Ordering::Relaxed);
        })?;
        let bridge = Arc::clone(&location.bridge);
        let mut request = Request::new(&world, location, upcall.key);
        request.now = now;
        let mut translation = translate_request(request, &mut Silent);
        translation.mask.or_assign(&looked_at);
        if let Some(error) = translation.error
            && let Ok((location, _)) = world.find(upcall.key)
        {
            self.tell(error, &world, &location, upcall.key, now);
        }
        if !self.megaflows.load(Ordering::Relaxed) {
            translation.mask = everything(upcall.key, &translation.mask);
        }
        self.apply(&world, &translation, upcall.key, upcall.frame, now);
        if !translation.basis.holds(world.version()) {
            self.call_reviser();
        }
        self.counters.answered.fetch_add(1, Ordering::Relaxed);
        let (total, port) = (self.ukeys.len(), upcall.key.in_port());
        let install = self.ukeys.shares().admits(port, total, self.flow_limit());
        translation.actions = translation.installed_actions();
        let Translation { actions, mask, .. } = &translation;
        let verdict = Verdict { actions: Arc::clone(actions), mask: mask.clone(), install };
        if install {
            let id = ufid(upcall.key, &verdict.mask);
            let is_new = self.ukeys.put(id, Ukey::new(bridge, port, translation, now));
            if is_new && self.journal.is_read() {
                self.journal.added(id, upcall.key, &verdict.mask, &verdict.actions);
            }
        } else {
            self.counters.over_limit.fetch_add(1, Ordering::Relaxed);
        }
        Ok(verdict)
    }

    fn userspace(
        &self,
        request: &Userspace,
        upcall: &Upcall<'_>,
        now: Instant,
    ) -> Option<ActionList> {
        let world = self.world.load_full();
        match &request.data {
            UserData::Controller { .. } => {
                let packet_in = PacketIn::of(&world, &request.data, upcall)?;
                self.counters.packet_ins.fetch_add(1, Ordering::Relaxed);
                if let Some(sink) = self.packet_ins.load().as_ref() {
                    sink.packet_in(packet_in, now);
                }
                None
            }
            &UserData::Neighbour { recirc_id } => {
                let state = world.recirc.find(RecircId(recirc_id))?;
                let frozen = state.frozen().clone();
                let frame = upcall.frame.into();
                if let Some(tunnels) = &world.hooks.tunnels {
                    tunnels.hold(Waiting { frozen, key: upcall.key.clone(), frame }, now);
                }
                None
            }
            UserData::SlowPath(_) => {
                let (location, _) = world.find(upcall.key).ok()?;
                let mut request = Request::new(&world, location, upcall.key);
                request.frame = Some(upcall.frame);
                request.now = now;
                let before = world.version();
                let actions = translate_request(request, &mut Silent).actions;
                if world.version() != before {
                    self.call_reviser();
                }
                Some(actions)
            }
            _ => {
                if let Some(sampling) = &world.hooks.sampling
                    && let Ok((Location { bridge, port }, _)) = world.find(upcall.key)
                {
                    sampling.sampled(request, &bridge, &port, upcall.key, upcall.frame, now);
                }
                None
            }
        }
    }

    fn passed_too_often(&self, id: RecircId, count: u64, upcall: &Upcall<'_>, now: Instant) {
        let world = self.world.load();
        let Some(state) = world.recirc.find(id) else { return };
        let bridge = &state.frozen().bridge;
        bridge.limit_counters().hit_recirculations(count);
        if bridge.limit_counters().may_tell(now) {
            log::warn!(
                target: "ofproto_dpif_xlate",
                "over {} recirculations on bridge {} while processing {}",
                world.features.recirculations,
                bridge.name(),
                KeyText::new(upcall.key, &PortNumbers)
            );
        }
    }

    fn widened(&self, asked: Ufid, installed: Ufid) {
        self.ukeys.copy(asked, installed);
    }
}

/// A mask of all that a packet has, and of what counts in any case.
fn everything(key: &FlowKey, mask: &FlowMask) -> FlowMask {
    let mut all = mask.clone();
    KeyText::new(key, &PortNumbers).places().for_each(|place| all.unwildcard_place(place));
    for &(_, place) in layout::ALL {
        if key.load(place) != 0 && place.lane() < dp_core::flow::PACKET_LANES {
            all.unwildcard_place(place);
        }
    }
    all
}
