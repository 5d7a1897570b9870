//! The server's bench: who takes part, where, the load, what it costs, and how good the timestamps are.

pub mod contestants;
pub mod load;
pub mod network;
pub mod respond;
pub mod stamps;
