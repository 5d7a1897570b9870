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
    /// Who told us to stop, the last ones: whatever the name leads to, they are not asked again.
    refused: VecDeque<SocketAddr>,
    members: usize,
    /// The wish for more candidates was made and not yet answered.
    asked: bool,
}

impl Pool {
    pub(crate) fn new(config: PoolConfig) -> Self {
        Self { config, waiting: VecDeque::new(), refused: VecDeque::new(), members: 0, asked: false }
    }

    pub(crate) fn config(&self) -> &PoolConfig {
        &self.config
    }

    /// Its name was resolved, whatever that brought.
    pub(crate) fn handle_resolved(&mut self) {
        self.asked = false;
    }

    /// Returns whether the address is new to it and waits from now on.
    pub(crate) fn add_candidate(&mut self, address: SocketAddr) -> bool {
        let is_known = self.waiting.contains(&address) || self.refused.contains(&address);
        let is_new = !is_known && self.waiting.len() < WAITING;
        if is_new {
            self.waiting.push_back(address);
        }
        is_new
    }

    /// A member told us to stop.
    pub(crate) fn handle_refused(&mut self, address: SocketAddr) {
        if self.refused.len() == WAITING {
            self.refused.pop_front();
        }
        self.refused.push_back(address);
    }

    pub(crate) fn next_candidate(&self) -> Option<SocketAddr> {
        self.waiting.front().copied()
    }

    /// The next candidate, if the pool is short of members; it counts as one from now on.
    pub(crate) fn take_candidate(&mut self) -> Option<(SocketAddr, SourceConfig)> {
        if !self.is_short() {
            return None;
        }
        let address = self.waiting.pop_front()?;
        self.members += 1;
        Some((address, self.config.source.clone()))
    }

    pub(crate) fn handle_removed(&mut self) {
        self.members = self.members.saturating_sub(1);
    }

    /// Whether it has fewer members than it should.
    pub(crate) fn is_short(&self) -> bool {
        self.members < self.config.size
    }

    /// A member is missing or no good: whether to ask for candidates, which is done once until the name was resolved.
    pub(crate) fn asks_for_candidates(&mut self) -> bool {
        self.waiting.is_empty() && !core::mem::replace(&mut self.asked, true)
    }
}
