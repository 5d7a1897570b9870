//! The server's bench: `cargo bench -p ntp-benches --bench server [-- --count | --load [ROUNDS] | --stamps [ROUNDS]]`.
//!
//! `--count`: instructions of one request in user space, by callgrind; ends with an error above a limit; and what it takes in
//! nanoseconds, which has none. `--load`: CPU seconds
//! (user and system of the server's threads; the delivery of its answers runs there too, that of requests in the load's) per
//! million answers, answers per second, latency and the lead of T3, each turn's CPU as a multiple of that of a bare echo in
//! batches, the socket's limit, just before and after it, and of chronyd's. `--stamps`: a client's offset error by the stamps it
//! uses. Servers on core 0, all alive, load on core 1, in turn, in an order that is reversed every other time; medians with
//! their 95 % confidence. As root it runs in a network namespace of its own, on loopback and over a pair of virtual interfaces.
//! Peers: where installed, or unpacked below `$NTP_PEERS`.

#![allow(clippy::expect_used, clippy::panic)] // a bench stops at a fault

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use ntp_benches::callgrind;
use ntp_benches::server::contestants::{self, Contestant};
use ntp_benches::server::load::{self, Figures, Load};
use ntp_benches::server::network::Network;
use ntp_benches::server::respond::{empty_server_loop, full_server_loop, prefetch_loop, Case};
use ntp_benches::server::stamps::{self, Percentiles, Quality};

const TURNS: u32 = 20_000;
const ROUNDS: usize = 11;
/// Requests that are timed at once: each client of a million asks.
const TIMED: u32 = 1 << 20;
/// Requests that come together, as `ntp-serve` takes them.
const BATCH: u32 = 32;
/// How often they are timed; the quickest counts.
const TIMES: usize = 9;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let rounds = |text: &str| text.parse().unwrap_or(ROUNDS);
    match words[..] {
        // What this program is told when it runs itself.
        ["--counted", case] => count_once(case),
        ["--generate", ..] => generate(&words),
        ["--ask", server, count] => {
            let (server, count) = (server.parse().expect("an address"), count.parse().expect("a count"));
            println!("{}", stamps::run(server, count).to_line());
        }
        ["--here", what, count] => here(what, rounds(count)),
        ["--count", ..] => return callgrind::check(print_instructions),
        // `cargo bench` adds a word of its own, which is no number.
        [what @ ("--load" | "--stamps"), count, ..] => enter(what, rounds(count)),
        [what @ ("--load" | "--stamps"), ..] => enter(what, ROUNDS),
        // `cargo test --benches`, which does not, only looks whether it runs.
        [] | ["--test", ..] => Case::ALL.iter().for_each(|case| count_once(&format!("{case:?}"))),
        _ => {
            let counted = callgrind::check(print_instructions);
            enter("--load", ROUNDS);
            enter("--stamps", ROUNDS);
            return counted;
        }
    }
    ExitCode::SUCCESS
}

fn count_once(name: &str) {
    let case = Case::ALL.into_iter().find(|case| format!("{case:?}") == name).expect("a case");
    let mut server = case.server();
    let _ = empty_server_loop(case, 0..TURNS);
    prefetch_loop(&server, case, 0..TURNS);
    let answered = full_server_loop(&mut server, case, 0..TURNS);
    assert_eq!(answered, TURNS, "each is answered");
}

/// Whether all keep their limits.
fn print_instructions() -> bool {
    println!("| from datagram to answer | octets | instructions | limit | ns |\n|---|---|---|---|---|");
    let mut is_good = true;
    for case in Case::ALL {
        let symbols = ["empty_server_loop", "unanswered", "full_server_loop", "prefetch_loop"].map(String::from);
        let counts = callgrind::count(&["--counted", &format!("{case:?}")], &symbols);
        let [Some(empty), Some(unanswered), Some(full), Some(ahead)] = counts[..] else {
            panic!("no counts of {case:?}")
        };
        // The loop, and handing over what a responder needs, is the caller's.
        let count = (ahead + full + unanswered).saturating_sub(empty) / u64::from(TURNS);
        is_good &= case.limit().is_none_or(|limit| count <= limit);
        let limit = case.limit().map_or(String::new(), |limit| limit.to_string());
        println!("| {case:?} | {} | {count} | {limit} | {:.0} |", case.length(), nanoseconds(case));
    }
    is_good
}

