//! The agent on a network that loses, doubles, delays, reorders and corrupts, and on one whose addresses change.
//!
//! `tc netem` would do the first, but few kernels have it; a relay in user space does the same to every datagram.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // tests
#![cfg(target_os = "linux")]

#[path = "interop/host.rs"]
#[allow(dead_code)] // made for another test, which needs all of it
mod host;
mod serving;

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use host::Host;
use ntp_examples::demo::Servers;
use ntp_net::Poller;
use ntp_types::NtpDuration;
use serde_json::Value;
use serving::Serve;

/// What is done to one datagram of so many, and how long each is held up at most.
#[derive(Clone, Copy)]
struct Harm {
    lost: u64,
    doubled: u64,
    corrupted: u64,
    delay: Duration,
}

/// A relay between clients and one server, both ways through the same harm.
struct Relay {
    harm: Harm,
    server: SocketAddr,
    front: UdpSocket,
    /// A socket towards the server for each client.
    backs: HashMap<SocketAddr, UdpSocket>,
    /// When, to whom, what, and through which client's socket if it goes to the server.
    held: Vec<(Instant, SocketAddr, Vec<u8>, bool)>,
    state: u64,
}

impl Relay {
    fn new(server: SocketAddr, harm: Harm) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").unwrap();
        front.set_nonblocking(true).unwrap();
        Self { harm, server, front, backs: HashMap::new(), held: Vec::new(), state: 1 }
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % sides
    }

    fn hold(&mut self, client: SocketAddr, octets: &[u8], is_request: bool) {
        let harm = self.harm;
        if self.roll(harm.lost) == 0 {
            return;
        }
        let copies = if self.roll(harm.doubled) == 0 { 2 } else { 1 };
        for _ in 0..copies {
            let mut octets = octets.to_vec();
            if self.roll(harm.corrupted) == 0 {
                let bit = usize::try_from(self.roll(8 * octets.len() as u64)).unwrap();
                octets[bit / 8] ^= 1 << (bit % 8);
            }
            let micros = self.roll(u64::try_from(harm.delay.as_micros()).unwrap());
            self.held.push((Instant::now() + Duration::from_micros(micros), client, octets, is_request));
        }
    }

    fn turn(&mut self) {
        let mut buffer = [0; 2048];
        while let Ok((length, client)) = self.front.recv_from(&mut buffer) {
            self.backs.entry(client).or_insert_with(|| {
                let back = UdpSocket::bind("127.0.0.1:0").unwrap();
                back.set_nonblocking(true).unwrap();
                back.connect(self.server).unwrap();
                back
            });
            self.hold(client, &buffer[..length], true);
        }
        let mut answers = Vec::new();
        for (client, back) in &self.backs {
            while let Ok(length) = back.recv(&mut buffer) {
                answers.push((*client, buffer[..length].to_vec()));
            }
        }
        for (client, octets) in answers {
            self.hold(client, &octets, false);
        }
        let now = Instant::now();
        for (due, client, octets, is_request) in std::mem::take(&mut self.held) {
            if due > now {
                self.held.push((due, client, octets, is_request));
            } else if is_request {
                let _ = self.backs[&client].send(&octets);
            } else {
                let _ = self.front.send_to(&octets, client);
            }
        }
    }
}

/// The agent for so long against a server of ours in this process, behind a relay: its last status, and its summary.
fn agent_through(harm: Harm, seconds: &str) -> (Value, Value) {
    let mut servers = Servers::on_loopback(&[NtpDuration::ZERO]).unwrap();
    let relay = Relay::new(servers.addresses().unwrap()[0], harm);
    let mut poller = Poller::new();
    let serve = move || {
        poller.clear();
        servers.register(&mut poller);
        poller.wait(Some(Duration::from_micros(500))).unwrap();
        servers.serve(&poller, ntp_types::Instant::ZERO);
    };
    agent_behind(relay, serve, seconds)
}

