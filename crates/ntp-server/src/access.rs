//! Who may ask: rules by longest prefix, at a cost that hardly depends on how many there are.
//!
//! The rules are compiled into a compressed trie: the first 16 bits of an address index a table, every further six bits
//! cost one step, and a step reads one node of 24 octets. Runs of equal leaves are stored once.
//! A family without rules costs one comparison.
//!
//! Source: Asai and Ohara, "Poptrie" (SIGCOMM 2015), for the node's shape.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// What an address may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Access {
    /// Answers, within the rate limit.
    #[default]
    Allow,
    /// Answers without rate limit.
    Trust,
    /// A kiss-o'-death with the code DENY, within the rate limit: tells an honest client to stop.
    Refuse,
    /// Nothing.
    Ignore,
}

/// An address prefix: every address that begins with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// The first bits; the others are zero.
    address: IpAddr,
    length: u8,
}

/// A text or a pair is not a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrefixError {
    /// It does not begin with an address.
    #[error("not an IPv4 or IPv6 address with an optional prefix length, like 192.0.2.0/24")]
    Form,
    /// An address does not have so many bits.
    #[error("prefix length {length} is above {max}")]
    Length {
        /// The length.
        length: u32,
        /// Bits of such an address.
        max: u8,
    },
}

impl Prefix {
    /// The first `length` bits of `address`; its other bits do not matter. IPv4-mapped IPv6 becomes IPv4.
    ///
    /// # Errors
    /// [`PrefixError::Length`].
    pub fn new(address: IpAddr, length: u8) -> Result<Self, PrefixError> {
        let (address, length) = match address {
            IpAddr::V6(v6) if length >= 96 => match v6.to_ipv4_mapped() {
                Some(v4) => (IpAddr::V4(v4), length - 96),
                None => (address, length),
            },
            _ => (address, length),
        };
        let max = if address.is_ipv4() { 32 } else { 128 };
        if length > max {
            return Err(PrefixError::Length { length: length.into(), max });
        }
        Ok(Self { address: masked(address, length), length })
    }

    /// The lowest address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits are fixed.
    #[must_use]
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// Whether `address` begins with it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.length) == self.address
    }
}

/// The first `length` bits of an address.
pub(crate) fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length.into())).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length.into())).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    }
}

impl From<IpAddr> for Prefix {
    /// That address alone.
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, length: if address.is_ipv4() { 32 } else { 128 } }
    }
}

/// `192.0.2.0/24`
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// `192.0.2.0/24`, `2001:db8::/32`, or an address alone.
impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| PrefixError::Form)?;
        let Some(length) = length else { return Ok(address.into()) };
        if !length.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(PrefixError::Form);
        }
        let length: u32 = length.parse().map_err(|_| PrefixError::Form)?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        let short = u8::try_from(length).map_err(|_| PrefixError::Length { length, max })?;
        Self::new(address, short)
    }
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
                .filter(|(prefix, _)| prefix.address.is_ipv4() == is_v4)
                .map(|(prefix, access)| Rule { bits: bits(prefix.address), length: prefix.length, access: *access })
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
            IpAddr::V4(v4) => self.v4.find(Ipv4(u32::from(v4))),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => self.v4.find(Ipv4(u32::from(v4))),
                None => self.v6.find(Ipv6(u128::from(v6))),
            },
        }
    }

    /// Octets of memory the compiled rules take.
    #[must_use]
    pub fn memory(&self) -> usize {
        let of = |trie: &Trie| {
            size_of_val(trie.root.as_slice()) + size_of_val(trie.nodes.as_slice()) + size_of_val(trie.leaves.as_slice())
        };
        of(&self.v4) + of(&self.v6)
    }
}

/// A rule with its prefix's bits at the top of 128.
#[derive(Debug, Clone, Copy)]
struct Rule {
    bits: u128,
    length: u8,
    access: Access,
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// Bits that index the root table.
const ROOT: u32 = 16;
/// Bits that one node takes.
const STRIDE: u32 = 6;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Trie {
    /// For each value of the first 16 bits what to do or where to go on; empty when `otherwise` is for all.
    root: Vec<Entry>,
    nodes: Vec<Node>,
    leaves: Vec<Access>,
    otherwise: Access,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Leaf(Access),
    Node(u32),
}

/// 64 branches. Bit `i` of `inner` says that branch `i` goes on in a node, and else bit `i` of `runs` says that its leaf
/// differs from the one before. The nodes and leaves themselves stand in a row from `nodes` and `leaves` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Node {
    inner: u64,
    runs: u64,
    nodes: u32,
    leaves: u32,
}

