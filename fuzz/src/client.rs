//! The whole client, octets and times in: nothing but the answer to what was asked is used, and once; who said stop is not
//! asked again; a silent server is asked ever less; steps and rates are those of the policy; where there is a key, every
//! request is signed and nothing without its MAC is used or obeyed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use ntp_client::{Ignored, SourceConfig, SourceId, System, SystemConfig};
use ntp_discipline::{adaptive, Policy};
use ntp_proto::mac::{Algorithm, Key, SharedKey};
use ntp_proto::Packet;
use ntp_types::{Applied, ClockCommand, Frequency, Instant, NtpDuration, NtpTimestamp, Poll};

const SERVERS: u8 = 3;
const START: NtpTimestamp = NtpTimestamp::new(0xffff_ff00, 0);

/// What a plain second mind knows of one server.
#[derive(Debug, Default)]
struct Known {
    /// The request that waits for its answer: its nonce and octets.
    waiting: Option<Vec<u8>>,
    stopped: bool,
    last: Option<Instant>,
    requests: u64,
    answers: u64,
}

struct World {
    system: System<adaptive::Engine<4>>,
    policy: Policy,
    known: BTreeMap<SocketAddr, Known>,
    sources: BTreeMap<SocketAddr, SourceId>,
    now: Instant,
    clock: NtpTimestamp,
    nonce: u64,
    obeys: bool,
    is_interleaved: bool,
    key: Option<SharedKey>,
}

/// The key of all servers, or with another filling one that none of them has.
fn key(filling: u8) -> SharedKey {
    SharedKey::new(NonZeroU32::MIN, Key::new(Algorithm::Sha1, &[filling; 20]).expect("a secret of any length"))
}

/// Reads `data` as a run of events and tells them to a client of three servers.
pub fn client(data: &[u8]) {
    let (head, mut rest) = data.split_at(data.len().min(4));
    let flag = |index: usize, bit: u8| head.get(index).is_some_and(|octet| octet & bit != 0);
    let policy = Policy::default();
    let engine = adaptive::Engine::<4>::new(policy).expect("a valid policy");
    let mut world = World {
        system: System::new(engine, SystemConfig { seed: 7, ..SystemConfig::default() }),
        policy,
        known: BTreeMap::new(),
        sources: BTreeMap::new(),
        now: Instant::ZERO,
        clock: START,
        nonce: 1,
        obeys: !flag(3, 1),
        is_interleaved: flag(3, 2),
        key: flag(3, 4).then(|| key(1)),
    };
    let least = i8::try_from(head.first().copied().unwrap_or(0) % 12).expect("small") - 4;
    let config = SourceConfig {
        min_poll: Poll::from_log2(least),
        max_poll: Poll::from_log2(least + i8::try_from(head.get(1).copied().unwrap_or(0) % 8).expect("small")),
        iburst: flag(2, 1),
        burst: flag(2, 2),
        interleaved: flag(3, 2),
        key: world.key.clone(),
        burst_good: head.get(2).copied().unwrap_or(0) >> 4,
        ..SourceConfig::default()
    };
    for last in 0..SERVERS {
        let address = SocketAddr::from(([192, 0, 2, last], 123));
        let id = world.system.add_source(address, config.clone(), world.now).expect("a new address");
        world.sources.insert(address, id);
        world.known.insert(address, Known::default());
    }
    world.drain();
    while let Some((what, more)) = rest.split_first() {
        let length = more.len().min(usize::from(what >> 3).min(16) * 4);
        let (octets, more) = more.split_at(length);
        rest = more;
        world.event(what & 7, octets);
        world.obey();
        world.drain();
        world.check();
    }
    crate::assert_numbers(data, &world.system);
}

