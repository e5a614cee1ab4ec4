//! What LACP has counted and said at a port, for whoever exports counters.

use dp_core::base::{MacAddr, OfPort};

use super::Services;

/// LACP of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LacpView {
    /// System id of this side.
    pub actor: MacAddr,
    /// System id of the other.
    pub partner: MacAddr,
    /// The key that members share.
    pub key: u16,
    /// Whether this side speaks first.
    pub active: bool,
    /// State of this side, as it was told last.
    pub actor_state: u8,
    /// State of the other.
    pub partner_state: u8,
    /// Messages received.
    pub rx: u64,
    /// Received and not understood.
    pub rx_bad: u64,
    /// Sent.
    pub tx: u64,
}

impl Services {
    /// LACP of a port that speaks it.
    #[must_use]
    pub fn lacp_view(&self, bridge: &str, ofport: OfPort) -> Option<LacpView> {
        let state = self.state();
        state.aggregates.iter().filter(|((of, _), _)| of == bridge).find_map(|(_, aggregate)| {
            let (_, member) = aggregate.lacp.members().find(|(port, _)| *port == ofport)?;
            let (stats, told, partner) = (member.stats(), member.told(), member.partner());
            let config = aggregate.lacp.config();
            Some(LacpView {
                actor: config.id,
                partner: partner.sys_id,
                key: told.key,
                active: config.active,
                actor_state: told.state.bits(),
                partner_state: partner.state.bits(),
                rx: stats.rx_pdus,
                rx_bad: stats.rx_bad,
                tx: stats.tx_pdus,
            })
        })
    }
}
