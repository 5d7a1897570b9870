//! Which of the provider's regions the machine stands in, where the hypervisor or cloud-init says so.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use crate::{Domain, Guest, Situation};

/// A region that somebody named.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegionHint {
    /// The region as it was named: `DFW`, `dfw`, `us-east-1`.
    pub region: String,
    /// Who named it.
    pub origin: &'static str,
}

/// Asks whoever may know below `root`: cloud-init's instance data, then, in a guest, the hypervisor's xenstore, which gets `patience`
/// to answer. Takes root for xenstore; without, it is as if nobody knew.
#[must_use]
pub fn find_region(root: &Path, situation: Situation, patience: Duration) -> Option<RegionHint> {
    let instance_data = atomic_file::read(root.join("run/cloud-init/instance-data.json")).ok();
    instance_data.and_then(|json| region_of_instance_data(&json)).or_else(|| match situation.guest {
        Guest::Xen { domain: Domain::DomU, .. } => ask_xenstore(root, patience),
        _ => None,
    })
}

/// On a thread of its own, which is left behind when nobody answers.
fn ask_xenstore(root: &Path, patience: Duration) -> Option<RegionHint> {
    // A plain file is not written into; only below `/proc` the device looks like one.
    let is_device = |path: &PathBuf| path.ends_with("proc/xen/xenbus") || !path.is_file();
    let paths = ["dev/xen/xenbus", "proc/xen/xenbus"].map(|path| root.join(path));
    let device = paths.into_iter().find(|path| path.exists() && is_device(path))?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut device = OpenOptions::new().read(true).write(true).open(device).ok()?;
        sender.send(region_of_xenstore(&mut device).ok()?).ok()
    });
    receiver.recv_timeout(patience).ok()
}

/// The key under which Rackspace's hypervisors name the region to their guests, as `dfw` or `DFW`; relative to the guest's own
/// part of the store.
///
/// Source: Facter's `rackspace.rb` (fact `rsc_region`), Ohai's Rackspace plugin and the RackConnect scripts of Rackspace read
/// it with `xenstore-read`.
const XENSTORE_KEY: &[u8] = b"vm-data/provider_data/region\0";

/// Message types of the xenstore protocol (`xs_wire.h`).
const XS_READ: u32 = 2;
const XS_ERROR: u32 = 16;
/// Longest payload of a message (XENSTORE_PAYLOAD_MAX).
const XS_PAYLOAD_MAX: u32 = 4096;

/// Why xenstore names no region.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum XenstoreError {
    /// The device could not be written or read.
    #[error("xenstore: {0}")]
    Io(#[from] io::Error),
    /// The store refused: `ENOENT` where it has no such key.
    #[error("xenstore has no region: {0}")]
    Refused(String),
    /// The answer is none to the question.
    #[error("xenstore answered with a message of type {kind} and {length} octets")]
    Malformed {
        /// Its type.
        kind: u32,
        /// Octets that it announced.
        length: u32,
    },
}

/// Asks xenstore for the region over an open `/dev/xen/xenbus`.
///
/// The device blocks while no xenstore daemon answers: ask from a thread that may be left behind, and never in dom0.
///
/// # Errors
/// [`XenstoreError`].
pub fn region_of_xenstore(device: &mut (impl Read + Write)) -> Result<RegionHint, XenstoreError> {
    let length = u32::try_from(XENSTORE_KEY.len()).unwrap_or(XS_PAYLOAD_MAX);
    // Header: type, request id, transaction id, length; in the machine's byte order.
    let request = [XS_READ, 0, 0, length].map(u32::to_ne_bytes).concat();
    device.write_all(&[request.as_slice(), XENSTORE_KEY].concat())?;
    let mut word = || -> io::Result<u32> {
        let mut bytes = [0; 4];
        device.read_exact(&mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    };
    let (kind, _, _, length) = (word()?, word()?, word()?, word()?);
    if !(kind == XS_READ || kind == XS_ERROR) || length > XS_PAYLOAD_MAX {
        return Err(XenstoreError::Malformed { kind, length });
    }
    let mut payload = Vec::new();
    if device.take(u64::from(length)).read_to_end(&mut payload)? != usize::try_from(length).unwrap_or(0) {
        return Err(XenstoreError::Malformed { kind, length });
    }
    // Rackspace's own scripts for Windows take quotes off, as of text written for JSON.
    let text = String::from_utf8_lossy(&payload).trim_end_matches('\0').trim().trim_matches('"').to_string();
    match kind {
        XS_READ if !text.is_empty() => Ok(RegionHint { region: text, origin: "xenstore" }),
        _ => Err(XenstoreError::Refused(text)),
    }
}

/// The region that cloud-init's `/run/cloud-init/instance-data.json` names: its standard `v1.region`, or else a string
/// called `region` in the provider's own data.
#[must_use]
pub fn region_of_instance_data(json: &[u8]) -> Option<RegionHint> {
    let data: serde_json::Value = serde_json::from_slice(json).ok()?;
    let standard = data.pointer("/v1/region").and_then(serde_json::Value::as_str).filter(|text| !text.is_empty());
    let region = standard.or_else(|| data.get("ds").and_then(named_region))?;
    Some(RegionHint { region: region.to_string(), origin: "cloud-init" })
}

/// The first string called `region`, the nearest to the top of those met in order.
fn named_region(data: &serde_json::Value) -> Option<&str> {
    match data {
        serde_json::Value::Object(members) => {
            let here = members.get("region").and_then(serde_json::Value::as_str).filter(|text| !text.is_empty());
            here.or_else(|| members.values().find_map(named_region))
        }
        serde_json::Value::Array(items) => items.iter().find_map(named_region),
        _ => None,
    }
}
