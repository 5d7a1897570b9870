//! cargo-fuzz's way into [`ntp_fuzz::sysctl_conf`].
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ntp_fuzz::sysctl_conf(data));
