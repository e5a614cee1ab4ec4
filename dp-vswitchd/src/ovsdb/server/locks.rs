//! Locks between clients (RFC 7047, sections 4.1.8 to 4.1.10).
//!
//! A lock that is given up goes to whoever has waited longest. One that is stolen leaves its owner
//! first among those who wait, unless he was a thief himself: then he has to give it up, and may ask
//! again.

use std::collections::{BTreeMap, VecDeque};

use super::ClientId;

/// Who has which lock, and who waits for it.
#[derive(Debug, Default)]
pub(super) struct Locks(BTreeMap<String, Lock>);

#[derive(Debug, Default)]
struct Lock {
    /// Its owner, then those who wait, in order.
    queue: VecDeque<ClientId>,
    /// Whether the owner has stolen it.
    is_stolen: bool,
    /// Thieves who lost it to another. They wait for nothing, but give it up before they ask again.
    robbed: Vec<ClientId>,
}

/// A word that a client is to be told about a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) to: ClientId,
    /// `locked` or `stolen`.
    pub(super) method: &'static str,
    pub(super) lock: String,
}

impl Locks {
    /// Whether a client has a lock.
    pub(super) fn owns(&self, client: ClientId, lock: &str) -> bool {
        self.0.get(lock).is_some_and(|it| it.queue.front() == Some(&client))
    }

    /// Whether a client has a lock, waits for it, or has not given it up since it was stolen.
    pub(super) fn wants(&self, client: ClientId, lock: &str) -> bool {
        self.0.get(lock).is_some_and(|it| it.concerns(client))
    }

    /// Asks for a lock; whether the client has it now.
    pub(super) fn lock(&mut self, client: ClientId, lock: &str) -> bool {
        let it = self.0.entry(lock.to_owned()).or_default();
        it.queue.push_back(client);
        it.queue.len() == 1
    }

    /// Takes a lock from whoever has it.
    pub(super) fn steal(&mut self, client: ClientId, lock: &str) -> Option<Word> {
        let it = self.0.entry(lock.to_owned()).or_default();
        let before = it.queue.front().copied();
        if std::mem::replace(&mut it.is_stolen, true) {
            it.robbed.extend(it.queue.pop_front());
        }
        it.queue.push_front(client);
        before.map(|to| Word { to, method: "stolen", lock: lock.to_owned() })
    }

    /// Gives a lock up.
    pub(super) fn unlock(&mut self, client: ClientId, lock: &str) -> Option<Word> {
        let it = self.0.get_mut(lock)?;
        let had = it.queue.front() == Some(&client);
        it.is_stolen &= !had;
        it.queue.retain(|it| *it != client);
        it.robbed.retain(|it| *it != client);
        let next = it.queue.front().copied();
        if it.queue.is_empty() && it.robbed.is_empty() {
            self.0.remove(lock);
        }
        let to = next.filter(|_| had)?;
        Some(Word { to, method: "locked", lock: lock.to_owned() })
    }

    /// The names of the locks that a client has, waits for, and has lost to another thief.
    pub(super) fn of(&self, client: ClientId) -> [Vec<&str>; 3] {
        let mut out = [const { Vec::new() }; 3];
        for (name, it) in &self.0 {
            let at = match () {
                () if it.queue.front() == Some(&client) => 0,
                () if it.queue.contains(&client) => 1,
                () if it.robbed.contains(&client) => 2,
                () => continue,
            };
            out[at].push(name.as_str());
        }
        out
    }

    /// Gives all locks of a client up.
    pub(super) fn forget(&mut self, client: ClientId) -> Vec<Word> {
        let names: Vec<String> =
            self.0.iter().filter(|(_, it)| it.concerns(client)).map(|(it, _)| it.clone()).collect();
        names.iter().filter_map(|lock| self.unlock(client, lock)).collect()
    }
}

impl Lock {
    fn concerns(&self, client: ClientId) -> bool {
        self.queue.contains(&client) || self.robbed.contains(&client)
    }
}

#[cfg(test)]
mod tests {
    use super::{ClientId, Locks};

    #[test]
    fn locks_pass_on_in_order_and_can_be_stolen() {
        let (a, b, c) = (ClientId(1), ClientId(2), ClientId(3));
        let mut locks = Locks::default();
        assert!(locks.lock(a, "x") && !locks.lock(b, "x"));
        assert!(locks.owns(a, "x") && locks.wants(b, "x") && !locks.owns(b, "x"));
        let word = locks.steal(c, "x").unwrap();
        assert_eq!((word.to, word.method), (a, "stolen"));
        let word = locks.unlock(c, "x").unwrap();
        // Who was robbed is next.
        assert_eq!((word.to, word.method), (a, "locked"));
        assert_eq!(locks.unlock(b, "x"), None);
        // A thief who is robbed is not, but has to say that he has understood.
        assert_eq!(locks.steal(b, "x").map(|it| it.to), Some(a));
        assert_eq!(locks.steal(c, "x").map(|it| it.to), Some(b));
        assert_eq!(locks.unlock(c, "x").map(|it| it.to), Some(a));
        assert!(locks.wants(b, "x") && !locks.owns(b, "x"));
        assert_eq!(
            [a, b].map(|it| locks.of(it).map(|it| it.join(" "))),
            [["x", "", ""], ["", "", "x"]]
        );
        assert_eq!(locks.unlock(b, "x"), None);
        assert!(!locks.wants(b, "x"));
        assert!(locks.owns(a, "x") && locks.forget(a).is_empty() && locks.0.is_empty());
    }
}
