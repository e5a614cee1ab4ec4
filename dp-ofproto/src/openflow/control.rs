//! Messages about the connection itself: hello, features, configuration, roles, bundles, and what
//! comes unasked.

use super::port::PortDesc;
use super::wire::{Cursor, Put};
use super::{Code, Header, Version, Versions, experimenter, message_type};

/// Reads which versions a hello offers: those of its bitmap, else all up to its own.
#[must_use]
pub fn decode_hello(version: u8, body: &[u8]) -> Versions {
    let mut from = Cursor::new(body);
    while let Ok(Some((ty, mut value))) = from.property() {
        if ty == 1
            && let Ok(bitmap) = value.u32()
        {
            return Versions::from_bitmap(bitmap);
        }
    }
    Version::ALL.into_iter().filter(|known| *known as u8 <= version).collect()
}

/// A hello that offers these versions.
#[must_use]
pub fn encode_hello(versions: Versions, xid: u32) -> Vec<u8> {
    let newest = versions.newest().unwrap_or(Version::V10);
    let mut out = Vec::with_capacity(16);
    Header::begin(&mut out, newest, message_type::HELLO, xid);
    // A bitmap that says the same as the version alone needs not be there.
    let at = out.begin_property(1);
    out.put32(versions.bitmap());
    out.end_property(at);
    Header::end(&mut out, 0);
    out
}

/// What a switch is (`ofp_switch_features`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// Its id.
    pub datapath_id: u64,
    /// Flow tables.
    pub tables: u8,
    /// Which auxiliary connection of the controller this is.
    pub auxiliary: u8,
    /// Its ports, where the version has them here.
    pub ports: Vec<PortDesc>,
}

mod capability {
    pub(super) const FLOW_STATS: u32 = 1;
    pub(super) const TABLE_STATS: u32 = 1 << 1;
    pub(super) const PORT_STATS: u32 = 1 << 2;
    pub(super) const GROUP_STATS: u32 = 1 << 3;
    pub(super) const QUEUE_STATS: u32 = 1 << 6;
    pub(super) const ARP_MATCH_IP: u32 = 1 << 7;
    pub(super) const BUNDLES: u32 = 1 << 9;
}

impl Features {
    /// Writes the body of a reply.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        out.put64(self.datapath_id);
        out.put32(0);
        out.put8(self.tables);
        out.put8(if version >= Version::V13 { self.auxiliary } else { 0 });
        out.zeros(2);
        use capability as c;
        let mut capabilities = c::FLOW_STATS | c::TABLE_STATS | c::PORT_STATS | c::QUEUE_STATS;
        if version <= Version::V11 {
            capabilities |= c::ARP_MATCH_IP;
        }
        if version > Version::V10 {
            capabilities |= c::GROUP_STATS;
        }
        if version >= Version::V14 {
            capabilities |= c::BUNDLES;
        }
        out.put32(capabilities);
        // OpenFlow 1.0: its actions, all of them.
        out.put32(if version == Version::V10 { 0xfff } else { 0 });
        if version < Version::V13 {
            for port in &self.ports {
                if out.len() + 64 > usize::from(u16::MAX) {
                    break;
                }
                port.encode(out, version);
            }
        }
    }
}

/// What flow tables see of fragments, and how much of a packet a controller gets
/// (`ofp_switch_config`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwitchConfig {
    /// 0: normal, 1: drop, 2: reassemble, 3: the extension's.
    pub fragments: u16,
    /// Controllers get packets whose TTL is used up (OpenFlow 1.1 and 1.2, and 1.0 as extended).
    pub invalid_ttl: bool,
    /// Bytes of a packet that missed.
    pub miss_send_len: u16,
}

const INVALID_TTL: u16 = 1 << 2;

