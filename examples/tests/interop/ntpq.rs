//! Both `ntpq`s read us: a server with a live agent behind it.

use crate::host::{Host, NOTHING};

/// Two servers of ours, one that is not there, the agent that follows them, and the server that speaks for it.
const SCENE: &str = "
    serve --listen 127.0.0.2:123 --stratum 3
    serve --listen 127.0.0.3:123 --stratum 3
    $AGENT --json --server 127.0.0.2 --server 127.0.0.3 --server 127.0.0.4 --minpoll 0 --maxpoll 0 --duration 60 |
        $SERVE --user root --listen 127.0.0.1:123 --from-agent >from-agent.out 2>&1 &
    for second in $(seq 30); do sleep 1; $QUERY --timeout 0.5 127.0.0.1 >/dev/null && break; done
    sleep 7";

#[test]
fn ntpq_shows_what_it_should() {
    for (package, with) in [("ntpsec", "$NTPSEC"), ("ntp", "$CLASSIC")] {
        let program = format!("{package}/usr/bin/ntpq");
        let needs = [program.as_str(), "ntpsec-ntpdig/usr/lib", "ntp-clients/usr/lib"];
        let Some(host) = Host::with(&needs) else { continue };
        let said =
            host.run(&format!("{SCENE}\n{with} $DAEMONS/{program} -n -c rv -c as -c 'rv &1' -c peers 127.0.0.1"));
        let text = said.text();
        println!("{package}:\n{text}");
        assert!(said.is_success(), "{package}: {text}");
        for words in [
            "leap_none, sync_ntp, 1 event, clock_sync",
            "leap=00, stratum=4, precision=-24",
            "refid=127.0.0.",
            "version=\"ntp-serve ",
        ] {
            assert!(text.contains(words), "{package}: no {words:?} in\n{text}");
        }
        // remote refid st t when poll reach delay offset jitter
        let peers: Vec<Vec<&str>> = text
            .lines()
            .skip_while(|line| !line.contains("remote"))
            .skip(2)
            .map(|it| it.split_whitespace().collect())
            .collect();
        assert_eq!(peers.len(), 3, "{package}: {text}");
        let tallies: String = peers.iter().filter_map(|peer| peer[0].chars().next()).collect();
        assert!(
            tallies.contains('*') && (tallies.contains('+') || tallies.contains('-')),
            "{package}: {tallies}\n{text}"
        );
        for peer in peers.iter().filter(|peer| !peer[0].ends_with("127.0.0.4")) {
            assert!(["127.127.1.1", "LOCAL(1)"].contains(&peer[1]), "{package}: {peer:?}");
            assert_eq!((peer[2], peer[3], peer[6]), ("3", "u", "377"), "{package}: {peer:?}");
            assert!(peer[4] == "-" || peer[4].parse::<u32>().is_ok_and(|seconds| seconds < 5), "{package}: {peer:?}");
            let millis: Vec<f64> = peer[7..10].iter().filter_map(|it| it.parse().ok()).collect();
            assert!(millis.len() == 3 && millis.iter().all(|it| it.abs() < NOTHING * 1e3), "{package}: {peer:?}");
            assert!(millis[2] > 0.0, "{package}: jitter {peer:?}");
        }
        let silent = peers.iter().find(|peer| peer[0] == "127.0.0.4").unwrap_or_else(|| panic!("{package}: {text}"));
        assert!(silent[1].contains("INIT") && silent[2] == "16" && silent[6] == "0", "{package}: {silent:?}");
    }
}

/// On its own addresses it is answered, loopback or not; from another host the same question is not.
#[test]
fn ntpq_of_another_host_is_told_nothing() {
    for (package, with) in [("ntpsec", "$NTPSEC"), ("ntp", "$CLASSIC")] {
        let program = format!("{package}/usr/bin/ntpq");
        let needs = [program.as_str(), "ntpsec-ntpdig/usr/lib", "ntp-clients/usr/lib"];
        let Some(host) = Host::with(&needs) else { continue };
        let said = host.run(&format!(
            "two_hosts
             serve --listen 0.0.0.0:123 --stratum 3
             for address in 127.0.0.1 10.9.9.1; do {with} $DAEMONS/{program} -n -c 'rv 0 stratum' $address; done
             $FAR $QUERY --timeout 1 10.9.9.1 >/dev/null && echo 'time is told'
             $FAR {with} $DAEMONS/{program} -n -c 'rv 0 stratum' 10.9.9.1 2>&1 || :"
        ));
        let text = said.text();
        assert_eq!(text.matches("stratum=3").count(), 2, "{package}: {text}");
        assert!(text.contains("time is told") && text.contains("timed out"), "{package}: {text}");
    }
}
