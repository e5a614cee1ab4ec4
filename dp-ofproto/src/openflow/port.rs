//! Ports: their descriptions, changes of them, their statistics.

use dp_core::base::{Duration, MacAddr, OfPort};

use super::wire::{Cursor, Put};
use super::{Code, Version};

/// What a port may be told by a controller; OpenFlow 1.0's numbers.
pub mod config {
    /// Administratively down.
    pub const DOWN: u32 = 1;
    /// No spanning tree on it (1.0 only).
    pub const NO_STP: u32 = 1 << 1;
    /// Drop what comes in.
    pub const NO_RECV: u32 = 1 << 2;
    /// Drop spanning-tree frames that come in (1.0 only).
    pub const NO_RECV_STP: u32 = 1 << 3;
    /// Leave it out of floods (1.0 only).
    pub const NO_FLOOD: u32 = 1 << 4;
    /// Send nothing out.
    pub const NO_FWD: u32 = 1 << 5;
    /// Nothing that came in by it goes to controllers.
    pub const NO_PACKET_IN: u32 = 1 << 6;
    /// Bits of OpenFlow 1.0.
    pub const ALL10: u32 = 0x7f;
    /// Bits of OpenFlow 1.1 and later.
    pub const ALL11: u32 = DOWN | NO_RECV | NO_FWD | NO_PACKET_IN;
}

/// What a port says of itself.
pub mod state {
    /// There is no link.
    pub const LINK_DOWN: u32 = 1;
    /// Blocked by a protocol (1.1 on).
    pub const BLOCKED: u32 = 2;
    /// Alive for fast failover (1.1 on).
    pub const LIVE: u32 = 4;
    /// Spanning tree: listening (1.0: bits 8 and 9).
    pub const STP_LISTEN: u32 = 0;
    /// Spanning tree: learning.
    pub const STP_LEARN: u32 = 1 << 8;
    /// Spanning tree: forwarding.
    pub const STP_FORWARD: u32 = 2 << 8;
    /// Spanning tree: blocking.
    pub const STP_BLOCK: u32 = 3 << 8;
}

/// Speeds and kinds of links, numbered as OpenFlow 1.1 has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkFeatures(pub u32);

impl LinkFeatures {
    /// 10 Gb/s full duplex.
    pub const FD_10G: Self = Self(1 << 6);
    /// 1 Gb/s full duplex.
    pub const FD_1G: Self = Self(1 << 5);
    /// Copper.
    pub const COPPER: Self = Self(1 << 11);
    /// Negotiates by itself.
    pub const AUTONEG: Self = Self(1 << 13);

    /// What a link runs at: its speed in megabits a second, and how.
    #[must_use]
    pub const fn of(mbps: u32, full_duplex: bool, copper: bool, negotiated: bool) -> Self {
        let speed = match (mbps, full_duplex) {
            (10, false) => 0,
            (10, true) => 1,
            (100, false) => 2,
            (100, true) => 3,
            (1_000, false) => 4,
            (1_000, true) => 5,
            (10_000, _) => 6,
            (40_000, _) => 7,
            (100_000, _) => 8,
            (1_000_000, _) => 9,
            // Another speed.
            _ => 10,
        };
        let copper = if copper { Self::COPPER.0 } else { 0 };
        let negotiated = if negotiated { Self::AUTONEG.0 } else { 0 };
        Self(1 << speed | copper | negotiated)
    }

    /// Numbered as OpenFlow 1.0 has them; it has no speeds beyond 10 Gb/s.
    #[must_use]
    pub const fn to_wire10(self) -> u32 {
        self.0 & 0x7f | (self.0 >> 11 & 0x1f) << 7
    }

    /// Read as OpenFlow 1.0 numbers them.
    #[must_use]
    pub const fn from_wire10(wire: u32) -> Self {
        Self(wire & 0x7f | (wire >> 7 & 0x1f) << 11)
    }
}

