//! LLDP data units (IEEE 802.1AB-2016 clause 8): TLVs, in bounds of their own, into owned values.
//!
//! ```text
//!   7 bits type | 9 bits length | value       chassis, port, TTL first; an empty one ends
//! ```
//!
//! What is mandatory must be right, or the frame is discarded. What is not known is passed over and
//! counted. Auto-attach TLVs (draft-unbehagen-lldp-spb) are the organization 00-04-0d's.

use dp_core::base::MacAddr;

/// Ethertype.
pub const ETH_TYPE: u16 = 0x88cc;
/// The address of the nearest bridge.
pub const DST: MacAddr = MacAddr([0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e]);
/// The organization of auto-attach.
const AUTO_ATTACH: [u8; 3] = [0x00, 0x04, 0x0d];
const ELEMENT: u8 = 11;
const ASSIGNMENTS: u8 = 12;
/// The digest in front of auto-attach's values; nobody computes it without a key.
const DIGEST: usize = 32;
/// Mappings of a TLV at most: what its length has room for.
pub const MAPPINGS: usize = (511 - 4 - DIGEST) / 5;
/// Management addresses that are kept of a neighbour.
const ADDRESSES: usize = 8;

mod tlv {
    pub(super) const END: u8 = 0;
    pub(super) const CHASSIS: u8 = 1;
    pub(super) const PORT: u8 = 2;
    pub(super) const TTL: u8 = 3;
    pub(super) const PORT_DESCRIPTION: u8 = 4;
    pub(super) const SYSTEM_NAME: u8 = 5;
    pub(super) const SYSTEM_DESCRIPTION: u8 = 6;
    pub(super) const CAPABILITIES: u8 = 7;
    pub(super) const MANAGEMENT: u8 = 8;
    pub(super) const ORGANIZATION: u8 = 127;
}

/// Why a frame is discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A TLV ends behind the frame.
    #[error("a TLV is longer than the frame")]
    Truncated,
    /// A TLV stands where another must, or is missing.
    #[error("chassis, port and TTL must come first, once each")]
    Order,
    /// An identifier is too short or too long.
    #[error("an identifier of {0} bytes")]
    Identifier(usize),
    /// The TTL has not two bytes.
    #[error("a TTL of {0} bytes")]
    Ttl(usize),
    /// A management address does not fit in its TLV.
    #[error("a management address that does not fit in its TLV")]
    Management,
    /// Capabilities are too short.
    #[error("capabilities of {0} bytes")]
    Capabilities(usize),
    /// An organization's TLV has no room for the organization.
    #[error("a TLV of an organization, of {0} bytes")]
    Organization(usize),
    /// An auto-attach TLV is too short.
    #[error("an auto-attach element of {0} bytes")]
    Element(usize),
    /// An auto-attach TLV does not hold whole mappings.
    #[error("auto-attach assignments of {0} bytes")]
    Assignments(usize),
    /// More than there is room for.
    #[error("a frame too long to send")]
    TooLong,
}

/// An identifier: what kind, and its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identifier {
    /// Subtype.
    pub kind: u8,
    /// 1 to 255 bytes.
    pub bytes: Vec<u8>,
}

/// Subtypes of identifiers.
pub mod kind {
    /// A chassis: its address.
    pub const CHASSIS_MAC: u8 = 4;
    /// A port: its address.
    pub const PORT_MAC: u8 = 3;
    /// A port: its interface's name.
    pub const PORT_NAME: u8 = 5;
}

/// What a system does, and which of it is enabled: 1 repeater, 2 bridge, 4 router …
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// What it can do.
    pub able: u16,
    /// What it does.
    pub enabled: u16,
}

/// A part of auto-attach: who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// What kind of element.
    pub kind: u8,
    /// Its state.
    pub state: u8,
    /// VLAN by which it is managed.
    pub management_vlan: u16,
    /// Its system.
    pub system: MacAddr,
    /// How it is connected.
    pub connection: [u8; 4],
}

impl Element {
    /// A client that is a virtual switch.
    pub const VIRTUAL_SWITCH: u8 = 14;
}

/// A service by its number, and the VLAN that carries it here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Assignment {
    /// What has become of it.
    pub status: u8,
    /// VLAN.
    pub vlan: u16,
    /// Service, 24 bits.
    pub isid: u32,
}

/// What one end says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pdu {
    /// Who.
    pub chassis: Identifier,
    /// By which port.
    pub port: Identifier,
    /// Seconds that this holds; 0: it ends.
    pub ttl: u16,
    /// What its owner says of the port.
    pub port_description: Option<String>,
    /// The system's name.
    pub system_name: Option<String>,
    /// What the system is.
    pub system_description: Option<String>,
    /// What it does.
    pub capabilities: Option<Capabilities>,
    /// Where it is managed: family and address.
    pub management: Vec<(u8, Vec<u8>)>,
    /// Auto-attach: who it is.
    pub element: Option<Element>,
    /// Auto-attach: what it maps.
    pub assignments: Vec<Assignment>,
}

