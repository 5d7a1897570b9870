//! Guests of every kind as trees of files, and the real paths in a mount namespace.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // tests

use std::io::{Cursor, Read, Write};
use std::os::unix::fs::{symlink, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use atomic_file::Outcome;
use xen_wallclock::{
    enable, find_region, region_of_instance_data, region_of_xenstore, Domain, Edit, EnableError, Enabled, Facts, Guest,
    Mode, PersistError, Persistence, Situation, Target, WallClock, Warning,
};

/// A root with these files.
fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    root
}

const OLD_GUEST: &[(&str, &str)] = &[
    ("proc/sys/xen/independent_wallclock", "0\n"),
    ("proc/xen/capabilities", ""),
    ("proc/sys/kernel/osrelease", "2.6.18-398.el5xen\n"),
];

/// As a dom0 of Xen 4.17 with Linux 6.1 shows itself.
const MODERN_DOM0: &[(&str, &str)] = &[
    ("sys/hypervisor/type", "xen\n"),
    ("sys/hypervisor/guest_type", "PV\n"),
    ("sys/hypervisor/uuid", "00000000-0000-0000-0000-000000000000\n"),
    ("sys/hypervisor/properties/features", "000228f0\n"),
    ("proc/xen/capabilities", "control_d\n"),
    ("sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc xen \n"),
];

const MODERN_GUEST: &[(&str, &str)] = &[
    ("sys/hypervisor/type", "xen\n"),
    ("sys/hypervisor/guest_type", "HVM\n"),
    ("sys/hypervisor/uuid", "5f2c1a34-0000-4000-8000-000000000001\n"),
    ("sys/hypervisor/properties/features", "000026f5\n"),
    ("sys/class/dmi/id/sys_vendor", "Xen\n"),
];

#[test]
fn guests_are_told_apart() {
    let of = |files: &[(&str, &str)]| Situation::of(&Facts::read(root(files).path()));
    let xen = |mode, domain| Guest::Xen { mode, domain };
    let nothing = of(&[]);
    assert_eq!((nothing.guest, nothing.wall_clock), (Guest::NotXen, WallClock::NotXen));
    assert!(nothing.can_synchronize() && !nothing.has_switch());

    let old = of(OLD_GUEST);
    assert_eq!((old.guest, old.wall_clock), (xen(Some(Mode::PV), Domain::DomU), WallClock::Hypervisor));
    assert!(!old.can_synchronize() && old.has_switch());

    let dom0 = of(MODERN_DOM0);
    assert_eq!((dom0.guest, dom0.wall_clock), (xen(Some(Mode::PV), Domain::Dom0), WallClock::AlwaysGuest));
    assert_eq!(dom0.guest.to_string(), "Xen dom0, PV");
    // Each of its three signs is enough.
    for left_out in 2..5 {
        let files: Vec<_> = MODERN_DOM0
            .iter()
            .enumerate()
            .filter(|(index, _)| *index < 2 || *index == left_out)
            .map(|(_, file)| *file)
            .collect();
        assert_eq!(of(&files).guest, dom0.guest);
    }
    let guest = of(MODERN_GUEST);
    assert_eq!((guest.guest, guest.wall_clock), (xen(Some(Mode::HVM), Domain::DomU), WallClock::AlwaysGuest));

    // One sign of Xen is enough, and another hypervisor's is none.
    for sign in [
        ("sys/hypervisor/type", "xen\n"),
        ("proc/xen/capabilities", ""),
        ("proc/device-tree/hypervisor/compatible", "xen,xen-4.17\0xen,xen\0"),
        ("sys/class/dmi/id/sys_vendor", "Xen\n"),
        ("sys/devices/system/clocksource/clocksource0/available_clocksource", "xen tsc\n"),
    ] {
        assert_eq!(of(&[sign]).wall_clock, WallClock::AlwaysGuest, "{sign:?}");
    }
    for other in [("sys/hypervisor/type", "kvm\n"), ("sys/class/dmi/id/sys_vendor", "QEMU\n"), ("proc/xen/xenbus", "")]
    {
        assert_eq!(of(&[other]).guest, Guest::NotXen, "{other:?}");
    }
    for (text, wall_clock) in
        [("1\n", WallClock::Guest), ("1", WallClock::Guest), ("2\n", WallClock::Unknown), ("", WallClock::Unknown)]
    {
        assert_eq!(of(&[("proc/sys/xen/independent_wallclock", text)]).wall_clock, wall_clock);
    }
    // A switch that cannot be read is no missing one.
    let unreadable = root(&[("proc/sys/xen/independent_wallclock/directory", "")]);
    assert_eq!(Situation::of(&Facts::read(unreadable.path())).wall_clock, WallClock::Unknown);
}

