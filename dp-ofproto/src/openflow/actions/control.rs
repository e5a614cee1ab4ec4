//! `controller` and `sample`.

use dp_core::base::OfPort;

use super::{begin_nicira, end, ofs_nbits, put_field, subfield};
use crate::action::{Action, Controller, PacketInReason, Sample, SampleDirection, SampleNumber};
use crate::openflow::wire::{Cursor, Put};
use crate::openflow::{Code, Version};

pub(super) const CONTROLLER: u16 = 20;
pub(super) const CONTROLLER2: u16 = 37;
pub(super) const SAMPLE: u16 = 29;
pub(super) const SAMPLE2: u16 = 38;
pub(super) const SAMPLE3: u16 = 41;
pub(super) const SAMPLE4: u16 = 51;

mod property {
    pub(super) const MAX_LEN: u16 = 0;
    pub(super) const CONTROLLER_ID: u16 = 1;
    pub(super) const REASON: u16 = 2;
    pub(super) const USERDATA: u16 = 3;
    pub(super) const PAUSE: u16 = 4;
    pub(super) const METER: u16 = 5;
}

/// The reason with this number.
pub(crate) fn reason(wire: u8) -> Option<PacketInReason> {
    PacketInReason::ALL.iter().find(|row| row.1 == wire).map(|row| row.0)
}

pub(super) fn decode_controller(from: &mut Cursor<'_>) -> Result<Action, Code> {
    let (max_len, id) = (from.u16()?, from.u16()?);
    let reason = reason(from.u8()?).ok_or(Code::BacBadArgument)?;
    Ok(Action::Controller(Box::new(Controller { max_len, reason, id, ..Controller::default() })))
}

pub(super) fn decode_controller2(from: &mut Cursor<'_>) -> Result<Action, Code> {
    from.zeros(6, Code::NxbrcMustBeZero)?;
    let mut out = Controller { extended: true, ..Controller::default() };
    while let Some((ty, mut value)) = from.property()? {
        match ty {
            property::MAX_LEN => out.max_len = value.or(Code::BpcBadLen).u16()?,
            property::CONTROLLER_ID => out.id = value.or(Code::BpcBadLen).u16()?,
            property::REASON => {
                out.reason = reason(value.or(Code::BpcBadLen).u8()?).ok_or(Code::BpcBadValue)?;
            }
            property::USERDATA => out.userdata = value.rest().into(),
            property::PAUSE => out.pause = true,
            property::METER => {
                value = value.or(Code::BpcBadLen);
                out.meter = Some(value.u32()?);
            }
            _ => return Err(Code::BpcBadType),
        }
    }
    Ok(Action::Controller(Box::new(out)))
}

pub(super) fn encode_controller(out: &mut Vec<u8>, controller: &Controller) {
    let plain = controller.userdata.is_empty()
        && !controller.pause
        && controller.meter.is_none()
        && !controller.extended;
    if plain {
        let start = begin_nicira(out, CONTROLLER);
        out.put16(controller.max_len);
        out.put16(controller.id);
        out.put8(controller.reason.wire());
        return end(out, start);
    }
    let start = begin_nicira(out, CONTROLLER2);
    out.zeros(6);
    if controller.max_len != u16::MAX {
        let at = out.begin_property(property::MAX_LEN);
        out.put16(controller.max_len);
        out.end_property(at);
    }
    if controller.id != 0 {
        let at = out.begin_property(property::CONTROLLER_ID);
        out.put16(controller.id);
        out.end_property(at);
    }
    if controller.reason != PacketInReason::Action {
        let at = out.begin_property(property::REASON);
        out.put8(controller.reason.wire());
        out.end_property(at);
    }
    if !controller.userdata.is_empty() {
        let at = out.begin_property(property::USERDATA);
        out.put(&controller.userdata);
        out.end_property(at);
    }
    if controller.pause {
        let at = out.begin_property(property::PAUSE);
        out.end_property(at);
    }
    if let Some(meter) = controller.meter {
        let at = out.begin_property(property::METER);
        out.put32(meter);
        out.end_property(at);
    }
    end(out, start);
}

pub(super) fn decode_sample(from: &mut Cursor<'_>, subtype: u16) -> Result<Action, Code> {
    let (probability, collector_set) = (from.u16()?, from.u32()?);
    if probability == 0 {
        return Err(Code::BacBadArgument);
    }
    let (obs_domain, obs_point) = match subtype {
        SAMPLE4 => (sample_number(from)?, sample_number(from)?),
        _ => (SampleNumber::Value(from.u32()?), SampleNumber::Value(from.u32()?)),
    };
    let (mut sampling_port, mut direction) = (OfPort::NONE, SampleDirection::Default);
    if subtype != SAMPLE {
        sampling_port = OfPort(from.u16()?);
        direction = match from.u8()? {
            0 => SampleDirection::Default,
            1 => SampleDirection::Ingress,
            2 => SampleDirection::Egress,
            _ => return Err(Code::BacBadArgument),
        };
    }
    from.zeros(from.len(), Code::NxbrcMustBeZero)?;
    Ok(Action::Sample(Box::new(Sample {
        probability,
        collector_set,
        obs_domain,
        obs_point,
        sampling_port,
        direction,
    })))
}

/// A field's header, or zeros, and behind it its bits or the number itself.
fn sample_number(from: &mut Cursor<'_>) -> Result<SampleNumber, Code> {
    let mut source = from.sub(4)?;
    if source.rest() == [0; 4] {
        return Ok(SampleNumber::Value(from.u32()?));
    }
    let place = from.u16()?;
    from.skip(2)?;
    let sub = subfield(&mut source, place)?;
    if sub.bits > 32 {
        return Err(Code::BacBadArgument);
    }
    Ok(SampleNumber::Field(sub))
}

pub(super) fn encode_sample(out: &mut Vec<u8>, sample: &Sample) {
    let plain =
        sample.sampling_port == OfPort::NONE && sample.direction == SampleDirection::Default;
    let direction = match sample.direction {
        SampleDirection::Default => 0,
        SampleDirection::Ingress => 1,
        SampleDirection::Egress => 2,
    };
    let values = match (sample.obs_domain, sample.obs_point) {
        (SampleNumber::Value(domain), SampleNumber::Value(point)) => Some((domain, point)),
        _ => None,
    };
    let subtype = match values {
        Some(_) if plain => SAMPLE,
        Some(_) if direction == 0 => SAMPLE2,
        Some(_) => SAMPLE3,
        None => SAMPLE4,
    };
    let start = begin_nicira(out, subtype);
    out.put16(sample.probability);
    out.put32(sample.collector_set);
    if let Some((domain, point)) = values {
        out.put32(domain);
        out.put32(point);
    } else {
        put_sample_number(out, sample.obs_domain);
        put_sample_number(out, sample.obs_point);
    }
    if subtype != SAMPLE {
        out.put_port(Version::V10, sample.sampling_port);
        out.put8(direction);
    }
    end(out, start);
}

fn put_sample_number(out: &mut Vec<u8>, number: SampleNumber) {
    match number {
        SampleNumber::Value(value) => {
            out.put32(0);
            out.put32(value);
        }
        SampleNumber::Field(sub) => {
            put_field(out, sub);
            out.put16(ofs_nbits(sub));
            out.put16(0);
        }
    }
}
