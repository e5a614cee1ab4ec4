//! `autoattach/*`: LLDP's neighbours, mappings and counters. The bridge that may be named does not
//! restrict what is shown: in the reference it does not either.

use std::sync::Arc;

use dp_ofproto::protocols::lldp::Agent;

use crate::switch::Switch;
use crate::unixctl::CommandRegistry;

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    type Show = fn(&Agent) -> String;
    let commands: [(&str, Show); 3] = [
        ("autoattach/status", Agent::show_status),
        ("autoattach/show-isid", Agent::show_isid),
        ("autoattach/statistics", Agent::show_statistics),
    ];
    for (name, show) in commands {
        let own = Arc::clone(switch);
        registry.register(name, "[bridge]", 0, 1, move |_| {
            let mut text = String::new();
            own.services.each_lldp(|agent| text += &show(agent));
            Ok::<_, String>(text)
        });
    }
}
