//! The panic handler of a program that has no path to a panic.

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    extern "C" {
        fn a_path_to_a_panic_is_left() -> !;
    }
    // SAFETY: never called: the program does not link while anything reaches this.
    unsafe { a_path_to_a_panic_is_left() }
}
