//! A device of libdpdk: attached, configured, started; and detached when nobody uses it any more.

#![expect(unsafe_code, reason = "libdpdk's control functions")]

use core::ffi::{CStr, c_int};
use core::mem;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use dp_core::base::MacAddr;
use dpdk_sys as sys;

use super::eal_unsafe::{log_mark, said_since, text_of};
use super::mbuf_unsafe::Flags;
use super::mempool_unsafe::Mempool;
use super::{DetachError, Options, Pauses, Steering};
use crate::port::OpenError;

/// Ethertypes, and BFD's UDP port (RFC 5881 section 4).
const LACP: u16 = 0x8809;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const BFD: u16 = 3784;

/// The MTU of a port for which none is asked.
const MTU: u16 = 1500;

/// Which port has which device, so that no device serves two.
static IN_USE: Mutex<BTreeMap<u16, String>> = Mutex::new(BTreeMap::new());

/// A started device. Its queues hold it too: it stops when the last of them is gone.
pub(super) struct Device {
    name: String,
    port: u16,
    bus: *mut sys::rte_device,
    pool: Mempool,
    mtu: AtomicU32,
    /// Queues that were set up.
    pub(super) rx_queues: u16,
    pub(super) tx_queues: u16,
    pub(super) flags: Flags,
    /// What is left to the device.
    pub(super) leaves: Leaves,
    /// What came of the wish for a queue of their own for some frames.
    pub(super) steered: Steered,
    /// Pauses were asked for, and the device has none.
    pub(super) pauseless: bool,
}

/// Whether some frames have a receive queue of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Steered {
    /// Nobody asked for one.
    NotAsked,
    /// These have the queue behind the others.
    To(Steering),
    /// The device cannot.
    Unsupported,
}

// SAFETY: libdpdk's control functions may be called from any thread, one at a time for a port: the
// port's control half is the only one that calls them while queues are in use.
unsafe impl Send for Device {}
// SAFETY: as above; what is shared with queues are numbers.
unsafe impl Sync for Device {}

/// What a device does for frames that are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Leaves {
    /// It completes TCP and UDP checksums.
    pub(super) checksums: bool,
    /// It cuts TCP segments.
    pub(super) segments: bool,
}

/// What libdpdk says of a device.
#[derive(Clone, Debug, Default)]
pub(super) struct Info {
    pub(super) driver: String,
    pub(super) max_rx_queues: u16,
    pub(super) max_tx_queues: u16,
    pub(super) max_mtu: u16,
    pub(super) min_rx_bufsize: u32,
    pub(super) max_mac_addrs: u32,
    pub(super) max_hash_mac_addrs: u32,
    pub(super) max_vfs: u16,
    pub(super) max_vmdq_pools: u16,
    pub(super) ifindex: u32,
    rx_descriptors: (u16, u16, u16),
    tx_descriptors: (u16, u16, u16),
    rx_capabilities: u64,
    tx_capabilities: u64,
    rss: u64,
}

/// How a device's link is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) up: bool,
    pub(super) mbps: u32,
    pub(super) full_duplex: bool,
    pub(super) autonegotiated: bool,
}

impl Device {
    /// Attaches the device of these options to the port `name`, and starts it with queues for
    /// `threads` senders.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; whatever was attached is detached again.
    pub(super) fn open(name: &str, options: &Options, threads: u16) -> Result<Self, OpenError> {
        let refused = |step, error: c_int, mark| OpenError::Dpdk {
            name: name.to_owned(),
            step,
            reason: text_of(error.abs()),
            detail: said_since(mark),
        };
        let mark = log_mark();
        let (port, bus) = attach(name, options, mark)?;
        let undo = Undo { port, bus };
        let info = info(port).map_err(|error| refused("ask for its properties", error, mark))?;
        // SAFETY: a number of an attached port.
        let socket = unsafe { sys::rte_eth_dev_socket_id(port) };
        let mtu = options.mtu.unwrap_or(MTU);
        if info.max_mtu != 0 && mtu > info.max_mtu {
            return Err(OpenError::BadOption {
                port: name.to_owned(),
                option: "mtu_request",
                value: mtu.to_string(),
                expected: "an MTU that the device can have",
            });
        }
        let pool = Mempool::for_mtu(socket, mtu)
            .map_err(|error| refused("make a pool of packet buffers", error, mark))?;
        let flags = Flags::read();
        let rx_queues = options.rx_queues.clamp(1, info.max_rx_queues.max(1));
        let tx_queues = threads.clamp(1, info.max_tx_queues.max(1));
        let leaves = Leaves::of(options, &info, &flags);
        let mut device = Self {
            name: name.to_owned(),
            port,
            bus,
            pool,
            mtu: AtomicU32::new(u32::from(mtu)),
            rx_queues,
            tx_queues,
            flags,
            leaves,
            steered: Steered::NotAsked,
            pauseless: false,
        };
        // From here on the device undoes itself.
        mem::forget(undo);
        let failed = |(step, error)| refused(step, error, mark);
        if options.steering.any() {
            let fits = rx_queues < info.max_rx_queues;
            if fits && device.set_up_steered(options, &info).is_ok() {
                device.steered = Steered::To(options.steering);
                return Ok(device);
            }
            device.rx_queues = rx_queues;
            device.steered = Steered::Unsupported;
        }
        device.set_up(options, &info).map_err(failed)?;
        Ok(device)
    }

