//! Flows of one packet: what a trace is told.
//!
//! They are written as matches are, but are read strictly in their order and say values, not sets of
//! them. A field stands behind those that give it its meaning, under the very name that it has there
//! (`tp_src` is TCP's), is said once and has no mask. So a slip of the pen is not traced as if it were
//! another packet.

use dp_core::flow::fields::Prereq;
use dp_core::flow::{FieldId, Wide, layout};
use thiserror::Error;

use super::error::TextError;
use super::match_print::PROTOCOLS;
use super::matching::parse_match;
use super::names::PortNames;
use super::piece::{Item, Piece};
use super::value::{full_mask, parse_wide};
use crate::matching::{Match, prereq};

/// Why a line is not the flow of one packet.
#[derive(Debug, Error)]
pub enum ExactError {
    /// No such field.
    #[error("unknown field {0}")]
    Unknown(String),
    /// The field has no meaning in such a packet as far as it has been described.
    #[error("prerequisites not met for setting {0}")]
    Prerequisites(String),
    /// A field that has its value already.
    #[error("field {0} set multiple times")]
    Twice(String),
    /// Two words for protocols.
    #[error("Ethernet type set multiple times")]
    TwoTypes,
    /// Two protocols of IP.
    #[error("network protocol set multiple times")]
    TwoProtocols,
    /// A value with a mask.
    #[error("bad value for {0} ({1}: wildcards not allowed here)")]
    Masked(String, String),
    /// The line is no match at all.
    #[error(transparent)]
    Text(#[from] TextError),
}

/// Reads the flow of one packet: `tcp,nw_src=10.0.0.1,tcp_dst=80`.
///
/// # Errors
///
/// What is wrong.
pub fn parse_exact(text: &str, names: &dyn PortNames) -> Result<Match, ExactError> {
    let line = Piece::line(text);
    let mut rest = line;
    loop {
        // What has been said up to here. Lines are short: reading them again is cheap.
        let said = parse_match(line.slice(0, text.len() - rest.text.len()).text, names)?;
        let Some(item) = rest.next_item()? else { return Ok(said) };
        check(&item, &said, names)?;
    }
}

fn check(item: &Item<'_>, said: &Match, names: &dyn PortNames) -> Result<(), ExactError> {
    let (key, mask) = said.expand();
    let name = item.key.text;
    // A packet without an Ethernet header has its type elsewhere.
    let bare = key.load(layout::PACKET_TYPE) != 0;
    if let Some((_, proto, _)) = PROTOCOLS.iter().find(|row| row.2 == name) {
        return match proto {
            _ if key.eth_type() != 0 && !bare => Err(ExactError::TwoTypes),
            Some(_) if key.nw_proto() != 0 => Err(ExactError::TwoProtocols),
            _ => Ok(()),
        };
    }
    let known = FieldId::by_name(name).or_else(|| FieldId::by_oxm_name(name));
    let Some(id) = known.filter(|_| name != "eth") else {
        let spelled = ["gtpu_flags", "gtpu_msgtype"].contains(&name);
        return if spelled { Ok(()) } else { Err(ExactError::Unknown(name.to_owned())) };
    };
    let field = id.field();
    if !bare && field.prereq != Prereq::Ethernet && !prereq::met(field.prereq, &key, &mask) {
        return Err(ExactError::Prerequisites(name.to_owned()));
    }
    if !bare && !key.get_wide(id).is_zero() {
        return Err(ExactError::Twice(name.to_owned()));
    }
    // VIDs have values that say more than the field: that there is a tag, or none.
    let vids = [FieldId::DlVlan, FieldId::VlanVid];
    if !vids.contains(&id)
        && let Some((_, value)) = item.value
    {
        let (_, mask) = parse_wide(field, value, names)?;
        let wide = id.tun_metadata_number().is_some();
        if mask != (if wide { Wide::ONES } else { full_mask(field).into() }) {
            return Err(ExactError::Masked(name.to_owned(), value.text.to_owned()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse_exact;
    use crate::text::NumbersOnly;

    fn refusal(text: &str) -> String {
        parse_exact(text, &NumbersOnly).expect_err(text).to_string()
    }

    #[test]
    fn what_gives_a_field_its_meaning_stands_before_it() {
        for text in [
            "tcp,tp_src=5",
            "ip,nw_proto=17,udp_src=5",
            "in_port=1,dl_type=0x0800,nw_proto=6,tp_dst=5,tcp_flags=syn|ack",
            "icmp6,icmpv6_type=135,nd_target=::1",
            "dl_vlan=5,dl_vlan_pcp=3,arp,arp_op=1,arp_spa=1.2.3.4",
            "ct_state=new|trk,ip,nw_src=1.2.3.4",
            "ip,ip_frag=first",
            "tun_id=5,reg0=6,metadata=7,recirc_id=0",
            "packet_type=(1,0x800),nw_src=1.2.3.4",
            "",
        ] {
            assert!(parse_exact(text, &NumbersOnly).is_ok(), "{text}");
        }
        for (text, field) in [
            ("udp,tp_src=5", "tp_src"),
            ("nw_proto=6,ip", "nw_proto"),
            ("icmp6,icmp_type=1", "icmp_type"),
            ("dl_type=0x0806,nw_proto=1", "nw_proto"),
            ("icmp6,nd_target=::1", "nd_target"),
        ] {
            assert_eq!(refusal(text), format!("prerequisites not met for setting {field}"));
        }
    }

    #[test]
    fn a_field_is_said_once_and_whole() {
        assert_eq!(refusal("in_port=1,in_port=2"), "field in_port set multiple times");
        assert_eq!(refusal("udp,nw_proto=6"), "field nw_proto set multiple times");
        assert_eq!(refusal("ip,tcp"), "Ethernet type set multiple times");
        let masked = "bad value for reg0 (5/1: wildcards not allowed here)";
        assert_eq!(refusal("reg0=5/1"), masked);
        let some = "bad value for ct_state (+trk: wildcards not allowed here)";
        assert_eq!(refusal("ct_state=+trk"), some);
        let any = "bad value for ip_frag (yes: wildcards not allowed here)";
        assert_eq!(refusal("ip,ip_frag=yes"), any);
        assert_eq!(refusal("foo=1"), "unknown field foo");
        assert_eq!(refusal("eth"), "unknown field eth");
    }
}
