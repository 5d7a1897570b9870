//! More scenarios: queues of other shapes and oscillators of other kinds, and those of several servers.
//!
//! chrony's figures are those of Debian's chronyd 4.3 as it runs, on the same scenarios in `.ci/preload` (there by the same
//! names): medians over seeds 1 to 27, and of the times with one source, which scatter most, over 1 to 200. The random numbers
//! there are others: medians compare, single seeds do not.

use crate::baseline::Figures;
use crate::network::{Event, Path, Queue, When};
use crate::oscillator::Wander;
use crate::scenario::Scenario;
use crate::server::Server;
use crate::several::several;

/// A scenario, with chrony's figures where they were measured: poll fixed at 6, and free.
#[derive(Debug, Clone, PartialEq)]
pub struct Further {
    /// The scenario, its poll free.
    pub scenario: Scenario,
    /// chrony's.
    pub chrony: Option<[Figures; 2]>,
}

pub(crate) fn wan() -> Server {
    Server::exponential(2e-2, 1e-3)
}

/// All of them.
#[must_use]
pub fn more() -> Vec<Further> {
    let mut all = queues();
    all.extend(routes());
    all.extend(oscillators());
    all.extend(interruptions());
    all.extend(several());
    all
}

pub(crate) fn entry(scenario: Scenario, chrony: Option<[Figures; 2]>) -> Further {
    Further { scenario, chrony }
}

pub(crate) const fn measured(rms: f64, max: f64, rms_frequency: f64, to: [Option<f64>; 2], poll: f64) -> Figures {
    Figures { rms, max, rms_frequency, to_1ms: to[0], to_100us: to[1], poll }
}

/// Queues of other shapes, and other ones up than down.
fn queues() -> Vec<Further> {
    let one_sided = Server::new(Path::exponential(2e-2, 5e-3), Path::exponential(2e-2, 2e-4));
    vec![
        entry(
            Scenario::new("asym-jit", "5 ms queues up, 0.2 ms down").server(one_sided),
            Some([
                measured(1.342e-4, 4.579e-4, 5.041e-7, [Some(174.0), Some(661.0)], 64.7),
                measured(3.213e-4, 7.773e-4, 2.627e-7, [Some(174.0), Some(661.0)], 1041.7),
            ]),
        ),
        entry(
            Scenario::new("asym-const", "25 ms up, 15 ms down, 0.5 ms queues: 5 ms of error nobody can see")
                .server(Server::new(Path::exponential(2.5e-2, 5e-4), Path::exponential(1.5e-2, 5e-4)))
                .bias(5e-3),
            Some([
                measured(6.234e-5, 1.904e-4, 1.615e-7, [Some(74.0), Some(270.0)], 64.7),
                measured(2.963e-4, 6.703e-4, 1.991e-7, [Some(74.0), Some(270.0)], 1041.7),
            ]),
        ),
        entry(
            Scenario::new("gamma", "queues of gamma shape 3, 1 ms in all").server(
                Server::new(Path::fixed(2e-2), Path::fixed(2e-2))
                    .both_ways(|path| path.queue(Queue::Gamma { shape: 3.0, scale: 3.3e-4 })),
            ),
            Some([
                measured(8.763e-5, 2.735e-4, 2.542e-7, [Some(75.0), Some(433.0)], 64.7),
                measured(4.172e-4, 8.813e-4, 2.534e-7, [Some(75.0), Some(433.0)], 1041.7),
            ]),
        ),
        entry(
            Scenario::new("pareto", "heavy-tailed queues, index 1.5, scale 1 ms").server(
                Server::new(Path::fixed(2e-2), Path::fixed(2e-2))
                    .both_ways(|path| path.queue(Queue::Pareto { index: 1.5, scale: 1e-3 })),
            ),
            Some([
                measured(1.094e-4, 3.498e-4, 2.549e-7, [Some(79.0), Some(508.0)], 64.7),
                measured(5.549e-4, 1.189e-3, 2.370e-7, [Some(79.0), Some(508.0)], 1041.7),
            ]),
        ),
    ]
}

