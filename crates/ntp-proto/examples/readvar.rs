//! Reads the variables of an NTP daemon, as `ntpq -c rv` does: `cargo run -p ntp-proto --example readvar -- HOST [ASSOCIATION]`.
//!
//! One request, an answer in as many fragments as it takes, in memory of fixed size.

use std::error::Error;
use std::net::UdpSocket;
use std::time::Duration;

use ntp_proto::control::{
    emit, Assembly, AssemblyError, ControlHeader, ControlPacket, Opcode, SystemStatus, Variables,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let host = arguments.next().ok_or("usage: readvar HOST[:PORT] [ASSOCIATION]")?;
    let association = arguments.next().map_or(Ok(0), |number| number.parse())?;
    let address = if host.contains(':') { host } else { format!("{host}:123") };

    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(&address)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;

    let request = ControlHeader::request(Opcode::ReadVariables, 1, association);
    let mut datagram = [0; 1024];
    let length = emit(&request, &[], &mut datagram)?;
    socket.send(datagram.get(..length).unwrap_or_default())?;

    let mut memory = [0; 8192];
    let mut answer = Assembly::new(&request, &mut memory);
    while !answer.is_complete() {
        let length = socket.recv(&mut datagram).map_err(|error| format!("no answer: {error}"))?;
        match answer.handle(&ControlPacket::parse(datagram.get(..length).unwrap_or_default())?) {
            Ok(_) | Err(AssemblyError::Unrelated { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if let (0, Some(status)) = (association, answer.status()) {
        println!("status {status:04x}: {}", SystemStatus::from_bits(status));
    }
    for variable in Variables::new(answer.data().unwrap_or_default()) {
        let variable = variable?;
        println!("{:<16} {}", variable.name.escape_ascii(), variable.value.unwrap_or_default().escape_ascii());
    }
    Ok(())
}
