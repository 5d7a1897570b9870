//! The entry of a program without std; its `main` returns the exit status.

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start: xor ebp, ebp",
    "and rsp, -16",
    "call {main}",
    "mov edi, eax",
    "mov eax, 60", // exit
    "syscall",
    main = sym crate::main
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl _start",
    "_start: bl {main}",
    "mov x8, 93", // exit
    "svc 0",
    main = sym crate::main
);

/// Named by the compiler's own 128-bit division, which is built to unwind; nothing here unwinds.
#[no_mangle]
extern "C" fn rust_eh_personality() {}
