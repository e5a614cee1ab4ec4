//! Ports of type dpdk.

use std::sync::Arc;

pub use super::device_unsafe::detach;
use super::device_unsafe::{Device, Link, Steered};
pub use super::eal_unsafe::{attach_thread, init, is_running, take_log, version};
use super::queue_unsafe::{Rx, ToDevice, Tx};
pub use super::report_unsafe::{report, set_log};
pub use super::vhost_unsafe::open_vhost;
use super::{Options, PoolInfo, mempool_unsafe};
use crate::port::{
    Change, LinkMode, OpenError, Port, QueueCount, Queues, RxQueue, Status, TxQueue,
};

/// A port of type dpdk. The device is attached when the queues are asked for, since until then it is
/// not known how many senders there are.
struct Dpdk {
    name: String,
    options: Options,
    admin_up: bool,
    device: Option<Arc<Device>>,
}

/// Opens a port.
///
/// # Errors
///
/// [`OpenError::NoDpdk`], [`OpenError::NotAttached`], [`OpenError::DeviceInUse`], or what libdpdk
/// says of a step.
pub fn open(name: &str, options: &Options) -> Result<Box<dyn Port>, OpenError> {
    if !is_running() {
        let why = "it is not initialised (other_config:dpdk-init=true)".to_owned();
        return Err(OpenError::NoDpdk { name: name.to_owned(), why });
    }
    if options.devargs.is_empty() {
        return Err(OpenError::NoDevargs { name: name.to_owned() });
    }
    Ok(Box::new(Dpdk {
        name: name.to_owned(),
        options: options.clone(),
        admin_up: true,
        device: None,
    }))
}

/// The memory pools there are.
#[must_use]
pub fn pools() -> Vec<PoolInfo> {
    mempool_unsafe::all()
}

impl Dpdk {
    fn device(&self) -> Result<&Device, OpenError> {
        let missing = || OpenError::Unsupported { port: self.name.clone(), kind: self.kind() };
        self.device.as_deref().ok_or_else(missing)
    }
}