/// A port as controllers see it (`ofp_port`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortDesc {
    /// Its number.
    pub port: OfPort,
    /// Its address.
    pub hw_addr: MacAddr,
    /// Its name.
    pub name: String,
    /// [`config`].
    pub config: u32,
    /// [`state`].
    pub state: u32,
    /// What it runs at.
    pub curr: LinkFeatures,
    /// What it offers.
    pub advertised: LinkFeatures,
    /// What it could.
    pub supported: LinkFeatures,
    /// What its peer offers.
    pub peer: LinkFeatures,
    /// Its speed in kb/s.
    pub curr_speed: u32,
    /// The most it could, in kb/s.
    pub max_speed: u32,
}

impl PortDesc {
    /// Writes it.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        let start = out.len();
        match version {
            Version::V10 => out.put16(self.port.0),
            Version::V11 | Version::V12 | Version::V13 => {
                out.put_port(version, self.port);
                out.zeros(4);
            }
            _ => {
                out.put_port(version, self.port);
                out.zeros(4);
            }
        }
        out.put(&self.hw_addr.0);
        if version > Version::V10 {
            out.zeros(2);
        }
        out.put_text(&self.name, 16);
        let features = [self.curr, self.advertised, self.supported, self.peer];
        if version == Version::V10 {
            out.put32(self.config & config::ALL10);
            out.put32(self.state & (state::LINK_DOWN | state::STP_BLOCK));
            for feature in features {
                out.put32(feature.to_wire10());
            }
            return;
        }
        out.put32(self.config & config::ALL11);
        out.put32(self.state & 7);
        let property = (version >= Version::V14).then(|| {
            let at = out.begin_property(0);
            out.zeros(4);
            at
        });
        for feature in features {
            out.put32(feature.0);
        }
        out.put32(self.curr_speed);
        out.put32(self.max_speed);
        if let Some(at) = property {
            out.end_property(at);
            out.put_len(start, 4);
        }
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// If it is too short, or its properties make no sense.
    pub fn decode(from: &mut Cursor<'_>, version: Version) -> Result<Self, Code> {
        let mut body = *from;
        let port = body.port(version, Code::BrcBadLen)?;
        match version {
            Version::V10 => from.skip(48)?,
            Version::V11 | Version::V12 | Version::V13 => {
                from.skip(64)?;
                body.skip(4)?;
            }
            _ => {
                let len = usize::from(body.u16()?);
                body = from.sub(len)?;
                body.skip(8)?;
            }
        }
        let hw_addr = MacAddr(body.array()?);
        if version > Version::V10 {
            body.skip(2)?;
        }
        let name = body.text(16)?;
        let (config, state) = (body.u32()?, body.u32()?);
        let mut desc = Self {
            port,
            hw_addr,
            name,
            config,
            state,
            curr: LinkFeatures::default(),
            advertised: LinkFeatures::default(),
            supported: LinkFeatures::default(),
            peer: LinkFeatures::default(),
            curr_speed: 0,
            max_speed: 0,
        };
        if version < Version::V14 {
            desc.decode_features(&mut body, version)?;
            return Ok(desc);
        }
        while let Some((ty, mut value)) = body.property()? {
            if ty == 0 {
                value.skip(4)?;
                desc.decode_features(&mut value, version)?;
            }
        }
        Ok(desc)
    }

    fn decode_features(&mut self, from: &mut Cursor<'_>, version: Version) -> Result<(), Code> {
        for feature in [&mut self.curr, &mut self.advertised, &mut self.supported, &mut self.peer] {
            let wire = from.u32()?;
            *feature = match version {
                Version::V10 => LinkFeatures::from_wire10(wire),
                _ => LinkFeatures(wire),
            };
        }
        if version > Version::V10 {
            (self.curr_speed, self.max_speed) = (from.u32()?, from.u32()?);
        }
        Ok(())
    }
}

/// A request to change a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMod {
    /// Which one.
    pub port: OfPort,
    /// Its address, so that another port with the number is not meant.
    pub hw_addr: MacAddr,
    /// New [`config`] bits.
    pub config: u32,
    /// Which of them.
    pub mask: u32,
    /// What it shall offer; 0: as it does.
    pub advertise: LinkFeatures,
}