impl World {
    fn event(&mut self, what: u8, octets: &[u8]) {
        let octet = |index: usize| octets.get(index).copied().unwrap_or(0);
        let address = SocketAddr::from(([192, 0, 2, octet(0) % (SERVERS + 1)], 123));
        match what {
            0 => self.advance(Duration::from_micros(u64::from(octet(1)) << (octet(2) % 32))),
            1 => {
                if let Some(next) = self.system.next_timeout() {
                    self.advance(next.since(self.now));
                }
            }
            // The true answer, each octet of which the input may change; where it changes none, it is a good one.
            2..=4 => {
                let mut answer = self.answer(address);
                for (place, change) in
                    octets.get(3..).unwrap_or_default().chunks(2).filter_map(|it| Some((it.first()?, it.get(1)?)))
                {
                    let place = usize::from(*place) % answer.len();
                    answer[place] ^= change;
                }
                self.advance(Duration::from_micros(u64::from(octet(1)) * 100));
                self.deliver(address, &answer);
            }
            5 => self.deliver(address, octets),
            6 => {
                let applied = Applied {
                    at: self.now,
                    stepped: NtpDuration::from_bits(i64::from(octet(1)) << (octet(2) % 40)),
                    slew_end: self.now,
                    ..Applied::default()
                };
                self.applied(&applied);
            }
            _ => {
                if let Some(id) = self.sources.get(&address) {
                    match octet(1) % 3 {
                        0 => drop(self.system.burst(*id, self.now)),
                        1 => drop(self.system.handle_transmit_stamp(*id, u32::from(octet(2)), self.clock)),
                        _ => drop(self.system.handle_unreachable(address)),
                    }
                }
                self.system.handle_timeout(self.now);
            }
        }
    }

    fn advance(&mut self, duration: Duration) {
        self.now += duration;
        self.clock += NtpDuration::from_std(duration);
        self.system.handle_timeout(self.now);
    }

    /// What a server half a second ahead of our clock answers.
    fn answer(&self, address: SocketAddr) -> Vec<u8> {
        let mut answer = vec![0; 48];
        answer[0] = 0x24;
        answer[1] = 1;
        answer[3] = 0xe8;
        let time = (self.clock + NtpDuration::from_nanos(500_000_000)).to_bytes();
        answer[32..40].copy_from_slice(&time);
        answer[40..].copy_from_slice(&time);
        if let Some(Known { waiting: Some(request), .. }) = self.known.get(&address) {
            let is_interleaved = request[32..40] != [0; 8] && self.nonce & 1 == 0;
            answer[24..32].copy_from_slice(if is_interleaved { &request[32..40] } else { &request[40..48] });
        }
        if let Some(key) = &self.key {
            let digest = key.key().digest(&answer);
            answer.extend(key.id().get().to_be_bytes());
            answer.extend_from_slice(digest.as_bytes());
        }
        answer
    }

    fn deliver(&mut self, from: SocketAddr, octets: &[u8]) {
        let result = self.system.handle_datagram(octets, from, self.clock, self.now);
        let Some(known) = self.known.get_mut(&from) else {
            assert_eq!(result, Err(Ignored::UnknownSource(from)));
            return;
        };
        // Of an interleaved request also what it says in its receive timestamp.
        let origin = octets.get(24..32);
        let is_answer = known.waiting.as_ref().is_some_and(|request| {
            origin == Some(&request[40..48]) || request[32..40] != [0; 8] && origin == Some(&request[32..40])
        });
        let is_authentic = self.key.as_ref().is_none_or(|key| {
            let packet = Packet::parse(octets);
            packet.is_ok_and(|packet| key.authenticate(&packet).is_ok())
        });
        match result {
            Ok(_) => {
                assert!(is_authentic, "{octets:02x?}");
                assert!(is_answer && octets[0] & 7 == 4 && octets.len() >= 48, "{octets:02x?}");
                assert!(octets[1] != 0 && octets[1] < 16 && octets[0] >> 6 != 3);
                known.waiting = None;
                known.answers += 1;
            }
            Err(ignored) => {
                assert!(is_answer && is_authentic || !ignored.is_from_server(), "{ignored} of {octets:02x?}");
                assert!(is_answer || !ignored.is_unauthentic(), "{ignored} of {octets:02x?}");
                if let Ignored::Kiss(_) = ignored {
                    known.waiting = None;
                    known.stopped |= matches!(octets.get(12..16), Some(b"DENY" | b"RSTR"));
                }
                if let Ignored::Late { .. } | Ignored::ClockMoved { .. } | Ignored::Loop(_) = ignored {
                    known.waiting = None;
                }
            }
        }
    }

