//! Continuity check messages (IEEE 802.1ag, section 21.6), and their extended form.
//!
//! ```text
//!   0  level and version │ opcode │ flags │ first TLV (70)
//!   4  sequence number
//!   8  maintenance point (16 bits)
//!  10  maintenance association, 48 bytes
//!  58  16 bytes that ITU-T Y.1731 uses; extended: interval in ms, maintenance point (64 bits),
//!      operational state, 5 bytes of zero
//!  74  end of TLVs
//! ```

use dp_core::base::MacAddr;

/// Ethertype of the messages.
pub const ETH_TYPE: u16 = 0x8902;
/// Where the messages go.
pub const DST: MacAddr = MacAddr::new(0x01, 0x80, 0xc2, 0x00, 0x00, 0x30);
/// Where those of the extended form go, out of the way of strict implementations.
pub const DST_EXTENDED: MacAddr = MacAddr::new(0x01, 0x23, 0x20, 0x00, 0x00, 0x30);
/// Bytes of a message.
pub const LEN: usize = 75;

const OPCODE_CCM: u8 = 1;
const FIRST_TLV: u8 = 70;
const RDI: u8 = 0x80;
/// Domain "ovs", association "ovs", both as character strings.
const MAID: [u8; 10] = [4, 3, b'o', b'v', b's', 2, 3, b'o', b'v', b's'];

/// A continuity check message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ccm {
    /// Sequence number.
    pub seq: u32,
    /// The sender. Without the extended form 16 bits count.
    pub mpid: u64,
    /// The sender does not hear others.
    pub rdi: bool,
    /// Code of the interval (802.1ag table 21-16); 0 in the extended form.
    pub interval_code: u8,
    /// Extended form only: what the 16 bytes hold.
    pub extended: Option<Extended>,
}

/// What the extended form adds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extended {
    /// Interval in milliseconds.
    pub interval: u16,
    /// The sender is not to be forwarded to.
    pub opdown: bool,
}

/// Why a message is none, or not for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CcmError {
    /// Shorter than a message.
    #[error("is truncated")]
    Truncated,
    /// Something else than a continuity check.
    #[error("has opcode {0}, not a continuity check's")]
    Opcode(u8),
    /// From another association.
    #[error("is from another maintenance association")]
    Association,
}

impl Ccm {
    /// Reads a message from what follows the Ethertype.
    ///
    /// # Errors
    ///
    /// [`CcmError`].
    pub fn parse(payload: &[u8], extended: bool) -> Result<Self, CcmError> {
        let Some(bytes) = payload.first_chunk::<LEN>() else { return Err(CcmError::Truncated) };
        if bytes[1] != OPCODE_CCM {
            return Err(CcmError::Opcode(bytes[1]));
        }
        if !bytes[10..].starts_with(&MAID) || bytes[20..58].iter().any(|&byte| byte != 0) {
            return Err(CcmError::Association);
        }
        let mut long = [0; 8];
        long.copy_from_slice(&bytes[60..68]);
        Ok(Self {
            seq: u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
            mpid: if extended {
                u64::from_be_bytes(long)
            } else {
                u64::from(u16::from_be_bytes([bytes[8], bytes[9]]))
            },
            rdi: bytes[2] & RDI != 0,
            interval_code: bytes[2] & 7,
            extended: extended.then(|| Extended {
                interval: u16::from_be_bytes([bytes[58], bytes[59]]),
                opdown: bytes[68] != 0,
            }),
        })
    }

    /// The bytes of the message.
    #[must_use]
    pub fn emit(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[1] = OPCODE_CCM;
        bytes[2] = self.interval_code & 7 | if self.rdi { RDI } else { 0 };
        bytes[3] = FIRST_TLV;
        bytes[4..8].copy_from_slice(&self.seq.to_be_bytes());
        bytes[10..20].copy_from_slice(&MAID);
        let short = match self.extended {
            None => self.mpid as u16,
            Some(extended) => {
                bytes[58..60].copy_from_slice(&extended.interval.to_be_bytes());
                bytes[60..68].copy_from_slice(&self.mpid.to_be_bytes());
                bytes[68] = u8::from(extended.opdown);
                folded(self.mpid)
            }
        };
        bytes[8..10].copy_from_slice(&short.to_be_bytes());
        bytes
    }
}

/// A number that a strict receiver has no maintenance point for, since ids end at 8191.
const fn folded(mpid: u64) -> u16 {
    let folded = mpid ^ mpid >> 16 ^ mpid >> 32 ^ mpid >> 48;
    0x8000 | folded as u16
}
