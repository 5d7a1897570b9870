//! The server's bench: `cargo bench -p ntp-benches --bench server [-- --count | --load [ROUNDS] | --stamps [ROUNDS]]`.
//!
//! `--count`: instructions of one request in user space, by callgrind; ends with an error above a limit; and what it takes in
//! nanoseconds, which has none. `--load`: CPU seconds
//! (user and system of the server's threads; the delivery of its answers runs there too, that of requests in the load's) per
//! million answers, answers per second, latency and the lead of T3, each round's CPU as a multiple of a bare echo in batches,
//! the socket's limit, and of chronyd's. `--stamps`: a client's offset error by the stamps it uses. Servers on core 0, load on
//! core 1, in turn, in rounds whose order is reversed every other time; medians. As root it runs in a network namespace of its
//! own, on loopback and over a pair of virtual interfaces. Peers: where installed, or unpacked below `$NTP_PEERS`.

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
use ntp_benches::server::respond::{empty_server_loop, full_server_loop, Case};
use ntp_benches::server::stamps::{self, Percentiles, Quality};

const TURNS: u32 = 20_000;
const ROUNDS: usize = 11;
/// Requests that are timed at once: each client of a million asks.
const TIMED: u32 = 1 << 20;
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
    let _ = empty_server_loop(case, TURNS);
    let answered = full_server_loop(&mut case.server(), case, TURNS);
    assert_eq!(answered, TURNS, "each is answered");
}

/// Whether all keep their limits.
fn print_instructions() -> bool {
    println!("| from datagram to answer | octets | instructions | limit | ns |\n|---|---|---|---|---|");
    let mut is_good = true;
    for case in Case::ALL {
        let symbols = ["empty_server_loop", "unanswered", "full_server_loop"].map(String::from);
        let counts = callgrind::count(&["--counted", &format!("{case:?}")], &symbols);
        let [Some(empty), Some(unanswered), Some(full)] = counts[..] else { panic!("no counts of {case:?}") };
        // The loop, and handing over what a responder needs, is the caller's.
        let count = (full + unanswered).saturating_sub(empty) / u64::from(TURNS);
        is_good &= case.limit().is_none_or(|limit| count <= limit);
        let limit = case.limit().map_or(String::new(), |limit| limit.to_string());
        println!("| {case:?} | {} | {count} | {limit} | {:.0} |", case.length(), nanoseconds(case));
    }
    is_good
}

/// The quickest turn of the loop, less that of a loop that does nothing; after every client has asked once.
fn nanoseconds(case: Case) -> f64 {
    let mut server = case.server();
    black_box(full_server_loop(&mut server, case, TIMED));
    let mut quickest = [Duration::MAX; 2];
    for _ in 0..TIMES {
        let start = Instant::now();
        black_box(empty_server_loop(case, TIMED));
        let between = Instant::now();
        black_box(full_server_loop(&mut server, case, TIMED));
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
    millis: u64,
}

const STAGES: [Stage; 4] = [
    Stage { name: "saturation, one client", rate: 0, clients: 0, millis: 300 },
    Stage { name: "saturation, 50 000 client addresses", rate: 0, clients: 50_000, millis: 300 },
    Stage { name: "60 000 requests/s", rate: 60_000, clients: 0, millis: 300 },
    Stage { name: "1 000 requests/s", rate: 1_000, clients: 0, millis: 500 },
];

/// A contestant's figures, and the CPU per answer of the echo just before and just after it.
struct Round {
    own: Figures,
    echo: f64,
}

fn measure_load(network: &Network, directory: &Path, rounds: usize) {
    let field = contestants::start(directory, network.server, network.second);
    let Some((echo, others)) = field.split_first().filter(|(first, _)| first.is_echo) else {
        return println!("no echo to compare with");
    };
    for stage in &STAGES {
        let measure_echo = || under_load(network, echo, stage).as_ref().map(per_answer);
        let mut before = measure_echo();
        let results = in_turn(others.len(), rounds, |place| {
            let own = under_load(network, others.get(place)?, stage);
            let after = measure_echo();
            let echo = f64::midpoint(before.or(after)?, after.or(before)?);
            before = after;
            Some(Round { own: own?, echo })
        });
        println!("\n{}, {}, {rounds} rounds of {} ms", network.name, stage.name, stage.millis);
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

fn under_load(network: &Network, contestant: &Contestant, stage: &Stage) -> Option<Figures> {
    let words = [
        "--generate".to_owned(),
        contestant.address.to_string(),
        contestant.process.to_string(),
        stage.rate.to_string(),
        stage.clients.to_string(),
        network.first_client.to_string(),
        stage.millis.to_string(),
        contestant.is_echo.to_string(),
    ];
    Figures::from_line(&at_the_far_end(network, &words)?).filter(|figures| figures.answers > 0)
}

fn generate(words: &[&str]) {
    let [_, server, process, rate, clients, first, millis, is_echo] = words[..] else { panic!("eight words") };
    let load = Load {
        server: server.parse().expect("an address"),
        time: Duration::from_millis(millis.parse().expect("milliseconds")),
        window: 256,
        rate: rate.parse().expect("a rate"),
        clients: clients.parse().expect("a count"),
        first: first.parse().expect("an address"),
        is_echo: is_echo == "true",
        process: process.parse().expect("a process"),
    };
    println!("{}", load::run(&load).to_line());
}

fn print_stage(stage: &Stage, field: &[Contestant], results: &BTreeMap<usize, Vec<Option<Round>>>) {
    let is_open = stage.rate > 0;
    let stamps = if is_open { " T3 early p50, p99 µs | T3 late 99.9 %, worst µs | T3<T2 |" } else { "" };
    println!(
        "| server | CPU s/M | x echo | x chronyd | x chronyd, noclientlog | answers/s | p50, p99 µs | lost |{stamps}"
    );
    println!("|---|---|---|---|---|---|---|---|{}", "---|".repeat(if is_open { 3 } else { 0 }));
    let of_name = |name: &str| field.iter().position(|other| other.name == name).and_then(|place| results.get(&place));
    let bases = [None, of_name("chronyd"), of_name("chronyd, noclientlog")];
    for (place, all) in results {
        let Some(contestant) = field.get(*place) else { continue };
        let relative = |round: &Round| per_answer(&round.own) / round.echo;
        let [echo, chronyd, noclientlog] = bases.map(|base| {
            // Each against the echo beside it, and then against each other.
            let of = |(place, round): (usize, &Option<Round>)| {
                let base = base.map_or(Some(1.0), |base| base.get(place)?.as_ref().map(relative));
                Some(relative(round.as_ref()?) / base?)
            };
            quartiles(all.iter().enumerate().filter_map(of).collect())
        });
        let answered: Vec<&Figures> = all.iter().flatten().map(|round| &round.own).collect();
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

fn median(values: Vec<f64>) -> f64 {
    quantile(values, 2)
}

/// The value that `quarters` of four are below.
fn quantile(mut values: Vec<f64>, quarters: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) * quarters / 4).copied().unwrap_or(f64::NAN)
}

fn quartiles(values: Vec<f64>) -> String {
    if values.is_empty() {
        return String::new();
    }
    let at = |quarters| quantile(values.clone(), quarters);
    format!("{:.3} [{:.2}..{:.2}]", at(2), at(1), at(3))
}
