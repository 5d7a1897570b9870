//! `sntpc-query HOST:PORT`: asks once with sntpc and prints offset and delay in seconds, and the stratum.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use sntpc::{sync::get_time, NtpContext, StdTimestampGen};
use sntpc_net_std::UdpSocketWrapper;

fn main() {
    let server: SocketAddr = std::env::args().nth(1).and_then(|it| it.parse().ok()).expect("HOST:PORT");
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
    let socket = UdpSocketWrapper::new(socket);
    let answer = get_time(server, &socket, NtpContext::new(StdTimestampGen::default())).expect("an answer");
    println!("{:.6} {:.6} {}", answer.offset() as f64 * 1e-6, answer.roundtrip() as f64 * 1e-6, answer.stratum());
}
