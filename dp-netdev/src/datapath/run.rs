//! Running a datapath on threads of its own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::worker::{Place, Worker};
use super::{Netdev, lock};
use crate::pmd::Idle;
use crate::pmd::thread::How;

/// The threads of a datapath that runs; they end when this is dropped.
#[must_use = "the threads end when this is dropped"]
pub struct Running {
    netdev: Arc<Netdev>,
}

/// How the threads of a datapath that runs live.
#[derive(Clone, Debug)]
pub(super) struct Run {
    cpus: Vec<usize>,
    idle: Idle,
}

impl Netdev {
    /// Starts the packet threads. Thread `n` stays on processor `cpus[n]`; those beyond the list
    /// go where the system puts them. Threads for ports that must be asked all the time
    /// ([`Self::set_schedule`]) spin, each on its own processor.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started or may not run on its processor, or if the datapath runs
    /// already; no thread is left running that was started here.
    pub fn start(self: &Arc<Self>, cpus: &[usize], idle: Idle) -> io::Result<Running> {
        if self.running.swap(true, Ordering::AcqRel) {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "the datapath runs already"));
        }
        // Ports come and go meanwhile, and threads with them.
        let ports = lock(&self.ports);
        let running = Running { netdev: Arc::clone(self) };
        let run = Run { cpus: cpus.to_vec(), idle };
        for worker in self.workers() {
            self.start_worker(&worker, &run)?;
        }
        *lock(&self.run) = Some(run);
        drop(ports);
        Ok(running)
    }

    /// Starts the thread of a worker, as all threads were started.
    pub(super) fn start_worker(&self, worker: &Arc<Worker>, run: &Run) -> io::Result<()> {
        let id = worker.id;
        let (cpu, idle) = match worker.place {
            Place::Any => (run.cpus.get(id as usize).copied(), run.idle),
            Place::Core { pinned, core, .. } => {
                (pinned.then(|| usize::try_from(core).unwrap_or(usize::MAX)), Idle::Spin)
            }
        };
        let name = match (worker.place, cpu) {
            (Place::Core { core, .. }, _) => format!("pmd-c{core:02}/id:{id}"),
            (Place::Any, Some(cpu)) => format!("pmd-c{cpu:02}/id:{id}"),
            (Place::Any, None) => format!("pmd/id:{id}"),
        };
        worker.start(name, How { cpu, idle, naps: Arc::clone(&worker.naps), clock: self.clock })
    }
}

impl Running {
    /// Stops the threads and waits for their ends. The datapath can be driven by hand afterwards,
    /// or started again.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        *lock(&self.netdev.run) = None;
        let workers = self.netdev.workers();
        for worker in &workers {
            worker.mailbox.set_stopping(true);
        }
        for worker in &workers {
            worker.stop();
        }
        self.netdev.running.store(false, Ordering::Release);
    }
}
