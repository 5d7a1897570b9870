//! More scenarios: queues of other shapes, oscillators of other kinds, and servers that lie.
//!
//! chrony's figures are those of Debian's chronyd 4.3 as it runs, on the same scenarios in `.ci/preload` (there by the same
//! names): medians over seeds 1 to 27. The random numbers there are others: medians compare, single seeds do not.

use crate::baseline::Figures;
use crate::network::{Event, Path, Queue, When};
use crate::oscillator::Wander;
use crate::scenario::Scenario;
use crate::server::{Fault, Server};

/// A scenario, with chrony's figures where they were measured: poll fixed at 6, and free.
#[derive(Debug, Clone, PartialEq)]
pub struct Further {
    /// The scenario, its poll free.
    pub scenario: Scenario,
    /// chrony's.
    pub chrony: Option<[Figures; 2]>,
}

fn wan() -> Server {
    Server::exponential(2e-2, 1e-3)
}

fn with(count: usize, server: &Server, scenario: Scenario) -> Scenario {
    (0..count).fold(scenario, |scenario, _| scenario.server(server.clone()))
}

/// All of them.
#[must_use]
pub fn more() -> Vec<Further> {
    let mut all = queues();
    all.extend(oscillators());
    all.extend(liars());
    all.extend(jumpers());
    all.extend(together());
    all
}

fn entry(scenario: Scenario, chrony: Option<[Figures; 2]>) -> Further {
    Further { scenario, chrony }
}

const fn measured(rms: f64, max: f64, rms_frequency: f64, to: [Option<f64>; 2], poll: f64) -> Figures {
    Figures { rms, max, rms_frequency, to_1ms: to[0], to_100us: to[1], poll }
}

