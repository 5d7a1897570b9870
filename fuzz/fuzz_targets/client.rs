//! cargo-fuzz's way into [`ntp_fuzz::client`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ntp_fuzz::client(data));
