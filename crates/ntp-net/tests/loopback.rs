//! The socket against the kernel, on loopback.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests
#![cfg(target_os = "linux")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ntp_net::{BindError, Event, Options, Poller, Reach, Socket, Stamp, StampKind, Wake};

const SECOND: Option<Duration> = Some(Duration::from_secs(1));
const V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const V4_ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
const V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0);
const V6_ANY: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);

fn bound(address: SocketAddr) -> Socket {
    Socket::bind(address, &Options::new()).unwrap()
}

/// Waits for the next entry of the error queue.
fn event(socket: &Socket, buffer: &mut [u8]) -> Event {
    let mut poller = Poller::new();
    let place = poller.add(socket);
    for _ in 0..100 {
        poller.wait(SECOND).unwrap();
        if poller.has_event(place) {
            return socket.next_event(buffer).unwrap();
        }
    }
    panic!("nothing came through the error queue");
}

#[test]
fn the_kernel_stamps_what_arrives() {
    let (server, client) = (bound(V4), bound(V4));
    assert_eq!(server.granted().receive_stamps, StampKind::Kernel);
    let mut buffer = [0; 64];
    // The kernel begins to stamp a moment after the first socket asks for it.
    let mut kinds = Vec::new();
    for _ in 0..50 {
        let before = Stamp::user_now().time;
        client.send_to(&[7; 48], server.local_addr().unwrap(), None).unwrap();
        let datagram = server.receive_within(&mut buffer, SECOND).unwrap().unwrap();
        let after = Stamp::user_now().time;
        assert!(!before.is_after(datagram.stamp.time) && !datagram.stamp.time.is_after(after));
        assert_eq!((datagram.len, datagram.truncated), (48, false));
        assert_eq!(datagram.source, client.local_addr().unwrap());
        kinds.push(datagram.stamp.kind);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(kinds.last(), Some(&StampKind::Kernel));
}

/// Not when it is read, with and without transmit stamps.
#[test]
fn a_datagram_that_lies_waiting_was_stamped_when_it_came() {
    for transmit in [false, true] {
        let socket = Socket::bind(V4, &Options::new().transmit_stamps(transmit)).unwrap();
        let to = socket.local_addr().unwrap();
        assert_eq!(socket.granted().receive_stamps, StampKind::Kernel);
        let waited = || {
            let id = socket.send_stamped(b"x", to, None).unwrap();
            let after = Stamp::user_now().time;
            std::thread::sleep(Duration::from_millis(10));
            let datagram = socket.receive(&mut [0; 4]).unwrap();
            if let Some(id) = id {
                let Event::Transmitted(left) = event(&socket, &mut []) else { panic!("not a stamp") };
                assert_eq!((left.id, left.stamp.kind), (id, StampKind::Kernel));
                assert!(!left.stamp.time.is_after(after));
            }
            datagram.stamp.kind == StampKind::Kernel && !datagram.stamp.time.is_after(after)
        };
        // The kernel begins to stamp a moment after the first socket asks for it.
        let _ = waited();
        assert!((0..5).any(|_| waited()), "transmit {transmit}");
        assert!(waited() && waited());
    }
}

#[test]
fn without_kernel_stamps_user_space_stamps() {
    let server = Socket::bind(V4, &Options::new().receive_stamps(false)).unwrap();
    assert_eq!(server.granted().receive_stamps, StampKind::User);
    bound(V4).send_to(b"x", server.local_addr().unwrap(), None).unwrap();
    let datagram = server.receive_within(&mut [0; 8], SECOND).unwrap().unwrap();
    assert_eq!(datagram.stamp.kind, StampKind::User);
}

#[test]
fn the_answer_leaves_from_the_address_that_was_asked() {
    let server = bound(V4_ANY);
    let port = server.local_addr().unwrap().port();
    let client = bound(V4);
    let mut buffer = [0; 64];
    for last in 2..6 {
        let asked = IpAddr::from([127, 0, 0, last]);
        client.send_to(b"?", (asked, port).into(), None).unwrap();
        let question = server.receive_within(&mut buffer, SECOND).unwrap().unwrap();
        assert_eq!(question.local, Some(asked));
        assert!(question.interface.is_some());
        server.send_to(b"!", question.source, question.local).unwrap();
        let answer = client.receive_within(&mut buffer, SECOND).unwrap().unwrap();
        assert_eq!(answer.source, (asked, port).into());
    }
}

#[test]
fn one_socket_serves_both_families() {
    let Ok(server) = Socket::bind(V6_ANY, &Options::new()) else {
        return println!("skipped: no IPv6 here");
    };
    let port = server.local_addr().unwrap().port();
    assert!(server.granted().dual && server.granted().packet_info);
    let mut buffer = [0; 64];
    let mut clients = vec![(bound(V4), IpAddr::from([127, 0, 0, 9]))];
    match Socket::bind(V6, &Options::new()) {
        Ok(client) => clients.push((client, IpAddr::V6(Ipv6Addr::LOCALHOST))),
        Err(error) => println!("IPv6 left out: {error}"),
    }
    for (client, asked) in clients {
        client.send_to(b"?", (asked, port).into(), None).unwrap();
        let question = server.receive_within(&mut buffer, SECOND).unwrap().unwrap();
        assert_eq!((question.source, question.local), (client.local_addr().unwrap(), Some(asked)));
        server.send_to(b"!", question.source, question.local).unwrap();
        let answer = client.receive_within(&mut buffer, SECOND).unwrap().unwrap();
        assert_eq!(answer.source, (asked, port).into());
    }
    let only = Socket::bind(V6_ANY, &Options::new().only_v6(true)).unwrap();
    assert!(!only.granted().dual);
}

#[test]
fn a_datagram_too_long_for_the_buffer_says_so() {
    let (server, client) = (bound(V4), bound(V4));
    for (sent, cut) in [(16, false), (17, true), (1000, true)] {
        client.send_to(&vec![1; sent], server.local_addr().unwrap(), None).unwrap();
        let datagram = server.receive_within(&mut [0; 16], SECOND).unwrap().unwrap();
        assert_eq!((datagram.len, datagram.truncated), (16, cut), "{sent} octets");
    }
    client.send_to(&[], server.local_addr().unwrap(), None).unwrap();
    assert_eq!(server.receive_within(&mut [0; 16], SECOND).unwrap().unwrap().len, 0);
}

#[test]
fn a_closed_port_is_told_by_value_and_does_not_disturb_the_next_datagram() {
    for local in [V4, V6] {
        let Ok(client) = Socket::bind(local, &Options::new()) else {
            println!("{local} left out: no such family here");
            continue;
        };
        let closed = bound(local).local_addr().unwrap();
        let open = bound(local);
        client.send_to(b"anybody there", closed, None).unwrap();
        // The pending error of the first belongs to the first.
        client.send_to(b"and you", open.local_addr().unwrap(), None).unwrap();
        assert!(open.receive_within(&mut [0; 16], SECOND).unwrap().is_some());
        assert!(client.receive(&mut [0; 16]).is_err());
        let mut buffer = [0; 32];
        let Event::Unreachable(lost) = event(&client, &mut buffer) else { panic!("not an ICMP error") };
        assert_eq!((lost.destination, lost.reach), (closed, Reach::PortUnreachable));
        assert_eq!(&buffer[..lost.len], b"anybody there");
        assert_eq!(lost.reporter, Some(local.ip()));
        assert!(client.next_event(&mut buffer).is_err());
    }
}

#[test]
fn each_transmit_stamp_finds_its_datagram() {
    let client = Socket::bind(V4, &Options::new().transmit_stamps(true)).unwrap();
    let server = bound(V4);
    if !client.granted().transmit_stamps {
        return println!("skipped: no transmit stamps here");
    }
    let to = server.local_addr().unwrap();
    let mut sent = Vec::new();
    for round in 0..20_u8 {
        // Others in between, unstamped and refused, must not confuse the count.
        client.send_to(b"unstamped", to, None).unwrap();
        assert!(client.send_stamped(b"refused", (to.ip(), 0).into(), None).is_err());
        let before = Stamp::user_now().time;
        let id = client.send_stamped(&[round; 48], to, None).unwrap().unwrap();
        sent.push((id, before, Stamp::user_now().time));
        std::thread::sleep(Duration::from_micros(100));
    }
    for (id, before, after) in sent {
        let Event::Transmitted(left) = event(&client, &mut []) else { panic!("not a stamp") };
        assert_eq!((left.id, left.stamp.kind), (id, StampKind::Kernel));
        assert!(!before.is_after(left.stamp.time) && !left.stamp.time.is_after(after));
    }
}

#[test]
fn a_wait_longer_than_any_clock_is_one_for_ever() {
    let (server, client) = (bound(V4), bound(V4));
    client.send_to(b"x", server.local_addr().unwrap(), None).unwrap();
    assert!(server.receive_within(&mut [0; 4], Some(Duration::MAX)).unwrap().is_some());
}

#[test]
fn the_poller_tells_who_is_ready_and_when_time_is_up() {
    let sockets = [bound(V4), bound(V4), bound(V4)];
    let mut poller = Poller::new();
    let places: Vec<_> = sockets.iter().map(|socket| poller.add(socket)).collect();
    assert_eq!(poller.wait(Some(Duration::from_micros(1))).unwrap(), Wake::TimedOut);
    sockets[0].send_to(b"x", sockets[2].local_addr().unwrap(), None).unwrap();
    assert_eq!(poller.wait(SECOND).unwrap(), Wake::Ready(1));
    let ready: Vec<_> = places.iter().map(|&place| poller.is_readable(place)).collect();
    assert_eq!(ready, [false, false, true]);
    poller.want_write(places[1], true);
    assert_eq!(poller.wait(SECOND).unwrap(), Wake::Ready(2));
    assert!(poller.is_writable(places[1]) && !poller.is_writable(places[2]) && !poller.has_event(places[1]));
    poller.clear();
    assert_eq!(poller.wait(Some(Duration::ZERO)).unwrap(), Wake::TimedOut);
}

#[test]
fn options_are_granted_or_missing_and_only_a_foreign_interface_is_an_error() {
    let options = Options::new()
        .reuse_port(true)
        .dscp(46)
        .hop_limit(3)
        .receive_buffer(1 << 20)
        .send_buffer(1 << 20)
        .hardware_stamps(true)
        .transmit_stamps(true);
    let first = Socket::bind(V4, &options).unwrap();
    let granted = first.granted();
    assert!(granted.reuse_port && granted.dscp && granted.hop_limit && granted.packet_info && granted.errors);
    assert!(first.receive_buffer().unwrap() >= 1 << 20);
    let taken = first.local_addr().unwrap();
    assert!(Socket::bind(taken, &options).is_ok(), "a second worker");
    let refused = Socket::bind(taken, &Options::new());
    assert!(matches!(refused, Err(BindError::Bind { address, .. }) if address == taken));
    // Cut short or empty, the last ones would be no interface or another.
    for name in ["no such", "", "lo\0", "lolololololololo"] {
        let device = Socket::bind(V4, &Options::new().device(name));
        assert!(matches!(device, Err(BindError::Device { device, .. }) if device == name));
    }
    match Socket::bind(V4, &Options::new().device("lo")) {
        Ok(socket) => {
            bound(V4).send_to(b"x", socket.local_addr().unwrap(), None).unwrap();
            assert!(socket.receive_within(&mut [0; 4], SECOND).unwrap().is_some());
        }
        Err(error) => println!("binding to a device left out: {error}"),
    }
}
