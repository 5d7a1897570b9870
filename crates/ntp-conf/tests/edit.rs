//! Edits as an administrator sees them, warnings, and files on disk.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // tests

use std::path::Path;

use atomic_file::Outcome;
use ntp_conf::{
    ConfigError, ConfigFile, Configuration, Dialect, Document, InvalidSource, Keyword, KnownFile, NotIncluded,
    Replaced, SetSources, Source, Value, Warning,
};

fn servers(names: &[&str]) -> Vec<Source> {
    names.iter().map(|name| Source::server(name).unwrap().iburst()).collect()
}

fn set(dialect: Dialect, text: &str, names: &[&str], settings: &SetSources) -> String {
    let mut document = Document::parse(dialect, text.as_bytes());
    let _ = document.set_sources(&servers(names), settings).unwrap();
    String::from_utf8(document.to_bytes()).unwrap()
}

const COMMENT: SetSources = SetSources { replaced: Replaced::Comment, keep_options: false, peers: false };
const DELETE: SetSources = SetSources { replaced: Replaced::Delete, keep_options: false, peers: false };

#[test]
fn new_lines_stand_where_the_old_ones_stood() {
    let text = "# head\nserver a iburst\ndriftfile /d\n  pool b # why\npeer c\nserver 127.127.1.0\nfudge 127.127.1.0 stratum 10\n";
    let commented = "# head\nserver x iburst\nserver y iburst\n#ntp-conf# server a iburst\ndriftfile /d\n\
        #ntp-conf#   pool b # why\npeer c\nserver 127.127.1.0\nfudge 127.127.1.0 stratum 10\n";
    assert_eq!(set(Dialect::Ntp, text, &["x", "y"], &COMMENT), commented);
    let deleted = "# head\nserver x iburst\nserver y iburst\ndriftfile /d\npeer c\nserver 127.127.1.0\nfudge 127.127.1.0 stratum 10\n";
    assert_eq!(set(Dialect::Ntp, text, &["x", "y"], &DELETE), deleted);
    let peers = SetSources { peers: true, ..DELETE };
    assert!(!set(Dialect::Ntp, text, &["x", "y"], &peers).contains("peer"));
}

#[test]
fn a_named_server_keeps_its_line() {
    let text = "server   B  prefer   # mine\npool c\n";
    assert_eq!(
        set(Dialect::Chrony, "server   B  prefer   \npool c\n", &["a", "b"], &DELETE),
        "server   B  prefer   \nserver a iburst\n"
    );
    assert_eq!(set(Dialect::Ntp, text, &["b"], &DELETE), "server   B  prefer   # mine\n");
    assert_eq!(set(Dialect::Ntp, "server b\nserver a\n", &["a", "b"], &COMMENT), "server b\nserver a\n");
    assert_eq!(set(Dialect::Ntp, "server b.\n", &["b"], &COMMENT), "server b.\n");
    assert_eq!(
        set(Dialect::Ntpsec, "server [2001:db8::1]:123\n", &["2001:db8::1"], &COMMENT),
        "server [2001:db8::1]:123\n"
    );
    // A pool of that name is not the server.
    assert_eq!(set(Dialect::Ntp, "pool b\n", &["b"], &DELETE), "server b iburst\n");
    // A line the daemon does not take is none.
    assert_eq!(set(Dialect::Chrony, "server b bogus\n", &["b"], &DELETE), "server b iburst\n");
}

#[test]
fn without_servers_the_end_is_the_place() {
    assert_eq!(set(Dialect::Ntp, "", &["a"], &COMMENT), "server a iburst\n");
    assert_eq!(set(Dialect::Ntp, "driftfile /d", &["a"], &COMMENT), "driftfile /d\nserver a iburst\n");
    assert_eq!(set(Dialect::Ntp, "x\r\ny", &["a"], &COMMENT), "x\r\ny\r\nserver a iburst\r\n");
    assert_eq!(set(Dialect::Ntp, "#server a\n", &["a"], &COMMENT), "#server a\nserver a iburst\n");
    assert_eq!(set(Dialect::Ntp, "server b\r\nx\r\n", &["a"], &DELETE), "server a iburst\r\nx\r\n");
    assert_eq!(set(Dialect::Ntp, "server b", &["a"], &COMMENT), "server a iburst\n#ntp-conf# server b");
}

#[test]
fn options_may_be_kept() {
    let settings = SetSources { keep_options: true, ..DELETE };
    let text = "pool a minpoll 5 maxsources 3 key 7 iburst maxpoll 9\nserver b burst\n";
    assert_eq!(set(Dialect::Chrony, text, &["x"], &settings), "server x iburst minpoll 5 maxpoll 9\n");
}

