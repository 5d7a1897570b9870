//! Other people's programs against ours on loopback: we ask Debian's chronyd and ntpsec's ntpd, and chronyd, ntpdig and
//! ntplib ask us.
//!
//! They are looked for where `.ci/fetch-daemons` unpacks them (`target/daemons`, or what `NTP_TEST_DAEMONS` names). A
//! test whose program is missing says so and passes. Nobody may change this machine's clock: every daemon runs without the
//! capability to, and chronyd with `-x` besides.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use ntp_examples::demo::Servers;
use ntp_net::Poller;
use ntp_types::{Instant, NtpDuration};
use serde_json::Value;

/// What two clocks that are one may seem to differ by on a busy machine.
const NOTHING: f64 = 0.005;

const QUERY: &str = env!("CARGO_BIN_EXE_ntp-query");
const AGENT: &str = env!("CARGO_BIN_EXE_ntp-agent");

/// A file of the unpacked packages; `None`, with the reason printed, when it is not there.
fn unpacked(path: &str) -> Option<PathBuf> {
    let target = Path::new(QUERY).ancestors().nth(2).map(|target| target.join("daemons"));
    let root = std::env::var_os("NTP_TEST_DAEMONS").map(PathBuf::from).or(target)?;
    let found = root.join(path);
    if found.exists() {
        return Some(found);
    }
    println!("skipped: no {} (see .ci/fetch-daemons)", found.display());
    None
}

/// A shell in a network namespace of its own and without the capability to set the clock; for who is not root also in a
/// user namespace, where it is root over nothing that matters. Its processes are of a namespace too, and end with it.
fn shell(script: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args([
        "--bounding-set=-sys_time",
        "--inh-caps=-sys_time",
        "unshare",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
    ]);
    if user() != "root" {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["sh", "-euc"]);
    command.arg(format!("ip link set lo up; {script}"));
    command.stdin(Stdio::null());
    command
}

fn has_namespaces() -> bool {
    let works = shell(":").output().is_ok_and(|output| output.status.success());
    if !works {
        println!("skipped: no network namespaces here");
    }
    works
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn objects(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// A server of ours in a thread, on a port of the kernel's choice.
struct OurServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl OurServer {
    fn start() -> Self {
        let mut servers = Servers::on_loopback(&[NtpDuration::ZERO]).unwrap();
        let address = servers.addresses().unwrap()[0];
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut poller = Poller::new();
            while !is_over.load(Ordering::Relaxed) {
                poller.clear();
                servers.register(&mut poller);
                poller.wait(Some(Duration::from_millis(50))).unwrap();
                servers.serve(&poller, Instant::ZERO);
            }
        });
        Self { address, stop, thread: Some(thread) }
    }
}

impl Drop for OurServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// A chronyd that serves its own clock on a port of loopback.
struct Chronyd {
    child: Child,
    directory: tempfile::TempDir,
    address: String,
}

impl Chronyd {
    fn start(program: &Path, port: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chrony.conf");
        let configuration = format!(
            "port {port}\nbindaddress 127.0.0.1\nlocal stratum 10\nallow\ncmdport 0\nbindcmdaddress /\npidfile {}\n",
            directory.path().join("pid").display()
        );
        std::fs::write(&path, configuration).unwrap();
        let child = Command::new("setpriv")
            .args(["--bounding-set=-sys_time", "--inh-caps=-sys_time"])
            .arg(program)
            .args(["-x", "-d", "-u", &user(), "-f"])
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(700));
        Self { child, directory, address: format!("127.0.0.1:{port}") }
    }
}

impl Drop for Chronyd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// ntpsec's ntpd, which takes port 123 and no other: to be run in a namespace.
struct Ntpd {
    /// Starts it in the background.
    command: String,
    _directory: tempfile::TempDir,
}

