//! What keeps slots, queue and engine in step.

use core::net::SocketAddr;

use ntp_discipline::{Decision, Engine, Verdict};
use ntp_types::{ClockCommand, Instant, NtpTimestamp};

use super::{index, sample_of, Held, SourceId, System, EVENTS_KEPT, FIRST_SPACING, FIRST_SPREAD};
use crate::association::Answer;
use crate::{Event, Ignored, Request};

impl<E: Engine> System<E> {
    pub(super) fn held(&self, id: SourceId) -> Option<&Held> {
        self.slots.get(index(id.slot)).filter(|place| place.generation == id.generation)?.held.as_ref()
    }

    pub(super) fn held_mut(&mut self, id: SourceId) -> Option<&mut Held> {
        self.slots.get_mut(index(id.slot)).filter(|place| place.generation == id.generation)?.held.as_mut()
    }

    pub(super) fn id_of(&self, slot: u32) -> Option<SourceId> {
        let place = self.slots.get(index(slot))?;
        place.held.is_some().then_some(SourceId { slot, generation: place.generation })
    }

    pub(super) fn address_of(&self, slot: usize) -> Option<SocketAddr> {
        Some(self.slots.get(slot)?.held.as_ref()?.association.address())
    }

    /// Bring the slot's entry in the queue up to date.
    pub(super) fn requeue(&mut self, slot: u32) {
        let Some(held) = self.slots.get_mut(index(slot)).and_then(|place| place.held.as_mut()) else { return };
        let due = held.association.next_timeout();
        if due == held.queued {
            return;
        }
        if let Some(old) = held.queued {
            self.queue.remove(&(old, slot));
        }
        if let Some(due) = due {
            self.queue.insert((due, slot));
        }
        held.queued = due;
    }

    /// Nothing is known of our clock's offset any more.
    pub(super) fn lose_offset(&mut self, now: Instant) {
        self.command = None;
        self.engine.handle_discontinuity(&mut self.states, now);
        for slot in 0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX) {
            if let Some(held) = self.slots.get_mut(index(slot)).and_then(|place| place.held.as_mut()) {
                // Later than `now`: what was sent at this very moment counts as sent before.
                held.association.handle_discontinuity(now + FIRST_SPACING * (1 + slot % FIRST_SPREAD));
            }
            self.requeue(slot);
        }
        self.refresh_polls(true);
        self.watch_status(now);
    }

    pub(super) fn ask(&mut self, slot: u32, now: Instant, departure: NtpTimestamp, nonce: u64) -> Option<Request> {
        let held = self.slots.get_mut(index(slot))?.held.as_mut()?;
        let request = held.association.poll_transmit(now, departure, nonce)?;
        let reach = held.association.reach();
        let fell_silent = held.reachable && !reach.is_reachable();
        if fell_silent {
            held.reachable = false;
        }
        let address = held.association.address();
        self.engine.handle_poll(&mut self.states, index(slot), reach.to_bits(), now);
        self.told.insert(slot);
        if fell_silent {
            if let Some(source) = self.id_of(slot) {
                self.note(Event::Unreachable { source, address });
            }
        }
        Some(request)
    }

    pub(super) fn use_answer(&mut self, id: SourceId, answer: &Answer, now: Instant) {
        let sample = sample_of(answer, self.config.precision);
        let decision = self.engine.handle_sample(&mut self.states, index(id.slot), &sample, now);
        self.decide(&decision);
        self.told.insert(id.slot);
        self.refresh_polls(decision.polls_changed);
        let verdict = self.engine.source(&self.states, index(id.slot), now).verdict;
        let Some(held) = self.held_mut(id) else { return };
        let address = held.association.address();
        let before = core::mem::replace(&mut held.verdict, verdict);
        let was_reachable = core::mem::replace(&mut held.reachable, true);
        held.falseticks = if verdict == Verdict::Falseticker { held.falseticks.saturating_add(1) } else { 0 };
        if !was_reachable {
            self.note(Event::Reachable { source: id, address });
        }
        if before != verdict && before != Verdict::Vacant {
            self.note(Event::Judged { source: id, address, before, now: verdict });
        }
        self.watch_status(now);
        self.replace_if_false(id, now);
    }

    pub(super) fn note_ignored(&mut self, id: SourceId, ignored: Ignored, now: Instant) {
        if !ignored.is_from_server() && !ignored.is_unauthentic() {
            return;
        }
        let Some(held) = self.held(id) else { return };
        let (address, stopped) = (held.association.address(), held.association.is_stopped());
        match ignored {
            Ignored::Kiss(code) if stopped => {
                self.note(Event::Stopped { source: id, address, code });
                self.replace(id, now);
            }
            reason => self.note(Event::Unusable { source: id, address, reason }),
        }
    }

    pub(super) fn decide(&mut self, decision: &Decision) {
        if let Some(refusal) = decision.refused {
            self.note(Event::Refused(refusal));
        }
        // The newest command was made from all that is known, what an older one really did included: it replaces it.
        if decision.command != ClockCommand::Hold {
            self.command = Some(decision.command);
        }
    }

    /// Ask the engine how often each source is to be asked, or each of which it was told something.
    pub(super) fn refresh_polls(&mut self, all: bool) {
        let told = core::mem::take(&mut self.told);
        if all {
            (0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX)).for_each(|slot| self.refresh_poll(slot));
        } else {
            told.into_iter().for_each(|slot| self.refresh_poll(slot));
        }
    }

    fn refresh_poll(&mut self, slot: u32) {
        let Self { engine, states, slots, .. } = self;
        let Some(held) = slots.get_mut(index(slot)).and_then(|place| place.held.as_mut()) else { return };
        held.association.set_poll(engine.poll(states, index(slot)));
        self.requeue(slot);
    }

    pub(super) fn watch_status(&mut self, now: Instant) {
        let status = self.engine.system(&self.states, now).status;
        let before = core::mem::replace(&mut self.status, status);
        if before != status {
            self.note(Event::StatusChanged { before, now: status });
        }
    }

    pub(super) fn note(&mut self, event: Event) {
        if self.events.len() == EVENTS_KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    pub(super) fn assign_places(&mut self) {
        if !core::mem::take(&mut self.places_stale) {
            return;
        }
        let count = u32::try_from(self.addresses.len()).unwrap_or(u32::MAX);
        let held = self.slots.iter_mut().filter_map(|place| place.held.as_mut());
        for (place, held) in (0_u32..).zip(held) {
            held.association.set_place(place, count);
        }
    }
}
