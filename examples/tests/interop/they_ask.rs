//! Their clients ask our server.

use crate::host::{is_root, Host, NOTHING};

/// A server of ours at the only port that many clients know.
const SERVE: &str = "serve --listen 127.0.0.1:123 --stratum 3";

#[test]
fn chronyd() {
    let Some(host) = Host::with(&["chrony/usr/sbin/chronyd"]) else { return };
    // Its pid file is a file of this test's own: chronyd removes what that names when it ends, whatever it is.
    let said = host.run(&format!(
        "{SERVE}
         $DAEMONS/chrony/usr/sbin/chronyd -Q -t 15 -u root \
             'server 127.0.0.1 iburst maxsamples 4' 'cmdport 0' 'bindcmdaddress /' \"pidfile $HERE/pid\""
    ));
    said.assert_nothing_after("System clock wrong by ");
}

/// Both ntpds take port 123 of every address for themselves, so they are on another host.
#[test]
fn ntpd_of_ntpsec_and_of_ntp() {
    for package in ["ntpsec", "ntp"] {
        let Some(host) = Host::with(&[&format!("{package}/usr/sbin/ntpd"), "ntp-clients/usr/lib"]) else { continue };
        host.file("ntp.conf", "server 10.9.9.1 iburst\n");
        let said = host.run(&format!(
            "two_hosts
             serve --listen 10.9.9.1:123 --stratum 3
             $CLASSIC timeout 60 $FAR $DAEMONS/{package}/usr/sbin/ntpd -n -q -g -c ntp.conf 2>&1 || :"
        ));
        said.assert_nothing_after("time slew ");
    }
}

/// From another host: on one machine the delay is so small that it may measure a negative one, after which it gives up for
/// the best part of an hour.
#[test]
fn openntpd() {
    let Some(host) = Host::with(&["openntpd/usr/sbin/ntpd"]) else { return };
    if !is_root() {
        return println!("skipped: openntpd gives up privileges, which takes root");
    }
    host.file("ntpd.conf", "server 10.9.9.1\n");
    let said = host.run(
        "two_hosts
         serve --listen 10.9.9.1:123 --stratum 3
         openntpd_home
         timeout -s INT 40 $FAR $DAEMONS/openntpd/usr/sbin/ntpd -d -v -s -f ntpd.conf >ntpd.out 2>&1 &
         for second in $(seq 38); do sleep 1; grep -q 'now valid' ntpd.out && break; done
         cat ntpd.out",
    );
    said.assert_contains("peer 10.9.9.1 now valid");
    said.assert_nothing_after("reply from 10.9.9.1: offset ");
}

#[test]
fn busybox() {
    let Some(host) = Host::with(&["busybox/busybox"]) else { return };
    let said = host.run(&format!("{SERVE}; timeout 7 $DAEMONS/busybox/busybox ntpd -n -d -d -w -p 127.0.0.1 || :"));
    assert!(said.numbers_after("offset:").len() >= 2, "{}", said.text());
    said.assert_nothing_after("offset:");
    said.assert_contains("strat:3 ");
}

#[test]
fn ntpdate_and_sntp_of_ntp() {
    let Some(host) = Host::with(&["ntp-clients/usr/sbin/ntpdate", "ntp-clients/usr/bin/sntp"]) else { return };
    for version in [1, 2, 3, 4] {
        let said = host.run(&format!(
            "{SERVE}; $CLASSIC $DAEMONS/ntp-clients/usr/sbin/ntpdate -q -o {version} 127.0.0.1; rm serve.out"
        ));
        said.assert_contains("server 127.0.0.1, stratum 3, offset");
        said.assert_nothing_after("stratum 3, offset ");
    }
    let said = host.run(&format!("{SERVE}; $CLASSIC $DAEMONS/ntp-clients/usr/bin/sntp -K /dev/null 127.0.0.1"));
    // 2026-11-28 14:00:00.123456 (+0000) +0.000004 +/- 0.000050 127.0.0.1 s3 no-leap
    said.assert_contains(" 127.0.0.1 s3 no-leap");
    said.assert_nothing_after("(+0000) ");
}