/// The quickest turn of the loop, batch after batch, less that of a loop that does nothing; after every client has asked once.
fn nanoseconds(case: Case) -> f64 {
    let mut server = case.server();
    let batches = || (0..TIMED).step_by(BATCH as usize).map(|first| first..first + BATCH);
    let mut run = || {
        for batch in batches() {
            prefetch_loop(&server, case, batch.clone());
            black_box(full_server_loop(&mut server, case, batch));
        }
    };
    run();
    let mut quickest = [Duration::MAX; 2];
    for _ in 0..TIMES {
        let start = Instant::now();
        for batch in batches() {
            black_box(empty_server_loop(case, batch));
        }
        let between = Instant::now();
        run();
        quickest = [quickest[0].min(between - start), quickest[1].min(between.elapsed())];
    }
    let [empty, full] = quickest;
    full.saturating_sub(empty).as_secs_f64() * 1e9 / f64::from(TIMED)
}

/// Into a network namespace of its own, if that is allowed.
fn enter(what: &str, rounds: usize) {
    let program = std::env::current_exe().expect("this program");
    let script = format!("ip link set lo up && exec '{}' --here {what} {rounds}", program.display());
    let status = Command::new("unshare").args(["--net", "sh", "-c", &script]).status();
    if !status.is_ok_and(|status| status.success()) {
        println!("no namespace of its own: on the loopback everybody uses");
        here(what, rounds);
    }
}

fn here(what: &str, rounds: usize) {
    let directory = std::env::temp_dir().join(format!("ntp-server-bench.{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let run = |network: &Network| match what {
        "--load" => measure_load(network, &directory, rounds),
        _ => measure_stamps(network, &directory, rounds),
    };
    run(&Network::loopback());
    match Network::veth() {
        Ok(network) => run(&network),
        Err(reason) => println!("\nskipped: veth, {reason}"),
    }
    let _ = std::fs::remove_dir_all(&directory);
}

struct Stage {
    name: &'static str,
    rate: u64,
    clients: u32,
    /// Milliseconds before anything counts, and of a turn.
    warm_up: u64,
    turn: u64,
    /// Turns of each contestant in a round.
    turns: usize,
}

/// At saturation turns are short and many: the machine gives and takes within a second, and less so between neighbours.
const STAGES: [Stage; 4] = [
    Stage { name: "saturation, one client", rate: 0, clients: 0, warm_up: 4, turn: 16, turns: 15 },
    Stage { name: "saturation, 50 000 client addresses", rate: 0, clients: 50_000, warm_up: 4, turn: 16, turns: 15 },
    Stage { name: "60 000 requests/s", rate: 60_000, clients: 0, warm_up: 100, turn: 250, turns: 1 },
    Stage { name: "1 000 requests/s", rate: 1_000, clients: 0, warm_up: 100, turn: 400, turns: 1 },
];

/// A contestant's figures, and the CPU per answer of the echo just before and just after it.
struct Round {
    own: Figures,
    echo: f64,
}

impl Round {
    /// In units of the echo.
    fn relative(&self) -> f64 {
        per_answer(&self.own) / self.echo
    }

    fn from_line(line: &str) -> Option<(usize, Self)> {
        let (place, rest) = line.split_once(' ')?;
        let (echo, own) = rest.split_once(' ')?;
        Some((place.parse().ok()?, Self { own: Figures::from_line(own)?, echo: echo.parse().ok()? }))
    }
}

fn measure_load(network: &Network, directory: &Path, rounds: usize) {
    let field = contestants::start(directory, network.server, network.second);
    let Some((_, others)) = field.split_first().filter(|(first, _)| first.is_echo) else {
        return println!("no echo to compare with");
    };
    let all = field.iter().map(|each| format!("{},{},{}", each.address, each.process, each.is_echo));
    let all: Vec<String> = all.collect();
    for stage in &STAGES {
        let turns = rounds * stage.turns;
        let numbers = [stage.rate, stage.clients.into(), stage.warm_up, stage.turn].map(|number| number.to_string());
        let words = [
            vec!["--generate".into(), network.first_client.to_string(), turns.to_string()],
            numbers.into(),
            all.clone(),
        ];
        let lines = at_the_far_end(network, &words.concat()).unwrap_or_default();
        let mut results: BTreeMap<usize, Vec<Round>> = BTreeMap::new();
        for (place, round) in lines.lines().filter_map(Round::from_line) {
            results.entry(place).or_default().push(round);
        }
        println!("\n**{}, {}, {turns} turns of {} ms**\n", network.name, stage.name, stage.turn);
        print_stage(stage, others, &results);
    }
}

/// Seconds of CPU for one answer.
fn per_answer(figures: &Figures) -> f64 {
    figures.cpu / to_f64(figures.answers)
}

/// So many rounds over all places, the order reversed every other time, so that nobody always comes after the same.
fn in_turn<T>(
    places: usize,
    rounds: usize,
    mut measure: impl FnMut(usize) -> Option<T>,
) -> BTreeMap<usize, Vec<Option<T>>> {
    let mut results: BTreeMap<usize, Vec<Option<T>>> = BTreeMap::new();
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..places).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for place in order {
            results.entry(place).or_default().push(measure(place));
        }
    }
    results
}

