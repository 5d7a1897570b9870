//! RFC 9769 with chronyd in both directions: the offset error is smaller than without.
//!
//! Both hosts have the same clock, so the offset measured is the error. The server's machine is busy: what delays an answer
//! behind its T3 is half of it error, and an interleaved answer tells of it.

use crate::host::Host;
use crate::we_ask::CHRONYD;

/// The median of absolute values, and the value above all but a tenth.
fn quantiles(values: &[f64]) -> (f64, f64) {
    let mut sorted: Vec<f64> = values.iter().map(|value| value.abs()).collect();
    sorted.sort_by(f64::total_cmp);
    (sorted[sorted.len() / 2], sorted[sorted.len() - 1 - sorted.len() / 10])
}

fn compare(what: &str, mut errors: impl FnMut(bool) -> Vec<f64>) {
    // It is a quarter and less. A busy machine delays whom it likes: one pair of three has to show half of it.
    let is_better = (0..3).any(|_| {
        let (basic, interleaved) = (errors(false), errors(true));
        assert!(basic.len() > 20 && interleaved.len() > 20, "{what}: {} and {}", basic.len(), interleaved.len());
        let (basic, interleaved) = (quantiles(&basic), quantiles(&interleaved));
        println!(
            "{what}: offset error p50 {:.2} µs, p90 {:.2} µs; interleaved {:.2} µs, {:.2} µs",
            basic.0 * 1e6,
            basic.1 * 1e6,
            interleaved.0 * 1e6,
            interleaved.1 * 1e6
        );
        interleaved.0 < basic.0 / 2.0
    });
    assert!(is_better, "{what}");
}

#[test]
fn we_ask_chronyd() {
    let Some(host) = Host::with(&["chrony/usr/sbin/chronyd"]) else { return };
    compare("we ask chronyd", |interleaved| {
        let how = if interleaved { "xleave" } else { "" };
        // Not selected, it does not steer: what is measured stays what it is.
        host.file("chrony.conf", &format!("server 10.9.9.2 noselect minpoll -3 maxpoll -3 {how}\n"));
        let said = host.run(&format!(
            "two_hosts
             rm -f pid
             $FAR {CHRONYD} >chronyd.out 2>&1 &
             sleep 1
             $AGENT --json --config chrony.conf --duration 8 || :"
        ));
        let objects = said.objects();
        let offsets: Vec<_> =
            objects.iter().filter_map(|object| object["sources"][0]["offset"].as_f64()).skip(10).collect();
        assert!(!offsets.is_empty(), "{}", said.text());
        offsets
    });
}

/// Its log of measurements has the offset in the tenth column.
#[test]
fn chronyd_asks_us() {
    let Some(host) = Host::with(&["chrony/usr/sbin/chronyd"]) else { return };
    compare("chronyd asks us", |interleaved| {
        let how = if interleaved { "xleave" } else { "" };
        let _ = host.run(&format!(
            "two_hosts
             rm -rf log serve.out pid; mkdir log
             serve --listen 10.9.9.1:123 --stratum 3 --interleaved
             timeout 8 $FAR $DAEMONS/chrony/usr/sbin/chronyd -x -d -u root \
                 'server 10.9.9.1 minpoll -3 maxpoll -3 {how}' 'cmdport 0' 'bindcmdaddress /' \"pidfile $HERE/pid\" \
                 \"logdir $HERE/log\" 'log rawmeasurements' >chronyd.out 2>&1 || :"
        ));
        let log = host.read("log/measurements.log");
        let lines = log.lines().filter(|line| line.contains(" 10.9.9.1 "));
        lines.filter_map(|line| line.split_whitespace().nth(11)?.parse().ok()).collect()
    });
}