impl SwitchConfig {
    /// Reads the body of a message.
    ///
    /// # Errors
    ///
    /// If it is too short, or has flags that there are not.
    pub fn decode(version: Version, body: &[u8]) -> Result<Self, Code> {
        let mut from = Cursor::new(body);
        let (flags, miss_send_len) = (from.u16()?, from.u16()?);
        let known = if has_ttl(version) { 3 | INVALID_TTL } else { 3 };
        if flags & !known != 0 {
            return Err(Code::ScfcBadFlags);
        }
        let invalid_ttl = flags & INVALID_TTL != 0;
        Ok(Self { fragments: flags & 3, invalid_ttl, miss_send_len })
    }

    /// Writes the body of a message.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        let ttl = if self.invalid_ttl && has_ttl(version) { INVALID_TTL } else { 0 };
        out.put16(self.fragments | ttl);
        out.put16(self.miss_send_len);
    }
}

fn has_ttl(version: Version) -> bool {
    matches!(version, Version::V10 | Version::V11 | Version::V12)
}

/// What a controller is to the switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum Role {
    /// In a request: which am I?
    NoChange = 0,
    /// One of several that may do everything.
    #[default]
    Equal = 1,
    /// The one that may do everything.
    Primary = 2,
    /// May look.
    Secondary = 3,
}

/// A role, and the number by which old claims are told from new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleMessage {
    /// The role.
    pub role: Role,
    /// When it was claimed; `None`: not said.
    pub generation: Option<u64>,
}

impl RoleMessage {
    /// Reads the body of a request.
    ///
    /// # Errors
    ///
    /// If it is too short, or no role.
    pub fn decode(body: &[u8]) -> Result<Self, Code> {
        let mut from = Cursor::new(body);
        let role = match from.u32()? {
            0 => Role::NoChange,
            1 => Role::Equal,
            2 => Role::Primary,
            3 => Role::Secondary,
            _ => return Err(Code::RrfcBadRole),
        };
        from.skip(4)?;
        let generation = from.u64()?;
        let claims = matches!(role, Role::Primary | Role::Secondary);
        Ok(Self { role, generation: claims.then_some(generation) })
    }

    /// Reads the body of the extension's request.
    ///
    /// # Errors
    ///
    /// If it is too short, or no role.
    pub fn decode_nicira(body: &[u8]) -> Result<Self, Code> {
        let role = match Cursor::new(body).u32()? {
            0 => Role::Equal,
            1 => Role::Primary,
            2 => Role::Secondary,
            _ => return Err(Code::RrfcBadRole),
        };
        Ok(Self { role, generation: None })
    }

    /// Writes the body of a reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put32(self.role as u32);
        out.zeros(4);
        out.put64(self.generation.unwrap_or(u64::MAX));
    }

    /// Writes the body of the extension's reply.
    pub fn encode_nicira(&self, out: &mut Vec<u8>) {
        out.put32((self.role as u32).saturating_sub(1));
    }
}

/// A bundle's life (`ofp_bundle_ctrl_msg`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleControl {
    /// Its number.
    pub id: u32,
    /// What: opening, closing, committing, discarding; odd numbers are replies.
    pub kind: u16,
    /// 1: atomic, 2: ordered.
    pub flags: u16,
}

/// What a bundle's control message asks for.
pub mod bundle {
    /// Open it.
    pub const OPEN: u16 = 0;
    /// Take no more.
    pub const CLOSE: u16 = 2;
    /// Carry it out.
    pub const COMMIT: u16 = 4;
    /// Forget it.
    pub const DISCARD: u16 = 6;
    /// All or nothing.
    pub const ATOMIC: u16 = 1;
    /// In this order.
    pub const ORDERED: u16 = 2;
}

impl BundleControl {
    /// Reads the body of a message.
    ///
    /// # Errors
    ///
    /// If it is too short.
    pub fn decode(body: &[u8]) -> Result<Self, Code> {
        let mut from = Cursor::new(body);
        Ok(Self { id: from.u32()?, kind: from.u16()?, flags: from.u16()? })
    }

    /// Writes the body of a message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put32(self.id);
        out.put16(self.kind);
        out.put16(self.flags);
    }
}