#[test]
fn the_switch_is_switched_and_never_made() {
    let old = root(OLD_GUEST);
    let switch = old.path().join("proc/sys/xen/independent_wallclock");
    assert_eq!(enable(old.path()).unwrap(), Enabled::Switched);
    assert_eq!(std::fs::read_to_string(&switch).unwrap(), "1\n");
    assert_eq!(enable(old.path()).unwrap(), Enabled::AlreadyOn);

    let modern = root(MODERN_GUEST);
    assert_eq!(enable(modern.path()).unwrap(), Enabled::NotNeeded);
    assert!(!modern.path().join("proc").exists());

    assert!(matches!(enable(root(&[]).path()), Err(EnableError::NotXen)));

    // A kernel that takes the write and stays as it was.
    std::fs::remove_file(&switch).unwrap();
    symlink("/dev/null", &switch).unwrap();
    let error = enable(old.path()).unwrap_err();
    assert!(error.to_string().ends_with("still says \"\" after 1 was written"), "{error}");
    // One that takes no write.
    std::fs::remove_file(&switch).unwrap();
    symlink("/dev/full", &switch).unwrap();
    assert!(matches!(enable(old.path()), Err(EnableError::Io { action: "write", .. })));
    // No kernel shows a pipe there; one that stands below another root is not waited for.
    std::fs::remove_file(&switch).unwrap();
    assert!(Command::new("mkfifo").arg(&switch).status().unwrap().success());
    assert_eq!(Facts::read(old.path()).unreadable, std::slice::from_ref(&switch));
    let error = enable(old.path()).unwrap_err();
    assert!(error.to_string().ends_with("independent_wallclock: this is a pipe"), "{error}");
}

fn persistence(root: &Path) -> Persistence<'_> {
    Persistence { root, target: Target::Auto, force: false }
}

const LINES: &str = "#Set independent wall clock time\nxen.independent_wallclock=1\n";

#[test]
fn the_line_is_kept_in_the_guides_file() {
    let old = root(OLD_GUEST);
    let conf = old.path().join("etc/sysctl.conf");
    std::fs::create_dir(old.path().join("etc")).unwrap();
    std::fs::write(&conf, "kernel.sysrq = 0\n").unwrap();
    std::fs::set_permissions(&conf, std::fs::Permissions::from_mode(0o640)).unwrap();
    let plan = persistence(old.path()).plan().unwrap();
    assert_eq!(plan.edit, Some(Edit::Added));
    assert_eq!(plan.before_and_after().unwrap().0, b"kernel.sysrq = 0\n");
    assert_eq!(std::fs::read_to_string(&conf).unwrap(), "kernel.sysrq = 0\n"); // planned, not written
    assert_eq!(plan.apply().unwrap(), Outcome::Replaced);
    assert_eq!(std::fs::read_to_string(&conf).unwrap(), format!("kernel.sysrq = 0\n{LINES}"));
    assert_eq!(std::fs::metadata(&conf).unwrap().permissions().mode() & 0o7777, 0o640);
    let again = persistence(old.path()).plan().unwrap();
    assert_eq!((again.edit, again.apply().unwrap()), (Some(Edit::Unchanged), Outcome::Unchanged));
    // What was planned on an older file is refused.
    std::fs::write(&conf, "").unwrap();
    let stale = persistence(old.path()).plan().unwrap();
    std::fs::write(&conf, "new = 1\n").unwrap();
    assert!(matches!(stale.apply(), Err(PersistError::File(_))));
}

