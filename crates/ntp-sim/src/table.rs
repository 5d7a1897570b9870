//! The scored table: every scenario over several seeds, medians and worst, chrony's figures beside them.

use std::fmt;

use crate::baseline::{baseline, Figures};
use crate::metrics::{geometric_mean, median, Metrics};
use crate::more::more;
use crate::scenario::Scenario;

/// Seeds of the table.
pub const SEEDS: u64 = 9;

/// How the client may poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polling {
    /// Every 2⁶ s.
    Fixed,
    /// As the scenario allows.
    Free,
}

impl fmt::Display for Polling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fixed => "6",
            Self::Free => "free",
        })
    }
}

/// What to hold a line against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Yardstick {
    /// chrony's figures on this scenario, and the best known RMS where it is.
    Same(Figures, Option<f64>),
    /// The figures of a chronyd that was run on this scenario for the purpose.
    Measured(Figures),
    /// Nothing.
    None,
}

impl Yardstick {
    /// chrony's figures, where there are any.
    #[must_use]
    pub const fn figures(&self) -> Option<Figures> {
        match *self {
            Self::Same(figures, _) | Self::Measured(figures) => Some(figures),
            Self::None => None,
        }
    }
}

/// One line to come: a scenario and how to poll.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The scenario, its poll as it is to be.
    pub scenario: Scenario,
    /// How the client may poll.
    pub polling: Polling,
    /// What to hold it against.
    pub yardstick: Yardstick,
}

/// Every scenario, with the poll fixed and free.
#[must_use]
pub fn entries() -> Vec<Entry> {
    let mut entries = Vec::new();
    for polling in [Polling::Fixed, Polling::Free] {
        let with = |scenario: Scenario| if polling == Polling::Fixed { scenario.poll_fixed(6) } else { scenario };
        for known in baseline() {
            let [fixed, free] = known.chrony;
            let yardstick = match polling {
                Polling::Fixed => Yardstick::Same(fixed, None),
                Polling::Free => Yardstick::Same(free, Some(known.best_known)),
            };
            entries.push(Entry { scenario: with(known.scenario), polling, yardstick });
        }
        for further in more() {
            let yardstick = further.chrony.map_or(Yardstick::None, |[fixed, free]| {
                Yardstick::Measured(if polling == Polling::Fixed { fixed } else { free })
            });
            entries.push(Entry { scenario: with(further.scenario), polling, yardstick });
        }
    }
    entries
}

/// One line of the table: medians over the seeds, and the worst.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Name of the scenario.
    pub name: String,
    /// How many servers it has.
    pub servers: usize,
    /// Seconds that are scored: those after settling.
    pub scored: u32,
    /// How the client polled.
    pub polling: Polling,
    /// Median RMS, and the worst seed's, in seconds.
    pub rms: f64,
    /// The worst seed's RMS.
    pub worst: f64,
    /// Median of the 95th percentiles.
    pub p95: f64,
    /// Median of the largest errors.
    pub max: f64,
    /// Median RMS of the frequency error.
    pub rms_frequency: f64,
    /// Median seconds to 1 ms; infinite when it is not reached.
    pub to_1ms: f64,
    /// Median seconds to 0.1 ms.
    pub to_100us: f64,
    /// Median seconds from the end of the event until the error came under 1 ms again.
    pub recovery: Option<f64>,
    /// Median of the requests after settling.
    pub packets: f64,
    /// Median of all requests.
    pub packets_in_all: f64,
    /// Bound violations of all seeds, in seconds.
    pub violations: u32,
    /// What it is held against.
    pub yardstick: Yardstick,
}

