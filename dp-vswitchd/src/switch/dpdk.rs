//! libdpdk as the configuration wants it: initialised once, when `dpdk-init` first says so; its
//! ports, and those of guests.

use std::path::PathBuf;

use dp_core::base::Instant;
use dp_netdev::port::dpdk::{self, EalOptions};
use dp_netdev::port::{OpenError, Port, PortSpec};

use super::Switch;
use crate::config::{InterfaceConfig, Settings, number_or};

/// What became of libdpdk.
#[derive(Debug, Default)]
pub(super) struct DpdkState {
    asked: bool,
    pub(super) vhost: VhostSettings,
}

/// What holds for all ports of guests, as it stood when libdpdk was initialised.
#[derive(Clone, Debug, Default)]
pub(super) struct VhostSettings {
    /// Where sockets are that we make.
    folder: PathBuf,
    iommu: bool,
    postcopy: bool,
}

/// What an interface's options may say that has no effect here, and is warned about.
const NOT_SUPPORTED: &[&str] = &["dpdk-vf-mac"];

impl Switch {
    /// Initialises libdpdk, where the configuration says so and it has not been tried.
    pub(super) fn start_dpdk(&self, settings: &Settings) {
        let wanted = settings.get("dpdk-init").map(String::as_str).unwrap_or_default();
        let try_only = wanted == "try";
        if wanted != "true" && !try_only {
            return;
        }
        if std::mem::replace(&mut self.state().dpdk.asked, true) {
            return;
        }
        self.state().dpdk.vhost = VhostSettings {
            folder: self.vhost_folder(settings),
            iommu: settings.get("vhost-iommu-support").is_some_and(|it| it == "true"),
            postcopy: settings.get("vhost-postcopy-support").is_some_and(|it| it == "true"),
        };
        if let Some(version) = dpdk::version() {
            log::info!(target: "dpdk", "Using {version}");
        }
        log::info!(target: "dpdk", "DPDK Enabled - initializing...");
        let text = |key: &str| settings.get(key).cloned();
        let options = EalOptions {
            program: self.paths.program.clone(),
            lcore_mask: text("dpdk-lcore-mask"),
            socket_mem: text("dpdk-socket-mem"),
            socket_limit: text("dpdk-socket-limit"),
            alloc_mem: text("dpdk-alloc-mem"),
            hugepage_dir: text("dpdk-hugepage-dir"),
            extra: text("dpdk-extra").unwrap_or_default(),
        };
        log::info!(target: "dpdk", "EAL ARGS: {}.", options.arguments().join(" "));
        let done = dpdk::init(&options);
        tell_log();
        match done {
            Ok(()) => log::info!(target: "dpdk", "DPDK Enabled - initialized"),
            Err(error) if try_only => log::warn!(target: "dpdk", "{error}"),
            Err(error) => log::error!(target: "dpdk", "{error}"),
        }
    }

    /// `vhost-sock-dir`: a folder inside ours.
    fn vhost_folder(&self, settings: &Settings) -> PathBuf {
        let own = self.paths.in_run_folder("");
        let Some(inside) = settings.get("vhost-sock-dir") else { return own };
        if inside.contains("..") {
            let own = own.display();
            log::error!(target: "dpdk", "vhost-user sock directory request '{own}{inside}' has \
                invalid characters '..' - using {own} instead.");
            return self.paths.in_run_folder("");
        }
        own.join(inside.trim_start_matches('/'))
    }

    /// Tells what libdpdk has logged, and considers dealing queues anew.
    pub(super) fn run_threads(&self, now: Instant) {
        tell_log();
        for datapath in self.datapaths() {
            datapath.netdev.balance(now);
            datapath.tell_notes();
        }
    }
}

/// Passes on what libdpdk has logged.
fn tell_log() {
    for line in dpdk::take_log() {
        // Its lines carry no level; its own first word says what it is about.
        log::info!(target: "dpdk", "{line}");
    }
}

/// Whether a type is one of libdpdk's: opening tells in its own words why it fails.
pub(crate) fn is_dpdk(kind: &str) -> bool {
    matches!(kind, "dpdk" | "dpdkvhostuser" | "dpdkvhostuserclient")
}

/// Opens a port of libdpdk.
pub(super) fn open(
    config: &InterfaceConfig,
    kind: &str,
    vhost: &VhostSettings,
) -> Result<Box<dyn Port>, OpenError> {
    let mut spec = PortSpec::new(kind, &config.name);
    for (option, value) in &config.options {
        if NOT_SUPPORTED.contains(&option.as_str()) {
            log::warn!(target: "netdev_dpdk", "{}: option {option} is not supported", config.name);
        } else {
            spec.options.insert(option.clone(), value.clone());
        }
    }
    if kind != "dpdk" {
        let word = |on: bool| if on { "true" } else { "false" }.to_owned();
        spec.options.insert("vhost-iommu-support".to_owned(), word(vhost.iommu));
        spec.options.insert("vhost-postcopy-support".to_owned(), word(vhost.postcopy));
    }
    if kind == "dpdkvhostuser" {
        let name = &config.name;
        if name.contains(['/', '\\']) {
            return Err(OpenError::BadOption {
                port: name.clone(),
                option: "name",
                value: name.clone(),
                expected: "a file's name: no slash may be in it",
            });
        }
        let socket = vhost.folder.join(name).to_string_lossy().into_owned();
        spec.options.insert("vhost-server-path".to_owned(), socket);
    }
    // Queues that no descriptor ring of the device could serve are as many as it has.
    if number_or(&config.options, "n_rxq", 1) < 1 {
        spec.options.remove("n_rxq");
    }
    if let Some(mtu) = config.mtu_request {
        spec.options.insert("mtu_request".to_owned(), mtu.to_string());
    }
    spec.open()
}
