//! Tables: changes of their settings, descriptions, statistics.

use super::wire::{Cursor, Put};
use super::{Code, Version};
use crate::table::INTERNAL_TABLE;

/// Settings of a table on the wire.
pub mod config {
    /// OpenFlow 1.1 and 1.2: what a miss does; the packet goes to the controller.
    pub const MISS_CONTROLLER: u32 = 0;
    /// The packet goes on in the next table.
    pub const MISS_CONTINUE: u32 = 1;
    /// The packet is dropped.
    pub const MISS_DROP: u32 = 2;
    /// OpenFlow 1.4: rules make room for others.
    pub const EVICTION: u32 = 1 << 2;
    /// OpenFlow 1.4: controllers are told how full it is.
    pub const VACANCY: u32 = 1 << 3;
}

/// A table, or all of them.
pub const ALL_TABLES: u8 = 0xff;

/// Vacancy thresholds in per cent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vacancy {
    /// An event when less than this is free.
    pub down: u8,
    /// An event when more than this is free again.
    pub up: u8,
    /// What is free.
    pub vacancy: u8,
}

/// Why a table's status is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusReason {
    /// Little is free.
    VacancyDown = 3,
    /// There is room again.
    VacancyUp = 4,
}

/// A request to change a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableMod {
    /// Which; [`ALL_TABLES`]: all.
    pub table: u8,
    /// [`config`].
    pub config: u32,
    /// Which rules are evicted first (OpenFlow 1.4: other 1, importance 2, lifetime 4).
    pub eviction: Option<u32>,
    /// Vacancy thresholds.
    pub vacancy: Option<Vacancy>,
}

impl TableMod {
    /// Reads the body of a message.
    ///
    /// # Errors
    ///
    /// If it is too short, or says what the version does not know.
    pub fn decode(version: Version, body: &[u8]) -> Result<Self, Code> {
        let mut from = Cursor::new(body);
        let table = from.u8()?;
        from.skip(3)?;
        let config = from.u32()?;
        let known = match version {
            Version::V14 | Version::V15 => config::EVICTION | config::VACANCY,
            _ => 3,
        };
        if config & !known != 0 || version < Version::V13 && config & 3 == 3 {
            return Err(Code::TmfcBadConfig);
        }
        let mut table_mod = Self { table, config, eviction: None, vacancy: None };
        if version >= Version::V14 {
            while let Some((ty, value)) = from.property()? {
                let mut value = value.or(Code::BpcBadLen);
                match ty {
                    2 => table_mod.eviction = Some(value.u32()?),
                    3 => {
                        let (down, up) = (value.u8()?, value.u8()?);
                        value.skip(2)?;
                        if down > up {
                            return Err(Code::BpcBadValue);
                        }
                        table_mod.vacancy = Some(Vacancy { down, up, vacancy: 0 });
                    }
                    _ => return Err(Code::BpcBadType),
                }
            }
        }
        Ok(table_mod)
    }

    /// Writes the body of a message.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        out.put8(self.table);
        out.zeros(3);
        out.put32(self.config);
        if version >= Version::V14 {
            put_properties(out, self.eviction, self.vacancy);
        }
    }

    /// Writes the body of a table status.
    pub fn encode_status(&self, out: &mut Vec<u8>, reason: StatusReason) {
        out.put8(reason as u8);
        out.zeros(7);
        self.encode_desc(out);
    }

    /// Writes it as an entry of a description, or of a table status.
    pub fn encode_desc(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.put16(0);
        out.put8(self.table);
        out.put8(0);
        out.put32(self.config);
        put_properties(out, self.eviction, self.vacancy);
        out.put_len(start, 0);
    }
}

fn put_properties(out: &mut Vec<u8>, eviction: Option<u32>, vacancy: Option<Vacancy>) {
    if let Some(flags) = eviction {
        let at = out.begin_property(2);
        out.put32(flags);
        out.end_property(at);
    }
    if let Some(vacancy) = vacancy {
        let at = out.begin_property(3);
        out.put(&[vacancy.down, vacancy.up, vacancy.vacancy, 0]);
        out.end_property(at);
    }
}

/// Statistics of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableStats {
    /// Which.
    pub table: u8,
    /// Its name.
    pub name: String,
    /// What a miss does, as [`config`].
    pub config: u32,
    /// Rules that it may hold.
    pub max_entries: u32,
    /// Rules that it holds.
    pub active: u32,
    /// Packets looked up.
    pub lookups: u64,
    /// Packets that found a rule.
    pub matched: u64,
}

impl TableStats {
    /// Writes one entry of a reply.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        // From the last table there is none to go to.
        let last = self.table + 1 >= INTERNAL_TABLE;
        let instructions = if last { 0x3c } else { 0x3e };
        out.put8(self.table);
        match version {
            Version::V10 => {
                out.zeros(3);
                out.put_text(&self.name, 32);
                out.put32(0x003f_ffff);
            }
            Version::V11 => {
                out.zeros(7);
                out.put_text(&self.name, 32);
                for bits in [MATCH11, MATCH11, instructions, ACTIONS11, ACTIONS11, self.config] {
                    out.put32(bits);
                }
            }
            Version::V12 => {
                out.zeros(7);
                out.put_text(&self.name, 32);
                out.put64(MATCH12);
                out.put64(MATCH12);
                out.put32(ACTIONS12);
                out.put32(ACTIONS12);
                for bits in [SET12, SET12, u64::MAX, u64::MAX] {
                    out.put64(bits);
                }
                out.put32(instructions);
                out.put32(self.config);
            }
            _ => {
                out.zeros(3);
                out.put32(self.active);
                out.put64(self.lookups);
                return out.put64(self.matched);
            }
        }
        out.put32(self.max_entries);
        out.put32(self.active);
        out.put64(self.lookups);
        out.put64(self.matched);
    }
}

/// All wildcards and fields of OpenFlow 1.1.
const MATCH11: u32 = 0xfbff;
/// All actions of OpenFlow 1.1 but those that copy TTLs.
const ACTIONS11: u32 = 0x01ff_e7ff;
/// All fields of OpenFlow 1.2.
const MATCH12: u64 = 0x0f_ffff_ffff;
/// Its actions.
const ACTIONS12: u32 = 0x03ff_8001;
/// The fields that `set_field` writes.
const SET12: u64 = 0x0f_ffff_fbdd;
