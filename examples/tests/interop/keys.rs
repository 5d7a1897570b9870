//! Symmetric keys in both directions: each daemon's own key file is read by both sides, each kind of key brings time, and
//! another secret under the same id brings none.

use serde_json::Value;

use crate::host::{Host, Said, NOTHING};
use crate::we_ask::CHRONYD;

/// `ntp.keys` of both ntpds, but for the name of AES; and the same ids with other secrets.
const NTP_KEYS: &str = "1 MD5 a-shared-secret\n2 SHA1 6b65792d6f662d626f74682d73696465732d2121\n";
const NTP_OTHERS: &str = "1 MD5 another-secret\n2 SHA1 7b65792d6f662d626f74682d73696465732d2121\n";
const AES_SECRET: &str = "2b7e151628aed2a6abf7158809cf4f3c";
/// `keyfile` of chronyd.
const CHRONY_KEYS: &str = "1 MD5 a-shared-secret\n2 SHA1 HEX:6b65792d6f662d626f74682d73696465732d2121\n\
                           3 AES128 HEX:2b7e151628aed2a6abf7158809cf4f3c\n4 SHA256 ASCII:some-of-thirty-two-octets\n\
                           70000 SHA512 a-secret-of-sixty-four\n";
const CHRONY_OTHERS: &str = "1 MD5 another-secret\n2 SHA1 HEX:7b65792d6f662d626f74682d73696465732d2121\n\
                             3 AES128 HEX:3b7e151628aed2a6abf7158809cf4f3c\n4 SHA256 ASCII:more-of-thirty-two-octets\n\
                             70000 SHA512 another-of-sixty-four\n";
/// The ntpds: where they are, what they call AES-128-CMAC, and what we hear of one that has another key.
const NTPDS: [(&str, &str, &str); 2] = [("ntpsec", "AES-128", "no answer"), ("ntp", "AES128CMAC", "crypto-NAK")];

/// Key files that nobody else may read, as the daemons and we like them.
fn with_keys(host: &Host, keys: &str, others: &str) {
    host.file("right.keys", keys).file("wrong.keys", others);
}

const PRIVATE: &str = "chmod 600 right.keys wrong.keys";

/// What `ntp-query --json` said of the server, run after run.
fn servers(said: &Said) -> Vec<Value> {
    said.objects().into_iter().filter(|object| object["type"] == "server").collect()
}

#[track_caller]
fn assert_time(answer: &Value, said: &Said) {
    let offset = answer["offset"].as_f64();
    assert!(offset.is_some_and(|offset| offset.abs() < NOTHING), "{answer}\n{}", said.text());
}

/// chronyd cuts a long digest in a packet of version 4, and its answer to ours of version 3 has all of it. What it cannot
/// authenticate it does not answer.
#[test]
fn we_ask_chronyd() {
    let Some(host) = Host::with(&["chrony/usr/sbin/chronyd"]) else { return };
    with_keys(&host, CHRONY_KEYS, CHRONY_OTHERS);
    host.file("chrony.conf", "server 127.0.0.1 key 3 xleave minpoll -2 maxpoll 0\nkeyfile right.keys\n");
    let ids = "1 2 3 4 70000";
    let said = host.run(&format!(
        "{PRIVATE}
         {CHRONYD} \"keyfile $HERE/right.keys\" >chronyd.out 2>&1 &
         sleep 1
         for version in 3 4; do for key in {ids}; do
             $QUERY --json --ntp-version $version --keys right.keys --key $key 127.0.0.1
         done; done
         for key in {ids}; do $QUERY --json --timeout 0.3 --keys wrong.keys --key $key 127.0.0.1 || :; done
         $AGENT --json --config chrony.conf --duration 6"
    ));
    let answers = servers(&said);
    assert_eq!(answers.len(), 15, "{}", said.text());
    answers[..10].iter().for_each(|answer| assert_time(answer, &said));
    for refused in &answers[10..] {
        assert_eq!((&refused["answers"], &refused["error"]), (&0.into(), &"no answer".into()), "{}", said.text());
    }
    assert!(said.is_success(), "the agent is synchronised\n{}", said.text());
}

