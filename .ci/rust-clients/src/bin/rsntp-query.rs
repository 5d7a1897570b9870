//! `rsntp-query HOST:PORT`: asks once with rsntp and prints offset and delay in seconds, and the stratum.

fn main() {
    let server = std::env::args().nth(1).expect("HOST:PORT");
    let answer = rsntp::SntpClient::new().synchronize(server.as_str()).expect("an answer");
    let (offset, delay) = (answer.clock_offset().as_secs_f64(), answer.round_trip_delay().as_secs_f64());
    println!("{offset:.9} {delay:.9} {}", answer.stratum());
}
