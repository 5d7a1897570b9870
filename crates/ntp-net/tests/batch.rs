//! Batches against the kernel, on loopback.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests
#![cfg(target_os = "linux")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use ntp_net::{Batch, Event, Options, SendLead, Socket, Stamp, StampKind};
use ntp_types::{NtpDuration, NtpTimestamp};

const SECOND: Option<Duration> = Some(Duration::from_secs(1));
const V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn bound(address: SocketAddr, options: &Options) -> Socket {
    Socket::bind(address, options).unwrap()
}

#[test]
fn a_whole_batch_is_answered_in_order_and_from_the_asked_addresses() {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let dual = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    for address in [any, dual] {
        let Ok(server) = Socket::bind(address, &Options::new()) else {
            println!("{address} left out: no such family here");
            continue;
        };
        let port = server.local_addr().unwrap().port();
        let client = bound(V4, &Options::new());
        let mut batch = Batch::new(16, 64);
        let mut buffer = [0; 64];
        // More rounds than one, so that used slots are used again; more datagrams than slots, so that some wait.
        for _ in 0..3 {
            for last in 1..=20_u8 {
                client.send_to(&[last; 48], ([127, 0, 0, last], port).into(), None).unwrap();
            }
            let mut seen = 0;
            for expected in [16, 4] {
                assert_eq!(server.receive_batch(&mut batch).unwrap(), expected);
                batch.respond(|datagram, buffer| {
                    seen += 1;
                    assert_eq!((datagram.len, buffer[0], datagram.truncated), (48, seen, false));
                    assert_eq!(datagram.source, client.local_addr().unwrap());
                    assert_eq!(datagram.local, Some([127, 0, 0, seen].into()));
                    buffer[1] = 0xaa;
                    // Every fifth stays without an answer.
                    (seen % 5 != 0).then_some(40)
                });
                let report = server.send_batch(&mut batch);
                assert_eq!((report.refused, report.blocked), (0, 0));
            }
            assert_eq!(server.receive_batch(&mut batch).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            for last in (1..=20_u8).filter(|last| last % 5 != 0) {
                let answer = client.receive_within(&mut buffer, SECOND).unwrap().unwrap();
                assert_eq!((answer.len, buffer[0], buffer[1]), (40, last, 0xaa));
                assert_eq!(answer.source, ([127, 0, 0, last], port).into());
            }
        }
    }
}

#[test]
fn a_refused_reply_loses_only_itself() {
    let options = Options::new().transmit_stamps(true);
    let (server, client) = (bound(V4, &options), bound(V4, &Options::new()));
    // Replies longer than UDP carries are refused by the kernel: first, last, two together, all.
    let mut batch = Batch::new(8, 70_000);
    for refused in [&[0][..], &[7], &[3, 4], &[0, 2, 7], &[0, 1, 2, 3, 4, 5, 6, 7]] {
        for stamped in [&[][..], &[0], &[4], &[7], &[0, 1, 4, 6, 7]] {
            for index in 0..8 {
                client.send_to(&[index], server.local_addr().unwrap(), None).unwrap();
            }
            assert_eq!(server.receive_batch(&mut batch).unwrap(), 8);
            batch.respond(|_, buffer| Some(if refused.contains(&buffer[0]) { 66_000 } else { 1 }));
            for &position in stamped {
                batch.stamp(position);
            }
            let report = server.send_batch(&mut batch);
            assert_eq!((report.sent, report.refused, report.blocked), (8 - refused.len(), refused.len(), 0));
            assert!(report.error.is_some());
            let positions: Vec<_> = batch.stamps().iter().map(|&(position, _)| position).collect();
            let expected = stamped.iter().filter(|&&position| !refused.contains(&u8::try_from(position).unwrap()));
            assert_eq!(positions, expected.copied().collect::<Vec<_>>());
            for &(_, id) in batch.stamps() {
                let Event::Transmitted(left) = server.next_event(&mut []).unwrap() else { panic!("not a stamp") };
                assert_eq!(left.id, id);
            }
            assert!(server.next_event(&mut []).is_err());
            let mut buffer = [0; 4];
            for index in (0..8).filter(|index| !refused.contains(index)) {
                assert_eq!(client.receive_within(&mut buffer, SECOND).unwrap().unwrap().len, 1);
                assert_eq!(buffer[0], index);
            }
        }
    }
}

/// What goes to the same place goes as one and arrives as it would have one by one: the kernel stamps it once.
#[test]
fn replies_to_the_same_place_go_together() {
    for address in [V4, (Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::UNSPECIFIED, 0).into()] {
        let server = bound(address, &Options::new().errors(false).segments(true).receive_buffer(1 << 20));
        if !server.granted().segments {
            return println!("skipped: no segments here");
        }
        let port = server.local_addr().unwrap().port();
        let roomy = Options::new().receive_buffer(1 << 20);
        let clients = [bound(V4, &roomy), bound(V4, &roomy)];
        let mut batch = Batch::new(256, 64);
        // Who asks, which of our addresses, how often, and how long the answer is: the run of 150 is more than goes at once.
        let runs =
            [(0, 1, 5, 48), (1, 1, 1, 48), (0, 1, 3, 48), (0, 1, 2, 40), (0, 2, 2, 40), (1, 1, 150, 48), (0, 1, 1, 9)];
        let others = if address.ip().is_unspecified() { 2 } else { 1 };
        for _ in 0..2 {
            let mut turn = 0;
            for (client, last, count, _) in runs {
                for _ in 0..count {
                    let to = SocketAddr::from(([127, 0, 0, if last > others { 1 } else { last }], port));
                    clients[client].send_to(&[turn; 48], to, None).unwrap();
                    turn += 1;
                }
            }
            assert_eq!(server.receive_batch(&mut batch).unwrap(), usize::from(turn));
            let mut lengths = runs.into_iter().flat_map(|(_, _, count, len)| std::iter::repeat(len).take(count));
            batch.respond(|_, _| lengths.next());
            assert_eq!(server.send_batch(&mut batch).sent, usize::from(turn));
            let mut turn = 0;
            let mut stamps = std::collections::BTreeSet::new();
            for (client, last, count, len) in runs {
                for _ in 0..count {
                    let mut buffer = [0; 64];
                    let came = clients[client].receive_within(&mut buffer, SECOND).unwrap().unwrap();
                    assert_eq!((came.len, buffer[0], came.truncated), (len, turn, false));
                    assert_eq!(came.source, ([127, 0, 0, if last > others { 1 } else { last }], port).into());
                    stamps.insert(came.stamp.time.to_bits());
                    turn += 1;
                }
            }
            // One for each run, but for the long one, and for two that are one where both addresses are.
            let together = runs.len() + 2 - usize::from(others == 1);
            assert!(stamps.len() <= together, "{address}: {} moments for {together} messages", stamps.len());
        }
    }
}

#[test]
fn a_refused_reply_loses_only_itself_among_those_that_go_together() {
    let socket = bound(V4, &Options::new().segments(true));
    let (good, bad) = (socket.local_addr().unwrap(), SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut batch = Batch::new(16, 4);
    for order in [&[good, good, bad, bad, good, good][..], &[bad, bad, good, good], &[good, good, bad], &[bad, bad]] {
        batch.clear();
        for (turn, &to) in (0..).zip(order) {
            assert!(batch.push(&socket, to, None, |buffer| {
                buffer[0] = turn;
                4
            }));
        }
        let report = socket.send_batch(&mut batch);
        let refused = order.iter().filter(|&&to| to == bad).count();
        assert_eq!((report.sent, report.refused, report.blocked), (order.len() - refused, refused, 0));
        for (turn, _) in (0..).zip(order).filter(|&(_, &to)| to == good) {
            let mut buffer = [0; 8];
            assert_eq!(socket.receive_within(&mut buffer, SECOND).unwrap().unwrap().len, 4);
            assert_eq!(buffer[0], turn);
        }
        assert!(socket.receive(&mut [0; 8]).is_err());
    }
}

/// Port 0 is refused by the very error that says of a kernel that it takes no numbers.
#[test]
fn a_refused_reply_does_not_end_the_numbers() {
    let socket = bound(V4, &Options::new().transmit_stamps(true));
    let (good, bad) = (socket.local_addr().unwrap(), SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut batch = Batch::new(8, 4);
    for order in [&[bad, good][..], &[good, bad, good, good], &[good, bad, bad, good], &[bad, bad]] {
        batch.clear();
        for (position, &to) in order.iter().enumerate() {
            assert!(batch.push(&socket, to, None, |_| 4));
            batch.stamp(position);
        }
        // Another user of the socket, whose datagram the kernel counts where it counts.
        let id = socket.send_stamped(b"x", good, None).unwrap().unwrap();
        let sent = socket.send_batch(&mut batch).sent;
        let mut ids = vec![id];
        ids.extend(batch.stamps().iter().map(|&(_, id)| id));
        assert_eq!((sent, ids.len()), (order.iter().filter(|&&to| to == good).count(), sent + 1));
        for id in ids {
            let Event::Transmitted(left) = socket.next_event(&mut []).unwrap() else { panic!("not a stamp") };
            assert_eq!(left.id, id);
        }
    }
}

#[test]
fn the_stamped_reply_is_stamped_between_its_neighbours() {
    let server = bound(V4, &Options::new().transmit_stamps(true));
    let client = bound(V4, &Options::new());
    if !server.granted().transmit_stamps {
        return println!("skipped: no transmit stamps here");
    }
    let mut batch = Batch::new(32, 48);
    let mut last = None;
    for position in [0, 5, 31] {
        for _ in 0..32 {
            client.send_to(&[0; 48], server.local_addr().unwrap(), None).unwrap();
        }
        assert_eq!(server.receive_batch(&mut batch).unwrap(), 32);
        batch.respond(|_, _| Some(48));
        batch.stamp(position);
        let before = Stamp::user_now().time;
        assert_eq!(server.send_batch(&mut batch).sent, 32);
        let after = Stamp::user_now().time;
        let Ok(Event::Transmitted(left)) = server.next_event(&mut []) else { panic!("no stamp") };
        assert_eq!((batch.stamps(), left.stamp.kind), (&[(position, left.id)][..], StampKind::Kernel));
        assert!(!before.is_after(left.stamp.time) && !left.stamp.time.is_after(after));
        assert_ne!(last, Some(left.id));
        last = Some(left.id);
        for _ in 0..32 {
            assert!(client.receive_within(&mut [0; 48], SECOND).unwrap().is_some());
        }
    }
}

#[test]
fn a_cut_datagram_is_told_in_a_batch_too() {
    let (server, client) = (bound(V4, &Options::new()), bound(V4, &Options::new()));
    let mut batch = Batch::new(4, 16);
    for len in [15, 16, 17, 900] {
        client.send_to(&vec![3; len], server.local_addr().unwrap(), None).unwrap();
    }
    server.receive_batch(&mut batch).unwrap();
    let mut seen = Vec::new();
    batch.respond(|datagram, _| {
        seen.push((datagram.len, datagram.truncated));
        None
    });
    assert_eq!(seen, [(15, false), (16, false), (16, true), (16, true)]);
    assert_eq!(batch.replies(), 0);
    assert_eq!(server.send_batch(&mut batch), ntp_net::SendReport::default());
}

#[test]
fn a_waiting_socket_waits_for_the_first_and_no_longer_than_told() {
    let server = bound(V4, &Options::new().wait(Duration::from_millis(30)));
    let mut batch = Batch::new(4, 48);
    let start = Instant::now();
    assert_eq!(server.receive_batch(&mut batch).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(start.elapsed() >= Duration::from_millis(25));
    let to = server.local_addr().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| bound(V4, &Options::new()).send_to(&[1; 48], to, None).unwrap());
        let mut received = server.receive_batch(&mut batch);
        for _ in 0..100 {
            if received.is_ok() {
                break;
            }
            received = server.receive_batch(&mut batch);
        }
        assert_eq!(received.unwrap(), 1);
    });
}

#[test]
fn workers_on_one_port_share_the_clients_and_each_stays_with_its_own() {
    let options = Options::new().reuse_port(true);
    let first = bound(V4, &options);
    let to = first.local_addr().unwrap();
    let workers = [first, bound(to, &options), bound(to, &options)];
    let clients: Vec<_> = (0..60).map(|_| bound(V4, &Options::new())).collect();
    for client in &clients {
        client.send_to(&[0; 48], to, None).unwrap();
    }
    let mut batch = Batch::new(64, 48);
    let mut shares = || workers.each_ref().map(|worker| worker.receive_batch(&mut batch).unwrap_or(0));
    let all = shares();
    assert!(all.iter().sum::<usize>() == 60 && all.iter().all(|&share| share > 0), "{all:?}");
    for client in clients.iter().take(10) {
        (0..20).for_each(|_| client.send_to(&[0; 48], to, None).unwrap());
        let mut of_one = shares();
        of_one.sort_unstable();
        assert_eq!(of_one, [0, 0, 20]);
    }
}

#[test]
fn a_batch_of_its_own_goes_where_it_is_sent_and_comes_from_where_it_is_told() {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let (sender, receiver) = (bound(any, &Options::new()), bound(any, &Options::new()));
    let (from, to) = (sender.local_addr().unwrap().port(), receiver.local_addr().unwrap().port());
    let mut batch = Batch::new(8, 4);
    for _ in 0..2 {
        batch.clear();
        let mut pushed = 0_u8;
        while batch.push(&sender, ([127, 0, 0, 1], to).into(), Some([127, 0, 1, pushed + 1].into()), |buffer| {
            buffer[0] = pushed;
            1
        }) {
            pushed += 1;
        }
        assert_eq!((pushed, sender.send_batch(&mut batch).sent), (8, 8));
        assert_eq!(receiver.receive_batch(&mut batch).unwrap(), 8);
        let mut seen = 0;
        batch.for_each(|datagram, payload| {
            assert_eq!((datagram.source, payload), (([127, 0, 1, seen + 1], from).into(), &[seen][..]));
            seen += 1;
        });
        assert_eq!(seen, 8);
    }
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, to));
    batch.clear();
    assert!(!batch.push(&sender, six, None, |_| 0));
}

