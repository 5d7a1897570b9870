//! How good a client's offset is by the stamps it uses. Client and server have one clock, so the true offset is zero.
//!
//! Basic exchanges first, with the client's stamps read in user space and by the kernel from the same packets; then interleaved
//! ones (RFC 9769), in which the server tells when the answer before truly left.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ntp_net::{Event, Options, Socket, Stamp};
use ntp_types::NtpTimestamp;

use super::load::percentiles;

/// Median and 99th percentile, in microseconds.
pub type Percentiles = (f64, f64);

/// What came of the exchanges.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quality {
    /// From T3 to the client's kernel stamp: how early the server's timestamp is, the way included.
    pub back: Percentiles,
    /// From the client's kernel transmit stamp to the server's kernel receive stamp: the way.
    pub way: Percentiles,
    /// Magnitude of the offset by user-space stamps.
    pub user: Percentiles,
    /// By the kernel's stamps.
    pub kernel: Percentiles,
    /// By the kernel's stamps at both ends; zero when the server does not interleave.
    pub interleaved: Percentiles,
}

impl Quality {
    /// One line for another process to read.
    #[must_use]
    pub fn to_line(&self) -> String {
        let Self { back, way, user, kernel, interleaved } = self;
        let each = [back, way, user, kernel, interleaved];
        each.map(|(p50, p99)| format!("{p50} {p99}")).join(" ")
    }

    /// From such a line.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        let fields: Vec<f64> = line.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        let [b0, b1, w0, w1, u0, u1, k0, k1, i0, i1] = fields[..] else { return None };
        Some(Self { back: (b0, b1), way: (w0, w1), user: (u0, u1), kernel: (k0, k1), interleaved: (i0, i1) })
    }
}

/// One exchange: the client's times, and the server's as they stand in the answer.
#[derive(Debug, Clone, Copy)]
struct Exchange {
    user: (NtpTimestamp, NtpTimestamp),
    kernel: (NtpTimestamp, NtpTimestamp),
    t2: NtpTimestamp,
    t3: NtpTimestamp,
    is_interleaved: bool,
}

/// Asks `server` so many times each way, 500 times a second at most.
///
/// # Panics
/// When no socket can be had.
#[must_use]
pub fn run(server: SocketAddr, count: usize) -> Quality {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let socket = Socket::bind(any, &Options::new().transmit_stamps(true)).expect("a socket");
    let mut nonce = 0x9e37_79b9_7f4a_7c15_u64;
    let mut series = |is_interleaved: bool| {
        let mut last: Option<Exchange> = None;
        let mut pairs = Vec::new();
        for _ in 0..count {
            std::thread::sleep(Duration::from_millis(2));
            nonce = nonce.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let named = last.filter(|_| is_interleaved).map_or(NtpTimestamp::UNSET, |last| last.t2);
            let exchange = ask(&socket, server, nonce, named);
            pairs.extend(last.zip(exchange));
            last = exchange;
        }
        pairs
    };
    let basic: Vec<Exchange> = series(false).into_iter().map(|(_, exchange)| exchange).collect();
    // T3 of an interleaved answer is that of the answer before.
    let interleaved = series(true).into_iter().filter(|(_, next)| next.is_interleaved);
    let interleaved: Vec<Exchange> = interleaved.map(|(before, next)| Exchange { t3: next.t3, ..before }).collect();
    let of = |exchanges: &[Exchange], value: &dyn Fn(&Exchange) -> f64| {
        percentiles(&mut exchanges.iter().map(value).collect::<Vec<_>>())
    };
    Quality {
        back: of(&basic, &|exchange| micros(exchange.kernel.1, exchange.t3)),
        way: of(&basic, &|exchange| micros(exchange.t2, exchange.kernel.0)),
        user: of(&basic, &|exchange| exchange.offset(exchange.user)),
        kernel: of(&basic, &|exchange| exchange.offset(exchange.kernel)),
        interleaved: of(&interleaved, &|exchange| exchange.offset(exchange.kernel)),
    }
}

impl Exchange {
    /// The offset's magnitude in microseconds.
    fn offset(&self, (t1, t4): (NtpTimestamp, NtpTimestamp)) -> f64 {
        (f64::midpoint(micros(self.t2, t1), micros(self.t3, t4))).abs()
    }
}

fn micros(later: NtpTimestamp, earlier: NtpTimestamp) -> f64 {
    later.since(earlier).to_seconds_f64() * 1e6
}

/// One exchange, naming the server's receive timestamp of the one before to be answered interleaved.
fn ask(socket: &Socket, server: SocketAddr, nonce: u64, named: NtpTimestamp) -> Option<Exchange> {
    let mut request = [0; 48];
    request[0] = 0x23;
    request[24..32].copy_from_slice(&named.to_bytes());
    request[32..40].copy_from_slice(&(!nonce).to_be_bytes());
    request[40..48].copy_from_slice(&nonce.to_be_bytes());
    let t1 = Stamp::user_now().time;
    let id = socket.send_stamped(&request, server, None).ok()??;
    // Before waiting for the answer, which would pass over it.
    let left = (0..1_000).find_map(|_| match socket.next_event(&mut []) {
        Ok(Event::Transmitted(left)) if left.id == id => Some(left.stamp.time),
        _ => None,
    })?;
    let mut answer = [0; 64];
    let datagram = socket.receive_within(&mut answer, Some(Duration::from_millis(50))).ok()??;
    let t4 = Stamp::user_now().time;
    let field = |at: usize| u64::from_be_bytes(answer[at..at + 8].try_into().expect("eight octets"));
    let is_interleaved = field(24) == !nonce;
    (is_interleaved || field(24) == nonce).then_some(Exchange {
        user: (t1, t4),
        kernel: (left, datagram.stamp.time),
        t2: NtpTimestamp::from_bits(field(32)),
        t3: NtpTimestamp::from_bits(field(40)),
        is_interleaved,
    })
}
