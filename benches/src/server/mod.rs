//! The server's bench: who takes part, the load, and what it costs.

pub mod contestants;
pub mod load;
pub mod respond;
