//! Opening what an `Interface` row names.

use std::path::PathBuf;

use dp_core::base::MacAddr;
use dp_netdev::port::afpacket::{AfPacket, Options};
use dp_netdev::port::dpdk;
use dp_netdev::port::dummy::{Dummy, Hand};
use dp_netdev::port::tap::{Role, Tap};
use dp_netdev::port::{Change, OpenError, Port, PortSpec};
use dp_ofproto::tunnel;

use super::dpdk::{VhostSettings, is_dpdk};
use crate::config::{InterfaceConfig, number_or};
use crate::daemon::DummyMode;

/// An interface that is open.
pub(super) struct Opened {
    /// The port; none for an end of a patch, which is a thing of bridges alone.
    pub(super) port: Option<Box<dyn Port>>,
    /// The type it was opened with.
    pub(super) kind: String,
    pub(super) hand: Option<Hand>,
}

/// The type that an interface of this type is opened with, in a dummy datapath or another. Where dummies
/// replace everything, they replace tunnels too: what is sent to one is only counted.
pub(crate) fn effective_kind(dummy: bool, kind: &str, is_local: bool, mode: DummyMode) -> String {
    let kind = if is_local { "internal" } else { kind };
    match (dummy, kind) {
        (_, kind) if mode == DummyMode::Override && tunnel::is_tunnel(kind) => "dummy",
        (true, "internal") => "dummy-internal",
        (_, "internal") => "tap",
        (_, "") => "system",
        (_, kind) => kind,
    }
    .to_owned()
}

/// The types that can be opened, as `iface_types` lists them.
pub(super) fn known_kinds(dummy: DummyMode) -> Vec<&'static str> {
    let mut kinds = vec!["afxdp", "afxdp-nonpmd", "internal", "patch", ROUTED, "system", "tap"];
    kinds.extend(tunnel::kinds());
    if dummy != DummyMode::Off {
        kinds.extend(["dummy", "dummy-internal", "dummy-pmd"]);
    }
    if dpdk::is_running() {
        kinds.extend(["dpdk", "dpdkvhostuser", "dpdkvhostuserclient"]);
    }
    kinds.sort_unstable();
    kinds
}

/// Opens the port of an interface. `number` counts dummy ports, and makes their addresses.
pub(super) fn open(
    config: &InterfaceConfig,
    kind: &str,
    mode: DummyMode,
    vhost: &VhostSettings,
    number: &mut u32,
) -> Result<Opened, String> {
    let name = &config.name;
    let failed = |why: String| format!("could not open network device {name} ({why})");
    let dummies = mode != DummyMode::Off;
    let replaced = match mode {
        DummyMode::Override => true,
        DummyMode::System => kind == "system",
        DummyMode::Off | DummyMode::Beside => false,
    };
    match kind {
        "dummy" | "dummy-internal" | "dummy-pmd" if dummies => {
            dummy(config, kind, number).map_err(failed)
        }
        "system" | "tap" if replaced => dummy(config, kind, number).map_err(failed),
        "system" => {
            let port = AfPacket::open(name, Options::default()).map_err(|it| failed(words(&it)))?;
            Ok(Opened { port: Some(Box::new(port)), kind: kind.to_owned(), hand: None })
        }
        "tap" => {
            let role = if config.kind == "tap" { Role::Tap } else { Role::Internal };
            let port = Tap::open(name, role).map_err(|it| failed(words(&it)))?;
            Ok(Opened { port: Some(Box::new(port)), kind: kind.to_owned(), hand: None })
        }
        "afxdp" | "afxdp-nonpmd" => {
            let mut spec = PortSpec::new(kind, name);
            spec.options.clone_from(&config.options);
            let port = spec.open().map_err(|it| failed(words(&it)))?;
            Ok(Opened { port: Some(port), kind: kind.to_owned(), hand: None })
        }
        kind if is_dpdk(kind) => {
            let port = super::dpdk::open(config, kind, vhost).map_err(|error| error.to_string())?;
            Ok(Opened { port: Some(port), kind: kind.to_owned(), hand: None })
        }
        "patch" => patch(config),
        ROUTED => routed(config),
        kind if tunnel::is_tunnel(kind) => tunnel(config, kind),
        _ => {
            log::warn!(target: "netdev", "could not create netdev {name} of unknown type {kind}");
            Err(failed("Address family not supported by protocol".to_owned()))
        }
    }
}

