//! Who takes part: bare echoes, `ntp-serve`, and other people's servers where they are installed.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A server under load. Ends with this value.
#[derive(Debug)]
pub struct Contestant {
    /// Its name in the table.
    pub name: &'static str,
    /// Where it is asked.
    pub address: SocketAddr,
    /// It returns what it gets.
    pub is_echo: bool,
    child: Child,
    /// The process that serves; it may have children that do.
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

/// Starts everyone that is there, on `ip` (openntpd, which knows port 123 only, as ntpsec's does, on `second`); says who is not,
/// and why. `directory` takes their files.
#[must_use]
pub fn start(directory: &Path, ip: IpAddr, second: IpAddr) -> Vec<Contestant> {
    let mut field = Vec::new();
    match compile_echo(directory) {
        Ok(echo) => {
            let echo = echo.to_string_lossy().into_owned();
            let host = ip.to_string();
            field.extend(launch("echo, batches", (ip, 11_001), true, &[&echo, &host, "11001", "many"]));
            field.extend(launch("the same once more", (ip, 11_011), true, &[&echo, &host, "11011", "many"]));
            field.extend(launch("echo, packet info", (ip, 11_012), true, &[&echo, &host, "11012", "info"]));
            field.extend(launch("echo, single", (ip, 11_002), true, &[&echo, &host, "11002"]));
        }
        Err(reason) => println!("no echo: {reason}"),
    }
    match ntp_serve() {
        Some(serve) => field.extend(ours(directory, &serve.to_string_lossy(), ip)),
        None => println!("no ntp-serve: run `cargo build --release -p ntp-examples --bin ntp-serve` first"),
    }
    field.extend(rtimed(ip));
    field.extend(start_chronyd(directory, "chronyd", ip, 11_007, ""));
    field.extend(start_chronyd(directory, "chronyd, noclientlog", ip, 11_005, "noclientlog\n"));
    field.extend(ntpd(directory, ip));
    field.extend(openntpd(directory, second));
    field
}

/// `ntp-serve` without anything; with rules, rate limit, ceiling and packet info; and with all of that and 10⁵ rules.
fn ours(directory: &Path, serve: &str, ip: IpAddr) -> impl Iterator<Item = Contestant> {
    let listen = SocketAddr::from((ip, 11_003)).to_string();
    let list = directory.join("refused");
    let refused: String = (0..100_000_u32)
        .map(|turn| format!("{}/24\n", Ipv4Addr::from(turn.wrapping_mul(2_654_435_761) & 0x3fff_ff00 | 0x4000_0000)))
        .collect();
    let refuse = format!("@{}", list.display());
    let many = fs::write(&list, refused).ok().map(|()| ["--refuse", &*refuse]);
    let basic = [serve, "--user", "root", "--stratum", "5", "--listen"];
    let policy = "--allow 0.0.0.0/0 --deny 192.0.2.0/24 --rate-limit 60000/2000000 --ceiling 1000000";
    let plain: Vec<&str> = basic.into_iter().chain([&*listen]).collect();
    let full: Vec<&str> = basic.into_iter().chain(["0.0.0.0:11004"]).chain(policy.split(' ')).collect();
    let crowded = [serve, "--user", "root", "--stratum", "5", "--listen", "0.0.0.0:11010"];
    let crowded: Vec<&str> = crowded.into_iter().chain(policy.split(' ')).chain(many.into_iter().flatten()).collect();
    let plain = launch("ntp-serve, plain", (ip, 11_003), false, &plain);
    let full = launch("ntp-serve, full", (ip, 11_004), false, &full);
    plain.into_iter().chain(full).chain(launch("ntp-serve, full, 10⁵ rules", (ip, 11_010), false, &crowded))
}

/// `ntp-serve` and chronyd with all that interleaved answers take.
#[must_use]
pub fn start_interleaved(directory: &Path, ip: IpAddr) -> Vec<Contestant> {
    let mut field = Vec::new();
    if let Some(serve) = ntp_serve() {
        let (serve, listen) = (serve.to_string_lossy(), SocketAddr::from((ip, 11_006)).to_string());
        let arguments = [&serve, "--user", "root", "--stratum", "5", "--interleaved", "--listen", &*listen];
        field.extend(launch("ntp-serve", (ip, 11_006), false, &arguments));
    }
    field.extend(start_chronyd(directory, "chronyd", ip, 11_009, ""));
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

fn start_chronyd(directory: &Path, name: &'static str, ip: IpAddr, port: u16, more: &str) -> Option<Contestant> {
    let program = program("chrony", "/usr/sbin/chronyd")?;
    let (config, pid) = (directory.join(format!("chrony.{port}")), directory.join(format!("chronyd.{port}.pid")));
    let text = format!("local stratum 5\nallow\nport {port}\ncmdport 0\nbindcmdaddress /\nuser root\n{more}");
    fs::write(&config, format!("{text}pidfile {}\n", pid.display())).ok()?;
    launch(name, (ip, port), false, &[&program, "-x", "-d", "-f", &config.to_string_lossy()])
}

/// ntpsec's: it has no option for the port, so it takes part as root only. It limits every client's rate unless told not to.
fn ntpd(directory: &Path, ip: IpAddr) -> Option<Contestant> {
    let program = program("ntpsec", "/usr/sbin/ntpd")?;
    let config = directory.join("ntp.conf");
    let text = "unrestrict default limited kod\ndisable monitor\nmru maxmem 0\ninterface ignore wildcard\n";
    fs::write(&config, format!("{text}interface listen {ip}\n")).ok()?;
    launch("ntpd of ntpsec", (ip, 123), false, &[&program, "-n", "-g", "-c", &config.to_string_lossy()])
}

/// The daemon of rusty_time: `cargo install rusty_time-daemon --root $NTP_PEERS/rusty_time`.
fn rtimed(ip: IpAddr) -> Option<Contestant> {
    let program = program("rusty_time", "/bin/rtimed")?;
    let bind = SocketAddr::from((ip, 11_008)).to_string();
    let arguments = [&*program, "serve", "--no-ratelimit", "--stratum", "5", "--bind", &bind];
    launch("rtimed of rusty_time", (ip, 11_008), false, &arguments)
}

/// It wants a user and a directory of its own, which it gets in a namespace of mounts.
fn openntpd(directory: &Path, ip: IpAddr) -> Option<Contestant> {
    let program = program("openntpd", "/usr/sbin/ntpd")?;
    let (config, state) = (directory.join("openntpd.conf"), directory.join("openntpd"));
    fs::write(&config, format!("listen on {ip}\n")).ok()?;
    for made in ["openntpd/run", "openntpd/db", "home"] {
        fs::create_dir_all(state.join(made)).ok()?;
    }
    let user = format!("ntpd:x:65533:65533::{}:/bin/false\n", state.join("home").display());
    for (name, line) in [("passwd", &*user), ("group", "ntpd:x:65533:\n")] {
        fs::write(state.join(name), fs::read_to_string(format!("/etc/{name}")).ok()? + line).ok()?;
    }
    let (state, config) = (state.display(), config.display());
    let script = format!(
        "mount --bind {state}/passwd /etc/passwd && mount --bind {state}/group /etc/group && \
         mount --bind {state} /var/lib && exec {program} -d -f {config}"
    );
    launch("openntpd", (ip, 123), false, &["unshare", "--mount", "sh", "-c", &script])
}

/// What stands before every server's command: its core, no right to set the clock, and (as the load too) precedence over
/// whatever else runs here.
fn prelude() -> Vec<&'static str> {
    let is_root = fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("Uid:\t0"));
    let mut words = Vec::new();
    if is_root {
        words.extend(["setpriv", "--bounding-set=-sys_time", "--inh-caps=-sys_time"]);
    }
    words.extend(precedence());
    words.extend(["taskset", "-c", SERVER_CORE]);
    words
}

/// The words that give a command precedence over whatever else runs here, where that is allowed.
#[must_use]
pub fn precedence() -> &'static [&'static str] {
    let may = Command::new("chrt").args(["--fifo", "1", "true"]).stderr(Stdio::null()).status();
    if may.is_ok_and(|status| status.success()) {
        &["chrt", "--fifo", "1"]
    } else {
        &[]
    }
}

/// Starts a server and sees that it lives.
fn launch(name: &'static str, address: (IpAddr, u16), is_echo: bool, arguments: &[&str]) -> Option<Contestant> {
    // Each of the words before becomes the next and in the end the server, so that the child is the process that serves.
    let mut words = prelude().into_iter().chain(arguments.iter().copied());
    let mut command = Command::new(words.next()?);
    let spawned = command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
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
    Some(Contestant { name, address: address.into(), is_echo, child, process })
}
