//! Scenarios of several servers, some of which lie, leave, jump, or only seem to be a majority.

use crate::more::{entry, measured, wan, Further};
use crate::network::{Event, Path, When};
use crate::oscillator::Wander;
use crate::scenario::Scenario;
use crate::server::{Fault, Server};

/// All of them.
pub(crate) fn several() -> Vec<Further> {
    let mut all = liars();
    all.extend(unlike());
    all.extend(jumpers());
    all.extend(together());
    all.extend(crowds());
    all
}

fn with(count: usize, server: &Server, scenario: Scenario) -> Scenario {
    (0..count).fold(scenario, |scenario, _| scenario.server(server.clone()))
}

fn liars() -> Vec<Further> {
    let subtle =
        Scenario::new("false-subtle", "five servers with 1 ms queues, two of them 15 ms off, inside root distance");
    let collude =
        Scenario::new("collude2of5", "five servers, two of them run away together at 0.1 ppm from 10 000 s on");
    let drifting = wan().fault(Fault::Drift { from: 1e4, rate: 1e-7 });
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
    ]
}

/// Servers that differ by more than what they say.
fn unlike() -> Vec<Further> {
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
            Some([
                measured(4.854e-5, 9.060e-4, 7.913e-7, [Some(7.0), Some(79.0)], 64.6),
                measured(5.827e-4, 5.527e-3, 2.817e-6, [Some(7.0), Some(79.0)], 635.6),
            ]),
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

/// More than a handful of servers, and majorities that are none.
fn crowds() -> Vec<Further> {
    let dead = wan().fault(Fault::Silent(When::since(0.0)));
    let drifting = wan().fault(Fault::Drift { from: 1e4, rate: 1e-7 });
    let returning = wan().fault(Fault::Offset(When::between(3e4, 3.2e4), 5e-2));
    vec![
        entry(
            with(16, &wan(), Scenario::new("good16", "sixteen good servers")),
            Some([
                measured(4.515e-5, 1.304e-4, 5.006e-8, [Some(88.0), Some(501.0)], 64.7),
                measured(5.939e-4, 9.954e-4, 7.964e-8, [Some(88.0), Some(501.0)], 1040.3),
            ]),
        ),
        entry(
            with(3, &dead, with(5, &wan(), Scenario::new("dead3of8", "eight servers, three of them never answer"))),
            Some([
                measured(5.570e-5, 1.532e-4, 8.759e-8, [Some(83.0), Some(370.0)], 64.7),
                measured(5.725e-4, 1.014e-3, 9.501e-8, [Some(83.0), Some(346.0)], 1041.7),
            ]),
        ),
        entry(
            with(
                2,
                &drifting,
                Scenario::new(
                    "collude2of3",
                    "three servers, two of them run away together at 0.1 ppm from 10 000 s on: the majority lies",
                )
                .server(wan()),
            ),
            Some([
                measured(1.924e-3, 3.330e-3, 1.001e-7, [Some(84.0), Some(458.0)], 64.7),
                measured(1.777e-3, 3.473e-3, 1.099e-7, [Some(84.0), Some(458.0)], 1041.7),
            ]),
        ),
        entry(
            with(
                2,
                &wan(),
                Scenario::new("echo1of3", "three servers, one runs off with our oscillator: collude2of3 mirrored")
                    .wander([Wander::Constant(2e-5), Wander::RandomWalk(1e-9), Wander::Step { at: 1e4, change: -1e-7 }])
                    .server(wan().fault(Fault::Drift { from: 1e4, rate: -1e-7 })),
            ),
            Some([
                measured(9.664e-4, 1.709e-3, 8.344e-8, [Some(84.0), Some(458.0)], 64.7),
                measured(1.357e-3, 2.295e-3, 1.024e-7, [Some(84.0), Some(458.0)], 1041.7),
            ]),
        ),
        entry(
            with(3, &wan(), Scenario::new("jumpback1of4", "four servers, one is 50 ms off for 2000 s"))
                .server(returning),
            Some([
                measured(6.409e-5, 2.029e-4, 1.024e-7, [Some(78.0), Some(394.0)], 64.7),
                measured(5.263e-4, 1.058e-3, 1.241e-7, [Some(78.0), Some(394.0)], 913.2),
            ]),
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
