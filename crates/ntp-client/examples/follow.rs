//! A whole agent in one loop: `cargo run -p ntp-client --example follow -- 192.0.2.1:123 192.0.2.2:123`.
//!
//! It follows the servers with a clock that exists as numbers only, and says what happens. The machine's own clock takes
//! its place with `SystemClock::new()`, and CAP_SYS_TIME.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use ntp_client::{SourceConfig, SourceId, System, SystemConfig};
use ntp_clock::{ReadClock, Sleep, SoftwareClock, SteerClock};
use ntp_discipline::{adaptive, Engine, Policy};
use ntp_net::{Event, Options, Socket, TransmitId};

/// The last request to each source: the kernel's name for it, and ours.
type Sent = BTreeMap<SourceId, (Option<TransmitId>, u32)>;

const LONGEST_WAIT: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn Error>> {
    let mut clock = SoftwareClock::realtime();
    let engine = adaptive::Engine::<8>::new(Policy::default())?;
    let mut system = System::new(engine, SystemConfig { seed: getrandom::u64()?, ..SystemConfig::default() });
    let config = SourceConfig { iburst: true, ..SourceConfig::default() };
    for server in std::env::args().skip(1) {
        system.add_source(server.parse()?, config.clone(), clock.read()?.at)?;
    }
    if system.is_empty() {
        return Err("usage: follow ADDRESS:PORT …".into());
    }
    // One socket for all of them, of IPv4. A port for each request is safer (`Request::fresh_port`).
    let socket = Socket::bind("0.0.0.0:0".parse()?, &Options::new().transmit_stamps(true))?;
    let (mut sleep, mut sent, mut buffer) = (Sleep::default(), Sent::new(), [0; 1024]);
    loop {
        // Time passes, perhaps not as the client thinks.
        let now = clock.read()?;
        if let Some(slept) = sleep.since_last(&clock) {
            system.handle_suspended(slept, now.at);
        }
        if let Some(applied) = clock.handle_timeout(now.at)? {
            system.handle_applied(&applied);
        }
        system.handle_timeout(now.at);

        // What the client wants done.
        while let Some(command) = system.poll_command() {
            system.handle_applied(&clock.apply(&command)?);
        }
        loop {
            let (nonce, now) = (getrandom::u64()?, clock.read()?);
            let Some(transmit) = system.poll_transmit(now.at, now.time, nonce) else { break };
            let id = socket.send_stamped(transmit.request.bytes(), transmit.request.to, None)?;
            sent.insert(transmit.source, (id, transmit.request.sequence));
        }
        while let Some(event) = system.poll_event() {
            println!("{event}");
        }
        // What the network brings: when a request truly left, then what answers it.
        let wake = [system.next_timeout(), clock.next_timeout()].into_iter().flatten().min();
        let wait = wake.map_or(LONGEST_WAIT, |at| at.since(now.at).min(LONGEST_WAIT));
        let datagram = socket.receive_within(&mut buffer, Some(wait))?;
        hear_events(&socket, &sent, &clock, &mut system);
        if let Some(datagram) = datagram {
            let (octets, now) = (buffer.get(..datagram.len).unwrap_or_default(), clock.read()?);
            system.handle_reading(now.time, now.at);
            let received = clock.time_of(datagram.stamp.time);
            let at = now.instant_of(received, LONGEST_WAIT);
            match system.handle_datagram(octets, datagram.source, received, at) {
                Ok(_) => {
                    let clock = system.estimate(now.at);
                    let (offset, bound) = (clock.offset.human(), clock.bound.unsigned_abs());
                    println!("{}, offset {offset} ± {bound:?}, frequency {}", clock.status, clock.frequency);
                }
                Err(ignored) => println!("{}: {ignored}", datagram.source),
            }
        }
    }
}

/// When requests left, by the kernel's stamps, and which could not be delivered.
fn hear_events<E: Engine>(socket: &Socket, sent: &Sent, clock: &SoftwareClock, system: &mut System<E>) {
    while let Ok(event) = socket.next_event(&mut [0; 64]) {
        match event {
            Event::Transmitted(left) => {
                let time = clock.time_of(left.stamp.time);
                for (source, (_, sequence)) in sent.iter().filter(|(_, (id, _))| *id == Some(left.id)) {
                    system.handle_transmit_stamp(*source, *sequence, time);
                }
            }
            Event::Unreachable(lost) => {
                system.handle_unreachable(lost.destination);
            }
            _ => {}
        }
    }
}
