//! `ntp-serve` as its users meet it: over UDP, under a flood, to its end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests
#![cfg(target_os = "linux")]

mod serving;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ntp_net::{Options, Socket, Stamp};
use ntp_proto::{ClientRequest, Packet};
use ntp_types::{KissCode, LeapIndicator, NtpDuration, NtpTimestamp};
use serving::Serve;

/// What an agent says that follows servers which announce a leap second.
const SYNCHRONIZED: &str = r#"{"type":"status","status":"synchronised","leap":"insert","stratum":3,"reference_id":"c0000201","root_delay":0.01,"root_dispersion":0.002,"age":100.0}"#;

fn client(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket.connect(server).unwrap();
    socket
}

fn ask(socket: &UdpSocket, server: SocketAddr, nonce: u64) -> Option<Vec<u8>> {
    let (bytes, _) = ClientRequest::new(NtpTimestamp::from_bits(nonce)).start(server);
    socket.send(&bytes).unwrap();
    let mut buffer = [0; 512];
    loop {
        let length = socket.recv(&mut buffer).ok()?;
        let answer = Packet::parse(&buffer[..length]).unwrap();
        if answer.origin_timestamp().to_bits() == nonce {
            return Some(buffer[..length].to_vec());
        }
    }
}

#[test]
fn it_serves_its_own_clock_and_ends_on_sigterm_with_its_counts() {
    let serve = Serve::start(&["--stratum", "7"]);
    let socket = client(serve.address);
    for nonce in 1..=20 {
        let answer = ask(&socket, serve.address, nonce).expect("an answer");
        let answer = Packet::parse(&answer).unwrap();
        assert_eq!((answer.stratum().to_bits(), answer.leap()), (7, LeapIndicator::NoWarning));
    }
    let (status, printed) = serve.stop();
    assert!(status.success());
    assert!(printed.starts_with("received 20, answers sent 20"), "{printed}");
}

/// T3 is taken ahead, and lies in the future of its answer by no more than the answer itself says, from rests and in bursts.
#[test]
fn no_timestamp_is_further_in_the_future_than_it_says() {
    let serve = Serve::start(&["--stratum", "7"]);
    let socket = Socket::bind("127.0.0.1:0".parse().unwrap(), &Options::new()).unwrap();
    let mut buffer = [0; 64];
    for round in 0..300_usize {
        let burst = [1, 1, 3, 1, 20][round % 5];
        let before = Stamp::user_now().time;
        for _ in 0..burst {
            let (request, _) = ClientRequest::new(NtpTimestamp::from_bits(7)).start(serve.address);
            socket.send_to(&request, serve.address, None).unwrap();
        }
        for _ in 0..burst {
            let came = socket.receive_within(&mut buffer, Some(Duration::from_secs(2))).unwrap().unwrap();
            let answer = Packet::parse(&buffer[..came.len]).unwrap();
            let (t2, t3) = (answer.receive_timestamp(), answer.transmit_timestamp());
            assert!(!before.is_after(t2) && !t2.is_after(t3), "{before} {t2} {t3}");
            let ahead = t3.since(came.stamp.time);
            assert!(ahead <= answer.root_dispersion().to_duration(), "{ahead} ahead of {}", came.stamp.time);
        }
        std::thread::sleep(Duration::from_micros([0, 300, 3_000][round % 3]));
    }
}

#[test]
fn without_a_word_about_its_clock_it_says_unsynchronised() {
    let serve = Serve::start(&[]);
    let answer = ask(&client(serve.address), serve.address, 5).unwrap();
    assert_eq!((answer[0] >> 6, answer[1]), (3, 0));
}

