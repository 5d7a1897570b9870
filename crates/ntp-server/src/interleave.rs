//! What a server remembers for interleaved answers (RFC 9769): when each answer truly left.
//!
//! The key is the answer's receive timestamp mixed with a keyed hash of the client's address, so that a client finds its
//! own answers only. The table is of fixed size and new answers displace old ones; a client whose entry is gone gets a
//! basic answer, which is right too.

use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use ntp_types::NtpTimestamp;

use crate::limit::HashKey;

/// Names an answer whose true time of leaving the server would like to know; see
/// [`Server::handle_transmitted`](crate::Server::handle_transmitted).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransmitToken(u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Answer {
    key: u64,
    transmit: NtpTimestamp,
}

/// Four answers, one cache line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(align(64))]
struct Set([Answer; 4]);

#[derive(Debug, Clone)]
pub(crate) struct Interleave {
    sets: Vec<Set>,
    key: HashKey,
    turn: usize,
}

impl Interleave {
    pub(crate) fn new(answers: usize, key: HashKey) -> Self {
        let sets = (answers.clamp(4, 1 << 30) / 4).next_power_of_two();
        Self { sets: vec![Set::default(); sets], key, turn: 0 }
    }

    /// Octets of memory.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(self.sets.as_slice())
    }

    fn salt(&self, source: IpAddr) -> u64 {
        self.key.hash(match source {
            IpAddr::V4(v4) => u32::from(v4).into(),
            IpAddr::V6(v6) => v6.into(),
        })
    }

    fn set(&mut self, key: u64) -> &mut [Answer] {
        #[allow(clippy::cast_possible_truncation)] // the low bits choose the set
        let place = self.key.hash(key.into()) as usize & (self.sets.len() - 1);
        match self.sets.get_mut(place) {
            Some(Set(answers)) => answers,
            None => &mut [],
        }
    }

    /// When the answer to `source` with this receive timestamp left.
    pub(crate) fn find(&mut self, received: NtpTimestamp, source: IpAddr) -> Option<NtpTimestamp> {
        let key = received.to_bits() ^ self.salt(source);
        let found = self.set(key).iter().find(|answer| answer.key == key)?;
        Some(found.transmit).filter(|transmit| !transmit.is_unset())
    }

    /// Remembers an answer that will leave at `transmit`; returns its receive timestamp, moved by as many 2⁻³² s as it
    /// takes to differ from every other that is remembered for this source, and from `transmit`.
    pub(crate) fn remember(
        &mut self,
        received: NtpTimestamp,
        transmit: NtpTimestamp,
        source: IpAddr,
    ) -> (NtpTimestamp, TransmitToken) {
        let salt = self.salt(source);
        let mut bits = received.to_bits();
        while bits == 0 || bits == transmit.to_bits() || {
            let key = bits ^ salt;
            self.set(key).iter().any(|answer| answer.key == key)
        } {
            // Earlier, never later: an answer must not seem to leave before its request came.
            bits = bits.wrapping_sub(1);
        }
        self.turn = self.turn.wrapping_add(1);
        let (key, turn) = (bits ^ salt, self.turn);
        let set = self.set(key);
        // An empty place, else each in turn.
        let place = set.iter().position(|answer| answer.key == 0).unwrap_or(turn % set.len().max(1));
        if let Some(answer) = set.get_mut(place) {
            *answer = Answer { key, transmit };
        }
        (NtpTimestamp::from_bits(bits), TransmitToken(key))
    }

    /// An answer left at `transmit`.
    pub(crate) fn correct(&mut self, token: TransmitToken, transmit: NtpTimestamp) {
        if let Some(answer) = self.set(token.0).iter_mut().find(|answer| answer.key == token.0) {
            answer.transmit = transmit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));
    const TWO: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 2));

    fn at(bits: u64) -> NtpTimestamp {
        NtpTimestamp::from_bits(bits)
    }

    #[test]
    fn only_the_same_client_finds_its_answer_and_the_latest_stamp_counts() {
        let mut table = Interleave::new(64, HashKey::new(7));
        let (received, token) = table.remember(at(1000), at(2000), ONE);
        assert_eq!(received, at(1000));
        assert_eq!((table.find(received, ONE), table.find(received, TWO)), (Some(at(2000)), None));
        table.correct(token, at(2345));
        assert_eq!(table.find(received, ONE), Some(at(2345)));
    }

    #[test]
    fn receive_timestamps_are_unique_and_never_the_transmit_timestamp() {
        let mut table = Interleave::new(64, HashKey::new(7));
        let stamps: Vec<_> = (0..5).map(|_| table.remember(at(1000), at(998), ONE).0.to_bits()).collect();
        assert_eq!(stamps, [1000, 999, 997, 996, 995]);
        assert_eq!(table.remember(at(0), at(5), ONE).0, at(u64::MAX));
    }

    #[test]
    fn the_table_forgets_and_does_not_grow() {
        let mut table = Interleave::new(64, HashKey::new(7));
        for turn in 0..10_000 {
            table.remember(at(turn * 100 + 1), at(5), ONE);
        }
        let kept = (0..10_000).filter(|turn| table.find(at(turn * 100 + 1), ONE).is_some()).count();
        assert_eq!((kept, table.sets.len()), (64, 16));
    }
}
