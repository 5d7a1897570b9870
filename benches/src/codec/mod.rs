//! The codec: what is asked of it, on which input, by whom.

mod floors;
mod ours;
#[cfg(feature = "peers")]
mod peers;

use ntp_proto::{ClientRequest, ExtensionType, Header, PacketWriter};
use ntp_types::{LeapIndicator, NtpShort, NtpTimestamp, Poll, Precision, ReferenceId, Stratum};

/// One thing done to one input by one contestant.
#[derive(Debug, Clone, Copy)]
pub struct Contest {
    /// What is done.
    pub operation: &'static str,
    /// To which input; a name of [`INPUTS`].
    pub input: &'static str,
    /// By whom.
    pub contestant: &'static str,
    /// The most instructions it may take; ours only.
    pub limit: Option<u64>,
    /// The name of the function's module, by which callgrind's output is searched.
    pub symbol: &'static str,
    /// Does it that many times.
    pub run: fn(&[u8], u32),
}

/// The inputs by name.
pub const INPUTS: [&str; 6] = ["header", "mac", "fields", "nts", "short", "overrun"];

/// The octets of an input.
///
/// # Panics
/// For a name that is not one of [`INPUTS`].
#[must_use]
pub fn input(name: &str) -> Vec<u8> {
    let mut buffer = [0; 256];
    let start = |buffer| PacketWriter::new(buffer, &header()).unwrap();
    let field = |bits| ExtensionType::from_bits(bits);
    let length = match name {
        "header" => start(&mut buffer).finish(),
        "mac" => start(&mut buffer).mac(1, &[0xBB; 16]),
        // 36 + 28 + 40 octets of fields and 20 of MAC: 172 in all.
        "fields" => start(&mut buffer)
            .field(field(0x0104), &[0x11; 32])
            .and_then(|writer| writer.field(field(0xF323), &[0x22; 24]))
            .and_then(|writer| writer.field(field(0x2005), &[0x33; 36]))
            .and_then(|writer| writer.mac(1, &[0xBB; 16])),
        // An NTS request: unique identifier, cookie, authenticator; 228 octets in all.
        "nts" => start(&mut buffer)
            .field(ExtensionType::UNIQUE_IDENTIFIER, &[0x11; 32])
            .and_then(|writer| writer.field(ExtensionType::NTS_COOKIE, &[0x22; 100]))
            .and_then(|writer| writer.field(ExtensionType::NTS_AUTHENTICATOR, &nts_authenticator()))
            .and_then(PacketWriter::finish),
        "short" => Ok(47),
        // The second field says 4 octets more than there are.
        "overrun" => start(&mut buffer)
            .field(field(0x0104), &[0x11; 32])
            .and_then(|writer| writer.field(field(0xF323), &[0x22; 24]))
            .and_then(PacketWriter::finish),
        other => panic!("no input {other}"),
    };
    let mut octets = buffer[..length.unwrap()].to_vec();
    match name {
        "short" => octets[..47].copy_from_slice(&header().to_bytes()[..47]),
        "overrun" => octets[48 + 36 + 3] = 32,
        _ => {}
    }
    octets
}

/// Nonce and ciphertext of 16 octets each, after their lengths.
fn nts_authenticator() -> [u8; 36] {
    let mut value = [0x44; 36];
    value[..4].copy_from_slice(&[0, 16, 0, 16]);
    value
}

/// The header of every input, which all contestants accept: version 4, mode 3, stratum 2.
#[must_use]
pub fn header() -> Header {
    let mut header = Header::new(LeapIndicator::NoWarning, ntp_proto::Version::V4, ntp_proto::Mode::Client);
    header.stratum = Stratum::from_bits(2);
    header.poll = Poll::from_log2(6);
    header.precision = Precision::from_log2(-24);
    header.root_delay = NtpShort::from_bits(0x0123);
    header.root_dispersion = NtpShort::from_bits(0x0456);
    header.reference_id = ReferenceId::from_bytes([192, 0, 2, 1]);
    header.reference_timestamp = NtpTimestamp::from_bits(0xEEAE_C3D6_D299_2605);
    header.origin_timestamp = NtpTimestamp::from_bits(0xEEAE_C3D7_1111_1111);
    header.receive_timestamp = NtpTimestamp::from_bits(0xEEAE_C3D8_2222_2222);
    header.transmit_timestamp = NtpTimestamp::from_bits(0xEEAE_C3D9_3333_3333);
    header
}

/// A plain request with a nonce.
#[must_use]
pub fn request() -> [u8; 48] {
    ClientRequest::new(NtpTimestamp::from_bits(0x1122_3344_5566_7788)).start(([192, 0, 2, 1], 123).into()).0
}

/// A value the compiler knows nothing about, for as long as the program runs.
fn kept<T>(value: T) -> &'static mut T {
    core::hint::black_box(Box::leak(Box::new(value)))
}

/// Octets of which the compiler knows not even the number.
fn kept_octets(octets: &[u8]) -> &'static mut [u8] {
    core::hint::black_box(octets.to_vec().leak())
}

/// What reading a slice comes to: where it is and how long.
#[inline(always)]
fn place(slice: &[u8]) -> u64 {
    (slice.as_ptr() as u64).wrapping_add(slice.len() as u64)
}

/// Every contest of this build.
#[must_use]
pub fn contests() -> Vec<Contest> {
    let mut all = ours::contests();
    all.extend(floors::contests());
    #[cfg(feature = "peers")]
    all.extend(peers::contests());
    all
}

/// The loop without anything in it.
pub mod empty_loop {
    /// Hides the input from the compiler, as every contest does, and no more.
    #[inline(never)]
    pub fn run(input: &[u8], turns: u32) {
        core::hint::black_box("empty_loop");
        for _ in 0..turns {
            core::hint::black_box(input);
        }
    }
}

/// Contests as functions of their own, which callgrind can tell apart.
macro_rules! contest_functions {
    ($contestant:literal: $($symbol:ident $operation:literal [$($input:literal $(<= $limit:literal)?),*] $body:expr;)*) => {
        $(mod $symbol {
            #[allow(unused_imports)]
            use super::*;

            #[inline(never)]
            pub(super) fn run(input: &[u8], turns: u32) {
                // The name keeps equal functions apart, which the compiler would merge.
                core::hint::black_box(stringify!($symbol));
                #[allow(unused_mut)] // some keep a buffer
                let mut body = $body;
                for _ in 0..turns {
                    core::hint::black_box(&body(core::hint::black_box(input)));
                }
            }
        })*

        pub(in crate::codec) fn contests() -> Vec<$crate::codec::Contest> {
            vec![$($($crate::codec::Contest {
                operation: $operation,
                input: $input,
                contestant: $contestant,
                limit: None $(.or(Some($limit)))?,
                symbol: stringify!($symbol),
                run: $symbol::run,
            },)*)*]
        }
    };
}
use contest_functions;
