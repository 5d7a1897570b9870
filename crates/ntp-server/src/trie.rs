//! The longest prefix of an address, at a cost that hardly depends on how many prefixes there are.
//!
//! A compressed trie: the first 16 bits of an address index a table, every further octet costs one step, and a step reads
//! eight octets of one node. Runs of equal leaves are stored once. Without rules it is one comparison.
//!
//! Source: Asai and Ohara, "Poptrie" (SIGCOMM 2015), for the node's shape. Its bits are counted here in groups of eight, by a
//! table: not every machine has an instruction for more.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Access;

/// A rule with its prefix's bits at the top of 128.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) bits: u128,
    pub(crate) length: u8,
    pub(crate) access: Access,
}

/// An address's bits at the top of 128.
pub(crate) fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// Bits that index the root table.
const ROOT: u32 = 16;
/// Bits that one node takes.
const STRIDE: u32 = 8;
/// Branches of a node.
const BRANCHES: usize = 1 << STRIDE;
/// Branches of a group.
const GROUP: usize = 8;

/// The rules of one address family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trie {
    /// For each value of the first 16 bits what to do or where to go on; empty when `otherwise` is for all.
    root: Vec<Entry>,
    nodes: Vec<Node>,
    leaves: Vec<Access>,
    otherwise: Access,
}

/// Where the first 16 bits lead: a node's place or, with the top bit, a leaf. One number, so that a look is one reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry(u32);

impl Entry {
    const LEAF: u32 = 1 << 31;

    const fn leaf(access: Access) -> Self {
        let bits = match access {
            Access::Allow => 0,
            Access::Trust => 1,
            Access::Signed => 2,
            Access::Refuse => 3,
            Access::Ignore => 4,
        };
        Self(Self::LEAF | bits)
    }

    /// What it says, unless it leads to a node.
    #[inline]
    const fn access(self) -> Option<Access> {
        match self.0 {
            Self::LEAF => Some(Access::Allow),
            0..Self::LEAF => None,
            bits => Some(match bits & 7 {
                1 => Access::Trust,
                2 => Access::Signed,
                3 => Access::Refuse,
                _ => Access::Ignore,
            }),
        }
    }
}

/// 256 branches in groups. The nodes and leaves themselves stand in a row behind the places `nodes` and `leaves`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Node {
    groups: [Group; BRANCHES / GROUP],
    nodes: u32,
    leaves: u32,
}

/// Eight branches. Bit `i` of `inner` says that branch `i` goes on in a node, and else bit `i` of `runs` says that its leaf
/// differs from the one before. So many nodes and leaves of this row belong to the groups before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    inner: u8,
    runs: u8,
    nodes_before: u8,
    leaves_before: u8,
}

/// An address as bits from the top.
trait Bits: Copy {
    /// The first [`ROOT`] bits, and the others.
    fn split(self) -> (u16, Self);
    /// The first octet, and the others.
    fn split_octet(self) -> (u8, Self);
}

#[derive(Clone, Copy)]
struct Ipv4(u32);
#[derive(Clone, Copy)]
struct Ipv6(u128);

#[allow(clippy::cast_possible_truncation)] // cutting out bits is the purpose
impl Bits for Ipv4 {
    #[inline]
    fn split(self) -> (u16, Self) {
        ((self.0 >> 16) as u16, Self(self.0 << 16))
    }

    #[inline]
    fn split_octet(self) -> (u8, Self) {
        ((self.0 >> 24) as u8, Self(self.0 << 8))
    }
}

#[allow(clippy::cast_possible_truncation)] // cutting out bits is the purpose
impl Bits for Ipv6 {
    #[inline]
    fn split(self) -> (u16, Self) {
        ((self.0 >> 112) as u16, Self(self.0 << 16))
    }

    #[inline]
    fn split_octet(self) -> (u8, Self) {
        ((self.0 >> 120) as u8, Self(self.0 << 8))
    }
}

impl Trie {
    /// Compiles `rules`, sorted by bits and length; the later of two equal ones counts.
    pub(crate) fn new(otherwise: Access, rules: &[Rule]) -> Self {
        let mut trie = Self { root: Vec::new(), nodes: Vec::new(), leaves: vec![otherwise], otherwise };
        if rules.iter().all(|rule| rule.access == otherwise) {
            return trie;
        }
        let branches = Branches::new(rules, 0, ROOT, otherwise);
        let mut root = vec![Entry::leaf(otherwise); 1 << ROOT];
        for (index, entry) in root.iter_mut().enumerate() {
            let (access, deeper) = branches.at(index);
            *entry = if deeper.is_empty() {
                Entry::leaf(access)
            } else {
                let place = trie.nodes.len();
                trie.nodes.push(Node::EMPTY);
                trie.fill(place, deeper, ROOT, access);
                Entry(number(place))
            };
        }
        trie.root = root;
        trie
    }

