//! The server's bench: `cargo bench -p ntp-benches --bench server [-- --count | --load [ROUNDS]]`.
//!
//! `--count`: instructions of one request in user space, by callgrind. `--load`: CPU seconds (user and system of the server's
//! threads; on loopback the delivery of its answers runs there too, that of requests in the load's) per million answers,
//! answers per second, latency and the lead of T3, as multiples of a bare echo in batches: the socket's limit. Servers on
//! core 0, load on core 1, in turn, in rounds; medians of the ratios within each round. As root it runs in a network
//! namespace of its own. Peers: where installed, or unpacked below `$NTP_PEERS`.

#![allow(clippy::expect_used)] // a bench stops at a fault

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use ntp_benches::callgrind;
use ntp_benches::server::contestants::{self, Contestant};
use ntp_benches::server::load::{self, Figures, Load};
use ntp_benches::server::respond::{empty_server_loop, full_server_loop, Case};

const TURNS: u32 = 20_000;
const ROUNDS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = || arguments.get(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    match arguments.first().map(String::as_str) {
        Some("--counted") => count_once(arguments.get(1).expect("a case")),
        Some("--generate") => generate(&arguments),
        Some("--here") => measure(rounds()),
        Some("--count") => print_instructions(),
        // `cargo test --benches` only looks whether it runs.
        Some("--test") => Case::ALL.iter().for_each(|case| count_once(&format!("{case:?}"))),
        Some("--load") => enter(rounds()),
        _ => {
            print_instructions();
            enter(ROUNDS);
        }
    }
}

fn count_once(name: &str) {
    let case = Case::ALL.into_iter().find(|case| format!("{case:?}") == name).expect("a case");
    empty_server_loop(case, TURNS);
    let answered = full_server_loop(&mut case.server(), case, TURNS);
    assert_eq!(answered, TURNS, "each is answered");
}

fn print_instructions() {
    if !callgrind::is_installed() {
        println!("valgrind is not installed: no instructions counted");
        return;
    }
    println!("instructions of one request, from datagram to answer, in user space");
    for case in Case::ALL {
        let symbols = ["empty_server_loop".to_owned(), "full_server_loop".to_owned()];
        let counts = callgrind::count(&["--counted", &format!("{case:?}")], &symbols);
        if let [Some(empty), Some(full)] = counts[..] {
            println!("  {:<18} {:>5}", format!("{case:?}"), full.saturating_sub(empty) / u64::from(TURNS));
        }
    }
}

/// Into a network namespace of its own, if that is allowed.
fn enter(rounds: usize) {
    let program = std::env::current_exe().expect("this program");
    let script = format!("ip link set lo up && exec '{}' --here {rounds}", program.display());
    let status = Command::new("unshare").args(["--net", "sh", "-c", &script]).status();
    if !status.is_ok_and(|status| status.success()) {
        println!("no namespace of its own: on the loopback everybody uses");
        measure(rounds);
    }
}

struct Stage {
    name: &'static str,
    rate: u64,
    clients: u32,
}

const STAGES: [Stage; 4] = [
    Stage { name: "saturation, one client", rate: 0, clients: 0 },
    Stage { name: "saturation, 50 000 client addresses", rate: 0, clients: 50_000 },
    Stage { name: "60 000 requests/s", rate: 60_000, clients: 0 },
    Stage { name: "1 000 requests/s", rate: 1_000, clients: 0 },
];

fn measure(rounds: usize) {
    let directory = std::env::temp_dir().join(format!("ntp-server-bench.{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let field = contestants::start(&directory);
    for Stage { name, rate, clients } in STAGES {
        let mut results: BTreeMap<usize, Vec<Figures>> = BTreeMap::new();
        for round in 0..rounds {
            // The order is reversed every other round, so that nobody always comes after the same.
            let mut order: Vec<usize> = (0..field.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for place in order {
                if let Some(figures) = field.get(place).and_then(|contestant| under_load(contestant, rate, clients)) {
                    results.entry(place).or_default().push(figures);
                }
            }
        }
        print_stage(name, &field, &results);
    }
    drop(field);
    let _ = std::fs::remove_dir_all(&directory);
}

/// The load in a process of its own, on the other core.
fn under_load(contestant: &Contestant, rate: u64, clients: u32) -> Option<Figures> {
    let program = std::env::current_exe().ok()?;
    let output = Command::new("taskset")
        .args(["-c", "1"])
        .arg(program)
        .args(["--generate", &contestant.port.to_string(), &contestant.process.to_string()])
        .args([rate.to_string(), clients.to_string(), contestant.is_echo.to_string()])
        .output()
        .ok()?;
    Figures::from_line(&String::from_utf8_lossy(&output.stdout))
}

fn generate(arguments: &[String]) {
    let number = |place: usize| arguments.get(place).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let load = Load {
        server: ([127, 0, 0, 1], u16::try_from(number(1)).expect("a port")).into(),
        time: Duration::from_secs(1),
        window: 256,
        rate: number(3),
        clients: u32::try_from(number(4)).expect("a count"),
        is_echo: arguments.get(5).is_some_and(|echo| echo == "true"),
        process: u32::try_from(number(2)).expect("a process"),
    };
    println!("{}", load::run(&load).to_line());
}

fn print_stage(name: &str, field: &[Contestant], results: &BTreeMap<usize, Vec<Figures>>) {
    println!("\n{name}");
    println!(
        "  {:<22} {:>9} {:>7} {:>15} {:>9} {:>8} {:>8} {:>9} {:>9} {:>6} {:>6}",
        "server",
        "CPU s/M",
        "x echo",
        "[min..max]",
        "answers/s",
        "p50 us",
        "p99 us",
        "T3 p50",
        "T3 p99",
        "lost",
        "T3<T2"
    );
    let base = results.get(&0);
    for (place, all) in results {
        let per_million = |figures: &Figures| figures.cpu * 1e6 / to_f64(figures.answers.max(1));
        let ratios: Vec<f64> = base
            .into_iter()
            .flat_map(|base| base.iter().zip(all).map(|(base, own)| per_million(own) / per_million(base)))
            .collect();
        let of = |value: &dyn Fn(&Figures) -> f64| median(all.iter().map(value).collect());
        let bounds = ratios.iter().fold((f64::MAX, 0.0_f64), |(low, high), &ratio| (low.min(ratio), high.max(ratio)));
        println!(
            "  {:<22} {:>9.2} {:>7.3} {:>15} {:>9.0} {:>8.1} {:>8.1} {:>9.2} {:>9.2} {:>6} {:>6}",
            field.get(*place).map_or("", |contestant| contestant.name),
            of(&per_million),
            median(ratios),
            format!("[{:.2}..{:.2}]", bounds.0, bounds.1),
            of(&|figures| to_f64(figures.answers) / figures.seconds),
            of(&|figures| figures.latency.0),
            of(&|figures| figures.latency.1),
            of(&|figures| figures.ahead.0),
            of(&|figures| figures.ahead.1),
            all.iter().map(|figures| figures.lost).sum::<u64>(),
            all.iter().map(|figures| figures.disordered).sum::<u64>(),
        );
    }
}

#[allow(clippy::cast_precision_loss)] // counts of seconds
fn to_f64(count: u64) -> f64 {
    count as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