/// The same with the relay's server served by `serve`, turn by turn.
fn agent_behind(mut relay: Relay, mut serve: impl FnMut() + Send, seconds: &str) -> (Value, Value) {
    let address = relay.front.local_addr().unwrap().to_string();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                relay.turn();
                serve();
            }
        });
        let output = Command::new(env!("CARGO_BIN_EXE_ntp-agent"))
            .args(["--json", "--server", &address, "--minpoll", "-3", "--maxpoll", "-3", "--duration", seconds])
            .output()
            .unwrap();
        is_over.store(true, Ordering::Relaxed);
        let text = String::from_utf8_lossy(&output.stdout);
        let objects: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let status = objects.iter().rfind(|object| object["type"] == "status").unwrap_or_else(|| panic!("{text}"));
        (status.clone(), objects.last().unwrap().clone())
    })
}

/// Nothing but delay, loss and copies: what is claimed is true.
#[test]
fn loss_copies_and_disorder_are_lived_with() {
    let harm = Harm { lost: 5, doubled: 5, corrupted: u64::MAX, delay: Duration::from_millis(20) };
    let (status, summary) = agent_through(harm, "12");
    let source = &status["sources"][0];
    println!("{summary}\n{source}");
    assert_eq!(summary["good"], true, "{summary}");
    let (offset, bound) = (summary["machine_offset"].as_f64().unwrap().abs(), summary["bound"].as_f64().unwrap());
    assert!(offset <= bound && offset < 0.01, "{summary}");
    let count = |name: &str| source[name].as_u64().unwrap();
    assert!(count("accepted") > 20 && count("lost") > 5 && count("foreign") > 3, "{source}");
}

/// A flipped bit that no checksum caught, in one of ten datagrams each way: most are refused, and what gets through moves
/// the clock no further than the delays would.
#[test]
fn corruption_is_lived_with() {
    let harm = Harm { lost: 20, doubled: 20, corrupted: 10, delay: Duration::from_millis(5) };
    let (status, summary) = agent_through(harm, "15");
    println!("{summary}\n{}", status["sources"][0]);
    assert_eq!(summary["good"], true, "{summary}");
    assert!(summary["machine_offset"].as_f64().unwrap().abs() < 0.05, "{summary}");
}

/// `ntp-serve` behind all of it answers what is whole, and ends well.
#[test]
fn a_server_lives_with_all_of_it() {
    let serve = Serve::start(&["--stratum", "3"]);
    let harm = Harm { lost: 10, doubled: 5, corrupted: 10, delay: Duration::from_millis(5) };
    let relay = Relay::new(serve.address, harm);
    let (status, summary) = agent_behind(relay, || std::thread::sleep(Duration::from_micros(500)), "12");
    let source = &status["sources"][0];
    let (ended, counts) = serve.stop();
    println!("{summary}\n{source}\n{counts}");
    assert!(ended.success(), "{counts}");
    assert!(source["accepted"].as_u64().unwrap() > 30, "{source}");
    assert!(summary["machine_offset"].as_f64().unwrap().abs() < 0.05, "{summary}");
}

#[test]
fn the_agent_goes_on_when_its_host_changes_address() {
    let Some(host) = Host::with(&[]) else { return };
    let said = host.run(
        "two_hosts
         serve --listen 10.9.9.1:123 --stratum 3
         $FAR $AGENT --json --server 10.9.9.1 --minpoll -2 --maxpoll -2 --duration 10 &
         agent=$!
         sleep 3
         ip -n far addr del 10.9.9.2/24 dev far
         sleep 1
         ip -n far addr add 10.9.9.7/24 dev far
         wait $agent",
    );
    let objects = said.objects();
    let last = objects.iter().rfind(|object| object["type"] == "status").unwrap_or_else(|| panic!("{}", said.text()));
    assert!(said.is_success() && last["time"].as_f64().unwrap() > 9.0, "{}", said.text());
    let source = &last["sources"][0];
    assert!(source["reach"] == 255 && source["accepted"].as_u64().unwrap() > 20, "{source}");
    said.assert_contains("10.9.9.1 cannot be asked");
}

