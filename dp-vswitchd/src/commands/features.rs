//! `dpif/show-dp-features` and `dpif/set-dp-features`: what the datapath can do.
//!
//! The second lets a script pretend that a datapath can do less, so that translation takes the
//! detour for old kernels. Where there is no such detour, a feature can be set to what it is only.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::switch::Switch;
use crate::switch::features::{FEATURES, Feature};
use crate::unixctl::{CommandRegistry, Request};

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    let own = Arc::clone(switch);
    registry.register("dpif/show-dp-features", "bridge", 1, 1, move |request| {
        let bridge = own.bridge(request.argument(0)).ok_or("no such bridge")?;
        let mut text = String::new();
        for feature in FEATURES.iter().filter(|it| !it.title.is_empty()) {
            let value = bridge.datapath.lessened(feature.name);
            let value = match value.as_deref().unwrap_or(feature.value) {
                "true" => "Yes",
                "false" => "No",
                number => number,
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}: {value}", feature.title);
        }
        Ok::<_, &str>(text)
    });
    let own = Arc::clone(switch);
    let usage = "[--force] bridge [feature [value]]";
    registry
        .register("dpif/set-dp-features", usage, 1, 4, move |request| set_features(&own, request));
}

/// Whether the switch makes the headers of tunnels itself, or leaves them to its datapath by telling
/// it of the tunnel.
fn push_pop(switch: &Switch, bridge: &str, value: Option<&str>) -> Result<String, String> {
    let bridge = switch.bridge(bridge).ok_or("no such bridge")?;
    let tunnels = &bridge.datapath.tunnels;
    match value {
        None => Ok(format!(
            "tnl_push_pop (Tunnel push pop) : [run time]:{}, [boot time]:true\n",
            !tunnels.is_by_metadata()
        )),
        Some("true" | "false") => {
            tunnels.set_by_metadata(value == Some("false"));
            Ok(String::new())
        }
        Some(value) => Err(format!("tnl_push_pop cannot be {value}")),
    }
}

fn set_features(switch: &Switch, request: &Request<'_>) -> Result<String, String> {
    let words: Vec<&str> =
        request.arguments().iter().map(String::as_str).filter(|it| *it != "--force").collect();
    let name = words.first().copied().unwrap_or_default();
    let datapath = &switch.bridge(name).ok_or("no such bridge")?.datapath;
    let line = |feature: &Feature| {
        let Feature { name, title, value } = feature;
        let now = datapath.lessened(name).unwrap_or_else(|| (*value).to_owned());
        format!("{name} ({title}) : [run time]:{now}, [boot time]:{value}\n")
    };
    let Some(wanted) = words.get(1) else {
        let named = |name: &&str| FEATURES.iter().find(|it| it.name == *name);
        return Ok(SETTABLE.iter().filter_map(named).map(line).collect());
    };
    if *wanted == "tnl_push_pop" {
        return push_pop(switch, name, words.get(2).copied());
    }
    let Some(feature) = FEATURES.iter().find(|it| it.name == *wanted && !it.title.is_empty())
    else {
        return Ok("Unexpected support field".to_owned());
    };
    match words.get(2) {
        None => Ok(line(feature)),
        Some(value) if datapath.lessen(feature, &value.to_ascii_lowercase()) => {
            // Bonds may have to balance in another way.
            switch.services.look_again();
            switch.touch();
            Ok(String::new())
        }
        Some(value) => Err(format!("{wanted} is {} and cannot be set to {value}", feature.value)),
    }
}

/// Those that could be set, in the order in which the reference lists them.
#[rustfmt::skip]
const SETTABLE: &[&str] = &[
    "sample_nesting", "clone", "ufid", "lb_output_action", "nd_ext", "ct_orig_tuple",
    "tnl_push_pop", "ct_eventmask", "psample", "ct_state", "ct_zero_snat", "max_vlan_headers",
    "ct_clear", "recirc", "ct_label", "max_hash_alg", "add_mpls", "ct_state_nat", "ct_timeout",
    "explicit_drop_action", "ct_mark", "ct_orig_tuple6", "max_mpls_depth", "masked_set_action",
    "check_pkt_len", "ct_zone", "trunc",
];