#[test]
fn going_there_and_back_does_not_grow_the_file() {
    let mut document = Document::parse(Dialect::Ntp, b"pool a\n");
    let mut lengths = Vec::new();
    for _ in 0..4 {
        let _ = document.set_sources(&servers(&["x"]), &COMMENT).unwrap();
        let _ = document.set_sources(&servers(&["y"]), &COMMENT).unwrap();
        lengths.push(document.lines().len());
    }
    assert_eq!(lengths, [3, 4, 4, 4]);
}

#[test]
fn options_must_be_the_daemons() {
    let source = Source::server("a").unwrap().with(Keyword::Trust, Value::None);
    let mut document = Document::parse(Dialect::Ntp, b"server b\n");
    let error = document.set_sources(&[source], &COMMENT).unwrap_err();
    assert_eq!(error.to_string(), "ntp has no option `trust`");
    assert_eq!(document.to_bytes(), b"server b\n");
    for (keyword, value) in [
        (Keyword::Port, Value::Integer(70_000)),
        (Keyword::Port, Value::None),
        (Keyword::Iburst, Value::Integer(3)),
        (Keyword::Offset, Value::Text("1 prefer".into())),
        (Keyword::Offset, Value::Number(f64::NAN)),
        (Keyword::MinPoll, Value::Text("4\nserver evil".into())),
    ] {
        let source = Source::server("a").unwrap().with(keyword, value);
        let mut document = Document::parse(Dialect::Chrony, b"");
        assert!(matches!(document.add_sources(&[source]), Err(InvalidSource::Option { .. })), "{keyword}");
    }
    let source = Source::server("a")
        .unwrap()
        .with(Keyword::Offset, Value::Number(-1.5e-5))
        .with(Keyword::ExtensionField, Value::Integer(0xf323));
    let mut document = Document::parse(Dialect::Chrony, b"");
    assert_eq!(document.add_sources(&[source]).unwrap().added, ["server a offset -0.000015 extfield F323"]);
}

#[test]
fn texts_are_quoted_where_they_must_be() {
    let line = |text: &str| {
        let source = Source::server("a").unwrap().with(Keyword::CertificateAuthority, Value::Text(text.into()));
        let mut document = Document::parse(Dialect::Ntpsec, b"");
        document.add_sources(&[source]).map(|changes| changes.added[0].clone()).ok()
    };
    assert_eq!(line("/etc/ssl/certs").as_deref(), Some("server a ca /etc/ssl/certs"));
    for text in ["prefer", "3", "1.5", "a b", "a;b", "a#b", "x="] {
        assert_eq!(line(text), Some(format!("server a ca \"{text}\"")));
    }
    for text in ["", "a\"b", "a\nserver b", "a\rb", "caf\u{e9}"] {
        assert_eq!(line(text), None, "{text:?}");
    }
    let settings = SetSources { keep_options: true, ..DELETE };
    let text = "server 192.0.2.1 cert \"prefer\" iburst\n";
    assert_eq!(set(Dialect::Ntpsec, text, &["x"], &settings), "server x iburst cert \"prefer\"\n");
}

#[test]
fn names_are_checked() {
    for name in ["a", "time.dfw1.rackspace.com", "192.0.2.1", "2001:db8::1", "fe80::1%eth0", "a_b.c."] {
        assert!(Source::server(name).is_ok(), "{name}");
    }
    for name in
        ["", "-4", "a b", "a#b", "a\nserver b", "\"a\"", "a;b", "1:2", "fe80::1%", "127.127.1.0", "a=b", "caf\u{e9}"]
    {
        assert!(Source::server(name).is_err(), "{name}");
    }
    assert!(Source::server(&"a".repeat(254)).is_err());
}

