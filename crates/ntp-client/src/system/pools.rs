//! How pools are kept filled, and whom they give up.

use ntp_discipline::Engine;
use ntp_types::Instant;

use super::{SourceId, System};
use crate::pool::{Pool, PoolId};
use crate::Event;

impl<E: Engine> System<E> {
    pub(super) fn fill(&mut self, id: PoolId, now: Instant) {
        while let Some((address, config)) = self.pools.get_mut(id.index()).and_then(Pool::take_candidate) {
            if self.add(address, config, Some(id), now).is_err() {
                if let Some(pool) = self.pools.get_mut(id.index()) {
                    pool.handle_removed();
                }
            }
        }
        if self.pools.get_mut(id.index()).is_some_and(Pool::wants_candidates) {
            self.note(Event::CandidatesWanted { pool: id });
        }
    }

    /// Give a pool member up for the next one that waits.
    pub(super) fn replace(&mut self, id: SourceId, now: Instant) {
        let Some(held) = self.held(id) else { return };
        let (Some(pool), address) = (held.pool, held.association.address()) else { return };
        self.remove_source(id);
        let replacement = self.pools.get(pool.index()).and_then(Pool::next_candidate);
        self.note(Event::Replaced { pool, address, replacement });
        self.fill(pool, now);
    }

    /// Before the next request to a member: whether it was silent for too long, and another took its place.
    pub(super) fn replace_if_silent(&mut self, id: SourceId, now: Instant) -> bool {
        let Some(held) = self.held(id) else { return false };
        let (unanswered, pool) = (held.association.unanswered(), held.pool);
        let Some(pool) = pool.and_then(|pool| self.pools.get(pool.index())) else { return false };
        if unanswered < pool.config().unanswered || pool.next_candidate().is_none() {
            return false;
        }
        self.replace(id, now);
        true
    }

    pub(super) fn replace_if_false(&mut self, id: SourceId, now: Instant) {
        let Some(held) = self.held(id) else { return };
        let (falseticks, pool) = (held.falseticks, held.pool);
        let Some(pool) = pool.and_then(|pool| self.pools.get(pool.index())) else { return };
        if falseticks >= pool.config().falseticks && pool.next_candidate().is_some() {
            self.replace(id, now);
        }
    }
}