/// A tunnel: its options say where it leads.
fn tunnel(config: &InterfaceConfig, kind: &str) -> Result<Opened, String> {
    let read = tunnel::read(&config.name, kind, &config.options);
    for warning in &read.warnings {
        log::warn!(target: "netdev_vport", "{warning}");
    }
    if read.result.is_err() {
        let name = &config.name;
        log::warn!(target: "netdev", "{name}: could not set configuration (Invalid argument)");
    }
    read.result.map(|_| Opened { port: None, kind: kind.to_owned(), hand: None })
}

/// An end of a patch: it needs a name of the other end.
fn patch(config: &InterfaceConfig) -> Result<Opened, String> {
    let name = &config.name;
    let peer = config.options.get("peer").map(String::as_str).unwrap_or_default();
    let why = match peer {
        "" => "patch type requires valid 'peer' argument",
        peer if peer == name => "patch peer must not be self",
        _ if config.options.len() > 1 => "patch type requires only a 'peer' option",
        _ => return Ok(Opened { port: None, kind: "patch".to_owned(), hand: None }),
    };
    log::warn!(target: "netdev_vport", "{name}: {why}");
    Err(format!("{name}: {why}"))
}

/// The switch's routes: there is nothing to be said of them here.
fn routed(config: &InterfaceConfig) -> Result<Opened, String> {
    let name = &config.name;
    if let Some(option) = config.options.keys().next() {
        let why = format!("{ROUTED} type has no options, and no '{option}'");
        log::warn!(target: "netdev_vport", "{name}: {why}");
        return Err(format!("{name}: {why}"));
    }
    Ok(Opened { port: None, kind: ROUTED.to_owned(), hand: None })
}

/// The type of a port that stands for the switch's routes.
pub(crate) const ROUTED: &str = "routed";

/// The system's words for why a port did not open, where it has any.
fn words(error: &OpenError) -> String {
    match error {
        OpenError::NoInterface { .. } => "No such device".to_owned(),
        OpenError::NotPermitted { .. } => "Operation not permitted".to_owned(),
        OpenError::System { source, .. } => crate::errno::text(source),
        // Rust adds the number to the system's words; nobody else does.
        other => {
            let text = other.to_string();
            text.split(" (os error").next().map(str::to_owned).unwrap_or(text)
        }
    }
}

fn dummy(config: &InterfaceConfig, kind: &str, number: &mut u32) -> Result<Opened, String> {
    let number_of = |option, default| {
        usize::try_from(number_or(&config.options, option, default)).unwrap_or(1).max(1)
    };
    let mut port = Dummy::with_queues(&config.name, number_of("n_rxq", 1));
    if kind == "dummy-pmd" {
        let numa = number_or(&config.options, "numa_id", 0);
        port = port.polled(u32::try_from(numa).unwrap_or(0), number_of("n_txq", 1));
    }
    let file = |option: &str| config.options.get(option).map(PathBuf::from);
    if let Some(path) = file("pcap") {
        port = port.capturing(&path).map_err(|it| words(&it))?;
    } else {
        if let Some(path) = file("rxq_pcap") {
            port = port.capturing_rx(&path).map_err(|it| words(&it))?;
        }
        if let Some(path) = file("tx_pcap") {
            port = port.capturing_tx(&path).map_err(|it| words(&it))?;
        }
    }
    let mac = next_mac(number);
    port.configure(Change::Mac(mac)).map_err(|it| words(&it))?;
    let hand = Some(port.hand());
    Ok(Opened { port: Some(Box::new(port)), kind: kind.to_owned(), hand })
}

/// The address of the next dummy port: they are numbered in the order they are made.
pub(super) fn next_mac(number: &mut u32) -> MacAddr {
    let [_, _, c, d] = number.to_be_bytes();
    *number = number.wrapping_add(1);
    MacAddr([0xaa, 0x55, 0xaa, 0x55, c, d])
}

#[cfg(test)]
mod tests {
    use super::effective_kind;

    #[test]
    fn types_depend_on_the_datapath() {
        use crate::daemon::DummyMode;
        for (dummy, kind, local, found) in [
            (true, "internal", false, "dummy-internal"),
            (true, "", true, "dummy-internal"),
            (false, "internal", false, "tap"),
            (false, "", false, "system"),
            (false, "dummy", false, "dummy"),
        ] {
            assert_eq!(effective_kind(dummy, kind, local, DummyMode::Off), found);
        }
        let vxlan = |mode| effective_kind(true, "vxlan", false, mode);
        assert_eq!(
            (vxlan(DummyMode::Override), vxlan(DummyMode::Beside)),
            ("dummy".into(), "vxlan".into())
        );
    }
}
