//! Running a datapath on threads of its own.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use super::Netdev;
use crate::pmd::{Idle, thread};

/// The threads of a datapath that runs; they end when this is dropped.
#[must_use = "the threads end when this is dropped"]
pub struct Running {
    netdev: Arc<Netdev>,
    threads: Vec<JoinHandle<()>>,
}

impl Netdev {
    /// Starts the packet threads. Thread `n` stays on processor `cpus[n]`; those beyond the list
    /// go where the system puts them.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started or may not run on its processor, or if the datapath runs
    /// already; no thread is left running that was started here.
    pub fn start(self: &Arc<Self>, cpus: &[usize], idle: Idle) -> io::Result<Running> {
        if self.running.swap(true, Ordering::AcqRel) {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "the datapath runs already"));
        }
        let mut running = Running { netdev: Arc::clone(self), threads: Vec::new() };
        for (index, worker) in self.workers.iter().enumerate() {
            worker.mailbox.set_stopping(false);
            let cpu = cpus.get(index).copied();
            let name =
                cpu.map_or(format!("pmd/id:{index}"), |cpu| format!("pmd-c{cpu:02}/id:{index}"));
            let pmd = Arc::clone(&worker.pmd);
            running.threads.push(thread::spawn(name, pmd, cpu, idle, self.clock)?);
        }
        Ok(running)
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
        for worker in &self.netdev.workers {
            worker.mailbox.set_stopping(true);
        }
        for thread in self.threads.drain(..) {
            // A thread that panicked has printed why.
            let _ = thread.join();
        }
        self.netdev.running.store(false, Ordering::Release);
    }
}
