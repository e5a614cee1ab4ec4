//! Meters (OpenFlow 1.3, section A.3.4.4).

use dp_core::base::Duration;

use super::Code;
use super::port::put_duration;
use super::wire::{Cursor, Put};

/// Flags of a meter.
pub mod flag {
    /// Rates are in kb/s.
    pub const KBPS: u16 = 1;
    /// Rates are in packets a second.
    pub const PKTPS: u16 = 1 << 1;
    /// Bands have a burst.
    pub const BURST: u16 = 1 << 2;
    /// It counts.
    pub const STATS: u16 = 1 << 3;
}

/// Numbers of meters that are none.
pub mod id {
    pub use crate::action::meter_id::{CONTROLLER, SLOWPATH};

    /// The largest.
    pub const MAX: u32 = 0xffff_0000;
    /// All of them.
    pub const ALL: u32 = 0xffff_ffff;
}

/// What to do with a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Command {
    /// Make it.
    Add = 0,
    /// Change it.
    Modify = 1,
    /// Remove it.
    Delete = 2,
}

/// What happens to what exceeds a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BandKind {
    /// It is dropped.
    Drop,
    /// Its DSCP's drop precedence is raised by so much.
    DscpRemark(u8),
}

/// A band: a rate, and what happens to what exceeds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// What happens.
    pub kind: BandKind,
    /// Rate in the unit of the meter.
    pub rate: u32,
    /// Burst in the unit of the meter (kb or packets).
    pub burst: u32,
}

/// A request to change a meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterMod {
    /// What to do.
    pub command: Command,
    /// With which.
    pub meter: u32,
    /// [`flag`].
    pub flags: u16,
    /// Its bands.
    pub bands: Vec<Band>,
}

impl MeterMod {
    /// Reads the body of a message.
    ///
    /// # Errors
    ///
    /// If it is too short, or makes no sense.
    pub fn decode(body: &[u8]) -> Result<Self, Code> {
        let mut from = Cursor::new(body);
        let command = match from.u16()? {
            0 => Command::Add,
            1 => Command::Modify,
            2 => Command::Delete,
            _ => return Err(Code::MmfcBadCommand),
        };
        let (flags, meter) = (from.u16()?, from.u32()?);
        if command == Command::Delete {
            return Ok(Self { command, meter, flags: 0, bands: Vec::new() });
        }
        let both = flag::KBPS | flag::PKTPS;
        if flags & !0xf != 0 || flags & both == both || flags & both == 0 {
            return Err(Code::MmfcBadFlags);
        }
        let bands = decode_bands(from)?;
        // A burst without the flag means nothing.
        let bands = bands
            .into_iter()
            .map(|band| Band {
                burst: if flags & flag::BURST != 0 { band.burst } else { 0 },
                ..band
            })
            .collect();
        Ok(Self { command, meter, flags, bands })
    }

    /// Writes the body of a message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put16(self.command as u16);
        out.put16(self.flags);
        out.put32(self.meter);
        encode_bands(out, &self.bands);
    }
}

fn decode_bands(mut from: Cursor<'_>) -> Result<Vec<Band>, Code> {
    let mut bands = Vec::new();
    while !from.is_empty() {
        let (ty, len) = (from.u16()?, from.u16()?);
        if len != 16 {
            return Err(Code::BrcBadLen);
        }
        let (rate, burst) = (from.u32()?, from.u32()?);
        let level = from.u8()?;
        from.skip(3)?;
        let kind = match ty {
            1 => BandKind::Drop,
            2 => BandKind::DscpRemark(level),
            _ => return Err(Code::MmfcBadBand),
        };
        if rate == 0 {
            return Err(Code::MmfcBadRate);
        }
        bands.push(Band { kind, rate, burst });
    }
    Ok(bands)
}

fn encode_bands(out: &mut Vec<u8>, bands: &[Band]) {
    for band in bands {
        let (ty, level) = match band.kind {
            BandKind::Drop => (1, 0),
            BandKind::DscpRemark(level) => (2, level),
        };
        out.put16(ty);
        out.put16(16);
        out.put32(band.rate);
        out.put32(band.burst);
        out.put8(level);
        out.zeros(3);
    }
}

/// Writes an entry of a reply about configurations.
pub fn encode_config(out: &mut Vec<u8>, meter: u32, flags: u16, bands: &[Band]) {
    let start = out.len();
    out.put16(0);
    out.put16(flags);
    out.put32(meter);
    encode_bands(out, bands);
    out.put_len(start, 0);
}

/// What a meter has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeterStats {
    /// Which.
    pub meter: u32,
    /// Rules that use it.
    pub flows: u32,
    /// Packets it saw.
    pub packets: u64,
    /// Bytes it saw.
    pub bytes: u64,
    /// How long it has been there.
    pub duration: Duration,
    /// Packets and bytes that exceeded each band.
    pub bands: Vec<(u64, u64)>,
}

impl MeterStats {
    /// Writes an entry of a reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.put32(self.meter);
        out.put16(0);
        out.zeros(6);
        out.put32(self.flows);
        out.put64(self.packets);
        out.put64(self.bytes);
        put_duration(out, self.duration);
        for (packets, bytes) in &self.bands {
            out.put64(*packets);
            out.put64(*bytes);
        }
        out.put_len(start, 4);
    }
}

/// What meters there can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeterFeatures {
    /// How many.
    pub max_meters: u32,
    /// Bit *n*: bands of type *n*.
    pub band_types: u32,
    /// [`flag`].
    pub capabilities: u32,
    /// Bands a meter.
    pub max_bands: u8,
    /// Colours.
    pub max_color: u8,
}

impl MeterFeatures {
    /// Writes the body of a reply.
    ///
    /// Controllers expect the length of OpenFlow 1.3 in later versions as well.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put32(self.max_meters);
        out.put32(self.band_types);
        out.put32(self.capabilities);
        out.put8(self.max_bands);
        out.put8(self.max_color);
        out.zeros(2);
    }
}

/// Reads which meter is asked about.
///
/// # Errors
///
/// If it is too short.
pub fn decode_request(body: &[u8]) -> Result<u32, Code> {
    let mut from = Cursor::new(body);
    let meter = from.u32()?;
    from.skip(4)?;
    Ok(meter)
}
