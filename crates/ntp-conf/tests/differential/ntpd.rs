//! ntpd, both: its lexer's and its associations' debugging lines say what it takes.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use ntp_conf::{Association, Dialect, Document, Keyword, Kind};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use crate::{cases, distribution_files, unpacked, without_clock};

/// What a daemon makes of an association's line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Peer {
    /// 0.0.0.0 for a name that is still looked up.
    address: String,
    mode: u8,
    version: u8,
    polls: (i8, i8),
    flags: u32,
    key: u32,
}

/// Flags of ntp.h, the same in both, that options set.
const FLAGS: [(u32, Keyword); 5] = [
    (0x20, Keyword::Prefer),
    (0x40, Keyword::Burst),
    (0x100, Keyword::Iburst),
    (0x200, Keyword::NoSelect),
    (0x400, Keyword::True),
];

/// What we make of it.
fn expected(dialect: Dialect, association: &Association) -> Peer {
    let mode = match association.kind() {
        Kind::Peer if dialect == Dialect::Ntp => 1,
        Kind::Broadcast => 5,
        _ => 3,
    };
    let is_name = association.kind() == Kind::Pool || association.host().parse::<std::net::IpAddr>().is_err();
    let set = FLAGS.iter().filter(|(_, keyword)| association.has(*keyword));
    Peer {
        address: if is_name { "0.0.0.0".into() } else { association.host().into() },
        mode,
        version: association.version().unwrap_or(4),
        polls: association.poll_range(),
        flags: set.map(|(flag, _)| flag).sum(),
        key: association.key().unwrap_or(0),
    }
}

/// What a daemon takes from a file: the address of each association's line as its lexer cuts it, and the associations.
struct Taken {
    addresses: Vec<String>,
    peers: Vec<Peer>,
}

