//! The sessions that servers gave out, up to revision 2025-11-25.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::super::ConnectionId;

#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<u64, Session>);

#[derive(Debug)]
struct Session {
    connection: ConnectionId,
    /// The exchanges that are under way in it.
    open: HashSet<u64>,
    seen: Duration,
}

impl Sessions {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// An exchange begins in a session; its connection, when it is known.
    pub(super) fn enter(&mut self, key: u64, exchange: u64, at: Duration) -> Option<ConnectionId> {
        let session = self.0.get_mut(&key)?;
        session.open.insert(exchange);
        session.seen = at;
        Some(session.connection)
    }

    /// A new session, begun by an exchange; gives the connection of the one that had to go for
    /// it. None when the session is known already.
    pub(super) fn add(
        &mut self,
        key: u64,
        connection: ConnectionId,
        exchange: u64,
        at: Duration,
        capacity: usize,
    ) -> Option<Option<ConnectionId>> {
        if self.0.contains_key(&key) {
            return None;
        }
        let oldest = || self.0.iter().min_by_key(|(_, session)| session.seen).map(|(key, _)| *key);
        let evicted = if self.0.len() < capacity { None } else { oldest() };
        let evicted = evicted.and_then(|key| self.0.remove(&key)).map(|session| session.connection);
        self.0.insert(key, Session { connection, open: HashSet::from([exchange]), seen: at });
        Some(evicted)
    }

    /// An exchange ended.
    pub(super) fn leave(
        &mut self,
        key: u64,
        connection: ConnectionId,
        exchange: u64,
        at: Duration,
    ) {
        if let Some(session) = self.0.get_mut(&key).filter(|s| s.connection == connection) {
            session.open.remove(&exchange);
            session.seen = at;
        }
    }

    /// Forgets an exchange whose session nobody knows.
    pub(super) fn forget_exchange(&mut self, exchange: u64) {
        self.0.values_mut().for_each(|session| _ = session.open.remove(&exchange));
    }

    /// Whether the session was there to be removed.
    pub(super) fn remove(&mut self, key: u64, connection: ConnectionId) -> bool {
        let is_theirs = self.0.get(&key).is_some_and(|session| session.connection == connection);
        is_theirs && self.0.remove(&key).is_some()
    }

    /// Takes out the sessions in which nothing happened for `age`.
    pub(super) fn take_idle(&mut self, at: Duration, age: Duration) -> Vec<(u64, ConnectionId)> {
        let is_idle = |session: &Session| session.open.is_empty() && session.seen + age <= at;
        let idle = self.0.iter().filter(|(_, session)| is_idle(session));
        let idle: Vec<_> = idle.map(|(key, session)| (*key, session.connection)).collect();
        idle.iter().for_each(|(key, _)| _ = self.0.remove(key));
        idle
    }
}