impl Ntpd {
    fn of(configuration: &str) -> Option<Self> {
        let program = unpacked("ntpsec/usr/sbin/ntpd")?;
        if !has_namespaces() {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ntp.conf");
        std::fs::write(&path, configuration).unwrap();
        let command = format!("{} -n -c {} >/dev/null 2>&1 &", program.display(), path.display());
        Some(Self { command, _directory: directory })
    }
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}

/// A port nobody had a moment ago.
fn free_port() -> u16 {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn we_ask_chronyd() {
    let Some(program) = unpacked("chrony/usr/sbin/chronyd") else { return };
    let chronyd = Chronyd::start(&program, free_port());
    for version in ["1", "2", "3", "4"] {
        let output = Command::new(QUERY).args(["--json", "--ntp-version", version, &chronyd.address]).output().unwrap();
        let objects = objects(&output);
        assert!(output.status.success(), "version {version}: {}", text(&output));
        assert_eq!(objects[0]["stratum"], 10);
        assert_eq!(objects[0]["reference"], "LOCAL(1)");
        assert!(objects[0]["offset"].as_f64().unwrap().abs() < NOTHING, "{}", objects[0]);
        assert!(objects[0]["delay"].as_f64().unwrap() < NOTHING);
    }
    let drift = chronyd.directory.path().join("drift");
    let arguments = ["--json", "--server", &chronyd.address, "--minpoll", "-2", "--maxpoll", "0", "--duration", "6"];
    let output = Command::new(AGENT).args(arguments).arg("--driftfile").arg(&drift).output().unwrap();
    assert!(std::fs::read_to_string(drift).unwrap().trim().parse::<f64>().is_ok());
    let last = objects(&output).pop().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(last["machine_offset"].as_f64().unwrap().abs() < NOTHING, "{last}");
}

/// chronyd reads T3 before it sends; interleaved, its next answer says when that one really left. On loopback, where the true
/// delay is next to nothing, it shows as a shorter one.
#[test]
fn interleaved_answers_of_chronyd_are_better() {
    let Some(program) = unpacked("chrony/usr/sbin/chronyd") else { return };
    let chronyd = Chronyd::start(&program, free_port());
    let median_delay = |more: &[&str]| {
        let arguments =
            ["--json", "--server", &chronyd.address, "--minpoll", "-3", "--maxpoll", "-3", "--duration", "5"];
        let output = Command::new(AGENT).args(arguments).args(more).output().unwrap();
        let objects = objects(&output);
        let mut delays: Vec<_> =
            objects.iter().filter_map(|object| object["sources"][0]["delay"].as_f64()).filter(|it| *it > 0.0).collect();
        assert!(delays.len() > 10, "{}", text(&output));
        delays.sort_by(f64::total_cmp);
        delays[delays.len() / 2]
    };
    // A busy machine delays whom it likes: one pair of three has to show it.
    let is_better = || {
        let (basic, interleaved) = (median_delay(&[]), median_delay(&["--interleaved"]));
        println!("median delay {:.2} µs, interleaved {:.2} µs", basic * 1e6, interleaved * 1e6);
        interleaved < basic
    };
    assert!((0..3).any(|_| is_better()));
}

/// ntpd's rate limit answers with the kiss RATE: each one doubles our interval.
#[test]
fn we_obey_ntpds_kisses() {
    let Some(ntpd) = Ntpd::of("restrict default limited kod\ndiscard minimum 1 average 3\n") else { return };
    let script = format!(
        "{} sleep 1; {AGENT} --json --server 127.0.0.1 --minpoll -4 --maxpoll 0 --duration 8 || :",
        ntpd.command
    );
    let output = shell(&script).output().unwrap();
    let objects = objects(&output);
    let kissed = objects.iter().any(|object| object["text"].as_str().is_some_and(|text| text.contains("RATE")));
    assert!(kissed, "{}", text(&output));
    let summary = objects.last().unwrap();
    let sent = summary["requests"].as_u64().unwrap();
    assert!(sent < 60, "{sent} requests in 8 s at an interval of 1/16 s");
}

#[test]
fn we_ask_ntpd() {
    let Some(ntpd) = Ntpd::of("tos orphan 5 orphanwait 1\nrestrict default\n") else { return };
    let script = format!(
        "{} for second in 1 2 3 4 5 6 7 8 9 10; do sleep 1; {QUERY} --json --timeout 0.5 127.0.0.1 && break; done; :",
        ntpd.command
    );
    let output = shell(&script).output().unwrap();
    let objects = objects(&output);
    let answered = objects.iter().any(|object| object["type"] == "combined");
    // An ntpd without a reference takes a minute to believe in itself. Until then it must be heard to say so.
    let unsure =
        objects.iter().any(|object| object["error"].as_str().is_some_and(|it| it.contains("not synchronised")));
    assert!(answered || unsure, "{}", text(&output));
}

#[test]
fn chronyd_asks_us() {
    let Some(program) = unpacked("chrony/usr/sbin/chronyd") else { return };
    let server = OurServer::start();
    // Its pid file is a file of this test's own: chronyd removes what that names when it ends, whatever it is.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chrony.conf");
    let pid = directory.path().join("pid");
    let server_line = format!("server 127.0.0.1 port {} iburst maxsamples 4", server.address.port());
    std::fs::write(&path, format!("{server_line}\ncmdport 0\npidfile {}\n", pid.display())).unwrap();
    let output = Command::new("setpriv")
        .args(["--bounding-set=-sys_time", "--inh-caps=-sys_time"])
        .arg(program)
        .args(["-Q", "-t", "15", "-u", &user(), "-f"])
        .arg(&path)
        .output()
        .unwrap();
    let said = text(&output);
    let wrong = said.lines().find_map(|line| line.split_once("System clock wrong by ")).map(|(_, rest)| rest);
    let seconds: f64 = wrong.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(f64::NAN);
    assert!(seconds.abs() < NOTHING, "{said}");
}

#[test]
fn ntpdig_asks_us() {
    let Some(program) = unpacked("ntpsec-ntpdig/usr/bin/ntpdig") else { return };
    let Some(library) = unpacked("ntpsec-ntpdig/usr/lib") else { return };
    if !has_namespaces() {
        return;
    }
    let script = format!(
        "{} --listen 127.0.0.1:123 --stratum 3 --user root >/dev/null 2>&1 & sleep 1
         export LD_LIBRARY_PATH=$(dirname $(find {library} -name libntpc.so)) PYTHONPATH={library}/python3/dist-packages
         python3 {} --json 127.0.0.1",
        env!("CARGO_BIN_EXE_ntp-serve"),
        program.display(),
        library = library.display()
    );
    let output = shell(&script).output().unwrap();
    let objects = objects(&output);
    let answer = objects.first().unwrap_or_else(|| panic!("{}", text(&output)));
    assert_eq!(answer["stratum"], 3, "{answer}");
    assert!(answer["offset"].as_f64().unwrap().abs() < NOTHING, "{answer}");
}

#[test]
fn ntplib_asks_us() {
    let Some(library) = unpacked("python3-ntplib/usr/lib/python3/dist-packages") else { return };
    let server = OurServer::start();
    for version in [1, 2, 3, 4] {
        let script = format!(
            "import ntplib
answer = ntplib.NTPClient().request('127.0.0.1', port={}, version={version})
assert answer.version == {version} and answer.mode == 4 and answer.stratum == 1 and answer.leap == 0, vars(answer)
print(answer.offset, answer.delay)",
            server.address.port()
        );
        let output = Command::new("python3").arg("-c").arg(script).env("PYTHONPATH", &library).output().unwrap();
        let said = text(&output);
        let offset: f64 = said.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(f64::NAN);
        assert!(output.status.success() && offset.abs() < NOTHING, "{said}");
    }
}