impl PortMod {
    /// Reads the body of a message.
    ///
    /// # Errors
    ///
    /// If it is too short, or has a bit that the version does not know.
    pub fn decode(version: Version, body: &[u8]) -> Result<Self, Code> {
        let mut from = Cursor::new(body);
        let port = from.port(version, Code::PmfcBadPort)?;
        if version > Version::V10 {
            from.skip(4)?;
        }
        let hw_addr = MacAddr(from.array()?);
        if version > Version::V10 {
            from.skip(2)?;
        }
        let (config, mask) = (from.u32()?, from.u32()?);
        let known = if version == Version::V10 { config::ALL10 } else { config::ALL11 };
        if (config | mask) & !known != 0 && version > Version::V10 {
            return Err(Code::PmfcBadConfig);
        }
        let mut advertise = LinkFeatures::default();
        if version >= Version::V14 {
            while let Some((ty, value)) = from.property()? {
                match ty {
                    0 => advertise = LinkFeatures(value.or(Code::BpcBadLen).u32()?),
                    _ => return Err(Code::BpcBadType),
                }
            }
        } else {
            let wire = from.u32()?;
            from.skip(4)?;
            advertise = match version {
                Version::V10 => LinkFeatures::from_wire10(wire),
                _ => LinkFeatures(wire),
            };
        }
        Ok(Self { port, hw_addr, config: config & mask & known, mask: mask & known, advertise })
    }

    /// Writes the body of a message.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        out.put_port(version, self.port);
        if version > Version::V10 {
            out.zeros(4);
        }
        out.put(&self.hw_addr.0);
        if version > Version::V10 {
            out.zeros(2);
        }
        out.put32(self.config);
        out.put32(self.mask);
        match version {
            Version::V10 => {
                out.put32(self.advertise.to_wire10());
                out.zeros(4);
            }
            Version::V11 | Version::V12 | Version::V13 => {
                out.put32(self.advertise.0);
                out.zeros(4);
            }
            _ if self.advertise.0 != 0 => {
                let at = out.begin_property(0);
                out.put32(self.advertise.0);
                out.end_property(at);
            }
            _ => {}
        }
    }
}

/// Why a port status is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PortReason {
    /// It came.
    Add = 0,
    /// It went.
    Delete = 1,
    /// It changed.
    Modify = 2,
}

/// Writes the body of a port status.
pub fn encode_status(out: &mut Vec<u8>, version: Version, reason: PortReason, port: &PortDesc) {
    out.put8(reason as u8);
    out.zeros(7);
    port.encode(out, version);
}

/// What a port has counted; all ones where it does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortStats {
    /// Which port.
    pub port: OfPort,
    /// Since when.
    pub duration: Duration,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Dropped on receipt.
    pub rx_dropped: u64,
    /// Dropped instead of sent.
    pub tx_dropped: u64,
    /// Faulty when received.
    pub rx_errors: u64,
    /// Faults in sending.
    pub tx_errors: u64,
    /// Misaligned frames.
    pub rx_frame_err: u64,
    /// Overruns.
    pub rx_over_err: u64,
    /// Checksums that were wrong.
    pub rx_crc_err: u64,
    /// Collisions.
    pub collisions: u64,
}

impl PortStats {
    /// Statistics of a port that counts nothing.
    #[must_use]
    pub fn unknown(port: OfPort, duration: Duration) -> Self {
        Self {
            port,
            duration,
            rx_packets: u64::MAX,
            tx_packets: u64::MAX,
            rx_bytes: u64::MAX,
            tx_bytes: u64::MAX,
            rx_dropped: u64::MAX,
            tx_dropped: u64::MAX,
            rx_errors: u64::MAX,
            tx_errors: u64::MAX,
            rx_frame_err: u64::MAX,
            rx_over_err: u64::MAX,
            rx_crc_err: u64::MAX,
            collisions: u64::MAX,
        }
    }