#[test]
fn the_file_is_chosen_by_what_is_there() {
    let path = |files: &[(&str, &str)], target| {
        let root = root(&[OLD_GUEST, files].concat());
        let persistence = Persistence { target, ..persistence(root.path()) };
        let plan = persistence.plan().unwrap();
        assert_eq!(
            plan.apply().unwrap(),
            if files.is_empty() || plan.before_and_after().unwrap().0.is_empty() {
                Outcome::Created
            } else {
                Outcome::Replaced
            }
        );
        plan.path().unwrap().strip_prefix(root.path()).unwrap().to_path_buf()
    };
    let etc = ("etc/passwd", "");
    assert_eq!(path(&[etc], Target::Auto), Path::new("etc/sysctl.conf"));
    assert_eq!(path(&[("etc/sysctl.conf", "a=1\n")], Target::Auto), Path::new("etc/sysctl.conf"));
    assert_eq!(path(&[("etc/sysctl.d/README", "")], Target::Auto), Path::new("etc/sysctl.d/90-xen-wallclock.conf"));
    assert_eq!(
        path(&[("etc/sysctl.d/README", ""), ("etc/sysctl.conf", "a=1\n")], Target::Auto),
        Path::new("etc/sysctl.conf")
    );
    assert_eq!(
        path(&[("etc/sysctl.d/README", "")], Target::File("/etc/sysctl.d/10-x.conf".into())),
        Path::new("etc/sysctl.d/10-x.conf")
    );
}

#[test]
fn what_keeps_the_line_from_working_is_told() {
    let warnings = |files: &[(&str, &str)], link: bool| {
        let root = root(&[OLD_GUEST, files].concat());
        if link {
            symlink("../sysctl.conf", root.path().join("etc/sysctl.d/99-sysctl.conf")).unwrap();
        }
        let plan = persistence(root.path()).plan().unwrap();
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        plan.warnings
            .iter()
            .map(|warning| match warning {
                Warning::Fails { path } => format!("fails {}", name(path)),
                Warning::NotReadAtStart { path } => format!("not read {}", name(path)),
                Warning::Overridden { path, value } => format!("overridden {} {value}", name(path)),
                other => other.to_string(),
            })
            .collect::<Vec<_>>()
    };
    let main = ("etc/sysctl.conf", "a = 1\n");
    let systemd = ("run/systemd/system/x", "");
    let early = ("etc/sysctl.d/10-a.conf", "xen.independent_wallclock=0\n");
    let late = ("usr/lib/sysctl.d/99-z.conf", "xen.independent_wallclock=0\n");
    let masked = ("etc/sysctl.d/99-z.conf", "# nothing\n");
    let readme = ("etc/sysctl.d/README", "");
    let none: [&str; 0] = [];
    assert_eq!(warnings(&[main], false), none);
    assert_eq!(warnings(&[main, early, late], false), none); // procps reads the main file last
    assert_eq!(warnings(&[main, systemd], false), ["not read sysctl.conf"]);
    assert_eq!(warnings(&[main, systemd, readme], true), none);
    assert_eq!(warnings(&[main, systemd, early, late], true), ["overridden 99-z.conf 0"]);
    assert_eq!(warnings(&[main, systemd, early, late, masked], true), none);
    assert_eq!(warnings(&[systemd, early, late], false), ["overridden 99-z.conf 0"]);
    // our drop-in comes between
}

