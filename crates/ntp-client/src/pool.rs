//! A name that stands for many servers: who waits, who was given up (RFC 8633 §3.2, RFC 5905 §9.2 "demobilise").

use alloc::collections::VecDeque;
use core::net::SocketAddr;

use crate::{PoolConfig, SourceConfig};

/// Candidates kept waiting; more are of no use.
const WAITING: usize = 64;

/// Names a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(usize);

impl PoolId {
    pub(crate) const fn new(index: usize) -> Self {
        Self(index)
    }

    /// Its place among the pools, in the order they were added.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

#[derive(Debug)]
pub(crate) struct Pool {
    config: PoolConfig,
    waiting: VecDeque<SocketAddr>,
    members: usize,
    /// The wish for more candidates was made and not yet met.
    asked: bool,
}

impl Pool {
    pub(crate) fn new(config: PoolConfig) -> Self {
        Self { config, waiting: VecDeque::new(), members: 0, asked: false }
    }

    pub(crate) fn config(&self) -> &PoolConfig {
        &self.config
    }

    pub(crate) fn add_candidate(&mut self, address: SocketAddr) {
        self.asked = false;
        if self.waiting.len() < WAITING && !self.waiting.contains(&address) {
            self.waiting.push_back(address);
        }
    }

    pub(crate) fn next_candidate(&self) -> Option<SocketAddr> {
        self.waiting.front().copied()
    }

    /// The next candidate, if the pool is short of members; it counts as one from now on.
    pub(crate) fn take_candidate(&mut self) -> Option<(SocketAddr, SourceConfig)> {
        if self.members >= self.config.size {
            return None;
        }
        let address = self.waiting.pop_front()?;
        self.members += 1;
        Some((address, self.config.source.clone()))
    }

    pub(crate) fn handle_removed(&mut self) {
        self.members = self.members.saturating_sub(1);
    }

    /// Whether more candidates are wanted; says so once until some come.
    pub(crate) fn wants_candidates(&mut self) -> bool {
        let short = self.members < self.config.size && self.waiting.is_empty();
        short && !core::mem::replace(&mut self.asked, true)
    }
}
