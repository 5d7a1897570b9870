//! The codec's bench: `cargo bench -p ntp-benches --bench codec [-- criterion's arguments | --count]`.
//!
//! Without arguments, criterion's times first, then the table of instructions. `--count` prints only the table, and ends
//! with an error when one of ours is above its limit.

#![allow(clippy::expect_used)] // a bench stops at a fault

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use criterion::{BatchSize, Criterion};
use ntp_benches::callgrind;
use ntp_benches::codec::{contests, empty_loop, input, Contest, INPUTS};

/// What this program is told when it runs itself under callgrind.
const COUNTED: &str = "--counted";
const TURNS: u32 = 1_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(COUNTED) => run_once(arguments.get(1).expect("an input's name")),
        Some("--count") => return callgrind::check(print_instructions),
        // `cargo test --benches` only looks whether it runs.
        None | Some("--test") => INPUTS.iter().for_each(|name| run_once(name)),
        _ => {
            measure_time();
            let _ = callgrind::check(print_instructions);
        }
    }
    ExitCode::SUCCESS
}

fn run_once(name: &str) {
    let octets = input(name);
    empty_loop::run(black_box(&octets), TURNS);
    for contest in contests().iter().filter(|contest| contest.input == name) {
        (contest.run)(black_box(&octets), TURNS);
    }
}

fn measure_time() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .sample_size(30)
        .without_plots()
        .configure_from_args();
    for contest in contests() {
        let octets = input(contest.input);
        let Contest { operation, input, contestant, run, .. } = contest;
        criterion.bench_function(&format!("{operation}/{input}/{contestant}, 1000 turns"), |bencher| {
            bencher.iter_batched(|| (), |()| run(black_box(&octets), TURNS), BatchSize::SmallInput);
        });
    }
    criterion.final_summary();
}

/// Whether ours keep their limits.
fn print_instructions() -> bool {
    let all = contests();
    let mut rows: Vec<(Contest, Option<u64>)> = Vec::new();
    for name in INPUTS {
        let here: Vec<Contest> = all.iter().copied().filter(|contest| contest.input == name).collect();
        let mut symbols = vec!["10empty_loop3run".to_owned()];
        symbols.extend(here.iter().map(|contest| format!("{}{}3run", contest.symbol.len(), contest.symbol)));
        let mut costs = callgrind::count(&[COUNTED, name], &symbols).into_iter();
        let empty = costs.next().flatten().expect("the empty loop's instructions");
        let turns = u64::from(TURNS);
        let each = |cost: u64| (cost.saturating_sub(empty) + turns / 2) / turns;
        rows.extend(here.into_iter().zip(costs.map(|cost| cost.map(each))));
    }
    rows.sort_by_key(|(contest, _)| (contest.operation, contest.input));
    println!("| operation | input | contestant | instructions | limit |");
    println!("|---|---|---|---|---|");
    let is_good = rows.iter().all(|(contest, cost)| contest.limit.is_none() || *cost <= contest.limit);
    for (contest, cost) in rows {
        let cost = cost.map_or("?".to_owned(), |cost| cost.to_string());
        let limit = contest.limit.map_or(String::new(), |limit| limit.to_string());
        println!("| {} | {} | {} | {cost} | {limit} |", contest.operation, contest.input, contest.contestant);
    }
    is_good
}