    fn obey(&mut self) {
        let Some(command) = self.system.poll_command() else { return };
        let mut applied = Applied { at: self.now, slew_end: self.now, ..Applied::default() };
        match command {
            ClockCommand::Hold => panic!("nothing to do is no command"),
            ClockCommand::Step { offset, frequency } => {
                assert!(offset.abs() > self.policy.step_threshold, "a step of {offset}");
                (applied.stepped, applied.frequency) = (offset, frequency);
            }
            ClockCommand::Slew { offset, duration, frequency } => {
                let limit = self.policy.maximum_slew_rate.over(duration) + NtpDuration::from_nanos(1_000);
                assert!(offset.abs() <= limit, "{offset} in {duration:?}");
                applied.frequency = frequency;
            }
        }
        assert!(applied.frequency.abs() <= self.policy.maximum_frequency, "{}", applied.frequency);
        if self.obeys {
            self.applied(&applied);
        }
    }

    fn applied(&mut self, applied: &Applied) {
        self.clock += applied.stepped;
        if applied.stepped != NtpDuration::ZERO {
            self.known.values_mut().for_each(|known| known.waiting = None);
        }
        self.system.handle_applied(applied);
    }

    fn drain(&mut self) {
        let mut sent = 0;
        loop {
            self.nonce = self.nonce.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let Some(transmit) = self.system.poll_transmit(self.now, self.clock, self.nonce) else { break };
            let known = self.known.get_mut(&transmit.request.to).expect("one of the servers");
            assert!(!known.stopped, "asked after it said stop");
            let request = transmit.request.bytes().to_vec();
            let packet = Packet::parse(&request).expect("a packet");
            assert_eq!(self.key.as_ref().map(|key| key.authenticate(&packet)), self.key.as_ref().map(|_| Ok(())));
            assert!(self.key.is_some() || request.len() == 48, "a plain request");
            let is_plain = request[24..40].iter().all(|octet| *octet == 0);
            assert!(request[0] == 0x23 && request[1..24].iter().all(|octet| *octet == 0));
            assert!(is_plain || self.is_interleaved && known.answers > 0);
            assert_eq!(request[40..48], self.nonce.to_be_bytes());
            (known.waiting, known.last) = (Some(request), Some(self.now));
            known.requests += 1;
            sent += 1;
            assert!(sent <= SERVERS, "one request to each at a time");
        }
        if let Some(next) = self.system.next_timeout() {
            self.system.handle_timeout(self.now);
            assert!(next > self.now, "nothing is left to be done at this moment");
        }
    }

    fn check(&self) {
        let snapshot = self.system.snapshot(self.now);
        assert!(
            snapshot.system.bound >= NtpDuration::ZERO && snapshot.system.frequency.abs() < Frequency::from_ppm(501)
        );
        for source in &snapshot.sources {
            let known = &self.known[&source.address];
            let counters = &source.counters;
            assert_eq!((counters.sent, counters.accepted), (known.requests, known.answers));
            assert!(counters.lost + counters.accepted + counters.discarded <= counters.sent);
            assert_eq!(source.next.is_none(), known.stopped);
            assert!(source.poll >= Poll::MIN && source.poll <= Poll::MAX);
            assert!(source.estimate.bound >= NtpDuration::ZERO && source.estimate.jitter >= NtpDuration::ZERO);
            assert!(source.reach.to_bits() == 0 || counters.accepted > 0);
        }
    }
}