#[test]
fn a_modern_kernel_gets_no_line_unless_forced() {
    let modern = root(&[MODERN_GUEST, &[("etc/sysctl.conf", "a = 1\n")]].concat());
    let plan = persistence(modern.path()).plan().unwrap();
    assert_eq!((plan.edit, plan.apply().unwrap()), (None, Outcome::Unchanged));
    assert_eq!(std::fs::read_to_string(modern.path().join("etc/sysctl.conf")).unwrap(), "a = 1\n");
    assert!(plan.warnings.is_empty());

    let forced = Persistence { force: true, ..persistence(modern.path()) }.plan().unwrap();
    assert!(matches!(forced.warnings[..], [Warning::Fails { .. }]), "{:?}", forced.warnings);
    assert_eq!(forced.apply().unwrap(), Outcome::Replaced);
    // The line is there now, and `sysctl -p` fails for it.
    assert!(matches!(persistence(modern.path()).plan().unwrap().warnings[..], [Warning::Fails { .. }]));

    assert!(matches!(persistence(root(&[]).path()).plan(), Err(PersistError::NotXen)));
}

#[test]
fn no_link_leads_out_of_the_root() {
    let outside = root(&[("sysctl.conf", "a = 1\n")]);
    let old = root(&[OLD_GUEST, &[("etc/passwd", "")]].concat());
    symlink(outside.path().join("sysctl.conf"), old.path().join("etc/sysctl.conf")).unwrap();
    assert!(matches!(persistence(old.path()).plan(), Err(PersistError::OutsideRoot { .. })));
    // Not to a file that does not exist yet, either.
    std::fs::remove_file(outside.path().join("sysctl.conf")).unwrap();
    assert!(matches!(persistence(old.path()).plan(), Err(PersistError::OutsideRoot { .. })));
}

