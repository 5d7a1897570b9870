//! The socket in a network of its own: routes that end, addresses that go, interfaces that are not the right one.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use ntp_net::{Batch, Event, Options, Reach, Socket};

/// Set in the process that runs inside.
const INSIDE: &str = "NTP_NET_INSIDE";

/// Whether this is the inside; outside it runs the test again inside, or says why not.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let may = Command::new("unshare").args(["--net", "true"]).output().is_ok_and(|output| output.status.success());
    if !may {
        println!("skipped: no network namespace for us here");
        return false;
    }
    let status = Command::new("unshare")
        .arg("--net")
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status();
    assert!(status.unwrap().success(), "{test} failed inside");
    false
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

fn bound(address: &str, options: &Options) -> Socket {
    Socket::bind(address.parse().unwrap(), options).unwrap()
}

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

#[test]
fn a_client_whose_address_is_gone_costs_only_its_own_answer() {
    if !inside("a_client_whose_address_is_gone_costs_only_its_own_answer") {
        return;
    }
    ip("link set lo up");
    ip("address add 10.9.0.1/32 dev lo");
    let server = bound("0.0.0.0:0", &Options::new().errors(false));
    let to = SocketAddr::from(([127, 0, 0, 1], server.local_addr().unwrap().port()));
    let (gone, stays) = (bound("10.9.0.1:0", &Options::new()), bound("127.0.0.1:0", &Options::new()));
    let mut batch = Batch::new(8, 48);
    for (turn, socket) in [&stays, &gone, &stays, &gone, &gone, &stays].into_iter().enumerate() {
        socket.send_to(&[u8::try_from(turn).unwrap(); 48], to, None).unwrap();
    }
    assert_eq!(server.receive_batch(&mut batch).unwrap(), 6);
    ip("address del 10.9.0.1/32 dev lo");
    ip("route add unreachable 10.9.0.0/16");
    batch.respond(|datagram, _| Some(datagram.len));
    let report = server.send_batch(&mut batch);
    assert_eq!((report.sent, report.refused, report.blocked), (3, 3, 0));
    for expected in [0, 2, 5] {
        let mut buffer = [0; 48];
        assert_eq!(stays.receive_within(&mut buffer, SECOND).unwrap().unwrap().len, 48);
        assert_eq!(buffer[0], expected);
    }
    // One by one the same is an error of that datagram, and the next goes out.
    let error = server.send_to(b"x", "10.9.0.1:9".parse().unwrap(), None).unwrap_err();
    assert!(error.raw_os_error().is_some());
    server.send_to(b"x", stays.local_addr().unwrap(), None).unwrap();
}

#[test]
fn a_firewall_or_router_that_says_no_is_told_by_value() {
    if !inside("a_firewall_or_router_that_says_no_is_told_by_value") {
        return;
    }
    ip("link set lo up");
    ip("netns add far");
    ip("link add near type veth peer name end netns far");
    ip("address add 10.1.0.1/24 dev near");
    ip("link set near up");
    ip("-n far address add 10.1.0.2/24 dev end");
    ip("-n far link set end up");
    ip("-n far link set lo up");
    ip("-n far route add prohibit 10.2.0.0/24");
    ip("-n far route add unreachable 10.3.0.0/24");
    ip("route add 10.2.0.0/16 via 10.1.0.2");
    ip("route add 10.3.0.0/16 via 10.1.0.2");
    let forward = ["netns", "exec", "far", "sysctl", "-qw", "net.ipv4.ip_forward=1"];
    assert!(Command::new("ip").args(forward).status().unwrap().success());
    let client = bound("0.0.0.0:0", &Options::new());
    let router: IpAddr = [10, 1, 0, 2].into();
    let cases = [("10.2.0.1:123", Reach::Prohibited), ("10.3.0.1:123", Reach::HostUnreachable)];
    for (to, reach) in cases {
        client.send_to(b"anybody", to.parse().unwrap(), None).unwrap();
        let mut poller = ntp_net::Poller::new();
        let place = poller.add(&client);
        poller.wait(SECOND).unwrap();
        assert!(poller.has_event(place), "{to}");
        let mut buffer = [0; 32];
        let Event::Unreachable(lost) = client.next_event(&mut buffer).unwrap() else { panic!("no ICMP error") };
        assert_eq!((lost.destination, lost.reporter, lost.reach), (to.parse().unwrap(), Some(router), reach));
    }
    // A hop limit of one ends at the router.
    let short = bound("0.0.0.0:0", &Options::new().hop_limit(1));
    ip("-n far route add 10.4.0.0/24 dev end");
    ip("route add 10.4.0.0/16 via 10.1.0.2");
    short.send_to(b"anybody", "10.4.0.1:123".parse().unwrap(), None).unwrap();
    let mut poller = ntp_net::Poller::new();
    poller.add(&short);
    poller.wait(SECOND).unwrap();
    let Event::Unreachable(lost) = short.next_event(&mut [0; 32]).unwrap() else { panic!("no ICMP error") };
    assert_eq!(lost.reach, Reach::HopLimit);
    ip("netns del far");
}