/// A message on its way into a bundle (`ofp_bundle_add_msg`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleAdd<'a> {
    /// The bundle.
    pub id: u32,
    /// As in [`BundleControl`].
    pub flags: u16,
    /// The message, with its header.
    pub message: &'a [u8],
}

impl<'a> BundleAdd<'a> {
    /// Reads the body of a message.
    ///
    /// # Errors
    ///
    /// If the message in it is not whole.
    pub fn decode(body: &'a [u8]) -> Result<Self, Code> {
        let mut from = Cursor::new(body);
        let id = from.u32()?;
        from.skip(2)?;
        let flags = from.u16()?;
        let header = Header::peek(from.rest()).ok_or(Code::BfcMsgBadLen)?;
        let len = usize::from(header.length);
        if len < Header::LEN {
            return Err(Code::BfcMsgBadLen);
        }
        let message = from.or(Code::BfcMsgBadLen).bytes(len)?;
        Ok(Self { id, flags, message })
    }
}

/// A mapping of a tunnel option to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlvMap {
    /// The option's class.
    pub class: u16,
    /// Its type.
    pub kind: u8,
    /// Its length in bytes.
    pub len: u8,
    /// The field: `tun_metadata` *index*.
    pub index: u16,
}

/// What to do with the map of tunnel options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlvCommand {
    /// Add these.
    Add,
    /// Remove these.
    Delete,
    /// Remove all.
    Clear,
}

/// Reads a request to change the map of tunnel options.
///
/// # Errors
///
/// If it is too short, or no such request.
pub fn decode_tlv_mod(body: &[u8]) -> Result<(TlvCommand, Vec<TlvMap>), Code> {
    let mut from = Cursor::new(body);
    let command = match from.u16()? {
        0 => TlvCommand::Add,
        1 => TlvCommand::Delete,
        2 => TlvCommand::Clear,
        _ => return Err(Code::NxttmfcBadCommand),
    };
    from.skip(6)?;
    let mut maps = Vec::new();
    while !from.is_empty() {
        let map =
            TlvMap { class: from.u16()?, kind: from.u8()?, len: from.u8()?, index: from.u16()? };
        from.skip(2)?;
        if !map.len.is_multiple_of(4) || map.len > 124 || map.len == 0 && command == TlvCommand::Add
        {
            return Err(Code::NxttmfcBadOptLen);
        }
        if map.index >= 64 {
            return Err(Code::NxttmfcBadFieldIdx);
        }
        maps.push(map);
    }
    Ok((command, maps))
}

/// Writes the body of a reply with the map of tunnel options.
pub fn encode_tlv_reply(out: &mut Vec<u8>, max_space: u32, maps: &[TlvMap]) {
    out.put32(max_space);
    out.put16(64);
    out.zeros(10);
    for map in maps {
        out.put16(map.class);
        out.put8(map.kind);
        out.put8(map.len);
        out.put16(map.index);
        out.zeros(2);
    }
}

/// Reads a number of 32 bits that is a whole message: formats.
///
/// # Errors
///
/// If it is too short.
pub fn decode_u32(body: &[u8]) -> Result<u32, Code> {
    Cursor::new(body).u32()
}

/// Reads a number of 16 bits behind six zeros: a controller's number, a zone.
///
/// # Errors
///
/// If it is too short, or there is something else than zeros.
pub fn decode_u16_after_zeros(body: &[u8]) -> Result<u16, Code> {
    let mut from = Cursor::new(body);
    from.zeros(6, Code::NxbrcMustBeZero)?;
    from.u16()
}

/// The header of a reply to a request, with the body that `body` writes.
pub fn reply(version: Version, ty: u8, xid: u32, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    Header::begin(&mut out, version, ty, xid);
    body(&mut out);
    Header::end(&mut out, 0);
    out
}

/// The same for a reply of Nicira's.
pub fn reply_nicira(
    version: Version,
    subtype: u32,
    xid: u32,
    body: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    experimenter::begin(&mut out, version, subtype, xid);
    body(&mut out);
    Header::end(&mut out, 0);
    out
}
