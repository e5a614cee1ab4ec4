//! `qos/*`: how fast what is sent leaves.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::switch::Switch;
use crate::switch::qos::{QosShown, types};
use crate::unixctl::CommandRegistry;

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    registry.register("qos/show-types", "interface", 1, 1, move |request| {
        let name = request.argument(0);
        let (_, interface) = own.interface(name).ok_or("no such interface")?;
        let types = types(&interface.kind);
        if types.is_empty() {
            return Ok::<_, &str>(format!("No QoS types supported for interface: {name}\n"));
        }
        Ok(types.iter().map(|it| format!("QoS type: {it}\n")).collect())
    });
    let own = Arc::clone(switch);
    registry.register("qos/show", "interface", 1, 1, move |request| {
        let name = request.argument(0);
        let (bridge, interface) = own.interface(name).ok_or("no such interface")?;
        match bridge.qos_of(&interface) {
            Some(shown) => Ok(text(name, &shown)),
            None => match bridge.qos_error(name) {
                Some(why) => Err(why),
                None => Ok(format!("QoS not configured on {name}\n")),
            },
        }
    });
}

fn text(name: &str, shown: &QosShown) -> String {
    let mut out = format!("QoS: {name} {}\n", shown.kind);
    // Writing into a string does not fail.
    for (key, value) in &shown.settings {
        let _ = writeln!(out, "{key}: {value}");
    }
    for queue in &shown.queues {
        let _ = match queue.queue {
            0 => writeln!(out, "\nDefault:"),
            number => writeln!(out, "\nQueue {number}:"),
        };
        let counts =
            [("tx_packets", queue.packets), ("tx_bytes", queue.bytes), ("tx_errors", queue.errors)];
        for (key, value) in queue.settings.iter().chain(&counts) {
            let _ = writeln!(out, "  {key}: {value}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use dp_core::base::Instant;

    use super::text;
    use crate::switch::qos::{QosShown, QueueShown};

    #[test]
    fn queues_are_shown_as_users_know_them() {
        let queue = |queue, settings| QueueShown {
            queue,
            settings,
            packets: 1,
            bytes: 60,
            errors: 2,
            since: Instant::default(),
        };
        let shown = QosShown {
            kind: "linux-htb",
            settings: vec![("max-rate", 10_000_000)],
            queues: vec![queue(0, vec![("min-rate", 12_000)]), queue(1, vec![])],
        };
        let expected = "QoS: v0 linux-htb\nmax-rate: 10000000\n\nDefault:\n  min-rate: 12000\n  \
                        tx_packets: 1\n  tx_bytes: 60\n  tx_errors: 2\n\nQueue 1:\n  tx_packets: 1\n  \
                        tx_bytes: 60\n  tx_errors: 2\n";
        assert_eq!(text("v0", &shown), expected);
    }
}
