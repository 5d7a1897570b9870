//! What the system shows of itself at an instant.

use core::net::SocketAddr;

use ntp_discipline::{Engine, SystemEstimate, Verdict};
use ntp_proto::Reject;
use ntp_types::{Instant, NtpShort, ReferenceId};

use super::{index, SourceId, System};
use crate::association::{reference_id_of, Answer, Association};
use crate::{Ignored, ServerSaid, Snapshot, SourceSnapshot, Standing};

impl<E: Engine> System<E> {
    /// The discipline.
    #[must_use]
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// Our clock as it stands at `now`: the part of a [`snapshot`](Self::snapshot) that is cheap enough for every second.
    #[must_use]
    pub fn estimate(&self, now: Instant) -> SystemEstimate {
        self.engine.system(&self.states, now)
    }

    /// How many sources there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether there is no source.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// The association of a source; `None` when it is gone.
    #[must_use]
    pub fn association(&self, id: SourceId) -> Option<&Association> {
        self.held(id).map(|held| &held.association)
    }

    /// The source at an address.
    #[must_use]
    pub fn source_at(&self, address: SocketAddr) -> Option<SourceId> {
        let slot = *self.addresses.get(&address)?;
        Some(SourceId { slot, generation: self.slots.get(index(slot))?.generation })
    }

    /// When [`handle_timeout`](Self::handle_timeout) and [`poll_transmit`](Self::poll_transmit) have something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let request = self.queue.first().map(|(due, _)| *due);
        match (request, self.engine.next_timeout()) {
            (Some(request), Some(engine)) => Some(request.min(engine)),
            (request, engine) => request.or(engine),
        }
    }

    /// Everything, as it stands at `now`.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let system = self.engine.system(&self.states, now);
        let sources = (0_u32..).zip(&self.slots).filter_map(|(slot, place)| {
            let held = place.held.as_ref()?;
            let association = &held.association;
            let mut estimate = self.engine.source(&self.states, index(slot), now);
            estimate.verdict = verdict(association, estimate.verdict);
            Some(SourceSnapshot {
                id: SourceId { slot, generation: place.generation },
                address: association.address(),
                pool: held.pool,
                estimate,
                reach: association.reach(),
                poll: association.poll(),
                unanswered: association.unanswered(),
                next: association.next_timeout(),
                server: association.last().map(ServerSaid::of),
                kiss: association.kiss(),
                last_ignored: association.last_ignored(),
                counters: *association.counters(),
            })
        });
        Snapshot {
            at: now,
            standing: self.standing(now),
            system_peer: system.system_peer.and_then(|peer| self.address_of(peer)),
            sources: sources.collect(),
            system,
            strangers: self.strangers,
        }
    }

    /// What a server may say of our clock at `now`.
    #[must_use]
    pub fn standing(&self, now: Instant) -> Standing {
        let system = self.engine.system(&self.states, now);
        let peer = system.system_peer.and_then(|peer| self.address_of(peer));
        Standing {
            leap: system.leap,
            stratum: system.stratum,
            reference_id: peer.map_or(ReferenceId::UNSET, |address| reference_id_of(address.ip())),
            root_delay: NtpShort::from_duration(system.root_delay),
            root_dispersion: NtpShort::from_duration(system.root_dispersion),
            updated: system.updated,
        }
    }
}

/// The discipline's verdict, but for what only the association knows: it never sees a reply that brought no time.
fn verdict(association: &Association, verdict: Verdict) -> Verdict {
    if association.reach().is_reachable() || association.counters().sent == 0 {
        return verdict;
    }
    match association.last_ignored() {
        Some(Ignored::Rejected(Reject::Unsynchronized { .. })) if association.unanswered() < 8 => {
            Verdict::Unsynchronized
        }
        _ => Verdict::Unreachable,
    }
}

impl ServerSaid {
    fn of(answer: &Answer) -> Self {
        let Answer { exchange, received, .. } = answer;
        Self {
            leap: exchange.leap,
            stratum: exchange.stratum,
            reference_id: exchange.reference_id,
            precision: exchange.precision,
            root_delay: exchange.root_delay,
            root_dispersion: exchange.root_dispersion,
            at: *received,
        }
    }
}