fn queues() -> Vec<Further> {
    let one_sided = Server::new(Path::exponential(2e-2, 5e-3), Path::exponential(2e-2, 2e-4));
    let detour = (When::between(30_000.0, 36_000.0), Event::Longer(3e-2));
    vec![
        entry(
            Scenario::new("asym-jit", "5 ms queues up, 0.2 ms down").server(one_sided),
            Some([
                measured(1.342e-4, 4.579e-4, 5.041e-7, [Some(147.0), Some(856.0)], 64.7),
                measured(3.213e-4, 7.773e-4, 2.627e-7, [Some(147.0), Some(856.0)], 1041.7),
            ]),
        ),
        entry(
            Scenario::new("asym-const", "25 ms up, 15 ms down, 0.5 ms queues: 5 ms of error nobody can see")
                .server(Server::new(Path::exponential(2.5e-2, 5e-4), Path::exponential(1.5e-2, 5e-4)))
                .bias(5e-3),
            Some([
                measured(6.234e-5, 1.904e-4, 1.615e-7, [Some(73.0), Some(355.0)], 64.7),
                measured(2.963e-4, 6.703e-4, 1.991e-7, [Some(73.0), Some(355.0)], 1041.7),
            ]),
        ),
        entry(
            Scenario::new("gamma", "queues of gamma shape 3, 1 ms in all").server(
                Server::new(Path::fixed(2e-2), Path::fixed(2e-2))
                    .both_ways(|path| path.queue(Queue::Gamma { shape: 3.0, scale: 3.3e-4 })),
            ),
            Some([
                measured(8.763e-5, 2.735e-4, 2.542e-7, [Some(75.0), Some(339.0)], 64.7),
                measured(4.172e-4, 8.813e-4, 2.534e-7, [Some(75.0), Some(339.0)], 1041.7),
            ]),
        ),
        entry(
            Scenario::new("pareto", "heavy-tailed queues, index 1.5, scale 1 ms").server(
                Server::new(Path::fixed(2e-2), Path::fixed(2e-2))
                    .both_ways(|path| path.queue(Queue::Pareto { index: 1.5, scale: 1e-3 })),
            ),
            Some([
                measured(1.094e-4, 3.498e-4, 2.549e-7, [Some(75.0), Some(516.0)], 64.7),
                measured(5.549e-4, 1.189e-3, 2.370e-7, [Some(75.0), Some(516.0)], 1041.7),
            ]),
        ),
        entry(
            Scenario::new("correlated", "queues of 2 ms that fill and drain over 300 s, and 0.2 ms fast ones").server(
                Server::exponential(2e-2, 2e-4)
                    .both_ways(|path| path.queue(Queue::Correlated { mean: 2e-3, seconds: 300.0 })),
            ),
            Some([
                measured(1.167e-3, 6.458e-3, 1.520e-5, [Some(77.0), Some(1041.0)], 64.7),
                measured(6.512e-4, 1.269e-3, 1.903e-7, [Some(77.0), Some(1041.0)], 1041.7),
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
                measured(1.708e-4, 5.210e-4, 3.716e-7, [Some(92.0), Some(694.0)], 64.7),
                measured(7.349e-4, 1.337e-3, 1.798e-7, [Some(92.0), Some(694.0)], 1041.7),
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
                measured(1.214e-4, 5.143e-4, 3.575e-7, [Some(74.0), Some(614.0)], 64.7),
                measured(5.863e-4, 1.190e-3, 2.993e-7, [Some(74.0), Some(614.0)], 1041.7),
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
                measured(4.317e-5, 8.650e-4, 1.077e-6, [Some(6.0), Some(76.0)], 64.6),
                measured(5.516e-4, 5.430e-3, 3.077e-6, [Some(6.0), Some(76.0)], 625.0),
            ]),
        ),
        entry(
            Scenario::new("tempsine", "1 ppm of temperature in two hours, 0.1 ms queues").server(near()).wander([
                Wander::Constant(2e-5),
                Wander::RandomWalk(1e-9),
                Wander::Temperature { amplitude: 1e-6, period: 7_200.0 },
            ]),
            Some([
                measured(6.382e-5, 2.507e-4, 8.535e-7, [Some(6.0), Some(76.0)], 64.6),
                measured(1.515e-4, 6.346e-4, 9.276e-7, [Some(6.0), Some(76.0)], 147.5),
            ]),
        ),
        entry(
            Scenario::new("wander1e-7", "wander 10⁻⁷ per √s, 0.1 ms queues")
                .server(near())
                .wander([Wander::Constant(2e-5), Wander::RandomWalk(1e-7)]),
            Some([
                measured(1.393e-4, 6.734e-4, 2.824e-6, [Some(6.0), Some(76.0)], 64.6),
                measured(1.721e-4, 9.210e-4, 2.955e-6, [Some(6.0), Some(76.0)], 69.5),
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
                measured(2.619e-5, 7.634e-5, 1.506e-7, [Some(6.0), Some(76.0)], 64.6),
                measured(1.254e-4, 3.793e-4, 1.733e-7, [Some(6.0), Some(76.0)], 757.6),
            ]),
        ),
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

fn liars() -> Vec<Further> {
    let subtle =
        Scenario::new("false-subtle", "five servers with 1 ms queues, two of them 15 ms off, inside root distance");
    let collude =
        Scenario::new("collude2of5", "five servers, two of them run away together at 0.1 ppm from 10 000 s on");
    let drifting = wan().fault(Fault::Drift { from: 1e4, rate: 1e-7 });
    let hetero = [
        (1e-3, 5e-5),
        (2e-3, 1e-4),
        (5e-3, 3e-4),
        (1e-2, 5e-4),
        (2e-2, 1e-3),
        (3e-2, 2e-3),
        (5e-2, 5e-3),
        (8e-2, 1e-2),
    ];
    let hetero8 = Scenario::new("hetero8", "eight good servers from 1 to 80 ms away");
    vec![
        entry(
            with(
                3,
                &wan(),
                with(2, &wan().wrong_by(0.1), Scenario::new("false2of5", "five servers, two 100 ms off together")),
            ),
            Some([
                measured(6.531e-5, 1.911e-4, 1.166e-7, [Some(79.0), Some(454.0)], 64.7),
                measured(5.607e-4, 1.039e-3, 1.048e-7, [Some(79.0), Some(454.0)], 1041.7),
            ]),
        ),
        entry(
            with(2, &wan().wrong_by(1.5e-2), with(3, &wan(), subtle)),
            Some([
                measured(5.992e-3, 6.209e-3, 4.437e-8, [None, None], 64.7),
                measured(5.741e-3, 7.166e-3, 8.368e-8, [None, None], 1041.7),
            ]),
        ),
        entry(
            with(2, &drifting, with(3, &wan(), collude)),
            Some([
                measured(1.153e-3, 1.985e-3, 7.130e-8, [Some(83.0), Some(407.0)], 64.7),
                measured(1.078e-3, 2.163e-3, 8.328e-8, [Some(83.0), Some(407.0)], 1041.7),
            ]),
        ),
        entry(
            with(2, &wan(), Scenario::new("drift1of3", "three servers, one runs away at 1 ppm from 20 000 s on"))
                .server(wan().fault(Fault::Drift { from: 2e4, rate: 1e-6 })),
            Some([
                measured(6.876e-3, 1.331e-2, 3.212e-7, [Some(84.0), Some(458.0)], 64.7),
                measured(5.230e-3, 1.125e-2, 2.881e-7, [Some(84.0), Some(458.0)], 1041.7),
            ]),
        ),
        entry(
            hetero.into_iter().fold(hetero8, |s, (delay, mean)| s.server(Server::exponential(delay, mean))),
            Some([
                measured(1.743e-5, 5.250e-5, 6.073e-8, [Some(8.0), Some(76.0)], 64.7),
                measured(1.110e-4, 3.104e-4, 1.023e-7, [Some(8.0), Some(76.0)], 1017.8),
            ]),
        ),
        entry(
            with(3, &wan(), Scenario::new("asym1of4", "four servers, one behind 10 ms of asymmetry"))
                .server(Server::new(Path::exponential(3e-2, 1e-3), Path::exponential(1e-2, 1e-3))),
            Some([
                measured(2.492e-3, 2.694e-3, 4.897e-8, [None, None], 64.7),
                measured(2.426e-3, 3.353e-3, 8.397e-8, [None, None], 1041.7),
            ]),
        ),
        entry(
            with(
                3,
                &wan(),
                Scenario::new("lanliar", "a server 0.1 ms away that is 2 ms off, and three honest far ones"),
            )
            .server(Server::exponential(1e-4, 1e-5).wrong_by(2e-3)),
            Some([
                measured(2.000e-3, 2.021e-3, 6.731e-8, [None, None], 64.7),
                measured(1.999e-3, 2.061e-3, 6.490e-8, [None, None], 628.9),
            ]),
        ),
        entry(
            with(1, &wan().wrong_by(0.06), Scenario::new("nomaj2", "two servers 60 ms apart: nobody can know"))
                .server(wan()),
            Some([
                measured(1.980e-1, 2.910e-1, 4.838e-6, [Some(22843.0), None], 64.7),
                measured(1.980e-1, 2.910e-1, 4.838e-6, [Some(22843.0), None], 1041.7),
            ]),
        ),
    ]
}

/// What happens to several servers, or to our own clock while several are asked.
fn together() -> Vec<Further> {
    let near = Server::exponential(5e-4, 1e-4);
    let late = wan().fault(Fault::Silent(When::between(0.0, 5e3)));
    let halved = wan().both_ways(|path| path.event(When::between(0.0, 3e4), Event::Longer(2e-2)));
    vec![
        entry(
            with(
                3,
                &near,
                Scenario::new("freqstep3", "5 ppm faster from 30 000 s on, three servers with 0.1 ms queues"),
            )
            .wander([Wander::Constant(2e-5), Wander::RandomWalk(1e-9), Wander::Step { at: 3e4, change: 5e-6 }])
            .event(30_000),
            None,
        ),
        entry(
            with(
                3,
                &late,
                Scenario::new("late3of4", "a server 15 ms off is alone for 5 000 s, then three true ones answer too")
                    .server(wan().wrong_by(1.5e-2)),
            ),
            None,
        ),
        entry(
            with(2, &wan(), Scenario::new("halved1of3", "three servers, from 30 000 s on one is half as far"))
                .server(halved)
                .event(30_000),
            None,
        ),
        entry(
            with(3, &wan(), Scenario::new("suspend3", "three servers, asleep for 600 s at 30 000 s"))
                .suspended(30_000, 600)
                .event(30_000),
            None,
        ),
    ]
}

fn jumpers() -> Vec<Further> {
    let jumps = wan().fault(Fault::Offset(When::since(3e4), 1e-2));
    let away = |from, until| wan().fault(Fault::Silent(When::between(from, until)));
    vec![
        entry(
            with(2, &wan(), Scenario::new("jump1of3", "three servers, one jumps by 10 ms at 30 000 s"))
                .server(jumps.clone()),
            Some([
                measured(2.520e-3, 3.492e-3, 6.692e-7, [Some(84.0), Some(458.0)], 64.7),
                measured(1.902e-3, 3.239e-3, 1.982e-7, [Some(84.0), Some(458.0)], 1041.7),
            ]),
        ),
        entry(
            Scenario::new("jump1of2", "two servers, one jumps by 10 ms at 30 000 s").server(wan()).server(jumps),
            Some([
                measured(3.810e-3, 5.194e-3, 1.225e-6, [Some(79.0), Some(511.0)], 64.7),
                measured(3.151e-3, 5.058e-3, 3.260e-7, [Some(79.0), Some(511.0)], 1041.7),
            ]),
        ),
        entry(
            with(
                2,
                &wan(),
                Scenario::new("restart1of3", "three servers, one is away for 10 min and comes back 5 ms off"),
            )
            .server(away(2e4, 2.06e4).fault(Fault::Offset(When::since(2e4), 5e-3))),
            Some([
                measured(1.453e-3, 1.834e-3, 3.766e-7, [Some(84.0), Some(458.0)], 64.7),
                measured(1.069e-3, 1.847e-3, 1.211e-7, [Some(84.0), Some(458.0)], 1041.7),
            ]),
        ),
        entry(
            Scenario::new("comego", "three servers come and go; one of them is 15 ms off")
                .server(away(1.5e4, 2.5e4))
                .server(away(3e4, 4e4))
                .server(wan().wrong_by(1.5e-2).fault(Fault::Silent(When::between(0.0, 5e3)))),
            Some([
                measured(5.860e-3, 7.480e-3, 6.976e-7, [Some(83.0), Some(559.0)], 64.7),
                measured(1.487e-3, 3.843e-3, 3.623e-7, [Some(83.0), Some(581.0)], 1020.4),
            ]),
        ),
        entry(
            Scenario::new("smear", "three servers; one smears a leap second over a day from 20 000 s on")
                .server(wan())
                .server(wan())
                .server(wan().fault(Fault::Smear { at: 2e4, over: 86_400.0 })),
            Some([
                measured(2.320e-4, 2.807e-3, 4.943e-6, [Some(84.0), Some(458.0)], 64.7),
                measured(6.508e-4, 3.224e-3, 1.389e-6, [Some(84.0), Some(458.0)], 1041.7),
            ]),
        ),
    ]
}