#[test]
fn we_ask_ntpds() {
    for (package, aes, refusal) in NTPDS {
        let Some(host) = Host::with(&[&format!("{package}/usr/sbin/ntpd"), "ntp-clients/usr/lib"]) else { continue };
        with_keys(
            &host,
            &format!("{NTP_KEYS}3 {aes} {AES_SECRET}\n"),
            &format!("{NTP_OTHERS}3 {aes} 3{}\n", &AES_SECRET[1..]),
        );
        host.file("ntp.conf", "tos orphan 5 orphanwait 1\nrestrict default\nkeys right.keys\ntrustedkey 1 2 3\n");
        let said = host.run(&format!(
            "{PRIVATE}
             $CLASSIC $DAEMONS/{package}/usr/sbin/ntpd -n -c ntp.conf >ntpd.out 2>&1 &
             for second in $(seq 90); do sleep 1; $QUERY --timeout 0.5 127.0.0.1 >plain.out && break; done
             for key in 1 2 3; do $QUERY --json --keys right.keys --key $key 127.0.0.1; done
             for key in 1 2 3; do $QUERY --json --timeout 0.3 --keys wrong.keys --key $key 127.0.0.1 || :; done
             $QUERY --json --timeout 0.3 --keys right.keys --key 2 --samples 2 127.0.0.1 || :"
        ));
        let answers = servers(&said);
        assert_eq!(answers.len(), 7, "{package}: {}", said.text());
        answers[..3].iter().for_each(|answer| assert_time(answer, &said));
        for refused in &answers[3..6] {
            assert_eq!(refused["answers"], 0, "{package}: {refused}");
            let error = refused["error"].as_str().unwrap_or_default();
            assert!(error.starts_with(refusal), "{package}: {refused}");
        }
        assert_eq!(answers[6]["answers"], 2, "{package}: {}", said.text());
    }
}

/// chronyd asks in version 3 where a digest is too long for version 4.
#[test]
fn chronyd_asks_us() {
    let Some(host) = Host::with(&["chrony/usr/sbin/chronyd"]) else { return };
    with_keys(&host, CHRONY_KEYS, CHRONY_OTHERS);
    let ask = |key: &str, file: &str| {
        host.run(&format!(
            "{PRIVATE}
             rm -f serve.out pid
             serve --listen 127.0.0.1:123 --stratum 3 --interleaved --keys right.keys --require-key
             $DAEMONS/chrony/usr/sbin/chronyd -Q -t 5 -u root \
                 'server 127.0.0.1 iburst maxsamples 4 {key}' \"keyfile $HERE/{file}.keys\" \
                 'cmdport 0' 'bindcmdaddress /' \"pidfile $HERE/pid\" || :
             kill $(pidof ntp-serve)
             sleep 0.7
             cat serve.out"
        ))
    };
    for key in [1, 2, 3, 4, 70_000] {
        let said = ask(&format!("key {key}"), "right");
        said.assert_nothing_after("System clock wrong by ");
        assert!(said.numbers_after("signed ").last().is_some_and(|&count| count >= 3.0), "{key}: {}", said.text());
    }
    for (key, file, outcome) in [("key 2", "wrong", "crypto_naks"), ("", "right", "unsigned")] {
        let said = ask(key, file);
        assert!(said.numbers_after(outcome).last().is_some_and(|&count| count >= 1.0), "{}", said.text());
        assert!(!said.text().contains("System clock wrong by"), "{}", said.text());
        assert!(!said.text().contains(", signed"), "{}", said.text());
    }
}

#[test]
fn ntpds_ask_us() {
    for (package, aes, _) in NTPDS {
        let Some(host) = Host::with(&[&format!("{package}/usr/sbin/ntpd"), "ntp-clients/usr/lib"]) else { continue };
        with_keys(&host, &format!("{NTP_KEYS}3 {aes} {AES_SECRET}\n"), NTP_OTHERS);
        let ask = |key: u32, file: &str, patience: u32| {
            host.file("ntp.conf", &format!("server 10.9.9.1 iburst key {key}\nkeys {file}.keys\ntrustedkey 1 2 3\n"));
            host.run(&format!(
                "{PRIVATE}
                 two_hosts
                 rm -f serve.out
                 serve --listen 10.9.9.1:123 --stratum 3 --keys right.keys --require-key
                 $CLASSIC timeout {patience} $FAR $DAEMONS/{package}/usr/sbin/ntpd -n -q -g -c ntp.conf 2>&1 || :
                 kill $(pidof ntp-serve)
                 sleep 0.7
                 cat serve.out"
            ))
        };
        for key in [1, 2, 3] {
            let said = ask(key, "right", 60);
            said.assert_nothing_after("time slew ");
            assert!(said.numbers_after("signed ").last().is_some_and(|&count| count >= 4.0), "{}", said.text());
        }
        let said = ask(2, "wrong", 12);
        assert!(said.numbers_after("crypto_naks").last().is_some_and(|&count| count >= 1.0), "{}", said.text());
        assert!(!said.text().contains("time slew") && !said.text().contains(", signed"), "{}", said.text());
    }
}
