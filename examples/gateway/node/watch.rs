//! BFD sessions on interfaces that carry nothing else, and the routes that follow them.
//!
//! A link that is up says little of the router behind it. An uplink that is watched carries routes
//! while its link and all of its sessions are up; a session has an interface of its own, where the
//! tables let control packets and ARP in and nothing else.

use anyhow::Result;
use dp_core::base::{Duration, Instant, MacAddr, OfPort, hash_words};
use dp_ofproto::protocols::bfd::{self, Session};
use dp_ofproto::services::control_packet;
use dp_ofproto::upcall::PacketIn;

use super::Node;
use super::flows::WATCHES;
use super::plan::Watch;

/// How often control packets are sent and expected.
const INTERVAL: Duration = Duration::from_millis(500);

/// A session, and what it said last.
pub(super) struct Watcher {
    session: Session,
    up: bool,
}

fn config(watch: &Watch, peer: Option<MacAddr>) -> bfd::Config {
    let default = bfd::Config::default();
    bfd::Config {
        min_rx: INTERVAL,
        min_tx: INTERVAL,
        src_ip: watch.address,
        dst_ip: watch.peer,
        // Before the peer has told its address, to the one that all sessions listen to.
        local_dst_mac: peer.unwrap_or(default.local_dst_mac),
        ..default
    }
}

/// The sessions of a plan, all down.
pub(super) fn sessions(watches: &[Watch], now: Instant) -> Vec<Watcher> {
    let one = |(place, watch): (u64, &Watch)| {
        let seed = hash_words(&[now.0, watch.mac.to_u64()], place);
        let session = Session::new(&watch.name, watch.mac, config(watch, None), seed, now);
        Watcher { session, up: false }
    };
    (0..).zip(watches).map(one).collect()
}

impl Node {
    /// The session at a port of the node's bridge.
    pub(super) fn watch_at(&self, bridge: &str, port: OfPort) -> Option<&Watch> {
        let place = port.0.checked_sub(WATCHES).filter(|_| bridge == self.bridge.name())?;
        self.plan.watches.get(usize::from(place))
    }

    /// Takes a control packet.
    pub(super) fn hear(&mut self, packet: &PacketIn, now: Instant) {
        let place = packet.in_port.0.checked_sub(WATCHES).map(usize::from);
        let Some(watcher) = place.and_then(|place| self.watchers.get_mut(place)) else { return };
        let Some(received) = control_packet(&packet.frame, 0) else { return };
        if watcher.session.wants(&received) {
            watcher.session.receive(&received, now);
        }
    }

    /// Lets sessions run and say what they have to say; routes follow them. Gives what there is to
    /// tell.
    pub(super) fn watch(&mut self, now: Instant) -> Result<Vec<String>> {
        let (mut frames, mut changed) = (Vec::new(), Vec::new());
        for ((number, watch), watcher) in
            (WATCHES..).zip(&self.plan.watches).zip(&mut self.watchers)
        {
            let peer = self.neighbours.get(&watch.name, watch.peer.into(), now);
            watcher.session.configure(watch.mac, config(watch, peer), 0, now);
            watcher.session.run(0, now);
            if let Some(frame) = watcher.session.send(now) {
                frames.push((number, frame));
            }
            let up = watcher.session.forwarding(now);
            if up != watcher.up {
                watcher.up = up;
                changed.push((watch.name.clone(), watch.uplink.clone(), up));
            }
        }
        for (number, frame) in frames {
            self.send(&self.bridge, OfPort::NONE, &frame, &number.to_string(), now);
        }
        let mut news = Vec::new();
        for (name, uplink, up) in changed {
            news.push(format!("{name}: BFD {}", if up { "up" } else { "down" }));
            self.follow(&uplink)?;
        }
        Ok(news)
    }

    /// Whether all sessions that watch an uplink are up.
    pub(super) fn is_watched_up(&self, uplink: &str) -> bool {
        let mut all = self.plan.watches.iter().zip(&self.watchers);
        all.all(|(watch, watcher)| watch.uplink != uplink || watcher.up)
    }
}
