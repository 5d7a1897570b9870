//! cargo-fuzz's way into [`ntp_fuzz::discipline`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ntp_fuzz::discipline(data));
