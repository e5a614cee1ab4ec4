//! `NXT_CT_FLUSH`: which connections are to be forgotten.

use std::net::Ipv6Addr;

use super::Code;
use super::wire::Cursor;

/// One direction of a connection, as far as it is said. IPv4 addresses are IPv4-mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuple {
    /// Source address.
    pub src: Option<Ipv6Addr>,
    /// Destination address.
    pub dst: Option<Ipv6Addr>,
    /// Source port.
    pub src_port: Option<u16>,
    /// Destination port.
    pub dst_port: Option<u16>,
    /// ICMP id.
    pub icmp_id: Option<u16>,
    /// ICMP type.
    pub icmp_type: Option<u8>,
    /// ICMP code.
    pub icmp_code: Option<u8>,
}

/// Which connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CtFlush {
    /// Those of a zone.
    pub zone: Option<u16>,
    /// Those of an IP protocol; 0: of any.
    pub ip_proto: u8,
    /// Those whose original direction is so.
    pub orig: Tuple,
    /// Those whose reply direction is so.
    pub reply: Tuple,
    /// Those with this mark under a mask.
    pub mark: Option<(u32, u32)>,
    /// Those with this label under a mask.
    pub label: Option<(u128, u128)>,
}

impl CtFlush {
    /// Reads the body behind the subtype.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn decode(body: &[u8]) -> Result<Self, Code> {
        let mut from = Cursor::new(body);
        let mut out = Self { ip_proto: from.u8()?, ..Self::default() };
        from.zeros(7, Code::NxbrcMustBeZero)?;
        let (mut mark, mut mark_mask, mut label, mut label_mask) = (None, None, None, None);
        while let Some((ty, value)) = from.property()? {
            let mut value = value.or(Code::BpcBadLen);
            match ty {
                0 => out.orig = Tuple::decode(value)?,
                1 => out.reply = Tuple::decode(value)?,
                2 => out.zone = Some(value.u16()?),
                3 => mark = Some(value.u32()?),
                4 => mark_mask = Some(value.u32()?),
                5 => label = Some(value.u128()?),
                6 => label_mask = Some(value.u128()?),
                _ => return Err(Code::BpcBadType),
            }
        }
        out.mark = mark.map(|mark| (mark, mark_mask.unwrap_or(u32::MAX)));
        out.label = label.map(|label| (label, label_mask.unwrap_or(u128::MAX)));
        Ok(out)
    }

    /// Whether only a zone is said, or nothing.
    #[must_use]
    pub fn is_coarse(&self) -> bool {
        *self == Self { zone: self.zone, ..Self::default() }
    }
}

impl Tuple {
    fn decode(value: Cursor<'_>) -> Result<Self, Code> {
        let mut from = value;
        let mut out = Self::default();
        from.zeros(4.min(from.len()), Code::NxbrcMustBeZero)?;
        while let Some((ty, value)) = from.property()? {
            let mut value = value.or(Code::BpcBadLen);
            match ty {
                0 | 1 => {
                    let ip = Some(Ipv6Addr::from(value.u128()?));
                    if ty == 0 { out.src = ip } else { out.dst = ip }
                }
                2 => out.src_port = Some(value.u16()?),
                3 => out.dst_port = Some(value.u16()?),
                4 => out.icmp_id = Some(value.u16()?),
                5 => out.icmp_type = Some(value.u8()?),
                6 => out.icmp_code = Some(value.u8()?),
                _ => return Err(Code::BpcBadType),
            }
        }
        Ok(out)
    }
}
