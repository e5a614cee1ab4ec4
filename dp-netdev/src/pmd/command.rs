//! What the control side may ask of a packet thread, and how it reaches it.
//!
//! The channel is bounded. A thread looks at it once a turn; one that sleeps is woken
//! ([`Alarm`]): either it sees the command before it sleeps, or the asker rings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError, bounded};
use dp_core::action::ActionList;
use dp_core::base::{BondId, PortNo, Ufid};
use dp_core::bond::{Assignment, BondBytes};
use dp_core::boundary::{DatapathError, FlowDump, FlowPut};
use dp_core::flow::FlowKey;
use dp_core::meter::Meters;
use dp_core::packet::Packet;
use dp_core::pipeline::Settings;
use dp_core::sync::Alarm;

use super::{RxSlot, TxSlot};
use crate::system::Doorbell;

/// Commands that may wait for one thread.
const WAITING: usize = 16_384;
/// Packets that may wait for nothing else.
const URGENT: usize = 256;
/// Packets that may wait to be executed, in all threads together.
pub(crate) const EXECUTES: usize = 4096;
/// How long a full mailbox is tried.
const PATIENCE: Duration = Duration::from_secs(1);

/// A request to a packet thread.
pub(crate) enum Command {
    /// Serve a receive queue.
    AddRx(Box<RxSlot>),
    /// Send by this port through this queue.
    AddTx(PortNo, Box<TxSlot>),
    /// Give up a receive queue of a port; answered with it.
    TakeRx(PortNo, u32, Sender<Option<Box<RxSlot>>>),
    /// Give up the transmit queue of a port; answered with it.
    TakeTx(PortNo, Sender<Option<Box<TxSlot>>>),
    /// Forget what queues and thread took of late; answered when done.
    ForgetLoad(Sender<()>),
    /// Give up the queues of a port; answered when they are dropped.
    RemovePort(PortNo, Sender<()>),
    /// Install or change a flow; answered with its id.
    FlowInstall(Arc<FlowPut>, Sender<Result<Ufid, DatapathError>>),
    /// These are the meters from now on.
    Meters(Arc<Meters>),
    /// Assign the buckets of a bond.
    BondSet(BondId, Box<Assignment>, Arc<BondBytes>),
    /// Forget a bond.
    BondDel(BondId),
    /// Replace what a flow does.
    FlowPut(Ufid, ActionList),
    /// Remove a flow.
    FlowDel(Ufid),
    /// Remove all flows; answered with their number.
    Flush(Sender<usize>),
    /// Show the flows in some slots from this one on; answered with them and where to go on.
    Dump(u32, Sender<(Vec<FlowDump>, Option<u32>)>),
    /// Execute actions on a packet.
    Execute(Box<Execute>),
    /// Change the pipeline's settings.
    Configure(Box<Settings>),
}

/// A packet from the control side.
pub(crate) struct Execute {
    pub(crate) packet: Packet,
    pub(crate) key: FlowKey,
    pub(crate) actions: ActionList,
}

/// Where commands for one thread arrive.
#[derive(Debug)]
pub(crate) struct Mailbox {
    sender: Sender<Command>,
    pub(crate) bell: Doorbell,
    /// Whether the thread sleeps or is about to.
    asleep: Alarm,
    /// Whether the thread is to end.
    stopping: AtomicBool,
    /// Packets that wait to be executed.
    executes: AtomicUsize,
    /// Packets that wait for nothing else.
    urgent: Sender<Execute>,
}

/// The ends at which a thread reads.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) commands: Receiver<Command>,
    /// Packets that are executed before any command.
    pub(crate) urgent: Receiver<Execute>,
}

impl Mailbox {
    /// A mailbox, and the ends at which the thread reads.
    pub(crate) fn new() -> std::io::Result<(Self, Inbox)> {
        let (sender, commands) = bounded(WAITING);
        let (urgent, executes) = bounded(URGENT);
        let mailbox = Self {
            sender,
            bell: Doorbell::new()?,
            asleep: Alarm::new(),
            stopping: AtomicBool::new(false),
            executes: AtomicUsize::new(0),
            urgent,
        };
        Ok((mailbox, Inbox { commands, urgent: executes }))
    }

    /// Leaves a command, without waiting. Gives it back if there is no room.
    pub(crate) fn try_post(&self, command: Command) -> Result<(), Command> {
        match self.sender.try_send(command) {
            Ok(()) => {
                self.wake();
                Ok(())
            }
            Err(TrySendError::Full(command) | TrySendError::Disconnected(command)) => Err(command),
        }
    }

    /// Leaves a command; waits for room a while.
    pub(crate) fn post(&self, command: Command) -> Result<(), DatapathError> {
        match self.sender.send_timeout(command, PATIENCE) {
            Ok(()) => {
                self.wake();
                Ok(())
            }
            Err(SendTimeoutError::Timeout(_)) => Err(DatapathError::Busy),
            Err(SendTimeoutError::Disconnected(_)) => Err(DatapathError::NoThread),
        }
    }

    /// Takes a place among the packets that wait to be executed; `false` if there is none.
    pub(crate) fn reserve_execute(&self) -> bool {
        let reserved = self.executes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            (count < EXECUTES).then_some(count + 1)
        });
        reserved.is_ok()
    }

    /// Gives such a place back.
    pub(crate) fn release_execute(&self) {
        self.executes.fetch_sub(1, Ordering::Relaxed);
    }

    /// Leaves a packet that is executed before any command, if there is room.
    pub(crate) fn post_urgent(&self, execute: Execute) -> Result<(), DatapathError> {
        match self.urgent.try_send(execute) {
            Ok(()) => {
                self.wake();
                Ok(())
            }
            Err(TrySendError::Full(_)) => Err(DatapathError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(DatapathError::NoThread),
        }
    }

    /// Wakes the thread if it sleeps.
    pub(crate) fn wake(&self) {
        if self.asleep.is_to_ring() {
            self.bell.ring();
        }
    }

    /// Tells the thread to end, or lets it begin again.
    pub(crate) fn set_stopping(&self, stop: bool) {
        self.stopping.store(stop, Ordering::Relaxed);
        self.wake();
    }

    /// Whether the thread is to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// For the thread: announces that it will sleep. It must look at its commands, and at
    /// [`Self::is_stopping`], afterwards, and call [`Self::awake`] when it goes on.
    pub(crate) fn about_to_sleep(&self) {
        self.asleep.about_to_sleep();
    }

    /// For the thread: it no longer sleeps.
    pub(crate) fn awake(&self) {
        self.asleep.awake();
        self.bell.clear();
    }
}
