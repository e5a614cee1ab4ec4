//! What happens to megaflows, line by line in the log: at level debug, where operators and their scripts
//! look for it, and written only when it is asked for.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use dp_core::action::ActionList;
use dp_core::action::text::ActionsText;
use dp_core::base::{Instant, Ufid};
use dp_core::boundary::FlowDump;
use dp_core::flow::text::{KeyText, PortNumbers};
use dp_core::flow::{FlowKey, FlowMask};
use log::Level::Debug;

/// Tells of a datapath's megaflows.
#[derive(Debug)]
pub struct Journal {
    /// The datapath's name.
    datapath: OnceLock<String>,
    /// Lines of a dump name a megaflow by its id alone.
    terse: AtomicBool,
}

impl Default for Journal {
    fn default() -> Self {
        Self { datapath: OnceLock::new(), terse: AtomicBool::new(true) }
    }
}

impl Journal {
    /// Says what the datapath is called; the first name counts.
    pub fn set_datapath(&self, name: impl fmt::Display) {
        self.datapath.get_or_init(|| name.to_string());
    }

    /// Says whether lines of a dump name a megaflow by its id alone.
    pub fn set_terse(&self, terse: bool) {
        self.terse.store(terse, Ordering::Relaxed);
    }

    fn datapath(&self) -> &str {
        self.datapath.get().map_or("datapath", String::as_str)
    }

    /// Whether anybody reads what the datapath itself does.
    pub(crate) fn is_read(&self) -> bool {
        log::log_enabled!(target: "dpif_netdev", Debug)
    }

    /// Whether anybody reads what the datapath is asked for.
    fn asks_are_read() -> bool {
        log::log_enabled!(target: "dpif", Debug)
    }

    pub(super) fn added(&self, id: Ufid, key: &FlowKey, mask: &FlowMask, actions: &ActionList) {
        let (key, actions) =
            (KeyText::masked(key, mask, &PortNumbers), ActionsText::new(actions, &PortNumbers));
        log::debug!(
            target: "dpif_netdev",
            "flow_add: ufid:{id} mega_ufid:{id} {key}, actions:{actions}"
        );
    }

    /// A megaflow that a round of revalidation came by.
    pub(crate) fn dumped(&self, flow: &FlowDump, now: Instant) {
        if !Self::asks_are_read() {
            return;
        }
        let (name, id) = (self.datapath(), flow.ufid);
        let carried = Carried { flow, now };
        if self.terse.load(Ordering::Relaxed) {
            log::debug!(target: "dpif", "{name}: flow_dump ufid:{id} <empty>, {carried}");
            return;
        }
        let key = KeyText::masked(&flow.key, &flow.mask, &PortNumbers).verbose();
        let actions = ActionsText::new(&flow.actions, &PortNumbers);
        log::debug!(
            target: "dpif",
            "{name}: flow_dump ufid:{id} {key}, {carried}, actions:{actions}"
        );
    }

    /// A megaflow gets other actions.
    pub(crate) fn changed(&self, flow: &FlowDump, actions: &ActionList) {
        let key = KeyText::masked(&flow.key, &flow.mask, &PortNumbers);
        let new = ActionsText::new(actions, &PortNumbers);
        if self.is_read() {
            let (id, old) = (flow.ufid, ActionsText::new(&flow.actions, &PortNumbers));
            log::debug!(
                target: "dpif_netdev",
                "flow_mod: ufid:{id} mega_ufid:{id} {key}, old_actions:{old}, actions:{new}"
            );
        }
        if Self::asks_are_read() {
            let (name, id, key) = (self.datapath(), flow.ufid, key.verbose());
            log::debug!(target: "dpif", "{name}: put[modify] ufid:{id} {key}, actions:{new}");
        }
    }

    /// A megaflow goes.
    pub(crate) fn removed(&self, flow: &FlowDump, now: Instant) {
        if Self::asks_are_read() {
            let (name, id, carried) = (self.datapath(), flow.ufid, Carried { flow, now });
            log::debug!(target: "dpif", "{name}: flow_del ufid:{id} , {carried}");
        }
    }
}

/// What a megaflow has carried, and how long ago.
struct Carried<'a> {
    flow: &'a FlowDump,
    now: Instant,
}

impl fmt::Display for Carried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.flow.stats.snapshot();
        write!(f, "packets:{}, bytes:{}, used:", stats.packets, stats.bytes)?;
        match stats.used {
            None => f.write_str("never"),
            Some(used) => write!(f, "{:.3}s", self.now.since(used).as_secs_f64()),
        }
    }
}
