//! cargo-fuzz's way into [`ntp_fuzz::region`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ntp_fuzz::region(data));