#[test]
fn a_socket_on_one_interface_hears_no_other() {
    if !inside("a_socket_on_one_interface_hears_no_other") {
        return;
    }
    ip("link set lo up");
    ip("link add other type veth peer name beyond");
    ip("link set other up");
    let here = bound("127.0.0.1:0", &Options::new().device("lo").reuse_port(true));
    let to = here.local_addr().unwrap();
    let other = Socket::bind(to, &Options::new().device("other").reuse_port(true)).unwrap();
    let client = bound("127.0.0.1:0", &Options::new());
    for _ in 0..10 {
        client.send_to(b"x", to, None).unwrap();
        let datagram = here.receive_within(&mut [0; 4], SECOND).unwrap().unwrap();
        assert_eq!(datagram.interface, Some(1), "the loopback is the first");
    }
    assert!(other.receive(&mut [0; 4]).is_err());
}

/// A datagram from port 0, as no socket but a raw one sends it.
const FROM_PORT_ZERO: &str = "
import socket, struct, sys
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
raw.sendto(struct.pack('!HHHH', 0, int(sys.argv[1]), 56, 0) + bytes(48), ('127.0.0.1', 0))
";

#[test]
fn a_request_from_port_zero_costs_only_its_own_answer() {
    if !inside("a_request_from_port_zero_costs_only_its_own_answer") {
        return;
    }
    ip("link set lo up");
    let server = bound("127.0.0.1:0", &Options::new().errors(false));
    let client = bound("127.0.0.1:0", &Options::new());
    let to = server.local_addr().unwrap();
    client.send_to(&[1; 48], to, None).unwrap();
    let python = Command::new("python3").args(["-c", FROM_PORT_ZERO, &to.port().to_string()]).status();
    if !python.is_ok_and(|status| status.success()) {
        return println!("skipped: no python3 to send it");
    }
    client.send_to(&[2; 48], to, None).unwrap();
    let mut batch = Batch::new(8, 48);
    assert_eq!(server.receive_batch(&mut batch).unwrap(), 3);
    let mut ports = Vec::new();
    batch.respond(|datagram, _| {
        ports.push(datagram.source.port());
        Some(datagram.len)
    });
    assert_eq!((ports.len(), ports.get(1)), (3, Some(&0)));
    let report = server.send_batch(&mut batch);
    assert_eq!((report.sent, report.refused, report.blocked), (2, 1, 0));
    for expected in [1, 2] {
        let mut buffer = [0; 48];
        client.receive_within(&mut buffer, SECOND).unwrap().unwrap();
        assert_eq!(buffer[0], expected);
    }
}

