//! Locks between clients (RFC 7047, sections 4.1.8 to 4.1.10).

use std::collections::{BTreeMap, VecDeque};

use super::ClientId;

/// Who has which lock, and who waits for it.
#[derive(Debug, Default)]
pub(super) struct Locks(BTreeMap<String, VecDeque<ClientId>>);

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
        self.0.get(lock).is_some_and(|queue| queue.front() == Some(&client))
    }

    /// Whether a client has a lock or waits for it.
    pub(super) fn wants(&self, client: ClientId, lock: &str) -> bool {
        self.0.get(lock).is_some_and(|queue| queue.contains(&client))
    }

    /// Asks for a lock; whether the client has it now.
    pub(super) fn lock(&mut self, client: ClientId, lock: &str) -> bool {
        let queue = self.0.entry(lock.to_owned()).or_default();
        queue.push_back(client);
        queue.len() == 1
    }

    /// Takes a lock from whoever has it.
    pub(super) fn steal(&mut self, client: ClientId, lock: &str) -> Option<Word> {
        let queue = self.0.entry(lock.to_owned()).or_default();
        let before = queue.front().copied();
        queue.push_front(client);
        before.map(|to| Word { to, method: "stolen", lock: lock.to_owned() })
    }

    /// Gives a lock up.
    pub(super) fn unlock(&mut self, client: ClientId, lock: &str) -> Option<Word> {
        let queue = self.0.get_mut(lock)?;
        let had = queue.front() == Some(&client);
        queue.retain(|it| *it != client);
        let next = queue.front().copied();
        if queue.is_empty() {
            self.0.remove(lock);
        }
        let to = next.filter(|_| had)?;
        Some(Word { to, method: "locked", lock: lock.to_owned() })
    }

    /// Gives all locks of a client up.
    pub(super) fn forget(&mut self, client: ClientId) -> Vec<Word> {
        let names: Vec<String> = self
            .0
            .iter()
            .filter(|(_, it)| it.contains(&client))
            .map(|(it, _)| it.clone())
            .collect();
        names.iter().filter_map(|lock| self.unlock(client, lock)).collect()
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
        assert_eq!((word.to, word.method), (a, "locked"));
        assert_eq!(locks.unlock(b, "x"), None);
        assert!(locks.forget(a).is_empty());
        assert!(!locks.wants(a, "x") && locks.lock(b, "x"));
    }
}
