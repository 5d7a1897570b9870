//! Who else sends packets to the client: off-path attackers that guess, and those on the path that replay or read and forge.
//!
//! An attacker on the path that delays packets is a [`network::Event::Longer`](crate::network::Event::Longer).

use ntp_types::{NtpDuration, NtpTimestamp};

use crate::network::When;
use crate::random::Random;

/// An attacker.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Attack {
    /// Answers of a server nobody asked for, so many a second: plausible headers, random timestamps.
    Flood(When, u32),
    /// Octets of any length and content, so many a second, in a server's name.
    Rubbish(When, u32),
    /// Kisses with this code in a server's name, so many a second, the origin guessed.
    SpoofedKiss(When, u32, [u8; 4]),
    /// Every answer comes again after so many seconds.
    Replay(When, f64),
    /// Reads every request and answers before the server can: ten seconds ahead, then with a crypto-NAK and the kisses RATE and
    /// DENY. It has no key, and sends a MAC back as it came.
    OnPath(When),
}

/// The attackers in motion.
#[derive(Debug, Clone)]
pub(crate) struct Attackers {
    attacks: Vec<Attack>,
    random: Random,
}

impl Attackers {
    pub(crate) fn new(attacks: &[Attack], seed: u64) -> Self {
        Self { attacks: attacks.to_vec(), random: Random::stream(seed, 0xa77a) }
    }

    /// What they send in the second that starts at `now`: in which server's name, when, and what.
    pub(crate) fn second(&mut self, now: f64, servers: usize) -> Vec<(usize, f64, Vec<u8>)> {
        let mut sent = Vec::new();
        if servers == 0 {
            return sent;
        }
        for attack in self.attacks.clone() {
            let (rate, kind) = match attack {
                Attack::Flood(when, rate) if when.holds(now) => (rate, Some(None)),
                Attack::SpoofedKiss(when, rate, code) if when.holds(now) => (rate, Some(Some(code))),
                Attack::Rubbish(when, rate) if when.holds(now) => (rate, None),
                _ => continue,
            };
            for _ in 0..rate {
                let bytes = match kind {
                    Some(kiss) => self.answer(kiss),
                    None => self.rubbish(),
                };
                let server = usize::try_from(self.random.bits() % servers as u64).unwrap_or_default();
                sent.push((server, self.random.uniform(), bytes));
            }
        }
        sent
    }

    /// After how many seconds an answer sent at `now` comes again.
    pub(crate) fn replays(&self, now: f64) -> Vec<f64> {
        let replayed = |attack: &Attack| match *attack {
            Attack::Replay(when, delay) if when.holds(now) => Some(delay),
            _ => None,
        };
        self.attacks.iter().filter_map(replayed).collect()
    }

    /// What comes at once of a request that is read at `now`, when true time is `time`.
    pub(crate) fn forgeries(&self, now: f64, request: &[u8], time: NtpTimestamp) -> Vec<Vec<u8>> {
        let reads = |attack: &Attack| matches!(*attack, Attack::OnPath(when) if when.holds(now));
        let Some((header, rest)) = request.split_at_checked(48).filter(|_| self.attacks.iter().any(reads)) else {
            return Vec::new();
        };
        let lie = (time + NtpDuration::from_seconds(10)).to_bytes();
        let forged = |start: [u8; 4], reference: &[u8], end: &[u8]| {
            let origin = header.get(40..).unwrap_or_default();
            [&start[..], &[0; 8], reference, &lie, origin, &lie, &lie, end].concat()
        };
        let answer = [0x24, 1, 6, 0xe8];
        let kiss = [0xe4, 0, 6, 0xe8];
        vec![
            forged(answer, b"GPS\0", &[]),
            forged(answer, b"GPS\0", rest),
            forged(answer, b"GPS\0", &[0; 4]),
            forged(kiss, b"RATE", rest),
            forged(kiss, b"DENY", &[]),
        ]
    }

    fn answer(&mut self, kiss: Option<[u8; 4]>) -> Vec<u8> {
        // Leap, version and mode; stratum; poll; precision. A kiss says leap 3 and stratum 0.
        let mut bytes = if kiss.is_some() { vec![0xe4, 0, 6, 0xe8] } else { vec![0x24, 1, 6, 0xe8] };
        bytes.extend([0; 8]);
        bytes.extend(kiss.unwrap_or(*b"GPS\0"));
        bytes.extend((0..4).flat_map(|_| self.random.bits().to_be_bytes()));
        bytes
    }

    fn rubbish(&mut self) -> Vec<u8> {
        let length = self.random.bits() % 200;
        #[allow(clippy::cast_possible_truncation)] // the low octet is meant
        let octets = (0..length).map(|_| self.random.bits() as u8);
        octets.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forged_packets_have_the_shape_of_answers() {
        let code = *b"DENY";
        let mut attackers = Attackers::new(&[Attack::SpoofedKiss(When::since(0.0), 3, code)], 1);
        let sent = attackers.second(1.0, 2);
        assert_eq!(sent.len(), 3);
        for (server, delay, bytes) in sent {
            assert!(server < 2 && delay < 1.0);
            assert_eq!((bytes.len(), bytes[0], bytes[1], &bytes[12..16]), (48, 0xe4, 0, &code[..]));
        }
    }
}
