//! cargo-fuzz's way into [`ntp_fuzz::clock_files`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ntp_fuzz::clock_files(data));