/// An address as bits from the top.
trait Bits: Copy {
    /// The first [`ROOT`] bits.
    fn front(self) -> u16;
    /// [`STRIDE`] bits from `at` on, zeros behind the end.
    fn six(self, at: u32) -> u32;
}

#[derive(Clone, Copy)]
struct Ipv4(u32);
#[derive(Clone, Copy)]
struct Ipv6(u128);

#[allow(clippy::cast_possible_truncation)] // cutting out bits is the purpose
impl Bits for Ipv4 {
    #[inline]
    fn front(self) -> u16 {
        (self.0 >> 16) as u16
    }

    #[inline]
    fn six(self, at: u32) -> u32 {
        ((u64::from(self.0) << 32 << at) >> 58) as u32
    }
}

#[allow(clippy::cast_possible_truncation)] // cutting out bits is the purpose
impl Bits for Ipv6 {
    #[inline]
    fn front(self) -> u16 {
        (self.0 >> 112) as u16
    }

    #[inline]
    fn six(self, at: u32) -> u32 {
        (self.0.wrapping_shl(at) >> 122) as u32
    }
}

impl Trie {
    fn new(otherwise: Access, rules: &[Rule]) -> Self {
        let mut trie = Self { root: Vec::new(), nodes: Vec::new(), leaves: Vec::new(), otherwise };
        if rules.iter().all(|rule| rule.access == otherwise) {
            return trie;
        }
        let branches = Branches::new(rules, 0, ROOT, otherwise);
        let mut root = vec![Entry::Leaf(otherwise); 1 << ROOT];
        for (index, entry) in root.iter_mut().enumerate() {
            let (access, deeper) = branches.at(index);
            *entry = if deeper.is_empty() {
                Entry::Leaf(access)
            } else {
                let place = trie.nodes.len();
                trie.nodes.push(Node::EMPTY);
                trie.fill(place, deeper, ROOT, access);
                Entry::Node(number(place))
            };
        }
        trie.root = root;
        trie
    }

    /// Writes the node at `place` for the bits from `depth` on: `rules` are those longer than `depth` inside it, sorted,
    /// and `outside` is what the rules above it say. It goes no deeper than the bits of an address.
    fn fill(&mut self, place: usize, rules: &[Rule], depth: u32, outside: Access) {
        let branches = Branches::new(rules, depth, STRIDE, outside);
        let mut node = Node { inner: 0, runs: 0, nodes: number(self.nodes.len()), leaves: number(self.leaves.len()) };
        let mut last = None;
        for index in 0..1 << STRIDE {
            let (access, deeper) = branches.at(index);
            if !deeper.is_empty() {
                node.inner |= 1 << index;
            } else if last != Some(access) {
                node.runs |= 1 << index;
                self.leaves.push(access);
                last = Some(access);
            }
        }
        // The children stand in a row, so their places are taken before any of theirs.
        let first = self.nodes.len();
        self.nodes.resize(first + usize::try_from(node.inner.count_ones()).unwrap_or(0), Node::EMPTY);
        let inner = (0..1_usize << STRIDE).filter(|index| node.inner & 1 << index != 0);
        for (child, index) in inner.enumerate() {
            let (access, deeper) = branches.at(index);
            self.fill(first + child, deeper, depth + STRIDE, access);
        }
        if let Some(written) = self.nodes.get_mut(place) {
            *written = node;
        }
    }

    #[inline]
    fn find(&self, address: impl Bits) -> Access {
        let mut place = match self.root.get(usize::from(address.front())) {
            None => return self.otherwise,
            Some(Entry::Leaf(access)) => return *access,
            Some(Entry::Node(place)) => *place,
        };
        let mut depth = ROOT;
        while let Some(node) = self.nodes.get(index(place)) {
            let branch = address.six(depth);
            // The bits up to and with the branch's own.
            let upto = u64::MAX >> (63 - branch);
            if node.inner >> branch & 1 == 0 {
                let leaf = node.leaves + (node.runs & upto).count_ones() - 1;
                return self.leaves.get(index(leaf)).copied().unwrap_or(self.otherwise);
            }
            place = node.nodes + (node.inner & upto).count_ones() - 1;
            depth += STRIDE;
        }
        self.otherwise
    }
}

impl Node {
    /// One leaf for all branches, to be overwritten.
    const EMPTY: Self = Self { inner: 0, runs: 1, nodes: 0, leaves: 0 };
}

/// Places are 32-bit numbers: 10⁵ rules need some 10⁶.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

