//! Headers of the tunnels whose inner packet is a frame or an IP packet.
//!
//! They carry no checksum of their own but GRE's, so that a tunnelled packet is simply more layers.

use super::{Place, checksum, internet_sum, joined, put_checksum};

/// A VXLAN header (RFC 7348 §5), inside UDP to port 4789.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vxlan {
    /// Flags; `0x08` says that the identifier is there.
    pub flags: u8,
    /// The 24 bits between flags and identifier, which extensions use.
    pub reserved: u32,
    /// Network identifier, 24 bits.
    pub vni: u32,
    /// The last octet, which extensions use.
    pub last: u8,
}

impl Vxlan {
    /// A plain header.
    #[must_use]
    pub fn new(vni: u32) -> Self {
        Self { flags: 0x08, reserved: 0, vni, last: 0 }
    }

    pub(super) fn encode(&self, body: &[u8]) -> Vec<u8> {
        let first = u32::from(self.flags) << 24 | self.reserved & 0xff_ffff;
        let second = self.vni << 8 | u32::from(self.last);
        joined([first.to_be_bytes(), second.to_be_bytes()].concat(), body)
    }
}

/// A Geneve header (RFC 8926 §3.4), inside UDP to port 6081.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geneve {
    /// Network identifier, 24 bits.
    pub vni: u32,
    /// A control packet.
    pub control: bool,
    /// The critical bit; `None` is whether an option's type has its upper bit set.
    pub critical: Option<bool>,
    /// Options: class, type (upper bit: critical), value of whole words.
    pub options: Vec<(u16, u8, Vec<u8>)>,
    /// The protocol field; `None` is what the next layer is.
    pub ethertype: Option<u16>,
    /// The option length field in words; `None` is the right one.
    pub option_words: Option<u8>,
    /// The version field, two bits.
    pub version: u8,
}

impl Geneve {
    /// A header without options.
    #[must_use]
    pub fn new(vni: u32) -> Self {
        Self {
            vni,
            control: false,
            critical: None,
            options: Vec::new(),
            ethertype: None,
            option_words: None,
            version: 0,
        }
    }

    pub(super) fn encode(&self, place: &Place<'_>, body: &[u8]) -> Vec<u8> {
        let mut options = Vec::new();
        for (class, kind, value) in &self.options {
            let mut value = value.clone();
            value.resize(value.len().next_multiple_of(4), 0);
            options.extend(class.to_be_bytes());
            options.extend([*kind, (value.len() / 4) as u8 & 0x1f]);
            options.extend(value);
        }
        let any_critical = self.options.iter().any(|(_, kind, _)| kind & 0x80 != 0);
        let critical = self.critical.unwrap_or(any_critical);
        let words = self.option_words.unwrap_or((options.len() / 4) as u8);
        let mut octets = vec![
            self.version << 6 | words & 0x3f,
            u8::from(self.control) << 7 | u8::from(critical) << 6,
        ];
        octets.extend(self.ethertype.unwrap_or(place.inner_ethertype()).to_be_bytes());
        octets.extend((self.vni << 8).to_be_bytes());
        octets.extend(options);
        joined(octets, body)
    }
}

/// A GRE header (RFC 2784, RFC 2890).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gre {
    /// With a checksum over header and payload.
    pub checksum: bool,
    /// Key.
    pub key: Option<u32>,
    /// Sequence number.
    pub sequence: Option<u32>,
    /// The protocol field; `None` is what the next layer is.
    pub ethertype: Option<u16>,
}

impl Gre {
    pub(super) fn encode(&self, place: &Place<'_>, body: &[u8]) -> Vec<u8> {
        let flags = u16::from(self.checksum) << 15
            | u16::from(self.key.is_some()) << 13
            | u16::from(self.sequence.is_some()) << 12;
        let ethertype = self.ethertype.unwrap_or(place.inner_ethertype());
        let mut octets = [flags.to_be_bytes(), ethertype.to_be_bytes()].concat();
        if self.checksum {
            octets.extend([0; 4]);
        }
        for word in [self.key, self.sequence].into_iter().flatten() {
            octets.extend(word.to_be_bytes());
        }
        octets.extend(body);
        if self.checksum {
            let right = checksum::finish(internet_sum(0, &octets));
            put_checksum(&mut octets, 4, right);
        }
        octets
    }
}
