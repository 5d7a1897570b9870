//! The socket in a network of its own: routes that end, addresses that go, interfaces that are not the right one.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::process::Command;
use std::time::{Duration, Instant};

use ntp_net::{Batch, Event, Options, Poller, Reach, Socket, Unreachable};

/// Set in the process that runs inside.
const INSIDE: &str = "NTP_NET_INSIDE";

/// Whether this is the inside; outside it runs the test again inside, or says why not.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let may =
        Command::new("unshare").args(["--net", "--mount", "true"]).output().is_ok_and(|output| output.status.success());
    if !may {
        println!("skipped: no network namespace for us here");
        return false;
    }
    let status = Command::new("unshare")
        .args(["--net", "--mount"])
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

/// A router in a namespace of its own, and behind it networks of every kind, twice: under IPv4 and IPv6.
fn router() {
    // Names of namespaces are everybody's otherwise, and outlive a test that fails.
    assert!(Command::new("mount").args(["-t", "tmpfs", "none", "/run"]).status().unwrap().success());
    ip("link set lo up");
    ip("netns add far");
    ip("link add near type veth peer name end netns far");
    // A link that carries little, to nobody.
    ip("-n far link add narrow type veth peer name nobody");
    ip("-n far link set narrow mtu 1300");
    ip("-n far link set nobody up");
    for setting in [
        "address add 10.1.0.1/24 dev near",
        "-6 address add fd00:1::1/64 dev near nodad",
        "link set near up",
        "-n far address add 10.1.0.2/24 dev end",
        "-n far -6 address add fd00:1::2/64 dev end nodad",
        "-n far address add 10.6.0.1/24 dev narrow",
        "-n far -6 address add fd00:6::1/64 dev narrow nodad",
    ] {
        ip(setting);
    }
    for interface in ["lo", "end", "narrow"] {
        ip(&format!("-n far link set {interface} up"));
    }
    for (number, kind) in [(2, "prohibit"), (3, "unreachable")] {
        ip(&format!("-n far route add {kind} 10.{number}.0.0/24"));
        ip(&format!("-n far -6 route add {kind} fd00:{number}::/64"));
    }
    ip("route add default via 10.1.0.2");
    ip("-6 route add default via fd00:1::2");
    for setting in [
        "net.ipv4.ip_forward=1",
        "net.ipv6.conf.all.forwarding=1",
        // As many errors as there are reasons.
        "net.ipv4.icmp_ratelimit=0",
        "net.ipv6.icmp.ratelimit=0",
    ] {
        let set = ["netns", "exec", "far", "sysctl", "-qw", setting];
        assert!(Command::new("ip").args(set).status().unwrap().success());
    }
}

/// The ICMP error about what is sent to `to`. A link that has just come up delays some, and a router does not tell of each.
fn lost(socket: &Socket, to: SocketAddr, octets: usize) -> Unreachable {
    let mut poller = Poller::new();
    poller.add(socket);
    for _ in 0..30 {
        socket.send_to(&vec![7; octets], to, None).unwrap();
        poller.wait(Some(Duration::from_millis(300))).unwrap();
        while let Ok(event) = socket.next_event(&mut [0; 32]) {
            let Event::Unreachable(lost) = event else { panic!("no ICMP error") };
            if lost.destination == to {
                return lost;
            }
        }
    }
    panic!("nothing came about {to}");
}

