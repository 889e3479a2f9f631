//! Network namespaces for tests: nameless, so that nothing is left behind, whatever happens.

use nix::sched::CloneFlags;
use nix::sched::setns;
use nix::sched::unshare;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use weft_kernel::nft::Batch;
use weft_kernel::nft::Nft;
use weft_kernel::nft::NftError;

pub(crate) struct Net(OwnedFd);

impl Net {
    /// A new namespace with lo up.
    pub(crate) fn new() -> Self {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            OwnedFd::from(File::open("/proc/thread-self/ns/net").unwrap())
        };
        let net = Self(thread::spawn(make).join().unwrap());
        net.ip("link set lo up");
        net
    }

    /// Runs in the namespace; sockets made there stay there.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let enter = || {
            setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
            work()
        };
        thread::scope(|scope| scope.spawn(enter).join().unwrap())
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    pub(crate) fn nft(&self) -> Nft {
        Nft::open_in(self.fd()).unwrap()
    }

    pub(crate) fn commit(&self, batch: &Batch) -> Result<(), NftError> {
        weft_kernel::nft::commit(Some(self.fd()), batch)
    }

    /// A path `ip` takes for a namespace.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    pub(crate) fn ip(&self, arguments: &str) {
        self.command("ip", arguments, "");
    }

    pub(crate) fn sysctl(&self, path: &str, value: &str) {
        self.run(|| std::fs::write(format!("/proc/sys/net/{path}"), value))
            .unwrap();
    }

    /// A veth pair between two namespaces, both ends up.
    pub(crate) fn veth(&self, name: &str, other: &Self, peer: &str) {
        self.ip(&format!(
            "link add {name} type veth peer name {peer} netns {}",
            other.path()
        ));
        self.ip(&format!("link set {name} up"));
        other.ip(&format!("link set {peer} up"));
    }

    pub(crate) fn mac(&self, device: &str) -> [u8; 6] {
        let text = self.command("ip", &format!("-br link show {device}"), "");
        let mac = text.split_whitespace().nth(2).unwrap();
        let bytes: Vec<u8> = mac
            .split(':')
            .map(|part| u8::from_str_radix(part, 16).unwrap())
            .collect();
        bytes.try_into().unwrap()
    }

    /// What an administrator sees.
    pub(crate) fn listing(&self) -> String {
        self.command("nft", "list ruleset", "")
    }

    /// Loads a ruleset the administrator's way.
    pub(crate) fn load(&self, text: &str) {
        self.command("nft", "-f -", text);
    }

    fn command(&self, program: &str, arguments: &str, input: &str) -> String {
        self.run(|| {
            let mut child = Command::new(program)
                .args(arguments.split_whitespace())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            child
                .stdin
                .take()
                .unwrap()
                .write_all(input.as_bytes())
                .unwrap();
            let output = child.wait_with_output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                output.status.success(),
                "{program} {arguments}: {} {errors}",
                output.status
            );
            String::from_utf8(output.stdout).unwrap()
        })
    }
}