impl Line {
    /// The line of an entry, from the figures of its runs.
    #[must_use]
    pub fn of(entry: &Entry, runs: &[Metrics]) -> Self {
        let middle = |pick: fn(&Metrics) -> f64| median(runs.iter().map(pick));
        let seconds = |time: Option<u32>| time.map_or(f64::INFINITY, f64::from);
        Self {
            name: entry.scenario.name.clone(),
            servers: entry.scenario.servers.len(),
            scored: entry.scenario.duration.saturating_sub(entry.scenario.settle),
            polling: entry.polling,
            rms: middle(|run| run.rms),
            worst: runs.iter().map(|run| run.rms).fold(0.0, f64::max),
            p95: middle(|run| run.p95),
            max: middle(|run| run.max),
            rms_frequency: middle(|run| run.rms_frequency),
            to_1ms: median(runs.iter().map(|run| seconds(run.to_1ms))),
            to_100us: median(runs.iter().map(|run| seconds(run.to_100us))),
            recovery: entry.scenario.event.map(|_| median(runs.iter().map(|run| seconds(run.recovery)))),
            packets: middle(|run| f64::from(run.packets)),
            packets_in_all: middle(|run| f64::from(run.packets_in_all)),
            violations: runs.iter().map(|run| run.violations).sum(),
            yardstick: entry.yardstick,
        }
    }

    /// Our RMS over chrony's, and the worst seed's over chrony's median.
    #[must_use]
    pub fn ratios(&self) -> Option<(f64, f64)> {
        let rms = self.yardstick.figures()?.rms;
        Some((self.rms / rms, self.worst / rms))
    }

    /// chrony's requests after settling, to all servers.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // a few servers
    pub fn chrony_packets(&self) -> Option<f64> {
        Some(self.servers as f64 * f64::from(self.scored) / self.yardstick.figures()?.poll)
    }

    /// Our RMS over the best known.
    #[must_use]
    pub fn known_ratio(&self) -> Option<f64> {
        match self.yardstick {
            Yardstick::Same(_, Some(known)) => Some(self.rms / known),
            _ => None,
        }
    }

    /// Our RMS frequency error over chrony's.
    #[must_use]
    pub fn frequency_ratio(&self) -> Option<f64> {
        Some(self.rms_frequency / self.yardstick.figures()?.rms_frequency)
    }
}

/// The head over the lines.
pub const HEAD: &str =
    "scenario      poll  rms      worst    p95      max      freq     1ms   0.1ms recover packets    all viol | \
                        chrony rms   1ms   0.1ms packets  ratio worst  freq  known";

/// A line of the table's text: its figures by the names that stand over them in [`HEAD`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    ours: &'a str,
    chrony: &'a str,
}

impl<'a> Row<'a> {
    /// `None` for the head and for the means below the lines.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<Self> {
        let (ours, chrony) = line.split_once('|')?;
        let row = Self { ours, chrony: chrony.trim_start().trim_start_matches('+') };
        row.polling().map(|_| row)
    }

    /// Name of the scenario.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.ours.split_whitespace().next().unwrap_or_default()
    }

    /// How the client polled.
    #[must_use]
    pub fn polling(&self) -> Option<Polling> {
        let polling = self.ours.split_whitespace().nth(1)?;
        [Polling::Fixed, Polling::Free].into_iter().find(|known| known.to_string() == polling)
    }

    /// A figure of ours; `None` where there is none, and for a name that is not over our columns.
    #[must_use]
    pub fn ours(&self, column: &str) -> Option<f64> {
        let (names, _) = HEAD.split_once('|')?;
        let place = names.split_whitespace().position(|name| name == column)?;
        self.ours.split_whitespace().nth(place)?.parse().ok()
    }

    /// A figure of chrony's, or of ours against it; `None` as with [`ours`](Self::ours).
    #[must_use]
    pub fn chrony(&self, column: &str) -> Option<f64> {
        let (_, names) = HEAD.split_once('|')?;
        // The first word says whose they are.
        let place = names.split_whitespace().skip(1).position(|name| name == column)?;
        self.chrony.split_whitespace().nth(place)?.parse().ok()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:13} {:4} {:8.2e} {:8.2e} {:8.2e} {:8.2e} {:8.2e} {:5} {:7} {:7} {:7} {:6} {:4} |",
            self.name,
            self.polling,
            self.rms,
            self.worst,
            self.p95,
            self.max,
            self.rms_frequency,
            self.to_1ms,
            self.to_100us,
            self.recovery.map_or_else(|| "-".into(), |seconds| seconds.to_string()),
            self.packets,
            self.packets_in_all,
            self.violations
        )?;
        let (Some(figures), Some((ratio, worst))) = (self.yardstick.figures(), self.ratios()) else { return Ok(()) };
        let mark = if matches!(self.yardstick, Yardstick::Measured(_)) { '+' } else { ' ' };
        let seconds = |time: Option<f64>| time.unwrap_or(f64::INFINITY);
        let (to_1ms, to_100us) = (seconds(figures.to_1ms), seconds(figures.to_100us));
        let packets = self.chrony_packets().unwrap_or_default();
        write!(f, " {mark}{:9.2e} {to_1ms:5} {to_100us:7} {packets:7.0} {ratio:6.2} {worst:5.2}", figures.rms)?;
        write!(f, " {:5.2}", self.rms_frequency / figures.rms_frequency)?;
        self.known_ratio().map_or(Ok(()), |known| write!(f, "  {known:5.2}"))
    }
}

