//! Where servers and load meet: on loopback, or over a pair of virtual Ethernet interfaces between two namespaces.

use std::net::{IpAddr, Ipv4Addr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A network with the servers at one end and the load at the other.
#[derive(Debug)]
pub struct Network {
    /// Its name in the tables.
    pub name: &'static str,
    /// The servers' address.
    pub server: IpAddr,
    /// The address of a server that wants port 123 while another has it.
    pub second: IpAddr,
    /// The first of 2¹⁶ addresses that the load may ask from.
    pub first_client: Ipv4Addr,
    /// Keeps the load's namespace, if it has one of its own.
    far: Option<Child>,
}

impl Network {
    /// Both ends on loopback.
    #[must_use]
    pub fn loopback() -> Self {
        let at = |last| IpAddr::from([127, 0, 0, last]);
        Self { name: "loopback", server: at(1), second: at(2), first_client: [127, 1, 0, 0].into(), far: None }
    }

    /// A pair of interfaces, the far one in a namespace of its own. Takes the namespace this runs in as the near end.
    ///
    /// # Errors
    /// Why there is none.
    pub fn veth() -> Result<Self, String> {
        let keeper = Command::new("unshare").args(["--net", "sleep", "1800"]).stderr(Stdio::null()).spawn();
        let far = keeper.map_err(|error| format!("unshare: {error}"))?;
        let process = far.id().to_string();
        let at = |last| IpAddr::from([10, 99, 0, last]);
        let first_client = [10, 98, 0, 0].into();
        let network = Self { name: "veth", server: at(1), second: at(3), first_client, far: Some(far) };
        std::thread::sleep(Duration::from_millis(300));
        let near = [
            &*format!("link add near type veth peer name end netns {process}"),
            "address add 10.99.0.1/24 dev near",
            "address add 10.99.0.3/24 dev near",
            "link set near up",
            "route add 10.98.0.0/16 via 10.99.0.2",
        ];
        let end = [
            "link set lo up",
            "address add 10.99.0.2/24 dev end",
            "link set end up",
            "route add local 10.98.0.0/16 dev lo",
        ];
        near.into_iter().try_for_each(|words| ip(&[], words))?;
        end.into_iter().try_for_each(|words| ip(&network.enter(), words))?;
        // Until the link is up.
        std::thread::sleep(Duration::from_millis(300));
        Ok(network)
    }

    /// The words that run a command at the load's end.
    #[must_use]
    pub fn enter(&self) -> Vec<String> {
        let words =
            |far: &Child| ["nsenter", "--net", "--target"].map(String::from).into_iter().chain([far.id().to_string()]);
        self.far.as_ref().map(|far| words(far).collect()).unwrap_or_default()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(far) = &mut self.far {
            let _ = far.kill();
            let _ = far.wait();
        }
    }
}

/// `ip` with these words, behind a prefix.
fn ip(prefix: &[String], words: &str) -> Result<(), String> {
    let words = prefix.iter().map(String::as_str).chain(["ip"]).chain(words.split(' '));
    let words: Vec<&str> = words.collect();
    let output = Command::new(words[0]).args(&words[1..]).output().map_err(|error| format!("{words:?}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{words:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}
