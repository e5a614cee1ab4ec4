//! Why a port does not open, and why an open one stopped.

use std::io;

use crate::pcapfile::FileError;

/// Why a port cannot be opened or changed. The text is for the person who asked for the port.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No interface of that name in this network namespace.
    #[error("{name}: no such network interface")]
    NoInterface {
        /// The name asked for.
        name: String,
    },
    /// The process lacks a privilege.
    #[error("{name}: not permitted: needs {privilege} (run as root or grant it with setcap)")]
    NotPermitted {
        /// The port.
        name: String,
        /// The privilege, as capabilities(7) calls it.
        privilege: &'static str,
    },
    /// The interface does not carry Ethernet frames.
    #[error("{name}: not an Ethernet interface (its ARP hardware type is {arp_type})")]
    NotEthernet {
        /// The port.
        name: String,
        /// The kernel's `ARPHRD_*` number.
        arp_type: u16,
    },
    /// The text that describes a port cannot be read.
    #[error("port '{text}': expected {expected}")]
    Spec {
        /// The text.
        text: String,
        /// What was expected.
        expected: &'static str,
    },
    /// No such kind of port.
    #[error("{kind}: no such kind of port; there are {known}")]
    UnknownKind {
        /// The kind asked for.
        kind: String,
        /// Those there are.
        known: &'static str,
    },
    /// The kind of port has no such option.
    #[error("{port}: a {kind} port has no option '{option}'; it has {known}")]
    UnknownOption {
        /// The port.
        port: String,
        /// Its kind.
        kind: &'static str,
        /// The option given.
        option: String,
        /// Those it has.
        known: &'static str,
    },
    /// An option has a value that means nothing.
    #[error("{port}: option {option}: '{value}' is not {expected}")]
    BadOption {
        /// The port.
        port: String,
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A capture file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The kind of port has no such property.
    #[error("{port}: a {kind} port cannot be changed so")]
    Unsupported {
        /// The port.
        port: String,
        /// Its kind.
        kind: &'static str,
    },
    /// The queues have been handed out before.
    #[error("{port}: its queues have been handed out already")]
    QueuesTaken {
        /// The port.
        port: String,
    },
    /// libdpdk does not run in this process.
    #[error("{name}: no DPDK: {why}")]
    NoDpdk {
        /// The port.
        name: String,
        /// Why not.
        why: String,
    },
    /// A port of libdpdk without a device.
    #[error(
        "'{name}' is missing 'options:dpdk-devargs'. The old 'dpdk<port_id>' names are not supported"
    )]
    NoDevargs {
        /// The port.
        name: String,
    },
    /// A port of libdpdk whose device another port has.
    #[error("'{name}' is trying to use device '{device}' which is already in use by '{by}'")]
    DeviceInUse {
        /// The port.
        name: String,
        /// The device asked for.
        device: String,
        /// The port that has it.
        by: String,
    },
    /// libdpdk knows no such device, or could not attach it.
    #[error("Error attaching device '{device}' to DPDK")]
    NotAttached {
        /// The device asked for.
        device: String,
        /// What libdpdk logged, behind a separator.
        detail: String,
    },
    /// libdpdk refused a step on the way.
    #[error("{name}: {step}: {reason}{detail}")]
    Dpdk {
        /// The port.
        name: String,
        /// What was being done.
        step: &'static str,
        /// libdpdk's reason.
        reason: String,
        /// What it logged, behind a separator.
        detail: String,
    },
    /// The system refused a step on the way.
    #[error("{name}: {step}: {source}")]
    System {
        /// The port.
        name: String,
        /// What was being done.
        step: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

/// Why an open port stopped.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The interface was removed, or moved to another network namespace.
    #[error("{name}: network interface removed")]
    Removed {
        /// The port.
        name: String,
    },
    /// The capture breaks off or is damaged.
    #[error(transparent)]
    File(#[from] FileError),
    /// The system refused.
    #[error("{name}: {step}: {source}")]
    System {
        /// The port.
        name: String,
        /// What was being done.
        step: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}
