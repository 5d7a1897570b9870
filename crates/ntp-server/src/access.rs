//! Who may ask: rules by longest prefix, at a cost that hardly depends on how many there are.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use crate::trie::{bits, Rule, Trie};
use crate::Prefix;

/// What an address may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Access {
    /// Answers, within the rate limit.
    #[default]
    Allow,
    /// Answers without rate limit.
    Trust,
    /// Answers, within the rate limit, to requests with the MAC of a key this server holds; to all others nothing.
    Signed,
    /// A kiss-o'-death with the code DENY, within the rate limit: tells an honest client to stop.
    Refuse,
    /// Nothing.
    Ignore,
}

/// Access rules: the longest prefix that contains an address decides.
///
/// ```
/// use ntp_server::{Access, AccessRules};
///
/// let rules = AccessRules::new(
///     Access::Ignore,
///     &[("10.0.0.0/8".parse()?, Access::Allow), ("10.9.0.0/16".parse()?, Access::Refuse)],
/// );
/// assert_eq!(rules.of("10.1.2.3".parse().unwrap()), Access::Allow);
/// assert_eq!(rules.of("10.9.2.3".parse().unwrap()), Access::Refuse);
/// assert_eq!(rules.of("192.0.2.1".parse().unwrap()), Access::Ignore);
/// # Ok::<(), ntp_server::PrefixError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRules {
    v4: Trie,
    v6: Trie,
}

impl Default for AccessRules {
    /// Everybody is answered.
    fn default() -> Self {
        Self::new(Access::Allow, &[])
    }
}

impl AccessRules {
    /// Compiles `rules`; addresses that none of them contains get `otherwise`. Of two rules with the same prefix the
    /// later one counts. Takes time in proportion to their number.
    #[must_use]
    pub fn new(otherwise: Access, rules: &[(Prefix, Access)]) -> Self {
        let family = |is_v4: bool| {
            let mut rules: Vec<Rule> = rules
                .iter()
                .filter(|(prefix, _)| prefix.address().is_ipv4() == is_v4)
                .map(|(prefix, access)| Rule { bits: bits(prefix.address()), length: prefix.length(), access: *access })
                .collect();
            // Stable: equal prefixes keep their order, and the later overwrites the earlier.
            rules.sort_by_key(|rule| (rule.bits, rule.length));
            Trie::new(otherwise, &rules)
        };
        Self { v4: family(true), v6: family(false) }
    }

    /// What `address` may have; an IPv4-mapped IPv6 address counts as IPv4.
    #[must_use]
    #[inline]
    pub fn of(&self, address: IpAddr) -> Access {
        match address {
            IpAddr::V4(v4) => self.of_v4(v4),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => self.of_v4(v4),
                None => self.v6.find_v6(v6),
            },
        }
    }

    #[inline]
    pub(crate) fn of_v4(&self, address: Ipv4Addr) -> Access {
        self.v4.find_v4(address)
    }

    /// Octets of memory the compiled rules take.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.v4.memory() + self.v6.memory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prefix::tests::{address, prefix};
    use proptest::prelude::*;

    /// The rule with the longest prefix, the later of two equal ones, by looking at all of them.
    fn reference(otherwise: Access, rules: &[(Prefix, Access)], address: IpAddr) -> Access {
        let mut best = (0, otherwise);
        for (prefix, access) in rules {
            if prefix.contains(address.to_canonical()) && prefix.length() >= best.0 {
                best = (prefix.length(), *access);
            }
        }
        best.1
    }

    fn access() -> impl Strategy<Value = Access> {
        prop_oneof![
            Just(Access::Allow),
            Just(Access::Trust),
            Just(Access::Signed),
            Just(Access::Refuse),
            Just(Access::Ignore)
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))] // each compiles two tables of 2¹⁶ entries
        #[test]
        fn the_longest_prefix_decides(
            otherwise in access(),
            rules in prop::collection::vec((prefix(), access()), 0..40),
            strangers in prop::collection::vec(address(), 0..20),
        ) {
            let compiled = AccessRules::new(otherwise, &rules);
            // Strangers, and the ends of every rule and their neighbours.
            let mut asked = strangers;
            for (prefix, _) in &rules {
                let first = bits(prefix.address());
                let last = first | u128::MAX.checked_shr(prefix.length().into()).unwrap_or(0);
                for edge in [first, last, first.wrapping_sub(1 << 96), last.wrapping_add(1), last.wrapping_add(1 << 96)] {
                    #[allow(clippy::cast_possible_truncation)]
                    asked.push(if prefix.address().is_ipv4() {
                        IpAddr::from(((edge >> 96) as u32).to_be_bytes())
                    } else {
                        IpAddr::from(edge.to_be_bytes())
                    });
                }
            }
            for address in asked {
                prop_assert_eq!(compiled.of(address), reference(otherwise, &rules, address), "{}", address);
            }
        }
    }

    #[test]
    fn mapped_addresses_count_as_ipv4() {
        let rules = AccessRules::new(Access::Allow, &[("::ffff:192.0.2.0/120".parse().unwrap(), Access::Ignore)]);
        for address in ["192.0.2.7", "::ffff:192.0.2.7"] {
            assert_eq!(rules.of(address.parse().unwrap()), Access::Ignore);
        }
    }

    #[test]
    fn a_hundred_thousand_rules_stay_small() {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state
        };
        let rules: Vec<_> = (0..100_000)
            .map(|turn| {
                let length = [16, 20, 22, 24, 24, 24, 32][turn % 7];
                let access = if turn % 2 == 0 { Access::Ignore } else { Access::Refuse };
                (Prefix::new(IpAddr::from(next().to_be_bytes()), length).unwrap(), access)
            })
            .collect();
        let compiled = AccessRules::new(Access::Allow, &rules);
        assert!(compiled.memory() < 16 << 20, "{} octets", compiled.memory());
        for (prefix, _) in rules.iter().step_by(997) {
            assert_eq!(compiled.of(prefix.address()), reference(Access::Allow, &rules, prefix.address()));
        }
    }
}
