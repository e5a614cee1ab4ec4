//! The Debian packages that the tests use, and their installation.
//!
//! The system tests talk to a real reference switch, real network namespaces and real packet
//! tools. Skipping them where a tool is missing would be a silent hole, so the test command
//! installs what is missing where it runs as root, and elsewhere fails naming what to install.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// Package name and what needs it. The only list: `cargo xtask packages` installs it.
const PACKAGES: &[(&str, &str)] = &[
    ("curl", "an FTP client that knows every way"),
    ("ethtool", "turns offloads of test interfaces on and off"),
    ("frr", "a neighbour that speaks BFD"),
    ("g++", "compiles libFuzzer's runtime"),
    ("iperf3", "TCP streams between namespaces"),
    ("iproute2", "network namespaces and virtual interfaces"),
    ("iputils-ping", "ping between namespaces"),
    ("libclang-dev", "reads libdpdk's headers"),
    ("libdpdk-dev", "ports of libdpdk, over its virtual devices"),
    ("lldpd", "a neighbour that speaks LLDP"),
    ("openvswitch-common", "ovs-ofctl, ovs-appctl: text tools compared with ours"),
    ("openvswitch-switch", "the reference switch of the differential tests"),
    ("openvswitch-testcontroller", "a controller that speaks TLS"),
    ("ovn-central", "OVN's databases and ovn-northd"),
    ("ovn-common", "OVN's tools"),
    ("ovn-host", "ovn-controller, the controller of most users"),
    ("pkg-config", "finds libdpdk"),
    ("python3-netifaces", "what ovs-tcpdump looks for interfaces with"),
    ("python3-openvswitch", "what ovs-tcpdump speaks with databases by"),
    ("python3-scapy", "builds and judges packets"),
    ("tcpdump", "records captures"),
    ("tftp-hpa", "a TFTP client"),
    ("tftpd-hpa", "a TFTP server"),
    ("tshark", "judges packets"),
    ("valgrind", "counts instructions"),
    ("vsftpd", "an FTP server"),
];

/// Makes sure that every package of the list is installed.
pub(crate) fn install() -> Result<()> {
    let missing = missing()?;
    if missing.is_empty() {
        println!("all {} Debian packages that the tests use are installed", PACKAGES.len());
        return Ok(());
    }
    for (name, why) in &missing {
        println!("missing: {name} ({why})");
    }
    let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
    if !is_root()? {
        bail!("not root: install first with `sudo apt-get install {}`", names.join(" "));
    }
    for arguments in [&["update"][..], &["install", "--yes", "--no-install-recommends"][..]] {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-o", "DPkg::Lock::Timeout=120"]);
        apt.args(arguments);
        if arguments.len() > 1 {
            apt.args(&names);
        }
        if !process::run(&mut apt)? {
            bail!("apt-get {} failed", arguments.join(" "));
        }
    }
    Ok(())
}

/// The packages of the list that are not installed.
fn missing() -> Result<Vec<(&'static str, &'static str)>> {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat", "${Package} ${db:Status-Status}\\n"]);
    let known = process::output(&mut query).with_context(|| {
        let names: Vec<&str> = PACKAGES.iter().map(|(name, _)| *name).collect();
        format!("the system tests need a Debian system with these packages: {}", names.join(" "))
    })?;
    Ok(not_installed(&known))
}

/// Which packages of the list `known` (lines `name status`) does not report as installed.
fn not_installed(known: &str) -> Vec<(&'static str, &'static str)> {
    let installed = |name: &str| {
        known.lines().any(|line| {
            line.split_once(' ').is_some_and(|(n, status)| n == name && status == "installed")
        })
    };
    PACKAGES.iter().copied().filter(|(name, _)| !installed(name)).collect()
}

fn is_root() -> Result<bool> {
    Ok(process::output(Command::new("id").arg("-u"))?.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_package_counts_as_missing() {
        let all: String = PACKAGES.iter().map(|(n, _)| format!("{n} installed\n")).collect();
        assert_eq!(not_installed(&all), []);
        let without = all.replace("tcpdump installed", "tcpdump config-files");
        let missing: Vec<&str> = not_installed(&without).iter().map(|(n, _)| *n).collect();
        assert_eq!(missing, ["tcpdump"]);
    }
}
