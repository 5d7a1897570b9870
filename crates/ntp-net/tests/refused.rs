//! A kernel that refuses options: what is left works, and says of itself what it is. Needs strace, which injects refusals.
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use ntp_net::{Batch, Event, Options, Poller, Socket, StampKind};

/// Set in the process whose options are refused: the address it binds.
const INSIDE: &str = "NTP_NET_REFUSED";

const SECONDS: Option<Duration> = Some(Duration::from_secs(5));

/// Opens a socket with every option there is, and sees that it keeps what it says was granted.
fn keeps_what_is_granted(address: SocketAddr) {
    let options = Options::new()
        .hardware_stamps(true)
        .transmit_stamps(true)
        .reuse_port(true)
        .dscp(46)
        .hop_limit(7)
        .whole(true)
        .receive_buffer(1 << 20)
        .send_buffer(1 << 20);
    let socket = Socket::bind(address, &options).unwrap();
    let granted = *socket.granted();
    let port = socket.local_addr().unwrap().port();
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    let id = socket.send_stamped(b"time", to, None).unwrap();
    assert_eq!(id.is_some(), granted.transmit_stamps);
    let mut poller = Poller::new();
    poller.add(&socket);
    poller.wait(SECONDS).unwrap();
    if let Some(id) = id {
        let Event::Transmitted(left) = socket.next_event(&mut []).unwrap() else { panic!("no stamp") };
        assert_eq!((left.id, left.stamp.kind), (id, StampKind::Kernel));
    }
    let datagram = socket.receive(&mut [0; 8]).unwrap();
    assert_eq!((datagram.len, datagram.source.port()), (4, port));
    assert_eq!(datagram.local.is_some() && datagram.interface.is_some(), granted.packet_info);
    // A kernel that nobody has asked for stamps before begins to stamp a moment later.
    let is_as_granted = || {
        socket.send_to(b"again", to, None).unwrap();
        let again = socket.receive_within(&mut [0; 8], SECONDS).unwrap().unwrap();
        std::thread::sleep(Duration::from_millis(10));
        again.stamp.kind == granted.receive_stamps
    };
    assert!((0..100).any(|_| is_as_granted()), "not stamped by the {}", granted.receive_stamps);
    // Nobody listens there: an error that is granted is told, one that is not disturbs nothing.
    let closed = Socket::bind(([127, 0, 0, 1], 0).into(), &Options::new()).unwrap().local_addr().unwrap();
    socket.send_to(b"anybody", closed, None).unwrap();
    let lost = socket.next_event(&mut [0; 8]);
    assert!(!granted.errors || matches!(lost, Ok(Event::Unreachable(_))), "{lost:?}");
    socket.send_to(b"again", to, None).unwrap();
    assert_eq!(socket.receive_within(&mut [0; 8], SECONDS).unwrap().unwrap().len, 5);
    println!("granted: receive {} transmit {}", granted.receive_stamps, granted.transmit_stamps);
}

/// What was granted and strace's words, when the calls that `when` names are refused.
fn refused(address: &str, when: &str) -> (String, String) {
    let log = std::env::temp_dir().join(format!("ntp-net-refused.{}", std::process::id()));
    let output = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-e",
            "trace=setsockopt",
            "-e",
            &format!("inject=setsockopt:error=ENOPROTOOPT:when={when}"),
        ])
        .args(["-o".as_ref(), log.as_os_str(), std::env::current_exe().unwrap().as_os_str()])
        .args(["--exact", "what_is_refused_is_missing_and_no_error", "--nocapture"])
        .env(INSIDE, address)
        .output()
        .unwrap();
    let calls = std::fs::read_to_string(&log).unwrap();
    let _ = std::fs::remove_file(&log);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{address}, refused {when}: {said}{}", String::from_utf8_lossy(&output.stderr));
    let granted = said.lines().find_map(|line| line.split_once("granted: ")).unwrap().1;
    (granted.to_owned(), calls)
}

#[test]
fn what_is_refused_is_missing_and_no_error() {
    if let Ok(address) = std::env::var(INSIDE) {
        return keeps_what_is_granted(address.parse().unwrap());
    }
    let inject = ["-qq", "-o", "/dev/null", "-e", "inject=setsockopt:error=ENOPROTOOPT", "true"];
    if !Command::new("strace").args(inject).output().is_ok_and(|output| output.status.success()) {
        return println!("skipped: no strace, or it may not trace");
    }
    let (mut seen, mut by_the_older_option) = (BTreeSet::new(), 0);
    for address in ["127.0.0.1:0", "[::]:0"] {
        let (_, calls) = refused(address, "1000");
        for first in 1..=calls.lines().count() {
            for last in [first, first + 1, first + 2, 1000] {
                let (granted, calls) = refused(address, &format!("{first}..{last}"));
                // It asks three times, for less each time; only the older option is left then.
                let is_refused = |line: &&str| line.contains("SO_TIMESTAMPING") && line.contains("INJECTED");
                let is_by_older =
                    calls.lines().filter(is_refused).count() == 3 && granted.starts_with("receive kernel");
                by_the_older_option += usize::from(is_by_older);
                seen.insert(granted);
            }
        }
    }
    println!("{seen:?}, by SO_TIMESTAMPNS {by_the_older_option}");
    let seen: Vec<_> = seen.iter().map(String::as_str).collect();
    assert_eq!(seen, ["receive kernel transmit false", "receive kernel transmit true", "receive user transmit false"]);
    assert!(by_the_older_option > 0);
}

