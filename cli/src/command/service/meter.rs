//! Progress on standard error: a bar on a terminal, otherwise a line whenever something changes.

use crate::command::service::progress::Progress;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use std::io::Write;

/// Shows how far one service is.
#[derive(Debug)]
pub(super) struct Meter {
    name: String,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Silent,
    Bar(ProgressBar),
    /// The line written last.
    Lines(String),
}

impl Meter {
    pub(super) fn new(name: &str, wanted: bool, terminal: bool) -> Self {
        let way = match (wanted, terminal) {
            (false, _) => Way::Silent,
            (true, true) => Way::Bar(bar(name)),
            (true, false) => Way::Lines(String::new()),
        };
        Meter {
            name: name.to_owned(),
            way,
        }
    }

    pub(super) fn show(&mut self, progress: &Progress) {
        if let Way::Bar(bar) = &self.way {
            bar.set_length(progress.total.try_into().unwrap_or(u64::MAX));
            bar.set_position(progress.done.len().try_into().unwrap_or(u64::MAX));
        }
        self.say(&progress.line());
    }

    /// Nothing could be seen this time.
    pub(super) fn trouble(&mut self, why: &str) {
        self.say(why);
    }

    fn say(&mut self, text: &str) {
        match &mut self.way {
            Way::Silent => {}
            Way::Bar(bar) => {
                bar.set_message(text.replace(char::is_control, " "));
                bar.tick();
            }
            Way::Lines(last) if last == text => {}
            Way::Lines(last) => {
                text.clone_into(last);
                // Who does not read progress may still want the service.
                let _ = writeln!(std::io::stderr().lock(), "{}: {text}", self.name);
            }
        }
    }

    /// Leaves what was shown last on the screen.
    pub(super) fn finish(&mut self) {
        if let Way::Bar(bar) = &self.way {
            bar.abandon();
        }
    }
}

fn bar(name: &str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    // The template is constant; the plain bar is good enough should it ever not parse.
    if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:24}] {wide_msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.with_prefix(name.to_owned())
}
