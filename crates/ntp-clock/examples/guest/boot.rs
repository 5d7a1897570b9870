//! Over a reboot: saved at shutdown, the time is back afterwards. The reference on the host tells how exactly.

use std::io::{Read, Seek, SeekFrom, Write};
use std::net::UdpSocket;
use std::time::Duration;

use ntp_clock::rtc::{hctosys, systohc, AdjTime, Rtc, SaveOptions};
use ntp_clock::{Adjustment, ReadClock, SystemClock};
use ntp_types::NtpDuration;

use crate::check::{Checks, Moment};
use crate::rtc::TOLERANCE;

const LIMIT: Duration = Duration::from_secs(3);
/// Tells the init that this is not the end.
const REBOOT: i32 = 99;

/// Nanoseconds by which the reference is ahead of the system clock: the best of some exchanges.
pub(crate) fn reference() -> i128 {
    let port = std::env::var("REFERENCE").unwrap_or_else(|_| "11123".into());
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket.connect(format!("10.0.2.2:{port}")).unwrap();
    let exchange = || {
        let before = Moment::now();
        socket.send(&[0; 16]).ok()?;
        let mut answer = [0; 16];
        socket.recv(&mut answer).ok().filter(|length| *length == 16)?;
        let after = Moment::now();
        let theirs = i128::from_be_bytes(answer);
        Some((after.raw - before.raw, theirs - (before.real + after.real) / 2))
    };
    (0..40).filter_map(|_| exchange()).min_by_key(|(delay, _)| *delay).expect("no answer from the reference").1
}

/// The disk keeps, between two lives of the machine: how far the reference was ahead, and the file.
pub(crate) fn run(checks: &mut Checks, disk: &str) {
    let mut disk = std::fs::OpenOptions::new().read(true).write(true).open(disk).unwrap();
    let mut block = vec![0; 512];
    disk.read_exact(&mut block).unwrap();
    let mut clock = SystemClock::new();
    if block[0] == 0 {
        // First life: years wrong, set by the reference, saved.
        let _ = clock.status().unwrap();
        let ahead = reference();
        let at = clock.read().unwrap().at;
        let target = ntp_types::UnixTime::from_nanos(clock.time().unwrap().to_nanos() + ahead).unwrap();
        let _ = clock.set(target, at).unwrap();
        let _ = clock.adjust(&Adjustment::new().max_error(Duration::from_millis(50))).unwrap();
        let rest = reference();
        checks.that("set by the reference", rest.abs() < 100_000_000, format!("{} ms off", rest / 1_000_000));
        let mut adjtime = AdjTime::default();
        let saved =
            systohc(&Rtc::open().unwrap(), &clock.status().unwrap(), &mut adjtime, &SaveOptions::default()).unwrap();
        println!("     {:?}", saved.set);
        let text = format!("{}\n{adjtime}", reference());
        block[..text.len()].copy_from_slice(text.as_bytes());
        disk.seek(SeekFrom::Start(0)).unwrap();
        disk.write_all(&block).unwrap();
        disk.sync_all().unwrap();
        if checks.finish() == 0 {
            std::process::exit(REBOOT);
        }
        return;
    }
    // Second life: the kernel has set its clock by the chip, half a second unsure; hctosys puts it right.
    let text = String::from_utf8_lossy(&block).into_owned();
    let (before, file) = text.split_once('\n').unwrap();
    let before: i128 = before.parse().unwrap();
    let adjtime = AdjTime::parse(file.trim_end_matches('\0').as_bytes());
    let by_kernel = reference() - before;
    println!("     the kernel alone is off by {} ms", -by_kernel / 1_000_000);
    let edge = Rtc::open().unwrap().read_at_edges(2, LIMIT).unwrap();
    let _ = hctosys(&mut clock, &edge, &adjtime).unwrap();
    let error = i64::try_from(reference() - before).unwrap();
    checks.near("after the reboot the time is back", NtpDuration::from_nanos(error), TOLERANCE);
}
