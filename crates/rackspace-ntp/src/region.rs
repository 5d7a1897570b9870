//! Rackspace's regions as a type: a checked first column of the table.

use core::fmt;
use core::str::FromStr;

use crate::{Timezone, UtcOffset, RACKSPACE};

macro_rules! regions {
    ($($(#[$doc:meta])* $name:ident = $code:literal at $row:literal,)*) => {
        /// One of Rackspace's regions.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Region {
            $($(#[$doc])* $name,)*
        }

        impl Region {
            /// Every region, in the table's order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its three letters, in capitals.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// Its two servers, in the table's order.
            #[must_use]
            #[allow(clippy::indexing_slicing)] // constant rows of a constant table: checked by the compiler
            pub const fn hosts(self) -> [&'static str; 2] {
                match self {
                    $(Self::$name => const { [RACKSPACE.servers[$row].host, RACKSPACE.servers[$row + 1].host] },)*
                }
            }

            /// Its timezone, as the guide prints it.
            #[must_use]
            #[allow(clippy::indexing_slicing)] // as above
            pub const fn timezone(self) -> Timezone<'static> {
                match self {
                    $(Self::$name => const { RACKSPACE.servers[$row].timezone },)*
                }
            }
        }

        /// The three letters in any case.
        impl FromStr for Region {
            type Err = UnknownRegion;

            fn from_str(text: &str) -> Result<Self, UnknownRegion> {
                $(if text.eq_ignore_ascii_case($code) {
                    return Ok(Self::$name);
                })*
                Err(UnknownRegion)
            }
        }

        impl fmt::Display for UnknownRegion {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!("not a Rackspace region: they are", $(" ", $code),*))
            }
        }
    };
}

regions! {
    /// Dallas/Fort Worth.
    Dfw = "DFW" at 0,
    /// Chicago.
    Ord = "ORD" at 2,
    /// Northern Virginia. The guide prints CST for it.
    Iad = "IAD" at 4,
    /// London.
    Lon = "LON" at 6,
    /// Hong Kong.
    Hkg = "HKG" at 8,
    /// Sydney.
    Syd = "SYD" at 10,
}

impl Region {
    /// The regions a machine with this local time most likely stands in, in the table's order. Only a suggestion; see
    /// [`Provider::suggest`](crate::Provider::suggest).
    pub fn suggest(offset: UtcOffset) -> impl Iterator<Item = Self> {
        RACKSPACE.suggest(offset).filter_map(|code| code.parse().ok())
    }
}

/// The three letters in capitals.
impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

/// A text names no region of Rackspace's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownRegion;

impl core::error::Error for UnknownRegion {}
