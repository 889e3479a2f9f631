//! Golden scripts: commands, `----`, and what they make happen. `WEFT_BLESS=1` writes the files anew.

use crate::orchestrator::tests::world::World;
use std::path::PathBuf;

const RULE: &str = "----";

/// A paragraph: comments and commands, and what was expected of them.
struct Block {
    given: Vec<String>,
    expected: Vec<String>,
    has_rule: bool,
}

fn parse(text: &str) -> Vec<Block> {
    let paragraphs = text.split("\n\n").map(str::trim_end);
    let full = paragraphs.filter(|paragraph| !paragraph.trim().is_empty());
    full.map(|paragraph| {
        let lines: Vec<String> = paragraph
            .trim_matches('\n')
            .lines()
            .map(str::to_owned)
            .collect();
        let rule = lines.iter().position(|line| line == RULE);
        let (given, expected) = lines.split_at(rule.unwrap_or(lines.len()));
        Block {
            given: given.to_vec(),
            expected: expected.iter().skip(1).cloned().collect(),
            has_rule: rule.is_some(),
        }
    })
    .collect()
}

/// What really happens, as a script.
fn play(text: &str) -> String {
    let mut world = World::new(false);
    let mut paragraphs = Vec::new();
    for block in parse(text) {
        let mut lines = block.given.clone();
        let commands = block.given.iter().filter(|line| !line.starts_with('#'));
        let mut any = false;
        for command in commands {
            any = true;
            world.act(command);
        }
        let happened = std::mem::take(&mut world.log);
        if any && (block.has_rule || !happened.is_empty() || !block.expected.is_empty()) {
            lines.push(RULE.to_owned());
            lines.extend(happened);
        }
        paragraphs.push(lines.join("\n"));
    }
    paragraphs.join("\n\n") + "\n"
}

/// Plays a script and compares.
pub(super) fn check(name: &str) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = root
        .join("src/orchestrator/scripts")
        .join(format!("{name}.script"));
    let text = std::fs::read_to_string(&path).unwrap();
    let played = play(&text);
    if played == text {
        return;
    }
    if std::env::var_os("WEFT_BLESS").is_some() {
        std::fs::write(&path, played).unwrap();
        return;
    }
    panic!(
        "{name}: what happened differs from the script (WEFT_BLESS=1 writes it anew)\n{}",
        difference(&text, &played)
    );
}

/// Lines that are only in one of the two, in order.
fn difference(expected: &str, played: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), played.lines().collect());
    // Longest common subsequence from each place on.
    let mut common = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = match a[i] == b[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut text) = (0, 0, String::new());
    while i < a.len() || j < b.len() {
        let (mark, line) = if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
            (' ', a[i - 1])
        } else if j >= b.len() || i < a.len() && common[i + 1][j] >= common[i][j + 1] {
            i += 1;
            ('-', a[i - 1])
        } else {
            j += 1;
            ('+', b[j - 1])
        };
        text.push_str(&format!("{mark} {line}\n"));
    }
    text
}