#[test]
fn restricts_that_block_are_told() {
    let warnings = |dialect, rules: &str, source: Source| {
        let document = Document::parse(dialect, rules.as_bytes());
        document.warnings(&[source]).iter().map(Warning::to_string).collect::<Vec<_>>()
    };
    let server = || Source::server("a.example").unwrap();
    let pool = || Source::pool("a.example").unwrap();
    let address = || Source::server("192.0.2.1").unwrap();
    let none: [&str; 0] = [];
    assert_eq!(
        warnings(Dialect::Ntp, "restrict default ignore\n", server()),
        ["`restrict default` with `ignore` blocks a.example: it needs a `restrict a.example` line of its own"]
    );
    assert_eq!(warnings(Dialect::Ntp, "restrict default ignore\nrestrict a.example nomodify\n", server()), none);
    assert_eq!(warnings(Dialect::Ntp, "restrict default ignore\nrestrict source nomodify\n", pool()), none);
    assert_eq!(
        warnings(Dialect::Ntp, "restrict default ignore\nrestrict 192.0.2.0 mask 255.255.255.0\n", address()),
        none
    );
    assert_eq!(
        warnings(Dialect::Ntp, "restrict default ignore\nrestrict 192.0.3.0 mask 255.255.255.0\n", address()).len(),
        1
    );
    assert_eq!(
        warnings(Dialect::Ntp, "restrict 192.0.0.0 mask 255.255.0.0 noserve\nrestrict 192.0.2.1\n", address()),
        none
    );
    assert_eq!(warnings(Dialect::Ntpsec, "restrict -6 default noserve\n", address()), none);
    assert_eq!(warnings(Dialect::Ntpsec, "restrict -4 default noserve\n", address()).len(), 1);
    assert_eq!(warnings(Dialect::Ntpsec, "restrict -6 default noserve\n", server()).len(), 1);
    assert_eq!(warnings(Dialect::Ntp, "restrict default notrust\n", server()).len(), 1);
    assert_eq!(
        warnings(Dialect::Ntp, "restrict default notrust\n", server().with(Keyword::Key, Value::Integer(3))),
        none
    );
    assert_eq!(warnings(Dialect::Ntp, "restrict default kod nomodify nopeer noquery limited\n", server()), none);
    assert_eq!(warnings(Dialect::Ntpsec, "restrict default kod nomodify nopeer noquery limited\n", pool()), none);
    assert_eq!(warnings(Dialect::Ntp, "restrict default kod nomodify nopeer noquery limited\n", pool()).len(), 1);
    assert_eq!(warnings(Dialect::Chrony, "restrict default ignore\n", server()), none);
}

/// With Debian's settings for ntpsec the two servers of a region would never set the clock.
#[test]
fn too_few_servers_are_told() {
    let warnings = |dialect, text: &str| {
        let mut document = Document::parse(dialect, text.as_bytes());
        let wanted = ["a.example", "b.example"].map(|name| Source::server(name).unwrap());
        let changes = document.set_sources(&wanted, &SetSources::default()).unwrap();
        changes.warnings.iter().map(Warning::to_string).collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    assert_eq!(
        warnings(Dialect::Ntpsec, "tos minclock 4 minsane 3\npool 0.debian.pool.ntp.org iburst\n"),
        ["`tos minsane 3` keeps the clock from being set: this file names 2, too few"]
    );
    assert_eq!(
        warnings(Dialect::Chrony, "MinSources 3\n"),
        ["`minsources 3` keeps the clock from being set: this file names 2, too few"]
    );
    for text in [
        "tos minclock 3\n",
        "tos minsane 2\n",
        "tos minsane 3\ntos minsane 1\n",
        "tos minsane 3\npeer c\n",
        "tos minsane 3\nserver 127.127.28.0\nfudge 127.127.28.0 refid X\n",
        "tos minsane 3\nmanycastclient 239.1.1.1\n",
        "tos minsane many\n",
        "#tos minsane 3\n",
        "minsources 3\n",
    ] {
        assert_eq!(warnings(Dialect::Ntp, text), none, "{text}");
    }
    assert_eq!(warnings(Dialect::Ntp, "tos minsane 3\npeer c noselect\n").len(), 1);
    let mut document = Document::parse(Dialect::Ntp, b"tos minsane 2\nserver a\nserver b\n");
    let changes = document.remove_sources(Replaced::Comment, |found| found.address() == "b");
    assert_eq!(changes.warnings.len(), 1);
}

#[test]
fn includes_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    std::fs::create_dir_all(root.join("etc/ntp.d")).unwrap();
    std::fs::write(root.join("etc/ntp.conf"), "server a\nincludefile /etc/more\nincludefile /etc/missing\n").unwrap();
    std::fs::write(root.join("etc/more"), "server b iburst\nincludefile more\n").unwrap();
    std::fs::write(root.join("etc/ntp.d/z.conf"), "server c\n").unwrap();
    let path = root.join("etc/ntp.conf");
    let read = |dialect| Configuration::read_below(root, dialect, &path).unwrap();
    let addresses = |configuration: &Configuration| {
        configuration.associations().map(|found| found.address().to_string()).collect::<Vec<_>>().join(" ")
    };
    // The file that includes itself is read as deep as the daemon goes.
    let configuration = read(Dialect::Ntp);
    assert_eq!(addresses(&configuration), "a b b b b b");
    assert_eq!(configuration.included_associations().count(), 5);
    let problems: Vec<_> = configuration.not_included().iter().map(ToString::to_string).collect();
    assert!(problems[0].ends_with("is included more than 5 levels deep"), "{problems:?}");
    assert!(problems[1].ends_with("etc/missing does not exist"), "{problems:?}");
    assert_eq!(addresses(&read(Dialect::Ntpsec)), "a b b b b b c");

    // A directory that includes itself ends.
    std::fs::create_dir(root.join("etc/loop")).unwrap();
    for name in ["a", "b", "c", "d"] {
        std::fs::write(root.join(format!("etc/loop/{name}.conf")), "confdir /etc/loop\n").unwrap();
    }
    std::fs::write(root.join("etc/chrony.conf"), "confdir /etc/loop\n").unwrap();
    let configuration = Configuration::read_below(root, Dialect::Chrony, &root.join("etc/chrony.conf")).unwrap();
    assert_eq!(configuration.files().len(), 1000);
    let too_many = |problem: &&NotIncluded| matches!(problem, NotIncluded::TooMany { .. });
    assert_eq!(configuration.not_included().iter().filter(too_many).count(), 1);
}

