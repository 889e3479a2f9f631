//! Names of signals.

/// Signals of Linux by number (signal(7); the same on x86-64, arm64 and riscv64).
const SIGNALS: [(&str, u8); 31] = [
    ("SIGHUP", 1),
    ("SIGINT", 2),
    ("SIGQUIT", 3),
    ("SIGILL", 4),
    ("SIGTRAP", 5),
    ("SIGABRT", 6),
    ("SIGBUS", 7),
    ("SIGFPE", 8),
    ("SIGKILL", 9),
    ("SIGUSR1", 10),
    ("SIGSEGV", 11),
    ("SIGUSR2", 12),
    ("SIGPIPE", 13),
    ("SIGALRM", 14),
    ("SIGTERM", 15),
    ("SIGSTKFLT", 16),
    ("SIGCHLD", 17),
    ("SIGCONT", 18),
    ("SIGSTOP", 19),
    ("SIGTSTP", 20),
    ("SIGTTIN", 21),
    ("SIGTTOU", 22),
    ("SIGURG", 23),
    ("SIGXCPU", 24),
    ("SIGXFSZ", 25),
    ("SIGVTALRM", 26),
    ("SIGPROF", 27),
    ("SIGWINCH", 28),
    ("SIGIO", 29),
    ("SIGPWR", 30),
    ("SIGSYS", 31),
];

/// The full name of a signal written as `SIGTERM`, `term` or `15`; `None` if there is none such.
pub fn signal_name(text: &str) -> Option<&'static str> {
    let upper = text.to_ascii_uppercase();
    let short = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = text.parse::<u8>().ok();
    SIGNALS
        .into_iter()
        .find(|(name, value)| name.strip_prefix("SIG") == Some(short) || number == Some(*value))
        .map(|(name, _)| name)
}

/// The number of a signal by its full name.
pub fn signal_number(name: &str) -> Option<u8> {
    SIGNALS
        .into_iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| number)
}