/// Splits TLVs off.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, FrameError> {
        let Some((head, rest)) = self.0.split_first_chunk::<2>() else {
            // An end that is missing is forgiven, half a head is not.
            return if self.0.is_empty() { Ok(None) } else { Err(FrameError::Truncated) };
        };
        let head = u16::from_be_bytes(*head);
        let (value, rest) =
            rest.split_at_checked(usize::from(head & 0x1ff)).ok_or(FrameError::Truncated)?;
        self.0 = rest;
        let kind = u8::try_from(head >> 9).unwrap_or(0);
        Ok((kind != tlv::END).then_some((kind, value)))
    }
}

fn identifier(value: &[u8]) -> Result<Identifier, FrameError> {
    match value {
        [kind, bytes @ ..] if (1..=255).contains(&bytes.len()) => {
            Ok(Identifier { kind: *kind, bytes: bytes.to_vec() })
        }
        _ => Err(FrameError::Identifier(value.len())),
    }
}

/// A string of a peer: whatever it is made of, it can be shown.
fn string(value: &[u8]) -> String {
    String::from_utf8_lossy(value).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Reads what stands behind the Ethernet header; `unknown` counts TLVs that are passed over, in frames
/// that turn out to be wrong too.
///
/// # Errors
///
/// [`FrameError`]: the frame is to be discarded.
pub fn decode(payload: &[u8], unknown: &mut u64) -> Result<Pdu, FrameError> {
    let mut reader = Reader(payload);
    let mut first = |wanted| match reader.next()? {
        Some((kind, value)) if kind == wanted => Ok(value),
        _ => Err(FrameError::Order),
    };
    let mut pdu = Pdu {
        chassis: identifier(first(tlv::CHASSIS)?)?,
        port: identifier(first(tlv::PORT)?)?,
        ..Pdu::default()
    };
    let ttl = first(tlv::TTL)?;
    pdu.ttl = u16::from_be_bytes(*ttl.first_chunk().ok_or(FrameError::Ttl(ttl.len()))?);
    while let Some((kind, value)) = reader.next()? {
        if !pdu.take(kind, value)? {
            *unknown += 1;
        }
    }
    Ok(pdu)
}

impl Pdu {
    /// Takes a TLV; whether it is known.
    fn take(&mut self, kind: u8, value: &[u8]) -> Result<bool, FrameError> {
        match kind {
            tlv::CHASSIS | tlv::PORT | tlv::TTL => return Err(FrameError::Order),
            // One that is repeated replaces the one before: nothing adds up.
            tlv::PORT_DESCRIPTION => self.port_description = Some(string(value)),
            tlv::SYSTEM_NAME => self.system_name = Some(string(value)),
            tlv::SYSTEM_DESCRIPTION => self.system_description = Some(string(value)),
            tlv::CAPABILITIES => {
                let [a, b, c, d, ..] = *value else {
                    return Err(FrameError::Capabilities(value.len()));
                };
                let able = u16::from_be_bytes([a, b]);
                self.capabilities =
                    Some(Capabilities { able, enabled: u16::from_be_bytes([c, d]) });
            }
            tlv::MANAGEMENT => self.take_management(value)?,
            tlv::ORGANIZATION => return self.take_organization(value),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Length, family, address; then the interface's number and an object, which are not used.
    fn take_management(&mut self, value: &[u8]) -> Result<(), FrameError> {
        let (len, rest) = value.split_first().ok_or(FrameError::Management)?;
        let len = usize::from(*len);
        if !(2..=32).contains(&len) {
            return Err(FrameError::Management);
        }
        let (address, rest) = rest.split_at_checked(len).ok_or(FrameError::Management)?;
        let object = rest.get(5).ok_or(FrameError::Management)?;
        if rest.len() < 6 + usize::from(*object) {
            return Err(FrameError::Management);
        }
        if let [family, address @ ..] = address
            && self.management.len() < ADDRESSES
        {
            self.management.push((*family, address.to_vec()));
        }
        Ok(())
    }

    fn take_organization(&mut self, value: &[u8]) -> Result<bool, FrameError> {
        let error = FrameError::Organization(value.len());
        let (head, value) = value.split_first_chunk::<4>().ok_or(error)?;
        let [a, b, c, kind] = *head;
        match ([a, b, c], kind) {
            (AUTO_ATTACH, ELEMENT) => self.element = Some(element(value)?),
            (AUTO_ATTACH, ASSIGNMENTS) => self.assignments = assignments(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn element(value: &[u8]) -> Result<Element, FrameError> {
    let error = FrameError::Element(value.len());
    let body = value.get(DIGEST..).and_then(<[u8]>::first_chunk::<14>).ok_or(error)?;
    let [w0, w1, w2, _, m0, m1, m2, m3, m4, m5, connection @ ..] = *body;
    let word = u32::from_be_bytes([0, w0, w1, w2]);
    let low = |bits: u32| u8::try_from(bits & 0x3f).unwrap_or(0);
    Ok(Element {
        kind: low(word >> 18),
        state: low(word >> 12),
        management_vlan: u16::try_from(word & 0xfff).unwrap_or(0),
        system: MacAddr([m0, m1, m2, m3, m4, m5]),
        connection,
    })
}

fn assignments(value: &[u8]) -> Result<Vec<Assignment>, FrameError> {
    let error = FrameError::Assignments(value.len());
    let body = value.get(DIGEST..).ok_or(error)?;
    let (chunks, rest) = body.as_chunks::<5>();
    if !rest.is_empty() {
        return Err(error);
    }
    Ok(chunks
        .iter()
        .map(|&[a, b, c, d, e]| {
            let half = u16::from_be_bytes([a, b]);
            Assignment {
                status: u8::try_from(half >> 12).unwrap_or(0),
                vlan: half & 0xfff,
                isid: u32::from_be_bytes([0, c, d, e]),
            }
        })
        .collect())
}

/// Writes TLVs.
#[derive(Default)]
struct Writer {
    out: Vec<u8>,
    too_long: bool,
}

impl Writer {
    fn put(&mut self, kind: u8, parts: &[&[u8]]) {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        match u16::try_from(len) {
            Ok(len) if len < 512 => {
                self.out.extend_from_slice(&(u16::from(kind) << 9 | len).to_be_bytes());
                parts.iter().for_each(|part| self.out.extend_from_slice(part));
            }
            _ => self.too_long = true,
        }
    }
}

impl Pdu {
    /// The whole frame, from this address.
    ///
    /// # Errors
    ///
    /// [`FrameError::TooLong`] if a text or an identifier has no room.
    pub fn encode(&self, source: MacAddr) -> Result<Vec<u8>, FrameError> {
        let mut writer = Writer::default();
        writer.put(tlv::CHASSIS, &[&[self.chassis.kind], &self.chassis.bytes]);
        writer.put(tlv::PORT, &[&[self.port.kind], &self.port.bytes]);
        writer.put(tlv::TTL, &[&self.ttl.to_be_bytes()]);
        for (kind, text) in [
            (tlv::PORT_DESCRIPTION, &self.port_description),
            (tlv::SYSTEM_NAME, &self.system_name),
            (tlv::SYSTEM_DESCRIPTION, &self.system_description),
        ] {
            if let Some(text) = text.as_ref().filter(|text| !text.is_empty()) {
                writer.put(kind, &[text.as_bytes()]);
            }
        }
        if let Some(it) = &self.capabilities {
            writer.put(tlv::CAPABILITIES, &[&it.able.to_be_bytes(), &it.enabled.to_be_bytes()]);
        }
        for (family, address) in &self.management {
            let len = u8::try_from(address.len() + 1).map_err(|_| FrameError::TooLong)?;
            // Neither an interface's number nor an object.
            writer.put(tlv::MANAGEMENT, &[&[len, *family], address, &[1, 0, 0, 0, 0, 0]]);
        }
        let digest = [0; DIGEST];
        let organization = |kind| [AUTO_ATTACH.as_slice(), &[kind]].concat();
        if let Some(it) = &self.element {
            let word = u32::from(it.kind & 0x3f) << 18
                | u32::from(it.state & 0x3f) << 12
                | u32::from(it.management_vlan & 0xfff);
            let head = (word << 8).to_be_bytes();
            let system = it.system.0;
            writer.put(
                tlv::ORGANIZATION,
                &[&organization(ELEMENT), &digest, &head, &system, &it.connection],
            );
        }
        if !self.assignments.is_empty() {
            let mut body = Vec::with_capacity(5 * self.assignments.len());
            for it in self.assignments.iter().take(MAPPINGS) {
                let half = u16::from(it.status & 0xf) << 12 | it.vlan & 0xfff;
                body.extend_from_slice(&half.to_be_bytes());
                body.extend_from_slice(it.isid.to_be_bytes().last_chunk::<3>().unwrap_or(&[0; 3]));
            }
            writer.put(tlv::ORGANIZATION, &[&organization(ASSIGNMENTS), &digest, &body]);
        }
        writer.put(tlv::END, &[]);
        if writer.too_long || writer.out.len() > 1500 {
            return Err(FrameError::TooLong);
        }
        let mut frame = Vec::with_capacity(14 + writer.out.len());
        frame.extend_from_slice(&DST.0);
        frame.extend_from_slice(&source.0);
        frame.extend_from_slice(&ETH_TYPE.to_be_bytes());
        frame.append(&mut writer.out);
        Ok(frame)
    }
}