    /// Writes the node at `place` for the bits from `depth` on: `rules` are those longer than `depth` inside it, sorted,
    /// and `outside` is what the rules above it say. It goes no deeper than the bits of an address.
    fn fill(&mut self, place: usize, rules: &[Rule], depth: u32, outside: Access) {
        let branches = Branches::new(rules, depth, STRIDE, outside);
        let first = self.nodes.len();
        let mut node = Node { nodes: number(first - 1), leaves: number(self.leaves.len() - 1), ..Node::EMPTY };
        let (mut nodes, mut leaves, mut last) = (0_u8, 0_u8, None);
        for (number, group) in node.groups.iter_mut().enumerate() {
            *group = Group { inner: 0, runs: 0, nodes_before: nodes, leaves_before: leaves };
            for bit in 0..GROUP {
                let (access, deeper) = branches.at(number * GROUP + bit);
                // Neither wraps where it is read: of 256 at most, the last group knows of 248.
                if !deeper.is_empty() {
                    group.inner |= 1 << bit;
                    nodes = nodes.wrapping_add(1);
                } else if last != Some(access) {
                    group.runs |= 1 << bit;
                    self.leaves.push(access);
                    leaves = leaves.wrapping_add(1);
                    last = Some(access);
                }
            }
        }
        // The children stand in a row, so their places are taken before any of theirs.
        let deeper = (0..BRANCHES).map(|index| branches.at(index)).filter(|(_, deeper)| !deeper.is_empty());
        self.nodes.resize(first + deeper.clone().count(), Node::EMPTY);
        for (child, (access, deeper)) in deeper.enumerate() {
            self.fill(first + child, deeper, depth + STRIDE, access);
        }
        if let Some(written) = self.nodes.get_mut(place) {
            *written = node;
        }
    }

    #[inline]
    pub(crate) fn find_v4(&self, address: Ipv4Addr) -> Access {
        self.find(Ipv4(u32::from(address)))
    }

    #[inline]
    pub(crate) fn find_v6(&self, address: Ipv6Addr) -> Access {
        self.find(Ipv6(u128::from(address)))
    }

    /// Octets of memory.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(self.root.as_slice()) + size_of_val(self.nodes.as_slice()) + size_of_val(self.leaves.as_slice())
    }

    #[inline]
    fn find(&self, address: impl Bits) -> Access {
        let (front, mut rest) = address.split();
        let Some(entry) = self.root.get(usize::from(front)) else { return self.otherwise };
        let Entry(mut place) = *entry;
        if let Some(access) = entry.access() {
            return access;
        }
        while let Some(node) = self.nodes.get(index(place)) {
            let (branch, behind) = rest.split_octet();
            let Some(group) = node.groups.get(usize::from(branch) / GROUP) else { break };
            // The branch's own bit on top, and below it those before: so it is the first, second, … behind the node's places.
            let upto = |bits: u8| bits << (7 - branch % 8);
            let inner = upto(group.inner);
            if inner < 0x80 {
                let leaf = node.leaves + u32::from(group.leaves_before) + ones(upto(group.runs));
                return self.leaves.get(index(leaf)).copied().unwrap_or(self.otherwise);
            }
            place = node.nodes + u32::from(group.nodes_before) + ones(inner);
            rest = behind;
        }
        self.otherwise
    }
}

impl Node {
    /// To be overwritten.
    const EMPTY: Self = Self {
        groups: [Group { inner: 0, runs: 0, nodes_before: 0, leaves_before: 0 }; BRANCHES / GROUP],
        nodes: 0,
        leaves: 0,
    };
}

/// How many bits are set.
#[inline]
fn ones(bits: u8) -> u32 {
    #[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)] // in a constant: what fails does not compile
    const ONES: [u8; 256] = {
        let mut ones = [0; 256];
        let mut bits = 1;
        while bits < 256 {
            ones[bits] = ones[bits / 2] + (bits % 2) as u8;
            bits += 1;
        }
        ones
    };
    ONES.get(usize::from(bits)).map_or(0, |&ones| ones.into())
}

/// Places are 31-bit numbers: 10⁵ rules need some 10⁶.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX) & !Entry::LEAF
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