#[inline]
fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// The rules of one table or node, spread over its branches.
struct Branches<'a> {
    /// For each branch: what holds for all of it, and the longer rules inside.
    list: Vec<(Access, &'a [Rule])>,
}

impl<'a> Branches<'a> {
    fn new(rules: &'a [Rule], depth: u32, width: u32, outside: Access) -> Self {
        let mut list: Vec<(Access, &'a [Rule])> = vec![(outside, &[]); 1 << width];
        // Rules that end inside this width paint a range of branches, short ones first.
        let mut painting: Vec<&Rule> = rules.iter().filter(|rule| u32::from(rule.length) <= depth + width).collect();
        painting.sort_by_key(|rule| rule.length);
        for rule in painting {
            let first = branch(rule, depth, width);
            let wide = 1_usize << (depth + width - u32::from(rule.length));
            for (access, _) in list.iter_mut().skip(first).take(wide) {
                *access = rule.access;
            }
        }
        // The others stand in a row for each branch, because they are sorted.
        let mut rest = rules;
        while let Some(rule) = rest.first() {
            let at = branch(rule, depth, width);
            let count = rest.iter().take_while(|rule| branch(rule, depth, width) == at).count();
            let (here, after) = rest.split_at(count);
            // Those that end here are shorter than any inside, so they sort in front, but only for the first branch
            // they cover: skip them.
            let short = here.iter().take_while(|rule| u32::from(rule.length) <= depth + width).count();
            if let Some((_, deeper)) = list.get_mut(at) {
                *deeper = here.get(short..).unwrap_or(&[]);
            }
            rest = after;
        }
        Self { list }
    }

    fn at(&self, index: usize) -> (Access, &'a [Rule]) {
        self.list.get(index).copied().unwrap_or((Access::Ignore, &[]))
    }
}

/// Which branch a rule's first address lies in.
fn branch(rule: &Rule, depth: u32, width: u32) -> usize {
    usize::try_from(rule.bits.checked_shl(depth).unwrap_or(0) >> (128 - width)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    /// The rule with the longest prefix, the later of two equal ones, by looking at all of them.
    fn reference(otherwise: Access, rules: &[(Prefix, Access)], address: IpAddr) -> Access {
        let mut best = (0, otherwise);
        for (prefix, access) in rules {
            if prefix.contains(address.to_canonical()) && prefix.length >= best.0 {
                best = (prefix.length, *access);
            }
        }
        best.1
    }

    fn access() -> impl Strategy<Value = Access> {
        prop_oneof![Just(Access::Allow), Just(Access::Trust), Just(Access::Refuse), Just(Access::Ignore)]
    }

    /// Addresses close to each other, so that prefixes nest and overlap.
    fn address() -> impl Strategy<Value = IpAddr> {
        let octet = || prop_oneof![Just(0_u8), Just(1), Just(0x80), Just(0xff), any::<u8>()];
        prop_oneof![
            prop::array::uniform4(octet()).prop_map(IpAddr::from),
            prop::array::uniform16(octet()).prop_map(IpAddr::from),
        ]
    }

    fn prefix() -> impl Strategy<Value = Prefix> {
        (address(), 0..=128_u8).prop_map(|(address, length)| {
            Prefix::new(address, if address.is_ipv4() { length % 33 } else { length }).unwrap()
        })
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
                let first = bits(prefix.address);
                let last = first | u128::MAX.checked_shr(prefix.length.into()).unwrap_or(0);
                for edge in [first, last, first.wrapping_sub(1 << 96), last.wrapping_add(1), last.wrapping_add(1 << 96)] {
                    #[allow(clippy::cast_possible_truncation)]
                    asked.push(if prefix.address.is_ipv4() {
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

        #[test]
        fn a_prefix_survives_its_text(prefix in prefix()) {
            prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
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
    fn what_is_no_prefix_says_why() {
        for text in ["", "10", "10.0.0.0/", "10.0.0.0/+8", "host/8", "10.0.0.0/8/8", "::1/ 3"] {
            assert_eq!(text.parse::<Prefix>(), Err(PrefixError::Form), "{text:?}");
        }
        let too_long = |length, max| Err(PrefixError::Length { length, max });
        assert_eq!("10.0.0.0/33".parse::<Prefix>(), too_long(33, 32));
        assert_eq!("10.0.0.0/300".parse::<Prefix>(), too_long(300, 32));
        assert_eq!("::/129".parse::<Prefix>(), too_long(129, 128));
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
            assert_eq!(compiled.of(prefix.address), reference(Access::Allow, &rules, prefix.address));
        }
    }
}
