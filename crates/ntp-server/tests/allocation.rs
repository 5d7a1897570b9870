//! A batch in, answers in place, a batch out: nothing on the way allocates, under every policy.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // how a test fails
#![cfg(target_os = "linux")]

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use ntp_net::{Batch, Options, SendLead, Socket, Stamp};
use ntp_proto::mac::{Algorithm, Key, SharedKey};
use ntp_proto::ClientRequest;
use ntp_server::{Access, AccessRules, Outcome, RateLimit, Server, ServerClock, MAX_REQUEST};
use ntp_types::{Instant, NtpTimestamp, Precision, Stratum};

/// Allocations of `work` on this thread.
fn allocations(work: impl FnOnce()) -> u64 {
    measure(work).count_total
}

fn key() -> SharedKey {
    SharedKey::new(NonZeroU32::MIN, Key::new(Algorithm::Aes128Cmac, &[7; 16]).unwrap())
}

fn server() -> Server {
    let rules = [("127.0.0.0/8", Access::Allow), ("192.0.2.0/24", Access::Refuse)];
    let rules: Vec<_> = rules.iter().map(|(prefix, access)| (prefix.parse().unwrap(), *access)).collect();
    Server::new(ServerClock::local(Stratum::from_bits(5), Precision::from_log2(-24)))
        .with_access(Arc::new(AccessRules::new(Access::Ignore, &rules)))
        .with_rate_limit(&RateLimit { burst: 40, ..RateLimit::default() }, 1 << 77 | 5)
        .with_ceiling(1_000_000)
        .with_interleaving(1 << 10, 1 << 77 | 5)
        .with_keys(Arc::new([key()].into_iter().collect()))
        .with_lead(SendLead::MOST)
}

/// Plain requests, signed ones, noise, and one that is too long.
fn requests() -> Vec<Vec<u8>> {
    let mut buffer = [0; 200];
    let asked = ClientRequest::new(NtpTimestamp::from_bits(7));
    let (writer, _pending) = asked.begin(&mut buffer, "127.0.0.1:123".parse().unwrap()).unwrap();
    let length = writer.sign(&key()).unwrap();
    let mut plain = [0; 48];
    plain[0] = 0x23;
    vec![plain.to_vec(), buffer[..length].to_vec(), vec![0x23; 55], vec![0x23; MAX_REQUEST + 9], plain.to_vec()]
}

#[test]
fn from_batch_to_batch_nothing_is_allocated() {
    assert_eq!(allocations(|| drop(black_box(vec![1_u8]))), 1, "the counter counts");
    let options = Options::new().errors(false).transmit_stamps(true).wait(Duration::from_secs(5));
    let socket = Socket::bind("0.0.0.0:0".parse().unwrap(), &options).unwrap();
    let client = Socket::bind("127.0.0.1:0".parse().unwrap(), &Options::new()).unwrap();
    let to = ([127, 0, 0, 1], socket.local_addr().unwrap().port()).into();
    let (mut server, mut batch, mut lead) = (server(), Batch::new(64, MAX_REQUEST), SendLead::new());
    let requests = requests();
    for round in 0..30_u64 {
        let now = Instant::from_nanos(round << 27);
        for request in &requests {
            client.send_to(request, to, None).unwrap();
        }
        let allocated = allocations(|| {
            socket.receive_batch(&mut batch).unwrap();
            while batch.waiting() > 0 {
                let reading = Stamp::user_now().time;
                let turn = lead.turn(batch.waiting(), reading);
                let mut position = 0;
                batch.respond_to(turn.length(), |datagram, buffer| {
                    let (arrived, leaves) = (datagram.stamp.time, reading + lead.at(&turn, position));
                    let outcome = if datagram.truncated {
                        server.handle_truncated()
                    } else {
                        server.respond_in_place(buffer, datagram.len, datagram.source, arrived, leaves, now)
                    };
                    let Outcome::Response { length } = outcome else { return None };
                    position += 1;
                    Some(length)
                });
                if turn.wants_stamp() {
                    batch.stamp(0);
                }
                let report = socket.send_batch(&mut batch);
                let duration = Stamp::user_now().time.since(reading);
                lead.learn_duration(&turn, report.sent, duration);
                while socket.next_event(&mut []).is_ok() {}
            }
        });
        assert_eq!(allocated, 0, "round {round}");
    }
    let counters = server.counters();
    let happened = [
        counters.answered,
        counters.signed,
        counters.malformed,
        counters.too_long,
        counters.rate_limited + counters.rate_kisses,
    ];
    assert!(happened.iter().all(|&count| count > 0), "{counters:?}");
}
