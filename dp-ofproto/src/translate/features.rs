//! What translation may ask of the datapath.
//!
//! Ours can do all of it; an operator may say that it shall not be asked for something
//! (`dpif/set-dp-features`), as though it stood in for one that cannot.

use dp_core::flow::VlanLimit;

/// What the datapath can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// `clone`: run a list on a copy.
    pub clone: bool,
    /// How deep samples may nest; where there is no clone, a sample of everything does as well.
    pub sample_nesting: u8,
    /// `trunc`: cut copies.
    pub trunc: bool,
    /// `check_pkt_len`: go on by length.
    pub check_pkt_len: bool,
    /// `ct_clear`: forget the connection.
    pub ct_clear: bool,
    /// Headers can be written in part; they are written whole otherwise.
    pub masked_sets: bool,
    /// The best hash: 0 over L4, 1 the same in both directions.
    pub max_hash: u8,
    /// `drop` actions that say why.
    pub explicit_drop: bool,
    /// `lb_output`: the datapath chooses a bond's member.
    pub lb_output: bool,
    /// How often a packet may come back; one that would once more is dropped.
    pub recirculations: u8,
    /// How deep it looks at VLAN tags.
    pub vlan_limit: VlanLimit,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            clone: true,
            sample_nesting: 10,
            trunc: true,
            check_pkt_len: true,
            ct_clear: true,
            masked_sets: true,
            max_hash: 1,
            explicit_drop: true,
            lb_output: true,
            recirculations: 8,
            vlan_limit: VlanLimit::One,
        }
    }
}

impl Features {
    /// Changes one by its name in `dpif/set-dp-features`; `false`: it cannot be changed so.
    pub fn set(&mut self, name: &str, value: &str) -> bool {
        let flag = match value {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        let known = [
            ("clone", &mut self.clone),
            ("trunc", &mut self.trunc),
            ("check_pkt_len", &mut self.check_pkt_len),
            ("ct_clear", &mut self.ct_clear),
            ("masked_set_action", &mut self.masked_sets),
            ("explicit_drop_action", &mut self.explicit_drop),
            ("lb_output_action", &mut self.lb_output),
        ];
        for (known, place) in known {
            if name == known {
                let Some(flag) = flag else { return false };
                *place = flag;
                return true;
            }
        }
        let number = match name {
            "sample_nesting" => &mut self.sample_nesting,
            "max_hash_alg" => &mut self.max_hash,
            _ => return false,
        };
        match value.parse() {
            Ok(value) => {
                *number = value;
                true
            }
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Features;

    #[test]
    fn names_are_those_of_the_command() {
        let mut features = Features::default();
        assert!(features.set("clone", "false") && features.set("max_hash_alg", "0"));
        assert!(!features.clone && features.max_hash == 0);
        assert!(!features.set("clone", "maybe") && !features.set("recirc", "false"));
    }
}
