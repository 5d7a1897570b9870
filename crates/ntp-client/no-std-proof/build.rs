//! The program has its own entry, so the C library's start files stay out.

fn main() {
    println!("cargo:rustc-link-arg-bins=-nostartfiles");
    // For memcpy, memset and memcmp alone, which targets without a C library have in compiler_builtins.
    println!("cargo:rustc-link-arg-bins=-lc");
}
