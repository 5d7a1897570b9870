//! cargo-fuzz's way into [`ntp_fuzz::differential`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = ntp_fuzz::differential(data);
});
