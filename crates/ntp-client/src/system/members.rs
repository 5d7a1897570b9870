//! Who is a source: servers that are taken and given up, and pools that are kept filled.

use core::net::SocketAddr;

use ntp_discipline::{Engine, Verdict};
use ntp_types::Instant;

use super::{index, Held, Slot, SourceId, System, FIRST_SPACING, FIRST_SPREAD};
use crate::association::Association;
use crate::pool::{Pool, PoolId};
use crate::{Event, PoolConfig, SourceConfig};

/// A source cannot be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// That address is a source already.
    #[error("{0} is a source already")]
    Present(SocketAddr),
    /// The port is zero, or the address names no single host.
    #[error("{0} is not the address of a server")]
    NotAServer(SocketAddr),
    /// There are 2³² sources.
    #[error("too many sources")]
    Full,
}

impl<E: Engine> System<E> {
    /// Take a server as a source; its first request is due at once.
    ///
    /// # Errors
    /// [`AddError`] when it is one already or cannot be one.
    pub fn add_source(
        &mut self,
        address: SocketAddr,
        config: SourceConfig,
        now: Instant,
    ) -> Result<SourceId, AddError> {
        self.add(address, config, None, now)
    }

    /// Give a source up. Returns whether it was there.
    pub fn remove_source(&mut self, id: SourceId) -> bool {
        let Some(place) = self.slots.get_mut(index(id.slot)).filter(|place| place.generation == id.generation) else {
            return false;
        };
        let Some(held) = place.held.take() else { return false };
        place.generation = place.generation.wrapping_add(1);
        if let Some(due) = held.queued {
            self.queue.remove(&(due, id.slot));
        }
        self.addresses.remove(&held.association.address());
        self.engine.close(&mut self.states, index(id.slot));
        self.vacant.push(id.slot);
        self.places_stale = true;
        if let Some(pool) = held.pool.and_then(|pool| self.pools.get_mut(pool.index())) {
            pool.handle_removed();
        }
        true
    }

    /// A pool without members; [`add_candidates`](Self::add_candidates) gives it some.
    pub fn add_pool(&mut self, config: PoolConfig) -> PoolId {
        let id = PoolId::new(self.pools.len());
        self.pools.push(Pool::new(config));
        id
    }

    /// Addresses a pool's name resolved to, none if it did not: as many as it needs become sources, the others wait. One that
    /// told us to stop stays out. Returns how many are new to the pool.
    pub fn add_candidates(
        &mut self,
        pool: PoolId,
        addresses: impl IntoIterator<Item = SocketAddr>,
        now: Instant,
    ) -> usize {
        let Self { pools, addresses: known, .. } = self;
        let Some(held) = pools.get_mut(pool.index()) else { return 0 };
        held.handle_resolved();
        let strangers = addresses.into_iter().filter(|address| !known.contains_key(address));
        let new = strangers.filter(|address| held.add_candidate(*address)).count();
        self.fill(pool, now);
        new
    }

    fn add(
        &mut self,
        address: SocketAddr,
        config: SourceConfig,
        pool: Option<PoolId>,
        now: Instant,
    ) -> Result<SourceId, AddError> {
        if self.addresses.contains_key(&address) {
            return Err(AddError::Present(address));
        }
        if address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast() {
            return Err(AddError::NotAServer(address));
        }
        let slot = match self.vacant.pop() {
            Some(slot) => slot,
            None => {
                let slot = u32::try_from(self.slots.len()).map_err(|_| AddError::Full)?;
                self.slots.push(Slot::default());
                self.states.push(E::Source::default());
                slot
            }
        };
        let place = index(slot);
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let first = now + FIRST_SPACING * (slot % FIRST_SPREAD);
        self.engine.open(&mut self.states, place, config.options());
        let association = Association::new(address, config, first, self.random);
        let generation = self.slots.get_mut(place).map_or(0, |place| {
            let verdict = Verdict::default();
            place.held = Some(Held { association, pool, queued: None, verdict, falseticks: 0, reachable: false });
            place.generation
        });
        self.addresses.insert(address, slot);
        self.places_stale = true;
        self.requeue(slot);
        Ok(SourceId { slot, generation })
    }

    fn fill(&mut self, id: PoolId, now: Instant) {
        while let Some((address, config)) = self.pools.get_mut(id.index()).and_then(Pool::take_candidate) {
            if self.add(address, config, Some(id), now).is_err() {
                if let Some(pool) = self.pools.get_mut(id.index()) {
                    pool.handle_removed();
                }
            }
        }
        if self.pools.get(id.index()).is_some_and(Pool::is_short) {
            self.ask_for_candidates(id);
        }
    }

    fn ask_for_candidates(&mut self, id: PoolId) {
        if self.pools.get_mut(id.index()).is_some_and(Pool::asks_for_candidates) {
            self.note(Event::CandidatesWanted { pool: id });
        }
    }

    /// Give a pool member up for the next one that waits.
    pub(super) fn replace(&mut self, id: SourceId, now: Instant) {
        let Some(held) = self.held(id) else { return };
        let (Some(pool), address) = (held.pool, held.association.address()) else { return };
        let has_refused = held.association.is_stopped();
        self.remove_source(id);
        if let Some(pool) = self.pools.get_mut(pool.index()).filter(|_| has_refused) {
            pool.handle_refused(address);
        }
        let replacement = self.pools.get(pool.index()).and_then(Pool::next_candidate);
        self.note(Event::Replaced { pool, address, replacement });
        self.fill(pool, now);
    }

    /// Before the next request to a member: whether it was silent for too long, and another took its place.
    pub(super) fn replace_if_silent(&mut self, id: SourceId, now: Instant) -> bool {
        self.replace_if(id, now, |held, config| held.association.unanswered() >= config.unanswered)
    }

    pub(super) fn replace_if_false(&mut self, id: SourceId, now: Instant) {
        self.replace_if(id, now, |held, config| held.falseticks >= config.falseticks);
    }

    /// Replaces a member that is no good, or asks for others where none waits.
    fn replace_if(&mut self, id: SourceId, now: Instant, is_bad: impl Fn(&Held, &PoolConfig) -> bool) -> bool {
        let Some(held) = self.held(id) else { return false };
        let Some((name, pool)) = held.pool.and_then(|name| Some((name, self.pools.get(name.index())?))) else {
            return false;
        };
        if !is_bad(held, pool.config()) {
            return false;
        }
        if pool.next_candidate().is_none() {
            self.ask_for_candidates(name);
            return false;
        }
        self.replace(id, now);
        true
    }
}
