//! Where a test happens: a directory, and shells in a network namespace of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// What two clocks that are one may seem to differ by on a busy machine.
pub(crate) const NOTHING: f64 = 0.05;

/// Words of every script. `serve` begins to serve and waits until it does; `two_hosts` makes a second host at 10.9.9.2 beside this
/// one at 10.9.9.1, and `far_moves` gives it 10.9.9.7 instead; `own_names` leaves no name but those a script adds to /etc/hosts;
/// `openntpd_home` makes the user and the directories that openntpd insists on. What stands before a program:
/// `$FAR` runs it on the second host, `$STILL` with a clock that stands still, `$CLASSIC` with Debian 11's libraries, `$NTPSEC`
/// by Python with ntpsec's.
const WORDS: &str = r#"
ip link set lo up
serving() { cat serve.out 2>/dev/null | grep -c '^serving' || :; }
serve() {
    before=$(serving)
    "$SERVE" --user root "$@" >>serve.out 2>&1 &
    for tenth in $(seq 100); do
        [ "$(serving)" -gt "$before" ] && break
        sleep 0.1
    done
}
two_hosts() {
    mount -t tmpfs none /run
    ip netns add far
    ip link add near type veth peer name far netns far
    ip link set near addrgenmode none
    ip -n far link set far addrgenmode none
    ip addr add 10.9.9.1/24 dev near
    ip link set near up
    ip -n far link set lo up
    ip -n far addr add 10.9.9.2/24 dev far
    ip -n far link set far up
    until ip -n far link show far | grep -q 'state UP'; do sleep 0.1; done
}
far_moves() {
    ip -n far addr add 10.9.9.7/24 dev far
    ip -n far addr del 10.9.9.2/24 dev far
    # Gone with the first one, unless the kernel promotes it.
    ip -n far addr add 10.9.9.7/24 dev far 2>/dev/null || :
}
own_names() {
    echo '127.0.0.1 localhost' >hosts
    echo 'hosts: files' >nsswitch.conf
    mount --bind hosts /etc/hosts
    mount --bind nsswitch.conf /etc/nsswitch.conf
}
openntpd_home() {
    mkdir -m 755 empty
    { cat /etc/passwd; echo "ntpd:x:65533:65534::$HERE/empty:/bin/false"; } >passwd
    mount --bind passwd /etc/passwd
    mount -t tmpfs none /var/lib
    mkdir -p /var/lib/openntpd/run /var/lib/openntpd/db
}
FAR="ip netns exec far"
STILL="env LD_PRELOAD=$DAEMONS/still-clock.so"
CLASSIC="env LD_LIBRARY_PATH=$DAEMONS/ntp-clients/usr/lib/x86_64-linux-gnu"
python=$DAEMONS/ntpsec-ntpdig/usr/lib/python3/dist-packages
NTPSEC="env LD_LIBRARY_PATH=$(echo $DAEMONS/ntpsec-ntpdig/usr/lib/*-linux-gnu/ntp) PYTHONPATH=$python python3"
"#;

/// A place for one test.
pub(crate) struct Host {
    directory: tempfile::TempDir,
    daemons: PathBuf,
}

impl Host {
    /// A place where all of `programs` are there; `None`, with the reason printed, if not or without namespaces.
    pub(crate) fn with(programs: &[&str]) -> Option<Self> {
        let query = Path::new(env!("CARGO_BIN_EXE_ntp-query"));
        let target = query.ancestors().nth(2).map(|target| target.join("daemons"));
        let daemons = std::env::var_os("NTP_TEST_DAEMONS").map(PathBuf::from).or(target)?;
        for program in programs {
            let program = daemons.join(program);
            if !program.exists() {
                println!("skipped: no {} (see .ci/fetch-daemons)", program.display());
                return None;
            }
        }
        let host = Self { directory: tempfile::tempdir().unwrap(), daemons };
        if !host.shell(":").output().is_ok_and(|output| output.status.success()) {
            println!("skipped: no network namespaces here");
            return None;
        }
        Some(host)
    }

    /// Writes a file into the directory in which scripts run.
    pub(crate) fn file(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.directory.path().join(name), text).unwrap();
        self
    }

    /// What a file holds after a script; empty if there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        let octets = std::fs::read(self.directory.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&octets).into_owned()
    }

    /// Runs a script to its end, but for no longer than two minutes; everything it started ends with it.
    pub(crate) fn run(&self, script: &str) -> Said {
        Said(self.shell(script).output().unwrap())
    }

    /// For who is not root also in a user namespace, where it is root over nothing that matters.
    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-sys_time", "--inh-caps=-sys_time", "timeout", "-k", "5", "120", "unshare"]);
        command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["sh", "-euc", &format!("{WORDS}\n{script}")]);
        command.current_dir(self.directory.path()).stdin(Stdio::null());
        command.env("DAEMONS", &self.daemons).env("HERE", self.directory.path());
        for (name, program) in [
            ("SERVE", env!("CARGO_BIN_EXE_ntp-serve")),
            ("QUERY", env!("CARGO_BIN_EXE_ntp-query")),
            ("AGENT", env!("CARGO_BIN_EXE_ntp-agent")),
        ] {
            command.env(name, program);
        }
        command
    }
}

/// Some programs become another user, which only root can let them. Prints why not.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|data| std::os::unix::fs::MetadataExt::uid(&data) == 0)
}

/// What a script said.
pub(crate) struct Said(Output);

impl Said {
    pub(crate) fn is_success(&self) -> bool {
        self.0.status.success()
    }

    /// All of it, errors last.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.0.stdout), String::from_utf8_lossy(&self.0.stderr))
    }

    /// Its lines of JSON.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let text = String::from_utf8_lossy(&self.0.stdout);
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The number behind each `marker`.
    pub(crate) fn numbers_after(&self, marker: &str) -> Vec<f64> {
        let text = self.text();
        let words = text.split(marker).skip(1).filter_map(|rest| rest.split_whitespace().next());
        words.filter_map(|word| word.trim_matches([',', 's', '+']).parse().ok()).collect()
    }

    /// That the last number behind `marker` is next to nothing, and that there is one.
    #[track_caller]
    pub(crate) fn assert_nothing_after(&self, marker: &str) {
        let last = self.numbers_after(marker).pop();
        assert!(last.is_some_and(|seconds| seconds.abs() < NOTHING), "{marker}: {last:?} in\n{}", self.text());
    }

    #[track_caller]
    pub(crate) fn assert_contains(&self, words: &str) {
        assert!(self.text().contains(words), "no {words:?} in\n{}", self.text());
    }
}
