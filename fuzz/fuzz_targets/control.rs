//! cargo-fuzz's way into [`ntp_fuzz::control`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ntp_fuzz::control(data));
