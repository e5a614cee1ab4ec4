//! NetFlow version 5 on the wire: a head of 24 bytes, and up to 30 records of 48.
//!
//! ```text
//!   head    version 5 | count | uptime | seconds | nanoseconds | sequence | engine | sampling
//!   record  src | dst | next hop | in | out | packets | bytes | first | last | ports …
//! ```

use dp_core::base::{Duration, Instant};

use super::{Config, Record};
use crate::export::bytes::{Put, low32};

/// Records of a datagram at most.
pub(super) const RECORDS: usize = 30;

/// A datagram; `sequence` counts the records of all datagrams before.
pub(super) fn write(
    config: &Config,
    records: &[Record],
    sequence: u32,
    boot: Instant,
    now: Instant,
    unix: Duration,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(24 + 48 * records.len());
    let since = |at: Instant| low32(u64::try_from(at.since(boot).as_millis()).unwrap_or(0));
    out.u16(5);
    out.u16(u16::try_from(records.len()).unwrap_or(0));
    out.u32(since(now));
    out.u32(low32(unix.as_secs()));
    out.u32(unix.subsec_nanos());
    out.u32(sequence);
    out.u8(config.engine_type);
    out.u8(config.engine_id);
    out.u16(0);
    for record in records {
        let interface = |number: u16| match config.add_id_to_interface {
            true => u16::from(config.engine_id & 0x7f) << 9 | number & 0x1ff,
            false => number,
        };
        out.bytes(&record.id.src.octets());
        out.bytes(&record.id.dst.octets());
        out.u32(0);
        out.u16(interface(record.id.input));
        out.u16(interface(record.output));
        out.u32(record.packets);
        out.u32(record.bytes);
        out.u32(since(record.first));
        out.u32(since(record.last));
        out.u16(record.id.src_port);
        out.u16(record.id.dst_port);
        out.u8(0);
        out.u8(record.tcp_flags);
        out.u8(record.id.protocol);
        out.u8(record.id.tos);
        // Autonomous systems and lengths of prefixes are not known.
        out.u32(0);
        out.u32(0);
    }
    out
}
