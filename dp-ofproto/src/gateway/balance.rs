//! Which backend of a service a new connection goes to.
//!
//! Backends on this node go first, if any of them is healthy and the service says so; otherwise all
//! that are healthy share by weight. A client that came before stays with its backend as long as
//! that is healthy and the client was seen within the affinity's time, whatever is nearer now.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use ahash::RandomState;
use dp_core::base::{Duration, Instant};

/// A backend of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it is on this node.
    pub local: bool,
    /// Whether it answers.
    pub healthy: bool,
    /// Its share; 0 takes no new connections.
    pub weight: u16,
}

/// Chooses backends of one service.
#[derive(Clone, Debug)]
pub struct Balancer {
    backends: Vec<Backend>,
    prefer_local: bool,
    affinity: Option<Duration>,
    clients: HashMap<IpAddr, (SocketAddr, Instant), RandomState>,
    limit: usize,
}

/// Clients that are remembered at most, unless said otherwise.
const CLIENTS: usize = 65_536;

impl Balancer {
    /// A service with these backends. With `affinity`, a client keeps its backend that long.
    #[must_use]
    pub fn new(backends: Vec<Backend>, prefer_local: bool, affinity: Option<Duration>) -> Self {
        Self { backends, prefer_local, affinity, clients: HashMap::default(), limit: CLIENTS }
    }

    /// Remembers at most this many clients; those beyond it are balanced anew each time.
    #[must_use]
    pub const fn with_limit(mut self, clients: usize) -> Self {
        self.limit = clients;
        self
    }

    /// A backend's health has changed. `false`: there is none at this address.
    pub fn set_healthy(&mut self, address: SocketAddr, healthy: bool) -> bool {
        let found = self.backends.iter_mut().find(|backend| backend.address == address);
        found.is_some_and(|backend| {
            backend.healthy = healthy;
            true
        })
    }

    /// The backend of a new connection from `client`; `hash` is the connection's.
    pub fn choose(&mut self, client: IpAddr, hash: u32, now: Instant) -> Option<SocketAddr> {
        if let Some(kept) = self.kept(client, now) {
            self.remember(client, kept, now);
            return Some(kept);
        }
        let usable = |backend: &&Backend| backend.healthy && backend.weight > 0;
        let near = |backend: &&Backend| usable(backend) && backend.local;
        let chosen = if self.prefer_local && self.backends.iter().any(|it| near(&it)) {
            pick(self.backends.iter().filter(near), hash)
        } else {
            pick(self.backends.iter().filter(usable), hash)
        };
        if let Some(chosen) = chosen {
            self.remember(client, chosen, now);
        }
        chosen
    }

    fn kept(&self, client: IpAddr, now: Instant) -> Option<SocketAddr> {
        let &(address, seen) = self.clients.get(&client)?;
        let healthy = self.backends.iter().any(|it| it.address == address && it.healthy);
        (healthy && now.since(seen) < self.affinity?).then_some(address)
    }

    fn remember(&mut self, client: IpAddr, backend: SocketAddr, now: Instant) {
        let Some(affinity) = self.affinity else { return };
        if self.clients.len() >= self.limit && !self.clients.contains_key(&client) {
            self.clients.retain(|_, (_, seen)| now.since(*seen) < affinity);
            if self.clients.len() >= self.limit {
                return;
            }
        }
        self.clients.insert(client, (backend, now));
    }
}

/// One of these by weight: the same for one hash as long as they are the same.
fn pick<'a>(backends: impl Iterator<Item = &'a Backend> + Clone, hash: u32) -> Option<SocketAddr> {
    let total: u64 = backends.clone().map(|backend| u64::from(backend.weight)).sum();
    let mut point = (u64::from(hash) * total) >> 32;
    for backend in backends {
        let weight = u64::from(backend.weight);
        if point < weight {
            return Some(backend.address);
        }
        point -= weight;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Backend, Balancer, Duration, Instant, IpAddr, SocketAddr};

    fn backend(n: u8, local: bool) -> Backend {
        Backend { address: SocketAddr::from(([10, 0, 0, n], 80)), local, healthy: true, weight: 1 }
    }

    fn client(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    const NOW: Instant = Instant::from_millis(1_000_000);

    fn spread(balancer: &mut Balancer) -> Vec<SocketAddr> {
        let hashes = (0..64_u32).map(|n| n << 26);
        let mut all: Vec<SocketAddr> =
            hashes.filter_map(|hash| balancer.choose(client(1), hash, NOW)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    #[test]
    fn near_and_healthy_backends_go_first_and_all_others_after() {
        let backends = vec![backend(1, false), backend(2, true), backend(3, true)];
        let mut balancer = Balancer::new(backends.clone(), true, None);
        let [far, near, nearer] = [0, 1, 2].map(|n| backends[n].address);
        assert_eq!(spread(&mut balancer), [near, nearer]);
        assert!(balancer.set_healthy(near, false));
        assert_eq!(spread(&mut balancer), [nearer]);
        assert!(balancer.set_healthy(nearer, false));
        assert_eq!(spread(&mut balancer), [far]);
        assert!(balancer.set_healthy(far, false));
        assert_eq!(spread(&mut balancer), []);
        assert!(!balancer.set_healthy(SocketAddr::from(([1, 1, 1, 1], 1)), true));
        let mut anywhere = Balancer::new(backends, false, None);
        assert_eq!(spread(&mut anywhere), [far, near, nearer]);
    }

    #[test]
    fn a_client_keeps_its_backend_while_it_is_healthy_and_the_client_comes_back() {
        let backends = vec![backend(1, false), backend(2, true)];
        let affinity = Some(Duration::from_secs(60));
        let mut balancer = Balancer::new(backends.clone(), true, affinity);
        let [far, near] = [0, 1].map(|n| backends[n].address);
        balancer.set_healthy(near, false);
        assert_eq!(balancer.choose(client(1), 0, NOW), Some(far));
        balancer.set_healthy(near, true);
        let later = |seconds: u64| Instant::from_millis(NOW.as_millis() + seconds * 1_000);
        assert_eq!(balancer.choose(client(1), 0, later(59)), Some(far));
        assert_eq!(balancer.choose(client(1), 0, later(118)), Some(far), "it was seen again");
        assert_eq!(balancer.choose(client(2), 0, later(118)), Some(near));
        assert_eq!(balancer.choose(client(1), 0, later(178)), Some(near), "its time is over");
        balancer.set_healthy(near, false);
        assert_eq!(balancer.choose(client(1), 0, later(179)), Some(far));
    }

    #[test]
    fn clients_are_remembered_within_a_bound() {
        let affinity = Some(Duration::from_secs(60));
        let mut balancer = Balancer::new(vec![backend(1, true)], true, affinity).with_limit(2);
        for n in 1..=4 {
            assert!(balancer.choose(client(n), 0, NOW).is_some());
        }
        assert_eq!(balancer.clients.len(), 2);
    }
}
