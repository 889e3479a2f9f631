//! Runs tasks as processes of this machine and says what became of them.
//!
//! A task has its own root file system (an overlay over the host's), process, mount, host name
//! and IPC namespaces, a network namespace handed in by whoever builds networks, a control group
//! with its limits, and log files. It is watched by a [`shim`]: one small process per task, which
//! outlives the daemon. A daemon that starts again reads the task directories and adopts what is
//! still running; nothing is restarted for it.
//!
//! ```text
//! daemon --spawn--> shim --spawn in new namespaces--> task-init (PID 1) --exec--> the command
//!        <--pidfd--      <--pipes: output--------------------------------------------
//!        <--exit.json, log.N--
//! ```
//!
//! This room knows task identifiers and Linux, and nothing else of clusters.

pub mod cgroup;
mod contract;
mod dir_watch;
mod error;
#[cfg(any(test, feature = "test-util"))]
pub mod fake;
mod file;
mod launch;
pub mod log;
mod observation;
mod pidfd;
mod process;
mod readable;
pub mod shim;
mod task_dir;

pub use contract::Runtime;
pub use error::RuntimeError;
pub use file::TaskFile;
pub use launch::Bind;
pub use launch::InvalidLaunch;
pub use launch::Limits;
pub use launch::NanoCpus;
pub use launch::StopPolicy;
pub use launch::TaskLaunch;
pub use log::LogLine;
pub use log::LogLines;
pub use log::LogQuery;
pub use log::LogStream;
pub use log::Tail;
pub use observation::Exit;
pub use observation::ExitReason;
pub use observation::TaskObservation;
pub use process::ProcessRuntime;
pub use process::ProcessRuntimeConfig;
