//! More scenarios: queues of other shapes, oscillators of other kinds, and servers that lie.
//!
//! Where a figure of chrony 4.8 is given it was taken on a scenario of the same description in another simulator, not
//! on this very one: it says what to expect, not who wins by how much.

use crate::network::{Event, Path, Queue, When};
use crate::oscillator::Wander;
use crate::scenario::Scenario;
use crate::server::{Fault, Server};

/// A scenario, with chrony's RMS on a like one where known, in seconds: poll fixed at 6, and free.
#[derive(Debug, Clone, PartialEq)]
pub struct Further {
    /// The scenario, its poll free.
    pub scenario: Scenario,
    /// chrony's RMS.
    pub chrony: Option<[f64; 2]>,
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

fn entry(scenario: Scenario, chrony: Option<[f64; 2]>) -> Further {
    Further { scenario, chrony }
}

fn queues() -> Vec<Further> {
    let one_sided = Server::new(Path::exponential(2e-2, 5e-3), Path::exponential(2e-2, 2e-4));
    let detour = (When::between(30_000.0, 36_000.0), Event::Longer(3e-2));
    vec![
        entry(Scenario::new("asym-jit", "5 ms queues up, 0.2 ms down").server(one_sided), Some([1.35e-4, 3.15e-4])),
        entry(
            Scenario::new("asym-const", "25 ms up, 15 ms down, 0.5 ms queues: 5 ms of error nobody can see")
                .server(Server::new(Path::exponential(2.5e-2, 5e-4), Path::exponential(1.5e-2, 5e-4)))
                .bias(5e-3),
            None,
        ),
        entry(
            Scenario::new("gamma", "queues of gamma shape 3, 1 ms in all").server(
                Server::new(Path::fixed(2e-2), Path::fixed(2e-2))
                    .both_ways(|path| path.queue(Queue::Gamma { shape: 3.0, scale: 3.3e-4 })),
            ),
            None,
        ),
        entry(
            Scenario::new("pareto", "heavy-tailed queues, index 1.5, scale 1 ms").server(
                Server::new(Path::fixed(2e-2), Path::fixed(2e-2))
                    .both_ways(|path| path.queue(Queue::Pareto { index: 1.5, scale: 1e-3 })),
            ),
            None,
        ),
        entry(
            Scenario::new("correlated", "queues of 2 ms that fill and drain over 300 s, and 0.2 ms fast ones").server(
                Server::exponential(2e-2, 2e-4)
                    .both_ways(|path| path.queue(Queue::Correlated { mean: 2e-3, seconds: 300.0 })),
            ),
            None,
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
            None,
        ),
        entry(
            Scenario::new("stamps", "a LAN whose noise is stamping, 5 µs normal, not queueing").server(
                Server::new(Path::fixed(1e-4), Path::fixed(1e-4)).both_ways(|path| path.queue(Queue::Normal(5e-6))),
            ),
            None,
        ),
        entry(
            Scenario::new("route-tmp", "30 ms longer up from 30 000 s to 36 000 s, 1 ms queues")
                .server(Server::new(
                    Path::exponential(2e-2, 1e-3).event(detour.0, detour.1),
                    Path::exponential(2e-2, 1e-3),
                ))
                .event(36_000),
            Some([1.2e-4, 5.9e-4]),
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
            Some([3.8e-5, 4e-4]),
        ),
        entry(
            Scenario::new("tempsine", "1 ppm of temperature in two hours, 0.1 ms queues").server(near()).wander([
                Wander::Constant(2e-5),
                Wander::RandomWalk(1e-9),
                Wander::Temperature { amplitude: 1e-6, period: 7_200.0 },
            ]),
            Some([5.5e-5, 1.16e-4]),
        ),
        entry(
            Scenario::new("wander1e-7", "wander 10⁻⁷ per √s, 0.1 ms queues")
                .server(near())
                .wander([Wander::Constant(2e-5), Wander::RandomWalk(1e-7)]),
            Some([1.35e-4, 1.78e-4]),
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
            None,
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
            Some([6.62e-5, 6.78e-4]),
        ),
        entry(with(2, &wan().wrong_by(1.5e-2), with(3, &wan(), subtle)), Some([3.76e-3, 4.04e-3])),
        entry(with(2, &drifting, with(3, &wan(), collude)), Some([1.52e-3, 1.77e-3])),
        entry(
            with(2, &wan(), Scenario::new("drift1of3", "three servers, one runs away at 1 ppm from 20 000 s on"))
                .server(wan().fault(Fault::Drift { from: 2e4, rate: 1e-6 })),
            Some([8.27e-5, 5.93e-4]),
        ),
        entry(
            hetero.into_iter().fold(hetero8, |s, (delay, mean)| s.server(Server::exponential(delay, mean))),
            Some([1.66e-5, 8.04e-5]),
        ),
        entry(
            with(3, &wan(), Scenario::new("asym1of4", "four servers, one behind 10 ms of asymmetry"))
                .server(Server::new(Path::exponential(3e-2, 1e-3), Path::exponential(1e-2, 1e-3))),
            Some([2.51e-3, 2.83e-3]),
        ),
        entry(
            with(
                3,
                &wan(),
                Scenario::new("lanliar", "a server 0.1 ms away that is 2 ms off, and three honest far ones"),
            )
            .server(Server::exponential(1e-4, 1e-5).wrong_by(2e-3)),
            Some([2e-3, 2e-3]),
        ),
        entry(
            with(1, &wan().wrong_by(0.06), Scenario::new("nomaj2", "two servers 60 ms apart: nobody can know"))
                .server(wan()),
            Some([6.08e-2, 6.08e-2]),
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
            Some([8.81e-5, 6e-4]),
        ),
        entry(
            Scenario::new("jump1of2", "two servers, one jumps by 10 ms at 30 000 s").server(wan()).server(jumps),
            Some([1.44e-3, 6.53e-4]),
        ),
        entry(
            with(
                2,
                &wan(),
                Scenario::new("restart1of3", "three servers, one is away for 10 min and comes back 5 ms off"),
            )
            .server(away(2e4, 2.06e4).fault(Fault::Offset(When::since(2e4), 5e-3))),
            Some([7.45e-5, 6.01e-4]),
        ),
        entry(
            Scenario::new("comego", "three servers come and go; one of them is 15 ms off")
                .server(away(1.5e4, 2.5e4))
                .server(away(3e4, 4e4))
                .server(wan().wrong_by(1.5e-2).fault(Fault::Silent(When::between(0.0, 5e3)))),
            Some([4.1e-3, 1.37e-3]),
        ),
        entry(
            Scenario::new("smear", "three servers; one smears a leap second over a day from 20 000 s on")
                .server(wan())
                .server(wan())
                .server(wan().fault(Fault::Smear { at: 2e4, over: 86_400.0 })),
            None,
        ),
    ]
}