    /// Writes one entry of a reply; `custom` are counters that only the port's kind has, which
    /// OpenFlow 1.4 and later have room for.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version, custom: &[(String, u64)]) {
        let start = out.len();
        let numbers = [
            self.rx_packets,
            self.tx_packets,
            self.rx_bytes,
            self.tx_bytes,
            self.rx_dropped,
            self.tx_dropped,
            self.rx_errors,
            self.tx_errors,
        ];
        let link = [self.rx_frame_err, self.rx_over_err, self.rx_crc_err, self.collisions];
        if version >= Version::V14 {
            out.zeros(4);
            out.put_port(version, self.port);
            put_duration(out, self.duration);
            numbers.iter().for_each(|number| out.put64(*number));
            let at = out.begin_property(0);
            out.zeros(4);
            link.iter().for_each(|number| out.put64(*number));
            out.end_property(at);
            put_sizes(out);
            put_custom(out, custom);
            return out.put_len(start, 0);
        }
        out.put_port(version, self.port);
        out.zeros(if version == Version::V10 { 6 } else { 4 });
        numbers.iter().chain(&link).for_each(|number| out.put64(*number));
        if version == Version::V13 {
            put_duration(out, self.duration);
        }
    }
}

/// Counters by the size of frames and for their faults (RFC 2819), which no port here has.
fn put_sizes(out: &mut Vec<u8>) {
    let at = out.begin_property(EXPERIMENTER);
    out.put32(COUNTERS);
    out.put32(1);
    out.zeros(4);
    (0..SIZES).for_each(|_| out.put64(u64::MAX));
    out.end_property(at);
}

/// Counters with names, as many as there is room for.
fn put_custom(out: &mut Vec<u8>, custom: &[(String, u64)]) {
    let fits = |(name, value): &(String, u64)| Some((u8::try_from(name.len()).ok()?, *value));
    let named = custom.iter().filter_map(|it| Some((fits(it)?, it.0.as_bytes())));
    let named: Vec<_> = named.take(MOST_CUSTOM).collect();
    if named.is_empty() {
        return;
    }
    let at = out.begin_property(EXPERIMENTER);
    out.put32(COUNTERS);
    out.put32(2);
    out.zeros(2);
    out.put16(u16::try_from(named.len()).unwrap_or(u16::MAX));
    for ((len, value), name) in named {
        out.put8(len);
        out.put(name);
        out.put64(value);
    }
    out.end_property(at);
}

/// The property of whoever extends the protocol, and the one who has added counters (Intel).
const EXPERIMENTER: u16 = 0xffff;
const COUNTERS: u32 = 0xaa01;
/// Counters of the first kind.
const SIZES: usize = 21;
/// Named counters of a port that are told: with the longest names they fill a message half.
const MOST_CUSTOM: usize = 120;

/// Seconds and nanoseconds, to the millisecond; all ones for a time that nobody knows.
pub(super) fn put_duration(out: &mut Vec<u8>, duration: Duration) {
    match u32::try_from(duration.as_secs()) {
        Ok(seconds) => {
            out.put32(seconds);
            out.put32(duration.subsec_millis() * 1_000_000);
        }
        Err(_) => out.put64(u64::MAX),
    }
}

/// Reads which ports statistics are asked of; `None`: all.
///
/// # Errors
///
/// If it is too short.
pub fn decode_stats_request(version: Version, body: &[u8]) -> Result<Option<OfPort>, Code> {
    let mut from = Cursor::new(body);
    let port = from.port(version, Code::BrcBadPort)?;
    Ok((port != OfPort::NONE).then_some(port))
}

/// Reads which ports descriptions are asked of; `None`: all.
///
/// # Errors
///
/// If it is too short.
pub fn decode_desc_request(version: Version, body: &[u8]) -> Result<Option<OfPort>, Code> {
    if version < Version::V15 {
        return Ok(None);
    }
    decode_stats_request(version, body)
}