#[test]
fn keys_are_found_where_the_daemon_finds_them() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    std::fs::create_dir_all(root.join("etc/more")).unwrap();
    let read = |dialect, text: &str| {
        std::fs::write(root.join("etc/conf"), text).unwrap();
        Configuration::read_below(root, dialect, &root.join("etc/conf")).unwrap()
    };
    std::fs::write(root.join("etc/more/conf"), "keys own.keys\ntrustedkey (7 ... 9)\n").unwrap();
    let configuration = read(Dialect::Ntp, "keys /etc/ntp.keys\ntrustedkey 1\nincludefile more/conf\n");
    assert_eq!(configuration.key_file(), Some(root.join("etc/more/own.keys").as_path()));
    assert_eq!([1, 6, 7, 8, 9, 10].map(|key| configuration.trusts(key)), [true, false, true, true, true, false]);

    let configuration = read(Dialect::Chrony, "keyfile /etc/chrony.keys\n");
    assert_eq!(configuration.key_file(), Some(root.join("etc/chrony.keys").as_path()));
    assert!(configuration.trusts(u32::MAX));
    let configuration = read(Dialect::Ntpsec, "server a key 3\n");
    assert_eq!((configuration.key_file(), configuration.trusts(3)), (None, false));
}

#[test]
fn files_are_found_by_distribution() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    assert_eq!(KnownFile::present(root).count(), 0);
    for path in ["etc/chrony/chrony.conf", "etc/ntpsec/ntp.conf", "run/ntpsec/ntp.conf.dhcp"] {
        std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        std::fs::write(root.join(path), "").unwrap();
    }
    let found: Vec<_> = KnownFile::present(root).collect();
    assert_eq!(
        found.iter().map(|file| file.path).collect::<Vec<_>>(),
        ["/etc/chrony/chrony.conf", "/etc/ntpsec/ntp.conf"]
    );
    assert_eq!(found[0].replacement_in(root), None);
    assert_eq!(found[1].replacement_in(root), Some(root.join("run/ntpsec/ntp.conf.dhcp")));
    for file in KnownFile::ALL {
        assert_eq!(Dialect::of_path(Path::new(file.path)), file.dialect, "{}", file.path);
        assert_eq!(KnownFile::of_path(Path::new(file.path)), Some(*file));
    }
    assert_eq!(Dialect::of_path(Path::new("/run/chrony-dhcp/eth0.sources")), Dialect::Chrony);
}

#[test]
fn files_are_written_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ntp.conf");
    assert!(matches!(ConfigFile::read(&path), Err(ConfigError::Missing { .. })));
    std::fs::write(&path, "pool a\n").unwrap();
    let mut file = ConfigFile::read(&path).unwrap();
    assert_eq!(file.save().unwrap(), Outcome::Unchanged);
    let _ = file.document_mut().set_sources(&servers(&["x"]), &COMMENT).unwrap();
    assert_eq!(file.save().unwrap(), Outcome::Replaced);
    assert_eq!(std::fs::read(&path).unwrap(), b"server x iburst\n#ntp-conf# pool a\n");
    // A second writer that read the old file is refused.
    assert!(file.save().is_err());
}