/// Tells the class and hop limit of one datagram as the receiver's kernel saw them.
const WITH_CLASS: &str = "
import socket
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
receiver.setsockopt(socket.IPPROTO_IP, 12, 1) # IP_RECVTTL
receiver.settimeout(5)
receiver.bind(('127.0.0.1', 9))
print(flush=True)
print([value[0] for _, _, value in sorted(receiver.recvmsg(99, 99)[1])])
";

#[test]
fn code_point_and_hop_limit_are_on_the_wire() {
    if !inside("code_point_and_hop_limit_are_on_the_wire") {
        return;
    }
    ip("link set lo up");
    let python = Command::new("python3").args(["-c", WITH_CLASS]).stdout(std::process::Stdio::piped()).spawn();
    let Ok(mut python) = python else { return println!("skipped: no python3 to look") };
    let mut lines = BufReader::new(python.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let sender = bound("127.0.0.1:0", &Options::new().dscp(46).hop_limit(77));
    sender.send_to(&[0; 48], "127.0.0.1:9".parse().unwrap(), None).unwrap();
    // Expedited forwarding is the upper six bits; the messages are sorted by their type: TOS 1, TTL 2.
    assert_eq!(lines.next().unwrap().unwrap(), "[184, 77]");
    assert!(python.wait().unwrap().success());
}

/// Tells identification and flags of one datagram as they were on the wire.
const WITH_HEADER: &str = "
import socket
receiver = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
receiver.settimeout(5)
print(flush=True)
print(receiver.recv(99)[4:8].hex())
";

#[test]
fn what_goes_whole_says_so_on_the_wire_and_is_not_numbered() {
    if !inside("what_goes_whole_says_so_on_the_wire_and_is_not_numbered") {
        return;
    }
    ip("link set lo up");
    for (address, is_granted) in [("127.0.0.1:0", true), ("[::]:0", true), ("[::1]:0", false)] {
        let sender = bound(address, &Options::new().whole(true));
        assert_eq!(sender.granted().whole, is_granted, "{address}");
        if !is_granted {
            continue;
        }
        let python = Command::new("python3").args(["-c", WITH_HEADER]).stdout(std::process::Stdio::piped()).spawn();
        let Ok(mut python) = python else { return println!("skipped: no python3 to look") };
        let mut lines = BufReader::new(python.stdout.take().unwrap()).lines();
        lines.next().unwrap().unwrap();
        sender.send_to(&[0; 48], "127.0.0.1:9".parse().unwrap(), None).unwrap();
        // Number 0, and Don't Fragment.
        assert_eq!(lines.next().unwrap().unwrap(), "00004000");
        assert!(python.wait().unwrap().success());
    }
}

/// Datagrams that wait for a neighbour who is not there fill the socket: those without room are told, and it gets empty again.
#[test]
fn a_full_send_buffer_is_told_and_lived_through() {
    if !inside("a_full_send_buffer_is_told_and_lived_through") {
        return;
    }
    ip("link set lo up");
    ip("link add near type veth peer name end");
    ip("address add 10.1.0.1/24 dev near");
    ip("link set end up");
    ip("link set near up");
    // The kernel gives more, but not much.
    let server = bound("0.0.0.0:0", &Options::new().errors(false).send_buffer(1));
    let client = bound("127.0.0.1:0", &Options::new());
    let mut batch = Batch::new(64, 48);
    for _ in 0..64 {
        assert!(batch.push(&server, "10.1.0.9:9".parse().unwrap(), None, |_| 48));
    }
    let report = server.send_batch(&mut batch);
    assert!(report.sent > 0 && report.blocked > 0, "{report:?}");
    assert_eq!((report.sent + report.blocked, report.refused), (64, 0));
    let error = server.send_to(b"x", client.local_addr().unwrap(), None).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    ip("link set near down");
    server.send_to(b"x", client.local_addr().unwrap(), None).unwrap();
    assert!(client.receive_within(&mut [0; 4], SECOND).unwrap().is_some());
}
