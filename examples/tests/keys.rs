//! Symmetric keys as the users of the binaries meet them: a server that demands one, and clients that have it or do not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // helpers of tests
#![cfg(target_os = "linux")]

mod serving;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use serving::Serve;

/// A server that answers nobody without a key.
fn serve(keys: &Path) -> Serve {
    Serve::start(&["--stratum", "3", "--require-key", "--keys", keys.to_str().unwrap()])
}

/// A directory with the keys of both sides, others' under the same ids, and the first for everybody to read.
fn keys() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text, mode) in [
        ("right", "1 SHA1 a-shared-secret\n2 AES128CMAC 2b7e151628aed2a6abf7158809cf4f3c\n", 0o600),
        ("wrong", "1 SHA1 another-secret\n2 AES128CMAC 3b7e151628aed2a6abf7158809cf4f3c\n", 0o600),
        ("open", "1 SHA1 a-shared-secret\n2 TIGER x\n", 0o644),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    directory
}

/// Whether `ntp-query` got time, and all it said.
fn query(server: &str, arguments: &[&str], directory: &Path) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ntp-query"));
    let output = command.args(["--timeout", "0.5", server]).args(arguments).current_dir(directory).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn a_query_gets_time_with_the_key_and_the_reason_without() {
    let directory = keys();
    let serve = serve(&directory.path().join("right"));
    let server = serve.address.to_string();
    for (arguments, is_good, reason) in [
        (&["--keys", "right", "--key", "1"][..], true, "1 of 1 agree"),
        (&["--keys", "right", "--key", "2", "--ntp-version", "3"], true, "1 of 1 agree"),
        (&["--keys", "wrong", "--key", "1"], false, "crypto-NAK"),
        (&[], false, "no answer"),
        (&["--keys", "right", "--key", "9"], false, "ntp-query: no key 9 in right"),
        (&["--keys", "missing", "--key", "1"], false, "ntp-query: keys: cannot open missing: No such file"),
        (&["--keys", "open", "--key", "1"], true, "open: keys that everybody can read or write are no secret"),
        (&["--keys", "open", "--key", "2"], false, "line 2: unknown key type `TIGER`"),
        (&["--key", "1"], false, "--keys"),
    ] {
        let (succeeded, text) = query(&server, arguments, directory.path());
        assert!(succeeded == is_good && text.contains(reason), "{arguments:?}: {text}");
    }
    let (_, printed) = serve.stop();
    assert!([", signed 3\n", "crypto_naks", "unsigned"].iter().all(|words| printed.contains(words)), "{printed}");
}

#[test]
fn a_server_that_would_answer_nobody_does_not_start() {
    let directory = keys();
    fs::write(directory.path().join("none"), "2 TIGER x\n").unwrap();
    let output = Command::new("timeout")
        .args(["10", env!("CARGO_BIN_EXE_ntp-serve"), "--listen", "127.0.0.1:0", "--keys", "none", "--require-key"])
        .current_dir(directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("line 1: unknown key type `TIGER`"), "{said}");
    assert!(
        said.ends_with("ntp-serve: no usable key in none: with --require-key nobody would be answered\n"),
        "{said}"
    );
}

/// Runs `ntp-agent` for some seconds; whether it was synchronised at the end, and what it said.
fn agent(arguments: &[&str], directory: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ntp-agent"))
        .args(["--json", "--iburst", "--minpoll", "-2", "--maxpoll", "0", "--duration", "4"])
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn an_agent_is_told_of_keys_by_its_arguments_or_by_a_file() {
    let directory = keys();
    let serve = serve(&directory.path().join("right"));
    let server = serve.address.to_string();
    let line = format!("server 127.0.0.1 port {} ", serve.address.port());
    fs::write(directory.path().join("chrony.conf"), format!("{line} key 2 xleave\nkeyfile chrony.keys\n")).unwrap();
    fs::write(directory.path().join("chrony.keys"), "2 AES128 HEX:2b7e151628aed2a6abf7158809cf4f3c\n").unwrap();
    for (arguments, is_good, said) in [
        (&["--server", &server, "--keys", "right", "--key", "1"][..], true, "synchronised"),
        (&["--server", &server, "--keys", "wrong", "--key", "1"], false, "crypto-NAK"),
        (&["--config", "chrony.conf"], true, "synchronised"),
        // The key of --keys comes before that of the file's own.
        (&["--config", "chrony.conf", "--keys", "wrong"], false, "crypto-NAK"),
    ] {
        let (synchronized, text) = agent(arguments, directory.path());
        assert!(synchronized == is_good && text.contains(said), "{arguments:?}: {text}");
    }
}

/// Nobody who asked for a key is served without.
#[test]
fn a_server_whose_key_cannot_be_had_is_not_asked() {
    let directory = keys();
    for (name, text, reason) in [
        ("ntp.conf", "server 127.0.0.1 key 1\nkeys right\ntrustedkey 2\n", "key 1 is not among those of trustedkey"),
        ("ntp.conf", "server 127.0.0.1 key 7\nkeys right\ntrustedkey 7\n", "no key 7 in right"),
        ("chrony.conf", "server 127.0.0.1 key 1\n", "no key file is named"),
        ("chrony.conf", "server 127.0.0.1 key 1\nkeyfile missing\n", "keys: cannot open missing"),
    ] {
        fs::write(directory.path().join(name), text).unwrap();
        let (synchronized, said) = agent(&["--config", name], directory.path());
        assert!(!synchronized && said.contains("not asked without its key"), "{text}: {said}");
        assert!(said.contains("no server to follow") && said.contains(reason), "{text}: {said}");
        assert!(said.lines().all(|line| serde_json::from_str::<Value>(line).map_or(true, |it| it["type"] != "source")));
    }
}
