//! Kisses-o'-death: ours obeyed by theirs, theirs obeyed by ours.
//!
//! chronyd (4.3 and 4.9) knows `RATE` and no other: after a `DENY` it goes on asking. Neither ntpd sends `DENY`.

use crate::host::Host;

/// Both ntpds end the volley of six that they began.
#[test]
fn ntpds_obey_our_deny() {
    for package in ["ntp", "ntpsec"] {
        let Some(host) = Host::with(&[&format!("{package}/usr/sbin/ntpd"), "ntp-clients/usr/lib"]) else { continue };
        host.file("ntp.conf", "server 10.9.9.1 iburst\n");
        let asked = |how: &str| {
            let said = host.run(&format!(
                "two_hosts
                 rm -f serve.out
                 serve --listen 10.9.9.1:123 --stratum 3 {how}
                 $CLASSIC $FAR $DAEMONS/{package}/usr/sbin/ntpd -n -d -c ntp.conf >ntpd.out 2>&1 &
                 sleep 13
                 kill $(pidof ntp-serve)
                 sleep 1
                 cat serve.out ntpd.out"
            ));
            assert!(!said.text().contains("inconsistent"), "{package}: {}", said.text());
            *said.numbers_after("received ").first().unwrap_or_else(|| panic!("{package}: {}", said.text()))
        };
        let (refused, served) = (asked("--refuse 10.0.0.0/8"), asked(""));
        println!("{package} asked {served} times, {refused} when told to stop");
        assert!(refused <= 2.0 && served >= 4.0, "{package} asked {served} times, {refused} when told to stop");
    }
}

/// Which of the requests over the limit get a kiss is left to dice, one in four, so this is tried until one did. Only the first
/// try has an answer, and so a whole burst; without one an ntpd asks once.
#[test]
fn ntpds_and_chronyds_obey_our_rate() {
    for (program, arguments, proof) in [
        ("ntp/usr/sbin/ntpd", "-n -d -c ntp.conf", "rate_exceeded"),
        ("ntpsec/usr/sbin/ntpd", "-n -d -c ntp.conf", "rate_exceeded"),
        ("chrony/usr/sbin/chronyd", "-x -d -u root -f chrony.conf", "Received KoD RATE from 10.9.9.1"),
        ("chrony-new/chronyd", "-x -d -u root -f chrony.conf", "Received KoD RATE from 10.9.9.1"),
    ] {
        let Some(host) = Host::with(&[program, "ntp-clients/usr/lib"]) else { continue };
        host.file("ntp.conf", "server 10.9.9.1 iburst\n");
        host.file("chrony.conf", "server 10.9.9.1 iburst minpoll -1\ncmdport 0\nbindcmdaddress /\npidfile pid\n");
        let said = host.run(&format!(
            "two_hosts
             serve --listen 10.9.9.1:123 --stratum 3 --rate-limit 0.001/1
             for seconds in 14 $(yes 6 | head -24); do
                 $CLASSIC timeout $seconds $FAR $DAEMONS/{program} {arguments} >out 2>&1 || :
                 grep '{proof}' out && break
             done
             cat out"
        ));
        said.assert_contains(proof);
    }
}

/// It is no time to chronyd, but no reason to stop either.
#[test]
fn chronyd_knows_no_deny() {
    let Some(host) = Host::with(&["chrony/usr/sbin/chronyd"]) else { return };
    host.file("chrony.conf", "server 10.9.9.1 minpoll -1 maxpoll 0\ncmdport 0\nbindcmdaddress /\npidfile pid\n");
    let said = host.run(
        "two_hosts
         serve --listen 10.9.9.1:123 --stratum 3 --refuse 10.0.0.0/8
         timeout 10 $FAR $DAEMONS/chrony/usr/sbin/chronyd -x -d -u root -f chrony.conf 2>&1 || :
         kill $(pidof ntp-serve)
         sleep 1
         cat serve.out",
    );
    assert!(said.numbers_after("deny_kisses").last().is_some_and(|&count| count >= 3.0), "{}", said.text());
    assert!(!said.text().contains("Selected source"), "{}", said.text());
}

/// Runs our agent against a server, and counts: requests sent and whether this kiss was among the answers.
fn agent_against(host: &Host, server: &str, kiss: &str) -> Option<u64> {
    let said = host.run(&format!(
        "two_hosts
         $CLASSIC $FAR {server} >server.out 2>&1 &
         sleep 2
         $AGENT --json --server 10.9.9.2 --minpoll -4 --maxpoll 0 --duration 8 || :"
    ));
    let objects = said.objects();
    let is_kissed = objects.iter().any(|object| object["text"].as_str().is_some_and(|text| text.contains(kiss)));
    let sent = objects.last().and_then(|summary| summary["requests"].as_u64());
    if !is_kissed {
        println!("{}", said.text());
    }
    sent.filter(|_| is_kissed)
}

/// Each `RATE` doubles our interval: far less than the 128 requests that 8 s at 1/16 s would be.
#[test]
fn we_obey_their_rate() {
    for (program, arguments) in [
        ("ntp/usr/sbin/ntpd", "-n -c ntp.conf"),
        ("ntpsec/usr/sbin/ntpd", "-n -c ntp.conf"),
        ("chrony-new/chronyd", "-x -d -u root -f chrony.conf"),
    ] {
        let Some(host) = Host::with(&[program, "ntp-clients/usr/lib"]) else { continue };
        host.file("ntp.conf", "restrict default limited kod\ndiscard minimum 1 average 3\n");
        let limit = "ratelimit interval 3 burst 1 leak 4 kod 1";
        host.file(
            "chrony.conf",
            &format!("local stratum 10\nallow\n{limit}\ncmdport 0\nbindcmdaddress /\npidfile pid\n"),
        );
        let sent = agent_against(&host, &format!("$DAEMONS/{program} {arguments}"), "RATE");
        assert!(sent.is_some_and(|sent| sent < 60), "{program}: {sent:?} requests");
    }
}

#[test]
fn we_obey_the_deny_of_ntpd_rs() {
    let Some(host) = Host::with(&["ntpd-rs/bin/ntp-daemon", "ntp-clients/usr/lib"]) else { return };
    host.file(
        "ntp.toml",
        "[[server]]\nlisten = \"10.9.9.2:123\"\ndenylist = { filter = [\"10.0.0.0/8\"], action = \"deny\" }\n",
    );
    let sent = agent_against(&host, "$DAEMONS/ntpd-rs/bin/ntp-daemon -c ntp.toml", "DENY");
    assert_eq!(sent, Some(1));
}
