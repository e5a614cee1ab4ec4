//! Meters: what controllers have said of them. Packets are metered in the datapath.

use std::collections::BTreeMap;
use std::sync::Arc;

use dp_core::base::Instant;

use super::handle::Request;
use crate::openflow::Code;
use crate::openflow::meter::{Band, BandKind, Command, MeterFeatures, MeterMod, flag, id};

/// A meter.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    pub(super) flags: u16,
    pub(super) bands: Vec<Band>,
    pub(super) created: Instant,
}

/// A bridge's meters by number.
#[derive(Debug, Default)]
pub(super) struct Meters {
    pub(super) by_id: BTreeMap<u32, Meter>,
}

impl Meters {
    pub(super) fn exists(&self, meter: u32) -> bool {
        self.by_id.contains_key(&meter)
    }

    /// The meters that a request is about.
    ///
    /// # Errors
    ///
    /// If it names one that is not there.
    pub(super) fn select(&self, meter: u32) -> Result<Vec<u32>, Code> {
        match meter {
            id::ALL => Ok(self.by_id.keys().copied().collect()),
            _ if self.exists(meter) => Ok(vec![meter]),
            _ => Err(Code::MmfcUnknownMeter),
        }
    }
}

/// What meters there can be.
pub(super) const FEATURES: MeterFeatures = MeterFeatures {
    max_meters: 262_144,
    band_types: 1 << 1,
    capabilities: (flag::KBPS | flag::PKTPS | flag::BURST | flag::STATS) as u32,
    max_bands: 8,
    max_color: 0,
};

/// Changes a meter.
pub(super) fn meter_mod(request: &mut Request<'_>) -> Result<(), Code> {
    let message = MeterMod::decode(request.body)?;
    request.may_change()?;
    let meter = message.meter;
    if message.command == Command::Delete {
        return delete(request, meter);
    }
    let special = matches!(meter, id::SLOWPATH | id::CONTROLLER);
    if meter == 0 || meter > id::MAX && !special {
        return Err(Code::MmfcInvalidMeter);
    }
    let old = request.shared.meters.by_id.get(&meter);
    match (message.command, old) {
        (Command::Add, Some(_)) => return Err(Code::MmfcMeterExists),
        (Command::Modify, None) => return Err(Code::MmfcUnknownMeter),
        (Command::Add, None)
            if request.shared.meters.by_id.len() >= FEATURES.max_meters as usize =>
        {
            return Err(Code::MmfcOutOfMeters);
        }
        _ => {}
    }
    check_bands(&message)?;
    let created = old.map_or(request.now, |old| old.created);
    request.host.set_meter(meter, message.flags, &message.bands, request.now)?;
    let made = Meter { flags: message.flags, bands: message.bands, created };
    request.shared.meters.by_id.insert(meter, made);
    Ok(())
}

fn check_bands(message: &MeterMod) -> Result<(), Code> {
    if message.bands.len() > usize::from(FEATURES.max_bands) {
        return Err(Code::MmfcOutOfBands);
    }
    match message.bands.iter().all(|band| band.kind == BandKind::Drop) {
        true => Ok(()),
        false => Err(Code::MmfcBadBand),
    }
}

fn delete(request: &mut Request<'_>, meter: u32) -> Result<(), Code> {
    if meter == 0 || meter > id::MAX && meter < id::SLOWPATH {
        return Err(Code::MmfcInvalidMeter);
    }
    let gone = request.shared.meters.select(meter).unwrap_or_default();
    let bridge = Arc::clone(&request.shared.bridge);
    let mut edit = bridge.tables().edit();
    for meter in gone {
        edit.remove_meter_users(meter);
        request.shared.meters.by_id.remove(&meter);
        request.host.remove_meter(meter);
    }
    let changes = edit.commit();
    request.events.add_changes(changes, request.id, request.xid);
    Ok(())
}
