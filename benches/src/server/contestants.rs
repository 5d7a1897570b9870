//! Who takes part: bare echoes, `ntp-serve`, and other people's servers where they are installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A server under load. Ends with this value.
#[derive(Debug)]
pub struct Contestant {
    /// Its name in the table.
    pub name: &'static str,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// It returns what it gets.
    pub is_echo: bool,
    child: Child,
    /// The process that serves.
    pub process: u32,
}

impl Drop for Contestant {
    fn drop(&mut self) {
        // What it leaves behind when it has ended already is its own business.
        let _ = Command::new("kill").arg(self.process.to_string()).stderr(Stdio::null()).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The core of every server; the load has the other.
pub const SERVER_CORE: &str = "0";

const ECHO: &str = include_str!("echo.c");

/// Starts everyone that is there; says who is not, and why. `directory` takes their files.
#[must_use]
pub fn start(directory: &Path) -> Vec<Contestant> {
    let mut field = Vec::new();
    match compile_echo(directory) {
        Ok(echo) => {
            let echo = echo.to_string_lossy().into_owned();
            field.extend(launch("echo, batches", 11_001, true, &[&echo, "127.0.0.1", "11001", "many"]));
            field.extend(launch("echo, single", 11_002, true, &[&echo, "127.0.0.1", "11002"]));
        }
        Err(reason) => println!("no echo: {reason}"),
    }
    match ntp_serve() {
        Some(serve) => {
            let serve = serve.to_string_lossy().into_owned();
            field.extend(launch(
                "ntp-serve, plain",
                11_003,
                false,
                &[&serve, "--user", "root", "--listen", "127.0.0.1:11003", "--stratum", "5"],
            ));
            field.extend(launch(
                "ntp-serve, full",
                11_004,
                false,
                &[
                    &serve,
                    "--user",
                    "root",
                    "--listen",
                    "0.0.0.0:11004",
                    "--stratum",
                    "5",
                    "--allow",
                    "0.0.0.0/0",
                    "--deny",
                    "192.0.2.0/24",
                    "--rate-limit",
                    "60000/60000",
                    "--ceiling",
                    "1000000",
                ],
            ));
        }
        None => println!("no ntp-serve: run `cargo build --release -p ntp-examples --bin ntp-serve` first"),
    }
    field.extend(chronyd(directory));
    field.extend(ntpd(directory));
    field
}

fn compile_echo(directory: &Path) -> Result<PathBuf, String> {
    let (source, program) = (directory.join("echo.c"), directory.join("echo"));
    fs::write(&source, ECHO).map_err(|error| error.to_string())?;
    let status = Command::new("cc").args(["-O2", "-o"]).args([&program, &source]).status();
    match status {
        Ok(status) if status.success() => Ok(program),
        Ok(status) => Err(format!("cc: {status}")),
        Err(error) => Err(format!("cc: {error}")),
    }
}

/// The binary beside this bench: `target/release/ntp-serve`.
fn ntp_serve() -> Option<PathBuf> {
    let here = std::env::current_exe().ok()?;
    Some(here.parent()?.parent()?.join("ntp-serve")).filter(|path| path.exists())
}

/// A peer's program: below `$NTP_PEERS/<package>` as unpacked by `dpkg -x`, or installed.
fn program(package: &str, path: &str) -> Option<String> {
    let unpacked = std::env::var("NTP_PEERS").ok().map(|root| format!("{root}/{package}{path}"));
    let found = unpacked.into_iter().chain([path.to_owned()]).find(|path| Path::new(path).exists());
    if found.is_none() {
        println!("no {package}: neither {path} nor $NTP_PEERS/{package}{path} is there");
    }
    found
}

fn chronyd(directory: &Path) -> Option<Contestant> {
    let program = program("chrony", "/usr/sbin/chronyd")?;
    let config = directory.join("chrony.conf");
    let pid = directory.join("chronyd.pid");
    let text = "local stratum 5\nallow\nport 11005\ncmdport 0\nbindcmdaddress /\nnoclientlog\nuser root\n";
    fs::write(&config, format!("{text}pidfile {}\n", pid.display())).ok()?;
    launch("chronyd, noclientlog", 11_005, false, &[&program, "-x", "-d", "-f", &config.to_string_lossy()])
}

/// ntpsec's: it has no option for the port, so it takes part as root and on 123 only.
fn ntpd(directory: &Path) -> Option<Contestant> {
    let program = program("ntpsec", "/usr/sbin/ntpd")?;
    let config = directory.join("ntp.conf");
    let text = "server 127.127.1.0\nfudge 127.127.1.0 stratum 5\nrestrict default\ndisable ntp monitor\nmru maxmem 0\n";
    fs::write(&config, text).ok()?;
    launch("ntpd of ntpsec", 123, false, &[&program, "-n", "-g", "-c", &config.to_string_lossy()])
}

/// Starts a server on its core, without the right to set the clock, and sees that it lives.
fn launch(name: &'static str, port: u16, is_echo: bool, arguments: &[&str]) -> Option<Contestant> {
    let is_root = fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("Uid:\t0"));
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-sys_time", "--inh-caps=-sys_time", "taskset", "-c", SERVER_CORE]);
        command
    } else {
        let mut command = Command::new("taskset");
        command.args(["-c", SERVER_CORE]);
        command
    };
    // taskset and setpriv become the server, so that the child is the process that serves.
    let spawned = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            println!("no {name}: {error}");
            return None;
        }
    };
    std::thread::sleep(std::time::Duration::from_millis(700));
    if let Ok(Some(status)) = child.try_wait() {
        println!("no {name}: it ended at once, {status}");
        return None;
    }
    let process = child.id();
    Some(Contestant { name, port, is_echo, child, process })
}