/// Runs ntpd on a file until it has read it; `None` when it cannot be run here.
fn run(program: &Path, file: &Path) -> Option<Taken> {
    // A namespace with nothing but its own loopback: what it sends goes nowhere.
    let mut inner = without_clock(program);
    inner.args(["-n", "-D", "4", "-c"]).arg(file).arg("-p").arg(file.with_extension("pid"));
    let mut command = Command::new("unshare");
    command.args(["-n", "--kill-child", "--fork"]).arg(inner.get_program()).args(inner.get_args());
    // Debian's ntp 4.2.8 brings libraries that this system no longer has.
    let libraries = program.ancestors().nth(3)?.join("usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
    command.env("LD_LIBRARY_PATH", libraries);
    // Debugging lines go to the one, messages to the other; only the first are read.
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let mut taken = Taken { addresses: Vec::new(), peers: Vec::new() };
    let mut command: Vec<(String, String)> = Vec::new();
    let mut has_ended = false;
    for line in BufReader::new(child.stdout.take()?).split(b'\n') {
        let line = String::from_utf8_lossy(&line.ok()?).into_owned();
        if let Some((lexeme, token)) = line.strip_prefix("yylex: lexeme '").and_then(|rest| rest.rsplit_once("' -> ")) {
            command.push((lexeme.into(), token.into()));
        } else if line.contains("<end of command>") {
            taken.addresses.extend(address(&command));
            command.clear();
        } else if let Some(peer) = line.strip_prefix("newpeer: ") {
            taken.peers.extend(parse_peer(peer));
        } else if line.contains("dump_restrict") || line.starts_with("local_clock") {
            has_ended = true;
            break;
        }
    }
    child.kill().ok()?;
    child.wait().ok()?;
    has_ended.then_some(taken)
}

fn address(command: &[(String, String)]) -> Option<String> {
    let (first, rest) = command.split_first()?;
    let is_ours = ["T_Server", "T_Pool", "T_Peer", "T_Broadcast", "T_Manycastclient"].contains(&first.1.as_str());
    let has_family = rest.first().is_some_and(|(_, token)| token.ends_with("_flag"));
    let mut rest = rest.iter().skip(usize::from(has_family));
    rest.next()
        .filter(|(lexeme, token)| is_ours && token == "T_String" && !lexeme.starts_with("127.127."))
        .map(|(text, _)| text.clone())
}

/// `<null>->192.0.2.1 mode 3 vers 4 poll 6 10 flags 0x1 0x1 ttl 0 key 00000000`.
fn parse_peer(line: &str) -> Option<Peer> {
    let words: Vec<&str> = line.split_once("->")?.1.split(' ').collect();
    let hexadecimal = |text: &str| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    Some(Peer {
        address: words[0].into(),
        mode: words[2].parse().ok()?,
        version: words[4].parse().ok()?,
        polls: (words[6].parse().ok()?, words[7].parse().ok()?),
        flags: hexadecimal(words[9])? & FLAGS.iter().map(|(flag, _)| flag).sum::<u32>(),
        key: hexadecimal(words[14])?,
    })
    .filter(|peer| !peer.address.starts_with("127.127."))
}

/// Files of random words behind addresses, many lines in each.
fn random_files() -> Vec<String> {
    let words = proptest::sample::select(vec![
        "iburst",
        "burst",
        "prefer",
        "noselect",
        "true",
        "xleave",
        "preempt",
        "nts",
        "noval",
        "minpoll",
        "maxpoll",
        "key",
        "version",
        "mode",
        "ttl",
        "bias",
        "ident",
        "ca",
        "bogus",
        "Iburst",
        "3",
        "4",
        "7",
        "12",
        "-1",
        "0",
        "0.5",
        "+4",
        "x",
        "\"iburst\"",
        "\"\"",
        "#",
        "=",
        ";",
        "\"4\"",
        "iburst#",
        "\"a",
        "4x",
        "prefer\"x\"",
        ",",
        "minpoll#",
        "\r",
    ]);
    let line = proptest::collection::vec(words, 0..6);
    let mut runner = TestRunner::deterministic();
    let mut line = |index: usize| {
        let words = line.new_tree(&mut runner).unwrap().current().join(" ");
        format!("server 10.0.{}.{} {words}\n", index / 250, index % 250 + 1)
    };
    (0..8).map(|_| (0..250).map(&mut line).collect()).collect()
}

fn compare(program: &Path, dialect: Dialect, files: &[(String, String)]) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let mut compared = 0;
    for (name, text) in files {
        let file = directory.path().join("ntp.conf");
        std::fs::write(&file, text).unwrap();
        let Some(taken) = run(program, &file) else {
            eprintln!("skipped: {} does not run here: it needs root for its namespace", program.display());
            return compared;
        };
        let document = Document::parse(dialect, text.as_bytes());
        let addresses: Vec<_> =
            document.associations().map(Association::address).filter(|text| !text.is_empty()).collect();
        assert_eq!(addresses, taken.addresses, "{dialect}, words of {name}:\n{text}");
        // What the daemons do after reading: ntp drops a server with Autokey, because no file here has a `crypto` line, and
        // makes the association of a name only when it has its address, which it never has here; ntpsec 1.2.2 reads
        // `cert` and drops the server, because it forgot the option ("Unknown peer/server option token T_Cert").
        let is_late =
            |found: &Association| found.kind() == Kind::Server && found.host().parse::<std::net::IpAddr>().is_err();
        let is_seen = |found: &&Association| match dialect {
            Dialect::Ntp => !(found.has(Keyword::Autokey) || is_late(found)),
            _ => !found.has(Keyword::Certificate),
        };
        let accepted = document.associations().filter(|found| found.is_accepted()).filter(is_seen);
        let ours: Vec<_> = accepted.map(|association| expected(dialect, association)).collect();
        let about = |peer: Option<&Peer>| {
            let line = text.lines().find(|line| peer.is_some_and(|peer| line.contains(&format!("{} ", peer.address))));
            line.unwrap_or(text).to_string()
        };
        for index in 0..ours.len().max(taken.peers.len()) {
            let (ours, theirs) = (ours.get(index), taken.peers.get(index));
            assert_eq!(ours, theirs, "{dialect}, ours and theirs of {name}:\n{}\n{}", about(ours), about(theirs));
        }
        compared += 1;
    }
    compared
}

fn files(default: Option<std::path::PathBuf>) -> Vec<(String, String)> {
    let mut files: Vec<_> =
        default.map(|path| ("Debian's own".to_string(), std::fs::read_to_string(path).unwrap())).into_iter().collect();
    files.extend(distribution_files("ntp"));
    files.extend(cases::NTP.iter().enumerate().map(|(index, text)| (format!("case {index}"), text.to_string())));
    files.extend(random_files().into_iter().map(|text| ("random".to_string(), text)));
    files
}

#[test]
fn ntp_reads_what_we_read() {
    let Some(program) = unpacked("ntp", "usr/sbin/ntpd") else { return };
    let files = files(unpacked("ntp", "etc/ntp.conf"));
    println!("{} of {} files compared", compare(&program, Dialect::Ntp, &files), files.len());
}

#[test]
fn ntpsec_reads_what_we_read() {
    let Some(program) = unpacked("ntpsec", "usr/sbin/ntpd") else { return };
    let files = files(unpacked("ntpsec", "etc/ntpsec/ntp.conf"));
    println!("{} of {} files compared", compare(&program, Dialect::Ntpsec, &files), files.len());
}
