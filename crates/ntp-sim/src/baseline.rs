//! Fifteen scenarios with the figures of other clients on them: the yardstick.
//!
//! The figures are medians over nine seeds of chrony 4.8 in another simulator (clknetsim) and the best that a causal
//! filter could do on chrony's own packets, knowing noise, wander and base delay. The random numbers there were others:
//! medians compare, single seeds do not.

use crate::network::{Event, Path, Queue, When};
use crate::oscillator::Wander;
use crate::scenario::Scenario;
use crate::server::Server;

/// What a client reached: medians over nine seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Root mean square of the true error, in seconds.
    pub rms: f64,
    /// Largest error, in seconds.
    pub max: f64,
    /// Root mean square of the frequency error, in seconds per second.
    pub rms_frequency: f64,
    /// Seconds until it stayed under 1 ms.
    pub to_1ms: Option<f64>,
    /// Seconds until it stayed under 0.1 ms.
    pub to_100us: Option<f64>,
    /// Mean time between its requests to one server, in seconds.
    pub poll: f64,
}

/// A scenario with chrony's figures beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Baseline {
    /// The scenario, its poll free.
    pub scenario: Scenario,
    /// chrony with its poll fixed at 6, and free.
    pub chrony: [Figures; 2],
    /// Best known with poll free, in seconds RMS.
    pub best_known: f64,
}

const fn figures(rms: f64, max: f64, rms_frequency: f64, to_1ms: f64, to_100us: Option<f64>, poll: f64) -> Figures {
    Figures { rms, max, rms_frequency, to_1ms: Some(to_1ms), to_100us, poll }
}

fn wan() -> Server {
    Server::exponential(2e-2, 1e-3)
}

fn lan() -> Server {
    Server::exponential(1e-4, 1e-5)
}

/// All fifteen names: `lan10us-p6` and `wan1ms-p6` are `lan10us` and `wan1ms` with the poll fixed, so thirteen here.
#[must_use]
pub fn baseline() -> Vec<Baseline> {
    let mut all = quiet();
    all.extend(disturbed());
    all.extend(several());
    all
}

fn quiet() -> Vec<Baseline> {
    let entry = |scenario, fixed, free, best_known| Baseline { scenario, chrony: [fixed, free], best_known };
    vec![
        entry(
            Scenario::new("lan10us", "LAN, 10 µs queues").server(lan()),
            figures(5.464e-06, 2.319e-05, 6.309e-08, 6.0, Some(7.0), 64.6),
            figures(1.756e-05, 7.034e-05, 6.446e-08, 6.0, Some(7.0), 264.6),
            7.31e-06,
        ),
        entry(
            Scenario::new("wan1ms", "WAN, 1 ms queues").server(wan()),
            figures(0.0001127, 0.0003437, 3.151e-07, 75.0, Some(1730.0), 64.6),
            figures(0.0005771, 0.00129, 3.254e-07, 75.0, Some(1269.0), 1042.0),
            0.000235,
        ),
        entry(
            Scenario::new("jit10ms", "10 ms queues").server(Server::exponential(3e-2, 1e-2)),
            figures(0.001018, 0.003651, 2.671e-06, 1161.0, Some(13770.0), 64.6),
            figures(0.001821, 0.003608, 3.671e-07, 1272.0, Some(19180.0), 1042.0),
            0.000955,
        ),
        entry(
            Scenario::new("jit50ms", "50 ms queues").server(Server::exponential(5e-2, 5e-2)),
            figures(0.004868, 0.01665, 1.288e-05, 8304.0, None, 64.6),
            figures(0.006613, 0.01656, 1.749e-06, 18970.0, Some(41250.0), 1042.0),
            0.00286,
        ),
        entry(
            Scenario::new("freq100ppm", "starts 100 ppm fast, 0.1 ms queues")
                .server(Server::exponential(5e-4, 1e-4))
                .starts_at(0.01)
                .wander([Wander::Constant(1e-4), Wander::RandomWalk(1e-9)])
                .watch(5_000, 20_000),
            figures(2.223e-05, 5.343e-05, 8.987e-08, 6.0, Some(80.0), 64.66),
            figures(8.175e-05, 0.0001669, 5.464e-08, 6.0, Some(80.0), 1000.0),
            4.49e-05,
        ),
        entry(
            Scenario::new("off10s", "starts 10 s behind, 1 ms queues")
                .server(wan())
                .starts_at(-10.0)
                .watch(5_000, 20_000),
            figures(9.687e-05, 0.0002549, 2.361e-07, 76.0, Some(1727.0), 64.66),
            figures(0.0002009, 0.0004574, 1.017e-07, 76.0, Some(1270.0), 1000.0),
            0.000147,
        ),
        entry(
            Scenario::new("wander1e-8", "wander 10⁻⁸ per √s, 1 ms queues")
                .server(wan())
                .wander([Wander::Constant(2e-5), Wander::RandomWalk(1e-8)]),
            figures(0.0002385, 0.0008105, 1.221e-06, 75.0, Some(2060.0), 64.6),
            figures(0.001261, 0.00434, 1.427e-06, 75.0, Some(1917.0), 1042.0),
            0.000563,
        ),
    ]
}

