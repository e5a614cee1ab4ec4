//! A maintenance point as operators see it: `cfm/show`.

use std::fmt::Write as _;

use dp_core::base::Instant;

use super::Cfm;

impl Cfm {
    /// The lines of `cfm/show`, each ended.
    #[must_use]
    pub fn show(&self, now: Instant) -> String {
        let updown = |up: bool| if up { "up" } else { "down" };
        let left = |moment: Instant| moment.as_millis().saturating_sub(now.as_millis());
        let extended = if self.config.extended { " extended" } else { "" };
        let overridden = if self.overridden.is_some() { " fault_override" } else { "" };
        let mut text = format!("MPID {}:{extended}{overridden}\n", self.config.mpid);
        // Writing to a string does not fail.
        let _ = (|| {
            if !self.faults().is_empty() {
                writeln!(text, "  fault: {}", self.faults())?;
            }
            match self.health {
                Some(percent) => writeln!(text, "  average health: {percent}")?,
                None => writeln!(text, "  average health: undefined")?,
            }
            writeln!(text, "  opstate: {}", updown(self.config.opup))?;
            writeln!(text, "  remote_opstate: {}", updown(self.remote_opup))?;
            writeln!(text, "  interval: {}ms", self.interval.as_millis())?;
            writeln!(text, "  next CCM tx: {}ms", left(self.next_tx))?;
            writeln!(text, "  next fault check: {}ms", left(self.next_check))?;
            for (mpid, remote) in &self.remotes {
                writeln!(text, "Remote MPID {mpid}")?;
                writeln!(text, "  recv since check: {}", remote.recv)?;
                writeln!(text, "  opstate: {}", updown(remote.opup))?;
            }
            std::fmt::Result::Ok(())
        })();
        text
    }
}