#[test]
fn a_firewall_or_router_that_says_no_is_told_by_value() {
    if !inside("a_firewall_or_router_that_says_no_is_told_by_value") {
        return;
    }
    router();
    // Linux says of an unreachable route that the host is under IPv4, and that there is none under IPv6.
    for (any, router, network, unreachable) in [
        ("0.0.0.0:0", "10.1.0.2", "10.N.0.9", Reach::HostUnreachable),
        ("[::]:0", "fd00:1::2", "[fd00:N::9]", Reach::NetworkUnreachable),
    ] {
        let router: IpAddr = router.parse().unwrap();
        // What does not fit into the narrow network must not be cut on the way.
        let client = bound(any, &Options::new().only_v6(true).whole(true));
        let short = bound(any, &Options::new().only_v6(true).hop_limit(1));
        let cases = [
            (&client, "2", 48, Reach::Prohibited),
            (&client, "3", 48, unreachable),
            (&client, "5", 48, Reach::NetworkUnreachable),
            (&client, "6", 1_400, Reach::TooBig { mtu: 1_300 }),
            // It ends at the router.
            (&short, "6", 48, Reach::HopLimit),
        ];
        for (socket, number, octets, reach) in cases {
            let to: SocketAddr = format!("{}:123", network.replace('N', number)).parse().unwrap();
            let lost = lost(socket, to, octets);
            assert_eq!((lost.reporter, lost.reach), (Some(router), reach), "{to}");
            assert!((8..=32).contains(&lost.len), "of what was sent: {} octets", lost.len);
        }
    }
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

/// An address of one link only, which somebody from elsewhere asks, and a group, from which nothing can be sent.
#[test]
fn who_asks_a_link_local_address_or_a_group_is_answered() {
    if !inside("who_asks_a_link_local_address_or_a_group_is_answered") {
        return;
    }
    ip("link set lo up");
    ip("-6 address add fd00::5/128 dev lo nodad");
    ip("link add near type veth peer name end");
    ip("link set near addrgenmode none");
    ip("-6 address add fe80::1/64 dev near nodad");
    ip("link set end up");
    ip("link set near up");
    let shown = Command::new("ip").args(["-o", "link", "show", "near"]).output().unwrap().stdout;
    let interface: u32 = String::from_utf8(shown).unwrap().split(':').next().unwrap().parse().unwrap();
    let server = bound("[::]:0", &Options::new().errors(false));
    let port = server.local_addr().unwrap().port();
    let mut batch = Batch::new(8, 48);
    for (from, to, scope) in [
        ("[fd00::5]:0", "fe80::1", interface),
        ("[fe80::1]:0", "fe80::1", interface),
        ("[fd00::5]:0", "ff02::1", interface),
        ("[fd00::5]:0", "fd00::5", 0),
    ] {
        let from = match from.parse().unwrap() {
            SocketAddr::V6(v6) => SocketAddrV6::new(*v6.ip(), 0, 0, if from.contains("fe80") { scope } else { 0 }),
            SocketAddr::V4(_) => panic!("an IPv6 address"),
        };
        let client = Socket::bind(from.into(), &Options::new()).unwrap();
        let to = SocketAddrV6::new(to.parse().unwrap(), port, 0, scope);
        client.send_to(&[1; 48], to.into(), None).unwrap();
        // Both ends of the link are here, and both may belong to the group.
        let received = server.receive_batch(&mut batch).unwrap();
        batch.respond(|datagram, _| Some(datagram.len));
        let report = server.send_batch(&mut batch);
        assert_eq!((report.sent, report.error), (received, None), "{from} asks {to}");
        let answer = client.receive_within(&mut [0; 48], SECOND).unwrap().unwrap();
        if !to.ip().is_multicast() {
            assert_eq!(answer.source.ip(), IpAddr::from(*to.ip()));
        }
    }
}

/// Tells the class and hop limit of one datagram as the receiver's kernel saw them, under the family whose number is given
/// with those of its options and messages.
const WITH_CLASS: &str = "
import socket, sys
family, level, class_, hops, *kinds = map(int, sys.argv[2:])
receiver = socket.socket(family, socket.SOCK_DGRAM)
receiver.setsockopt(level, class_, 1)
receiver.setsockopt(level, hops, 1)
receiver.settimeout(5)
receiver.bind((sys.argv[1], 9))
print(flush=True)
told = {kind: value[0] for _, kind, value in receiver.recvmsg(99, 199)[1]}
print([told[kind] for kind in kinds])
";

#[test]
fn code_point_and_hop_limit_are_on_the_wire() {
    if !inside("code_point_and_hop_limit_are_on_the_wire") {
        return;
    }
    ip("link set lo up");
    // IP_RECVTOS and IP_RECVTTL tell by IP_TOS and IP_TTL; IPV6_RECVTCLASS and IPV6_RECVHOPLIMIT by IPV6_TCLASS and IPV6_HOPLIMIT.
    let (v4, v6) = ("2 0 13 12 1 2", "10 41 66 51 67 52");
    for (from, to, numbers) in
        [("127.0.0.1:0", "127.0.0.1", v4), ("[::1]:0", "::1", v6), ("[::]:0", "::1", v6), ("[::]:0", "127.0.0.1", v4)]
    {
        let arguments = ["-c", WITH_CLASS, to].into_iter().chain(numbers.split(' '));
        let python = Command::new("python3").args(arguments).stdout(std::process::Stdio::piped()).spawn();
        let Ok(mut python) = python else { return println!("skipped: no python3 to look") };
        let mut lines = BufReader::new(python.stdout.take().unwrap()).lines();
        lines.next().unwrap().unwrap();
        let sender = bound(from, &Options::new().dscp(46).hop_limit(77));
        sender.send_to(&[0; 48], SocketAddr::new(to.parse().unwrap(), 9), None).unwrap();
        // Expedited forwarding is the upper six bits.
        assert_eq!(lines.next().unwrap().unwrap(), "[184, 77]", "{from} to {to}");
        assert!(python.wait().unwrap().success());
    }
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
    // The kernel gives more, but not much.
    let little = Options::new().errors(false).send_buffer(1);
    for options in [little.clone(), little.wait(Duration::from_secs(5))] {
        ip("link set near up");
        fills_up(&options);
        ip("link set near down");
    }
}

fn fills_up(options: &Options) {
    let server = bound("0.0.0.0:0", options);
    let client = bound("127.0.0.1:0", &Options::new());
    let start = Instant::now();
    let mut batch = Batch::new(64, 48);
    for _ in 0..64 {
        assert!(batch.push(&server, "10.1.0.9:9".parse().unwrap(), None, |_| 48));
    }
    let report = server.send_batch(&mut batch);
    assert!(report.sent > 0 && report.blocked > 0, "{report:?}");
    assert_eq!((report.sent + report.blocked, report.refused), (64, 0));
    let error = server.send_to(b"x", client.local_addr().unwrap(), None).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    assert!(start.elapsed() < Duration::from_secs(1), "nobody waits for room: {:?}", start.elapsed());
    ip("link set near down");
    server.send_to(b"x", client.local_addr().unwrap(), None).unwrap();
    assert!(client.receive_within(&mut [0; 4], SECOND).unwrap().is_some());
}