#[test]
fn ntpdig() {
    let Some(host) = Host::with(&["ntpsec-ntpdig/usr/bin/ntpdig"]) else { return };
    let said = host.run(&format!("{SERVE}; $NTPSEC $DAEMONS/ntpsec-ntpdig/usr/bin/ntpdig --json 127.0.0.1"));
    let objects = said.objects();
    let answer = objects.first().unwrap_or_else(|| panic!("{}", said.text()));
    assert_eq!(answer["stratum"], 3, "{answer}");
    assert!(answer["offset"].as_f64().unwrap().abs() < NOTHING, "{answer}");
}

/// Without systemd and without D-Bus, as a user who may do nothing.
#[test]
fn systemd_timesyncd() {
    let Some(host) = Host::with(&["systemd-timesyncd/lib/systemd/systemd-timesyncd"]) else { return };
    if !is_root() {
        return println!("skipped: systemd-timesyncd runs as another user, which takes root");
    }
    host.file("timesyncd.conf", "[Time]\nNTP=127.0.0.1\nFallbackNTP=\nPollIntervalMinSec=16\n");
    let said = host.run(&format!(
        "{SERVE}
         systemd=$DAEMONS/systemd-timesyncd
         export LD_LIBRARY_PATH=$(dirname $(find $systemd -name 'libsystemd-shared-*.so'))
         if ldd $systemd/lib/systemd/systemd-timesyncd | grep 'not found'; then exit; fi
         for directory in /etc/systemd /var/lib /run; do mkdir -p $directory; mount -t tmpfs none $directory; done
         cp timesyncd.conf /etc/systemd
         mkdir -p /var/lib/systemd/timesync /run/systemd/timesync /run/systemd/netif
         chown nobody /var/lib/systemd/timesync /run/systemd/timesync
         SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console timeout 20 setpriv --reuid 65534 --regid 65534 --clear-groups \
             $systemd/lib/systemd/systemd-timesyncd >timesyncd.out 2>&1 &
         for second in $(seq 18); do sleep 1; test -e /run/systemd/timesync/synchronized && break; done
         cat timesyncd.out
         ls /run/systemd/timesync"
    ));
    if said.text().contains("not found") {
        return println!("skipped: systemd-timesyncd's libraries are not all here\n{}", said.text());
    }
    said.assert_contains("Contacted time server 127.0.0.1:123");
    said.assert_contains("  stratum      : 3\n");
    said.assert_nothing_after("  offset       : ");
    // It believes us: the file that says so is there.
    assert!(said.text().lines().any(|line| line == "synchronized"), "{}", said.text());
}

#[test]
fn ntplib() {
    let Some(host) = Host::with(&["python3-ntplib/usr/lib/python3/dist-packages/ntplib.py"]) else { return };
    for version in [1, 2, 3, 4] {
        host.file(
            "ask.py",
            &format!(
                "import ntplib
answer = ntplib.NTPClient().request('127.0.0.1', version={version})
assert answer.version == {version} and answer.mode == 4 and answer.stratum == 3 and answer.leap == 0, vars(answer)
print('offset', answer.offset, 'delay', answer.delay)"
            ),
        );
        let said = host.run(&format!(
            "{SERVE}; PYTHONPATH=$DAEMONS/python3-ntplib/usr/lib/python3/dist-packages python3 ask.py; rm serve.out"
        ));
        assert!(said.is_success(), "version {version}: {}", said.text());
        said.assert_nothing_after("offset ");
    }
}

#[test]
fn rsntp_and_sntpc() {
    let Some(host) = Host::with(&["rust-clients/bin/rsntp-query", "rust-clients/bin/sntpc-query"]) else { return };
    for client in ["rsntp", "sntpc"] {
        let said = host.run(&format!("{SERVE}; echo answer $($DAEMONS/rust-clients/bin/{client}-query 127.0.0.1:123)"));
        assert!(said.text().contains(" 3\n"), "{client}: {}", said.text());
        said.assert_nothing_after("answer ");
    }
}
