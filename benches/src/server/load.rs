//! A bounded load of NTP requests over UDP, and what came back.
//!
//! Closed loop: a window of requests is kept in flight, so that the server is saturated and its socket does not overflow.
//! Open loop: so many requests each second, for latency and the quality of timestamps. An answer counts if it has 48
//! octets, version 4, mode 4 and the nonce of a request in flight (an echo: the request itself).

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use ntp_net::{Batch, Datagram, Options, Socket};
use ntp_types::NtpTimestamp;

/// What to send, and for how long.
#[derive(Debug, Clone)]
pub struct Load {
    /// The server.
    pub server: SocketAddr,
    /// How long requests go out before anything counts.
    pub warm_up: Duration,
    /// Measuring time; at most ten seconds.
    pub time: Duration,
    /// Most requests in flight.
    pub window: usize,
    /// Requests per second; 0 for the closed loop.
    pub rate: u64,
    /// Addresses that ask in turn, from [`first`](Self::first) on; 0 for one.
    pub clients: u32,
    /// The first of them.
    pub first: Ipv4Addr,
    /// The server is an echo.
    pub is_echo: bool,
    /// The server's process.
    pub process: u32,
}

/// What came back.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Answers.
    pub answers: u64,
    /// Requests that were not answered within 60 ms.
    pub lost: u64,
    /// Datagrams that were no answer.
    pub invalid: u64,
    /// Seconds until the last of them.
    pub seconds: f64,
    /// Seconds of CPU, user and system, that the server's threads took.
    pub cpu: f64,
    /// From request to answer, up to the kernel's stamp in the open loop, in microseconds: median and 99th percentile.
    pub latency: (f64, f64),
    /// From T3 to the kernel's stamp of the answer, in microseconds: median and 99th percentile. Open loop only.
    pub ahead: (f64, f64),
    /// Answers with T3 before T2.
    pub disordered: u64,
    /// How far T3 lay behind the kernel's stamp of the answer, in the future: the worst of a thousand and the worst of all, in
    /// microseconds; negative when none did. Open loop only.
    pub future: (f64, f64),
}

impl Figures {
    /// One line for another process to read.
    #[must_use]
    pub fn to_line(&self) -> String {
        let Self { answers, lost, invalid, seconds, cpu, latency, ahead, disordered, future } = self;
        format!(
            "{answers} {lost} {invalid} {disordered} {seconds} {cpu} {} {} {} {} {} {}",
            latency.0, latency.1, ahead.0, ahead.1, future.0, future.1
        )
    }

    /// From such a line.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        let fields: Vec<f64> = line.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        let [answers, lost, invalid, disordered, seconds, cpu, p50, p99, a50, a99, f999, f1] = fields[..] else {
            return None;
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // counts
        let count = |number: f64| number as u64;
        Some(Self {
            answers: count(answers),
            lost: count(lost),
            invalid: count(invalid),
            disordered: count(disordered),
            future: (f999, f1),
            seconds,
            cpu,
            latency: (p50, p99),
            ahead: (a50, a99),
        })
    }
}

/// How long an answer may take: longer than the 50 ms of each second that the kernel keeps from who has precedence.
const PATIENCE: Duration = Duration::from_millis(60);
const SOCKETS: usize = 4;
const BATCH: usize = 64;

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    nonce: u64,
    sent: Option<Instant>,
    stamp: NtpTimestamp,
}

struct Generator<'a> {
    load: &'a Load,
    slots: Vec<Slot>,
    free: Vec<usize>,
    random: u64,
    turn: u32,
    /// When something last came back.
    heard: Instant,
    figures: Figures,
    latencies: Vec<f64>,
    aheads: Vec<f64>,
}

/// Sends the load and measures.
///
/// # Panics
/// When no socket can be had.
#[must_use]
pub fn run(load: &Load) -> Figures {
    let options = Options::new().errors(false).packet_info(false).receive_stamps(load.rate > 0);
    let options = options.receive_buffer(4 << 20).send_buffer(4 << 20);
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let sockets: Vec<Socket> = (0..SOCKETS).map(|_| Socket::bind(any, &options).expect("a socket")).collect();
    let mut generator = Generator {
        load,
        slots: vec![Slot::default(); load.window],
        free: (0..load.window).collect(),
        random: 0x9e37_79b9_7f4a_7c15,
        turn: 0,
        heard: Instant::now(),
        figures: Figures::default(),
        latencies: Vec::new(),
        aheads: Vec::new(),
    };
    let mut batch = Batch::new(BATCH, 64);
    generator.send_for(load.warm_up, &sockets, &mut batch);
    generator.figures = Figures::default();
    generator.latencies.clear();
    generator.aheads.clear();
    let before = cpu_seconds(load.process);
    let start = Instant::now();
    generator.send_for(load.time.min(Duration::from_secs(10)), &sockets, &mut batch);
    let mut figures = generator.figures;
    figures.seconds = generator.heard.saturating_duration_since(start).as_secs_f64();
    figures.cpu = cpu_seconds(load.process) - before;
    figures.latency = percentiles(&mut generator.latencies);
    figures.ahead = percentiles(&mut generator.aheads);
    // Sorted by the percentiles.
    let late = |place: usize| generator.aheads.get(place).map_or(0.0, |ahead| -ahead);
    figures.future = (late(generator.aheads.len() / 1000), late(0));
    figures
}