impl Port for Dpdk {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "dpdk"
    }

    fn is_poll_mode(&self) -> bool {
        true
    }

    fn numa_node(&self) -> Option<u32> {
        self.device.as_ref().and_then(|device| u32::try_from(device.socket()).ok())
    }

    fn queues(&mut self, want: QueueCount) -> Result<Queues, OpenError> {
        if self.device.is_some() {
            return Err(OpenError::QueuesTaken { port: self.name.clone() });
        }
        let threads = u16::try_from(want.tx).unwrap_or(u16::MAX);
        let device = Arc::new(Device::open(&self.name, &self.options, threads)?);
        self.device = Some(Arc::clone(&device));
        let rx = (0..device.rx_queues)
            .map(|queue| Box::new(Rx::new(Arc::clone(&device), queue)) as Box<dyn RxQueue>);
        let tx = (0..device.tx_queues)
            .map(|queue| ToDevice::new(Arc::clone(&device), queue))
            .map(|way| Box::new(Tx::new(way)) as Box<dyn TxQueue>);
        Ok(Queues { rx: rx.collect(), tx: tx.collect() })
    }

    fn status(&self) -> Status {
        let Some(device) = &self.device else { return Status { link_up: false, ..Status::UP } };
        Status {
            admin_up: self.admin_up,
            link_up: device.link().up,
            mac: device.mac(),
            mtu: device.mtu(),
            ifindex: device.info().ifindex,
        }
    }

    fn configure(&mut self, change: Change) -> Result<(), OpenError> {
        match change {
            Change::AdminUp(up) => {
                self.device()?.set_up_down(up)?;
                self.admin_up = up;
                Ok(())
            }
            Change::Mac(mac) => self.device()?.set_mac(mac),
            Change::Mtu(mtu) => self.device()?.set_mtu(mtu),
        }
    }

    fn link(&self) -> Option<LinkMode> {
        let link = self.device.as_ref()?.link();
        let known = link.up && link.mbps != 0 && link.mbps != u32::MAX;
        known.then_some(LinkMode {
            mbps: link.mbps,
            full_duplex: Some(link.full_duplex),
            copper: None,
            negotiated: link.autonegotiated,
        })
    }

    fn counters(&self) -> Vec<(String, u64)> {
        let Some(device) = &self.device else { return Vec::new() };
        let mut counters = device.counters();
        if !counters.iter().any(|(name, _)| name == "rx_missed_errors") {
            counters.push(("rx_missed_errors".to_owned(), device.missed()));
        }
        counters
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        let Some(device) = &self.device else { return Vec::new() };
        let (info, link) = (device.info(), device.link());
        let version = version().unwrap_or_default();
        let mut details = vec![
            ("bus_info", device.bus().unwrap_or_default()),
            ("driver_name", info.driver.clone()),
            ("if_descr", format!("{version} {}", info.driver)),
            ("if_type", "6".to_owned()),
            ("link_speed", speed(link)),
            ("max_hash_mac_addrs", info.max_hash_mac_addrs.to_string()),
            ("max_mac_addrs", info.max_mac_addrs.to_string()),
            ("max_rx_pktlen", device.mtu().saturating_add(FRAMING).to_string()),
            ("max_rx_queues", info.max_rx_queues.to_string()),
            ("max_tx_queues", info.max_tx_queues.to_string()),
            ("max_vfs", info.max_vfs.to_string()),
            ("max_vmdq_pools", info.max_vmdq_pools.to_string()),
            ("min_rx_bufsize", info.min_rx_bufsize.to_string()),
            ("n_rxq", device.rx_queues.to_string()),
            ("n_txq", device.tx_queues.to_string()),
            ("numa_id", device.socket().to_string()),
            ("port_no", device.port().to_string()),
            ("rx_csum_offload", device.judges_checksums(&self.options).to_string()),
        ];
        details.extend(steering(device));
        details.extend(offloads(device.leaves.checksums, device.leaves.segments));
        details
    }

    fn configuration(&self) -> Vec<(&'static str, String)> {
        let options = &self.options;
        let mut shown = vec![
            ("dpdk-devargs", options.devargs.clone()),
            ("dpdk-lsc-interrupt", options.link_interrupt.to_string()),
        ];
        let has_pauses = self.device.as_ref().is_some_and(|it| !it.pauseless);
        let pauses = options.pauses.filter(|_| has_pauses).unwrap_or_default();
        let on = |name, on: bool| on.then(|| (name, "true".to_owned()));
        shown.extend(on("flow-ctrl-autoneg", pauses.negotiated));
        shown.push(("n_rxq", options.rx_queues.to_string()));
        shown.push(("n_rxq_desc", options.rx_descriptors.to_string()));
        shown.push(("n_txq_desc", options.tx_descriptors.to_string()));
        shown.extend(on("rx-flow-ctrl", pauses.rx));
        if options.steering.any() {
            shown.push(("rx-steering", options.steering.name().to_owned()));
        }
        shown.extend(on("tx-flow-ctrl", pauses.tx));
        shown
    }

    fn remarks(&self) -> Vec<String> {
        let Some(device) = &self.device else { return Vec::new() };
        let mut remarks = Vec::new();
        if device.pauseless {
            remarks.push("Flow control is not supported.".to_owned());
        }
        if device.steered == Steered::Unsupported {
            let wanted = self.options.steering.name();
            remarks.push(format!("rx-steering: the device cannot do {wanted}, and does rss"));
        }
        remarks
    }
}

/// Header and checksum of an Ethernet frame, in bytes.
const FRAMING: u32 = 18;

/// What is left to a device or a guest of what is sent, as the `status` column tells of it.
pub(super) fn offloads(checksums: bool, segments: bool) -> [(&'static str, String); 10] {
    [
        ("tx_geneve_tso_offload", false),
        ("tx_gre_tso_offload", false),
        ("tx_ip_csum_offload", checksums),
        ("tx_out_ip_csum_offload", false),
        ("tx_out_udp_csum_offload", false),
        ("tx_sctp_csum_offload", false),
        ("tx_tcp_csum_offload", checksums),
        ("tx_tcp_seg_offload", segments),
        ("tx_udp_csum_offload", checksums),
        ("tx_vxlan_tso_offload", false),
    ]
    .map(|(name, is)| (name, is.to_string()))
}

/// What came of `rx-steering`.
fn steering(device: &Device) -> Vec<(&'static str, String)> {
    match device.steered {
        Steered::NotAsked => vec![("rx-steering", "rss".to_owned())],
        Steered::Unsupported => vec![("rx-steering", "unsupported".to_owned())],
        Steered::To(steering) => {
            let own = device.rx_queues.saturating_sub(1);
            let others = if own > 1 { format!("0-{}", own - 1) } else { "0".to_owned() };
            vec![
                ("rss_queues", others),
                ("rx_steering", steering.name().to_owned()),
                ("rx_steering_queue", own.to_string()),
            ]
        }
    }
}

/// A link's speed in words.
fn speed(link: Link) -> String {
    match link.mbps {
        0 => "None".to_owned(),
        u32::MAX => "Unknown".to_owned(),
        mbps if mbps.is_multiple_of(1000) => format!("{}Gbps", mbps / 1000),
        mbps => format!("{mbps}Mbps"),
    }
}
