//! What is asked of a source's address, by family: who has looked at the family once need not look again.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limit::RateTable;
use crate::{Access, AccessRules};

pub(crate) trait Address: Copy {
    /// Whether nothing can be sent to it alone.
    fn is_nobodys(self) -> bool;
    /// What it may have.
    fn access(self, rules: &AccessRules) -> Access;
    /// The hash that chooses its bucket.
    fn bucket(self, table: &RateTable) -> u64;
}

impl Address for Ipv4Addr {
    #[inline]
    fn is_nobodys(self) -> bool {
        matches!(u32::from(self), 0 | 0xe000_0000..=0xefff_ffff)
    }

    #[inline]
    fn access(self, rules: &AccessRules) -> Access {
        rules.of_v4(self)
    }

    #[inline]
    fn bucket(self, table: &RateTable) -> u64 {
        table.bucket_v4(self)
    }
}

impl Address for Ipv6Addr {
    #[inline]
    fn is_nobodys(self) -> bool {
        self.is_unspecified() || self.is_multicast()
    }

    #[inline]
    fn access(self, rules: &AccessRules) -> Access {
        rules.of(self.into())
    }

    #[inline]
    fn bucket(self, table: &RateTable) -> u64 {
        table.bucket_v6(self)
    }
}

impl Address for IpAddr {
    fn is_nobodys(self) -> bool {
        self.is_unspecified() || self.is_multicast()
    }

    fn access(self, rules: &AccessRules) -> Access {
        rules.of(self)
    }

    fn bucket(self, table: &RateTable) -> u64 {
        match self {
            Self::V4(v4) => v4.bucket(table),
            Self::V6(v6) => v6.bucket(table),
        }
    }
}