/// An interface or a tunnel may not be able to cut messages up.
#[test]
fn what_cannot_go_together_goes_one_by_one() {
    if std::env::var_os(INSIDE).is_some() {
        let socket = Socket::bind(([127, 0, 0, 1], 0).into(), &Options::new().segments(true)).unwrap();
        let to = socket.local_addr().unwrap();
        for _ in 0..2 {
            let mut batch = Batch::new(8, 4);
            (0..8).for_each(|_| assert!(batch.push(&socket, to, None, |_| 4)));
            assert_eq!(socket.send_batch(&mut batch).sent, 8);
            (0..8).for_each(|_| assert_eq!(socket.receive_within(&mut [0; 8], SECONDS).unwrap().unwrap().len, 4));
        }
        return println!("all came");
    }
    let log = std::env::temp_dir().join(format!("ntp-net-together.{}", std::process::id()));
    let output = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=sendmmsg", "-e", "inject=sendmmsg:error=EIO:when=1", "-o"])
        .args([log.as_os_str(), std::env::current_exe().unwrap().as_os_str()])
        .args(["--exact", "what_cannot_go_together_goes_one_by_one", "--nocapture"])
        .env(INSIDE, "")
        .output();
    let calls = std::fs::read_to_string(&log).unwrap_or_default();
    let _ = std::fs::remove_file(&log);
    let Some(output) = output.ok().filter(|_| calls.contains("INJECTED")) else {
        return println!("skipped: no strace, or it may not trace");
    };
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    // Refused, then one by one; and the second time as one.
    let sent: Vec<_> = calls.lines().map(|line| line.rsplit(' ').next().unwrap_or_default()).collect();
    assert_eq!((sent.len(), sent.get(1..)), (3, Some(&["8", "1"][..])), "{calls}");
}

/// Sends with numbers the kernel does not take, one by one and in a batch, some refused: each stamp still finds its datagram.
fn counts_along() {
    let socket = Socket::bind(([127, 0, 0, 1], 0).into(), &Options::new().transmit_stamps(true)).unwrap();
    let to = socket.local_addr().unwrap();
    let stamp = || {
        let Event::Transmitted(left) = socket.next_event(&mut []).unwrap() else { panic!("no stamp") };
        left.id
    };
    for _ in 0..3 {
        let id = socket.send_stamped(b"one", to, None).unwrap().unwrap();
        assert_eq!(stamp(), id);
        assert!(socket.send_stamped(b"nobody", (to.ip(), 0).into(), None).is_err());
        let mut batch = Batch::new(8, 4);
        for port in [to.port(), 0, to.port(), to.port()] {
            assert!(batch.push(&socket, (to.ip(), port).into(), None, |_| 4));
        }
        [0, 2, 3].into_iter().for_each(|position| batch.stamp(position));
        assert_eq!(socket.send_batch(&mut batch).sent, 3);
        let positions: Vec<_> = batch.stamps().iter().map(|&(position, _)| position).collect();
        assert_eq!(positions, [0, 2, 3]);
        batch.stamps().iter().for_each(|&(_, id)| assert_eq!(stamp(), id));
    }
    println!("counted along");
}

/// A kernel before 6.13 takes no number with a datagram, but counts those that are to be stamped.
#[test]
fn without_numbers_the_datagrams_are_counted() {
    if std::env::var_os(INSIDE).is_some() {
        return counts_along();
    }
    let inject = ["-qq", "-o", "/dev/null", "-e", "inject=sendmsg:error=EINVAL", "true"];
    if !Command::new("strace").args(inject).output().is_ok_and(|output| output.status.success()) {
        return println!("skipped: no strace, or it may not trace");
    }
    for call in ["sendmsg", "sendmmsg"] {
        let output = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:error=EINVAL:when=1")])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "without_numbers_the_datagrams_are_counted", "--nocapture"])
            .env(INSIDE, "")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{call}: {}", String::from_utf8_lossy(&said));
        assert!(String::from_utf8_lossy(&said).contains("counted along"), "{call}");
    }
}
