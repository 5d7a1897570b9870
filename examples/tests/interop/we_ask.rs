//! Our client asks their servers.

use crate::host::{is_root, Host, NOTHING};

/// A chronyd that serves its own clock.
pub(crate) const CHRONYD: &str = "$DAEMONS/chrony/usr/sbin/chronyd -x -d -u root 'local stratum 10' allow 'cmdport 0' \
                                  'bindcmdaddress /' \"pidfile $HERE/pid\"";

#[test]
fn chronyd() {
    let Some(host) = Host::with(&["chrony/usr/sbin/chronyd"]) else { return };
    let said = host.run(&format!(
        "{CHRONYD} >chronyd.out 2>&1 &
         sleep 1
         for version in 1 2 3 4; do $QUERY --json --ntp-version $version 127.0.0.1; done
         $AGENT --json --server 127.0.0.1 --minpoll -2 --maxpoll 0 --duration 6 --driftfile drift"
    ));
    let objects = said.objects();
    let answers: Vec<_> = objects.iter().filter(|object| object["type"] == "server").collect();
    assert_eq!(answers.len(), 4, "{}", said.text());
    for answer in answers {
        assert_eq!((&answer["stratum"], &answer["reference"]), (&10.into(), &"LOCAL(1)".into()), "{answer}");
        assert!(answer["offset"].as_f64().unwrap().abs() < NOTHING, "{answer}");
        assert!(answer["delay"].as_f64().unwrap() < NOTHING, "{answer}");
    }
    assert!(host.read("drift").trim().parse::<f64>().is_ok());
    assert!(said.is_success(), "{}", said.text());
    let last = objects.last().unwrap();
    assert!(last["machine_offset"].as_f64().unwrap().abs() < NOTHING, "{last}");
}

#[test]
fn ntpd_of_ntpsec() {
    let Some(host) = Host::with(&["ntpsec/usr/sbin/ntpd"]) else { return };
    host.file("ntp.conf", "tos orphan 5 orphanwait 1\nrestrict default\n");
    let said = host.run(
        "$DAEMONS/ntpsec/usr/sbin/ntpd -n -c ntp.conf >ntpd.out 2>&1 &
         for second in $(seq 90); do sleep 1; $QUERY --json --timeout 0.5 127.0.0.1 && break; done",
    );
    let objects = said.objects();
    let answer = objects.iter().rfind(|object| object["type"] == "server").unwrap_or_else(|| panic!("{}", said.text()));
    assert_eq!(answer["stratum"], 5, "{}", said.text());
    assert!(answer["offset"].as_f64().unwrap().abs() < NOTHING, "{answer}");
}

/// It follows our server and serves us, on a clock that stands still.
#[test]
fn ntpd_rs_in_both_directions() {
    let Some(host) = Host::with(&["ntpd-rs/bin/ntp-daemon", "still-clock.so"]) else { return };
    // Poll intervals of 2⁴ s are its shortest. It takes a server of its own address for itself, so it is on another host.
    host.file(
        "ntp.toml",
        "[observability]\nobservation-path = \"/run/ntpd-rs\"\n[synchronization]\nminimum-agreeing-sources = 1\n
[source-defaults]\npoll-interval-limits = { min = 4, max = 4 }\n
[[source]]\nmode = \"server\"\naddress = \"10.9.9.1:123\"\n[[server]]\nlisten = \"10.9.9.2:123\"\n",
    );
    let said = host.run(
        "two_hosts
         serve --listen 10.9.9.1:123 --stratum 3
         $STILL $FAR $DAEMONS/ntpd-rs/bin/ntp-daemon -c ntp.toml >ntpd-rs.out 2>&1 &
         for third in $(seq 400); do sleep 0.3; $QUERY --json --timeout 0.5 10.9.9.2 && break; done
         $DAEMONS/ntpd-rs/bin/ntp-ctl -c ntp.toml status",
    );
    let objects = said.objects();
    let answer = objects.iter().rfind(|object| object["type"] == "server").unwrap_or_else(|| panic!("{}", said.text()));
    assert_eq!((&answer["stratum"], &answer["reference"]), (&4.into(), &"10.9.9.1".into()), "{answer}");
    assert!(answer["offset"].as_f64().unwrap().abs() < NOTHING, "{answer}");
    said.assert_contains("10.9.9.1:123");
    said.assert_nothing_after("Offset:");
}

/// It serves once it has corrected its clock twice, which takes its own five minutes: it is made to hurry. It follows a
/// chronyd: from a server on its own machine whose T3 is taken ahead it may measure a negative delay, after which it does
/// not ask again for the best part of an hour.
#[test]
fn openntpd() {
    let needs = ["openntpd/usr/sbin/ntpd", "chrony/usr/sbin/chronyd", "still-clock.so"];
    let Some(host) = Host::with(&needs) else { return };
    if !is_root() {
        return println!("skipped: openntpd gives up privileges, which takes root");
    }
    host.file("ntpd.conf", "listen on 127.0.0.1\nserver 127.0.0.2\n");
    let said = host.run(&format!(
        "openntpd_home
         {CHRONYD} 'bindaddress 127.0.0.2' >chronyd.out 2>&1 &
         sleep 1
         HURRY=20 $STILL $DAEMONS/openntpd/usr/sbin/ntpd -d -v -s -f ntpd.conf >ntpd.out 2>&1 &
         for turn in $(seq 50); do sleep 2; $QUERY --json --timeout 0.5 127.0.0.1 && break; done
         cat ntpd.out"
    ));
    let objects = said.objects();
    let answer = objects.iter().rfind(|object| object["type"] == "server").unwrap_or_else(|| panic!("{}", said.text()));
    assert_eq!((&answer["stratum"], &answer["reference"]), (&11.into(), &"127.0.0.2".into()), "{}", said.text());
    assert!(answer["offset"].as_f64().unwrap().abs() < NOTHING, "{answer}");
}
