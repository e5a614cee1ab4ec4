//! Shares: traffic is dealt out by an 8-bit hash, and moved to even out the load.

use dp_core::base::{Instant, MacAddr, OfPort};

use super::Bond;

/// How many shares there are.
pub const SHARES: usize = 256;

/// A difference in load below which nothing moves: bytes since the last look.
const WORTH_MOVING: u64 = 100_000;

/// One share.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    pub(super) member: Option<OfPort>,
    /// Carried lately: halved at each look.
    pub(super) bytes: u64,
}

/// All shares.
#[derive(Debug)]
pub(super) struct Shares(pub(super) Box<[Share; SHARES]>);

impl Default for Shares {
    fn default() -> Self {
        Self(Box::new([Share::default(); SHARES]))
    }
}

impl Shares {
    fn at(&mut self, hash: u32) -> &mut Share {
        // The index is below the length: it is cut to eight bits.
        &mut self.0[hash as usize % SHARES]
    }

    pub(super) fn give(&mut self, hash: u32, member: OfPort) {
        self.at(hash).member = Some(member);
    }

    /// A member carries nothing any more: its shares are dealt out anew when they are needed.
    pub(super) fn take_from(&mut self, member: OfPort) {
        for share in self.0.iter_mut().filter(|share| share.member == Some(member)) {
            share.member = None;
        }
    }

    fn load(&self, member: OfPort) -> u64 {
        self.0.iter().filter(|share| share.member == Some(member)).map(|share| share.bytes).sum()
    }
}

impl Bond {
    /// The member that a share belongs to; one that belongs to nobody is dealt out.
    pub(super) fn share(&mut self, hash: u32) -> Option<OfPort> {
        let enabled = self.enabled();
        let share = self.shares.at(hash);
        if share.member.is_none_or(|member| !enabled.contains(&member)) {
            share.member = enabled.get(hash as usize % SHARES % enabled.len().max(1)).copied();
        }
        share.member
    }

    /// The member of each share, for a datapath that chooses by itself; none where there is no
    /// partner.
    pub fn assignments(&mut self) -> [Option<OfPort>; SHARES] {
        let deals = self.hashes_in_datapath();
        let mut hash = 0;
        [(); SHARES].map(|()| {
            let member = if deals { self.share(hash) } else { None };
            hash += 1;
            member
        })
    }

    /// Counts what a share has carried.
    pub fn account(&mut self, hash: u32, bytes: u64) {
        let share = self.shares.at(hash);
        share.bytes = share.bytes.saturating_add(bytes);
    }

    /// Moves shares from members that carry much to those that carry little.
    pub(super) fn rebalance(&mut self, now: Instant) {
        if !self.balances() || now < self.next_rebalance {
            return;
        }
        self.next_rebalance = now.after(self.config.rebalance_interval);
        let enabled = self.enabled();
        // Each move makes the difference smaller; there are at most as many as shares.
        for _ in 0..SHARES {
            if !self.move_one(&enabled) {
                break;
            }
        }
        for share in self.shares.0.iter_mut() {
            share.bytes /= 2;
        }
    }

    fn move_one(&mut self, enabled: &[OfPort]) -> bool {
        let load = |member: &OfPort| self.shares.load(*member);
        let (Some(&from), Some(&to)) =
            (enabled.iter().max_by_key(|m| load(m)), enabled.iter().min_by_key(|m| load(m)))
        else {
            return false;
        };
        let (high, low) = (load(&from), load(&to));
        let over = high - low;
        if over < WORTH_MOVING || over < low / 32 {
            return false;
        }
        // The largest share that does not turn the difference round, if it is not all there is.
        let mine = || self.shares.0.iter().enumerate().filter(|(_, s)| s.member == Some(from));
        let best = mine().filter(|(_, share)| share.bytes > 0 && share.bytes <= over / 2);
        let Some((hash, _)) = best.max_by_key(|(_, share)| share.bytes) else {
            return false;
        };
        if mine().filter(|(_, share)| share.bytes > 0).count() < 2 {
            return false;
        }
        self.shares.give(hash as u32, to);
        self.version += 1;
        self.log.push(format!(
            "bond {}: shift hash {hash} from {} to {}",
            self.name,
            self.members.get(&from).map_or("", |m| m.name()),
            self.members.get(&to).map_or("", |m| m.name()),
        ));
        true
    }
}

/// The hash by which balance-slb deals out: of the source address and the VLAN. The mixing is that
/// of MurmurHash3 (32 bits), so that shares are the ones that operators know from `bond/hash`.
#[must_use]
pub fn hash_mac(mac: MacAddr, vlan: u16, basis: u32) -> u32 {
    let key = u64::from(vlan) << 48 | mac.to_u64();
    let hash = mix(mix(basis, key as u32), (key >> 32) as u32);
    finish(hash ^ 8)
}

const fn mix(hash: u32, word: u32) -> u32 {
    let word = word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    (hash ^ word).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
}

const fn finish(mut hash: u32) -> u32 {
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}
