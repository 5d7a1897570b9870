//! What the binaries share: addresses, sockets, the loop around the client, and how things are shown.

pub mod address;
pub mod agent;
pub mod capture;
pub mod clock;
pub mod conf;
pub mod demo;
pub mod diff;
pub mod drift;
pub mod dump;
pub mod fields;
pub mod json;
pub mod kernel;
pub mod keys;
pub mod machine;
pub mod measure;
pub mod output;
pub mod plot;
pub mod ports;
pub mod query;
pub mod regions;
pub mod resolve;
pub mod roster;
pub mod rtc;
pub mod serve;
pub mod sim;
pub mod slew;
pub mod stop;
pub mod summary;
pub mod table;
pub mod text;
pub mod view;
pub mod wallclock;

/// The examples of README.md, run as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub mod readme {}
