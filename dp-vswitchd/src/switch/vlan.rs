//! From the VLAN columns of a port to what the bridge makes of them.

use dp_ofproto::bridge::{VlanMode, VlanSet};

use crate::config::PortConfig;

/// The VLAN mode of a port, as `vlan_mode`, `tag` and `trunks` say; without a mode, a port with a
/// tag is an access port and any other a trunk.
pub(super) fn mode(port: &PortConfig) -> VlanMode {
    let tag = port.tag.and_then(|tag| u16::try_from(tag).ok()).filter(|tag| *tag < 4096);
    let trunks = || set(&port.trunks).unwrap_or_else(VlanSet::all);
    match (port.vlan_mode.as_deref(), tag) {
        (Some("access"), tag) => VlanMode::Access(tag.unwrap_or(0)),
        (Some("native-tagged"), tag) => {
            VlanMode::NativeTagged { tag: tag.unwrap_or(0), trunks: trunks() }
        }
        (Some("native-untagged"), tag) => {
            VlanMode::NativeUntagged { tag: tag.unwrap_or(0), trunks: trunks() }
        }
        (Some("dot1q-tunnel"), tag) => VlanMode::Dot1qTunnel {
            tag: tag.unwrap_or(0),
            cvlans: set(&port.cvlans),
            ethertype: match port.other_config.get("qinq-ethtype").map(String::as_str) {
                Some("802.1q" | "0x8100") => 0x8100,
                _ => 0x88a8,
            },
        },
        (None, Some(tag)) => VlanMode::Access(tag),
        (Some(_) | None, _) => VlanMode::Trunk(trunks()),
    }
}

/// The VLANs of a column; `None` where it is empty.
fn set(vlans: &[i64]) -> Option<VlanSet> {
    let numbers = vlans.iter().filter_map(|vlan| u16::try_from(*vlan).ok());
    (!vlans.is_empty()).then(|| numbers.filter(|vlan| *vlan < 4096).collect())
}

#[cfg(test)]
mod tests {
    use dp_ofproto::bridge::VlanMode;

    use super::mode;
    use crate::config::PortConfig;

    #[test]
    fn columns_make_modes() {
        let port = |vlan_mode: Option<&str>, tag, trunks: &[i64]| PortConfig {
            vlan_mode: vlan_mode.map(str::to_owned),
            tag,
            trunks: trunks.to_vec(),
            ..PortConfig::default()
        };
        assert_eq!(mode(&port(None, None, &[])), VlanMode::default());
        assert_eq!(mode(&port(None, Some(5), &[])), VlanMode::Access(5));
        let trunk = mode(&port(Some("trunk"), Some(5), &[1, 2]));
        assert!(trunk.carries(2, 0) && !trunk.carries(5, 0));
        let native = mode(&port(Some("native-untagged"), Some(5), &[1]));
        assert_eq!((native.input(0), native.output(5)), (Some(5), None));
        assert!(matches!(
            mode(&port(Some("native-tagged"), Some(5), &[])),
            VlanMode::NativeTagged { tag: 5, .. }
        ));
    }
}
