//! Control messages (cmsg(3)) as octets: a walk over what the kernel wrote and a writer for what it reads.
//!
//! Both are pure functions, so that a hostile or cut buffer can be tried without a kernel. The layout is the one of
//! `struct cmsghdr`: a length that counts the header, level, type, and data, everything aligned to the machine word.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ntp_types::{NtpTimestamp, UnixTime};

use super::name::{parse, unmapped, Family};
use crate::{Stamp, StampKind};

const WORD: usize = size_of::<usize>();
/// Length, level, type; a multiple of [`WORD`] on every machine.
const HEADER: usize = (WORD + 4 + 4).div_ceil(WORD) * WORD;
/// Room for every message a socket of ours can get at once: stamps (3 timespecs), packet info, extended error with
/// its offender.
pub(super) const RECEIVE_LEN: usize = 192;
/// Room for packet info and for what more there is: stamp flags and stamp id, or the length of segments.
pub(super) const SEND_LEN: usize = 96;

/// Memory for control messages.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control<const N: usize>(pub(super) [u8; N]);

/// One control message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) level: i32,
    pub(super) kind: i32,
    pub(super) data: &'a [u8],
}

/// The control messages of a buffer, front to back; ends at the first that cannot be whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk<'a>(pub(super) &'a [u8]);

const fn aligned(len: usize) -> usize {
    (len + WORD - 1) & !(WORD - 1)
}

impl<'a> Iterator for Walk<'a> {
    type Item = Message<'a>;

    #[inline]
    fn next(&mut self) -> Option<Message<'a>> {
        let header = self.0.first_chunk::<HEADER>()?;
        let len = usize::from_ne_bytes(*header.first_chunk()?);
        // Below the header it would not get on; beyond the buffer it would read what nobody wrote.
        let data = self.0.get(HEADER..len)?;
        self.0 = self.0.get(aligned(len)..).unwrap_or(&[]);
        let [.., l0, l1, l2, l3, k0, k1, k2, k3] = *header;
        let (level, kind) = (i32::from_ne_bytes([l0, l1, l2, l3]), i32::from_ne_bytes([k0, k1, k2, k3]));
        Some(Message { level, kind, data })
    }
}

/// What the control messages of one datagram say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Ancillary {
    /// By the system clock.
    pub(super) kernel: Option<NtpTimestamp>,
    /// By the interface's clock.
    pub(super) hardware: Option<NtpTimestamp>,
    pub(super) local: Option<IpAddr>,
    pub(super) interface: Option<u32>,
    pub(super) error: Option<ExtendedError>,
}

/// `struct sock_extended_err` and the address behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ExtendedError {
    pub(super) errno: i32,
    pub(super) origin: u8,
    pub(super) kind: u8,
    pub(super) code: u8,
    pub(super) info: u32,
    pub(super) data: u32,
    pub(super) offender: Option<IpAddr>,
}

impl Ancillary {
    /// Reads what it knows and passes over the rest.
    #[inline]
    pub(super) fn read(control: &[u8]) -> Self {
        let mut found = Self::default();
        for Message { level, kind, data } in Walk(control) {
            match (level, kind) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => found.kernel = timestamp(data),
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) => {
                    found.kernel = timestamp(data);
                    found.hardware = data.get(2 * TIMESPEC..).and_then(timestamp);
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => found.packet_info_v4(data),
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => found.packet_info_v6(data),
                (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
                    found.error = extended_error(data);
                }
                _ => {}
            }
        }
        found
    }

    /// When the datagram left, by the interface if it tells.
    pub(super) fn transmitted(&self) -> Option<Stamp> {
        let by = |kind| move |time| Stamp { time, kind };
        self.hardware.map(by(StampKind::Hardware)).or_else(|| self.kernel.map(by(StampKind::Kernel)))
    }

    /// `struct in_pktinfo`: interface, local address of ours, destination in the header. The second is the first when
    /// it is one of ours and else (broadcast, multicast) the one to answer from.
    #[inline]
    fn packet_info_v4(&mut self, data: &[u8]) {
        if let Some(&[i0, i1, i2, i3, a, b, c, d]) = data.first_chunk::<8>() {
            self.interface = u32::try_from(i32::from_ne_bytes([i0, i1, i2, i3])).ok().filter(|&index| index != 0);
            self.local = Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)));
        }
    }

    /// `struct in6_pktinfo`: destination, interface.
    #[inline]
    fn packet_info_v6(&mut self, data: &[u8]) {
        if let Some((octets, rest)) = data.split_first_chunk::<16>() {
            self.local = Some(Ipv6Addr::from(*octets)).filter(|ip| !ip.is_multicast()).map(unmapped);
            self.interface =
                rest.first_chunk::<4>().map(|index| u32::from_ne_bytes(*index)).filter(|&index| index != 0);
        }
    }
}