impl Generator<'_> {
    fn send_for(&mut self, time: Duration, sockets: &[Socket], batch: &mut Batch) {
        let start = Instant::now();
        let mut sent = 0;
        let mut looked = start;
        for socket in sockets.iter().cycle() {
            let elapsed = start.elapsed();
            if elapsed >= time {
                break;
            }
            let room = if self.load.rate == 0 {
                if self.free.len() < BATCH {
                    0
                } else {
                    BATCH
                }
            } else {
                #[allow(clippy::cast_possible_truncation)] // ten seconds of requests
                let due = (elapsed.as_nanos() * u128::from(self.load.rate) / 1_000_000_000) as u64;
                // Who was not running for a millisecond skips what it missed: a burst would measure that.
                sent = sent.max(due.saturating_sub(self.load.rate / 1000 + 1));
                usize::try_from(due - sent).unwrap_or(0).min(BATCH).min(self.free.len())
            };
            sent += u64::try_from(self.send(room, socket, batch)).unwrap_or(0);
            sockets.iter().for_each(|socket| self.receive(socket, batch));
            if looked.elapsed() > Duration::from_millis(5) {
                looked = Instant::now();
                self.expire(PATIENCE);
            }
        }
        let end = Instant::now();
        while self.free.len() < self.slots.len() && end.elapsed() < PATIENCE {
            sockets.iter().for_each(|socket| self.receive(socket, batch));
        }
        self.expire(Duration::ZERO);
    }

    fn send(&mut self, count: usize, socket: &Socket, batch: &mut Batch) -> usize {
        if count == 0 {
            return 0;
        }
        batch.clear();
        let stamp = NtpTimestamp::from_unix(std::time::SystemTime::now().into());
        let sent = Some(Instant::now());
        for _ in 0..count {
            let Some(place) = self.free.pop() else { break };
            let nonce = self.nonce(place);
            self.slots[place] = Slot { nonce, sent, stamp };
            let from = self.source();
            batch.push(socket, self.load.server, from, |buffer| {
                buffer[..48].fill(0);
                buffer[0] = 0x23;
                buffer[40..48].copy_from_slice(&nonce.to_be_bytes());
                48
            });
        }
        socket.send_batch(batch).sent
    }

    /// Random but for the place in the table, and never zero.
    fn nonce(&mut self, place: usize) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random & !0xffff | 1 << 63 | place as u64
    }

    fn source(&mut self) -> Option<IpAddr> {
        if self.load.clients == 0 {
            return None;
        }
        self.turn = (self.turn + 1) % self.load.clients;
        Some(Ipv4Addr::from(u32::from(self.load.first) + self.turn).into())
    }

    fn receive(&mut self, socket: &Socket, batch: &mut Batch) {
        if socket.receive_batch(batch).is_ok_and(|count| count > 0) {
            self.heard = Instant::now();
            batch.for_each(|datagram, payload| self.take(datagram, payload));
        }
    }

    fn take(&mut self, datagram: &Datagram, payload: &[u8]) {
        let Ok(answer) = <&[u8; 48]>::try_from(payload) else {
            self.figures.invalid += 1;
            return;
        };
        let field = |at: usize| u64::from_be_bytes(answer[at..at + 8].try_into().expect("eight octets"));
        let nonce = if self.load.is_echo { field(40) } else { field(24) };
        let place = usize::try_from(nonce & 0xffff).unwrap_or(usize::MAX);
        let Some(slot) = self.slots.get_mut(place).filter(|slot| slot.nonce == nonce && slot.sent.is_some()) else {
            self.figures.invalid += 1;
            return;
        };
        let Some(sent) = slot.sent.take() else { return };
        let stamp = slot.stamp;
        self.free.push(place);
        // A server without time of its own still does the work; one that refuses does not.
        let is_refusal = answer[1] == 0 && matches!(&answer[12..16], b"RATE" | b"DENY" | b"RSTR");
        if !self.load.is_echo && (answer[0] & 0x3f != 0x24 || is_refusal) {
            self.figures.invalid += 1;
            return;
        }
        self.figures.answers += 1;
        if self.load.rate == 0 {
            self.latencies.push(sent.elapsed().as_secs_f64() * 1e6);
            return;
        }
        self.latencies.push(datagram.stamp.time.since(stamp).to_seconds_f64() * 1e6);
        if !self.load.is_echo {
            let (t2, t3) = (NtpTimestamp::from_bits(field(32)), NtpTimestamp::from_bits(field(40)));
            self.figures.disordered += u64::from(t2.is_after(t3));
            self.aheads.push(datagram.stamp.time.since(t3).to_seconds_f64() * 1e6);
        }
    }

    fn expire(&mut self, patience: Duration) {
        for (place, slot) in self.slots.iter_mut().enumerate() {
            if slot.sent.is_some_and(|sent| sent.elapsed() >= patience) {
                slot.sent = None;
                self.free.push(place);
                self.figures.lost += 1;
            }
        }
    }
}

/// Median and 99th percentile; zero of nothing.
#[must_use]
pub fn percentiles(values: &mut [f64]) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |share: usize| values.get(values.len() * share / 100).copied().unwrap_or(0.0);
    (at(50), at(99))
}

/// What the threads of a process and of its descendants have run, user and system, in seconds; of one that is running now, up to
/// the last tick.
#[must_use]
pub fn cpu_seconds(process: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let read = |thread: &fs::DirEntry, file: &str| fs::read_to_string(thread.path().join(file)).unwrap_or_default();
    let first = |text: String| text.split_ascii_whitespace().next().and_then(|number| number.parse::<u64>().ok());
    let mut seconds = 0.0;
    for thread in threads {
        #[allow(clippy::cast_precision_loss)] // days of nanoseconds
        let nanos = first(read(&thread, "schedstat")).unwrap_or(0) as f64;
        let children = read(&thread, "children");
        let children = children.split_ascii_whitespace().filter_map(|child| child.parse().ok());
        seconds += nanos / 1e9 + children.map(cpu_seconds).sum::<f64>();
    }
    seconds
}
