//! cargo-fuzz's way into [`ntp_fuzz::leap_list`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ntp_fuzz::leap_list(data));