fn disturbed() -> Vec<Baseline> {
    let entry = |scenario, fixed, free, best_known| Baseline { scenario, chrony: [fixed, free], best_known };
    let congestion = (When::every(1200.0, 300.0), Event::Congested(Queue::Exponential(5e-2)));
    vec![
        entry(
            Scenario::new("loss30", "30 % loss each way, 1 ms queues").server(wan().both_ways(|path| path.lossy(0.3))),
            figures(0.0001509, 0.0004603, 3.613e-07, 218.0, Some(1205.0), 64.6),
            figures(0.0007427, 0.001809, 3.792e-07, 218.0, Some(1299.0), 1020.0),
            0.000418,
        ),
        entry(
            Scenario::new("route-sym", "30 ms longer both ways from 30 000 s on, 1 ms queues")
                .server(wan().both_ways(|path| path.event(When::since(30_000.0), Event::Longer(3e-2))))
                .event(30_000),
            figures(0.001213, 0.002292, 2.237e-07, 75.0, Some(1730.0), 64.6),
            figures(0.001898, 0.003728, 1.459e-07, 75.0, Some(1269.0), 1042.0),
            0.000235,
        ),
        entry(
            Scenario::new("outage4h", "no packets from 30 000 s to 44 400 s, 1 ms queues")
                .server(wan().both_ways(|path| path.event(When::between(30_000.0, 44_400.0), Event::Down)))
                .event(44_400),
            figures(0.0004027, 0.001206, 1.151e-06, 75.0, Some(1730.0), 64.6),
            figures(0.000951, 0.002365, 3.98e-07, 75.0, Some(1269.0), 1042.0),
            0.000438,
        ),
        entry(
            Scenario::new("bursty", "300 s of every 1200 s have 50 ms queues, else 1 ms")
                .server(wan().both_ways(|path: Path| path.event(congestion.0, congestion.1))),
            figures(0.0001211, 0.0003001, 2.929e-07, 857.0, Some(2005.0), 64.6),
            figures(0.000669, 0.00136, 3.75e-07, 857.0, Some(4635.0), 1042.0),
            0.000239,
        ),
    ]
}

fn several() -> Vec<Baseline> {
    let entry = |scenario, fixed, free, best_known| Baseline { scenario, chrony: [fixed, free], best_known };
    vec![
        entry(
            Scenario::new("good3", "three good servers, 5, 20 and 40 ms away, 0.3, 1 and 3 ms queues")
                .server(Server::exponential(5e-3, 3e-4))
                .server(wan())
                .server(Server::exponential(4e-2, 3e-3)),
            figures(4.512e-05, 0.0001388, 1.284e-07, 73.0, Some(416.0), 64.6),
            figures(0.0002432, 0.0006295, 2.315e-07, 73.0, Some(416.0), 1042.0),
            8.92e-05,
        ),
        entry(
            Scenario::new("false1of4", "four servers with 1 ms queues, one 100 ms off")
                .server(wan().wrong_by(0.1))
                .server(wan())
                .server(wan())
                .server(wan()),
            figures(7.25e-05, 0.0002234, 1.164e-07, 77.0, Some(1122.0), 64.62),
            figures(0.0005922, 0.001378, 1.673e-07, 77.0, Some(1157.0), 1042.0),
            0.000103,
        ),
    ]
}
