//! How a program without std is linked.

use std::env::var;

fn main() {
    // It has its own entry, so the C library's start files stay out.
    println!("cargo:rustc-link-arg-bins=-nostartfiles");
    // For memcpy, memset and memcmp alone, which targets without a C library have in compiler_builtins.
    println!("cargo:rustc-link-arg-bins=-lc");

    // Paths to a panic that nothing takes are left out by an optimiser that sees all crates as one; by less they stay, and the
    // link fails for no fault of the code.
    let lto =
        format!("CARGO_PROFILE_{}_LTO", var("PROFILE").unwrap_or_default().replace("debug", "dev").to_uppercase());
    println!("cargo:rerun-if-env-changed={lto}");
    let is_whole = var(&lto).map_or(true, |lto| lto == "fat" || lto == "true");
    let level = var("OPT_LEVEL").unwrap_or_default();
    assert!(is_whole && level == "3", "this proof needs lto = \"fat\" and opt-level = 3, as its manifest has them");
}