#[test]
fn what_the_agent_says_is_served() {
    let mut serve = Serve::start(&["--from-agent"]);
    let socket = client(serve.address);
    assert_eq!(ask(&socket, serve.address, 1).unwrap()[1], 0);
    serve.hear([b"{\"type\":\"event\"}\nnon\xffsense\n", SYNCHRONIZED.as_bytes()].concat());
    let end = Instant::now() + Duration::from_secs(5);
    for nonce in 2.. {
        let answer = ask(&socket, serve.address, nonce).unwrap();
        if answer[1] == 3 {
            let packet = Packet::parse(&answer).unwrap();
            assert_eq!(
                (packet.leap(), packet.reference_id().to_bytes()),
                (LeapIndicator::InsertSecond, [192, 0, 2, 1])
            );
            assert_eq!(packet.root_delay().to_bits(), 656, "10 ms in units of 2⁻¹⁶ s, rounded up");
            // What was said, how far T3 may be ahead, and what has grown since.
            let dispersion = packet.root_dispersion().to_duration().to_seconds_f64();
            assert!((0.002..0.002_2).contains(&dispersion), "{dispersion}");
            let corrected = Stamp::user_now().time.since(packet.reference_timestamp()).to_seconds_f64();
            assert!((100.0..110.0).contains(&corrected), "{corrected}");
            break;
        }
        assert!(Instant::now() < end, "the line did not come through");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A leap second in an hour, spread over a day: eleven of twenty-four hours are gone, and nothing is announced.
#[test]
fn a_leap_second_is_spread() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let (leap, expiry) = (now + 3_600 + 2_208_988_800, now + 100_000 + 2_208_988_800);
    let list = tempfile::NamedTempFile::new().unwrap();
    fs::write(list.path(), format!("#@ {expiry}\n3692217600 37\n{leap} 38\n")).unwrap();
    let path = list.path().to_str().unwrap();
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let serve = Serve::start(&["--stratum", "2", "--smear", "--leap-seconds", path, "--user", user.trim()]);
    let socket = client(serve.address);
    let end = Instant::now() + Duration::from_secs(5);
    for nonce in 1.. {
        let answer = ask(&socket, serve.address, nonce).unwrap();
        let now = NtpTimestamp::from_unix(std::time::SystemTime::now().into());
        let answer = Packet::parse(&answer).unwrap();
        // It begins when the worker looks up for the first time.
        if answer.reference_id().to_bytes()[0] == 254 {
            let (early, late) = (answer.receive_timestamp().since(now), answer.transmit_timestamp().since(now));
            for offset in [early, late].map(NtpDuration::to_seconds_f64) {
                assert!((offset + 11.0 / 24.0).abs() < 0.05, "{offset}");
            }
            assert_eq!((answer.leap(), answer.stratum().to_bits()), (LeapIndicator::NoWarning, 2));
            break;
        }
        assert!(Instant::now() < end, "no smear");
        std::thread::sleep(Duration::from_millis(50));
    }
    let wrong = Command::new(env!("CARGO_BIN_EXE_ntp-serve"))
        .args(["--listen", "127.0.0.1:0", "--smear", "--leap-seconds", "/nonexistent"])
        .output()
        .unwrap();
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(!wrong.status.success() && said.starts_with("ntp-serve: cannot read the leap seconds: "), "{said}");
}

/// What the agent announces is spread and not passed on.
#[test]
fn an_announced_leap_second_is_spread() {
    let mut serve = Serve::start(&["--from-agent", "--smear", "336"]);
    let socket = client(serve.address);
    serve.hear(SYNCHRONIZED);
    let end = Instant::now() + Duration::from_secs(5);
    for nonce in 1.. {
        let answer = ask(&socket, serve.address, nonce).unwrap();
        if answer[1] == 3 && answer[0] >> 6 == 0 {
            break;
        }
        assert!(Instant::now() < end, "still announced: {answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Started as root it is nobody afterwards, with no capability and no group but its own; many workers, many addresses.
#[test]
fn privileges_are_dropped() {
    let arguments = ["--stratum", "5", "--workers", "3", "--listen", "127.0.0.2:0"];
    let with_groups = ["setpriv", "--groups", "4,27"];
    let is_root = Command::new(with_groups[0]).args([&with_groups[1..], &["true"]].concat()).status();
    let is_root = is_root.is_ok_and(|status| status.success());
    let serve = Serve::start_under(if is_root { &with_groups } else { &[] }, &arguments);
    for nonce in 1..20 {
        assert!(ask(&client(serve.address), serve.address, nonce).is_some());
    }
    let status = fs::read_to_string(format!("/proc/{}/status", serve.child.id())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(!field("Uid:").contains(&"0".to_owned()), "{status}");
    for name in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(field(name), ["0000000000000000"], "{status}");
    }
    assert!(!field("Gid:").contains(&"0".to_owned()) && (!is_root || field("Groups:").is_empty()), "{status}");
    // Three for each of two addresses, and the one that watches.
    assert_eq!(field("Threads:"), ["7"], "{status}");
    let (ended, printed) = serve.stop();
    assert!(ended.success() && printed.starts_with("received 19, answers sent 19"), "{printed}");
}

/// A service manager may start it as somebody who can do a little more than others, for the port's sake.
#[test]
fn capabilities_given_with_a_user_are_dropped() {
    let words = "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +net_bind_service,+net_raw \
                 --ambient-caps +net_bind_service,+net_raw";
    let before: Vec<_> = words.split_whitespace().collect();
    let program = env!("CARGO_BIN_EXE_ntp-serve");
    let look = Command::new(before[0]).args(&before[1..]).args([program, "--version"]).output();
    if !look.is_ok_and(|output| output.status.success()) {
        return println!("skipped: no setpriv, or it may not give capabilities, or nobody may not run this");
    }
    let serve = Serve::start_under(&before, &["--stratum", "5"]);
    assert!(ask(&client(serve.address), serve.address, 1).is_some());
    let tasks = fs::read_dir(format!("/proc/{}/task", serve.child.id())).unwrap();
    for task in tasks {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        for name in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert!(status.contains(&format!("{name}\t0000000000000000\n")), "{status}");
        }
    }
}

#[test]
fn rules_rates_and_metrics() {
    let serve = Serve::start(&["--stratum", "5", "--deny", "127.0.0.1", "--metrics", "127.0.0.1:0"]);
    let socket = client(serve.address);
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert_eq!(ask(&socket, serve.address, 1), None);
    let (_, printed) = serve.stop();
    assert!(printed.contains("ignored        1"), "{printed}");

    // The same from a file, in which a mistake has its line.
    let list = tempfile::NamedTempFile::new().unwrap();
    fs::write(list.path(), "# who asks too much\n192.0.2.0/24\n\n127.0.0.1 # one\n").unwrap();
    let deny = format!("@{}", list.path().display());
    let serve = Serve::start(&["--stratum", "5", "--deny", &deny]);
    let socket = client(serve.address);
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert_eq!(ask(&socket, serve.address, 1), None);
    drop(serve);
    fs::write(list.path(), "192.0.2.0/24\n192.0.2.0/33\n").unwrap();
    let wrong = Command::new(env!("CARGO_BIN_EXE_ntp-serve")).args(["--deny", &deny]).output().unwrap();
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(said.contains(", line 2: prefix length 33 is above 32"), "{said}");

    // One request in 1000 s, one at once; the leak and the kisses are dice, so ask until both were seen.
    let serve = Serve::start(&["--stratum", "5", "--rate-limit", "0.001/1"]);
    let socket = client(serve.address);
    socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let answers: Vec<_> = (1..200).filter_map(|nonce| ask(&socket, serve.address, nonce)).collect();
    let kisses = answers.iter().filter(|answer| Packet::parse(answer).unwrap().kiss() == Some(KissCode::Rate)).count();
    assert!(kisses > 5 && answers.len() < 120, "{kisses} kisses of {}", answers.len());
}

#[test]
fn prometheus_reads_the_counters() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let serve = Serve::start(&["--stratum", "5", "--metrics", &port.to_string()]);
    let socket = client(serve.address);
    for noise in [&[0x23; 47][..], &[0x23]] {
        socket.send(noise).unwrap();
    }
    ask(&socket, serve.address, 1).unwrap();
    // Counts are published when the worker looks up.
    std::thread::sleep(Duration::from_millis(1_200));
    let mut stream = TcpStream::connect(port).unwrap();
    // A request that comes in pieces is read whole: who is answered before can say no more.
    for piece in ["GET /metrics HTTP/1.1\r\n", "Host: x\r\n", "\r\n"] {
        stream.write_all(piece.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK"));
    for (outcome, _, _) in ntp_server::Counters::default().outcomes() {
        let count = match outcome {
            "answered" => 1,
            "malformed" => 2,
            _ => 0,
        };
        assert!(text.contains(&format!("ntp_server_datagrams_total{{outcome=\"{outcome}\"}} {count}\n")), "{text}");
    }
    for (name, count) in [("received", 3), ("signed", 0), ("sent", 1), ("refused", 0), ("blocked", 0)] {
        assert!(text.contains(&format!("\nntp_server_{name}_total {count}\n")), "{text}");
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
}

/// While it stands still its socket fills up and overflows. Then it answers what is there, and goes on.
#[test]
fn a_full_socket_buffer_is_lived_through() {
    let serve = Serve::start(&["--stratum", "5"]);
    let (flood, honest) = (client(serve.address), client(serve.address));
    ask(&honest, serve.address, 1).unwrap();
    serve.signal("-STOP");
    let (request, _) = ClientRequest::new(NtpTimestamp::from_bits(7)).start(serve.address);
    // Its own memory would hold some ten thousand of them.
    for _ in 0..60_000 {
        let _ = flood.send(&request);
    }
    serve.signal("-CONT");
    // Those who asked meanwhile may have to ask again, once the backlog is worked off.
    assert!((2..6).any(|nonce| ask(&honest, serve.address, nonce).is_some()), "no answer any more");
    for nonce in 6..50 {
        assert!(ask(&honest, serve.address, nonce).is_some());
    }
    let (status, printed) = serve.stop();
    assert!(status.success(), "{printed}");
    let received: u64 = printed.split([' ', ',']).nth(1).unwrap().parse().unwrap();
    println!("{received} of 60,000 fitted");
    assert!((1_000..60_000).contains(&received), "{printed}");
}

/// A worker whose socket fails is no half of a server that goes on unseen: the program ends, and says why.
#[test]
fn it_ends_when_a_worker_does() {
    let inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=recvmmsg"];
    if !Command::new(inject[0]).args([&inject[1..], &["true"]].concat()).status().is_ok_and(|status| status.success()) {
        return println!("skipped: no strace, or it may not trace");
    }
    let inject = [&inject[..], &["-e", "inject=recvmmsg:error=ENOTCONN:when=30"]].concat();
    let mut serve = Serve::start_under(&inject, &["--stratum", "5", "--workers", "2"]);
    // Some have luck; nobody is left waiting for a program that is not there.
    let start = Instant::now();
    while serve.child.try_wait().unwrap().is_none() {
        let socket = client(serve.address);
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let _ = ask(&socket, serve.address, 1);
        assert!(start.elapsed() < Duration::from_secs(30), "it goes on");
    }
    let mut said = String::new();
    serve.errors.read_to_string(&mut said).unwrap();
    assert_eq!(serve.child.wait().unwrap().code(), Some(1), "{said}");
    assert!(said.contains("ntp-serve: a worker ended: "), "{said}");
}

/// Random, truncated, oversized and replayed datagrams from many sources beside honest clients, until these have asked two
/// thousand times: of a thousand requests less than one may be lost.
#[test]
fn a_flood_costs_honest_clients_nothing_and_no_memory() {
    let serve = Serve::start(&["--stratum", "5", "--interleaved", "--rate-limit", "60000/60000"]);
    let address = serve.address;
    let socket = client(address);
    for nonce in 1..100 {
        ask(&socket, address, nonce).unwrap();
    }
    let before = serve.memory();
    let is_over = AtomicBool::new(false);
    let (sent, lost, asked) = std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let (mut state, mut sent) = (1_u64, 0_u64);
            let mut datagram = [0; 3000];
            let answer = ask(&client(address), address, 7).unwrap();
            while !is_over.load(Ordering::Relaxed) {
                // All of 127.0.0.0/8 is this machine's: another source each time.
                let [.., a, b, c] = state.to_be_bytes();
                let source = SocketAddr::from(([127, a, b, c.max(2)], 0));
                let Ok(socket) = UdpSocket::bind(source) else { continue };
                for _ in 0..50 {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let random = usize::try_from(state >> 40).unwrap();
                    datagram[random % 100] = u8::try_from(random >> 16).unwrap();
                    // Noise, half requests, requests cut short, far too long, the same request again and again, and an
                    // answer of the server's own.
                    let length = [random % 100, 48, random % 48, 1_000 + random % 2_000, 48, 0][random % 6];
                    if random % 3 == 0 {
                        datagram[0] = 0x23;
                    }
                    let octets = if random % 6 == 5 { &answer[..] } else { &datagram[..length] };
                    // A full socket is the flood's own loss.
                    sent += u64::from(socket.send_to(octets, address).is_ok());
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            sent
        });
        let honest = [client(address), client(address), client(address), socket];
        let end = Instant::now() + Duration::from_secs(60);
        let (mut lost, mut asked) = (0_u32, 0_u32);
        while asked < 2_000 && Instant::now() < end {
            for socket in &honest {
                asked += 1;
                lost += u32::from(ask(socket, address, 1 << 32 | u64::from(asked)).is_none());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        is_over.store(true, Ordering::Relaxed);
        (flood.join().unwrap(), lost, asked)
    });
    println!("{sent} datagrams of flood, {asked} honest requests, {lost} lost");
    assert!(sent > u64::from(asked) && asked >= 2_000 && lost * 1_000 < asked);
    let grown = serve.memory().saturating_sub(before);
    assert!(grown < 2_048, "{grown} KiB more than before");
    let (status, printed) = serve.stop();
    assert!(status.success(), "{printed}");
    assert!(printed.contains("malformed") && printed.contains("too_long"), "{printed}");
}

#[test]
fn a_taken_port_and_a_foreign_address_are_one_clear_line() {
    let serve = Serve::start(&[]);
    for address in [serve.address.to_string(), "192.0.2.1:11123".to_owned()] {
        let output = Command::new(env!("CARGO_BIN_EXE_ntp-serve")).args(["--listen", &address]).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && errors.lines().count() == 1, "{errors}");
        assert!(errors.starts_with("ntp-serve: cannot bind "), "{errors}");
    }
    let Serve { errors, .. } = &serve;
    assert!(errors.buffer().is_empty());
}
