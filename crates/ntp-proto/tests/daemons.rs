//! MACs against a real daemon: chronyd reads a key file with a key of every type, answers our authenticated requests, and
//! its answers' MACs hold. `.ci/fetch-daemons` brings the daemon; without it the test says so and passes.
#![cfg(all(feature = "md5", feature = "sha1", feature = "sha2", feature = "sha3", feature = "cmac"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // how a test fails

use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ntp_proto::keys::{Dialect, Keys};
use ntp_proto::mac::{Algorithm, Key};
use ntp_proto::{ClientRequest, Packet, Version};
use ntp_types::NtpTimestamp;

/// Where `.ci/fetch-daemons` puts what it fetches.
fn chronyd() -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let daemons = std::env::var_os("NTP_TEST_DAEMONS").map_or_else(|| target.join("daemons"), PathBuf::from);
    Some(daemons.join("chrony/usr/sbin/chronyd")).filter(|path| path.exists())
}

/// A daemon that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn chronyd_and_we_agree_on_every_key_type() {
    let Some(chronyd) = chronyd() else {
        println!("skipped: no chronyd; .ci/fetch-daemons fetches it");
        return;
    };
    let folder = std::env::temp_dir().join(format!("ntp-proto-daemons-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let mut file = String::from("# a key of every type\n");
    for (id, algorithm) in (1..).zip(Algorithm::ALL) {
        let length = algorithm.secret_length().unwrap_or(24);
        let digits: String = (0..length).map(|octet| format!("{:02X}", octet * 7 + id)).collect();
        file += &format!("{id} {algorithm} HEX:{digits}\n");
    }
    file += "100 hyacinth\n101 MD5 ASCII:cro#cus\n";
    fs::write(folder.join("keys"), &file).unwrap();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let configuration = format!(
        "port {port}\nbindaddress 127.0.0.1\ncmdport 0\nlocal stratum 3\nallow\nkeyfile {0}/keys\npidfile {0}/pid\n",
        folder.display()
    );
    fs::write(folder.join("conf"), configuration).unwrap();
    // -x: it never touches the clock. -U: it needs no privileges.
    let daemon = Command::new(chronyd)
        .args(["-x", "-U", "-d", "-u", "root", "-f"])
        .arg(folder.join("conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _daemon = Running(daemon.unwrap());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(250))).unwrap();
    wait_until_it_answers(&socket);

    let mut agreed = Vec::new();
    for entry in Keys::new(Dialect::Chrony, file.as_bytes()).map(Result::unwrap) {
        let key = entry.key().unwrap();
        for version in [Version::V3, Version::V4] {
            let answer = ask(&socket, version, entry.id.get(), &key).unwrap_or_else(|| panic!("{entry:?}: no answer"));
            let packet = Packet::parse(&answer).unwrap();
            let mac = packet.mac().unwrap_or_else(|| panic!("{entry:?}: answered without a MAC"));
            assert_eq!((mac.key_id, packet.version()), (entry.id.get(), version));
            key.verify(version, packet.authenticated(), mac.digest).unwrap();
            agreed.push((entry.algorithm, version));
        }
        // With another secret there is no answer to be trusted.
        let secret = vec![0x55; entry.algorithm.secret_length().unwrap_or(24)];
        let wrong = Key::new(entry.algorithm, &secret).unwrap();
        let answer = ask(&socket, Version::V4, entry.id.get(), &wrong);
        assert!(!answer.is_some_and(|answer| Packet::parse(&answer).unwrap().mac().is_some()), "{entry:?}");
    }
    println!("agreed {} times: {agreed:?}", agreed.len());
    fs::remove_dir_all(folder).unwrap();
}

/// The answer to a request authenticated with `key`, if one comes.
fn ask(socket: &UdpSocket, version: Version, key_id: u32, key: &Key) -> Option<Vec<u8>> {
    let nonce = NtpTimestamp::from_bits(0x1122_3344_0000_0000 | u64::from(key_id));
    let mut buffer = [0; 200];
    let request = ClientRequest::new(nonce).with_version(version).unwrap();
    let (writer, _pending) = request.begin(&mut buffer, socket.peer_addr().unwrap()).unwrap();
    let digest = key.packet_digest(version, writer.as_bytes());
    let length = writer.mac(key_id, digest.as_bytes()).unwrap();
    socket.send(&buffer[..length]).unwrap();
    let length = socket.recv(&mut buffer).ok()?;
    Some(buffer[..length].to_vec())
}

fn wait_until_it_answers(socket: &UdpSocket) {
    let (request, _) = ClientRequest::new(NtpTimestamp::from_bits(1)).start(socket.peer_addr().unwrap());
    let end = Instant::now() + Duration::from_secs(20);
    let mut buffer = [0; 200];
    while Instant::now() < end {
        // Before it listens, sending and receiving may fail at once.
        if socket.send(&request).is_ok() && socket.recv(&mut buffer).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("chronyd does not answer");
}