/// Runs this program at the load's end of the network, on the other core, with precedence; the line it prints.
fn at_the_far_end(network: &Network, arguments: &[String]) -> Option<String> {
    let program = std::env::current_exe().ok()?.display().to_string();
    let prelude = contestants::precedence().iter().copied().chain(["taskset", "-c", "1"]).map(String::from);
    let mut words = network.enter().into_iter().chain(prelude).chain([program]).chain(arguments.iter().cloned());
    let output = Command::new(words.next()?).args(words).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Puts every contestant but the first, an echo, under load in turn, and the echo after each; one line for each.
///
/// A turn without an answer is left out in all of its round, so that rounds of one number belong together.
fn generate(words: &[&str]) {
    let [_, first, turns, rate, clients, warm_up, time, ref field @ ..] = words[..] else { panic!("seven words") };
    let millis = |text: &str| Duration::from_millis(text.parse().expect("milliseconds"));
    let load_of = |contestant: &str| {
        let [server, process, is_echo] = contestant.split(',').collect::<Vec<_>>()[..] else { panic!("three words") };
        Load {
            server: server.parse().expect("an address"),
            warm_up: millis(warm_up),
            time: millis(time),
            window: 256,
            rate: rate.parse().expect("a rate"),
            clients: clients.parse().expect("a count"),
            first: first.parse().expect("an address"),
            is_echo: is_echo == "true",
            process: process.parse().expect("a process"),
        }
    };
    let loads: Vec<Load> = field.iter().map(|contestant| load_of(contestant)).collect();
    let Some((echo, others)) = loads.split_first() else { return };
    let answered = |load: &Load| Some(load::run(load)).filter(|figures| figures.answers > 0);
    let mut before = answered(echo).as_ref().map(per_answer);
    let results = in_turn(others.len(), turns.parse().expect("a count"), |place| {
        let own = answered(others.get(place)?);
        let after = answered(echo).as_ref().map(per_answer);
        let beside = f64::midpoint(before.or(after)?, after.or(before)?);
        before = after;
        Some((own?, beside))
    });
    let alive: Vec<_> = results.into_iter().filter(|(_, turns)| turns.iter().any(Option::is_some)).collect();
    let turns = alive.first().map_or(0, |(_, turns)| turns.len());
    for turn in 0..turns {
        let of = |(place, turns): &(usize, Vec<Option<(Figures, f64)>>)| {
            let (own, echo) = turns.get(turn)?.as_ref()?;
            Some(format!("{place} {echo} {}", own.to_line()))
        };
        let lines: Option<Vec<String>> = alive.iter().map(of).collect();
        lines.into_iter().flatten().for_each(|line| println!("{line}"));
    }
}

fn print_stage(stage: &Stage, field: &[Contestant], results: &BTreeMap<usize, Vec<Round>>) {
    let is_open = stage.rate > 0;
    let stamps = if is_open { " T3 early p50, p99 µs | T3 late 99.9 %, worst µs | T3<T2 |" } else { "" };
    println!(
        "| server | CPU s/M | x echo | x chronyd | x chronyd, noclientlog | answers/s | p50, p99 µs | lost |{stamps}"
    );
    println!("|---|---|---|---|---|---|---|---|{}", "---|".repeat(if is_open { 3 } else { 0 }));
    let of_name = |name: &str| field.iter().position(|other| other.name == name).and_then(|place| results.get(&place));
    let bases = [of_name("chronyd"), of_name("chronyd, noclientlog")];
    for (place, all) in results {
        let Some(contestant) = field.get(*place) else { continue };
        let echo = median_within(all.iter().map(Round::relative).collect());
        // Each against the echo beside it, and then against each other.
        let [chronyd, noclientlog] = bases.map(|base| {
            let pairs = all.iter().zip(base.into_iter().flatten());
            median_within(pairs.map(|(round, base)| round.relative() / base.relative()).collect())
        });
        let answered: Vec<&Figures> = all.iter().map(|round| &round.own).collect();
        let of = |value: &dyn Fn(&Figures) -> f64| median(answered.iter().map(|figures| value(figures)).collect());
        let sum = |value: &dyn Fn(&Figures) -> u64| answered.iter().map(|figures| value(figures)).sum::<u64>();
        print!(
            "| {} | {:.2} | {echo} | {chronyd} | {noclientlog} | {:.0} | {:.1}, {:.1} | {} |",
            contestant.name,
            of(&|figures| per_answer(figures) * 1e6),
            of(&|figures| to_f64(figures.answers) / figures.seconds),
            of(&|figures| figures.latency.0),
            of(&|figures| figures.latency.1),
            sum(&|figures| figures.lost),
        );
        if is_open && !contestant.is_echo {
            let worst = answered.iter().map(|figures| figures.future.1).fold(f64::MIN, f64::max);
            print!(
                " {:.2}, {:.2} | {:.2}, {worst:.2} | {} |",
                of(&|figures| figures.ahead.0),
                of(&|figures| figures.ahead.1),
                of(&|figures| figures.future.0),
                sum(&|figures| figures.disordered),
            );
        }
        println!();
    }
}

/// Exchanges of each kind in a round.
const EXCHANGES: usize = 300;

fn measure_stamps(network: &Network, directory: &Path, rounds: usize) {
    let field = contestants::start_interleaved(directory, network.server);
    let results = in_turn(field.len(), rounds, |place| {
        let words = ["--ask".to_owned(), field.get(place)?.address.to_string(), EXCHANGES.to_string()];
        Quality::from_line(&at_the_far_end(network, &words)?)
    });
    println!("\n{}, {rounds} rounds of {EXCHANGES} exchanges of each kind: p50, p99 in µs", network.name);
    println!(
        "| server | T3 to the client's kernel stamp | the way alone | offset error: user | kernel | interleaved |"
    );
    println!("|---|---|---|---|---|---|");
    for (place, all) in &results {
        let all: Vec<&Quality> = all.iter().flatten().collect();
        let of = |value: &dyn Fn(&Quality) -> Percentiles| {
            let (p50, p99) = all.iter().map(|quality| value(quality)).unzip();
            format!("{:.2}, {:.2}", median(p50), median(p99))
        };
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            field.get(*place).map_or("", |contestant| contestant.name),
            of(&|quality| quality.back),
            of(&|quality| quality.way),
            of(&|quality| quality.user),
            of(&|quality| quality.kernel),
            of(&|quality| quality.interleaved),
        );
    }
}

#[allow(clippy::cast_precision_loss)] // counts of seconds
fn to_f64(count: u64) -> f64 {
    count as f64
}

/// What half of the values are below; not a number when there are none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// The median, and between which of the values it is with 95 % of confidence, whatever their distribution: so many lie
/// between as a fair coin falls away from its mean.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // counts of turns
fn median_within(mut values: Vec<f64>) -> String {
    if values.is_empty() {
        return String::new();
    }
    values.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let outside = (0.5 * n - 0.98 * n.sqrt()).max(0.0) as usize;
    let at = |place: Option<&f64>| place.copied().unwrap_or(f64::NAN);
    let (low, high) = (at(values.get(outside)), at(values.iter().nth_back(outside)));
    format!("{:.3} [{low:.2}..{high:.2}]", median(values))
}