/// The geometric means of a class of lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Which lines.
    pub class: &'static str,
    /// How they polled.
    pub polling: Polling,
    /// How many.
    pub lines: usize,
    /// Of RMS over chrony's.
    pub rms: f64,
    /// Largest of them.
    pub largest: f64,
    /// Largest of a single seed.
    pub worst: f64,
    /// Of frequency error over chrony's.
    pub frequency: Option<f64>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, polling, lines, rms, largest, worst, .. } = self;
        write!(f, "{class:25} poll {polling:4} {lines:2} scenarios: rms {rms:.2} of chrony's, ")?;
        write!(f, "largest {largest:.2}, worst seed {worst:.2}")?;
        self.frequency.map_or(Ok(()), |frequency| write!(f, ", frequency {frequency:.2}"))
    }
}

/// A class: its name, and whether a line belongs to it.
type Class = (&'static str, fn(&Line) -> bool);

/// The geometric means of the classes that have lines here.
#[must_use]
pub fn summaries(lines: &[Line]) -> Vec<Summary> {
    let classes: [Class; 4] = [
        ("one source", |line| line.servers == 1 && matches!(line.yardstick, Yardstick::Same(..))),
        ("several sources", |line| line.servers > 1 && matches!(line.yardstick, Yardstick::Same(..))),
        ("one source, further", |line| line.servers == 1 && matches!(line.yardstick, Yardstick::Measured(_))),
        ("several sources, further", |line| line.servers > 1 && matches!(line.yardstick, Yardstick::Measured(_))),
    ];
    let mut summaries = Vec::new();
    for (class, belongs) in classes {
        for polling in [Polling::Fixed, Polling::Free] {
            let of: Vec<&Line> = lines.iter().filter(|line| line.polling == polling && belongs(line)).collect();
            let ratios = || of.iter().filter_map(|line| line.ratios());
            if of.is_empty() {
                continue;
            }
            let frequencies: Vec<f64> = of.iter().filter_map(|line| line.frequency_ratio()).collect();
            summaries.push(Summary {
                class,
                polling,
                lines: of.len(),
                rms: geometric_mean(ratios().map(|(ratio, _)| ratio)),
                largest: ratios().map(|(ratio, _)| ratio).fold(0.0, f64::max),
                worst: ratios().map(|(_, worst)| worst).fold(0.0, f64::max),
                frequency: (!frequencies.is_empty()).then(|| geometric_mean(frequencies)),
            });
        }
    }
    summaries
}

/// Runs one entry over the seeds from 1 on; `done` is told after each.
#[must_use]
pub fn line(entry: &Entry, seeds: u64, mut done: impl FnMut()) -> Line {
    let run = |seed| {
        let (metrics, _) = crate::run(&entry.scenario, seed);
        done();
        metrics
    };
    let runs: Vec<Metrics> = (1..=seeds).map(run).collect();
    Line::of(entry, &runs)
}

/// The table as text: head, lines, geometric means.
#[must_use]
pub fn text(lines: &[Line]) -> String {
    let mut text = format!("{HEAD}\n");
    for line in lines {
        text.push_str(line.to_string().trim_end());
        text.push('\n');
    }
    for summary in summaries(lines) {
        text.push_str(&format!("{summary}\n"));
    }
    text
}