/// Queues that remember, and ways on which more happens than queueing.
fn routes() -> Vec<Further> {
    let detour = (When::between(30_000.0, 36_000.0), Event::Longer(3e-2));
    vec![
        entry(
            Scenario::new("correlated", "queues of 2 ms that fill and drain over 300 s, and 0.2 ms fast ones").server(
                Server::exponential(2e-2, 2e-4)
                    .both_ways(|path| path.queue(Queue::Correlated { mean: 2e-3, seconds: 300.0 })),
            ),
            Some([
                measured(1.167e-3, 6.458e-3, 1.563e-5, [Some(79.0), Some(1738.0)], 64.7),
                measured(6.493e-4, 1.430e-3, 1.706e-7, [Some(79.0), Some(1745.0)], 1041.7),
            ]),
        ),
        entry(
            Scenario::new(
                "wifi",
                "5 % loss, 2 ms heavy-tailed queues, 50 µs stamping noise, packets doubled and overtaken",
            )
            .server(Server::exponential(2e-3, 5e-4).both_ways(|path| {
                path.queue(Queue::Pareto { index: 2.5, scale: 2e-3 })
                    .queue(Queue::Normal(5e-5))
                    .lossy(0.05)
                    .duplicating(0.02)
                    .reordering(0.02)
            })),
            Some([
                measured(1.708e-4, 5.210e-4, 3.716e-7, [Some(95.0), Some(820.0)], 64.7),
                measured(7.349e-4, 1.337e-3, 1.798e-7, [Some(95.0), Some(820.0)], 1041.7),
            ]),
        ),
        entry(
            Scenario::new("stamps", "a LAN whose noise is stamping, 5 µs normal, not queueing").server(
                Server::new(Path::fixed(1e-4), Path::fixed(1e-4)).both_ways(|path| path.queue(Queue::Normal(5e-6))),
            ),
            Some([
                measured(2.686e-6, 1.192e-5, 4.583e-8, [Some(6.0), Some(7.0)], 64.6),
                measured(7.360e-6, 3.567e-5, 4.351e-8, [Some(6.0), Some(7.0)], 140.8),
            ]),
        ),
        entry(
            Scenario::new("route-tmp", "30 ms longer up from 30 000 s to 36 000 s, 1 ms queues")
                .server(Server::new(
                    Path::exponential(2e-2, 1e-3).event(detour.0, detour.1),
                    Path::exponential(2e-2, 1e-3),
                ))
                .event(36_000),
            Some([
                measured(1.214e-4, 5.143e-4, 3.575e-7, [Some(78.0), Some(498.0)], 64.7),
                measured(5.863e-4, 1.190e-3, 2.993e-7, [Some(78.0), Some(498.0)], 1041.7),
            ]),
        ),
    ]
}

fn oscillators() -> Vec<Further> {
    let near = || Server::exponential(5e-4, 1e-4);
    vec![
        entry(
            Scenario::new("freqstep", "5 ppm faster from 30 000 s on, 0.1 ms queues")
                .server(near())
                .wander([Wander::Constant(2e-5), Wander::RandomWalk(1e-9), Wander::Step { at: 3e4, change: 5e-6 }])
                .event(30_000),
            Some([
                measured(4.317e-5, 8.650e-4, 1.077e-6, [Some(6.0), Some(78.0)], 64.6),
                measured(5.516e-4, 5.430e-3, 3.077e-6, [Some(6.0), Some(78.0)], 625.0),
            ]),
        ),
        entry(
            Scenario::new("tempsine", "1 ppm of temperature in two hours, 0.1 ms queues").server(near()).wander([
                Wander::Constant(2e-5),
                Wander::RandomWalk(1e-9),
                Wander::Temperature { amplitude: 1e-6, period: 7_200.0 },
            ]),
            Some([
                measured(6.382e-5, 2.507e-4, 8.535e-7, [Some(6.0), Some(78.0)], 64.6),
                measured(1.515e-4, 6.346e-4, 9.276e-7, [Some(6.0), Some(78.0)], 147.5),
            ]),
        ),
        entry(
            Scenario::new("wander1e-7", "wander 10⁻⁷ per √s, 0.1 ms queues")
                .server(near())
                .wander([Wander::Constant(2e-5), Wander::RandomWalk(1e-7)]),
            Some([
                measured(1.393e-4, 6.734e-4, 2.824e-6, [Some(6.0), Some(80.0)], 64.6),
                measured(1.721e-4, 9.210e-4, 2.955e-6, [Some(6.0), Some(80.0)], 69.5),
            ]),
        ),
        entry(
            Scenario::new("crystal", "white and flicker frequency noise and a day's temperature, 0.1 ms queues")
                .server(near())
                .wander([
                    Wander::Constant(-1.2e-5),
                    Wander::White(1e-9),
                    Wander::Flicker(2e-9),
                    Wander::Temperature { amplitude: 5e-7, period: 86_400.0 },
                ]),
            Some([
                measured(2.619e-5, 7.634e-5, 1.506e-7, [Some(6.0), Some(78.0)], 64.6),
                measured(1.254e-4, 3.793e-4, 1.733e-7, [Some(6.0), Some(78.0)], 757.6),
            ]),
        ),
    ]
}

/// What happens to the clock besides its oscillator.
fn interruptions() -> Vec<Further> {
    vec![
        entry(
            Scenario::new("suspend", "asleep for 600 s at 30 000 s, 1 ms queues; it wakes with an RTC 0.4 s off")
                .server(wan())
                .suspended(30_000, 600)
                .event(30_000),
            None,
        ),
        entry(
            Scenario::new("moved", "somebody else sets the clock 5 s off at 30 000 s, 1 ms queues")
                .server(wan())
                .moved(30_000, 5.0)
                .event(30_000),
            None,
        ),
    ]
}
