//! cargo-fuzz's way into [`ntp_fuzz::round_trip`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ntp_fuzz::round_trip(data));
