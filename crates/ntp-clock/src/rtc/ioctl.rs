//! The numbers of the RTC's ioctls, as each architecture encodes them.

#![cfg_attr(not(target_os = "linux"), allow(dead_code))] // nobody else calls them

/// Which way the data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)]
pub enum Direction {
    /// There is none.
    None,
    /// The kernel writes it for the program.
    Read,
    /// The kernel reads it from the program.
    Write,
}

/// How an architecture packs direction, size, letter and number into 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)]
pub enum Layout {
    /// Two bits of direction, fourteen of size: nearly everywhere.
    Common,
    /// Three bits of direction, thirteen of size, and "none" is not zero: mips, powerpc, sparc.
    Wide,
}

impl Layout {
    /// This machine's.
    pub const HOST: Self = if cfg!(any(
        target_arch = "mips",
        target_arch = "mips64",
        target_arch = "powerpc",
        target_arch = "powerpc64",
        target_arch = "sparc",
        target_arch = "sparc64"
    )) {
        Self::Wide
    } else {
        Self::Common
    };
}

/// The number of the RTC's ioctl `number` with `size` octets of data: `_IOC(direction, 'p', number, size)`.
///
/// Source: `<asm-generic/ioctl.h>`, `<linux/rtc.h>`.
#[must_use]
pub const fn request(layout: Layout, direction: Direction, number: u8, size: u32) -> u32 {
    let (bits, shift) = match (layout, direction) {
        (Layout::Common, Direction::None) => (0, 30),
        (Layout::Common, Direction::Write) => (1, 30),
        (Layout::Common, Direction::Read) => (2, 30),
        (Layout::Wide, Direction::None) => (1, 29),
        (Layout::Wide, Direction::Read) => (2, 29),
        (Layout::Wide, Direction::Write) => (4, 29),
    };
    (bits << shift) | (size << 16) | ((b'p' as u32) << 8) | number as u32
}

/// `sizeof(struct rtc_time)`: nine ints.
pub(crate) const RTC_TIME_SIZE: u32 = 36;
/// `sizeof(struct rtc_param)`.
pub(crate) const RTC_PARAM_SIZE: u32 = 24;

pub(crate) const UIE_ON: u32 = request(Layout::HOST, Direction::None, 0x03, 0);
pub(crate) const UIE_OFF: u32 = request(Layout::HOST, Direction::None, 0x04, 0);
pub(crate) const RD_TIME: u32 = request(Layout::HOST, Direction::Read, 0x09, RTC_TIME_SIZE);
pub(crate) const SET_TIME: u32 = request(Layout::HOST, Direction::Write, 0x0a, RTC_TIME_SIZE);
pub(crate) const VL_READ: u32 = request(Layout::HOST, Direction::Read, 0x13, 4);
pub(crate) const VL_CLR: u32 = request(Layout::HOST, Direction::None, 0x14, 0);
pub(crate) const PARAM_GET: u32 = request(Layout::HOST, Direction::Write, 0x13, RTC_PARAM_SIZE);
pub(crate) const PARAM_SET: u32 = request(Layout::HOST, Direction::Write, 0x14, RTC_PARAM_SIZE);

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiled from the kernel's header on x86-64.
    #[test]
    fn common_numbers_are_the_headers() {
        let number = |direction, nr, size| request(Layout::Common, direction, nr, size);
        assert_eq!(number(Direction::None, 0x03, 0), 0x7003);
        assert_eq!(number(Direction::None, 0x04, 0), 0x7004);
        assert_eq!(number(Direction::Read, 0x09, RTC_TIME_SIZE), 0x8024_7009);
        assert_eq!(number(Direction::Write, 0x0a, RTC_TIME_SIZE), 0x4024_700a);
        assert_eq!(number(Direction::Write, 0x13, RTC_PARAM_SIZE), 0x4018_7013);
        assert_eq!(number(Direction::Write, 0x14, RTC_PARAM_SIZE), 0x4018_7014);
        assert_eq!(number(Direction::Read, 0x13, 4), 0x8004_7013);
        assert_eq!(number(Direction::None, 0x14, 0), 0x7014);
    }

    /// From the definitions of `<asm/ioctl.h>` for mips and powerpc.
    #[test]
    fn wide_numbers_have_their_directions_elsewhere() {
        assert_eq!(request(Layout::Wide, Direction::None, 0x03, 0), 0x2000_7003);
        assert_eq!(request(Layout::Wide, Direction::Read, 0x09, RTC_TIME_SIZE), 0x4024_7009);
        assert_eq!(request(Layout::Wide, Direction::Write, 0x0a, RTC_TIME_SIZE), 0x8024_700a);
    }

    #[test]
    fn this_machine_uses_its_own() {
        if cfg!(target_arch = "x86_64") {
            assert_eq!(
                [UIE_ON, UIE_OFF, RD_TIME, SET_TIME, VL_READ, VL_CLR, PARAM_GET, PARAM_SET],
                [0x7003, 0x7004, 0x8024_7009, 0x4024_700a, 0x8004_7013, 0x7014, 0x4018_7013, 0x4018_7014]
            );
        }
    }
}
