//! UDP datagrams out of capture files: pcap and pcapng; Ethernet with VLAN tags, Linux cooked, raw IP, loopback.
//!
//! The file's framing is pcap-parser's work, that of Ethernet, IP and UDP etherparse's.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice};
use ntp_types::UnixTime;
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{create_reader, Block, Linktype, PcapBlockOwned, PcapError};

/// One UDP datagram of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Its frame in the file, counted from 1.
    pub frame: usize,
    /// When it was captured.
    pub time: Option<UnixTime>,
    /// Where it came from.
    pub source: SocketAddr,
    /// Where it went.
    pub destination: SocketAddr,
    /// What it carries.
    pub payload: &'a [u8],
    /// Whether the capture holds only its beginning.
    pub is_cut: bool,
}

/// What a capture held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Frames in the file.
    pub frames: usize,
    /// Those that were UDP datagrams, whole or beginning.
    pub datagrams: usize,
}

/// How frames of one interface are read.
#[derive(Clone, Copy)]
struct Interface {
    link: Linktype,
    /// Ticks a second; 0 when the file says nothing usable.
    resolution: u64,
    /// Seconds to add to its timestamps.
    offset: i64,
}

/// The least and the most memory a block of the file may take, in octets.
const BUFFER: (usize, usize) = (1 << 16, 1 << 24);

/// Octets of a UDP header.
const UDP_HEADER: usize = 8;

/// Reads a capture and hands over its UDP datagrams, in order.
///
/// # Errors
/// What reading gives, what `handle` gives, and `InvalidData` where the file is no capture or ends inside a block.
pub fn read<R>(input: R, mut handle: impl FnMut(&Datagram<'_>) -> io::Result<()>) -> io::Result<Tally>
where
    R: Read + Send,
{
    let mut tally = Tally::default();
    let mut reader = match create_reader(BUFFER.0, input) {
        Ok(reader) => reader,
        Err(PcapError::Eof) => return Err(bad("the file is empty".to_owned())),
        Err(error) => return Err(convert(&error, "not a pcap or pcapng file")),
    };
    let mut interfaces = Vec::new();
    let mut capacity = BUFFER.0;
    // How far reading had come when the buffer was last filled: twice at one place means that no more will come.
    let mut refilled_at = None;
    loop {
        let place = (reader.consumed(), reader.data().len(), capacity);
        match reader.next() {
            Ok((length, block)) => {
                if let Some((interface, time, data)) = packet(&block, &mut interfaces) {
                    tally.frames += 1;
                    if let Some(datagram) = datagram(tally.frames, interface, time, data) {
                        tally.datagrams += 1;
                        handle(&datagram)?;
                    }
                }
                drop(block);
                reader.consume(length);
            }
            Err(PcapError::Eof) => return Ok(tally),
            Err(PcapError::Incomplete(_)) if refilled_at != Some(place) => {
                refilled_at = Some(place);
                match reader.refill() {
                    Ok(()) | Err(PcapError::BufferTooSmall) => {}
                    Err(error) => return Err(convert(&error, "cannot be read")),
                }
            }
            Err(PcapError::Incomplete(_) | PcapError::BufferTooSmall) => {
                capacity *= 2;
                if reader.reader_exhausted() || capacity > BUFFER.1 || !reader.grow(capacity) {
                    return Err(bad(format!("the file ends inside a block, after frame {}", tally.frames)));
                }
            }
            Err(error) => return Err(convert(&error, &format!("damaged after frame {}", tally.frames))),
        }
    }
}

/// The frame in a block: its interface, when it was captured, its octets. Other blocks are taken note of.
fn packet<'b>(
    block: &'b PcapBlockOwned<'_>,
    interfaces: &mut Vec<Interface>,
) -> Option<(Interface, Option<UnixTime>, &'b [u8])> {
    match block {
        PcapBlockOwned::LegacyHeader(header) => {
            let resolution = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
            *interfaces = vec![Interface { link: header.network, resolution, offset: 0 }];
            None
        }
        PcapBlockOwned::Legacy(frame) => {
            let interface = *interfaces.first()?;
            let ticks = u64::from(frame.ts_usec);
            let time = time(i64::from(frame.ts_sec), ticks, interface.resolution);
            Some((interface, time, frame.data))
        }
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            interfaces.clear();
            None
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(description)) => {
            let resolution = description.ts_resolution().unwrap_or(0);
            interfaces.push(Interface { link: description.linktype, resolution, offset: description.ts_offset() });
            None
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(frame)) => {
            let interface = *interfaces.get(usize::try_from(frame.if_id).ok()?)?;
            let ticks = u64::from(frame.ts_high) << 32 | u64::from(frame.ts_low);
            Some((interface, time(interface.offset, ticks, interface.resolution), frame.packet_data()))
        }
        PcapBlockOwned::NG(Block::SimplePacket(frame)) => Some((*interfaces.first()?, None, frame.packet_data())),
        PcapBlockOwned::NG(_) => None,
    }
}

/// `ticks` after `seconds`.
fn time(seconds: i64, ticks: u64, resolution: u64) -> Option<UnixTime> {
    let whole = i64::try_from(ticks.checked_div(resolution)?).ok()?;
    let nanos = u128::from(ticks % resolution) * 1_000_000_000 / u128::from(resolution);
    UnixTime::new(seconds.checked_add(whole)?, u32::try_from(nanos).ok()?)
}

/// The UDP datagram in a frame; `None` for anything else, and for fragments.
fn datagram<'a>(frame: usize, interface: Interface, time: Option<UnixTime>, data: &'a [u8]) -> Option<Datagram<'a>> {
    let sliced = slice(interface.link, data)?;
    let (source, destination): (IpAddr, IpAddr) = match sliced.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        LaxNetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        LaxNetSlice::Arp(_) => return None,
    };
    let Some(TransportSlice::Udp(udp)) = sliced.transport else { return None };
    let payload = udp.payload();
    Some(Datagram {
        frame,
        time,
        source: SocketAddr::new(source, udp.source_port()),
        destination: SocketAddr::new(destination, udp.destination_port()),
        payload,
        is_cut: usize::from(udp.length()) > UDP_HEADER + payload.len(),
    })
}

/// Link and network layer by the file's link type.
fn slice(link: Linktype, data: &[u8]) -> Option<LaxSlicedPacket<'_>> {
    match link {
        Linktype::ETHERNET => LaxSlicedPacket::from_ethernet(data).ok(),
        Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 | Linktype(12 | 14) => LaxSlicedPacket::from_ip(data).ok(),
        // Four octets of address family before the packet, in whatever order the machine had.
        Linktype::NULL | Linktype::LOOP => LaxSlicedPacket::from_ip(data.get(4..)?).ok(),
        // Linux cooked: the protocol stands last in the first header, first in the second.
        Linktype::LINUX_SLL => cooked(data.get(14..16)?, data.get(16..)?),
        Linktype::LINUX_SLL2 => cooked(data.get(..2)?, data.get(20..)?),
        _ => None,
    }
}

fn cooked<'a>(protocol: &[u8], packet: &'a [u8]) -> Option<LaxSlicedPacket<'a>> {
    let protocol = u16::from_be_bytes(protocol.try_into().ok()?);
    Some(LaxSlicedPacket::from_ether_type(EtherType(protocol), packet))
}

fn convert(error: &PcapError<&[u8]>, otherwise: &str) -> io::Error {
    match error {
        PcapError::ReadError => io::Error::other("cannot be read"),
        _ => bad(otherwise.to_owned()),
    }
}

fn bad(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
