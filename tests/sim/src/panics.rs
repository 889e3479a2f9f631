//! Panics of tasks, which tokio catches and nobody else would see.

use std::cell::Cell;
use std::sync::Once;

thread_local! {
    static SEEN: Cell<u64> = const { Cell::new(0) };
}

/// Counts this thread's panics from now on.
pub(crate) fn count() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            SEEN.set(SEEN.get() + 1);
            usual(panic);
        }));
    });
    SEEN.set(0);
}

/// How many there were.
pub(crate) fn seen() -> u64 {
    SEEN.get()
}
