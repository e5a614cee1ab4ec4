//! `multipath` and `bundle`: a link or a port chosen by a hash of the packet.

use dp_core::base::OfPort;

use super::Context;
use super::hash::{hash_flow, hash_two, unwildcard_hashed};
use crate::action::{Bundle, BundleAlgorithm, Multipath, MultipathAlgorithm};

impl Context<'_> {
    pub(super) fn multipath(&mut self, multipath: &Multipath) {
        unwildcard_hashed(&mut self.wc, &self.flow, multipath.fields);
        let hash = hash_flow(&self.flow, multipath.fields, multipath.basis);
        let link = link(hash, multipath);
        self.store(multipath.dst, u128::from(link));
        self.note_now(multipath.dst);
    }

    #[inline(never)]
    pub(super) fn bundle(&mut self, bundle: &Bundle, last: bool) {
        let alive = |port: OfPort| {
            self.view.ports.get(port).is_some_and(|port| port.up) || port == OfPort::LOCAL
        };
        let chosen = match bundle.algorithm {
            BundleAlgorithm::ActiveBackup => {
                bundle.members.iter().copied().find(|&port| alive(port))
            }
            BundleAlgorithm::Hrw => {
                let hash = hash_flow(&self.flow, bundle.fields, bundle.basis);
                bundle
                    .members
                    .iter()
                    .zip(0u32..)
                    .filter(|&(&port, _)| alive(port))
                    .map(|(&port, at)| (hash_two(at, hash), port))
                    .reduce(|best, next| if next.0 > best.0 { next } else { best })
                    .map(|(_, port)| port)
            }
        };
        if bundle.algorithm == BundleAlgorithm::Hrw {
            unwildcard_hashed(&mut self.wc, &self.flow, bundle.fields);
        }
        let port = chosen.unwrap_or(OfPort::NONE);
        match bundle.dst {
            Some(dst) => {
                self.store(dst, u128::from(port.0));
                self.note_now(dst);
            }
            None => self.output(port, 0, last),
        }
    }
}

fn link(hash: u32, multipath: &Multipath) -> u32 {
    let links = u32::from(multipath.max_link) + 1;
    match multipath.algorithm {
        MultipathAlgorithm::ModuloN => hash % links,
        MultipathAlgorithm::HashThreshold => {
            if links == 1 {
                return 0;
            }
            hash / (u32::MAX / links + 1)
        }
        MultipathAlgorithm::Hrw => (0..links)
            .map(|at| (hash_two(hash, at), at))
            .reduce(|best, next| if next.0 > best.0 { next } else { best })
            .map_or(0, |(_, at)| at),
        MultipathAlgorithm::IterHash => {
            // The argument says by what the hashes are divided; where it is below the number of
            // links or beyond its double, the next power of two does.
            let divisor = match multipath.arg {
                arg if arg >= links && arg / 2 <= links => arg,
                _ => links.next_power_of_two(),
            };
            // Each turn ends with a chance of a half or nearly so: more than these are not needed.
            (0..64)
                .map(|turn| (hash_two(hash, turn) % divisor) & 0xffff)
                .find(|&link| link < links)
                .unwrap_or(hash % links)
        }
    }
}