#[test]
fn some_can_be_answered_before_the_others_are_looked_at() {
    let (server, client) = (bound(V4, &Options::new()), bound(V4, &Options::new()));
    let mut batch = Batch::new(16, 4);
    for turn in 0..10 {
        client.send_to(&[turn], server.local_addr().unwrap(), None).unwrap();
    }
    assert_eq!((server.receive_batch(&mut batch).unwrap(), batch.waiting()), (10, 10));
    let mut seen = Vec::new();
    for (count, waiting) in [(1, 9), (0, 9), (4, 5), (100, 0), (1, 0)] {
        batch.respond_to(count, |datagram, buffer| {
            seen.push(buffer[0]);
            Some(datagram.len)
        });
        assert_eq!((batch.waiting(), server.send_batch(&mut batch).refused), (waiting, 0));
        assert_eq!(batch.sources().collect::<Vec<_>>(), vec![client.local_addr().unwrap(); waiting]);
    }
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
    for turn in 0..10 {
        let mut buffer = [0; 4];
        client.receive_within(&mut buffer, SECOND).unwrap().unwrap();
        assert_eq!(buffer[0], turn);
    }
    assert!(client.receive(&mut [0; 4]).is_err());
}

#[test]
fn what_can_go_nowhere_loses_only_itself() {
    let (sender, receiver) = (bound(V4, &Options::new()), bound(V4, &Options::new()));
    let good = receiver.local_addr().unwrap();
    // Port 0, broadcast without permission, no such network from loopback.
    let bad: [SocketAddr; 3] =
        [([127, 0, 0, 1], 0).into(), ([255, 255, 255, 255], 9).into(), ([192, 0, 2, 1], 9).into()];
    let mut batch = Batch::new(16, 4);
    let order = [bad[0], good, bad[1], bad[2], good, good, bad[0]];
    for (turn, to) in order.into_iter().enumerate() {
        let turn = u8::try_from(turn).unwrap();
        assert!(batch.push(&sender, to, None, |buffer| {
            buffer[0] = turn;
            1
        }));
    }
    let report = sender.send_batch(&mut batch);
    assert_eq!((report.sent, report.refused, report.blocked), (3, 4, 0));
    for expected in [1, 4, 5] {
        let mut buffer = [0; 4];
        receiver.receive_within(&mut buffer, SECOND).unwrap().unwrap();
        assert_eq!(buffer[0], expected);
    }
}