    /// As [`Self::set_up`], with a queue more, for some frames.
    fn set_up_steered(
        &mut self,
        options: &Options,
        info: &Info,
    ) -> Result<(), (&'static str, c_int)> {
        let own = self.rx_queues;
        self.rx_queues += 1;
        let mut done = self.set_up(options, info);
        let steer = |ethertype, udp| {
            // SAFETY: a started port.
            did("steer frames", unsafe { sys::dpdk_shim_steer(self.port, ethertype, udp, own) })
        };
        if options.steering.lacp {
            done = done.and_then(|()| steer(LACP, 0));
        }
        if options.steering.bfd {
            done = done.and_then(|()| steer(IPV4, BFD)).and_then(|()| steer(IPV6, BFD));
        }
        // SAFETY: a started port.
        let spread = || did("spread frames", unsafe { sys::dpdk_shim_spread(self.port, own) });
        let done = done.and_then(|()| spread());
        if done.is_err() {
            // SAFETY: a port whose queues nobody has yet; one that is stopped stays so.
            let _ = unsafe { sys::rte_eth_dev_stop(self.port) };
        }
        done
    }

    fn set_up(&mut self, options: &Options, info: &Info) -> Result<(), (&'static str, c_int)> {
        let port = self.port;
        let mtu = self.mtu.load(Ordering::Relaxed);
        let flags = self.flags;
        let rx = flags.cap_rx_ip_csum | flags.cap_rx_tcp_csum | flags.cap_rx_udp_csum;
        let rx = if options.offloads { rx | flags.cap_rx_rss_hash } else { 0 };
        let mut tx = 0;
        if self.leaves.checksums {
            tx |= flags.cap_tx_ip_csum | flags.cap_tx_tcp_csum | flags.cap_tx_udp_csum;
        }
        if self.leaves.segments {
            tx |= flags.cap_tx_tcp_seg;
        }
        let setup = sys::dpdk_shim_setup {
            rx_queues: self.rx_queues,
            tx_queues: self.tx_queues,
            mtu,
            rx_offloads: rx & info.rx_capabilities,
            tx_offloads: tx & info.tx_capabilities,
            rss_types: info.rss,
            link_interrupt: c_int::from(options.link_interrupt),
        };
        // SAFETY: an attached port that is stopped, and a structure that is only read.
        did("configure it", unsafe { sys::dpdk_shim_configure(port, &raw const setup) })?;
        // SAFETY: as above.
        let socket = unsafe { sys::rte_eth_dev_socket_id(port) };
        let socket = u32::try_from(socket).unwrap_or(u32::MAX);
        let count = descriptors(options.rx_descriptors, info.rx_descriptors);
        for queue in 0..self.rx_queues {
            // SAFETY: a queue that was configured; the pool is never freed; defaults for the rest.
            did("set up a receive queue", unsafe {
                sys::rte_eth_rx_queue_setup(
                    port,
                    queue,
                    count,
                    socket,
                    core::ptr::null(),
                    self.pool.as_ptr(),
                )
            })?;
        }
        let count = descriptors(options.tx_descriptors, info.tx_descriptors);
        for queue in 0..self.tx_queues {
            // SAFETY: a queue that was configured; defaults for the rest.
            did("set up a transmit queue", unsafe {
                sys::rte_eth_tx_queue_setup(port, queue, count, socket, core::ptr::null())
            })?;
        }
        // SAFETY: a configured port whose queues are set up.
        did("start it", unsafe { sys::rte_eth_dev_start(port) })?;
        if let Some(pauses) = options.pauses {
            let [rx, tx, negotiated] = [pauses.rx, pauses.tx, pauses.negotiated].map(c_int::from);
            // SAFETY: a started port.
            let done = unsafe { sys::dpdk_shim_flow_control(port, rx, tx, negotiated) };
            if done == -libc::ENOTSUP {
                self.pauseless = pauses != Pauses::default();
            } else {
                did("set up pauses (rx-flow-ctrl, tx-flow-ctrl)", done)?;
            }
        }
        if options.promiscuous {
            // Virtual devices often cannot, and then see everything anyway.
            // SAFETY: a started port.
            let _ = unsafe { sys::rte_eth_promiscuous_enable(port) };
            // SAFETY: as above.
            let _ = unsafe { sys::rte_eth_allmulticast_enable(port) };
        }
        Ok(())
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn pool(&self) -> Mempool {
        self.pool
    }

    /// The MTU; read for each batch.
    #[inline(always)]
    pub(super) fn mtu(&self) -> u32 {
        self.mtu.load(Ordering::Relaxed)
    }

    /// Changes the MTU, as far as the device can while it works.
    pub(super) fn set_mtu(&self, mtu: u32) -> Result<(), OpenError> {
        let small = u16::try_from(mtu).unwrap_or(u16::MAX);
        let same_pool = Mempool::for_mtu(self.socket(), small).is_ok_and(|pool| {
            // Larger buffers would be needed: the port must be opened again.
            pool.as_ptr() == self.pool.as_ptr()
        });
        let error = if same_pool {
            // SAFETY: a started port.
            unsafe { sys::rte_eth_dev_set_mtu(self.port, small) }
        } else {
            -libc::EBUSY
        };
        // Devices that know no MTU of their own are held to it by us.
        if error == 0 || error == -libc::ENOTSUP {
            self.mtu.store(mtu, Ordering::Relaxed);
            return Ok(());
        }
        Err(self.refused("set MTU", error))
    }

    pub(super) fn set_mac(&self, mac: MacAddr) -> Result<(), OpenError> {
        let mut address = sys::rte_ether_addr { addr_bytes: mac.0 };
        // SAFETY: a started port, and an address that is only read.
        let error = unsafe { sys::rte_eth_dev_default_mac_addr_set(self.port, &raw mut address) };
        if error == 0 { Ok(()) } else { Err(self.refused("set address", error)) }
    }

    pub(super) fn set_up_down(&self, up: bool) -> Result<(), OpenError> {
        let switch = if up { sys::rte_eth_dev_set_link_up } else { sys::rte_eth_dev_set_link_down };
        // SAFETY: a started port.
        let error = unsafe { switch(self.port) };
        // A device without a link of its own is switched off by not using it.
        if error == 0 || error == -libc::ENOTSUP {
            return Ok(());
        }
        Err(self.refused("switch on or off", error))
    }

    fn refused(&self, step: &'static str, error: c_int) -> OpenError {
        OpenError::Dpdk {
            name: self.name.clone(),
            step,
            reason: text_of(error.abs()),
            detail: String::new(),
        }
    }

    pub(super) fn mac(&self) -> MacAddr {
        let mut address = sys::rte_ether_addr { addr_bytes: [0; 6] };
        // SAFETY: writes the address it is given; where it fails, zero remains.
        let _ = unsafe { sys::rte_eth_macaddr_get(self.port, &raw mut address) };
        MacAddr(address.addr_bytes)
    }

    pub(super) fn socket(&self) -> c_int {
        // SAFETY: a number of an attached port.
        unsafe { sys::rte_eth_dev_socket_id(self.port) }
    }

    pub(super) fn link(&self) -> Link {
        // SAFETY: plain numbers, of which zero is one.
        let mut link: sys::dpdk_shim_link = unsafe { mem::zeroed() };
        // SAFETY: writes the structure it is given; where it fails, the link is down.
        let _ = unsafe { sys::dpdk_shim_link(self.port, &raw mut link) };
        Link {
            up: link.up != 0,
            mbps: link.mbps,
            full_duplex: link.full_duplex != 0,
            autonegotiated: link.autonegotiated != 0,
        }
    }

    pub(super) fn info(&self) -> Info {
        info(self.port).unwrap_or_default()
    }

    /// The bus that the device is on, as the `status` column tells of it.
    pub(super) fn bus(&self) -> Option<String> {
        let text = |text: *const core::ffi::c_char| {
            // SAFETY: NULL, or the bus's own string, which lives as long as the device is attached.
            (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy())
        };
        // SAFETY: asks an attached port.
        let name = text(unsafe { sys::dpdk_shim_bus_name(self.port) })?;
        // SAFETY: as above.
        let more = text(unsafe { sys::dpdk_shim_bus_info(self.port) }).filter(|it| !it.is_empty());
        let more = more.map(|it| format!(", {it}")).unwrap_or_default();
        Some(format!("bus_name={name}{more}"))
    }

    /// Whether it judges checksums of what it receives.
    pub(super) fn judges_checksums(&self, options: &Options) -> bool {
        let flags = &self.flags;
        let all = flags.cap_rx_ip_csum | flags.cap_rx_tcp_csum | flags.cap_rx_udp_csum;
        options.offloads && self.info().rx_capabilities & all == all
    }

    /// Frames that the device lost before they were received.
    pub(super) fn missed(&self) -> u64 {
        // SAFETY: plain numbers, of which zero is one.
        let mut stats: sys::rte_eth_stats = unsafe { mem::zeroed() };
        // SAFETY: writes the structure it is given.
        let _ = unsafe { sys::rte_eth_stats_get(self.port, &raw mut stats) };
        stats.imissed
    }

    /// All counters that the device has, by name.
    pub(super) fn counters(&self) -> Vec<(String, u64)> {
        let null = core::ptr::null_mut();
        // SAFETY: without room, it answers how much there must be.
        let count = unsafe { sys::rte_eth_xstats_get_names(self.port, null, 0) };
        let Ok(room) = u32::try_from(count) else { return Vec::new() };
        // SAFETY: plain bytes, of which zero is one.
        let blank: sys::rte_eth_xstat_name = unsafe { mem::zeroed() };
        let mut names = vec![blank; room as usize];
        let mut values = vec![sys::rte_eth_xstat { id: 0, value: 0 }; room as usize];
        // SAFETY: room for as many as is said.
        let named = unsafe { sys::rte_eth_xstats_get_names(self.port, names.as_mut_ptr(), room) };
        // SAFETY: as above.
        let valued = unsafe { sys::rte_eth_xstats_get(self.port, values.as_mut_ptr(), room) };
        let usable = usize::try_from(named.min(valued)).unwrap_or(0).min(room as usize);
        let name = |id: u64| {
            let name = names.get(usize::try_from(id).ok()?)?;
            Some(text(&name.name))
        };
        values.iter().take(usable).filter_map(|each| Some((name(each.id)?, each.value))).collect()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: no queue is in use any more: they hold the device.
        let _ = unsafe { sys::rte_eth_dev_stop(self.port) };
        give_up(self.port, self.bus);
    }
}

impl Leaves {
    fn of(options: &Options, info: &Info, flags: &Flags) -> Self {
        let can = |what: u64| options.offloads && info.tx_capabilities & what == what;
        let checksums = can(flags.cap_tx_tcp_csum | flags.cap_tx_udp_csum);
        Self { checksums, segments: checksums && can(flags.cap_tx_tcp_seg | flags.cap_tx_ip_csum) }
    }
}

/// Detaches what was attached, unless forgotten.
struct Undo {
    port: u16,
    bus: *mut sys::rte_device,
}

impl Drop for Undo {
    fn drop(&mut self) {
        give_up(self.port, self.bus);
    }
}

/// Finds or attaches the device; reserves it for the port `name`.
fn attach(
    name: &str,
    options: &Options,
    mark: usize,
) -> Result<(u16, *mut sys::rte_device), OpenError> {
    let bad = |expected| OpenError::BadOption {
        port: name.to_owned(),
        option: "dpdk-devargs",
        value: options.devargs.clone(),
        expected,
    };
    let devargs = CString::new(options.devargs.as_str()).map_err(|_| bad("text without zeros"))?;
    let device = CString::new(options.device()).map_err(|_| bad("text without zeros"))?;
    let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: a string.
    let mut port = unsafe { sys::dpdk_shim_find(device.as_ptr()) };
    if let Some(by) = in_use.get(&port) {
        return Err(OpenError::DeviceInUse {
            name: name.to_owned(),
            device: options.devargs.clone(),
            by: by.clone(),
        });
    }
    let none = sys::DPDK_SHIM_MAX_PORTS as u16;
    if port == none {
        // SAFETY: a string.
        let error = unsafe { sys::rte_dev_probe(devargs.as_ptr()) };
        if error == 0 {
            // SAFETY: a string.
            port = unsafe { sys::dpdk_shim_find(device.as_ptr()) };
        }
        if port == none {
            return Err(OpenError::NotAttached {
                device: options.devargs.clone(),
                detail: said_since(mark),
            });
        }
    }
    in_use.insert(port, name.to_owned());
    Ok((port, bus_device(port)))
}

/// Detaches a device that no port has: one that libdpdk was told of when it was initialised.
///
/// # Errors
///
/// [`DetachError`].
pub fn detach(device: &str) -> Result<(), DetachError> {
    let missing = || DetachError::NotFound(device.to_owned());
    if !super::is_running() {
        return Err(missing());
    }
    let name = device.split(',').next().unwrap_or_default();
    let name = CString::new(name).map_err(|_| missing())?;
    let in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: a string.
    let port = unsafe { sys::dpdk_shim_find(name.as_ptr()) };
    if port == sys::DPDK_SHIM_MAX_PORTS as u16 {
        return Err(missing());
    }
    if let Some(by) = in_use.get(&port) {
        return Err(DetachError::InUse { device: device.to_owned(), by: by.clone() });
    }
    let bus = bus_device(port);
    // SAFETY: an attached port that nobody has: the list is held.
    let _ = unsafe { sys::rte_eth_dev_close(port) };
    // SAFETY: the device was found at its port, which has been closed.
    if bus.is_null() || unsafe { sys::rte_dev_remove(bus) } < 0 {
        return Err(DetachError::Refused(device.to_owned()));
    }
    Ok(())
}

fn give_up(port: u16, bus: *mut sys::rte_device) {
    // SAFETY: an attached port that is stopped and that nobody else has.
    let _ = unsafe { sys::rte_eth_dev_close(port) };
    if !bus.is_null() {
        // SAFETY: the device was found at its port, which has been closed. Where it serves further
        // ports, or cannot be removed, it stays attached and is found again.
        let _ = unsafe { sys::rte_dev_remove(bus) };
    }
    IN_USE.lock().unwrap_or_else(PoisonError::into_inner).remove(&port);
}

fn bus_device(port: u16) -> *mut sys::rte_device {
    raw_info(port).map_or(core::ptr::null_mut(), |info| info.device)
}

fn raw_info(port: u16) -> Result<sys::rte_eth_dev_info, c_int> {
    // SAFETY: numbers and pointers, of which zero is one.
    let mut info: sys::rte_eth_dev_info = unsafe { mem::zeroed() };
    // SAFETY: writes the structure it is given.
    let error = unsafe { sys::rte_eth_dev_info_get(port, &raw mut info) };
    if error == 0 { Ok(info) } else { Err(error) }
}

fn info(port: u16) -> Result<Info, c_int> {
    let raw = raw_info(port)?;
    let driver = if raw.driver_name.is_null() {
        String::new()
    } else {
        // SAFETY: the driver's own string.
        unsafe { CStr::from_ptr(raw.driver_name) }.to_string_lossy().into_owned()
    };
    let limits = |limit: sys::rte_eth_desc_lim| (limit.nb_min, limit.nb_max, limit.nb_align);
    Ok(Info {
        driver,
        max_rx_queues: raw.max_rx_queues,
        max_tx_queues: raw.max_tx_queues,
        max_mtu: raw.max_mtu,
        min_rx_bufsize: raw.min_rx_bufsize,
        max_mac_addrs: raw.max_mac_addrs,
        max_hash_mac_addrs: raw.max_hash_mac_addrs,
        max_vfs: raw.max_vfs,
        max_vmdq_pools: raw.max_vmdq_pools,
        ifindex: raw.if_index,
        rx_descriptors: limits(raw.rx_desc_lim),
        tx_descriptors: limits(raw.tx_desc_lim),
        rx_capabilities: raw.rx_offload_capa,
        tx_capabilities: raw.tx_offload_capa,
        rss: raw.flow_type_rss_offloads,
    })
}

/// As many descriptors as are wanted, within what the device can have.
fn descriptors(wanted: u16, (least, most, multiple): (u16, u16, u16)) -> u16 {
    let most = if most == 0 { u16::MAX } else { most };
    let count = wanted.clamp(least.min(most), most);
    count - count.checked_rem(multiple).unwrap_or(0)
}

/// What a step answered.
fn did(step: &'static str, answer: c_int) -> Result<(), (&'static str, c_int)> {
    if answer == 0 { Ok(()) } else { Err((step, answer)) }
}

/// A string in a field.
fn text(bytes: &[core::ffi::c_char]) -> String {
    let bytes: Vec<u8> = bytes.iter().map(|byte| byte.cast_unsigned()).collect();
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}