/// One server on all addresses, and one on an address that goes and comes back.
#[test]
fn the_server_goes_on_when_its_host_changes_address() {
    let Some(host) = Host::with(&[]) else { return };
    let said = host.run(
        "two_hosts
         serve --listen 0.0.0.0:123 --listen 10.9.9.1:124 --stratum 3
         ask() { $FAR $QUERY --timeout 1 $1 >/dev/null 2>&1 && echo \"$2 answers\" || echo \"$2 is silent\"; }
         ask 10.9.9.1 all; ask 10.9.9.1:124 one
         ip addr del 10.9.9.1/24 dev near
         ip addr add 10.9.9.8/24 dev near
         ask 10.9.9.8 all; ask 10.9.9.8:124 one
         ip addr add 10.9.9.1/24 dev near
         ip addr del 10.9.9.8/24 dev near
         ip addr add 10.9.9.1/24 dev near 2>/dev/null || :
         ask 10.9.9.1 all; ask 10.9.9.1:124 one",
    );
    let text = said.text();
    let answers: Vec<_> = text.lines().filter(|line| line.ends_with("answers") || line.ends_with("silent")).collect();
    let expected = ["all answers", "one answers", "all answers", "one is silent", "all answers", "one answers"];
    assert_eq!(answers, expected, "{text}");
}

#[test]
fn the_agent_follows_a_name_to_its_new_address() {
    let Some(host) = Host::with(&[]) else { return };
    let said = host.run(
        "two_hosts
         own_names
         echo '10.9.9.2 time.test' >>/etc/hosts
         $FAR $SERVE --user root --listen 0.0.0.0:123 --stratum 3 >serve.out 2>&1 &
         $AGENT --json --server time.test --minpoll -2 --maxpoll -2 --duration 13 &
         agent=$!
         sleep 4
         far_moves
         echo '10.9.9.7 time.test' >/etc/hosts
         wait $agent",
    );
    said.assert_contains("time.test moved from 10.9.9.2 to 10.9.9.7");
    let objects = said.objects();
    let last = objects.iter().rfind(|object| object["type"] == "status").unwrap();
    assert_eq!(last["sources"][0]["address"], "10.9.9.7:123", "{last}");
    assert!(said.is_success(), "{}", said.text());
}

/// No network and no name when it starts; both come.
#[test]
fn the_agent_waits_for_a_network_and_a_name() {
    let Some(host) = Host::with(&[]) else { return };
    let said = host.run(
        "two_hosts
         own_names
         $FAR $SERVE --user root --listen 0.0.0.0:123 --stratum 3 >serve.out 2>&1 &
         ip link set near down
         $AGENT --json --server late.test --server 10.9.9.2 --minpoll -2 --maxpoll -2 --duration 19 &
         agent=$!
         sleep 2
         echo '10.9.9.2 late.test' >/etc/hosts
         ip -n far addr add 10.9.9.7/24 dev far
         echo '10.9.9.7 late.test' >/etc/hosts
         ip link set near up
         wait $agent",
    );
    said.assert_contains("late.test cannot be resolved");
    said.assert_contains("10.9.9.2 cannot be asked");
    let objects = said.objects();
    let last = objects.iter().rfind(|object| object["type"] == "status").unwrap();
    let accepted = |index: usize| last["sources"][index]["accepted"].as_u64().unwrap_or(0);
    assert!(said.is_success() && accepted(0) > 5 && accepted(1) > 5, "{}", said.text());
}

/// All members of a pool fall silent: its name is asked for again, and leads elsewhere.
#[test]
fn a_pool_that_died_is_resolved_again() {
    let Some(host) = Host::with(&[]) else { return };
    let said = host.run(
        "two_hosts
         own_names
         echo '10.9.9.2 pool.test' >>/etc/hosts
         $FAR $SERVE --user root --listen 0.0.0.0:123 --stratum 3 >serve.out 2>&1 &
         $AGENT --json --pool pool.test --minpoll -2 --maxpoll -2 --duration 24 &
         agent=$!
         sleep 3
         far_moves
         echo '10.9.9.7 pool.test' >/etc/hosts
         wait $agent",
    );
    let objects = said.objects();
    let last = objects.iter().rfind(|object| object["type"] == "status").unwrap();
    let sources = last["sources"].as_array().unwrap();
    let alive = sources.iter().find(|source| source["address"] == "10.9.9.7:123");
    assert!(alive.is_some_and(|source| source["accepted"].as_u64().unwrap() > 5), "{}", said.text());
}

#[test]
fn a_link_local_server_is_followed() {
    let Some(host) = Host::with(&[]) else { return };
    let said = host.run(
        "two_hosts
         ip addr add fe80::1/64 dev near nodad
         ip -n far addr add fe80::2/64 dev far nodad
         $FAR $SERVE --user root --listen [::]:123 --stratum 3 >serve.out 2>&1 &
         sleep 1
         $AGENT --json --server fe80::2%near --minpoll -2 --maxpoll -2 --duration 5",
    );
    let objects = said.objects();
    let last = objects.iter().rfind(|object| object["type"] == "status").unwrap_or_else(|| panic!("{}", said.text()));
    assert!(said.is_success() && last["sources"][0]["accepted"].as_u64().unwrap() > 5, "{}", said.text());
}

/// Who reads the agent's lines learns that nobody answers any more.
#[test]
fn silence_is_told() {
    let Some(host) = Host::with(&[]) else { return };
    let said = host.run(
        "serve --listen 127.0.0.1:123 --stratum 3
         $AGENT --json --server 127.0.0.1 --minpoll -3 --maxpoll -3 --duration 9 &
         agent=$!
         sleep 3
         kill $(pidof ntp-serve)
         wait $agent || :",
    );
    let objects = said.objects();
    let last = objects.iter().rfind(|object| object["type"] == "status").unwrap_or_else(|| panic!("{}", said.text()));
    assert_eq!(last["sources"][0]["reach"], 0, "{}", said.text());
}

/// Sends requests whose sources no socket has: port 0, and the server itself.
const FORGED: &str = "
import socket, struct
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
def forge(source, port, payload):
    udp = struct.pack('!HHHH', port, 123, 8 + len(payload), 0) + payload
    head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 0, 1, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton('10.9.9.1'))
    raw.sendto(head + udp, ('10.9.9.1', 0))