#[test]
fn regions_are_found() {
    let region = |json: &str| region_of_instance_data(json.as_bytes()).map(|hint| hint.region);
    assert_eq!(region(r#"{"v1": {"region": "DFW", "cloud_name": "rackspace"}}"#).as_deref(), Some("DFW"));
    assert_eq!(
        region(r#"{"v1": {"region": null}, "ds": {"vendor_data": [{"x": 1}, {"region": "LON"}]}}"#).as_deref(),
        Some("LON")
    );
    assert_eq!(region(r#"{"v1": {"region": ""}, "ds": {"meta_data": {}}}"#), None);
    assert_eq!(region(r#"{"region": "DFW"}"#), None);
    for broken in ["", "{", "[]", "null", "{\"v1\": 3}"] {
        assert_eq!(region(broken), None);
    }
}

/// A xenbus that answers with these octets.
struct Bus {
    asked: Vec<u8>,
    answer: Cursor<Vec<u8>>,
}

impl Read for Bus {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.answer.read(buffer)
    }
}

impl Write for Bus {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.asked.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn xenstore_is_asked() {
    let ask = |kind: u32, length: u32, payload: &[u8]| {
        let header = [kind, 0, 0, length].map(u32::to_ne_bytes).concat();
        let mut bus = Bus { asked: Vec::new(), answer: Cursor::new([header.as_slice(), payload].concat()) };
        let result = region_of_xenstore(&mut bus);
        assert_eq!(bus.asked[..4], 2_u32.to_ne_bytes());
        assert_eq!(bus.asked[12..16], 29_u32.to_ne_bytes());
        assert_eq!(&bus.asked[16..], b"vm-data/provider_data/region\0");
        result.map(|hint| hint.region).map_err(|error| error.to_string())
    };
    assert_eq!(ask(2, 3, b"dfw"), Ok("dfw".into()));
    assert_eq!(ask(2, 5, b"\"ORD\""), Ok("ORD".into()));
    assert_eq!(ask(16, 7, b"ENOENT\0"), Err("xenstore has no region: ENOENT".into()));
    assert!(ask(2, 0, b"").is_err());
    assert!(ask(2, 5, b"dfw").is_err());
    assert!(ask(2, 1 << 30, b"").is_err());
    assert!(ask(7, 3, b"dfw").is_err());
    let mut bus = Bus { asked: Vec::new(), answer: Cursor::new(Vec::new()) };
    assert!(region_of_xenstore(&mut bus).is_err());
}

#[test]
fn a_region_is_looked_for_where_it_may_be_named() {
    let patience = std::time::Duration::from_millis(500);
    let find = |files: &[(&str, &str)]| {
        let root = root(files);
        let situation = Situation::of(&Facts::read(root.path()));
        find_region(root.path(), situation, patience).map(|hint| (hint.region, hint.origin))
    };
    let cloud_init = ("run/cloud-init/instance-data.json", r#"{"v1": {"region": "LON"}}"#);
    // What is asked is written over the first 45 octets; behind them stands the answer.
    let header = [2_u32, 0, 0, 3].map(u32::to_ne_bytes).concat();
    let answer = String::from_utf8([&[0; 45], header.as_slice(), b"ORD"].concat()).unwrap();
    let xenstore = ("proc/xen/xenbus", answer.as_str());
    let guest = ("sys/hypervisor/type", "xen\n");
    assert_eq!(find(&[]), None);
    assert_eq!(find(&[cloud_init]), Some(("LON".into(), "cloud-init")));
    assert_eq!(find(&[guest, xenstore]), Some(("ORD".into(), "xenstore")));
    assert_eq!(find(&[guest, xenstore, cloud_init]), Some(("LON".into(), "cloud-init")));
    assert_eq!(find(&[xenstore]), None, "no Xen");
    assert_eq!(find(&[guest, xenstore, ("proc/xen/capabilities", "control_d\n")]), None, "dom0");
    assert_eq!(find(&[guest, ("dev/xen/xenbus", answer.as_str())]), None, "a plain file is no device");
    assert_eq!(find(&[guest, ("proc/xen/xenbus", "")]), None, "no answer");
}

/// Says that this process is inside the namespace, and what it is to find there.
const INSIDE: &str = "XEN_WALLCLOCK_INSIDE";

/// Inside: the real paths.
#[test]
fn inside_the_namespace() {
    let Ok(expected) = std::env::var(INSIDE) else { return };
    let root = Path::new("/");
    match (expected.as_str(), enable(root)) {
        ("switched", Ok(Enabled::Switched)) | ("on", Ok(Enabled::AlreadyOn)) | ("modern", Ok(Enabled::NotNeeded)) => {}
        ("readonly", Err(EnableError::Io { action: "open", source, .. })) => {
            assert!(source.to_string().contains("Read-only file system"), "{source}");
        }
        ("unprivileged", Err(EnableError::NotPermitted { path, .. })) => {
            assert_eq!(path, Path::new("/proc/sys/xen/independent_wallclock"));
        }
        (expected, other) => panic!("{expected}: {other:?}"),
    }
}

/// The real path of a kernel of its own, made in a mount namespace; the real `sysctl -p` and `cat` look at it too.
#[test]
fn the_real_path() {
    let script = r#"
        set -e
        mount -t tmpfs none /proc/sys; mkdir /proc/sys/xen
        switch=/proc/sys/xen/independent_wallclock
        me() { XEN_WALLCLOCK_INSIDE=$1 $2 "$test" --exact inside_the_namespace; }
        echo 0 >$switch; chmod 644 $switch
        chmod 755 /proc/sys /proc/sys/xen
        me unprivileged "setpriv --reuid=65534 --regid=65534 --clear-groups"
        me switched; [ "$(cat $switch)" = 1 ]
        me on
        echo 0 >$switch; mount -o remount,ro /proc/sys
        me readonly; [ "$(cat $switch)" = 0 ]
        umount /proc/sys; mount -t tmpfs none /proc/sys; mkdir /proc/sys/xen
        mount -t tmpfs none /sys/hypervisor 2>/dev/null || mount -t tmpfs none /sys && mkdir -p /sys/hypervisor
        echo xen >/sys/hypervisor/type
        me modern; [ ! -e $switch ]
    "#;
    // The test's own file must be readable to somebody without rights.
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let test = directory.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &test).unwrap();
    let can = Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "none", "/proc/sys"]).status();
    if !can.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no mount namespace (this needs root)");
        return;
    }
    let output = Command::new("unshare").args(["--mount", "sh", "-xc", script]).env("test", &test).output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