const LONG: usize = size_of::<libc::c_long>();
const TIMESPEC: usize = 2 * LONG;

/// `struct timespec`; `None` when it is not there or zero, the kernel's way to say that there is none.
#[inline]
fn timestamp(data: &[u8]) -> Option<NtpTimestamp> {
    let timespec = data.first_chunk::<TIMESPEC>()?;
    let seconds = libc::c_long::from_ne_bytes(*timespec.first_chunk()?);
    let nanos = libc::c_long::from_ne_bytes(*timespec.last_chunk()?);
    if seconds == 0 && nanos == 0 {
        return None;
    }
    #[allow(clippy::useless_conversion)] // c_long has 32 bits elsewhere
    UnixTime::new(seconds.into(), u32::try_from(nanos).ok()?).map(NtpTimestamp::from_unix)
}

fn extended_error(data: &[u8]) -> Option<ExtendedError> {
    let (errno, rest) = data.split_first_chunk::<4>()?;
    let ([origin, kind, code, _], rest) = rest.split_first_chunk::<4>()?;
    let (info, rest) = rest.split_first_chunk::<4>()?;
    let (number, rest) = rest.split_first_chunk::<4>()?;
    Some(ExtendedError {
        errno: i32::from_ne_bytes(*errno),
        origin: *origin,
        kind: *kind,
        code: *code,
        info: u32::from_ne_bytes(*info),
        data: u32::from_ne_bytes(*number),
        offender: parse(rest).map(|address| address.ip()).filter(|ip| !ip.is_unspecified()),
    })
}

/// Writes the control messages of a datagram to send, into the memory the kernel will read them from.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    control: &'a mut Control<SEND_LEN>,
    len: usize,
}

impl<'a> Writer<'a> {
    /// An empty one; what stood in `control` is overwritten as messages come.
    #[inline]
    pub(super) fn new(control: &'a mut Control<SEND_LEN>) -> Self {
        Self { control, len: 0 }
    }

    /// Goes on behind the message that ends with the first `len` octets.
    pub(super) fn behind(control: &'a mut Control<SEND_LEN>, len: usize) -> Self {
        Self { control, len }
    }

    /// Adds a message; one that does not fit is left out (nothing that is written here can be too much).
    #[inline]
    fn push<const D: usize>(&mut self, level: i32, kind: i32, data: [u8; D]) {
        let start = aligned(self.len);
        let place = self.control.0.get_mut(start..).and_then(<[u8]>::split_first_chunk_mut::<WORD>);
        let Some((len_place, rest)) = place else { return };
        let Some((level_place, rest)) = rest.split_first_chunk_mut::<4>() else { return };
        let Some((kind_place, rest)) = rest.split_first_chunk_mut::<4>() else { return };
        let Some(data_place) = rest.get_mut(HEADER - WORD - 8..).and_then(<[u8]>::first_chunk_mut::<D>) else { return };
        *len_place = (HEADER + D).to_ne_bytes();
        *level_place = level.to_ne_bytes();
        *kind_place = kind.to_ne_bytes();
        *data_place = data;
        self.len = start + HEADER + D;
    }

    /// Send from this local address, over whichever interface the route takes, but for a link-local one: that is an address
    /// on its own `interface` only. An IPv4 address has IPv4's message on an IPv6 socket too, where it goes with a mapped
    /// destination.
    #[inline]
    pub(super) fn source(&mut self, ip: IpAddr, interface: Option<u32>, family: Family) {
        match (ip, family) {
            (IpAddr::V4(v4), _) => {
                let [a, b, c, d] = v4.octets();
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, [0, 0, 0, 0, a, b, c, d, 0, 0, 0, 0]);
            }
            (IpAddr::V6(v6), Family::V6) => {
                let mut info = [0; 20];
                if let Some((place, rest)) = info.split_first_chunk_mut() {
                    *place = v6.octets();
                    if let ([0xfe, 0x80..=0xbf, ..], Some(index)) = (*place, rest.first_chunk_mut()) {
                        *index = interface.unwrap_or(0).to_ne_bytes();
                    }
                }
                self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
            (IpAddr::V6(_), Family::V4) => {}
        }
    }

    /// Stamp this datagram as `flags` say and, with a number, report its stamp under that.
    pub(super) fn stamp(&mut self, flags: u32, number: Option<u32>) {
        self.push(libc::SOL_SOCKET, libc::SO_TIMESTAMPING, flags.to_ne_bytes());
        if let Some(number) = number {
            self.push(libc::SOL_SOCKET, SCM_TS_OPT_ID, number.to_ne_bytes());
        }
    }

