//! A session as operators see it: `bfd/show` and `Interface bfd_status`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dp_core::base::{Duration, Instant};

use super::Session;

impl Session {
    /// The keys of `Interface bfd_status`.
    pub fn status(&mut self, now: Instant) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("forwarding", self.forwarding(now).to_string()),
            ("state", self.state.to_string()),
            ("diagnostic", self.diagnostic.to_string()),
            ("remote_state", self.remote.state.to_string()),
            ("remote_diagnostic", self.remote.diagnostic.to_string()),
            ("flap_count", self.flaps.to_string()),
        ])
    }

    /// The lines of `bfd/show`, each ended.
    pub fn show(&mut self, now: Instant) -> String {
        let mut text = String::new();
        let forwarding = self.forwarding(now);
        let mut line = |name: &str, value: String| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "  {name}: {value}");
        };
        line("Forwarding", forwarding.to_string());
        line("Detect Multiplier", self.config.mult.to_string());
        line("Concatenated Path Down", self.config.cpath_down.to_string());
        line("TX Interval", format!("Approx {}", ms(self.tx_interval())));
        line("RX Interval", format!("Approx {}", ms(self.rx_interval())));
        line("Detect Time", relative(self.detect_at.unwrap_or_default(), now));
        line("Next TX Time", relative(self.next_tx, now));
        line("Last TX Time", relative(self.last_tx.unwrap_or_default(), now));
        text.push('\n');
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "  Local {name}: {value}");
        };
        line("Flags", self.flags.to_string());
        line("Session State", self.state.to_string());
        line("Diagnostic", self.diagnostic.to_string());
        line("Discriminator", format!("{:#x}", self.disc));
        line("Minimum TX Interval", ms(self.min_tx));
        line("Minimum RX Interval", ms(self.min_rx));
        text.push('\n');
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "  Remote {name}: {value}");
        };
        line("Flags", self.remote.flags.to_string());
        line("Session State", self.remote.state.to_string());
        line("Diagnostic", self.remote.diagnostic.to_string());
        line("Discriminator", format!("{:#x}", self.remote.disc));
        line("Minimum TX Interval", ms(self.remote.min_tx));
        line("Minimum RX Interval", ms(self.remote.min_rx));
        line("Detect Multiplier", self.remote.mult.to_string());
        text
    }
}

fn ms(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

/// A moment as seen from now.
fn relative(moment: Instant, now: Instant) -> String {
    let (then, now) = (moment.as_millis(), now.as_millis());
    if then >= now { format!("now +{}ms", then - now) } else { format!("now -{}ms", now - then) }
}