/// T3 in the future of its reply by less than the lead and what is said of it, and never before the request came, under bursts and from rests.
#[test]
fn a_timestamp_taken_ahead_keeps_its_promise() {
    let server = bound(V4, &Options::new().transmit_stamps(true));
    let client = bound(V4, &Options::new());
    if !server.granted().transmit_stamps {
        return println!("skipped: no transmit stamps here");
    }
    let (mut lead, mut batch, mut buffer) = (SendLead::new(), Batch::new(64, 48), [0; 48]);
    let mut longest = NtpDuration::ZERO;
    for round in 0..400 {
        let burst = [1, 1, 3, 40][round % 4];
        (0..burst).for_each(|_| client.send_to(&[0; 48], server.local_addr().unwrap(), None).unwrap());
        server.receive_batch(&mut batch).unwrap();
        while batch.waiting() > 0 {
            let reading = Stamp::user_now().time;
            let turn = lead.turn(batch.waiting(), reading);
            let mut position = 0;
            batch.respond_to(turn.length(), |datagram, buffer| {
                let ahead = lead.at(&turn, position);
                position += 1;
                longest = longest.max(ahead);
                assert!(!datagram.stamp.time.is_after(reading + ahead) || datagram.stamp.kind == StampKind::User);
                buffer[..8].copy_from_slice(&(reading + ahead).to_bytes());
                buffer[8..16].copy_from_slice(&ahead.to_bits().to_be_bytes());
                Some(48)
            });
            if turn.wants_stamp() {
                batch.stamp(0);
            }
            assert_eq!(server.send_batch(&mut batch).sent, position);
            let duration = Stamp::user_now().time.since(reading);
            if turn.wants_stamp() {
                let Ok(Event::Transmitted(left)) = server.next_event(&mut []) else { panic!("no stamp") };
                lead.learn_stamp(&turn, left.stamp.time.since(reading), duration);
            } else {
                lead.learn_duration(&turn, position, duration);
            }
        }
        for _ in 0..burst {
            let came = client.receive_within(&mut buffer, SECOND).unwrap().unwrap().stamp.time;
            let field = |at: usize| u64::from_be_bytes(buffer[at..at + 8].try_into().unwrap());
            let (t3, ahead) = (
                NtpTimestamp::from_bits(field(0)),
                NtpDuration::from_bits(i64::from_be_bytes(buffer[8..16].try_into().unwrap())),
            );
            assert!(
                t3.since(came) <= ahead && ahead <= SendLead::MOST,
                "{} in the future, {ahead} ahead",
                t3.since(came)
            );
        }
    }
    assert!(longest > NtpDuration::ZERO, "nothing was learnt");
}
