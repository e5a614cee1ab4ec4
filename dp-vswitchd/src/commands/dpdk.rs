//! `dpdk/*` and `netdev-dpdk/*`: what libdpdk tells of itself, and its devices. Only in a program
//! that is built with it.

use std::fmt::Write as _;
use std::sync::Arc;

use dp_core::base::PortNo;
use dp_netdev::port::Change;
use dp_netdev::port::dpdk::{self, LogLevel, Report};

use crate::switch::{Switch, is_dpdk};
use crate::unixctl::{CommandRegistry, Request};

/// Registers the family.
pub(super) fn register(registry: &mut CommandRegistry, switch: &Arc<Switch>) {
    registry.register("netdev-dpdk/get-mempool-info", "[netdev]", 0, 1, |_| pools());
    if !dpdk::BUILT {
        return;
    }
    for (name, what) in [
        ("dpdk/get-malloc-stats", Report::Heap),
        ("dpdk/get-memzone-stats", Report::Zones),
        ("dpdk/lcore-list", Report::Processors),
        ("dpdk/log-list", Report::Log),
    ] {
        registry.register(name, "", 0, 0, move |_| dpdk::report(what).ok_or(NOT_INITIALIZED));
    }
    let usage = "{level | pattern:level}";
    registry.register("dpdk/log-set", usage, 0, usize::MAX, |request| {
        request.arguments().iter().try_for_each(|word| set_log(word))
    });
    registry.register("netdev-dpdk/detach", "pci address of device", 1, 1, |request| {
        let device = request.argument(0);
        let done = dpdk::detach(device).map_err(|error| error.to_string());
        done.map(|()| format!("All devices shared with device '{device}' have been detached"))
    });
    let own = Arc::clone(switch);
    registry.register("netdev-dpdk/set-admin-state", "[netdev] up|down", 1, 2, move |request| {
        set_admin_state(&own, request)
    });
}

const NOT_INITIALIZED: &str = "DPDK is not initialized";

fn pools() -> Result<String, &'static str> {
    if !dpdk::is_running() {
        return Err(NOT_INITIALIZED);
    }
    let mut text = String::new();
    for pool in dpdk::pools() {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "mempool <{}>: socket {} room {} size {} in use {}",
            pool.name, pool.socket, pool.room, pool.size, pool.in_use
        );
    }
    Ok(text)
}

/// `LEVEL`, or `PATTERN:LEVEL`.
fn set_log(word: &str) -> Result<(), String> {
    let (pattern, name) = match word.rsplit_once(':') {
        Some((pattern, name)) => (Some(pattern), name),
        None => (None, word),
    };
    let level = LogLevel::named(name).ok_or_else(|| format!("invalid log level: '{name}'"))?;
    if !dpdk::is_running() {
        return Err(NOT_INITIALIZED.to_owned());
    }
    if dpdk::set_log(pattern, level) {
        return Ok(());
    }
    Err(format!("cannot set log level for '{word}'"))
}

fn set_admin_state(switch: &Switch, request: &Request<'_>) -> Result<&'static str, String> {
    let (name, state) = match request.arguments() {
        [name, state] => (Some(name.as_str()), state.as_str()),
        [state] => (None, state.as_str()),
        _ => (None, ""),
    };
    let up = match state.to_ascii_lowercase().as_str() {
        "up" => true,
        "down" => false,
        _ => return Err("Invalid Admin State".to_owned()),
    };
    let mut found = false;
    for datapath in switch.datapaths() {
        let numbers: Vec<PortNo> = {
            let ports = datapath.ports();
            let ours = ports.iter().filter(|(_, port)| is_dpdk(&port.kind));
            let named = ours.filter(|(_, port)| name.is_none_or(|name| port.name == name));
            named.map(|(number, _)| *number).collect()
        };
        for number in numbers {
            found = true;
            if let Some(done) = datapath.netdev.configure_port(number, Change::AdminUp(up)) {
                done.map_err(|error| error.to_string())?;
            }
        }
    }
    if !found && let Some(name) = name {
        return Err(format!("Not a DPDK Interface: {name}"));
    }
    switch.touch();
    Ok("OK")
}

#[cfg(test)]
mod tests {
    use super::set_log;

    #[test]
    fn levels_are_named_and_need_libdpdk() {
        assert_eq!(set_log("loud").unwrap_err(), "invalid log level: 'loud'");
        assert_eq!(set_log("lib.eal:loud").unwrap_err(), "invalid log level: 'loud'");
        assert_eq!(set_log("lib.eal:debug").unwrap_err(), "DPDK is not initialized");
    }
}