    /// Cut the payload into datagrams of `octets` each.
    pub(super) fn segments(&mut self, octets: u16) {
        self.push(libc::IPPROTO_UDP, libc::UDP_SEGMENT, octets.to_ne_bytes());
    }

    /// Octets written, without padding behind the last message: the kernel allocates memory where they are more than an IPv6
    /// source address takes.
    pub(super) const fn len(&self) -> usize {
        self.len
    }
}

/// Octets of the source address at the front of `control`, of which `len` octets are written: 0 without one.
pub(super) fn source_len(control: &[u8], len: usize) -> usize {
    let written = control.get(..len).unwrap_or(&[]);
    match Walk(written).next() {
        Some(first) if first.level != libc::SOL_SOCKET => HEADER + first.data.len(),
        _ => 0,
    }
}

/// `SCM_TS_OPT_ID` of Linux 6.13 and later, not in libc.
const SCM_TS_OPT_ID: i32 = 81;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A buffer of whole messages.
    fn laid_out(messages: &[(i32, i32, Vec<u8>)]) -> Vec<u8> {
        let mut buffer = Vec::new();
        for (level, kind, data) in messages {
            let start = buffer.len();
            buffer.extend((HEADER + data.len()).to_ne_bytes());
            buffer.extend(level.to_ne_bytes());
            buffer.extend(kind.to_ne_bytes());
            buffer.resize(start + HEADER, 0);
            buffer.extend(data);
            buffer.resize(start + aligned(HEADER + data.len()), 0xee);
        }
        buffer
    }

    /// The walk by indices, as cmsg(3) words it.
    fn reference(buffer: &[u8]) -> Vec<Message<'_>> {
        let mut found = Vec::new();
        let mut at = 0;
        while at + HEADER <= buffer.len() {
            let len = usize::from_ne_bytes(buffer[at..at + WORD].try_into().unwrap());
            if len < HEADER || len > buffer.len() - at {
                break;
            }
            let number = |from: usize| i32::from_ne_bytes(buffer[from..from + 4].try_into().unwrap());
            let data = &buffer[at + HEADER..at + len];
            found.push(Message { level: number(at + WORD), kind: number(at + WORD + 4), data });
            at += len.div_ceil(WORD) * WORD;
        }
        found
    }

    /// Buffers that look enough like the kernel's to get past the first checks.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let word = prop_oneof![0..200_usize, any::<usize>(), Just(usize::MAX), Just(usize::MAX - WORD), Just(HEADER)];
        let level = prop_oneof![Just(libc::SOL_SOCKET), Just(libc::IPPROTO_IP), Just(libc::IPPROTO_IPV6), any::<i32>()];
        let kind = prop_oneof![Just(libc::SCM_TIMESTAMPING), Just(libc::IP_PKTINFO), Just(libc::IP_RECVERR), 0..90_i32];
        let message = (word, level, kind, prop::collection::vec(any::<u8>(), 0..80));
        prop::collection::vec(message, 0..6).prop_map(|messages| {
            let mut buffer = Vec::new();
            for (len, level, kind, data) in messages {
                buffer.extend(len.to_ne_bytes());
                buffer.extend(level.to_ne_bytes());
                buffer.extend(kind.to_ne_bytes());
                buffer.extend(data);
            }
            buffer
        })
    }

    proptest! {
        #[test]
        fn what_was_laid_out_is_found(
            messages in prop::collection::vec((any::<i32>(), any::<i32>(), prop::collection::vec(any::<u8>(), 0..70)), 0..6)
        ) {
            let buffer = laid_out(&messages);
            let found: Vec<_> = Walk(&buffer).map(|m| (m.level, m.kind, m.data.to_vec())).collect();
            prop_assert_eq!(found, messages);
        }

        #[test]
        fn hostile_buffers_are_walked_as_the_manual_words_it(buffer in hostile(), cut in 0..400_usize) {
            let buffer = &buffer[..cut.min(buffer.len())];
            prop_assert_eq!(Walk(buffer).collect::<Vec<_>>(), reference(buffer));
            let _ = Ancillary::read(buffer);
        }

        #[test]
        fn noise_is_walked_as_the_manual_words_it(buffer: Vec<u8>) {
            prop_assert_eq!(Walk(&buffer).collect::<Vec<_>>(), reference(&buffer));
        }

        #[test]
        fn what_the_writer_writes_the_walk_reads(ip: [u8; 16], is_v4: bool, is_v4_socket: bool, flags: u32, id: u32) {
            let [a, b, c, d, ..] = ip;
            let ip = if is_v4 { IpAddr::from([a, b, c, d]) } else { unmapped(ip.into()) };
            let family = if is_v4_socket { Family::V4 } else { Family::V6 };
            let mut control = Control([0xee; SEND_LEN]);
            let mut writer = Writer::new(&mut control);
            writer.source(ip, Some(7), family);
            writer.stamp(flags, Some(id));
            let len = writer.len();
            let expected = (ip.is_ipv4() || !is_v4_socket).then_some(ip);
            let read = Ancillary::read(&control.0[..len]);
            prop_assert_eq!(read.local, expected.filter(|ip| ip.is_ipv4() || !ip.is_multicast()));
            let is_link_local = matches!(ip, IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80);
            prop_assert_eq!(read.interface, (is_link_local && !is_v4_socket).then_some(7));
            let kinds: Vec<_> = Walk(&control.0[..len]).filter(|m| m.level == libc::SOL_SOCKET).collect();
            prop_assert_eq!(kinds.len(), 2);
            prop_assert_eq!(kinds[0].data, &flags.to_ne_bytes()[..]);
            prop_assert_eq!((kinds[1].kind, kinds[1].data), (SCM_TS_OPT_ID, &id.to_ne_bytes()[..]));
        }
    }

    /// `udp_sendmsg` keeps `sizeof(struct cmsghdr) + 20` octets on its stack and allocates for more.
    #[test]
    fn a_source_address_alone_takes_no_more_than_the_kernel_has_at_hand() {
        for (ip, family) in [("10.1.2.3", Family::V4), ("10.1.2.3", Family::V6), ("fd00::1", Family::V6)] {
            let mut control = Control([0xee; SEND_LEN]);
            let mut writer = Writer::new(&mut control);
            writer.source(ip.parse().unwrap(), None, family);
            let len = writer.len();
            assert!((1..=HEADER + 20).contains(&len), "{ip}: {len} octets");
            assert_eq!(source_len(&control.0, len), len);
        }
    }

    #[test]
    fn stamps_and_errors_are_read_field_by_field() {
        let long = |value: libc::c_long| value.to_ne_bytes();
        let stamps: Vec<u8> = [1_700_000_000, 500_000_000, 0, 0, 42, 1].into_iter().flat_map(long).collect();
        let offender = [2_u16.to_ne_bytes().as_slice(), &[0, 0, 10, 1, 2, 3], &[0; 8]].concat();
        let error = [&111_i32.to_ne_bytes()[..], &[2, 3, 1, 0], &7_u32.to_ne_bytes(), &9_u32.to_ne_bytes(), &offender];
        let buffer = laid_out(&[
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING, stamps),
            (libc::IPPROTO_IP, libc::IP_RECVERR, error.concat()),
        ]);
        let found = Ancillary::read(&buffer);
        let at = |seconds, nanos| UnixTime::new(seconds, nanos).map(NtpTimestamp::from_unix);
        assert_eq!((found.kernel, found.hardware), (at(1_700_000_000, 500_000_000), at(42, 1)));
        let expected = ExtendedError {
            errno: 111,
            origin: 2,
            kind: 3,
            code: 1,
            info: 7,
            data: 9,
            offender: Some(IpAddr::from([10, 1, 2, 3])),
        };
        assert_eq!(found.error, Some(expected));
        let zero = laid_out(&[(libc::SOL_SOCKET, libc::SCM_TIMESTAMPING, vec![0; 6 * LONG])]);
        assert_eq!(Ancillary::read(&zero), Ancillary::default());
    }

    /// The three times are the system's, one that is no more, and the interface's; any of them may be missing.
    #[test]
    fn the_interfaces_own_stamp_counts_where_there_is_one() {
        let at = |seconds| UnixTime::new(seconds, 5).map(NtpTimestamp::from_unix);
        for (system, interface) in [(7, 0), (0, 9), (7, 9), (0, 0)] {
            let times = [system, if system > 0 { 5 } else { 0 }, 3, 3, interface, if interface > 0 { 5 } else { 0 }];
            let data: Vec<u8> = times.into_iter().flat_map(libc::c_long::to_ne_bytes).collect();
            let message = |len: usize| laid_out(&[(libc::SOL_SOCKET, libc::SCM_TIMESTAMPING, data[..len].to_vec())]);
            let found = Ancillary::read(&message(data.len()));
            let expected = |seconds: i64| if seconds > 0 { at(seconds) } else { None };
            assert_eq!((found.kernel, found.hardware), (expected(system), expected(interface)));
            let kind = match (system, interface) {
                (0, 0) => None,
                (_, 0) => Some((StampKind::Kernel, expected(system))),
                _ => Some((StampKind::Hardware, expected(interface))),
            };
            assert_eq!(found.transmitted().map(|stamp| (stamp.kind, Some(stamp.time))), kind);
            // Cut short, it is not half a time.
            assert_eq!(Ancillary::read(&message(data.len() - 1)).hardware, None);
        }
    }
}