time, control = b'\x23' + bytes(47), b'\x16\x02' + bytes(10)
for turn in range(10):
    forge('10.9.9.77', 0, time)
    forge('10.9.9.1', 123, time)
    forge('10.9.9.1', 123, control)
";

/// A server is not made to talk with itself, and who does not exist costs nobody an answer.
#[test]
fn forged_sources_lead_to_nothing() {
    let Some(host) = Host::with(&[]) else { return };
    if !Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return println!("skipped: no python3 to forge with");
    }
    host.file("forge.py", FORGED);
    let said = host.run(
        "two_hosts
         serve --listen 0.0.0.0:123 --stratum 3
         python3 forge.py
         for turn in 1 2 3; do $FAR $QUERY --timeout 1 10.9.9.1 >/dev/null && echo answered; done
         kill $(pidof ntp-serve)
         sleep 1
         cat serve.out",
    );
    assert_eq!(said.text().matches("answered\n").count(), 3, "{}", said.text());
    // Ten requests from itself were answered, and their answers asked for nothing; the same with ten control messages.
    for (outcome, count) in [("answered", 13.0), ("sources", 10.0), ("modes", 10.0), ("control", 20.0)] {
        assert_eq!(said.numbers_after(&format!("  {outcome} ")), [count], "{outcome}: {}", said.text());
    }
}
