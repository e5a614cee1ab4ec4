//! What a port makes of VLANs (for NORMAL).
//!
//! | mode | takes in | sends out |
//! |---|---|---|
//! | access *v* | untagged and priority-tagged, as *v* | *v*, without any tag; floods of it that carry no customer's VLAN |
//! | trunk | tagged with one of its VLANs; untagged as VLAN 0 if that is one of them | tagged |
//! | native-tagged *v* | like a trunk; untagged as *v*, so nothing is VLAN 0 | tagged, *v* too |
//! | native-untagged *v* | like a trunk; untagged as *v*, so nothing is VLAN 0 | tagged, *v* untagged |
//! | dot1q-tunnel *v* | all, as *v*, if the customer's VLAN is allowed | *v*, without the outer tag; floods of customers' VLANs that are allowed |

/// A set of VLAN ids, 0 to 4095.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VlanSet(Box<[u64; 64]>);

impl VlanSet {
    /// All VLANs.
    #[must_use]
    pub fn all() -> Self {
        Self(Box::new([u64::MAX; 64]))
    }

    /// Whether a VLAN is in it.
    #[must_use]
    pub fn has(&self, vlan: u16) -> bool {
        self.0.get(usize::from(vlan / 64)).is_some_and(|word| word >> (vlan % 64) & 1 != 0)
    }
}

impl FromIterator<u16> for VlanSet {
    /// The VLANs of an iterator; numbers above 4095 are left out.
    fn from_iter<I: IntoIterator<Item = u16>>(vlans: I) -> Self {
        let mut set = Self(Box::new([0; 64]));
        for vlan in vlans {
            if let Some(word) = set.0.get_mut(usize::from(vlan / 64)) {
                *word |= 1 << (vlan % 64);
            }
        }
        set
    }
}

/// What a port makes of VLANs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VlanMode {
    /// Belongs to one VLAN, untagged.
    Access(u16),
    /// Carries these, tagged.
    Trunk(VlanSet),
    /// A trunk whose untagged packets belong to `tag`, which goes out tagged.
    NativeTagged {
        /// The native VLAN.
        tag: u16,
        /// VLANs it carries beside.
        trunks: VlanSet,
    },
    /// All packets belong to `tag`, whatever tag of the customer they carry: it is carried inside
    /// (802.1ad).
    Dot1qTunnel {
        /// The provider's VLAN.
        tag: u16,
        /// Customer VLANs that are taken; `None`: all.
        cvlans: Option<VlanSet>,
        /// Ethertype of the outer tag elsewhere.
        ethertype: u16,
    },
    /// A trunk whose untagged packets belong to `tag`, which goes out untagged.
    NativeUntagged {
        /// The native VLAN.
        tag: u16,
        /// VLANs it carries beside.
        trunks: VlanSet,
    },
}

impl Default for VlanMode {
    /// A trunk of all VLANs: what a port is of which nothing is said.
    fn default() -> Self {
        Self::Trunk(VlanSet::all())
    }
}

impl VlanMode {
    /// Whether the port carries this VLAN with that of a customer in it (0: none).
    #[must_use]
    pub fn carries(&self, vlan: u16, customer: u16) -> bool {
        match self {
            Self::Access(own) => *own == vlan && customer == 0,
            Self::Dot1qTunnel { tag, .. } => *tag == vlan && self.input(customer).is_some(),
            Self::Trunk(trunks) => trunks.has(vlan),
            // What has no VLAN of its own is in the native one.
            Self::NativeTagged { tag, trunks } | Self::NativeUntagged { tag, trunks } => {
                *tag == vlan || vlan != 0 && trunks.has(vlan)
            }
        }
    }

    /// Whether it hangs on the customer's VLAN that the port carries this one.
    #[must_use]
    pub fn asks_for_customer(&self, vlan: u16) -> bool {
        matches!(self, Self::Access(own) | Self::Dot1qTunnel { tag: own, .. } if *own == vlan)
    }

    /// The VLAN that a packet with this VID belongs to (0: untagged or priority-tagged); `None` if
    /// the port does not take it.
    #[must_use]
    pub fn input(&self, vid: u16) -> Option<u16> {
        match self {
            Self::Access(own) => (vid == 0).then_some(*own),
            Self::Dot1qTunnel { tag, cvlans, .. } => {
                cvlans.as_ref().is_none_or(|cvlans| cvlans.has(vid)).then_some(*tag)
            }
            Self::Trunk(trunks) => trunks.has(vid).then_some(vid),
            Self::NativeTagged { tag, .. } | Self::NativeUntagged { tag, .. } => {
                let vlan = if vid == 0 { *tag } else { vid };
                self.carries(vlan, 0).then_some(vlan)
            }
        }
    }

    /// The VID in the tag with which a packet of this VLAN leaves; `None`: without its tag. VID 0
    /// makes a tag only of a packet that has a priority.
    #[must_use]
    pub fn output(&self, vlan: u16) -> Option<u16> {
        match self {
            Self::Access(_) | Self::Dot1qTunnel { .. } => None,
            Self::NativeUntagged { tag, .. } if *tag == vlan => None,
            _ => Some(vlan),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{VlanMode, VlanSet};

    #[test]
    fn modes_do_as_their_table_says() {
        let some: VlanSet = [10, 20].into_iter().collect();
        let access = VlanMode::Access(10);
        assert_eq!((access.input(0), access.input(10), access.output(10)), (Some(10), None, None));
        let trunk = VlanMode::Trunk(some.clone());
        assert_eq!((trunk.input(0), trunk.input(10), trunk.input(30)), (None, Some(10), None));
        assert_eq!((VlanMode::default().input(0), trunk.output(20)), (Some(0), Some(20)));
        let tagged = VlanMode::NativeTagged { tag: 5, trunks: some.clone() };
        assert_eq!(
            (tagged.input(0), tagged.input(5), tagged.output(5)),
            (Some(5), Some(5), Some(5))
        );
        let untagged = VlanMode::NativeUntagged { tag: 5, trunks: some.clone() };
        assert_eq!((untagged.input(0), untagged.output(5)), (Some(5), None));
        assert_eq!(untagged.output(20), Some(20));
        assert!(!untagged.carries(6, 0) && !access.carries(5000, 0));
        assert!(access.carries(10, 0) && !access.carries(10, 7), "no customer's VLAN");
        let all = VlanMode::NativeTagged { tag: 5, trunks: VlanSet::all() };
        assert!(all.carries(6, 0) && !all.carries(0, 0), "untagged is 5 there");
        let tunnel = VlanMode::Dot1qTunnel { tag: 5, cvlans: Some(some), ethertype: 0 };
        assert!(tunnel.carries(5, 10) && !tunnel.carries(5, 0) && !tunnel.carries(6, 10));
    }
}
