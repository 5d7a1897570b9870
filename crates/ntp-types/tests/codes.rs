//! Codes keep every value, print as the field prints them, and read back what they print.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

use ntp_types::{
    Frequency, KissAction, KissCode, LeapIndicator, NtpDuration, NtpShort, NtpTimestamp, Reference, ReferenceId,
    Stratum,
};

#[test]
fn leap_indicator() {
    for bits in 0..=u8::MAX {
        let leap = LeapIndicator::from_bits(bits);
        assert_eq!(leap.to_bits(), bits & 3);
        assert_eq!(leap.to_string().parse(), Ok(leap));
        assert_eq!(leap.is_synchronized(), bits & 3 != 3);
    }
    assert!("61".parse::<LeapIndicator>().is_err());
}

#[test]
fn stratum() {
    for bits in 0..=u8::MAX {
        let stratum = Stratum::from_bits(bits);
        assert_eq!(stratum.to_bits(), bits);
        assert_eq!(stratum.to_string().parse(), Ok(stratum));
        assert_eq!(stratum.is_synchronized(), (1..16).contains(&bits));
        assert_eq!(stratum.next().to_bits(), if (1..16).contains(&bits) { bits + 1 } else { 16 });
        assert_eq!(stratum.on_wire().to_bits(), if bits > 15 { 0 } else { bits });
    }
    assert!("256".parse::<Stratum>().is_err());
}

#[test]
fn kiss_codes_ask_for_what_the_rfc_says() {
    for &code in KissCode::ALL {
        let action = match &code.to_bytes() {
            b"DENY" | b"RSTR" => KissAction::Stop,
            b"RATE" => KissAction::SlowDown,
            b"NTSN" => KissAction::Renegotiate,
            _ => KissAction::None,
        };
        assert_eq!(code.action(), action, "{code}");
    }
    assert_eq!(KissCode::from_bytes(*b"XNON"), KissCode::Other(*b"XNON"));
    assert_eq!("xnon".parse(), Ok(KissCode::Other(*b"XNON")));
    assert_eq!(KissCode::Other([1, 2, 3, 4]).to_string(), "01020304");
    assert!("TOOLONG".parse::<KissCode>().is_err() && "".parse::<KissCode>().is_err());
}

#[test]
fn reference_ids_mean_what_the_stratum_says() {
    let shown =
        |bytes: [u8; 4], stratum: u8| ReferenceId::from_bytes(bytes).display(Stratum::from_bits(stratum)).to_string();
    assert_eq!(shown([0; 4], 0), "-");
    assert_eq!(shown(*b"RATE", 0), "RATE");
    assert_eq!(shown(*b"GPS\0", 1), "GPS");
    assert_eq!(shown([0xff, 1, 2, 3], 1), "ff010203");
    assert_eq!(shown([b'G', 0, b'P', 0], 1), "47005000");
    assert_eq!(shown([127, 127, 1, 0], 5), "LOCAL(0)");
    assert_eq!(shown([127, 127, 20, 3], 2), "127.127.20.3");
    assert_eq!(shown([192, 0, 2, 1], 3), "192.0.2.1");
    assert_eq!(shown([254, 0x40, 0, 0], 2), "smear +1.000 s");
    assert_eq!(shown([254, 0xf0, 0, 0], 2), "smear -250.0 ms");
    let smear = ReferenceId::from_bytes([254, 0xff, 0xff, 0xff]).describe(Stratum::from_bits(2));
    assert_eq!(smear, Reference::Smear(NtpDuration::from_bits(-1 << 10)));
}

#[test]
fn reference_ids_parse() {
    assert_eq!("GPS".parse(), Ok(ReferenceId::from_bytes(*b"GPS\0")));
    assert_eq!("192.0.2.1".parse(), Ok(ReferenceId::from_bytes([192, 0, 2, 1])));
    assert_eq!("7f7f0101".parse(), Ok(ReferenceId::from_bytes([127, 127, 1, 1])));
    assert!("too long".parse::<ReferenceId>().is_err() && "".parse::<ReferenceId>().is_err());
}

#[test]
fn people_read_durations() {
    let shown = |nanos: i64| NtpDuration::from_nanos(nanos).human().to_string();
    assert_eq!(shown(0), "+0 ns");
    assert_eq!(shown(-999), "-999 ns");
    assert_eq!(shown(1_000), "+1.000 µs");
    assert_eq!(shown(12_345), "+12.34 µs");
    assert_eq!(shown(-350_000_000), "-350.0 ms");
    assert_eq!(shown(1_500_000_000), "+1.500 s");
    assert_eq!(shown(-86_400_000_000_000), "-86400.0 s");
    assert_eq!(NtpDuration::from_nanos(-1_500_000_001).to_string(), "-1.500000001");
    assert_eq!(NtpShort::from_bits(0x8000).to_string(), "0.500000");
    assert_eq!(Frequency::from_ppm(-50).to_string(), "-50.000 ppm");
    assert_eq!(Frequency::from_ppm_f64(0.0125).to_string(), "+0.013 ppm");
    assert_eq!(NtpTimestamp::new(0xeeae_c3d6, 0xd299_2605).to_string(), "eeaec3d6.d2992605");
}

#[test]
fn floats_that_are_no_numbers_become_none() {
    assert_eq!(NtpDuration::from_seconds_f64(f64::NAN), NtpDuration::ZERO);
    assert_eq!(NtpDuration::from_seconds_f64(f64::INFINITY), NtpDuration::MAX);
    assert_eq!(NtpDuration::from_seconds_f64(-1e300), NtpDuration::MIN);
    assert_eq!(Frequency::from_ratio(f64::NAN), Frequency::ZERO);
    assert_eq!(Frequency::from_ratio(f64::NEG_INFINITY).to_bits(), i64::MIN);
}

#[test]
fn texts_that_are_no_times() {
    for text in [
        "",
        "Z",
        "2036-02-07",
        "2036-02-07T06:28:16",
        "2036-02-07T06:28:16.Z",
        "2036-02-07T06:28:16.1234567890Z",
        "2036-02-30T00:00:00Z",
        "2036-13-01T00:00:00Z",
        "2036-02-07T24:00:00Z",
        "2016-12-31T23:59:60Z",
        "+1-+2-+3T+4:+5:+6Z",
    ] {
        assert!(text.parse::<ntp_types::UnixTime>().is_err(), "{text}");
    }
}
