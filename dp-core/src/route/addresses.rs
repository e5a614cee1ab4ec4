//! The addresses of devices, by device: asked for the address that packets leave with.
//!
//! Fed by whoever knows (the netlink index, the dummy devices); asking is a look-up whatever the
//! number of devices. Some devices carry addresses that are not theirs to speak with:
//! `kube-ipvs0` has every service address of a cluster. Those give no source address.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use super::prefix::Prefix;

/// Which device has which addresses.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Address and length of its network, in the order in which they came.
    devices: BTreeMap<Box<str>, Vec<(IpAddr, u8)>>,
    silent: BTreeSet<Box<str>>,
}

impl Default for Addresses {
    fn default() -> Self {
        Self {
            devices: BTreeMap::new(),
            silent: Self::SILENT.iter().map(|&name| name.into()).collect(),
        }
    }
}

impl Addresses {
    /// Devices that give no source address unless said otherwise.
    pub const SILENT: &[&str] = &["kube-ipvs0"];

    /// Replaces the devices that give no source address.
    pub fn set_silent<'a>(&mut self, devices: impl IntoIterator<Item = &'a str>) {
        self.silent = devices.into_iter().map(Into::into).collect();
    }

    /// Whether a device gives no source address.
    #[must_use]
    pub fn is_silent(&self, device: &str) -> bool {
        self.silent.contains(device)
    }

    /// A device has this address in a network of this length.
    pub fn add(&mut self, device: &str, address: IpAddr, len: u8) {
        let addresses = self.devices.entry(device.into()).or_default();
        match addresses.iter_mut().find(|(other, _)| *other == address) {
            Some(known) => known.1 = len,
            None => addresses.push((address, len)),
        }
    }

    /// A device does not have this address any more. `false`: it had not.
    pub fn remove(&mut self, device: &str, address: IpAddr) -> bool {
        let Some(addresses) = self.devices.get_mut(device) else { return false };
        let before = addresses.len();
        addresses.retain(|(other, _)| *other != address);
        let removed = addresses.len() < before;
        if addresses.is_empty() {
            self.devices.remove(device);
        }
        removed
    }

    /// The device is gone, and its addresses with it.
    pub fn remove_device(&mut self, device: &str) {
        self.devices.remove(device);
    }

    /// The addresses of a device, with the lengths of their networks.
    #[must_use]
    pub fn of(&self, device: &str) -> &[(IpAddr, u8)] {
        self.devices.get(device).map_or(&[], |addresses| addresses)
    }

    /// All devices that have addresses.
    pub fn devices(&self) -> impl Iterator<Item = &str> {
        self.devices.keys().map(|name| &**name)
    }

    /// The address that packets for `target`, which is on the device's link, leave with: the first
    /// in whose network it lies; none for devices that give none.
    #[must_use]
    pub fn source_for(&self, device: &str, target: IpAddr) -> Option<IpAddr> {
        if self.is_silent(device) {
            return None;
        }
        let reaches = |&&(address, len): &&(IpAddr, u8)| Prefix::new(address, len).contains(target);
        self.of(device).iter().find(reaches).map(|&(address, _)| address)
    }
}

#[cfg(test)]
mod tests {
    use super::{Addresses, IpAddr};

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_first_address_whose_network_holds_the_target_is_taken() {
        let mut addresses = Addresses::default();
        addresses.add("br0", ip("10.0.0.1"), 24);
        addresses.add("br0", ip("10.1.0.1"), 16);
        addresses.add("br0", ip("10.1.0.2"), 16);
        assert_eq!(addresses.source_for("br0", ip("10.1.9.9")), Some(ip("10.1.0.1")));
        assert_eq!(addresses.source_for("br0", ip("10.2.0.1")), None);
        assert_eq!(addresses.source_for("br1", ip("10.0.0.9")), None);
        assert!(addresses.remove("br0", ip("10.1.0.1")));
        assert_eq!(addresses.source_for("br0", ip("10.1.9.9")), Some(ip("10.1.0.2")));
    }

    #[test]
    fn kube_ipvs0_gives_no_source_address_and_others_can_be_named() {
        let mut addresses = Addresses::default();
        addresses.add("kube-ipvs0", ip("10.96.0.1"), 32);
        addresses.add("dummy0", ip("10.96.0.2"), 32);
        assert_eq!(addresses.source_for("kube-ipvs0", ip("10.96.0.1")), None);
        assert_eq!(addresses.source_for("dummy0", ip("10.96.0.2")), Some(ip("10.96.0.2")));
        addresses.set_silent(["dummy0"]);
        assert_eq!(addresses.source_for("kube-ipvs0", ip("10.96.0.1")), Some(ip("10.96.0.1")));
        assert_eq!(addresses.source_for("dummy0", ip("10.96.0.2")), None);
    }
}
