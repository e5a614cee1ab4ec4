//! What an interface's driver says: its name, and what the link runs at (`ethtool`'s requests).
#![expect(unsafe_code, reason = "an ioctl that takes a pointer to its request")]

use std::io;
use std::os::fd::AsRawFd;

use super::Netif;

/// A driver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Driver {
    /// What it is called.
    pub name: String,
    /// Its version, as it says it.
    pub version: String,
    /// The version of the device's firmware; empty if there is none.
    pub firmware: String,
}

/// What a link runs at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkMode {
    /// Megabits a second.
    pub mbps: u32,
    /// Both directions at once; `None`: not known.
    pub full_duplex: Option<bool>,
    /// Over copper; `None`: over something else, or not known.
    pub copper: Option<bool>,
    /// Whether it was negotiated.
    pub negotiated: bool,
}

/// `struct ethtool_drvinfo`, as far as it is looked at.
#[repr(C)]
struct DriverInfo {
    command: u32,
    name: [u8; 32],
    version: [u8; 32],
    firmware: [u8; 32],
    rest: [u8; 96],
}

/// `struct ethtool_cmd`.
#[repr(C)]
#[derive(Default)]
struct Settings {
    command: u32,
    supported: u32,
    advertising: u32,
    speed: u16,
    duplex: u8,
    port: u8,
    phy_address: u8,
    transceiver: u8,
    autoneg: u8,
    mdio_support: u8,
    max_tx: u32,
    max_rx: u32,
    speed_high: u16,
    crossing: [u8; 2],
    partner: u32,
    reserved: [u32; 2],
}

/// `ETHTOOL_GSET` and `ETHTOOL_GDRVINFO` of `<linux/ethtool.h>`.
const GET_SETTINGS: u32 = 1;
const GET_DRIVER: u32 = 3;
/// `SIOCETHTOOL` of `<linux/sockios.h>`.
const REQUEST: libc::Ioctl = 0x8946;
/// `PORT_TP`.
const TWISTED_PAIR: u8 = 0;

impl Netif {
    /// Its driver.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if the driver does not say, `ENODEV` if the interface has gone.
    pub fn driver(&self) -> io::Result<Driver> {
        let mut info = DriverInfo {
            command: GET_DRIVER,
            name: [0; 32],
            version: [0; 32],
            firmware: [0; 32],
            rest: [0; 96],
        };
        // SAFETY: the kernel writes one `ethtool_drvinfo` for this command: 196 bytes of numbers and
        // characters, which the structure is.
        unsafe { self.ethtool((&raw mut info).cast()) }?;
        let text = |bytes: &[u8]| {
            let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(text).into_owned()
        };
        let (name, version) = (text(&info.name), text(&info.version));
        Ok(Driver { name, version, firmware: text(&info.firmware) })
    }

    /// What its link runs at; `None` if that is not known.
    ///
    /// # Errors
    ///
    /// As [`Self::driver`].
    pub fn link_mode(&self) -> io::Result<Option<LinkMode>> {
        let mut settings = Settings { command: GET_SETTINGS, ..Settings::default() };
        // SAFETY: the kernel writes one `ethtool_cmd` for this command: 44 bytes of numbers, which the
        // structure is.
        unsafe { self.ethtool((&raw mut settings).cast()) }?;
        let mbps = u32::from(settings.speed_high) << 16 | u32::from(settings.speed);
        let full_duplex = match settings.duplex {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        };
        // All ones, in either width, say that the speed is not known.
        let known = mbps != 0 && mbps != u32::MAX && mbps != u32::from(u16::MAX);
        Ok(known.then_some(LinkMode {
            mbps,
            full_duplex,
            copper: (settings.port == TWISTED_PAIR).then_some(true),
            negotiated: settings.autoneg != 0,
        }))
    }

    /// # Safety
    ///
    /// `data` points to the structure of the command that it begins with, and may be written to.
    unsafe fn ethtool(&self, data: *mut libc::c_char) -> io::Result<()> {
        let mut request = self.named()?;
        request.ifr_ifru.ifru_data = data;
        // SAFETY: the request is whole and lives through the call; the kernel follows its pointer to
        // what the caller vouches for.
        let done = unsafe { libc::ioctl(self.socket().as_raw_fd(), REQUEST, &raw mut request) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

const _: () = assert!(size_of::<DriverInfo>() >= 196 && size_of::<Settings>() == 44);
