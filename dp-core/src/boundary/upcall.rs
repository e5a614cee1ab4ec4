//! The question that a packet thread asks when no megaflow matches, and the answer.

use crate::action::{ActionList, Userspace};
use crate::base::{DropReason, Instant, RecircId, Ufid};
use crate::flow::{FlowKey, FlowMask};

/// A packet that no megaflow matched.
#[derive(Debug)]
pub struct Upcall<'a> {
    /// Its key: datapath ports, no OpenFlow fields.
    pub key: &'a FlowKey,
    /// The frame.
    pub frame: &'a [u8],
}

/// What is to become of the packet, and of those that are like it.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What to do with it.
    pub actions: ActionList,
    /// Which bits of the key the decision rests on. Everything that agrees with the key in these
    /// bits gets the same actions.
    pub mask: FlowMask,
    /// Whether to install a megaflow; otherwise the actions are for this packet alone.
    pub install: bool,
}

/// Why an upcall has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpcallError {
    /// The port belongs to no bridge.
    NoBridge,
    /// The recirculation id has expired.
    NoRecircContext,
    /// The packet came out of a tunnel that no port takes it from.
    NoTunnel,
    /// The slow path has no room for more flows.
    NoRoom,
    /// Upcalls of the port have used up their time: others would have to wait.
    Overload,
}

impl UpcallError {
    /// The reason that the packet's drop is counted under.
    #[must_use]
    pub const fn drop_reason(self) -> DropReason {
        match self {
            Self::NoBridge => DropReason::BridgeNotFound,
            Self::NoRecircContext => DropReason::NoRecircContext,
            Self::NoTunnel => DropReason::InvalidTunnelMetadata,
            Self::NoRoom => DropReason::UpcallError,
            Self::Overload => DropReason::UpcallOverload,
        }
    }
}

/// Who answers upcalls. Called on packet threads, by several at once.
pub trait UpcallSink: Send + Sync {
    /// Decides about a packet. `now` is the packet thread's clock.
    ///
    /// # Errors
    ///
    /// When there is no answer; the packet is dropped for [`UpcallError::drop_reason`].
    fn upcall(&self, upcall: &Upcall<'_>, now: Instant) -> Result<Verdict, UpcallError>;

    /// Takes a packet that an action hands over: for a controller, as a sample, or because the
    /// datapath cannot do alone what is to be done. Returns what the datapath is to do with the
    /// copy, if anything; the list that handed it over goes on in any case.
    ///
    /// `upcall.key` is the packet's key as it is at that step.
    fn userspace(
        &self,
        request: &Userspace,
        upcall: &Upcall<'_>,
        now: Instant,
    ) -> Option<ActionList> {
        let _ = (request, upcall, now);
        None
    }

    /// Takes a sample that an action took for the collectors of `group`: the frame, and what the
    /// action says of it. Where nobody collects, samples are forgotten.
    fn sampled(&self, group: u32, cookie: &[u8], frame: &[u8], now: Instant) {
        let _ = (group, cookie, frame, now);
    }

    /// Packets came back as `id` once more than packets may: `count` of them, which are dropped.
    /// `upcall` is the first of them.
    fn passed_too_often(&self, id: RecircId, count: u64, upcall: &Upcall<'_>, now: Instant) {
        let _ = (id, count, upcall, now);
    }

    /// A verdict has been installed under a wider mask than it asked for, hence under another id:
    /// the thread has as many masks as it may. What is remembered of `asked` holds for `installed`
    /// too.
    fn widened(&self, asked: Ufid, installed: Ufid) {
        let _ = (asked, installed);
    }
}
