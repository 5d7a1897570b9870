//! The adaptive estimator: what offset and frequency a clock most likely has, every sample weighed by what its delay
//! says about it.
//!
//! ```text
//! sample ─► by the raw clock ─► path: interval, tilt ─► witness (one per source)
//!                                                          │ three votes: who can be right, who agrees, whose rate agrees
//!                                                          ▼
//!                        command ◄─ slew planned ◄─ joint estimate of the members, a bias each
//! ```
//!
//! - **Interval.** Of a round trip's excess over the path's base delay some was spent each way, so the offset lies within
//!   half the excess of the measured one. Samples near the base are almost exact, others say little; no average of
//!   both. Where one way queues more than the other, the likelihood tilts.
//! - **Bases.** The base is not known, and the smallest delay seen lies above it: eight bases are assumed at a time, each with
//!   filters of its own, and weighed by how well they predict offset and delay; and, as a ninth, that queues are never empty.
//! - **Bank.** Neither wander nor jumps are known beforehand: ten filters assume ten wanders and are weighed by how well
//!   they predict; losers start anew from the mixture, so that a frequency step is followed at once.
//! - **Jumps.** A sample that surprises is a bad one more often than not; a bank that takes it for a jump of the frequency runs
//!   along from there on, and takes over when the next ones bear it out.
//! - **Witnesses and votes.** Every source is estimated alone; what selection sees of it no other source can move.
//! - **Joint estimate.** Members are fused with a bias each, as large as the asymmetry that is learnt from all of them.
//! - **Outcasts.** A source whose offset is wrong and stays as it is tells the rate as well as any: it is fused with a bias that is
//!   unknown.
//! - **Slew.** Over as long as balances time and frequency error, from a breath to three polls.
//!
//! What bounds it: at the polls it chooses from 64 to 1024 s, a filter of particles that is told wander, queues and base
//! errs by 0.21 ms RMS behind 1 ms queues and 2.8 ms behind 50 ms ones (this estimator: 0.25 and 3.7 in the scored
//! table's `wan1ms` and `jit50ms`), and by 0.17 ms in the hours after a start (`off10s`: 0.19), by most on the same seeds.
//! Where queues are never empty a Kalman filter that is told everything errs by 68 µs (`gamma` at 64 s: 77). Before four
//! hours of silence (`outage4h`) the frequency is known to 35 ppb, of which they make half a millisecond; the oscillator's own
//! walk makes a whole one, which no knowledge takes away.
//!
//! Everything is `f64` through `libm`, of inputs that are whole numbers: finite by construction and bit-identical
//! everywhere.

mod bank;
mod cut_normal;
mod delays;
mod elementary;
mod engine;
mod fusion;
mod joint;
mod jump;
mod observation;
mod outcast;
mod path;
mod planner;
mod queues;
mod readout;
mod replay;
mod select;
mod setup;
mod source;
mod steering;
mod voters;
mod witness;

pub use engine::Engine;
pub use source::Source;
